//! tus 1.0.0 as a client sees it: tables of requests and answers over a real connection, on both databases.

mod harness;

use std::time::Duration;

use harness::{
    House, TUS_BODY, asset_state, base64,
    forms::{Form, on_every_form},
    metadata, random, settings,
};
use lectern_domain::{
    ids::UserId,
    keys::{AssetSecret, secret_context},
};
use lectern_ingest::{IngestSettings, sweep};
use lectern_store::assets;

/// Names and values.
type Headers<'a> = [(&'a str, &'a str)];

/// Status and code of a problem.
type Refusal = (u16, &'static str);

#[tokio::test]
async fn options_tell_the_truth_to_clients_and_browsers() {
    on_every_form(|form, db| async move {
        let house = House::open_in(form, db, IngestSettings { max_size_bytes: 12_345, ..settings() }).await;
        for path in ["/uploads", "/uploads/", "/uploads/upl_018f2f3a5c7b7cc3a1b2c3d4e5f60718"] {
            // Neither a token nor a version is needed.
            let answer = house.request(None, "OPTIONS", path, &[("Tus-Resumable", "")], b"").await;
            assert_eq!(answer.status, 204);
            assert_eq!(answer.header("tus-version"), Some("1.0.0"));
            assert_eq!(
                answer.header("tus-extension"),
                Some("creation,creation-with-upload,termination,expiration")
            );
            assert_eq!(answer.header("tus-max-size"), Some("12345"));
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            let methods = answer.header("access-control-allow-methods").unwrap();
            let headers = answer.header("access-control-allow-headers").unwrap().to_lowercase();
            for method in ["POST", "HEAD", "PATCH", "DELETE"] {
                assert!(methods.contains(method), "{method}");
            }
            for header in [
                "authorization",
                "content-type",
                "tus-resumable",
                "upload-length",
                "upload-offset",
                "upload-metadata",
            ] {
                assert!(headers.contains(header), "{header}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_upload_in_parts_becomes_a_source_with_one_probe_job() {
    on_every_form(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let bytes = random(300_000);
        let (path, asset) = house.create(bytes.len() as u64).await;
        assert!(path.starts_with("/uploads/upl_"), "{path}");
        assert_eq!(asset_state(&house.db, asset).await, "awaiting_upload");
        let mut at = 0;
        for part in bytes.chunks(70_000) {
            let head = house.owner("HEAD", &path, &[], b"").await;
            assert_eq!((head.status, head.number("upload-offset")), (200, at));
            assert_eq!(head.number("upload-length"), 300_000);
            assert_eq!(head.header("cache-control"), Some("no-store"));
            assert_eq!(head.header("upload-metadata"), Some(house.metadata("lecture.mp4").as_str()));
            assert!(head.header("upload-expires").unwrap().ends_with(" GMT"));

            let answer = house.patch(&path, at, part).await;
            at += part.len() as u64;
            assert_eq!((answer.status, answer.number("upload-offset")), (204, at));
            assert_eq!(answer.header("tus-resumable"), Some("1.0.0"));
            assert_eq!(answer.header("upload-expires").is_some(), at < 300_000);
            assert!(answer.header("access-control-expose-headers").unwrap().contains("Upload-Offset"));
            assert_eq!(
                asset_state(&house.db, asset).await,
                if at < 300_000 { "uploading" } else { "probing" }
            );
        }
        house.assert_finished(&path, asset, &bytes).await;
        assert!(house.calls.load(std::sync::atomic::Ordering::SeqCst) > 0);
        // A client that never heard the last answer asks again with nothing; one that sends more is told.
        assert_eq!(house.patch(&path, 300_000, b"").await.status, 204);
        assert_eq!(house.patch(&path, 300_000, b"x").await.code(), "longer_than_announced");
        assert_eq!(house.patch(&path, 0, &bytes).await.code(), "offset_mismatch");
        assert_eq!(house.owner("DELETE", &path, &[], b"").await.code(), "upload_finished");
        house.assert_finished(&path, asset, &bytes).await;

        let stored = assets::find(&house.db, asset).await.unwrap().unwrap();
        assert_eq!(
            (stored.filename.as_str(), stored.source_bytes, stored.owner),
            ("lecture.mp4", 300_000, house.people.owner)
        );
        let context = secret_context(asset);
        let secret = house.state.vault.unwrap(&context, &stored.wrapped_secret.unwrap()).await.unwrap();
        AssetSecret::from_bytes(secret.as_slice().try_into().unwrap());
    })
    .await;
}

#[tokio::test]
async fn what_creation_refuses() {
    on_every_form(|form, db| async move {
        let house = House::open_in(form, db, IngestSettings { max_size_bytes: 1_000, ..settings() }).await;
        let good = house.metadata("a.mp4");
        let text = metadata(house.people.text_lesson, b"a.mp4");
        let missing = metadata(lectern_domain::ids::LessonId::from_uuid(house.people.owner.uuid()), b"a.mp4");
        let lesson = base64(house.people.lesson.to_string().as_bytes());
        let nul = format!("lesson_id {lesson},filename {}", base64(b"a\0b.mp4"));
        let not_text = format!("lesson_id {lesson},filename {}", base64(b"\xff\xfe"));
        let twice = format!("lesson_id {lesson},lesson_id {lesson}");
        let long = format!("lesson_id {lesson},filename {}", base64(&vec![b'a'; 100_000]));
        let bad_base64 = format!("lesson_id {lesson},filename ***");
        let wrong_id = format!("lesson_id {}", base64(b"les_1"));
        let table: &[(&str, &Headers<'_>, u16, &str)] = &[
            (
                "no version",
                &[("Tus-Resumable", ""), ("Upload-Length", "1"), ("Upload-Metadata", &good)],
                412,
                "tus_version",
            ),
            (
                "other version",
                &[("Tus-Resumable", "0.2.2"), ("Upload-Length", "1"), ("Upload-Metadata", &good)],
                412,
                "tus_version",
            ),
            ("no length", &[("Upload-Metadata", &good)], 400, "invalid_request"),
            (
                "negative length",
                &[("Upload-Length", "-1"), ("Upload-Metadata", &good)],
                400,
                "invalid_request",
            ),
            (
                "length of 30 digits",
                &[("Upload-Length", "100000000000000000000000000000"), ("Upload-Metadata", &good)],
                400,
                "invalid_request",
            ),
            (
                "two lengths",
                &[("Upload-Length", "1"), ("Upload-Length", "2"), ("Upload-Metadata", &good)],
                400,
                "invalid_request",
            ),
            (
                "deferred length",
                &[("Upload-Defer-Length", "1"), ("Upload-Metadata", &good)],
                400,
                "not_supported",
            ),
            (
                "concatenation",
                &[("Upload-Concat", "partial"), ("Upload-Length", "1"), ("Upload-Metadata", &good)],
                400,
                "not_supported",
            ),
            ("too large", &[("Upload-Length", "1001"), ("Upload-Metadata", &good)], 413, "too_large"),
            ("no metadata", &[("Upload-Length", "1")], 400, "invalid_request"),
            (
                "metadata twice",
                &[("Upload-Length", "1"), ("Upload-Metadata", &good), ("Upload-Metadata", &good)],
                400,
                "invalid_request",
            ),
            ("text lesson", &[("Upload-Length", "1"), ("Upload-Metadata", &text)], 400, "invalid_request"),
            ("unknown lesson", &[("Upload-Length", "1"), ("Upload-Metadata", &missing)], 404, "not_found"),
            (
                "malformed lesson id",
                &[("Upload-Length", "1"), ("Upload-Metadata", &wrong_id)],
                400,
                "invalid_request",
            ),
            ("NUL in a name", &[("Upload-Length", "1"), ("Upload-Metadata", &nul)], 400, "invalid_request"),
            (
                "name that is not text",
                &[("Upload-Length", "1"), ("Upload-Metadata", &not_text)],
                400,
                "invalid_request",
            ),
            ("key twice", &[("Upload-Length", "1"), ("Upload-Metadata", &twice)], 400, "invalid_request"),
            ("name of 100 kB", &[("Upload-Length", "1"), ("Upload-Metadata", &long)], 400, "invalid_request"),
            (
                "not base64",
                &[("Upload-Length", "1"), ("Upload-Metadata", &bad_base64)],
                400,
                "invalid_request",
            ),
        ];
        for (what, headers, status, code) in table {
            let answer = house.owner("POST", "/uploads", headers, b"").await;
            assert_eq!((answer.status, answer.code().as_str()), (*status, *code), "{what}: {answer:?}");
            assert_eq!(answer.header("tus-version").is_some(), *status == 412, "{what}");
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{what}");
        }
        let headers = [("Upload-Length", "2"), ("Upload-Metadata", good.as_str()), TUS_BODY];
        let answer = house.owner("POST", "/uploads", &headers, b"abc").await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "longer_than_announced"));
        let answer = house.owner("POST", "/uploads", &headers[..2], b"ab").await;
        assert_eq!((answer.status, answer.code().as_str()), (415, "unsupported_media_type"));

        // A name of 1 MB is more than the HTTP server reads of a request's head: refused before it gets here.
        let huge = format!("lesson_id {lesson},filename {}", base64(&vec![b'a'; 1_000_000]));
        let answer =
            house.owner("POST", "/uploads", &[("Upload-Length", "1"), ("Upload-Metadata", &huge)], b"").await;
        assert_eq!(answer.status, 431);

        // Nothing was made, and the server is well.
        assert_eq!(sweep(&house.state).await.unwrap(), lectern_ingest::Swept::default());
        assert_eq!(house.left().await, 0);
        house.create(1).await;
    })
    .await;
}

#[tokio::test]
async fn who_may_do_what() {
    on_every_form(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let people = house.people.clone();
        let draft = metadata(people.lesson, b"a.mp4");
        let published = metadata(people.second_lesson, b"a.mp4");
        let table: [(Option<UserId>, &str, u16, &str); 7] = [
            (None, &draft, 401, "unauthenticated"),
            (Some(people.student), &draft, 403, "forbidden"),
            (Some(people.student), &published, 403, "forbidden"),
            (Some(people.other), &draft, 404, "not_found"),
            (Some(people.other), &published, 403, "not_owner"),
            (Some(people.owner), &draft, 201, ""),
            (Some(people.admin), &published, 201, ""),
        ];
        for (user, metadata, status, code) in table {
            let headers = [("Upload-Length", "9"), ("Upload-Metadata", metadata)];
            let answer = house.request(user, "POST", "/uploads", &headers, b"").await;
            assert_eq!(answer.status, status, "{user:?} {answer:?}");
            if status != 201 {
                assert_eq!(answer.code(), code);
            }
        }
        let (path, _) = house.create(3).await;
        let patch = [("Upload-Offset", "0"), TUS_BODY];
        for (user, status) in [(None, 401), (Some(people.student), 404), (Some(people.other), 404)] {
            assert_eq!(house.request(user, "HEAD", &path, &[], b"").await.status, status);
            assert_eq!(house.request(user, "PATCH", &path, &patch, b"abc").await.status, status);
            assert_eq!(house.request(user, "DELETE", &path, &[], b"").await.status, status);
        }
        let bad = [("Authorization", "Bearer nonsense")];
        assert_eq!(house.owner("HEAD", &path, &bad, b"").await.status, 401);
        assert_eq!(
            house.request(Some(people.admin), "HEAD", &path, &[], b"").await.number("upload-offset"),
            0
        );
        assert_eq!(house.request(Some(people.admin), "PATCH", &path, &patch, b"abc").await.status, 204);

        // The asset of a file that an admin brings belongs to whoever teaches the course.
        let headers = [("Upload-Length", "9"), ("Upload-Metadata", published.as_str())];
        let answer = house.request(Some(people.admin), "POST", "/uploads", &headers, b"").await;
        let asset = assets::find(&house.db, answer.asset()).await.unwrap().unwrap();
        assert_eq!(asset.owner, people.owner);
        // But going on with it is the admin's.
        assert_eq!(house.owner("HEAD", answer.header("location").unwrap(), &[], b"").await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn what_an_upload_refuses() {
    on_every_form(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let (path, _) = house.create(10).await;
        assert_eq!(house.patch(&path, 0, b"abc").await.status, 204);
        let table: &[(&str, &str, &Headers<'_>, &[u8], Refusal)] = &[
            ("PATCH", &path, &[("Upload-Offset", "3")], b"d", (415, "unsupported_media_type")),
            (
                "PATCH",
                &path,
                &[("Upload-Offset", "3"), ("Content-Type", "text/plain")],
                b"d",
                (415, "unsupported_media_type"),
            ),
            ("PATCH", &path, &[TUS_BODY], b"d", (400, "invalid_request")),
            ("PATCH", &path, &[("Upload-Offset", "three"), TUS_BODY], b"d", (400, "invalid_request")),
            ("PATCH", &path, &[("Upload-Offset", "-3"), TUS_BODY], b"d", (400, "invalid_request")),
            ("PATCH", &path, &[("Upload-Offset", "2"), TUS_BODY], b"d", (409, "offset_mismatch")),
            ("PATCH", &path, &[("Upload-Offset", "4"), TUS_BODY], b"d", (409, "offset_mismatch")),
            (
                "PATCH",
                &path,
                &[("Upload-Offset", "3"), TUS_BODY],
                b"defghijkl",
                (413, "longer_than_announced"),
            ),
            (
                "PATCH",
                &path,
                &[("Upload-Offset", "3"), ("Tus-Resumable", "2.0"), TUS_BODY],
                b"d",
                (412, "tus_version"),
            ),
            ("GET", &path, &[], b"", (405, "method_not_allowed")),
            ("PUT", &path, &[], b"", (405, "method_not_allowed")),
            ("POST", &path, &[], b"", (405, "method_not_allowed")),
            ("PATCH", "/uploads", &[], b"", (405, "method_not_allowed")),
            ("POST", &path, &[("X-HTTP-Method-Override", "what ever")], b"", (400, "invalid_request")),
            (
                "PATCH",
                "/uploads/upl_018f2f3a5c7b7cc3a1b2c3d4e5f60718",
                &[("Upload-Offset", "0"), TUS_BODY],
                b"a",
                (404, "not_found"),
            ),
            ("DELETE", "/uploads/nonsense", &[], b"", (404, "not_found")),
            ("DELETE", "/uploads/..%2f..%2fmaster.key", &[], b"", (404, "not_found")),
        ];
        for (method, path, headers, body, refusal) in table {
            let answer = house.owner(method, path, headers, body).await;
            assert_eq!((answer.status, answer.code().as_str()), *refusal, "{method} {path} {headers:?}");
        }
        assert_eq!(house.offset(&path).await, 3);
        // The method may be said in a header.
        let headers = [("Upload-Offset", "3"), ("X-HTTP-Method-Override", "PATCH"), TUS_BODY];
        assert_eq!(house.owner("POST", &path, &headers, b"defg").await.number("upload-offset"), 7);
        let head = house.owner("GET", &path, &[("X-HTTP-Method-Override", "HEAD")], b"").await;
        assert_eq!(head.number("upload-offset"), 7);
    })
    .await;
}

#[tokio::test]
async fn bodies_of_unknown_length_are_held_to_the_announced_one() {
    on_every_form(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let chunked = [("Content-Length", ""), ("Transfer-Encoding", "chunked"), TUS_BODY];
        let with = |more: &[(&'static str, &'static str)]| [&chunked, more].concat();
        let (path, asset) = house.create(10).await;
        let body = b"5\r\nabcde\r\n0\r\n\r\n";
        assert_eq!(
            house.owner("PATCH", &path, &with(&[("Upload-Offset", "0")]), body).await.number("upload-offset"),
            5
        );
        // Too long: nothing of it is kept, and the upload is not taken for complete.
        let body = b"5\r\nfghij\r\n1\r\nk\r\n0\r\n\r\n";
        let answer = house.owner("PATCH", &path, &with(&[("Upload-Offset", "5")]), body).await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "longer_than_announced"));
        assert_eq!(house.offset(&path).await, 5);
        let body = b"2\r\nfg\r\n3\r\nhij\r\n0\r\n\r\n";
        assert_eq!(
            house.owner("PATCH", &path, &with(&[("Upload-Offset", "5")]), body).await.number("upload-offset"),
            10
        );
        house.assert_finished(&path, asset, b"abcdefghij").await;

        // The same at creation: the upload that the client never hears of is gone.
        let metadata = house.metadata("a.mp4");
        let mut headers = with(&[("Upload-Length", "3")]);
        headers.push(("Upload-Metadata", &metadata));
        let answer = house.owner("POST", "/uploads", &headers, b"4\r\nabcd\r\n0\r\n\r\n").await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "longer_than_announced"));
        assert_eq!(house.left().await, 0);
    })
    .await;
}

#[tokio::test]
async fn creation_takes_the_first_bytes_or_all_of_them() {
    on_every_form(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let bytes = random(100_000);
        for first in [0, 1, 60_000, 100_000] {
            let headers =
                [("Upload-Length", "100000"), ("Upload-Metadata", &house.metadata("a.mp4")), TUS_BODY];
            let answer = house.owner("POST", "/uploads", &headers, &bytes[..first]).await;
            assert_eq!(answer.status, 201);
            assert_eq!(answer.header("upload-offset").is_some(), first > 0);
            assert_eq!(answer.header("upload-expires").is_some(), first < 100_000);
            let (path, asset) = (answer.header("location").unwrap(), answer.asset());
            assert_eq!(house.offset(path).await, first as u64);
            if first < 100_000 {
                assert_eq!(house.patch(path, first as u64, &bytes[first..]).await.status, 204);
            }
            house.assert_finished(path, asset, &bytes).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_empty_file_finishes_at_once() {
    on_every_form(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let headers = [("Upload-Length", "0"), ("Upload-Metadata", &house.metadata("empty.mp4"))];
        let answer = house.owner("POST", "/uploads", &headers, b"").await;
        assert_eq!((answer.status, answer.number("upload-offset")), (201, 0));
        house.assert_finished(answer.header("location").unwrap(), answer.asset(), b"").await;
    })
    .await;
}

#[tokio::test]
async fn names_are_made_fit_to_show() {
    on_every_form(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let long = format!("{}.mp4", "n".repeat(5_000));
        for (given, expected) in [
            ("../../etc/passwd", "passwd"),
            ("a\r\nb.mp4", "ab.mp4"),
            ("", "untitled"),
            (&long, &format!("{}.mp4", "n".repeat(251))),
        ] {
            let headers = [("Upload-Length", "1"), ("Upload-Metadata", &house.metadata(given))];
            let answer = house.owner("POST", "/uploads", &headers, b"").await;
            let asset = assets::find(&house.db, answer.asset()).await.unwrap().unwrap();
            assert_eq!(asset.filename, *expected);
        }
    })
    .await;
}

#[tokio::test]
async fn limits_are_checked_before_bytes_are_taken() {
    on_every_form(|form, db| async move {
        let settings = IngestSettings { quota_bytes: 100, max_open_uploads: 2, ..settings() };
        let house = House::open_in(form, db, settings).await;
        let people = house.people.clone();
        let create = async |lesson, length: &str| {
            let headers = [("Upload-Length", length), ("Upload-Metadata", &metadata(lesson, b"a.mp4"))];
            house.owner("POST", "/uploads", &headers, b"").await
        };
        assert_eq!(create(people.lesson, "101").await.code(), "quota_exceeded");
        let first = create(people.lesson, "60").await;
        assert_eq!(first.status, 201);
        assert_eq!(create(people.second_lesson, "41").await.code(), "quota_exceeded");
        assert_eq!(create(people.second_lesson, "40").await.status, 201);
        let refused = create(people.second_lesson, "0").await;
        assert_eq!((refused.status, refused.code().as_str()), (429, "too_many_uploads"));
        assert!(refused.number("retry-after") > 0);
        // An upload that ends gives its bytes and its place back.
        let path = first.header("location").unwrap();
        assert_eq!(house.owner("DELETE", path, &[], b"").await.status, 204);
        assert_eq!(create(people.lesson, "61").await.code(), "quota_exceeded");
        assert_eq!(create(people.lesson, "60").await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn two_creations_at_once_do_not_share_what_is_left_of_a_quota() {
    on_every_form(|form, db| async move {
        let house = House::open_in(form, db, IngestSettings { quota_bytes: 100, ..settings() }).await;
        let one = metadata(house.people.lesson, b"a.mp4");
        let two = metadata(house.people.second_lesson, b"a.mp4");
        let one = [("Upload-Length", "60"), ("Upload-Metadata", one.as_str())];
        let two = [("Upload-Length", "60"), ("Upload-Metadata", two.as_str())];
        let (one, two) = tokio::join!(
            house.owner("POST", "/uploads", &one, b""),
            house.owner("POST", "/uploads", &two, b""),
        );
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 413]);
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_is_told_before_bytes_are_taken() {
    on_every_form(|form, db| async move {
        let house = House::open_in(form, db, IngestSettings { min_free_bytes: u64::MAX, ..settings() }).await;
        let headers = [("Upload-Length", "1"), ("Upload-Metadata", &house.metadata("a.mp4"))];
        let answer = house.owner("POST", "/uploads", &headers, b"").await;
        match form {
            Form::File => {
                assert_eq!((answer.status, answer.code().as_str()), (507, "insufficient_storage"));
            }
            // Nothing of it is kept on this disk.
            Form::Parts => {
                assert_eq!(answer.status, 201);
                assert_eq!(house.patch(answer.header("location").unwrap(), 0, b"a").await.status, 204);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn termination_leaves_nothing() {
    on_every_form(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let (path, asset) = house.create(10).await;
        house.patch(&path, 0, b"abc").await;
        assert_eq!(house.owner("DELETE", &path, &[], b"").await.status, 204);
        assert!(!house.has_bytes(&path).await);
        assert_eq!(asset_state(&house.db, asset).await, "deleted");
        assert_eq!(house.owner("HEAD", &path, &[], b"").await.status, 410);
        assert_eq!(house.patch(&path, 3, b"d").await.code(), "upload_gone");
        assert_eq!(house.owner("DELETE", &path, &[], b"").await.code(), "upload_gone");
    })
    .await;
}

#[tokio::test]
async fn uploads_nobody_goes_on_with_expire() {
    on_every_form(|form, db| async move {
        let day = Duration::from_hours(24);
        let house = House::open_in(form, db, IngestSettings { expires_after: 7 * day, ..settings() }).await;
        let (path, asset) = house.create(10).await;
        let first = house.owner("HEAD", &path, &[], b"").await.header("upload-expires").unwrap().to_owned();
        house.clock.advance(6 * day);
        // Bytes put it off.
        let later = house.patch(&path, 0, b"abc").await.header("upload-expires").unwrap().to_owned();
        assert_ne!(first, later);
        house.clock.advance(6 * day);
        assert_eq!(sweep(&house.state).await.unwrap().expired, 0);
        assert_eq!(house.offset(&path).await, 3);
        house.clock.advance(day);
        // Over at its time, whether or not a sweep has run.
        assert_eq!(house.owner("HEAD", &path, &[], b"").await.status, 410);
        assert_eq!(sweep(&house.state).await.unwrap().expired, 1);
        assert!(!house.has_bytes(&path).await);
        assert_eq!(asset_state(&house.db, asset).await, "deleted");
        assert_eq!(house.patch(&path, 3, b"d").await.code(), "upload_gone");
        assert_eq!(sweep(&house.state).await.unwrap(), lectern_ingest::Swept::default());
    })
    .await;
}

#[tokio::test]
async fn a_newer_upload_for_the_lesson_ends_the_one_before() {
    on_every_form(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let (old, _) = house.create(10).await;
        house.patch(&old, 0, b"abc").await;
        let (new, asset) = house.create(3).await;
        assert_eq!(house.patch(&old, 3, b"d").await.code(), "upload_gone");
        assert_eq!(sweep(&house.state).await.unwrap().terminated, 1);
        assert!(!house.has_bytes(&old).await);
        assert_eq!(house.patch(&new, 0, b"xyz").await.status, 204);
        house.assert_finished(&new, asset, b"xyz").await;
    })
    .await;
}
