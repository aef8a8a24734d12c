//! Who may play what, when: every change of the facts against every decision.

use std::time::Duration;

use lectern_domain::{
    account::Role,
    course::PublishedStatus,
    ids::{LessonId, UserId},
};
use lectern_store::{accounts, courses, enrollments, lessons, pipeline, testing::on_both_engines};
use reqwest::Method;

use crate::world::{Answer, Lecture, POSTER, World};

/// What happens between pressing play and the decisions.
#[derive(Debug, Clone, Copy)]
enum Change {
    Nothing,
    Leave,
    LeaveAndComeBack,
    /// An end that was set in advance passes.
    RunOut,
    Disable,
    DisableAndEnable,
    UnpublishCourse,
    UnpublishLesson,
    DeleteAsset,
    /// The lesson shows another asset.
    ReplaceAsset,
    DeleteLesson,
    EndSession,
}

#[derive(Debug, Clone, Copy)]
enum Who {
    Owner,
    Admin,
    Learner,
}

async fn apply(world: &World, lesson: &Lecture, user: UserId, session: (&str, &str), change: Change) {
    let (db, now) = (&world.db, world.now());
    match change {
        Change::Nothing => {}
        Change::Leave => world.leave(lesson, user, now).await,
        Change::LeaveAndComeBack => {
            world.leave(lesson, user, now).await;
            world.enroll(lesson, user, now).await;
        }
        Change::RunOut => {
            world.leave(lesson, user, now + Duration::from_mins(1)).await;
            world.clock.advance(Duration::from_mins(1));
        }
        Change::Disable => assert!(accounts::set_disabled(db, user, Some(now)).await.unwrap()),
        Change::DisableAndEnable => {
            accounts::set_disabled(db, user, Some(now)).await.unwrap();
            accounts::set_disabled(db, user, None).await.unwrap();
        }
        Change::UnpublishCourse => {
            let change =
                courses::Change { published_status: Some(PublishedStatus::Draft), ..Default::default() };
            assert!(courses::update(db, lesson.course, change, None, now).await.unwrap());
        }
        Change::UnpublishLesson => {
            let change =
                lessons::Change { published_status: Some(PublishedStatus::Draft), ..Default::default() };
            let mut tx = db.begin().await.unwrap();
            assert!(lessons::update(&mut tx, lesson.lesson, change, None, now).await.unwrap());
            tx.commit().await.unwrap();
        }
        Change::DeleteAsset => {
            let mut tx = db.begin().await.unwrap();
            assert!(pipeline::delete_asset(&mut tx, lesson.asset, now).await.unwrap());
            tx.commit().await.unwrap();
        }
        Change::ReplaceAsset => {
            let other = world.lesson().await;
            let mut tx = db.begin().await.unwrap();
            lessons::set_asset(&mut tx, lesson.lesson, Some(other.asset), now).await.unwrap();
            tx.commit().await.unwrap();
        }
        Change::DeleteLesson => {
            let mut tx = db.begin().await.unwrap();
            assert!(lessons::delete(&mut tx, lesson.lesson).await.unwrap());
            tx.commit().await.unwrap();
        }
        Change::EndSession => {
            let (id, token) = session;
            for _ in 0..2 {
                let answer = world.call(Method::DELETE, &format!("/api/v1/playback/{id}"), Some(token)).await;
                assert_eq!(answer.status, 204, "{answer:?}");
            }
        }
    }
}

fn status_of(code: &str) -> u16 {
    match code {
        "granted" => 200,
        "token_missing" | "token_invalid" | "token_expired" => 401,
        "not_found" => 404,
        _ => 403,
    }
}

/// Checks an answer and that exactly one audit row tells it.
async fn check(world: &World, action: &str, expected: &str, answer: &Answer, context: &str) {
    let code = answer.code();
    assert_eq!(code, expected, "{context} {action}: {answer:?}");
    let status = if answer.status == 201 { 200 } else { answer.status };
    assert_eq!(status, status_of(expected), "{context} {action}");
    let rows = world.new_audit().await;
    if expected == "not_found" {
        assert!(rows.is_empty(), "{context} {action}: nothing was decided");
        return;
    }
    let [row] = rows.as_slice() else { panic!("{context} {action}: one decision, one row: {rows:?}") };
    assert_eq!((row.action.as_str(), row.reason.as_str()), (action, expected), "{context}");
    assert_eq!(row.granted, expected == "granted", "{context}");
    assert_eq!(row.client, "127.0.0.1");
    // A native token names nothing but its session: without that row nobody knows whose it was.
    assert!(row.user.is_some() || expected == "session_ended", "{context} {action}: {row:?}");
}

