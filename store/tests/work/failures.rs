//! Failures: backoff, parking with a story, one call to start again. A crash costs an attempt and is not counted (ADR 0006).

use std::collections::HashSet;

use lectern_domain::{
    asset::AssetState,
    failure::FailureCode,
    ids::AssetId,
    job::{JobKind, JobState, MAX_ATTEMPTS, MAX_FAILURES, WorkClass},
};
use lectern_store::{
    Db,
    jobs::{self, Job, PutBack},
    pipeline::{self, JobFailure, Taken},
    testing::on_both_engines,
};
use time::Duration;

use crate::world::{
    asset, at, claim, complete, completion, fail, job, of_kind, planned, retry, retry_asset, state, story,
    uploaded, work,
};

/// Lets the next job of a kind fail until it is parked.
async fn park(db: &Db, kind: JobKind) -> Job {
    let mut now = at(0);
    loop {
        let held = claim(db, &[kind], now).await.expect("a job");
        assert_eq!(fail(db, &held, retry(), now).await, Taken::Yes);
        let after = job(db, held.id).await;
        if after.state == JobState::Parked {
            return after;
        }
        now = after.run_after;
    }
}

#[tokio::test]
async fn failed_attempts_come_back_after_growing_times_that_differ() {
    on_both_engines(|db| async move {
        planned(&db, 20).await;
        let mut now = at(0);
        let mut longest = Duration::ZERO;
        for (failure, ceiling) in [2, 4, 8, 16].map(Duration::seconds).into_iter().enumerate() {
            let mut waits = Vec::new();
            let mut last = now;
            while let Some(held) = claim(&db, &[JobKind::TranscodeSpan], now).await {
                assert_eq!(fail(&db, &held, retry(), now).await, Taken::Yes);
                let after = job(&db, held.id).await;
                let counted = (after.state, after.attempt, after.failures);
                assert_eq!(counted, (JobState::Queued, failure as u32 + 1, failure as u32 + 1));
                waits.push(after.run_after - now);
                last = last.max(after.run_after);
            }
            assert_eq!(waits.len(), 20);
            assert!(waits.iter().all(|wait| (ceiling / 2..=ceiling).contains(wait)), "{failure}: {waits:?}");
            assert!(waits.iter().collect::<HashSet<_>>().len() > 10, "not all at one time: {waits:?}");
            assert!(waits.iter().max() > Some(&longest), "they grow");
            longest = *waits.iter().max().unwrap();

            let due =
                jobs::next_due(&db, &[WorkClass::FirstVideo, WorkClass::BulkVideo]).await.unwrap().unwrap();
            assert_eq!(due - now, *waits.iter().min().unwrap());
            let early = due - Duration::microseconds(1);
            assert!(claim(&db, &[JobKind::TranscodeSpan], early).await.is_none(), "not before its time");
            now = last;
        }
    })
    .await;
}

#[tokio::test]
async fn the_last_failure_parks_the_job_with_its_story_and_one_call_starts_again() {
    on_both_engines(|db| async move {
        let id = planned(&db, 3).await;
        let parked = park(&db, JobKind::TranscodeSpan).await;
        assert_eq!((parked.failures, parked.attempt), (MAX_FAILURES, MAX_FAILURES));
        let mut expected: Vec<(u32, String)> = (1..=MAX_FAILURES)
            .flat_map(|attempt| [(attempt, "claimed".to_owned()), (attempt, "failed".to_owned())])
            .collect();
        expected.push((MAX_FAILURES, "parked".to_owned()));
        assert_eq!(story(&db, parked.id).await, expected);
        let lines = jobs::story(&db, parked.id).await.unwrap();
        let reasons = lines.iter().filter(|line| line.detail == "the disk is full").count();
        assert_eq!(reasons, MAX_FAILURES as usize, "{lines:?}");

        // The asset goes with it, and nothing else of it is worked on.
        let failed = asset(&db, id).await;
        assert_eq!(failed.state, AssetState::Failed);
        assert_eq!(failed.failure.unwrap().code, FailureCode::Internal);
        assert!(claim(&db, &[JobKind::TranscodeSpan, JobKind::TranscodeAudio], at(9_000)).await.is_none());

        assert!(retry_asset(&db, id, at(100)).await);
        assert!(!retry_asset(&db, id, at(100)).await, "once is enough");
        let again = asset(&db, id).await;
        assert_eq!((again.state, again.generation, again.failure), (AssetState::Probing, 1, None));
        assert!(again.progress.abs() < 1e-9);
        work(&db, at(200)).await;
        assert_eq!(state(&db, id).await, AssetState::Ready);
        assert!((asset(&db, id).await.progress - 1.0).abs() < 1e-9);
        assert_eq!(of_kind(&db, id, JobKind::Package).await.len(), 1);
        assert_eq!(story(&db, parked.id).await, expected, "the story stays");
    })
    .await;
}

