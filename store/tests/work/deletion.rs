//! Deleting an asset at any moment: what runs cannot complete, nothing is left but the job that removes its objects.

use std::sync::Arc;

use lectern_domain::{
    asset::AssetState,
    job::{JobKind, JobState},
};
use lectern_store::{
    jobs::{self, PutBack},
    pipeline::{self, Taken},
    testing::on_both_engines,
};
use time::Duration;
use tokio::sync::Barrier;

use crate::world::{
    LEASE, announced, asset, at, claim, complete, completion, delete, fail, finish_upload, job, lesson,
    of_kind, planned, pointer, retry, retry_asset, state, work,
};

#[tokio::test]
async fn attempts_that_run_cannot_complete_and_the_objects_go() {
    on_both_engines(|db| async move {
        let lesson = lesson(&db).await;
        let id = announced(&db, lesson).await;
        finish_upload(&db, id).await;
        let probe = claim(&db, &[JobKind::Probe], at(0)).await.unwrap();
        complete(&db, &probe, completion(&probe, 3), at(0)).await;
        let running = claim(&db, &[JobKind::TranscodeSpan], at(0)).await.unwrap();

        assert!(delete(&db, id, at(10)).await);
        assert!(!delete(&db, id, at(10)).await);
        let gone = asset(&db, id).await;
        assert_eq!((gone.state, gone.wrapped_secret), (AssetState::Deleted, None), "shredded at once");
        assert_eq!(pointer(&db, lesson).await, None);

        let before = format!("{:?}", job(&db, running.id).await);
        assert!(!jobs::heartbeat(&db, &running, 0.5, at(11), LEASE).await.unwrap());
        assert_eq!(complete(&db, &running, completion(&running, 3), at(11)).await, Taken::Fenced);
        assert_eq!(fail(&db, &running, retry(), at(11)).await, Taken::Fenced);
        let back = pipeline::job_put_back(&db, &running, PutBack::Released, at(11)).await.unwrap();
        assert_eq!(back, Taken::Fenced);
        assert_eq!(format!("{:?}", job(&db, running.id).await), before);
        assert!(!retry_asset(&db, id, at(11)).await);
        assert!(!finish_upload(&db, id).await);

        // Nothing is left but its removal, and that waits until running attempts have heard of it.
        assert!(claim(&db, &JobKind::ALL, at(14)).await.is_none());
        let removal = claim(&db, &JobKind::ALL, at(15)).await.unwrap();
        assert_eq!((removal.payload.kind(), removal.payload.asset()), (JobKind::DeleteAsset, id));
        assert_eq!(complete(&db, &removal, completion(&removal, 3), at(15)).await, Taken::Yes);
        assert!(claim(&db, &JobKind::ALL, at(9_000)).await.is_none());
        assert_eq!(state(&db, id).await, AssetState::Deleted);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_while_its_last_jobs_end_an_asset_stays_deleted() {
    on_both_engines(|db| async move {
        for round in 0..40 {
            let id = planned(&db, 1).await;
            let mut held = Vec::new();
            while let Some(job) = claim(&db, &JobKind::ALL, at(0)).await {
                held.push(job);
            }
            if round % 2 == 0 {
                // Half of the rounds race with the package job instead.
                for job in held.drain(..) {
                    complete(&db, &job, completion(&job, 1), at(0)).await;
                }
                held.push(claim(&db, &[JobKind::Package], at(0)).await.unwrap());
            }
            let start = Arc::new(Barrier::new(held.len() + 1));
            let deleter = {
                let (db, start) = (db.clone(), start.clone());
                tokio::spawn(async move {
                    start.wait().await;
                    delete(&db, id, at(1)).await
                })
            };
            let enders = held.into_iter().map(|job| {
                let (db, start) = (db.clone(), start.clone());
                tokio::spawn(async move {
                    start.wait().await;
                    complete(&db, &job, completion(&job, 1), at(1)).await
                })
            });
            for ender in enders.collect::<Vec<_>>() {
                // Before or after the deletion: both are fine.
                ender.await.unwrap();
            }
            assert!(deleter.await.unwrap());
            let gone = asset(&db, id).await;
            assert_eq!((gone.state, gone.wrapped_secret), (AssetState::Deleted, None), "round {round}");
            for job in jobs::of_asset(&db, id).await.unwrap() {
                let kind = job.payload.kind();
                let open = matches!(job.state, JobState::Queued | JobState::Leased);
                assert!(!open || matches!(kind, JobKind::DeleteAsset | JobKind::CleanWork), "{job:?}");
            }
            assert_eq!(of_kind(&db, id, JobKind::DeleteAsset).await.len(), 1);
            work(&db, at(1) + Duration::seconds(5)).await;
            assert_eq!(state(&db, id).await, AssetState::Deleted);
        }
    })
    .await;
}
