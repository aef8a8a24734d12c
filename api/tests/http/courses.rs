//! Courses, lessons and enrollments as their users live through them.

use std::collections::BTreeSet;

use lectern_domain::{account::Role, asset::AssetState, ids::AssetId, job::JobKind};
use lectern_store::{assets, jobs, testing::on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, Server};

#[tokio::test]
async fn a_course_is_drafted_published_and_changed() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let body = json!({
            "title": "  Optics  ", "description": "Light.\nAnd lenses.",
            "price": { "amount_minor": 4_900, "currency": "EUR" },
        });
        let made = server.post("/api/v1/courses", Some(&owner), body).await.expect(201);
        let path = made.header("location").to_owned();
        assert_eq!(made.body["title"], "Optics");
        assert_eq!(made.body["published_status"], "draft");
        assert_eq!(made.body["price"], json!({ "amount_minor": 4_900, "currency": "EUR" }));
        assert_eq!(made.body["owner"], json!({ "id": owner.id.to_string(), "name": "A instructor" }));
        assert_eq!(made.body["enrolled"], false);
        assert_eq!(made.body["lesson_count"], 0);
        let read = server.get(&path, Some(&owner)).await.expect(200);
        assert_eq!(read.body, made.body);
        assert_eq!(read.header("etag"), made.header("etag"));

        server.clock.advance(std::time::Duration::from_secs(1));
        let changed =
            server.patch(&path, &owner, json!({ "published_status": "published" })).await.expect(200);
        assert_eq!(changed.body["title"], "Optics", "what is not named stays");
        assert_ne!(changed.header("etag"), made.header("etag"));
        assert_ne!(changed.body["updated_at"], made.body["updated_at"]);
        server.get(&path, None).await.expect(200);
        let free = server.post("/api/v1/courses", Some(&owner), json!({ "title": "x" })).await.expect(201);
        assert_eq!(free.body["price"]["amount_minor"], 0);
    })
    .await;
}

async fn patch_if_match(server: &Server, path: &str, person: &Person, tag: &str, body: &Value) -> Answer {
    let request = server
        .client
        .patch(format!("{}{path}", server.base))
        .bearer_auth(&person.token)
        .header("if-match", tag)
        .json(body);
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn an_edit_of_something_changed_meanwhile_is_refused() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let course = server.course(&owner, true).await;
        let lesson = server.lesson(&owner, course, true).await;
        for path in [format!("/api/v1/courses/{course}"), format!("/api/v1/lessons/{lesson}")] {
            let tag = server.get(&path, Some(&owner)).await.header("etag").to_owned();
            let edit = json!({ "title": "First" });
            let first = patch_if_match(&server, &path, &owner, &tag, &edit).await.expect(200);
            patch_if_match(&server, &path, &owner, &tag, &edit).await.expect_code(412, "precondition_failed");
            patch_if_match(&server, &path, &owner, "nonsense", &edit).await.expect(412);
            patch_if_match(&server, &path, &owner, "*", &edit).await.expect(200);
            let now = server.get(&path, Some(&owner)).await.header("etag").to_owned();
            assert_ne!(now, first.header("etag"));

            // Many at once with the same tag: one gets through.
            let edits = (0..8).map(|_| patch_if_match(&server, &path, &owner, &now, &edit));
            let answers = futures::future::join_all(edits).await;
            assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
            assert!(answers.iter().all(|answer| answer.status == 200 || answer.status == 412));
        }
    })
    .await;
}

async fn walk(server: &Server, query: &str, person: Option<&Person>) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/api/v1/courses?{query}{cursor}"), person).await.expect(200);
        ids.extend(
            page.body["items"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap().to_owned()),
        );
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
        assert!(ids.len() < 1_000, "the walk ends");
    }
}