#[tokio::test]
async fn every_change_against_every_decision() {
    on_both_engines(|db| async move {
        use Change::*;
        use Who::*;
        let world = World::new(db).await;
        // (who, change, a new session, what a running session gets for key, heartbeat, playlist and still)
        let table = [
            (Learner, Nothing, "granted", "granted"),
            (Learner, Leave, "entitlement_ended", "entitlement_ended"),
            (Learner, LeaveAndComeBack, "granted", "granted"),
            (Learner, RunOut, "entitlement_ended", "entitlement_ended"),
            (Learner, Disable, "user_disabled", "user_disabled"),
            (Learner, DisableAndEnable, "granted", "granted"),
            (Learner, UnpublishCourse, "not_published", "not_published"),
            (Learner, UnpublishLesson, "not_published", "not_published"),
            (Learner, DeleteAsset, "asset_not_playable", "asset_not_playable"),
            (Learner, ReplaceAsset, "granted", "asset_not_playable"),
            (Learner, DeleteLesson, "not_found", "session_ended"),
            (Learner, EndSession, "granted", "session_ended"),
            (Owner, Nothing, "granted", "granted"),
            (Owner, UnpublishCourse, "granted", "granted"),
            (Owner, UnpublishLesson, "granted", "granted"),
            (Owner, Disable, "user_disabled", "user_disabled"),
            (Owner, DeleteAsset, "asset_not_playable", "asset_not_playable"),
            (Owner, EndSession, "granted", "session_ended"),
            (Admin, Nothing, "granted", "granted"),
            (Admin, UnpublishCourse, "granted", "granted"),
            (Admin, DeleteAsset, "asset_not_playable", "asset_not_playable"),
        ];
        for (who, change, new, running) in table {
            let context = format!("{:?} {who:?} {change:?}", world.db.engine());
            let lesson = world.lesson().await;
            let user = match who {
                Owner => lesson.owner,
                Admin => world.user(Role::Admin).await,
                Learner => world.learner(&lesson).await,
            };
            let playing = world.play(&lesson, user).await;
            apply(&world, &lesson, user, (&playing.session, &playing.token), change).await;
            world.new_audit().await;
            let answer = world.key(lesson.video.kid, &playing.token).await;
            check(&world, "key", running, &answer, &context).await;
            assert_eq!(answer.body == lesson.key(lesson.video), running == "granted", "{context}");
            let answer = world.key(lesson.audio.kid, &playing.native_token).await;
            check(&world, "key", running, &answer, &context).await;
            assert_eq!(answer.body == lesson.key(lesson.audio), running == "granted", "{context}");
            let answer = world.beat(&playing).await;
            check(&world, "heartbeat", running, &answer, &context).await;
            assert_eq!(answer.json()["token"].is_string(), running == "granted", "{context}");
            let answer = world.native(&playing, "multivariant.m3u8").await;
            check(&world, "playlist", running, &answer, &context).await;
            assert_eq!(answer.body.starts_with(b"#EXTM3U"), running == "granted", "{context}");
            let answer = world.native(&playing, "poster.jpg").await;
            check(&world, "still", running, &answer, &context).await;
            assert_eq!(answer.body == POSTER, running == "granted", "{context}");
            let answer = world.start(&lesson, user).await;
            check(&world, "session", new, &answer, &context).await;
            // Not of the asset that the session was for: of the one that the lesson shows now.
            let answer = world.still(&lesson, user, "poster.jpg").await;
            check(&world, "still", new, &answer, &context).await;
            assert_eq!(answer.body == POSTER, new == "granted", "{context}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_has_no_right_begins_no_session() {
    on_both_engines(|db| async move {
        let world = World::new(db).await;
        let lesson = world.lesson().await;
        let other = world.lesson().await;
        let stranger = world.user(Role::Student).await;
        let colleague = world.user(Role::Instructor).await;
        let early = world.user(Role::Student).await;
        world.enroll(&lesson, early, world.now() + Duration::from_mins(1)).await;
        let elsewhere = world.learner(&other).await;
        let table = [
            (stranger, "not_enrolled"),
            (colleague, "not_enrolled"),
            (other.owner, "not_enrolled"),
            (elsewhere, "not_enrolled"),
            (early, "entitlement_not_started"),
        ];
        for (user, code) in table {
            world.new_audit().await;
            let answer = world.start(&lesson, user).await;
            check(&world, "session", code, &answer, code).await;
            let answer = world.still(&lesson, user, "chapters.vtt").await;
            check(&world, "still", code, &answer, code).await;
        }
        world.clock.advance(Duration::from_mins(1));
        assert_eq!(world.start(&lesson, early).await.status, 201);

        // No access token, a bad one, a playback token in its place: the words of the API, one row each.
        let path = format!("/api/v1/lessons/{}/playback", lesson.lesson);
        let playing = world.play(&lesson, early).await;
        for (token, reason) in [
            (None, "token_missing"),
            (Some("nonsense"), "token_invalid"),
            (Some(playing.token.as_str()), "token_invalid"),
            (Some(playing.native_token.as_str()), "token_invalid"),
        ] {
            world.new_audit().await;
            let answer = world.call(Method::POST, &path, token).await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"));
            let rows = world.new_audit().await;
            let [row] = rows.as_slice() else { panic!("one decision, one row: {rows:?}") };
            assert_eq!((row.reason.as_str(), row.granted, row.lesson), (reason, false, Some(lesson.lesson)));
        }
        // No such lesson, or nothing like a lesson's id.
        let token = world.access_token(early).await;
        let nowhere = lectern_platform::clock::new_id(&world.clock, LessonId::generate).to_string();
        for id in [nowhere.as_str(), "les_1", "%00", "..%2f.."] {
            let answer =
                world.call(Method::POST, &format!("/api/v1/lessons/{id}/playback"), Some(&token)).await;
            assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{id}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_says_where_everything_is() {
    on_both_engines(|db| async move {
        let world = World::new(db).await;
        let lesson = world.lesson().await;
        let user = world.learner(&lesson).await;
        enrollments::put_progress(&world.db, user, lesson.lesson, 4_321, Some(false), world.now())
            .await
            .unwrap();
        let playing = world.play(&lesson, user).await;
        let answer = &playing.answer;
        assert_eq!(answer["hls_url"], lesson.media("multivariant.m3u8"));
        assert_eq!(answer["hls_native_url"], format!("/playback/{}/multivariant.m3u8", playing.native_token));
        assert_eq!(answer["heartbeat_url"], format!("/api/v1/playback/{}/heartbeat", playing.session));
        assert_eq!(answer["position_ms"], 4_321);
        assert_eq!(
            (&answer["dash_url"], &answer["drm"]),
            (&serde_json::Value::Null, &serde_json::Value::Null)
        );
        assert_eq!(answer["expires_at"], "2027-01-15T08:05:00Z");
        assert_ne!(playing.token, playing.native_token);
        assert_eq!(world.get(&lesson.media("multivariant.m3u8")).await.status, 200);

        // The heartbeat's token works after the first has gone.
        world.clock.advance(Duration::from_mins(4));
        let renewed = world.beat(&playing).await;
        assert_eq!(renewed.header("cache-control"), "no-store");
        assert_eq!(renewed.json()["expires_at"], "2027-01-15T08:09:00Z");
        let token = renewed.json()["token"].as_str().unwrap().to_owned();
        world.clock.advance(Duration::from_mins(1));
        assert_eq!(world.key(lesson.video.kid, &playing.token).await.code(), "token_expired");
        let key = world.key(lesson.video.kid, &token).await;
        assert_eq!(key.body, lesson.key(lesson.video));
        assert_eq!(key.header("cache-control"), "no-store");
        assert_eq!(key.header("content-type"), "application/octet-stream");
        assert_eq!(key.header("x-content-type-options"), "nosniff");
    })
    .await;
}
