//! The way of an asset: each step once, the last of many seen by exactly one, progress that never goes back.

use std::sync::Arc;

use lectern_domain::{
    asset::AssetState,
    job::{JobKind, JobPayload, JobState},
};
use lectern_store::{
    jobs, packages,
    pipeline::{self, Taken},
    testing::on_both_engines,
};
use tokio::sync::Barrier;

use crate::world::{
    LEASE, announced, asset, at, claim, complete, completion, finish_upload, lesson, of_kind, planned,
    pointer, state, uploaded, work,
};

#[tokio::test]
async fn an_asset_goes_from_upload_to_ready() {
    use AssetState::{Playable, Probing, Processing, Ready};
    use JobKind::{CleanWork, Package, Probe, TranscodeAudio, TranscodeSpan};
    on_both_engines(|db| async move {
        let id = uploaded(&db).await;
        let mut seen = vec![state(&db, id).await];
        let mut kinds = Vec::new();
        while let Some(job) = claim(&db, &JobKind::ALL, at(0)).await {
            kinds.push(job.payload.kind());
            assert_eq!(complete(&db, &job, completion(&job, 2), at(0)).await, Taken::Yes);
            seen.push(state(&db, id).await);
        }
        assert_eq!(kinds, [Probe, TranscodeSpan, TranscodeAudio, TranscodeSpan, Package, CleanWork]);
        assert_eq!(seen, [Probing, Processing, Processing, Processing, Processing, Playable, Ready]);
        let ready = asset(&db, id).await;
        assert_eq!((ready.duration_ms, ready.plan.is_some()), (Some(8_000), true));
        let package = packages::find(&db, ready.package.unwrap()).await.unwrap().unwrap();
        assert_eq!((package.asset, package.published_at), (id, Some(at(0))));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_told_finished_twice_makes_one_pipeline() {
    on_both_engines(|db| async move {
        for _ in 0..10 {
            let lesson = lesson(&db).await;
            let id = announced(&db, lesson).await;
            let start = Arc::new(Barrier::new(4));
            let tellers = (0..4).map(|_| {
                let (db, start) = (db.clone(), start.clone());
                tokio::spawn(async move {
                    start.wait().await;
                    finish_upload(&db, id).await
                })
            });
            let mut first = 0;
            for teller in tellers.collect::<Vec<_>>() {
                first += usize::from(teller.await.unwrap());
            }
            assert_eq!(first, 1);
            assert!(!finish_upload(&db, id).await);
            assert_eq!(jobs::of_asset(&db, id).await.unwrap().len(), 1);
            let probe = claim(&db, &[JobKind::Probe], at(0)).await.unwrap();
            complete(&db, &probe, completion(&probe, 1), at(0)).await;
            assert!(!finish_upload(&db, id).await, "not later either");
            assert_eq!(of_kind(&db, id, JobKind::Probe).await.len(), 1);
            work(&db, at(0)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_end_at_the_same_moment_queue_one_package() {
    on_both_engines(|db| async move {
        for round in 0..40_u64 {
            let spans = 1 + round % 4;
            let id = planned(&db, spans).await;
            let mut held = Vec::new();
            while let Some(job) = claim(&db, &JobKind::ALL, at(0)).await {
                held.push(job);
            }
            assert_eq!(held.len() as u64, spans + 1);
            let start = Arc::new(Barrier::new(held.len()));
            let enders = held.into_iter().map(|job| {
                let (db, start) = (db.clone(), start.clone());
                tokio::spawn(async move {
                    start.wait().await;
                    complete(&db, &job, completion(&job, spans), at(0)).await
                })
            });
            for ender in enders.collect::<Vec<_>>() {
                assert_eq!(ender.await.unwrap(), Taken::Yes);
            }
            let package = of_kind(&db, id, JobKind::Package).await;
            assert_eq!(package.len(), 1, "round {round}");
            let JobPayload::Package { package: named, .. } = package[0].payload else { unreachable!() };
            assert_eq!(packages::find(&db, named).await.unwrap().unwrap().asset, id);
            work(&db, at(0)).await;
            assert_eq!(asset(&db, id).await.package, Some(named));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_never_goes_back() {
    on_both_engines(|db| async move {
        let id = planned(&db, 6).await;
        let watcher = {
            let db = db.clone();
            tokio::spawn(async move {
                let mut seen = vec![0.0_f64];
                loop {
                    let now = asset(&db, id).await;
                    seen.push(now.progress);
                    if now.state == AssetState::Ready {
                        return seen;
                    }
                    tokio::task::yield_now().await;
                }
            })
        };
        let mut runs = Vec::new();
        while let Some(job) = claim(&db, &JobKind::ALL, at(0)).await {
            let db = db.clone();
            runs.push(tokio::spawn(async move {
                // What a job reports may jump about; an attempt begins again from nothing.
                for reported in [0.5, 0.2, 0.9, 0.0, 0.7] {
                    assert!(jobs::heartbeat(&db, &job, reported, at(1), LEASE).await.unwrap());
                    pipeline::report_progress(&db, id).await.unwrap();
                }
                let lost = jobs::PutBack::LeaseLost;
                pipeline::job_put_back(&db, &job, lost, at(1)).await.unwrap();
                pipeline::report_progress(&db, id).await.unwrap();
            }));
        }
        for run in runs {
            run.await.unwrap();
        }
        let half = asset(&db, id).await.progress;
        // Probing is done, and every transcode job came to 0.9 of its share.
        assert!((half - (0.02 + 0.92 * 0.9)).abs() < 1e-6, "{half}");
        work(&db, at(2)).await;
        let seen = tokio::time::timeout(std::time::Duration::from_secs(30), watcher).await.unwrap().unwrap();
        assert!(seen.windows(2).all(|pair| pair[0] <= pair[1]), "{seen:?}");
        assert!((seen.last().unwrap() - 1.0).abs() < 1e-9);
        assert!(seen[..seen.len() - 1].iter().all(|progress| *progress < 1.0), "1 is for ready");
    })
    .await;
}

#[tokio::test]
async fn a_lesson_plays_what_it_had_until_the_new_asset_plays() {
    on_both_engines(|db| async move {
        let lesson = lesson(&db).await;
        let first = announced(&db, lesson).await;
        assert_eq!(pointer(&db, lesson).await, Some(first), "at once: nothing else plays");
        finish_upload(&db, first).await;
        work(&db, at(0)).await;
        let second = announced(&db, lesson).await;
        finish_upload(&db, second).await;
        while let Some(job) = claim(&db, &JobKind::ALL, at(1)).await {
            assert_eq!(pointer(&db, lesson).await, Some(first));
            assert_eq!(state(&db, first).await, AssetState::Ready);
            let last = job.payload.kind() == JobKind::Package;
            complete(&db, &job, completion(&job, 2), at(1)).await;
            if last {
                break;
            }
        }
        assert_eq!(pointer(&db, lesson).await, Some(second));
        assert_eq!(
            (state(&db, first).await, state(&db, second).await),
            (AssetState::Deleted, AssetState::Playable)
        );
        assert_eq!(of_kind(&db, first, JobKind::DeleteAsset).await[0].state, JobState::Queued);
    })
    .await;
}