#[tokio::test]
async fn lists_are_walked_newest_first_without_gaps() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let other = server.person(Role::Instructor).await;
        let admin = server.person(Role::Admin).await;
        let student = server.person(Role::Student).await;
        let (mut published, mut drafts) = (Vec::new(), Vec::new());
        for n in 0..23 {
            if n % 4 == 3 {
                drafts.push(server.course(&owner, false).await.to_string());
            } else {
                published.push(server.course(&owner, true).await.to_string());
            }
        }
        published.reverse();
        let everything: BTreeSet<_> = published.iter().chain(&drafts).cloned().collect();
        for limit in [1, 5, 18, 19, 100] {
            let query = format!("limit={limit}");
            assert_eq!(walk(&server, &query, None).await, published, "limit {limit}");
            assert_eq!(walk(&server, &query, Some(&other)).await, published);
            for staff in [&owner, &admin] {
                let seen = walk(&server, &query, Some(staff)).await;
                assert_eq!(seen.len(), 23);
                assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), everything);
            }
        }
        // A course that appears during the walk moves nothing.
        let first = server.get("/api/v1/courses?limit=5", None).await;
        server.course(&other, true).await;
        let next = format!("/api/v1/courses?limit=5&cursor={}", first.text("next_cursor"));
        assert_eq!(server.get(&next, None).await.body["items"][0]["id"], published[5].as_str());

        let taken = &published[2];
        server.enroll(&student, taken.parse().unwrap()).await;
        assert_eq!(walk(&server, "mine=true", Some(&student)).await, std::slice::from_ref(taken));
        assert_eq!(walk(&server, "mine=true", Some(&owner)).await.len(), 23);
        assert_eq!(walk(&server, "mine=true", Some(&other)).await.len(), 1);
        assert!(walk(&server, "mine=true", Some(&admin)).await.is_empty());
        server.get("/api/v1/courses?mine=true", None).await.expect(401);
        for query in [
            "limit=0",
            "limit=101",
            "limit=-1",
            "limit=x",
            "cursor=x",
            "mine=2",
            "cursor=%00",
            "limit=1&limit=2",
        ] {
            server.get(&format!("/api/v1/courses?{query}"), None).await.expect_code(400, "invalid_request");
        }
    })
    .await;
}

#[tokio::test]
async fn lessons_have_an_order_and_drafts_are_hidden() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let course = server.course(&owner, true).await;
        let lessons = format!("/api/v1/courses/{course}/lessons");
        for (title, order, status) in [
            ("a", None, "published"),
            ("b", None, "draft"),
            ("c", Some(0), "published"),
            ("d", None, "published"),
        ] {
            let mut body =
                json!({ "title": title, "type": "text", "published_status": status, "body": "Text." });
            if let Some(order) = order {
                body["order_index"] = order.into();
            }
            server.post(&lessons, Some(&owner), body).await.expect(201);
        }
        let titles = |answer: &Answer| -> String {
            answer.body["items"].as_array().unwrap().iter().map(|l| l["title"].as_str().unwrap()).collect()
        };
        let all = server.get(&lessons, Some(&owner)).await.expect(200);
        assert!(["acbd", "cabd"].contains(&titles(&all).as_str()), "{}", titles(&all));
        assert_eq!(all.body["items"][3]["order_index"], 2);
        let seen = server.get(&lessons, None).await.expect(200);
        assert_eq!(seen.body["items"].as_array().unwrap().len(), 3);
        let path = format!("/api/v1/courses/{course}");
        assert_eq!(server.get(&path, None).await.body["lesson_count"], 3);
        assert_eq!(server.get(&path, Some(&owner)).await.body["lesson_count"], 4);

        let draft = all.body["items"][2]["id"].as_str().unwrap();
        let draft = format!("/api/v1/lessons/{draft}");
        server.get(&draft, None).await.expect(404);
        server
            .patch(&draft, &owner, json!({ "published_status": "published", "order_index": 7 }))
            .await
            .expect(200);
        let seen = server.get(&draft, None).await.expect(200);
        assert_eq!((seen.body["order_index"].as_i64(), seen.body["body"].as_str()), (Some(7), Some("Text.")));
        assert_eq!(seen.body["asset_id"], Value::Null);
        assert_eq!(titles(&server.get(&lessons, None).await).chars().last(), Some('b'));

        for (field, value) in [
            ("title", json!("")),
            ("title", json!("x".repeat(201))),
            ("order_index", json!(-1)),
            ("order_index", json!(1.5)),
            ("order_index", json!(9_007_199_254_740_993_i64)),
            ("body", json!("x".repeat(200_001))),
            ("body", json!("a\u{0}b")),
            ("published_status", json!("hidden")),
            ("asset_id", json!("ast_1")),
            ("asset_id", json!("ast_018f2f3a5c7b7cc3a1b2c3d4e5f60718")),
            ("type", json!("text")),
        ] {
            let answer = server.patch(&draft, &owner, json!({ field: value })).await;
            assert!(answer.expect_code(400, "invalid_request").text("detail").contains(field));
        }
        server.patch(&draft, &owner, json!({ "body": "ä".repeat(200_000) })).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn lessons_made_at_once_get_different_places() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let course = server.course(&owner, true).await;
        futures::future::join_all((0..10).map(|_| server.lesson(&owner, course, true))).await;
        let list = server.get(&format!("/api/v1/courses/{course}/lessons"), None).await;
        let places: Vec<_> = list.body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| l["order_index"].as_i64().unwrap())
            .collect();
        assert_eq!(places, (0..10).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn a_learner_enrolls_leaves_and_comes_back() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let learner = server.person(Role::Student).await;
        let course = server.course(&owner, true).await;
        let (path, door) = (format!("/api/v1/courses/{course}"), format!("/api/v1/enrollments/{course}"));
        let enrolled = async || server.get(&path, Some(&learner)).await.body["enrolled"].as_bool().unwrap();

        let first = server.send(Method::POST, &door, Some(&learner.token), None).await.expect(201);
        assert_eq!(first.body["course_id"], course.to_string());
        assert_eq!(first.body["user_id"], learner.id.to_string());
        server.clock.advance(std::time::Duration::from_mins(1));
        let again = server.send(Method::POST, &door, Some(&learner.token), None).await.expect(200);
        assert_eq!(again.body, first.body);
        assert!(enrolled().await);
        server.delete(&door, &learner).await.expect(204);
        assert!(!enrolled().await);
        server.delete(&door, &learner).await.expect(404);
        let back = server.send(Method::POST, &door, Some(&learner.token), None).await.expect(201);
        assert_ne!(back.body["enrolled_at"], first.body["enrolled_at"]);
        assert!(enrolled().await);

        // Many times at once is once.
        let other = server.person(Role::Student).await;
        let tries = (0..8).map(|_| server.send(Method::POST, &door, Some(&other.token), None));
        let answers = futures::future::join_all(tries).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 7);
    })
    .await;
}

