//! Where learners are in their lessons.

use lectern_domain::account::Role;
use lectern_store::testing::on_both_engines;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Server;

#[tokio::test]
async fn positions_are_kept_and_completed_stays_until_it_is_taken_back() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let learner = server.person(Role::Student).await;
        let course = server.course(&owner, true).await;
        let lesson = server.lesson(&owner, course, true).await;
        server.enroll(&learner, course).await;
        let path = format!("/api/v1/progress/{lesson}");
        let put = async |body: Value| server.send(Method::PUT, &path, Some(&learner.token), Some(body)).await;

        let none = server.get(&path, Some(&learner)).await.expect(200);
        assert_eq!((none.body["position_ms"].as_u64(), none.body["updated_at"].as_str()), (Some(0), None));
        for (body, position, completed) in [
            (json!({ "position_ms": 1_500 }), 1_500, false),
            (json!({ "position_ms": -5 }), 0, false),
            (json!({ "position_ms": i64::MAX }), 86_400_000, false),
            (json!({ "position_ms": 9_000, "completed": true }), 9_000, true),
            (json!({ "position_ms": 10 }), 10, true),
            (json!({ "position_ms": 15, "completed": false }), 15, false),
            (json!({ "position_ms": 20 }), 20, false),
        ] {
            let answer = put(body.clone()).await.expect(200);
            assert_eq!(answer.body["position_ms"], position, "{body}");
            assert_eq!(answer.body["completed"], completed, "{body}");
            assert_eq!(answer.body["course_id"], course.to_string());
            assert_eq!(server.get(&path, Some(&learner)).await.body, answer.body);
        }
        for bad in [
            json!({}),
            json!({ "position_ms": 1.5 }),
            json!({ "position_ms": "1" }),
            json!({ "position_ms": null }),
            json!({ "position_ms": 1, "completed": "yes" }),
        ] {
            put(bad).await.expect_code(400, "invalid_request");
        }
        let list =
            server.get(&format!("/api/v1/users/{}/progress", learner.id), Some(&learner)).await.expect(200);
        assert_eq!(list.body["items"].as_array().unwrap().len(), 1);
        assert_eq!(list.body["items"][0]["position_ms"], 20);

        server.delete(&format!("/api/v1/enrollments/{course}"), &learner).await.expect(204);
        put(json!({ "position_ms": 1 })).await.expect_code(403, "not_enrolled");
        // Each has their own.
        let own =
            server.send(Method::PUT, &path, Some(&owner.token), Some(json!({ "position_ms": 7 }))).await;
        assert_eq!(own.expect(200).body["completed"], false);
    })
    .await;
}
