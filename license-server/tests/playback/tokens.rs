//! Tokens that are missing, damaged, late, or somebody else's.

use std::{num::NonZeroU32, time::Duration};

use futures::{StreamExt as _, stream};
use lectern_license_server::LicenseSettings;
use lectern_platform::{
    http::Caller,
    tokens::{AccessTokens, Keyring},
    vault::MasterKeyVault,
};
use lectern_store::testing::on_both_engines;
use reqwest::Method;

use crate::world::{Answer, World};

fn swapped(token: &str, at: usize) -> String {
    let mut bytes = token.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_token_with_any_byte_changed_opens_nothing() {
    on_both_engines(|db| async move {
        let many = NonZeroU32::new(1_000_000).unwrap();
        let settings = LicenseSettings { stranger_refusals: many, ..LicenseSettings::default() };
        let world = World::with(db, settings).await;
        let lesson = world.lesson().await;
        let user = world.learner(&lesson).await;
        let playing = world.play(&lesson, user).await;
        world.new_audit().await;
        let mut tries = Vec::new();
        for at in 0..playing.token.len() {
            tries.push((Method::GET, format!("/keys/{}", lesson.video.kid), swapped(&playing.token, at)));
            tries.push((Method::POST, playing.heartbeat.clone(), swapped(&playing.token, at)));
            tries.push((
                Method::DELETE,
                format!("/api/v1/playback/{}", playing.session),
                swapped(&playing.token, at),
            ));
        }
        let ends = playing.token.len();
        for at in 0..playing.native_token.len() {
            let token = swapped(&playing.native_token, at);
            tries.push((Method::GET, format!("/playback/{token}/multivariant.m3u8"), String::new()));
            tries.push((Method::GET, format!("/keys/{}?token={token}", lesson.video.kid), String::new()));
        }
        let count = tries.len();
        let answers: Vec<_> = stream::iter(tries)
            .map(|(method, path, token)| {
                let world = &world;
                async move {
                    let token = (!token.is_empty()).then_some(token);
                    (world.call(method, &path, token.as_deref()).await, path)
                }
            })
            .buffer_unordered(64)
            .collect()
            .await;
        for (answer, path) in answers {
            assert_eq!((answer.status, answer.code().as_str()), (401, "token_invalid"), "{path}");
        }
        let rows = world.new_audit().await;
        // Ending a session is not a decision.
        assert_eq!(rows.len(), count - ends);
        assert!(rows.iter().all(|row| row.reason == "token_invalid" && !row.granted && row.user.is_none()));
        assert_eq!(world.key(lesson.video.kid, &playing.token).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn strangers_cannot_fill_the_audit_log_and_stop_nobody_with_a_token() {
    on_both_engines(|db| async move {
        let settings = LicenseSettings {
            trust_forwarded_for: true,
            stranger_refusals: NonZeroU32::new(20).unwrap(),
            ..LicenseSettings::default()
        };
        let world = World::with(db, settings).await;
        let lesson = world.lesson().await;
        let playing = world.play(&lesson, world.learner(&lesson).await).await;
        let stranger = world.learner(&lesson).await;
        let late = world.play(&lesson, stranger).await;
        world.clock.advance(Duration::from_mins(4));
        world.beat(&playing).await;
        world.clock.advance(Duration::from_mins(2));
        let fresh = world.play(&lesson, stranger).await;
        world.new_audit().await;

        let key = format!("/keys/{}", lesson.video.kid);
        let begin = format!("/api/v1/lessons/{}/playback", lesson.lesson);
        let native = format!("/playback/{}/multivariant.m3u8", swapped(&playing.native_token, 9));
        let (beat, end) = (playing.heartbeat.clone(), format!("/api/v1/playback/{}", playing.session));
        let mut answers = Vec::new();
        for round in 0..15 {
            for (method, path, token) in [
                (Method::GET, &key, None),
                (Method::GET, &key, Some("nonsense")),
                (Method::GET, &key, Some(late.token.as_str())),
                (Method::POST, &begin, None),
                (Method::POST, &beat, Some("nonsense")),
                (Method::GET, &native, None),
            ] {
                let mut request = world.request(method, path).header("x-forwarded-for", "192.0.2.1");
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                let answer = Answer::of(request.send().await.unwrap()).await;
                if answer.status == 429 {
                    assert_eq!(answer.code(), "too_many_requests");
                    let wait: u64 = answer.header("retry-after").parse().unwrap();
                    assert!((1..=31).contains(&wait), "{round}: {wait}");
                }
                answers.push(answer.status);
            }
        }
        assert!(answers[..20].iter().all(|status| *status == 401), "{answers:?}");
        assert!(answers[20..].iter().all(|status| *status == 429), "{answers:?}");
        let rows = world.new_audit().await;
        assert_eq!(rows.len(), 20, "what is past the limit is not written down");
        assert!(rows.iter().all(|row| !row.granted && row.client == "192.0.2.1"));

        // From the same address: whoever shows a token is answered, and refusals of theirs are written down.
        let from = |method, path: &str, token: &str| {
            world.request(method, path).header("x-forwarded-for", "192.0.2.1").bearer_auth(token).send()
        };
        assert_eq!(from(Method::GET, &key, &fresh.token).await.unwrap().status(), 200);
        let wrong = "/keys/kid_018f2f3a5c7b7cc3a1b2c3d4e5f60718";
        assert_eq!(from(Method::GET, wrong, &fresh.token).await.unwrap().status(), 403);
        assert_eq!(from(Method::DELETE, &end, "nonsense").await.unwrap().status(), 401);
        let reasons: Vec<String> = world.new_audit().await.into_iter().map(|row| row.reason).collect();
        assert_eq!(reasons.len(), 2, "{reasons:?}");
        assert!(reasons.contains(&"granted".to_owned()) && reasons.contains(&"wrong_key".to_owned()));
        // From another address strangers are refused as ever, and from this one again after a while.
        assert_eq!(world.get(&key).await.status, 401);
        world.clock.advance(Duration::from_secs(31));
        let again = world.request(Method::GET, &key).header("x-forwarded-for", "192.0.2.1");
        assert_eq!(again.send().await.unwrap().status(), 401);
    })
    .await;
}

#[tokio::test]
async fn each_kind_of_token_is_good_for_its_own_routes_only() {
    on_both_engines(|db| async move {
        let world = World::new(db).await;
        let (lesson, other) = (world.lesson().await, world.lesson().await);
        let user = world.learner(&lesson).await;
        world.enroll(&other, user, world.now()).await;
        let playing = world.play(&lesson, user).await;
        let second = world.play(&lesson, user).await;
        let elsewhere = world.play(&other, user).await;
        let access = world.access_token(user).await;
        let kid = lesson.video.kid;
        let key = format!("/keys/{kid}");
        let native = |token: &str| format!("/playback/{token}/multivariant.m3u8");
        let table = [
            (Method::GET, key.clone(), None, "token_missing"),
            (Method::GET, format!("{key}?token="), None, "token_missing"),
            (Method::GET, format!("{key}?other=1"), None, "token_missing"),
            (Method::GET, key.clone(), Some(access.as_str()), "token_invalid"),
            (Method::GET, format!("{key}?token={access}"), None, "token_invalid"),
            (Method::GET, format!("{key}?token={}", playing.token), None, "granted"),
            (Method::GET, format!("{key}?a=b&token={}&c", playing.native_token), None, "granted"),
            (Method::GET, key.clone(), Some(playing.native_token.as_str()), "granted"),
            (Method::GET, key.clone(), Some(second.token.as_str()), "granted"),
            // Another asset's session, another asset's KID, no KID at all.
            (Method::GET, key.clone(), Some(elsewhere.token.as_str()), "wrong_key"),
            (Method::GET, key.clone(), Some(elsewhere.native_token.as_str()), "wrong_key"),
            (Method::GET, format!("/keys/{}", other.audio.kid), Some(playing.token.as_str()), "wrong_key"),
            (
                Method::GET,
                format!("/keys/{}", other.audio.kid),
                Some(playing.native_token.as_str()),
                "wrong_key",
            ),
            (Method::GET, "/keys/kid_1".into(), Some(playing.token.as_str()), "wrong_key"),
            (Method::GET, "/keys/%2e%2e%2f".into(), Some(playing.native_token.as_str()), "wrong_key"),
            (Method::GET, "/keys/kid_1".into(), None, "token_missing"),
            (Method::POST, playing.heartbeat.clone(), None, "token_missing"),
            (Method::POST, playing.heartbeat.clone(), Some(access.as_str()), "token_invalid"),
            (Method::POST, playing.heartbeat.clone(), Some(playing.native_token.as_str()), "token_invalid"),
            (Method::POST, playing.heartbeat.clone(), Some(second.token.as_str()), "token_invalid"),
            (Method::POST, playing.heartbeat.clone(), Some(elsewhere.token.as_str()), "token_invalid"),
            (
                Method::POST,
                "/api/v1/playback/ses_1/heartbeat".into(),
                Some(playing.token.as_str()),
                "token_invalid",
            ),
            (
                Method::DELETE,
                format!("/api/v1/playback/{}", playing.session),
                Some(second.token.as_str()),
                "token_invalid",
            ),
            (
                Method::DELETE,
                format!("/api/v1/playback/{}", playing.session),
                Some(access.as_str()),
                "token_invalid",
            ),
            (Method::DELETE, format!("/api/v1/playback/{}", playing.session), None, "token_missing"),
            (Method::GET, native(&playing.token), None, "token_invalid"),
            (Method::GET, native(&access), None, "token_invalid"),
            (Method::GET, native("x"), None, "token_invalid"),
            (Method::GET, native(&"x".repeat(10_000)), None, "token_invalid"),
            (Method::GET, native(&playing.native_token), None, "granted"),
        ];
        for (method, path, token, expected) in table {
            world.new_audit().await;
            let decided = method != Method::DELETE;
            let answer = world.call(method, &path, token).await;
            assert_eq!(answer.code(), expected, "{path}: {answer:?}");
            let rows = world.new_audit().await;
            let told: Vec<_> = rows.iter().map(|row| (row.reason.as_str(), row.granted)).collect();
            assert_eq!(
                told,
                if decided { vec![(expected, expected == "granted")] } else { vec![] },
                "{path}"
            );
        }
        // A query's token does not speak over a header's.
        let path = format!("{key}?token={}", playing.token);
        assert_eq!(world.call(Method::GET, &path, Some("x")).await.code(), "token_invalid");
        // A token signed by a stranger's key, with our audience and our claims' form.
        let folder = tempfile::tempdir().unwrap();
        let vault = MasterKeyVault::open_or_create(&folder.path().join("k")).unwrap();
        let foreign = Keyring::load(&world.db, &vault, &world.clock, "foreign").await.unwrap();
        let foreign = AccessTokens::new(
            foreign.into(),
            std::sync::Arc::new(world.clock.clone()),
            Duration::from_hours(1),
        );
        let role = lectern_domain::account::Role::Admin;
        assert_eq!(world.key(kid, &foreign.issue(Caller { user, role })).await.code(), "token_invalid");
    })
    .await;
}

#[tokio::test]
async fn time_ends_tokens_and_idle_sessions() {
    on_both_engines(|db| async move {
        let settings =
            LicenseSettings { token_lifetime: Duration::from_hours(1), ..LicenseSettings::default() };
        let idle = settings.session_idle;
        // The asset plays for eight seconds.
        let native_lifetime = settings.native_token_lifetime + Duration::from_secs(7);
        let world = World::with(db, settings).await;
        let lesson = world.lesson().await;
        let user = world.learner(&lesson).await;
        let kid = lesson.video.kid;

        // Uses keep it alive: heartbeats and keys alike, in any rhythm within the limit.
        let playing = world.play(&lesson, user).await;
        for seconds in [800, 880, 100, 890, 10] {
            world.clock.advance(Duration::from_secs(seconds));
            assert_eq!(world.key(kid, &playing.token).await.status, 200, "{seconds}");
        }
        // Uses are written down to a tenth of the limit, so a session may end that much early but never late.
        world.clock.advance(idle * 9 / 10);
        let renewed = world.beat(&playing).await.json()["token"].as_str().unwrap().to_owned();
        world.clock.advance(idle);
        assert_eq!(world.key(kid, &renewed).await.code(), "session_ended");
        assert_eq!(
            world.call(Method::POST, &playing.heartbeat, Some(&renewed)).await.code(),
            "session_ended"
        );
        world.clock.advance(Duration::from_hours(1));
        assert_eq!(world.key(kid, &renewed).await.code(), "token_expired");
        let answer = world.call(Method::POST, &playing.heartbeat, Some(&renewed)).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "token_expired"));

        // A player without headers may be silent for longer than that, but not for ever.
        let playing = world.play(&lesson, user).await;
        world.clock.advance(native_lifetime);
        assert_eq!(world.native(&playing, "720p.m3u8").await.status, 200);
        assert_eq!(world.key(kid, &playing.native_token).await.body, lesson.key(lesson.video));
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(world.native(&playing, "720p.m3u8").await.code(), "token_expired");
        assert_eq!(world.key(kid, &playing.native_token).await.code(), "token_expired");
    })
    .await;
}
