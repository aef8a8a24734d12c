//! What an idle process asks of its database. A test binary of its own: it counts every statement of the process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use lectern_domain::{ids::ProcessId, job::JobKind};
use lectern_platform::{
    clock::{SystemClock, new_id},
    events::AssetNews,
    shutdown::Shutdown,
    worker::{Handler, JobContext, Wakeups, Workers},
};
use lectern_store::{
    Db,
    jobs::Job,
    pipeline::{Completion, JobFailure},
    testing::on_both_engines,
};
use tracing_subscriber::{Layer, layer::SubscriberExt as _, registry::LookupSpan};

struct Nothing;

#[async_trait]
impl Handler for Nothing {
    fn kinds(&self) -> &'static [JobKind] {
        &[JobKind::Package, JobKind::CleanWork, JobKind::DeleteAsset]
    }

    async fn run(&self, _: &Job, _: &JobContext) -> Result<Completion, JobFailure> {
        unreachable!("nothing is queued")
    }
}

/// Counts what the database driver says it ran.
struct Statements(Arc<AtomicU64>);

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn idle_for(db: &Db, slots: usize, time: Duration) {
    let workers = Workers {
        db: db.clone(),
        clock: Arc::new(SystemClock),
        process: new_id(&SystemClock, ProcessId::generate),
        wakeups: Wakeups::default(),
        news: AssetNews::default(),
        shutdown: Shutdown::default(),
    };
    let handler: Arc<dyn Handler> = Arc::new(Nothing);
    workers.start(&handler, slots);
    workers.start_reaper();
    tokio::time::sleep(time).await;
    workers.shutdown.begin();
    workers.shutdown.run(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_process_hardly_speaks_to_its_database() {
    let counted = Arc::new(AtomicU64::new(0));
    let subscriber = tracing_subscriber::registry().with(Statements(counted.clone()));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    on_both_engines(move |db| {
        let counted = counted.clone();
        async move {
            let before = counted.load(Ordering::Relaxed);
            db.ping().await.unwrap();
            assert_eq!(counted.load(Ordering::Relaxed) - before, 1, "statements are seen");
            let before = counted.load(Ordering::Relaxed);
            idle_for(&db, 4, Duration::from_secs(12)).await;
            let statements = counted.load(Ordering::Relaxed) - before;
            // Four slots look at 0, 5 and 10 seconds, with two statements each (within a transaction); the reaper looks
            // once.
            let looks = 4 * 3;
            assert!((looks..=looks * 4 + 1).contains(&statements), "{:?}: {statements}", db.engine());
        }
    })
    .await;
}
