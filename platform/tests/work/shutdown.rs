//! Two stages: the soft one drains and takes nothing new, the hard one gives leases back.

use std::time::{Duration, Instant};

use lectern_domain::job::JobState;
use lectern_platform::{
    clock::{Clock as _, SystemClock},
    worker::{Capacity, JobContext},
};
use lectern_store::{
    jobs::{self, Job},
    pipeline::Completion,
    testing::on_both_engines,
};
use tokio::sync::watch;

use crate::world::{LONG, Running, eventually, handler, job, queue, stop, until, workers};

#[tokio::test(flavor = "multi_thread")]
async fn the_soft_stage_finishes_what_runs_and_begins_nothing() {
    on_both_engines(|db| async move {
        let now = SystemClock.now();
        let ids = [queue(&db, now).await, queue(&db, now).await, queue(&db, now).await];
        let (workers, running) = (workers(&db), Running::default());
        let (release, released) = watch::channel(false);
        let counted = running.clone();
        let waits = handler(move |job: Job, _: JobContext| {
            let (ran, mut released) = (counted.begin(job.id), released.clone());
            Box::pin(async move {
                released.wait_for(|released| *released).await.unwrap();
                drop(ran);
                Ok(Completion::Removed)
            })
        });
        workers.start(&waits, Capacity::slots(2));
        workers.start_reaper();
        eventually(|| async { (running.now() == 2).then_some(()) }).await;

        workers.shutdown.begin();
        let shutdown = workers.shutdown.clone();
        let ended = tokio::spawn(async move { shutdown.run(LONG).await });
        // Longer than a heartbeat and a hint: nothing is given up, nothing is begun.
        workers.wakeups.wake();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!((running.now(), ended.is_finished()), (2, false));
        release.send(true).unwrap();
        tokio::time::timeout(LONG, ended).await.unwrap().unwrap().unwrap();

        let mut states = Vec::new();
        for id in ids {
            let job = job(&db, id).await;
            states.push((job.state, job.attempt, job.failures));
        }
        states.sort_by_key(|(_, attempt, _)| *attempt);
        let expected = [(JobState::Queued, 0, 0), (JobState::Done, 1, 0), (JobState::Done, 1, 0)];
        assert_eq!(states, expected);
        assert!(!workers.shutdown.hard().is_cancelled(), "the second stage was not needed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hard_stage_gives_leases_back_and_another_process_goes_on_at_once() {
    on_both_engines(|db| async move {
        let id = queue(&db, SystemClock.now()).await;
        let (leaving, running) = (workers(&db), Running::default());
        let counted = running.clone();
        let hangs = handler(move |job: Job, _: JobContext| {
            let ran = counted.begin(job.id);
            Box::pin(async move {
                let _ran = ran;
                std::future::pending().await
            })
        });
        leaving.start(&hangs, Capacity::slots(1));
        eventually(|| async { (running.now() == 1).then_some(()) }).await;

        leaving.shutdown.begin();
        let began = Instant::now();
        leaving.shutdown.run(Duration::from_millis(300)).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(300), "the grace time is given");
        assert_eq!(running.now(), 0, "nothing of it runs on");
        let back = job(&db, id).await;
        assert_eq!((back.state, back.attempt, back.failures), (JobState::Queued, 1, 0));
        assert_eq!(back.lease_owner, None);
        assert!(back.run_after <= SystemClock.now(), "no backoff: it did not fail");
        assert_eq!(jobs::story(&db, id).await.unwrap().last().unwrap().event, "released");

        let staying = workers(&db);
        let does = handler(|_: Job, _: JobContext| Box::pin(async { Ok(Completion::Removed) }));
        let started = Instant::now();
        staying.start(&does, Capacity::slots(1));
        let done = until(&db, id, JobState::Done).await;
        // Far less than the lease would have lasted.
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        assert_eq!((done.attempt, done.failures), (2, 0));
        stop(&staying).await;
    })
    .await;
}
