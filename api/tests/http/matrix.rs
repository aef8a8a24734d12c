//! Every route × {nobody, student, enrolled student, other instructor, owner, admin} × {published, draft}.

use std::collections::BTreeSet;

use lectern_api::route_list;
use lectern_domain::{
    account::Role,
    failure::FailureCode,
    ids::{AssetId, CourseId, JobId, LessonId},
};
use lectern_store::{jobs, testing::on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CAPTIONS, PASSWORD, Person, Server};

/// In the order of the callers: nobody, student, enrolled student, other instructor, owner, admin.
type Expected = [u16; 6];

#[derive(Clone, Copy, PartialEq, Debug)]
enum Body {
    None,
    Registration,
    Login,
    RefreshToken,
    Course,
    Lesson,
    Title,
    Progress,
    Drain,
    Captions,
    Chapters,
    Points,
}

struct Row {
    method: &'static str,
    path: &'static str,
    body: Body,
    published: Expected,
    draft: Expected,
}

const fn row(
    method: &'static str,
    path: &'static str,
    body: Body,
    published: Expected,
    draft: Expected,
) -> Row {
    Row { method, path, body, published, draft }
}

/// The same whether the course is published or not.
const fn same(method: &'static str, path: &'static str, body: Body, expected: Expected) -> Row {
    row(method, path, body, expected, expected)
}

const TABLE: &[Row] = &[
    same("GET", "/.well-known/jwks.json", Body::None, [200; 6]),
    same("POST", "/api/v1/auth/register", Body::Registration, [201; 6]),
    same("POST", "/api/v1/auth/login", Body::Login, [200; 6]),
    same("POST", "/api/v1/auth/refresh", Body::RefreshToken, [200; 6]),
    same("POST", "/api/v1/auth/logout", Body::RefreshToken, [204; 6]),
    same("GET", "/api/v1/auth/me", Body::None, [401, 200, 200, 200, 200, 200]),
    same("GET", "/api/v1/courses", Body::None, [200; 6]),
    same("POST", "/api/v1/courses", Body::Course, [401, 403, 403, 201, 201, 201]),
    row("GET", "/api/v1/courses/{course_id}", Body::None, [200; 6], [404, 404, 404, 404, 200, 200]),
    row("PATCH", "/api/v1/courses/{course_id}", Body::Title, [401, 403, 403, 403, 200, 200], HIDDEN_200),
    row("DELETE", "/api/v1/courses/{course_id}", Body::None, [401, 403, 403, 403, 204, 204], HIDDEN_204),
    row("GET", "/api/v1/courses/{course_id}/lessons", Body::None, [200; 6], [404, 404, 404, 404, 200, 200]),
    row(
        "POST",
        "/api/v1/courses/{course_id}/lessons",
        Body::Lesson,
        [401, 403, 403, 403, 201, 201],
        [401, 404, 404, 404, 201, 201],
    ),
    row("GET", "/api/v1/lessons/{lesson_id}", Body::None, [200; 6], [404, 404, 404, 404, 200, 200]),
    row("PATCH", "/api/v1/lessons/{lesson_id}", Body::Title, [401, 403, 403, 403, 200, 200], HIDDEN_200),
    row("DELETE", "/api/v1/lessons/{lesson_id}", Body::None, [401, 403, 403, 403, 204, 204], HIDDEN_204),
    row(
        "POST",
        "/api/v1/enrollments/{course_id}",
        Body::None,
        [401, 201, 200, 201, 201, 201],
        [401, 404, 404, 404, 409, 409],
    ),
    same("DELETE", "/api/v1/enrollments/{course_id}", Body::None, [401, 404, 204, 404, 404, 404]),
    row("PUT", "/api/v1/progress/{lesson_id}", Body::Progress, [401, 403, 200, 403, 200, 200], HIDDEN_200),
    row("GET", "/api/v1/progress/{lesson_id}", Body::None, [401, 403, 200, 403, 200, 200], HIDDEN_200),
    // The enrolled student's.
    same("GET", "/api/v1/users/{user_id}/progress", Body::None, [401, 403, 200, 403, 403, 200]),
    row("GET", "/api/v1/assets/{asset_id}", Body::None, [401, 200, 200, 200, 200, 200], HIDDEN_200),
    row("GET", "/api/v1/assets/{asset_id}/events", Body::None, [401, 200, 200, 200, 200, 200], HIDDEN_200),
    row(
        "POST",
        "/api/v1/assets/{asset_id}/retry",
        Body::None,
        [401, 403, 403, 403, 202, 202],
        [401, 404, 404, 404, 202, 202],
    ),
    row("PUT", "/api/v1/assets/{asset_id}/trim", Body::Points, [401, 403, 403, 403, 200, 200], HIDDEN_200),
    row("DELETE", "/api/v1/assets/{asset_id}", Body::None, [401, 403, 403, 403, 204, 204], HIDDEN_204),
    row("GET", "/api/v1/assets/{asset_id}/captions", Body::None, [401, 200, 200, 200, 200, 200], HIDDEN_200),
    // Those of the world are in German.
    row(
        "GET",
        "/api/v1/assets/{asset_id}/captions/{language}",
        Body::None,
        [401, 403, 403, 403, 200, 200],
        HIDDEN_200,
    ),
    row(
        "PUT",
        "/api/v1/assets/{asset_id}/captions/{language}",
        Body::Captions,
        [401, 403, 403, 403, 200, 200],
        HIDDEN_200,
    ),
    row(
        "DELETE",
        "/api/v1/assets/{asset_id}/captions/{language}",
        Body::None,
        [401, 403, 403, 403, 204, 204],
        HIDDEN_204,
    ),
    row("GET", "/api/v1/assets/{asset_id}/chapters", Body::None, [401, 200, 200, 200, 200, 200], HIDDEN_200),
    // The asset of the world has failed: there is nothing yet that could have chapters.
    row(
        "PUT",
        "/api/v1/assets/{asset_id}/chapters",
        Body::Chapters,
        [401, 403, 403, 403, 409, 409],
        [401, 404, 404, 404, 409, 409],
    ),
    same("GET", "/api/v1/admin/jobs", Body::None, ADMIN_200),
    same("GET", "/api/v1/admin/jobs/{job_id}", Body::None, ADMIN_200),
    // The failed probe of the asset.
    same("POST", "/api/v1/admin/jobs/{job_id}/retry", Body::None, [401, 403, 403, 403, 403, 202]),
    same("POST", "/api/v1/admin/jobs/{job_id}/cancel", Body::None, [401, 403, 403, 403, 403, 409]),
    same("GET", "/api/v1/admin/workers", Body::None, ADMIN_200),
    // One that is not there.
    same("POST", "/api/v1/admin/workers/{process_id}/drain", Body::Drain, [401, 403, 403, 403, 403, 404]),
];

