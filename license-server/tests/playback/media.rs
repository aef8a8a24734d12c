//! Shared bytes: caching, ranges, types, and paths that lead nowhere. And what other origins may do.

use lectern_store::testing::on_sqlite;
use reqwest::{Method, header};

use crate::world::{Answer, SEGMENT, World};

const IMMUTABLE: &str = "public, max-age=31536000, immutable";

#[tokio::test]
async fn files_ranges_and_conditions() {
    on_sqlite(|db| {
        Box::pin(async move {
            let world = World::new(db).await;
            let lesson = world.lesson().await;
            let whole: Vec<u8> = (0..SEGMENT).map(|at| at as u8).collect();
            for (file, kind) in [
                ("multivariant.m3u8", "application/vnd.apple.mpegurl"),
                ("720p.m3u8", "application/vnd.apple.mpegurl"),
                ("720p/init.mp4", "video/mp4"),
                ("720p/seg-00000.m4s", "video/mp4"),
            ] {
                let answer = world.get(&lesson.media(file)).await;
                assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{file}");
                assert_eq!(answer.header("cache-control"), IMMUTABLE);
                assert_eq!(answer.header("accept-ranges"), "bytes");
                assert_eq!(answer.header("x-content-type-options"), "nosniff");
                assert_eq!(answer.header("access-control-allow-origin"), "*");
            }
            let path = lesson.media("720p/seg-00000.m4s");
            let full = world.get(&path).await;
            assert!(full.body == whole);
            let tag = full.header("etag").to_owned();
            assert!(tag.starts_with('"'), "strong: {tag}");

            // (range, If-Range, status, Content-Range, bytes)
            let table = [
                ("bytes=0-0", None, 206, "bytes 0-0/1000000", 0..1),
                ("bytes=999990-", None, 206, "bytes 999990-999999/1000000", 999_990..SEGMENT),
                ("bytes=-5", None, 206, "bytes 999995-999999/1000000", 999_995..SEGMENT),
                ("bytes=-5000000", None, 206, "bytes 0-999999/1000000", 0..SEGMENT),
                ("bytes=500000-5000000", None, 206, "bytes 500000-999999/1000000", 500_000..SEGMENT),
                ("bytes=10-19", Some(tag.as_str()), 206, "bytes 10-19/1000000", 10..20),
                ("bytes=10-19", Some("\"other\""), 200, "", 0..SEGMENT),
                ("bytes=10-19", Some("Sat, 29 Oct 1994 19:43:31 GMT"), 200, "", 0..SEGMENT),
                ("bytes=0-1,5-6", None, 200, "", 0..SEGMENT),
                ("bytes=19-10", None, 200, "", 0..SEGMENT),
                ("lines=1-2", None, 200, "", 0..SEGMENT),
            ];
            for (range, if_range, status, content_range, bytes) in table {
                let mut request = world.request(Method::GET, &path).header(header::RANGE, range);
                if let Some(tag) = if_range {
                    request = request.header(header::IF_RANGE, tag);
                }
                let answer = Answer::of(request.send().await.unwrap()).await;
                assert_eq!(
                    (answer.status, answer.header("content-range")),
                    (status, content_range),
                    "{range}"
                );
                assert_eq!(answer.header("content-length"), bytes.len().to_string(), "{range}");
                assert_eq!(answer.header("cache-control"), IMMUTABLE, "{range}");
                assert!(answer.body == whole[bytes], "{range}");
            }
            for (file, range, total) in [
                ("720p/seg-00000.m4s", "bytes=1000000-", "bytes */1000000"),
                ("audio-0/seg-00001.m4s", "bytes=0-", "bytes */0"),
            ] {
                let request = world.request(Method::GET, &lesson.media(file)).header(header::RANGE, range);
                let answer = Answer::of(request.send().await.unwrap()).await;
                assert_eq!((answer.status, answer.header("content-range")), (416, total), "{range}");
                assert_eq!(answer.code(), "range_not_satisfiable");
            }
            let empty = world.get(&lesson.media("audio-0/seg-00001.m4s")).await;
            assert_eq!((empty.status, empty.header("content-length")), (200, "0"));

            let head = world.call(Method::HEAD, &path, None).await;
            assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "1000000", 0));
            assert_eq!(head.header("etag"), tag);
            let request = world.request(Method::GET, &path).header(header::IF_NONE_MATCH, &tag);
            let answer = Answer::of(request.send().await.unwrap()).await;
            assert_eq!((answer.status, answer.header("etag"), answer.body.len()), (304, tag.as_str(), 0));
            assert_eq!(answer.header("cache-control"), IMMUTABLE);
        })
    })
    .await;
}

