//! Ten thousand jobs of no work through RabbitMQ and PostgreSQL, beside a bare lapin producer and consumer of the same
//! durability on the same broker. Prints one JSON object; `benches/many-machines` puts it into
//! docs/benchmarks-many-machines.md.
//!
//! Both sides: persistent messages in a quorum queue, confirmed in batches of 500, at most 256 unacknowledged, each
//! acknowledged by itself. Lectern's side inserts jobs in transactions of ten (as a plan does), relays them through the
//! outbox, claims, completes and tells the story of each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::StreamExt as _;
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use lectern_domain::{
    account::Role,
    ids::{AssetId, LessonId, UserId},
    job::{JobPayload, WorkClass},
};
use lectern_platform::{
    clock::{Clock as _, SystemClock},
    queue,
    relay::Relay,
    testing::service,
    worker::{Capacity, Handler, JobContext, Workers},
};
use lectern_store::{
    Db,
    accounts::{self, User},
    assets::NewAsset,
    jobs::{self, Job, NewJob},
    outbox,
    pipeline::{self, Completion, JobFailure},
    testing::on_postgres,
};
use tokio::sync::Notify;
use tracing_subscriber::{Layer, layer::SubscriberExt as _, registry::LookupSpan};

const JOBS: u64 = 10_000;
const ASSETS: u64 = 1_000;
const IN_HAND: u16 = 256;
const BATCH: u64 = 500;
const ROUNDS: usize = 3;

/// Messages a second through the broker and nothing else.
async fn bare() -> f64 {
    let url = service("LECTERN_TEST_AMQP_URL");
    let name = format!("bench-{:016x}", rand::random::<u64>());
    let (producer, consumer) = (connect(&url).await, connect(&url).await);
    let channel = producer.create_channel().await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.clone().into(), durable, arguments).await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let taking = consumer.create_channel().await.unwrap();
    taking.basic_qos(IN_HAND, BasicQosOptions::default()).await.unwrap();
    let mut deliveries = taking
        .basic_consume(name.clone().into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await
        .unwrap();
    let since = Instant::now();
    let taken = tokio::spawn(async move {
        for _ in 0..JOBS {
            let delivery = deliveries.next().await.unwrap().unwrap();
            delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
        }
    });
    // As long as an announcement.
    let body = [b'x'; 130];
    for _ in 0..JOBS / BATCH {
        let mut confirms = Vec::new();
        for _ in 0..BATCH {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let options = BasicPublishOptions::default();
            confirms.push(
                channel
                    .basic_publish("".into(), name.clone().into(), options, &body, properties)
                    .await
                    .unwrap(),
            );
        }
        for confirm in confirms {
            assert!(confirm.await.unwrap().is_ack());
        }
    }
    taken.await.unwrap();
    let rate = JOBS as f64 / since.elapsed().as_secs_f64();
    channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.unwrap();
    rate
}

async fn connect(url: &str) -> Connection {
    Connection::connect(url, ConnectionProperties::default()).await.unwrap()
}

struct Nothing {
    left: AtomicU64,
    done: Notify,
}

#[async_trait]
impl Handler for Nothing {
    fn classes(&self) -> &'static [WorkClass] {
        &[WorkClass::Packaging]
    }

    async fn run(&self, _: &Job, _: &JobContext) -> Result<Completion, JobFailure> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.done.notify_one();
        }
        Ok(Completion::Removed)
    }
}

async fn assets_of_somebody(db: &Db) -> Vec<AssetId> {
    let now = SystemClock.now();
    let owner = UserId::generate(now, &rand::random());
    let user = User {
        id: owner,
        email: "bench@example.org".into(),
        name: "Somebody".into(),
        role: Role::Instructor,
        created_at: now,
        disabled_at: None,
    };
    accounts::insert(db, &user, "hash").await.unwrap();
    let mut made = Vec::new();
    let mut tx = db.begin().await.unwrap();
    for _ in 0..ASSETS {
        let id = AssetId::generate(now, &rand::random());
        let lesson = LessonId::generate(now, &rand::random());
        let new = NewAsset {
            id,
            owner,
            lesson,
            filename: "lecture.mp4".into(),
            source_bytes: 1,
            wrapped_secret: Vec::new(),
            trim: None,
        };
        pipeline::create_asset(&mut tx, new, now).await.unwrap();
        made.push(id);
    }
    tx.commit().await.unwrap();
    made
}

