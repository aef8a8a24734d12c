//! When something behind the server breaks it gives nothing; when many come at once it serves them all.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use lectern_store::testing::{execute, on_both_engines};
use reqwest::Method;

use crate::world::World;

#[tokio::test]
async fn what_cannot_be_written_down_is_not_given() {
    on_both_engines(|db| async move {
        let world = World::new(db).await;
        let lesson = world.lesson().await;
        let user = world.learner(&lesson).await;
        let playing = world.play(&lesson, user).await;
        execute(&world.db, "ALTER TABLE license_audit RENAME TO away").await.unwrap();
        let answers = [
            world.key(lesson.video.kid, &playing.token).await,
            world.beat(&playing).await,
            world.native(&playing, "720p.m3u8").await,
            world.start(&lesson, user).await,
            // Refusals are decisions too.
            world.key(lesson.video.kid, "nonsense").await,
        ];
        for answer in answers {
            assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"));
            assert_eq!(answer.header("retry-after"), "2");
        }
        execute(&world.db, "ALTER TABLE away RENAME TO license_audit").await.unwrap();
        assert_eq!(world.key(lesson.video.kid, &playing.token).await.status, 200);
        assert_eq!(world.audit().await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn without_a_database_there_is_no_key_but_there_is_media() {
    on_both_engines(|db| async move {
        let world = World::new(db).await;
        let lesson = world.lesson().await;
        let user = world.learner(&lesson).await;
        let playing = world.play(&lesson, user).await;
        let access = world.access_token(user).await;
        world.db.close().await;
        let start = format!("/api/v1/lessons/{}/playback", lesson.lesson);
        let answers = [
            world.key(lesson.video.kid, &playing.token).await,
            world.key(lesson.video.kid, "nonsense").await,
            world.beat(&playing).await,
            world.native(&playing, "720p.m3u8").await,
            world.call(Method::POST, &start, Some(&access)).await,
            world
                .call(Method::DELETE, &format!("/api/v1/playback/{}", playing.session), Some(&playing.token))
                .await,
        ];
        for answer in answers {
            assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"));
            assert_eq!(answer.header("retry-after"), "2");
        }
        assert_eq!(world.get(&lesson.media("720p/init.mp4")).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_does_not_open_gives_no_key_and_is_written_down() {
    on_both_engines(|db| async move {
        let world = World::new(db).await;
        let lesson = world.lesson().await;
        let user = world.learner(&lesson).await;
        let playing = world.play(&lesson, user).await;
        let other = world.lesson().await;
        // One asset's secret in another's row: the vault's context does not fit.
        let sql =
            "UPDATE assets SET wrapped_secret = (SELECT wrapped_secret FROM assets ORDER BY id LIMIT 1)";
        execute(&world.db, sql).await.unwrap();
        let second = world.play(&other, other.owner).await;
        let answers = [
            world.key(lesson.video.kid, &playing.token).await,
            world.key(other.video.kid, &second.token).await,
        ];
        let broken: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
        assert_eq!(broken.len(), 1, "{answers:?}");
        assert_eq!(broken[0].code(), "unavailable");
        let rows = world.audit().await;
        assert_eq!(rows.iter().filter(|row| row.reason == "vault_unavailable" && !row.granted).count(), 1);
        assert_eq!(rows.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn many_at_once() {
    on_both_engines(|db| async move {
        const REQUESTS: usize = 1_000;
        let world = World::new(db).await;
        let lesson = world.lesson().await;
        let user = world.learner(&lesson).await;
        let playing = world.play(&lesson, user).await;
        let began = Instant::now();
        let answers: Vec<_> = stream::iter(0..REQUESTS)
            .map(|_| world.key(lesson.video.kid, &playing.token))
            .buffer_unordered(200)
            .collect()
            .await;
        let took = began.elapsed();
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == lesson.key(lesson.video)));
        assert_eq!(world.audit().await.len(), 1 + REQUESTS);
        // The same client and server with nothing to look up.
        let began = Instant::now();
        stream::iter(0..REQUESTS)
            .map(|_| world.get("/media/nowhere/at/all"))
            .buffer_unordered(200)
            .for_each(|answer| async move { assert_eq!(answer.status, 404) })
            .await;
        let rate = |took: Duration| REQUESTS as f64 / took.as_secs_f64();
        println!(
            "{:?}: {:.0} keys/s, {:.0} empty answers/s",
            world.db.engine(),
            rate(took),
            rate(began.elapsed())
        );
        assert!(took < Duration::from_mins(1));

        // Many who leave at once, each refused at the very next key.
        let learners: Vec<_> = stream::iter(0..20)
            .then(|_| async {
                let user = world.learner(&lesson).await;
                (user, world.play(&lesson, user).await)
            })
            .collect()
            .await;
        stream::iter(&learners)
            .for_each_concurrent(20, |(user, playing)| {
                let (world, lesson) = (&world, &lesson);
                async move {
                    assert_eq!(world.key(lesson.audio.kid, &playing.token).await.status, 200);
                    world.leave(lesson, *user, world.now()).await;
                    assert_eq!(world.key(lesson.audio.kid, &playing.token).await.code(), "entitlement_ended");
                    assert_eq!(
                        world.key(lesson.audio.kid, &playing.native_token).await.code(),
                        "entitlement_ended"
                    );
                }
            })
            .await;
    })
    .await;
}
