//! The queue's conformance suite. Every form of the door runs it.

use std::{collections::HashSet, time::Duration};

use lectern_domain::{
    Timestamp,
    ids::{AssetId, JobId},
    job::WorkClass,
};
use lectern_platform::{
    events::Event,
    queue::{self, Announcement, Deliveries, Delivery, Queue, SharedQueue},
};
use tokio::time::timeout;

/// Longer than anything here takes on a slow machine.
const LONG: Duration = Duration::from_secs(30);
/// Long enough that what comes at all would have come.
const MOMENT: Duration = Duration::from_millis(700);

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `make test`, or `eval \"$(infra/test-services.sh start)\"` before")
    })
}

/// Names of a test's own, so that tests share a broker.
fn prefix() -> String {
    format!("test-{:016x}", rand::random::<u64>())
}

fn work(class: WorkClass, attempt: u32) -> Announcement {
    let now = Timestamp::now_utc();
    let (job, asset) = (JobId::generate(now, &rand::random()), AssetId::generate(now, &rand::random()));
    Announcement { class, job, asset, attempt }
}

async fn next(deliveries: &mut dyn Deliveries) -> Delivery {
    timeout(LONG, deliveries.next()).await.expect("an announcement comes")
}

async fn nothing_more(deliveries: &mut dyn Deliveries) {
    let came = timeout(MOMENT, deliveries.next()).await;
    assert!(came.is_err(), "{came:?}");
}

async fn depth(queue: &dyn Queue, class: WorkClass, expected: u64) {
    let counted = async {
        while queue.depth(Some(class)).await.unwrap() != expected {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LONG, counted).await.unwrap_or_else(|_| panic!("{class:?} never has {expected} waiting"));
}

async fn conforms(queue: SharedQueue) {
    queue.check().await.unwrap();
    queue.announce(&[]).await.unwrap();

    // Every announcement comes to its class, once.
    let sent: Vec<Announcement> =
        (0..60).map(|index| work(WorkClass::ALL[index as usize % 4], index)).collect();
    queue.announce(&sent).await.unwrap();
    for class in WorkClass::ALL {
        depth(queue.as_ref(), class, 15).await;
        let mut deliveries = queue.subscribe(class, 4);
        let mut came = HashSet::new();
        for _ in 0..15 {
            let delivery = next(deliveries.as_mut()).await;
            assert!(!delivery.redelivered);
            assert!(sent.contains(&delivery.announcement) && delivery.announcement.class == class);
            assert!(came.insert(delivery.announcement.job));
            delivery.hold().await;
            delivery.done().await;
        }
        nothing_more(deliveries.as_mut()).await;
        depth(queue.as_ref(), class, 0).await;
    }

    // No more than asked for are in hand.
    let class = WorkClass::BulkVideo;
    let sent: Vec<Announcement> = (0..3).map(|index| work(class, index)).collect();
    queue.announce(&sent).await.unwrap();
    let mut deliveries = queue.subscribe(class, 2);
    let first = next(deliveries.as_mut()).await;
    let second = next(deliveries.as_mut()).await;
    nothing_more(deliveries.as_mut()).await;
    first.done().await;
    let third = next(deliveries.as_mut()).await;

    // What is given back comes again; so does what is held by somebody who goes away.
    let job = second.announcement.job;
    second.again().await;
    let second = next(deliveries.as_mut()).await;
    assert_eq!((second.announcement.job, second.redelivered), (job, true));
    let held = HashSet::from([second.announcement.job, third.announcement.job]);
    drop((second, third, deliveries));
    let mut others = queue.subscribe(class, 8);
    let mut came = HashSet::new();
    while came.len() < held.len() {
        let delivery = next(others.as_mut()).await;
        assert!(delivery.redelivered);
        came.insert(delivery.announcement.job);
        delivery.done().await;
    }
    assert_eq!(came, held);
    nothing_more(others.as_mut()).await;
    drop(others);

    // Two workers share.
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let (mut deliveries, tell) = (queue.subscribe(class, 1), tell.clone());
            tokio::spawn(async move {
                loop {
                    let delivery = deliveries.next().await;
                    let job = delivery.announcement.job;
                    delivery.done().await;
                    tell.send(job).unwrap();
                }
            })
        })
        .collect();
    let sent: Vec<Announcement> = (0..10).map(|index| work(class, index)).collect();
    queue.announce(&sent).await.unwrap();
    let mut came = HashSet::new();
    while came.len() < sent.len() {
        assert!(came.insert(timeout(LONG, told.recv()).await.unwrap().unwrap()));
    }
    for worker in workers {
        worker.abort();
    }
    depth(queue.as_ref(), class, 0).await;
    assert_eq!(queue.depth(None).await.unwrap(), 0, "nothing was put aside");
    let event = Event { topic: "asset.ready".into(), body: serde_json::json!({ "asset": 1 }) };
    queue.publish(&[event]).await.unwrap();
}

async fn open(url: &str) -> Result<SharedQueue, queue::QueueError> {
    queue::open(&url.to_owned().into()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_queue_conforms() {
    conforms(open("local:").await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_conforms() {
    let url = format!("{}?prefix={}", variable("LECTERN_TEST_AMQP_URL"), prefix());
    conforms(open(&url).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqs_conforms() {
    // The server for tests checks no credentials, the client wants some.
    let url = format!(
        "sqs://eu-north-1?prefix={}&visibility_s=3&endpoint={}",
        prefix(),
        variable("LECTERN_TEST_MOTO_ENDPOINT")
    );
    conforms(open(&url).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_every_listener_over_rabbitmq() {
    let url = format!("{}?prefix={}", variable("LECTERN_TEST_AMQP_URL"), prefix());
    let (sender, listener) = (open(&url).await.unwrap(), open(&url).await.unwrap());
    let (mut one, mut other) = (sender.listen().unwrap(), listener.listen().unwrap());
    // A listener says that it has begun, so that whoever missed something looks elsewhere.
    assert_eq!(timeout(LONG, one.next()).await.unwrap(), None);
    assert_eq!(timeout(LONG, other.next()).await.unwrap(), None);
    let events = ["asset.ready", "entitlement.changed", "key.revoked"]
        .map(|topic| Event { topic: topic.into(), body: serde_json::json!({ "asset": 7 }) });
    sender.publish(&events).await.unwrap();
    for event in events {
        assert_eq!(timeout(LONG, one.next()).await.unwrap().as_ref(), Some(&event));
        assert_eq!(timeout(LONG, other.next()).await.unwrap(), Some(event));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_cannot_work_are_refused_without_a_word_of_their_password() {
    for url in [
        "",
        "amqp",
        "nats://host",
        "amqp://user:s3cret@host/vhost?prefix=a.b",
        "amqp://user:s3cret@host/vhost?prefix=",
        "amqp://user:s3cret@host/vhost?heartbeat=never",
        "sqs://",
        "sqs://region?visibility_s=0",
        "sqs://region?colour=red",
    ] {
        let error = open(url).await.map(drop).expect_err(url).to_string();
        assert!(error.contains("expected") && !error.contains("s3cret"), "{url}: {error}");
    }
    // Nobody there: an error within the time that is promised.
    let nobody = open("amqp://user:s3cret@127.0.0.1:1/v").await.unwrap();
    let error = timeout(LONG, nobody.announce(&[work(WorkClass::Audio, 0)])).await.unwrap().unwrap_err();
    assert!(!format!("{error} {error:?} {nobody:?}").contains("s3cret"), "{error}");
}