/// Jobs a second from their insertion to the last completion and acknowledgement; statements for one.
async fn lectern(db: Db, statements: Arc<AtomicU64>) -> (f64, f64) {
    let prefix = format!("bench-{:016x}", rand::random::<u64>());
    let url = format!("{}?prefix={prefix}", service("LECTERN_TEST_AMQP_URL"));
    let queue = queue::open(&url.into()).await.unwrap();
    queue.check().await.unwrap();
    let assets = assets_of_somebody(&db).await;
    let clock = Arc::new(SystemClock);
    let workers = Workers { queue: queue.clone(), ..Workers::alone(db.clone(), clock.clone()) };
    let handler = Arc::new(Nothing { left: AtomicU64::new(JOBS), done: Notify::new() });
    let dynamic: Arc<dyn Handler> = handler.clone();
    let relay = Relay {
        db: db.clone(),
        clock,
        process: workers.process,
        queue: queue.clone(),
        wakeups: workers.wakeups.clone(),
    };
    let before = statements.load(Ordering::Relaxed);
    let since = Instant::now();
    relay.start(&workers.shutdown);
    workers.start(&dynamic, Capacity::slots(IN_HAND.into()));
    let inserting = assets.chunks(assets.len() / 4).map(|assets| {
        let (db, assets) = (db.clone(), assets.to_vec());
        tokio::spawn(async move {
            for asset in assets {
                let now = SystemClock.now();
                let mut tx = db.begin().await.unwrap();
                let job = |index| NewJob {
                    dedup_key: format!("{asset}:{index}"),
                    payload: JobPayload::CleanWork { asset },
                    priority: 0,
                    weight: 0.0,
                    owner: None,
                    turn: 0,
                    memory_mib: 0,
                };
                let new: Vec<NewJob> = (0..JOBS / ASSETS).map(job).collect();
                assert_eq!(jobs::insert_all(&mut tx, &new, now).await.unwrap(), JOBS / ASSETS);
                tx.commit().await.unwrap();
            }
        })
    });
    futures::future::join_all(inserting.collect::<Vec<_>>()).await;
    handler.done.notified().await;
    loop {
        let states = jobs::count_by_state(&db).await.unwrap();
        let done = states.iter().any(|(_, state, total)| state == "done" && *total == JOBS);
        if done && outbox::count(&db).await.unwrap() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let rate = JOBS as f64 / since.elapsed().as_secs_f64();
    let each = (statements.load(Ordering::Relaxed) - before) as f64 / JOBS as f64;
    workers.shutdown.begin();
    workers.shutdown.run(Duration::from_secs(10)).await.unwrap();
    (rate, each)
}

/// Counts what the database driver says it ran.
struct Statements(Arc<AtomicU64>);

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn enabled(
        &self,
        metadata: &tracing::Metadata<'_>,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) -> bool {
        metadata.target() == "sqlx::query"
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::main]
async fn main() {
    let counted = Arc::new(AtomicU64::new(0));
    let subscriber = tracing_subscriber::registry().with(Statements(counted.clone()));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let (mut bares, mut ours, mut ratios, mut each) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let bare = bare().await;
        let (send, receive) = tokio::sync::oneshot::channel();
        let counted = counted.clone();
        on_postgres(|db| {
            Box::pin(async move {
                let _ = send.send(lectern(db, counted).await);
            })
        })
        .await;
        let (rate, statements) = receive.await.unwrap();
        eprintln!(
            "bare lapin {bare:.0}/s, Lectern {rate:.0} jobs/s ({:.2}), {statements:.2} statements a job",
            rate / bare
        );
        bares.push(bare);
        ours.push(rate);
        ratios.push(rate / bare);
        each.push(statements);
    }
    println!(
        "{}",
        serde_json::json!({
            "jobs": JOBS,
            "rounds": ROUNDS,
            "bare_per_s": median(bares),
            "lectern_per_s": median(ours),
            "ratio": median(ratios),
            "statements_per_job": median(each),
        })
    );
}
