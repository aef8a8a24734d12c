//! Assets: who sees what of them, following their changes, trying again.

use std::time::Duration;

use lectern_domain::{account::Role, failure::FailureCode};
use lectern_store::testing::on_both_engines;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{Person, Server};

const PATIENCE: Duration = Duration::from_secs(10);

struct Events {
    response: reqwest::Response,
    buffer: String,
}

impl Events {
    async fn open(server: &Server, path: &str, person: &Person) -> Self {
        let url = format!("{}{path}/events", server.base);
        let response = server.client.get(url).bearer_auth(&person.token).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: String::new() }
    }

    /// The next event's data; `None` when the stream ended.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let event: String = self.buffer.drain(..end + 2).collect();
                let data = event
                    .strip_prefix("event: asset\ndata: ")
                    .map(|data| serde_json::from_str(data).unwrap());
                match data {
                    Some(data) => return Some(data),
                    // A comment that keeps the connection alive.
                    None => continue,
                }
            }
            let chunk =
                timeout(PATIENCE, self.response.chunk()).await.expect("an event or the end").unwrap()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn an_asset_is_followed_until_it_failed_and_again_after_a_retry() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let course = server.course(&owner, true).await;
        let lesson = server.lesson(&owner, course, true).await;
        let asset = server.asset(&owner, lesson).await;
        let path = format!("/api/v1/assets/{asset}");
        server
            .send(Method::POST, &format!("{path}/retry"), Some(&owner.token), None)
            .await
            .expect_code(409, "not_retryable");

        let mut events = Events::open(&server, &path, &owner).await;
        let first = events.next().await.unwrap();
        assert_eq!(first["state"], "awaiting_upload");
        assert_eq!(first, server.get(&path, Some(&owner)).await.body, "the same JSON");
        server.upload_finished(asset).await;
        server.news.changed(asset);
        assert_eq!(events.next().await.unwrap()["state"], "probing");
        // Without news (another process did it) it is noticed, only later.
        server.fail(asset, FailureCode::Internal).await;
        let last = events.next().await.unwrap();
        assert_eq!(last["state"], "failed");
        assert_eq!(last["failure"]["code"], "internal");
        assert_eq!(last["failure"]["retryable"], true);
        assert_eq!(events.next().await, None, "ends after a final state");

        let retried =
            server.send(Method::POST, &format!("{path}/retry"), Some(&owner.token), None).await.expect(202);
        assert_eq!(retried.body["state"], "probing");
        assert_eq!(retried.body.get("failure"), None);
        server.fail(asset, FailureCode::SourceNotMedia).await;
        assert_eq!(server.get(&path, Some(&owner)).await.body["failure"]["retryable"], false);
        server
            .send(Method::POST, &format!("{path}/retry"), Some(&owner.token), None)
            .await
            .expect_code(409, "not_retryable");
        let mut events = Events::open(&server, &path, &owner).await;
        assert_eq!(events.next().await.unwrap()["state"], "failed");
        assert_eq!(events.next().await, None);
    })
    .await;
}

#[tokio::test]
async fn streams_end_when_the_caller_may_no_longer_see_or_the_server_stops() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let learner = server.person(Role::Student).await;
        let course = server.course(&owner, true).await;
        let lesson = server.lesson(&owner, course, true).await;
        let asset = server.asset(&owner, lesson).await;
        let path = format!("/api/v1/assets/{asset}");
        let mut learners = Events::open(&server, &path, &learner).await;
        let mut owners = Events::open(&server, &path, &owner).await;
        learners.next().await.unwrap();
        owners.next().await.unwrap();
        let change = serde_json::json!({ "published_status": "draft" });
        server.patch(&format!("/api/v1/courses/{course}"), &owner, change).await.expect(200);
        server.news.changed(asset);
        assert_eq!(learners.next().await, None);
        server.shutdown.begin();
        assert_eq!(owners.next().await, None);
    })
    .await;
}

