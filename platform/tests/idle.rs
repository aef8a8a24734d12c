//! What an idle process asks of its database. A test binary of its own: it counts every statement of the process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use lectern_domain::job::WorkClass;
use lectern_platform::{
    clock::SystemClock,
    worker::{Capacity, Handler, JobContext, Workers},
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
    fn classes(&self) -> &'static [WorkClass] {
        &[WorkClass::Packaging]
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
    let workers = Workers::alone(db.clone(), Arc::new(SystemClock));
    let handler: Arc<dyn Handler> = Arc::new(Nothing);
    workers.start(&handler, Capacity::slots(slots));
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
            // However many slots it has, it looks at 0, 5 and 10 seconds (more often among other processes), with two or
            // three statements; the reaper looks once, with two.
            assert!((3..=16).contains(&statements), "{:?}: {statements}", db.engine());
        }
    })
    .await;
}
