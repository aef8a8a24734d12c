//! The real program with its objects in a bucket whose events come over SQS: a file that a browser sent there by itself,
//! and of which nobody tells the program but the bucket, becomes a lesson.

mod harness;

use std::time::{Duration, Instant};

use harness::{Server, course_and_lesson, draw, person, settled};
use lectern_platform::{
    objects::{Completion, Multipart as _},
    testing::s3::S3Service,
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_buckets_event_alone_makes_a_lesson() {
    let folder = tempfile::tempdir().unwrap();
    let service = S3Service::moto();
    let bucket = service.make_bucket().await;
    let events = service.make_events_queue(&bucket).await;
    let settings = [
        ("LECTERN__OBJECTS__URL", service.url(&bucket, "")),
        ("LECTERN__UPLOADS__S3_EVENTS_URL", events.clone()),
        ("LECTERN__LOG__FILTER", "info,lectern=debug,lectern_ingest=debug,lectern_platform=debug".to_owned()),
    ];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut server = Server::start(folder.path(), &settings).await;
    let instructor = person(&server, "ada", "instructor").await;
    let (_, lesson) = course_and_lesson(&instructor).await;
    let file = draw::clip(folder.path(), "Lecture.mp4", "320x180", 5);
    let bytes = std::fs::read(&file).unwrap();

    let creation = json!({"filename": "Lecture.mp4", "size": bytes.len(), "metadata": {"lesson_id": lesson}});
    let created = instructor.post("/api/v1/uploads/s3-multipart", creation).await.unwrap();
    let (upload, asset) = (created["uploadId"].as_str().unwrap(), created["asset_id"].as_str().unwrap());
    let signed = instructor.get(&format!("/api/v1/uploads/s3-multipart/{upload}/1")).await.unwrap();
    let url = signed["url"].as_str().unwrap();
    let sent = reqwest::Client::new().put(url).body(bytes).send().await.unwrap();
    assert_eq!(sent.status(), 200);

    // Joined by somebody who does not tell.
    let objects = service.open(&bucket).await.unwrap();
    let open = objects.open_multiparts(None).await.unwrap().remove(0);
    let parts = objects.parts(&open.key, &open.id).await.unwrap().unwrap();
    assert_eq!(objects.complete(&open.key, &open.id, &parts).await.unwrap(), Completion::Done);
    let told = Instant::now();
    let asked = async || instructor.get(&format!("/api/v1/assets/{asset}")).await.unwrap()["state"].clone();
    while matches!(asked().await.as_str(), Some("awaiting_upload" | "uploading")) {
        // The sweep looks only once a minute.
        assert!(
            told.elapsed() < Duration::from_secs(20),
            "the event was not heard; the log:\n{}",
            server.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let settled = settled(&instructor, asset, Duration::from_mins(2)).await;
    assert_eq!(settled["state"], "ready", "{settled}");
    assert_eq!(service.messages(&events).await, 0, "every event was dealt with");

    // A presigned URL is as good as a key: it must not be in any log.
    let log = server.log();
    let secret = url.split("X-Amz-Signature=").nth(1).unwrap().split('&').next().unwrap();
    assert!(!log.contains(secret) && !log.contains("X-Amz-Signature"), "{log}");
    assert!(server.stop().success());
}