#[tokio::test]
async fn learners_see_the_asset_of_a_lesson_without_what_is_the_instructors() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let learner = server.person(Role::Student).await;
        let course = server.course(&owner, true).await;
        let lesson = server.lesson(&owner, course, true).await;
        let asset = server.failed_asset(&owner, lesson, FailureCode::SourceEmpty).await;
        let path = format!("/api/v1/assets/{asset}");
        let full = server.get(&path, Some(&owner)).await.expect(200);
        assert_eq!(full.body["filename"], "lecture.mp4");
        assert_eq!(full.body["source_bytes"], 1_000);
        assert_eq!(full.body["lesson_id"], lesson.to_string());
        assert_eq!(full.body["renditions"], serde_json::json!([]));
        let seen = server.get(&path, Some(&learner)).await.expect(200);
        assert_eq!(seen.body["state"], "failed");
        assert_eq!(seen.body["filename"], Value::Null);
        assert_eq!(seen.body["source_bytes"], Value::Null);
        assert_eq!(seen.body.get("failure"), None);
        assert!(!full.body.to_string().contains("secret"));
        let reason = full.body["failure"]["message"].as_str().unwrap();

        // Nor anywhere else that shows something of the asset, enrolled or not.
        let enrolled = server.person(Role::Student).await;
        server.enroll(&enrolled, course).await;
        for person in [&learner, &enrolled] {
            let lessons = format!("/api/v1/courses/{course}/lessons");
            let mut texts = vec![
                server.get(&path, Some(person)).await.expect(200).body,
                server.get(&format!("/api/v1/lessons/{lesson}"), Some(person)).await.expect(200).body,
                server.get(&lessons, Some(person)).await.expect(200).body,
            ];
            texts.extend(Events::open(&server, &path, person).await.next().await);
            assert_eq!(texts.len(), 4);
            for text in texts.iter().map(Value::to_string) {
                assert!(text.contains(&asset.to_string()), "{text}");
                for private in ["lecture.mp4", "1000", "source_empty", reason] {
                    assert!(!text.contains(private), "{private:?} in {text}");
                }
            }
        }

        // An admin uploaded it: who teaches the course is still in charge.
        let admin = server.person(Role::Admin).await;
        let lesson = server.lesson(&owner, course, false).await;
        let asset = server.asset(&admin, lesson).await;
        let path = format!("/api/v1/assets/{asset}");
        assert_eq!(server.get(&path, Some(&owner)).await.expect(200).body["filename"], "lecture.mp4");
        server.get(&path, Some(&learner)).await.expect(404);
        server.delete(&path, &owner).await.expect(204);
        server.delete(&path, &owner).await.expect(204);
        assert_eq!(server.get(&path, Some(&owner)).await.body["state"], "deleted");
    })
    .await;
}

#[tokio::test]
async fn points_can_be_set_until_the_source_is_examined_and_after_it_failed() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let learner = server.person(Role::Student).await;
        let course = server.course(&owner, true).await;
        let lesson = server.lesson(&owner, course, true).await;
        let asset = server.asset(&owner, lesson).await;
        let path = format!("/api/v1/assets/{asset}");
        let set = async |points: Value| {
            server.send(Method::PUT, &format!("{path}/trim"), Some(&owner.token), Some(points)).await
        };

        assert_eq!(server.get(&path, Some(&owner)).await.body.get("trim"), None);
        let both = json!({ "in_ms": 240_000, "out_ms": 3_840_000 });
        assert_eq!(set(both.clone()).await.expect(200).body["trim"], both);
        assert_eq!(server.get(&path, Some(&owner)).await.body["trim"], both);
        assert_eq!(server.get(&path, Some(&learner)).await.expect(200).body.get("trim"), None);
        for (points, says) in [
            (json!({ "in_ms": -1 }), "in_ms"),
            (json!({ "in_ms": 1.5 }), "in_ms"),
            (json!({ "out_ms": "4:00" }), "out_ms"),
            (
                json!({ "in_ms": 5_000, "out_ms": 4_000 }),
                "out_ms: expected at least 1000 ms after the in point",
            ),
            (json!({ "in_ms": 5_000, "out_ms": 5_999 }), "which is at 5000 ms, got 5999"),
            (
                json!({ "in_ms": 604_800_001 }),
                "in_ms: expected whole milliseconds of the source from 0 to 604800000",
            ),
            (json!({ "from_ms": 5 }), "from_ms"),
        ] {
            let answer = set(points.clone()).await.expect_code(400, "invalid_request");
            let detail = answer.body["detail"].as_str().unwrap();
            assert!(detail.contains(says), "{points}: {detail}");
        }
        assert_eq!(
            server.get(&path, Some(&owner)).await.body["trim"],
            both,
            "what is refused changes nothing"
        );
        assert_eq!(set(json!({})).await.expect(200).body.get("trim"), None);

        set(json!({ "in_ms": 7 })).await.expect(200);
        server.upload_finished(asset).await;
        set(json!({ "in_ms": 8 })).await.expect_code(409, "trim_too_late");
        let same = set(json!({ "in_ms": 7 })).await.expect(200);
        assert_eq!(same.body["trim"], json!({ "in_ms": 7, "out_ms": null }), "said again");

        // The in point was after the end: another one, another try.
        server.fail(asset, FailureCode::TrimOutsideSource).await;
        set(json!({ "in_ms": 8 })).await.expect(200);
        server.send(Method::POST, &format!("{path}/retry"), Some(&owner.token), None).await.expect(202);
        set(json!({ "in_ms": 9 })).await.expect_code(409, "trim_too_late");
        server.fail(asset, FailureCode::SourceNotMedia).await;
        set(json!({ "in_ms": 9 })).await.expect_code(409, "trim_too_late");
        assert_eq!(server.get(&path, Some(&owner)).await.body["trim"]["in_ms"], 8);
        server.delete(&path, &owner).await.expect(204);
        set(json!({ "in_ms": 9 })).await.expect(404);
    })
    .await;
}