#[tokio::test]
async fn a_job_that_fails_by_its_own_decision_ends_the_asset_with_the_reason() {
    on_both_engines(|db| async move {
        for (code, retryable) in [(FailureCode::SourceCorrupt, false), (FailureCode::SourceTimeLimit, true)] {
            let id = planned(&db, 3).await;
            let (running, failing) = (
                claim(&db, &[JobKind::TranscodeSpan], at(0)).await.unwrap(),
                claim(&db, &[JobKind::TranscodeSpan], at(0)).await.unwrap(),
            );
            let ends = JobFailure::Fail { failure: code.into(), detail: "frame 17".into() };
            assert_eq!(fail(&db, &failing, ends, at(1)).await, Taken::Yes);
            let failed = asset(&db, id).await;
            assert_eq!((failed.state, failed.failure.unwrap().code), (AssetState::Failed, code));
            let kept = job(&db, failing.id).await;
            assert_eq!((kept.state, kept.attempt), (JobState::Failed, 1), "no second attempt");
            assert_eq!(kept.result.unwrap()["detail"], "frame 17");

            // What ran beside it is told to stop and cannot complete.
            assert!(!jobs::heartbeat(&db, &running, 0.5, at(2), Duration::seconds(30)).await.unwrap());
            assert_eq!(complete(&db, &running, completion(&running, 3), at(2)).await, Taken::Fenced);
            assert_eq!(of_kind(&db, id, JobKind::CleanWork).await[0].run_after, at(4));

            assert_eq!(retry_asset(&db, id, at(5)).await, retryable, "{code:?}");
            work(&db, at(100)).await;
            let end = if retryable { AssetState::Ready } else { AssetState::Failed };
            assert_eq!(state(&db, id).await, end, "{code:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_cleans_up_after_a_failure_does_not_touch_the_work_of_a_retry() {
    on_both_engines(|db| async move {
        let id = planned(&db, 2).await;
        park(&db, JobKind::TranscodeSpan).await;
        let failed_at = asset(&db, id).await.updated_at;
        let clean = of_kind(&db, id, JobKind::CleanWork).await.remove(0);
        let held = claim(&db, &[JobKind::CleanWork], failed_at + Duration::seconds(3)).await.unwrap();
        assert_eq!(held.id, clean.id);
        assert!(retry_asset(&db, id, failed_at + Duration::seconds(3)).await);
        assert!(!jobs::heartbeat(&db, &held, 0.0, at(500), Duration::seconds(30)).await.unwrap());
        assert_eq!(complete(&db, &held, completion(&held, 2), at(500)).await, Taken::Fenced);

        // The same when it had not begun.
        let other = planned(&db, 2).await;
        let ends = JobFailure::Fail { failure: FailureCode::Internal.into(), detail: String::new() };
        let held = loop {
            let held = claim(&db, &[JobKind::TranscodeSpan], at(500)).await.unwrap();
            if held.payload.asset() == other {
                break held;
            }
        };
        assert_eq!(fail(&db, &held, ends, at(500)).await, Taken::Yes);
        assert!(retry_asset(&db, other, at(501)).await);
        assert!(claim(&db, &[JobKind::CleanWork], at(9_000)).await.is_none());
    })
    .await;
}

#[tokio::test]
async fn a_crash_costs_an_attempt_and_is_not_a_failure() {
    on_both_engines(|db| async move {
        let id = planned(&db, 2).await;
        for attempt in 1..=20 {
            let held = claim(&db, &[JobKind::TranscodeAudio], at(0)).await.expect("at once");
            assert_eq!((held.attempt, held.failures), (attempt, 0));
            let why = if attempt % 2 == 0 { PutBack::LeaseLost } else { PutBack::Released };
            assert_eq!(pipeline::job_put_back(&db, &held, why, at(0)).await.unwrap(), Taken::Yes);
        }
        // A failure among them is one failure, with the shortest wait.
        let held = claim(&db, &[JobKind::TranscodeAudio], at(0)).await.unwrap();
        fail(&db, &held, retry(), at(0)).await;
        let after = job(&db, held.id).await;
        assert_eq!((after.state, after.attempt, after.failures), (JobState::Queued, 21, 1));
        assert!(after.run_after - at(0) <= Duration::seconds(2));
        work(&db, at(10)).await;
        assert_eq!(state(&db, id).await, AssetState::Ready);
    })
    .await;
}

#[tokio::test]
async fn a_job_that_takes_its_worker_down_each_time_is_parked_in_the_end() {
    on_both_engines(|db| async move {
        let id = uploaded(&db).await;
        let mut held = None;
        for attempt in 1..=MAX_ATTEMPTS {
            assert_eq!(state(&db, id).await, AssetState::Probing);
            let job = claim(&db, &[JobKind::Probe], at(0)).await.unwrap();
            assert_eq!(job.attempt, attempt);
            pipeline::job_put_back(&db, &job, PutBack::LeaseLost, at(0)).await.unwrap();
            held = Some(job);
        }
        let parked = job(&db, held.unwrap().id).await;
        assert_eq!((parked.state, parked.failures), (JobState::Parked, 0));
        assert_eq!(asset(&db, id).await.failure.unwrap().code, FailureCode::Internal);
        assert!(retry_asset(&db, id, at(1)).await);
        work(&db, at(100)).await;
        assert_eq!(state(&db, id).await, AssetState::Ready);
    })
    .await;
}

#[tokio::test]
async fn an_outage_is_waited_out_and_held_against_nobody() {
    on_both_engines(|db| async move {
        let id = uploaded(&db).await;
        let mut now = at(0);
        for _ in 0..2 * MAX_ATTEMPTS {
            let held = claim(&db, &[JobKind::Probe], now).await.unwrap();
            let failure = JobFailure::Unavailable("no bucket answers".into());
            assert_eq!(fail(&db, &held, failure, now).await, Taken::Yes);
            let after = job(&db, held.id).await;
            assert_eq!((after.state, after.failures), (JobState::Queued, 0));
            let wait = after.run_after - now;
            assert!(wait >= Duration::SECOND && wait <= Duration::seconds(32), "{wait}");
            now = after.run_after;
        }
        // What happened before counts no more than it should: a crash is a crash.
        let held = claim(&db, &[JobKind::Probe], now).await.unwrap();
        pipeline::job_put_back(&db, &held, PutBack::LeaseLost, now).await.unwrap();
        work(&db, now).await;
        assert_eq!(state(&db, id).await, AssetState::Ready);
    })
    .await;
}

/// An asset that plays, with its clean-up queued, and one that is deleted.
async fn playable_and_deleted(db: &Db) -> (AssetId, AssetId) {
    let playable = planned(db, 1).await;
    let most = [JobKind::TranscodeSpan, JobKind::TranscodeAudio, JobKind::Package];
    while let Some(job) = claim(db, &most, at(0)).await {
        complete(db, &job, completion(&job, 1), at(0)).await;
    }
    assert_eq!(state(db, playable).await, AssetState::Playable);
    let deleted = uploaded(db).await;
    assert!(crate::world::delete(db, deleted, at(0)).await);
    (playable, deleted)
}

#[tokio::test]
async fn clean_up_is_tried_until_it_succeeds_and_takes_no_lesson_away() {
    on_both_engines(|db| async move {
        let (playable, deleted) = playable_and_deleted(&db).await;
        for (id, kind) in [(playable, JobKind::CleanWork), (deleted, JobKind::DeleteAsset)] {
            let before = state(&db, id).await;
            let mut now = at(5);
            for _ in 0..MAX_FAILURES * 3 {
                let held = claim(&db, &[kind], now).await.expect("tried again");
                fail(&db, &held, retry(), now).await;
                let after = job(&db, held.id).await;
                assert_eq!((after.state, state(&db, id).await), (JobState::Queued, before));
                assert!(after.run_after - now <= Duration::minutes(5));
                now = after.run_after;
            }
            let held = claim(&db, &[kind], now).await.unwrap();
            assert_eq!(complete(&db, &held, completion(&held, 1), now).await, Taken::Yes);
        }
        assert_eq!(state(&db, playable).await, AssetState::Ready);
        assert_eq!(state(&db, deleted).await, AssetState::Deleted);
    })
    .await;
}
