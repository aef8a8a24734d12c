//! What happens to a running attempt: its lease is kept, or lost, or its handler panics.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use lectern_domain::{
    ids::ProcessId,
    job::{JobKind, JobState},
};
use lectern_platform::{
    clock::{Clock as _, ManualClock, SystemClock, new_id},
    worker::{Capacity, JobContext, LEASE},
};
use lectern_store::{
    jobs::{self, Job, PutBack},
    pipeline::{self, Completion, Taken},
    testing::on_both_engines,
};
use tokio::sync::watch;

use crate::world::{Running, eventually, handler, job, queue, stop, until, workers, workers_at};

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_keep_the_lease_of_a_long_job() {
    on_both_engines(|db| async move {
        let clock = ManualClock::at(1_800_000_000);
        let id = queue(&db, clock.now()).await;
        let (release, released) = watch::channel(false);
        let waits = handler(move |_: Job, context: JobContext| {
            let mut released = released.clone();
            Box::pin(async move {
                context.progress(0.5);
                // Never backwards.
                context.progress(0.25);
                released.wait_for(|released| *released).await.unwrap();
                Ok(Completion::Removed)
            })
        });
        let workers = workers_at(&db, Arc::new(clock.clone()));
        workers.start(&waits, Capacity::slots(1));
        until(&db, id, JobState::Leased).await;
        for _ in 0..4 {
            // Two thirds of a lease at a time: two such steps without a heartbeat would lose it.
            clock.advance(LEASE * 2 / 3);
            let until = clock.now() + LEASE / 2;
            eventually(|| async { jobs::expired(&db, until).await.unwrap().is_empty().then_some(()) }).await;
        }
        let held = job(&db, id).await;
        assert_eq!((held.state, held.attempt), (JobState::Leased, 1));
        assert!((held.progress - 0.5).abs() < 1e-9, "{}", held.progress);
        release.send(true).unwrap();
        assert_eq!(until(&db, id, JobState::Done).await.attempt, 1);
        stop(&workers).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_ends_the_handler_and_leaves_the_job_to_its_new_holder() {
    on_both_engines(|db| async move {
        let id = queue(&db, SystemClock.now()).await;
        let (workers, running) = (workers(&db), Running::default());
        let contexts = Arc::new(Mutex::new(Vec::new()));
        let (counted, kept) = (running.clone(), contexts.clone());
        let hangs = handler(move |job: Job, context: JobContext| {
            if job.attempt > 1 {
                return Box::pin(async { Ok(Completion::Removed) });
            }
            let ran = counted.begin(job.id);
            kept.lock().unwrap().push(context);
            Box::pin(async move {
                let _ran = ran;
                std::future::pending().await
            })
        });
        workers.start(&hangs, Capacity::slots(1));
        let held = until(&db, id, JobState::Leased).await;
        eventually(|| async { (running.now() == 1).then_some(()) }).await;

        // Somebody took this process for dead, and another works on the job now.
        let now = SystemClock.now();
        assert_eq!(pipeline::job_put_back(&db, &held, PutBack::LeaseLost, now).await.unwrap(), Taken::Yes);
        let (other, lease) = (new_id(&SystemClock, ProcessId::generate), time::Duration::minutes(1));
        let theirs =
            lectern_store::testing::claim(&db, other, &[JobKind::Probe], now, lease).await.unwrap().unwrap();
        assert_eq!((theirs.id, theirs.attempt), (id, 2));

        eventually(|| async { (running.now() == 0).then_some(()) }).await;
        assert!(contexts.lock().unwrap()[0].cancelled().is_cancelled());
        // The loop lives on, and what it wrote at the end of its attempt changed nothing.
        let next = queue(&db, SystemClock.now()).await;
        workers.wakeups.wake();
        eventually(|| async { (running.now() == 1).then_some(()) }).await;
        assert_eq!(job(&db, next).await.state, JobState::Leased);
        let after = job(&db, id).await;
        assert_eq!((after.state, after.attempt, after.lease_owner), (JobState::Leased, 2, Some(other)));
        workers.shutdown.begin();
        workers.shutdown.run(Duration::ZERO).await.unwrap();
        assert_eq!(pipeline::complete(&db, &theirs, Completion::Removed, now).await.unwrap(), Taken::Yes);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_failure_and_the_loop_lives_on() {
    on_both_engines(|db| async move {
        let workers = workers(&db);
        let panics = handler(|job: Job, _: JobContext| {
            Box::pin(async move {
                assert!(job.attempt > 1, "a bug in a handler");
                Ok(Completion::Removed)
            })
        });
        workers.start(&panics, Capacity::slots(1));
        let ids = [queue(&db, SystemClock.now()).await, queue(&db, SystemClock.now()).await];
        workers.wakeups.wake();
        for id in ids {
            let done = until(&db, id, JobState::Done).await;
            assert_eq!((done.attempt, done.failures), (2, 1));
            let story = jobs::story(&db, id).await.unwrap();
            let failed = story.iter().find(|line| line.event == "failed").unwrap();
            assert_eq!((failed.attempt, failed.detail.as_str()), (1, "the handler panicked"));
        }
        stop(&workers).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_of_a_dead_process_runs_out_and_its_job_goes_on() {
    on_both_engines(|db| async move {
        let clock = ManualClock::at(1_800_000_000);
        let id = queue(&db, clock.now()).await;
        // A process that claims and is never heard of again.
        let lease = time::Duration::try_from(LEASE).unwrap();
        let dead = new_id(&clock, ProcessId::generate);
        lectern_store::testing::claim(&db, dead, &[JobKind::Probe], clock.now(), lease)
            .await
            .unwrap()
            .unwrap();
        clock.advance(LEASE);

        let workers = workers_at(&db, Arc::new(clock));
        let does = handler(|_: Job, _: JobContext| Box::pin(async { Ok(Completion::Removed) }));
        workers.start(&does, Capacity::slots(1));
        workers.start_reaper();
        let done = until(&db, id, JobState::Done).await;
        assert_eq!((done.attempt, done.failures), (2, 0));
        stop(&workers).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_process_of_a_deployment_takes_over_at_its_start() {
    on_both_engines(|db| async move {
        let now = SystemClock.now();
        let ids = [queue(&db, now).await, queue(&db, now).await];
        let (dead, lease) = (new_id(&SystemClock, ProcessId::generate), time::Duration::minutes(1));
        for _ in ids {
            lectern_store::testing::claim(&db, dead, &[JobKind::Probe], now, lease).await.unwrap().unwrap();
        }
        let workers = workers(&db);
        assert_eq!(workers.take_over().await.unwrap(), 2);
        assert_eq!(workers.take_over().await.unwrap(), 0);
        let does = handler(|_: Job, _: JobContext| Box::pin(async { Ok(Completion::Removed) }));
        workers.start(&does, Capacity::slots(2));
        for id in ids {
            let done = until(&db, id, JobState::Done).await;
            assert_eq!((done.attempt, done.failures), (2, 0));
        }
        stop(&workers).await;
    })
    .await;
}