async fn is_being_deleted(server: &Server, asset: AssetId) -> bool {
    let found = assets::find(&server.db, asset).await.unwrap().unwrap();
    let queued = jobs::of_asset(&server.db, asset).await.unwrap();
    found.state == AssetState::Deleted
        && found.wrapped_secret.is_none()
        && queued.iter().any(|job| job.payload.kind() == JobKind::DeleteAsset)
}

#[tokio::test]
async fn what_is_deleted_or_replaced_takes_its_assets_along() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let learner = server.person(Role::Student).await;
        let course = server.course(&owner, true).await;
        server.enroll(&learner, course).await;
        let mut assets = Vec::new();
        let mut lessons = Vec::new();
        for _ in 0..4 {
            let lesson = server.lesson(&owner, course, true).await;
            assets.push(server.asset(&owner, lesson).await);
            lessons.push(format!("/api/v1/lessons/{lesson}"));
        }
        let shown = server.get(&lessons[0], Some(&learner)).await;
        assert_eq!(shown.body["asset_id"], assets[0].to_string());
        assert_eq!(shown.body["asset"]["state"], "awaiting_upload");
        assert_eq!(shown.body["asset"]["progress"], 0.0);

        // Replaced: the lesson can go without, but never take another lesson's.
        let another = json!({ "asset_id": assets[1].to_string() });
        server.patch(&lessons[0], &owner, another).await.expect_code(400, "invalid_request");
        assert!(!is_being_deleted(&server, assets[0]).await, "a refused edit changes nothing");
        server.patch(&lessons[0], &owner, json!({ "asset_id": assets[0].to_string() })).await.expect(200);
        assert!(!is_being_deleted(&server, assets[0]).await);
        let gone = server.patch(&lessons[0], &owner, json!({ "asset_id": null })).await.expect(200);
        assert_eq!(gone.body["asset_id"], Value::Null);
        assert!(is_being_deleted(&server, assets[0]).await);
        server.patch(&lessons[0], &owner, json!({ "asset_id": assets[0].to_string() })).await.expect(400);

        server.delete(&format!("/api/v1/assets/{}", assets[1]), &owner).await.expect(204);
        assert!(is_being_deleted(&server, assets[1]).await);
        assert_eq!(server.get(&lessons[1], Some(&owner)).await.body["asset_id"], Value::Null);

        server.delete(&lessons[2], &owner).await.expect(204);
        server.delete(&lessons[2], &owner).await.expect(404);
        assert!(is_being_deleted(&server, assets[2]).await);

        let path = format!("/api/v1/courses/{course}");
        server.delete(&path, &owner).await.expect(204);
        server.get(&path, Some(&owner)).await.expect(404);
        server.get(&lessons[3], Some(&owner)).await.expect(404);
        assert!(is_being_deleted(&server, assets[3]).await);
        assert!(walk(&server, "mine=true", Some(&learner)).await.is_empty());
    })
    .await;
}