const ADMIN_200: Expected = [401, 403, 403, 403, 403, 200];
const HIDDEN_200: Expected = [401, 404, 404, 404, 200, 200];
const HIDDEN_204: Expected = [401, 404, 404, 404, 204, 204];

#[test]
fn the_table_names_every_route_once() {
    let served: BTreeSet<String> =
        route_list().iter().map(|(method, path)| format!("{method} {path}")).collect();
    let listed: BTreeSet<String> = TABLE.iter().map(|row| format!("{} {}", row.method, row.path)).collect();
    assert_eq!(listed, served, "a route without its row here, or a row without its route");
    assert_eq!(listed.len(), TABLE.len());
}

struct People {
    callers: [Option<Person>; 6],
}

impl People {
    fn enrolled(&self) -> &Person {
        self.callers[2].as_ref().unwrap()
    }

    fn owner(&self) -> &Person {
        self.callers[4].as_ref().unwrap()
    }
}

struct World {
    course: CourseId,
    lesson: LessonId,
    asset: AssetId,
    job: JobId,
}

/// A course of the owner with one lesson, whose asset failed for a reason that may pass, and one learner.
async fn world(server: &Server, people: &People, published: bool) -> World {
    let owner = people.owner();
    let course = server.course(owner, true).await;
    server.enroll(people.enrolled(), course).await;
    let lesson = server.lesson(owner, course, true).await;
    let asset = server.failed_asset(owner, lesson, FailureCode::Internal).await;
    let path = format!("/api/v1/assets/{asset}/captions/de");
    server.send_text(Method::PUT, &path, Some(&owner.token), CAPTIONS.into()).await.expect(201);
    if !published {
        let change = json!({ "published_status": "draft" });
        server.patch(&format!("/api/v1/courses/{course}"), owner, change).await.expect(200);
    }
    let job = jobs::of_asset(&server.db, asset).await.unwrap()[0].id;
    World { course, lesson, asset, job }
}

