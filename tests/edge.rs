//! `infra/edge/nginx.conf` in nginx before the real server: the whole job goes through it, media are kept, uploads pass as
//! they come, and no token reaches its logs.

mod harness;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use harness::{Client, Server, course_and_lesson, draw, edge::Edge, eventually, settled};
use reqwest::StatusCode;
use serde_json::json;

/// Status and what nginx says of its cache.
async fn fetch(url: &str) -> (StatusCode, Option<String>, Vec<u8>) {
    let answer = reqwest::get(url).await.unwrap();
    let cache = answer.headers().get("x-cache").map(|value| value.to_str().unwrap().to_owned());
    (answer.status(), cache, answer.bytes().await.unwrap().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_job_goes_through_the_edge() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("LECTERN__HTTP__TRUST_FORWARDED_FOR", "true")];
    let mut server = Server::start(folder.path(), &settings).await;
    let edge = Edge::start(folder.path(), &server.url, &server.url).await;
    let mut instructor = Client::new(&edge.url).unwrap();
    let mut learner = Client::new(&edge.url).unwrap();
    for (person, name, role) in
        [(&mut instructor, "teacher", "instructor"), (&mut learner, "learner", "student")]
    {
        let mail = format!("{name}@school.example");
        person.register(name, &mail, "correct horse battery", role).await.unwrap();
    }

    // More than nginx lets pass unless told.
    let clip = draw::clip(folder.path(), "clip.mp4", "640x360", 12);
    let source =
        draw::ffmpeg(folder.path(), "large.mp4", &format!("-stream_loop 3 -i {} -c copy", clip.display()));
    assert!(std::fs::metadata(&source).unwrap().len() > 2 << 20);
    let (course, lesson) = course_and_lesson(&instructor).await;
    let asset = instructor.upload(&lesson, &source, |_| {}).await.unwrap();
    let asset = settled(&instructor, &asset, Duration::from_mins(3)).await;
    assert_eq!(asset["state"], "ready", "{asset}");

    learner.post(&format!("/api/v1/enrollments/{course}"), json!({})).await.unwrap();
    let playback = learner.post(&format!("/api/v1/lessons/{lesson}/playback"), json!({})).await.unwrap();
    let token = playback["token"].as_str().unwrap();
    let native = learner.absolute(playback["hls_native_url"].as_str().unwrap());
    assert!(native.starts_with(&edge.url), "{native}: playback names another address than the edge");

    // Media are kept, in one form, and nobody else's arguments make another.
    let hls = learner.absolute(playback["hls_url"].as_str().unwrap());
    let (status, cache, playlist) = fetch(&hls).await;
    assert_eq!((status, cache.as_deref()), (StatusCode::OK, Some("MISS")));
    let (status, cache, again) = fetch(&format!("{hls}?bust=1")).await;
    assert_eq!((status, cache.as_deref()), (StatusCode::OK, Some("HIT")));
    assert_eq!(playlist, again);

    // Who may play is asked every time, of the server.
    let (_, cache, master) = fetch(&native).await;
    assert_eq!(cache, None);
    let master = String::from_utf8(master).unwrap();
    let media = master.lines().find(|line| !line.starts_with('#') && !line.is_empty()).unwrap();
    let media = reqwest::Url::parse(&native).unwrap().join(media).unwrap();
    let (_, _, media) = fetch(media.as_str()).await;
    let media = String::from_utf8(media).unwrap();
    let key = media.split('"').find(|part| part.contains("/keys/")).unwrap_or_else(|| panic!("{media}"));
    let key = learner.absolute(key);
    let (status, cache, bytes) = fetch(&key).await;
    assert_eq!((status, cache, bytes.len()), (StatusCode::OK, None, 16));
    let (status, ..) = fetch(key.split('?').next().unwrap()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);

    assert_eq!(fetch(&format!("{}/metrics", edge.url)).await.0, StatusCode::NOT_FOUND);
    assert_eq!(fetch(&format!("{}/readyz", edge.url)).await.0, StatusCode::OK);

    // What is kept plays on while the server is away; what must be asked does not, and its token stays out of the log.
    server.kill();
    let (status, cache, again) = fetch(&hls).await;
    assert_eq!((status, cache.as_deref()), (StatusCode::OK, Some("HIT")));
    assert_eq!(playlist, again);
    for asked in [&key, &native] {
        assert_eq!(fetch(asked).await.0, StatusCode::BAD_GATEWAY);
    }
    let (access, errors) = (edge.log("access.log"), edge.log("error.log"));
    assert!(access.contains("/keys/") && access.contains("/playback/-/"), "{access}");
    let secrets = [token, native.split('/').rev().nth(1).unwrap(), learner.access_token()];
    for secret in secrets {
        assert!(secret.len() > 20, "{secret}");
        assert!(!access.contains(secret) && !errors.contains(secret), "a token is in nginx's log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_pass_as_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let edge = Edge::start(folder.path(), &server.url, &server.url).await;
    let mut instructor = Client::new(&edge.url).unwrap();
    instructor.register("t", "t@school.example", "correct horse battery", "instructor").await.unwrap();
    let (_, lesson) = course_and_lesson(&instructor).await;
    let lesson = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &lesson);
    let created = reqwest::Client::new()
        .post(format!("{}/uploads", edge.url))
        .bearer_auth(instructor.access_token())
        .header("Tus-Resumable", "1.0.0")
        .header("Upload-Length", 8 << 20)
        .header("Upload-Metadata", format!("lesson_id {lesson}"))
        .send()
        .await
        .unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    let location = created.headers()["location"].to_str().unwrap();
    let path = location.strip_prefix(&edge.url).unwrap_or(location);

    // Half of it, and then nothing more comes.
    let mut line = TcpStream::connect(("127.0.0.1", edge.port)).unwrap();
    write!(
        line,
        "PATCH {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {}\r\nTus-Resumable: 1.0.0\r\n\
         Upload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: {}\r\n\r\n",
        edge.port,
        instructor.access_token(),
        8 << 20
    )
    .unwrap();
    line.write_all(&vec![7; 4 << 20]).unwrap();
    eventually("what was sent has arrived", Duration::from_secs(10), async || {
        let arrived = server.files("uploads").into_iter();
        let sizes = arrived
            .map(|name| std::fs::metadata(server.data.join("uploads").join(name)).map_or(0, |f| f.len()));
        sizes.sum::<u64>() >= (4 << 20) - (256 << 10)
    })
    .await;
    // The rest comes.
    line.write_all(&vec![7; 4 << 20]).unwrap();
    line.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = [0; 64];
    let read = line.read(&mut answer).unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 204"), "{}", String::from_utf8_lossy(&answer[..read]));
}
