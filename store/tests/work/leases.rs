//! A claim gives a lease and an attempt number; a lease that runs out goes to the next; a late attempt changes nothing.

use std::{collections::HashSet, sync::Arc};

use lectern_domain::{
    failure::FailureCode,
    job::{JobKind, JobState, WorkClass},
};
use lectern_store::{
    jobs::{self, PutBack},
    pipeline::{self, JobFailure, Taken},
    testing::on_both_engines,
};
use time::Duration;
use tokio::sync::Barrier;

use crate::world::{
    LEASE, asset, at, claim, complete, completion, fail, job, of_kind, planned, process, retry, story,
    uploaded,
};

#[tokio::test]
async fn a_claim_gives_a_lease_and_an_attempt_number() {
    on_both_engines(|db| async move {
        let id = uploaded(&db).await;
        assert_eq!(jobs::next_due(&db, &[WorkClass::FirstVideo]).await.unwrap(), Some(at(0)));
        assert!(claim(&db, &[JobKind::Package, JobKind::CleanWork], at(0)).await.is_none(), "another kind");
        assert!(claim(&db, &[JobKind::Probe], at(-1)).await.is_none(), "not before its time");

        let owner = process();
        let claimed = lectern_store::testing::claim(&db, owner, &[JobKind::Probe], at(0), LEASE)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((claimed.attempt, claimed.failures, claimed.state), (1, 0, JobState::Leased));
        assert_eq!((claimed.lease_owner, claimed.payload.asset()), (Some(owner), id));
        assert!(claim(&db, &JobKind::ALL, at(0)).await.is_none(), "it is taken");
        assert_eq!(jobs::next_due(&db, &WorkClass::ALL).await.unwrap(), None);
        assert_eq!(story(&db, claimed.id).await, [(1, "claimed".to_owned())]);

        assert_eq!(complete(&db, &claimed, completion(&claimed, 2), at(1)).await, Taken::Yes);
        let done = job(&db, claimed.id).await;
        assert_eq!((done.state, done.lease_owner, done.attempt), (JobState::Done, None, 1));
        assert!((done.progress - 1.0).abs() < 1e-9);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claimed_at_once_by_many_each_job_has_one_holder() {
    on_both_engines(|db| async move {
        planned(&db, 40).await;
        let start = Arc::new(Barrier::new(8));
        let claimers = (0..8).map(|_| {
            let (db, start) = (db.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                let mut mine = Vec::new();
                while let Some(job) = claim(&db, &JobKind::ALL, at(0)).await {
                    assert_eq!(job.attempt, 1);
                    mine.push(job.id);
                }
                mine
            })
        });
        let mut taken = Vec::new();
        for claimer in claimers.collect::<Vec<_>>() {
            taken.extend(claimer.await.unwrap());
        }
        assert_eq!(taken.len(), 41);
        assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 41);
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_runs_out_goes_to_another_with_the_next_attempt() {
    on_both_engines(|db| async move {
        uploaded(&db).await;
        let first = claim(&db, &[JobKind::Probe], at(0)).await.unwrap();
        assert!(jobs::expired(&db, at(29)).await.unwrap().is_empty());
        assert!(jobs::heartbeat(&db, &first, 0.25, at(20), LEASE).await.unwrap());
        assert!(jobs::expired(&db, at(49)).await.unwrap().is_empty(), "a heartbeat moves the end");

        let expired = jobs::expired(&db, at(50)).await.unwrap();
        assert_eq!(expired.iter().map(|job| job.id).collect::<Vec<_>>(), [first.id]);
        assert!(claim(&db, &[JobKind::Probe], at(50)).await.is_none(), "somebody has to return it first");
        let lost = pipeline::job_put_back(&db, &expired[0], PutBack::LeaseLost, at(50)).await.unwrap();
        assert_eq!(lost, Taken::Yes);

        let second = claim(&db, &[JobKind::Probe], at(50)).await.expect("at once, without a backoff");
        assert_eq!((second.id, second.attempt, second.failures), (first.id, 2, 0));
        assert_ne!(second.lease_owner, first.lease_owner);
        let told = story(&db, first.id).await;
        let expected = [(1, "claimed"), (1, "lease_lost"), (2, "claimed")];
        assert_eq!(told, expected.map(|(attempt, event)| (attempt, event.to_owned())));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_lease_is_returned_once_however_many_look() {
    on_both_engines(|db| async move {
        for _ in 0..10 {
            uploaded(&db).await;
            let held = claim(&db, &[JobKind::Probe], at(0)).await.unwrap();
            let start = Arc::new(Barrier::new(4));
            let reapers = (0..4).map(|_| {
                let (db, start) = (db.clone(), start.clone());
                tokio::spawn(async move {
                    let expired = jobs::expired(&db, at(30)).await.unwrap();
                    start.wait().await;
                    let mut taken = 0;
                    for job in expired {
                        let put =
                            pipeline::job_put_back(&db, &job, PutBack::LeaseLost, at(30)).await.unwrap();
                        taken += usize::from(put == Taken::Yes);
                    }
                    taken
                })
            });
            let mut taken = 0;
            for reaper in reapers.collect::<Vec<_>>() {
                taken += reaper.await.unwrap();
            }
            assert_eq!(taken, 1);
            assert_eq!(story(&db, held.id).await.len(), 2);
            let again = claim(&db, &[JobKind::Probe], at(30)).await.unwrap();
            assert_eq!((again.id, again.attempt), (held.id, 2));
        }
    })
    .await;
}

#[tokio::test]
async fn a_late_attempt_changes_nothing_and_is_told_so() {
    on_both_engines(|db| async move {
        let id = planned(&db, 2).await;
        let late = claim(&db, &[JobKind::TranscodeSpan], at(0)).await.unwrap();
        pipeline::job_put_back(&db, &late, PutBack::LeaseLost, at(30)).await.unwrap();

        // Once while the job waits, once while another attempt runs, once after that one completed.
        for stage in ["queued", "leased", "done"] {
            let current = (stage != "queued").then_some(());
            if stage == "leased" {
                assert_eq!(claim(&db, &[JobKind::TranscodeSpan], at(31)).await.unwrap().id, late.id);
            }
            if stage == "done" {
                let held = job(&db, late.id).await;
                assert_eq!(held.attempt, 2);
                assert_eq!(complete(&db, &held, completion(&held, 2), at(32)).await, Taken::Yes);
            }
            let before = (job(&db, late.id).await, story(&db, late.id).await, asset(&db, id).await);
            assert_eq!(before.0.state.as_str(), stage);
            assert_eq!(current.is_some(), before.0.attempt == 2);

            assert!(!jobs::heartbeat(&db, &late, 0.9, at(33), Duration::hours(1)).await.unwrap());
            assert_eq!(complete(&db, &late, completion(&late, 2), at(33)).await, Taken::Fenced);
            assert_eq!(fail(&db, &late, retry(), at(33)).await, Taken::Fenced);
            let ends = JobFailure::Fail { failure: FailureCode::SourceCorrupt.into(), detail: String::new() };
            assert_eq!(fail(&db, &late, ends, at(33)).await, Taken::Fenced);
            for why in [PutBack::Released, PutBack::LeaseLost, PutBack::Failed("late".into())] {
                assert_eq!(pipeline::job_put_back(&db, &late, why, at(33)).await.unwrap(), Taken::Fenced);
            }

            let after = (job(&db, late.id).await, story(&db, late.id).await, asset(&db, id).await);
            assert_eq!(format!("{:?}", after.0), format!("{:?}", before.0), "{stage}");
            assert_eq!(after.1, before.1, "{stage}");
            let told =
                |asset: &lectern_store::assets::Asset| (asset.state, asset.progress, asset.failure.clone());
            assert_eq!(told(&after.2), told(&before.2), "{stage}");
        }
        assert!(of_kind(&db, id, JobKind::Package).await.is_empty());
    })
    .await;
}