async fn body(server: &Server, kind: Body, unique: usize) -> Option<Value> {
    let registration = |name: &str| json!({ "email": format!("{name}@example.org"), "password": PASSWORD, "name": "Somebody" });
    Some(match kind {
        Body::None | Body::Captions => return None,
        Body::Registration => registration(&format!("new-{unique}")),
        Body::Login => {
            let given = registration(&format!("login-{unique}"));
            server.post("/api/v1/auth/register", None, given.clone()).await.expect(201);
            json!({ "email": given["email"], "password": PASSWORD })
        }
        Body::RefreshToken => {
            let session = server
                .post("/api/v1/auth/register", None, registration(&format!("refresh-{unique}")))
                .await
                .expect(201);
            json!({ "refresh_token": session.text("refresh_token") })
        }
        Body::Course => json!({ "title": "Another course" }),
        Body::Lesson => json!({ "title": "Another lesson", "type": "text" }),
        Body::Title => json!({ "title": "Another title" }),
        Body::Progress => json!({ "position_ms": 1_000 }),
        Body::Drain => json!({ "drain": true }),
        Body::Points => json!({ "in_ms": 240_000, "out_ms": null }),
        Body::Chapters => json!({ "items": [{ "start_ms": 0, "title": "First" }] }),
    })
}

#[tokio::test]
async fn every_route_answers_every_caller_as_the_table_says() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let people = People {
            callers: [
                None,
                Some(server.person(Role::Student).await),
                Some(server.person(Role::Student).await),
                Some(server.person(Role::Instructor).await),
                Some(server.person(Role::Instructor).await),
                Some(server.person(Role::Admin).await),
            ],
        };
        let mut wrong = Vec::new();
        let mut unique = 0;
        for row in TABLE {
            for (published, expected) in [(true, row.published), (false, row.draft)] {
                let mut untouched = None;
                for (caller, expected) in people.callers.iter().zip(expected) {
                    unique += 1;
                    let world = match untouched.take() {
                        Some(world) => world,
                        None => world(&server, &people, published).await,
                    };
                    let path = row
                        .path
                        .replace("{course_id}", &world.course.to_string())
                        .replace("{lesson_id}", &world.lesson.to_string())
                        .replace("{asset_id}", &world.asset.to_string())
                        .replace("{job_id}", &world.job.to_string())
                        .replace("{language}", "de")
                        .replace("{process_id}", "prc_018f2f3a5c7b7cc3a1b2c3d4e5f60718")
                        .replace("{user_id}", &people.enrolled().id.to_string());
                    let token = caller.as_ref().map(|person| person.token.as_str());
                    let body = body(&server, row.body, unique).await;
                    let method: Method = row.method.parse().unwrap();
                    let answer = if row.body == Body::Captions {
                        server.send_text(method, &path, token, CAPTIONS.into()).await
                    } else {
                        server.send(method, &path, token, body).await
                    };
                    if answer.status != expected {
                        let who = people.callers.iter().position(|other| {
                            other.as_ref().map(|person| person.id) == caller.as_ref().map(|person| person.id)
                        });
                        wrong.push(format!(
                            "{} {} published={published} caller={who:?}: expected {expected}, got {answer:?}",
                            row.method, row.path
                        ));
                    } else if expected >= 400 {
                        answer.check_problem();
                    }
                    // What a call changed is not what the next one should meet.
                    untouched = (row.method == "GET" || !answer.status.is_success()).then_some(world);
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    })
    .await;
}

#[tokio::test]
async fn a_bad_token_is_refused_where_no_token_would_do() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let course = server.course(&owner, true).await;
        for token in ["nonsense", "a.b.c", &owner.token[..owner.token.len() - 2]] {
            for path in ["/api/v1/courses".to_owned(), format!("/api/v1/courses/{course}")] {
                server.send(Method::GET, &path, Some(token), None).await.expect_code(401, "unauthenticated");
            }
        }
        server.clock.advance(std::time::Duration::from_mins(15));
        server.get("/api/v1/auth/me", Some(&owner)).await.expect_code(401, "unauthenticated");
    })
    .await;
}
