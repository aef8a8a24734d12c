//! The worker loop among several processes, over RabbitMQ and PostgreSQL.

use std::{sync::Arc, time::Duration};

use lectern_domain::{
    ids::ProcessId,
    job::{JobState, WorkClass},
};
use lectern_platform::{
    clock::{Clock as _, SystemClock, new_id},
    queue::{self, SharedQueue},
    relay::Relay,
    testing::{FaultProxy, service},
    worker::{Capacity, JobContext, Workers},
};
use lectern_store::{Db, jobs::Job, outbox, pipeline::Completion, processes, testing::on_postgres};

use crate::world::{LONG, Running, eventually, handler, queue as queue_job, stop, until, workers};

async fn open(url: &str, prefix: &str) -> SharedQueue {
    queue::open(&format!("{url}?prefix={prefix}").into()).await.unwrap()
}

fn prefix() -> String {
    format!("test-{:016x}", rand::random::<u64>())
}

/// A process that offers to relay.
fn process(db: &Db, queue: &SharedQueue) -> Workers {
    let workers = Workers { queue: queue.clone(), ..workers(db) };
    relay(&workers).start(&workers.shutdown);
    workers
}

fn relay(workers: &Workers) -> Relay {
    Relay {
        db: workers.db.clone(),
        clock: workers.clock.clone(),
        process: workers.process,
        queue: workers.queue.clone(),
        wakeups: workers.wakeups.clone(),
    }
}

async fn all_taken(db: &Db, queue: &SharedQueue) {
    eventually(|| async {
        let waiting = queue.depth(Some(WorkClass::FirstVideo)).await.unwrap();
        (waiting == 0 && outbox::count(db).await.unwrap() == 0).then_some(())
    })
    .await;
    assert_eq!(queue.depth(None).await.unwrap(), 0, "nothing was put aside");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_reach_every_process_and_are_acknowledged_when_they_end() {
    on_postgres(|db| {
        Box::pin(async move {
            let name = prefix();
            let queue = open(&service("LECTERN_TEST_AMQP_URL"), &name).await;
            let other = open(&service("LECTERN_TEST_AMQP_URL"), &name).await;
            let (one, two) = (process(&db, &queue), process(&db, &other));
            let running = Running::default();
            let counted = running.clone();
            let slow = handler(move |job: Job, _: JobContext| {
                let ran = counted.begin(job.id);
                Box::pin(async move {
                    tokio::time::sleep(Duration::from_millis(60)).await;
                    drop(ran);
                    Ok(Completion::Removed)
                })
            });
            one.start(&slow, Capacity::slots(2));
            two.start(&slow, Capacity::slots(2));
            let mut ids = Vec::new();
            for _ in 0..30 {
                ids.push(queue_job(&db, SystemClock.now()).await);
            }
            for id in ids {
                assert_eq!(until(&db, id, JobState::Done).await.attempt, 1);
            }
            assert_eq!(running.most(), 4, "both work, neither more than it may");
            all_taken(&db, &queue).await;
            stop(&one).await;
            stop(&two).await;
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_while_a_job_runs_does_not_run_it_twice() {
    on_postgres(|db| {
        Box::pin(async move {
            let url = url::Url::parse(&service("LECTERN_TEST_AMQP_URL")).unwrap();
            let upstream = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5672));
            let proxy = FaultProxy::start(upstream).await;
            let mut through = url.clone();
            through.set_port(Some(proxy.address().port())).unwrap();
            let name = prefix();
            let workers = process(&db, &open(through.as_str(), &name).await);
            let running = Running::default();
            let counted = running.clone();
            let slow = handler(move |job: Job, _: JobContext| {
                let ran = counted.begin(job.id);
                Box::pin(async move {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    drop(ran);
                    Ok(Completion::Removed)
                })
            });
            workers.start(&slow, Capacity::slots(2));
            let id = queue_job(&db, SystemClock.now()).await;
            eventually(|| async { (running.now() == 1).then_some(()) }).await;
            // The broker hands the announcement out again, to the same process once it is back.
            proxy.cut();
            let done = until(&db, id, JobState::Done).await;
            assert_eq!((done.attempt, done.failures, running.most()), (1, 0, 1));
            all_taken(&db, &open(url.as_str(), &name).await).await;
            stop(&workers).await;
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_work_goes_on_and_is_announced_when_it_comes_back() {
    on_postgres(|db| {
        Box::pin(async move {
            let url = url::Url::parse(&service("LECTERN_TEST_AMQP_URL")).unwrap();
            let upstream = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5672));
            let proxy = FaultProxy::start(upstream).await;
            proxy.set(lectern_platform::testing::Mode::Refuse).await;
            let mut through = url.clone();
            through.set_port(Some(proxy.address().port())).unwrap();
            let name = prefix();
            let workers = process(&db, &open(through.as_str(), &name).await);
            let nothing = handler(|_: Job, _: JobContext| Box::pin(async { Ok(Completion::Removed) }));
            workers.start(&nothing, Capacity::slots(1));
            let id = queue_job(&db, SystemClock.now()).await;
            until(&db, id, JobState::Done).await;
            assert!(outbox::count(&db).await.unwrap() > 0, "nobody took it");
            proxy.set(lectern_platform::testing::Mode::Pass).await;
            all_taken(&db, &open(url.as_str(), &name).await).await;
            stop(&workers).await;
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_relays_when_the_one_that_did_is_gone() {
    on_postgres(|db| {
        Box::pin(async move {
            let clock = Arc::new(SystemClock);
            let gone = new_id(clock.as_ref(), ProcessId::generate);
            let now = clock.now();
            let term = time::Duration::seconds(4);
            assert!(processes::hold(&db, "relay", gone, now + term, now).await.unwrap());
            let queue = open(&service("LECTERN_TEST_AMQP_URL"), &prefix()).await;
            let (one, two) = (process(&db, &queue), process(&db, &queue));
            queue_job(&db, SystemClock.now()).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert!(outbox::count(&db).await.unwrap() > 0, "it is the other's to relay");
            tokio::time::timeout(LONG, async {
                while outbox::count(&db).await.unwrap() > 0 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            })
            .await
            .unwrap();
            // Given up at the end, so that the next one need not wait.
            stop(&one).await;
            stop(&two).await;
            let now = SystemClock.now();
            assert!(processes::hold(&db, "relay", gone, now + term, now).await.unwrap());
        })
    })
    .await;
}