#[tokio::test]
async fn paths_that_lead_elsewhere_lead_nowhere() {
    on_sqlite(|db| {
        Box::pin(async move {
            let world = World::new(db).await;
            let (lesson, other) = (world.lesson().await, world.lesson().await);
            let source = lectern_domain::storage_key::source(lesson.asset);
            world.objects.put(&source, bytes::Bytes::from_static(b"private")).await.unwrap();
            let (asset, package) = (lesson.asset, lesson.package);
            let folder = format!("/media/{asset}/{package}");
            let mut paths: Vec<String> = [
                "none.m4s",
                "720p",
                "720p/",
                "720p//init.mp4",
                "720p/init.mp4/",
                "%2e%2e/%2e%2e",
                "720p/%2e%2e/720p.m3u8",
                "..%2f..%2f..%2fmaster.key",
                "%2fetc%2fpasswd",
                "720p%2finit.mp4%00",
                "720p%5cinit.mp4",
                ".%00",
                "%ff",
                "720p/init.mp4%20",
                "720p/init.mp4.",
                "720p/INIT.MP4",
            ]
            .iter()
            .map(|file| format!("{folder}/{file}"))
            .collect();
            paths.push(format!("{folder}/..%2f..%2f..%2f{source}"));
            paths.push(format!("{folder}/{}", "a/".repeat(2_000)));
            paths.push(format!("/media/{asset}/{}/720p.m3u8", other.package));
            paths.push(format!("/media/{package}/{asset}/720p.m3u8"));
            paths.push(format!("/media/{asset}%2f{package}/x/720p.m3u8"));
            paths.push(format!("/media/..%2fsources/{asset}/original"));
            for path in paths {
                // A client that leaves the path alone: URL libraries tidy dots away.
                let (status, body) = raw_get(&world.base, &path).await;
                assert!(status == 404 || status == 400, "{path}: {status}");
                assert!(!body.contains("private"), "{path}");
                assert!(body.contains("no-store"), "{path}: {body}");
            }
            for dots in ["../../../../master.key", "720p/../720p.m3u8", "./720p.m3u8", "//"] {
                let (status, _) = raw_get(&world.base, &format!("{folder}/{dots}")).await;
                assert_eq!(status, 404, "{dots}");
            }
            // A deleted package is gone.
            let prefix = lectern_domain::storage_key::packages_prefix(asset);
            world.objects.delete_prefix(&prefix).await.unwrap();
            assert_eq!(world.get(&lesson.media("720p.m3u8")).await.code(), "not_found");
        })
    })
    .await;
}

/// Status and the whole answer as text, for a path sent as it is.
async fn raw_get(base: &str, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = base.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, text)
}

#[tokio::test]
async fn other_origins_may_ask_without_credentials() {
    on_sqlite(|db| {
        Box::pin(async move {
            let world = World::new(db).await;
            let lesson = world.lesson().await;
            for path in [
                lesson.media("720p.m3u8"),
                format!("/keys/{}", lesson.video.kid),
                "/playback/x/y.m3u8".into(),
                "/api/v1/playback/ses_1/heartbeat".into(),
                format!("/api/v1/lessons/{}/playback", lesson.lesson),
            ] {
                let request = world
                    .request(Method::OPTIONS, &path)
                    .header(header::ORIGIN, "https://player.example")
                    .header(header::ACCESS_CONTROL_REQUEST_METHOD, "GET")
                    .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization,range");
                let answer = Answer::of(request.send().await.unwrap()).await;
                assert_eq!(
                    (answer.status, answer.header("access-control-allow-origin")),
                    (200, "*"),
                    "{path}"
                );
                let allowed = answer.header("access-control-allow-headers").to_ascii_lowercase();
                assert!(allowed.contains("authorization") && allowed.contains("range"), "{path}: {allowed}");
                assert_eq!(answer.header("access-control-allow-credentials"), "");
                assert_eq!(answer.header("access-control-max-age"), "86400");

                // A refusal can be read, too: the player shows its code.
                let request =
                    world.request(Method::GET, &path).header(header::ORIGIN, "https://player.example");
                let answer = Answer::of(request.send().await.unwrap()).await;
                assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
                let exposed = answer.header("access-control-expose-headers").to_ascii_lowercase();
                assert!(exposed.contains("content-range") && exposed.contains("retry-after"), "{exposed}");
            }
            // What no route answers is not kept either.
            let answer = world.call(Method::DELETE, &lesson.media("720p.m3u8"), None).await;
            assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"));
        })
    })
    .await;
}
