//! How many run at once, and how soon work begins.

use std::time::{Duration, Instant};

use lectern_domain::job::JobState;
use lectern_platform::{
    clock::{Clock as _, SystemClock},
    worker::{Capacity, JobContext},
};
use lectern_store::{
    Engine,
    jobs::Job,
    pipeline::{Completion, JobFailure},
    testing::on_both_engines,
};
use tokio::sync::mpsc;

use crate::world::{LONG, Running, eventually, handler, job, queue, stop, until, workers};

#[tokio::test(flavor = "multi_thread")]
async fn as_many_run_at_once_as_there_are_slots() {
    on_both_engines(|db| async move {
        let mut ids = Vec::new();
        for _ in 0..12 {
            ids.push(queue(&db, SystemClock.now()).await);
        }
        let (workers, running) = (workers(&db), Running::default());
        let counted = running.clone();
        let slow = handler(move |job: Job, _: JobContext| {
            let ran = counted.begin(job.id);
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(150)).await;
                drop(ran);
                Ok(Completion::Removed)
            })
        });
        workers.start(&slow, Capacity::slots(3));
        for id in ids {
            assert_eq!(until(&db, id, JobState::Done).await.attempt, 1);
        }
        stop(&workers).await;
        assert_eq!((running.most(), running.now()), (3, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_begins_work_at_once() {
    on_both_engines(|db| async move {
        let workers = workers(&db);
        let (begun, mut begins) = mpsc::unbounded_channel();
        let tells = handler(move |job: Job, _: JobContext| {
            begun.send((job.id, Instant::now())).unwrap();
            Box::pin(async { Ok(Completion::Removed) })
        });
        workers.start(&tells, Capacity::slots(2));
        let mut waits = Vec::new();
        for _ in 0..10 {
            // Long enough for both loops to have found nothing and to wait for their next look, seconds away.
            tokio::time::sleep(Duration::from_millis(150)).await;
            let id = queue(&db, SystemClock.now()).await;
            let told = Instant::now();
            workers.wakeups.wake();
            let (began, at) = tokio::time::timeout(LONG, begins.recv()).await.unwrap().unwrap();
            assert_eq!(began, id);
            waits.push(at.duration_since(told));
            until(&db, id, JobState::Done).await;
        }
        stop(&workers).await;
        waits.sort();
        assert!(waits[5] < Duration::from_millis(250) && waits[9] < Duration::from_secs(2), "{waits:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_hint_costs_a_poll_and_a_backoff_is_slept_through() {
    on_both_engines(|db| async move {
        let workers = workers(&db);
        let fails_once = handler(|job: Job, _: JobContext| {
            Box::pin(async move {
                if job.attempt == 1 {
                    return Err(JobFailure::Retry("not yet".into()));
                }
                Ok(Completion::Removed)
            })
        });
        workers.start(&fails_once, Capacity::slots(1));
        tokio::time::sleep(Duration::from_millis(200)).await;
        let id = queue(&db, SystemClock.now()).await;
        let told = Instant::now();
        let failed = eventually(|| async { Some(job(&db, id).await).filter(|job| job.failures == 1) }).await;
        assert!(told.elapsed() < Duration::from_secs(8), "{:?}", told.elapsed());
        let done = until(&db, id, JobState::Done).await;
        let late = SystemClock.now() - failed.run_after;
        // On PostgreSQL nobody relays here, so the table is only looked at: every two and a half seconds at most.
        let latest = if db.engine() == Engine::Postgres { 3 } else { 2 };
        assert!(late >= time::Duration::ZERO && late < time::Duration::seconds(latest), "{late}");
        assert_eq!((done.attempt, done.failures), (2, 1));
        stop(&workers).await;
    })
    .await;
}
