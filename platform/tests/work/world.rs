//! What the tests of the worker loop share: jobs to do, and a handler made from a closure.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use lectern_domain::{
    Timestamp,
    account::Role,
    ids::{AssetId, JobId, LessonId, UserId},
    job::{JobState, WorkClass},
};
use lectern_platform::{
    clock::{Clock, SystemClock},
    worker::{Handler, JobContext, Workers},
};
use lectern_store::{
    Db,
    accounts::{self, User},
    assets::NewAsset,
    jobs::{self, Job},
    pipeline::{self, Completion, JobFailure},
};

/// Longer than anything here takes on a slow machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) type Outcome = Result<Completion, JobFailure>;

/// A handler that does what its closure says.
pub(crate) struct Does<F>(pub(crate) F);

#[async_trait]
impl<F> Handler for Does<F>
where
    F: Fn(Job, JobContext) -> BoxFuture<'static, Outcome> + Send + Sync,
{
    fn classes(&self) -> &'static [WorkClass] {
        &[WorkClass::FirstVideo]
    }

    async fn run(&self, job: &Job, context: &JobContext) -> Outcome {
        (self.0)(job.clone(), context.clone()).await
    }
}

pub(crate) fn handler<F>(does: F) -> Arc<dyn Handler>
where
    F: Fn(Job, JobContext) -> BoxFuture<'static, Outcome> + Send + Sync + 'static,
{
    Arc::new(Does(does))
}

/// A process of its own on a shared database, with the machine's clock.
pub(crate) fn workers(db: &Db) -> Workers {
    workers_at(db, Arc::new(SystemClock))
}

pub(crate) fn workers_at(db: &Db, clock: Arc<dyn Clock>) -> Workers {
    Workers::alone(db.clone(), clock)
}

/// Ends the loops, as a drained process would.
pub(crate) async fn stop(workers: &Workers) {
    workers.shutdown.begin();
    workers.shutdown.run(LONG).await.unwrap();
}

/// Queues a job, that of an asset whose source has just come. Tells nobody.
pub(crate) async fn queue(db: &Db, now: Timestamp) -> JobId {
    let owner = UserId::generate(now, &rand::random());
    let user = User {
        id: owner,
        email: format!("{owner}@example.org"),
        name: "Somebody".into(),
        role: Role::Instructor,
        created_at: now,
        disabled_at: None,
    };
    accounts::insert(db, &user, "hash").await.unwrap();
    let asset = AssetId::generate(now, &rand::random());
    let new = NewAsset {
        id: asset,
        owner,
        lesson: LessonId::generate(now, &rand::random()),
        filename: "lecture.mp4".into(),
        source_bytes: 1_000,
        wrapped_secret: Vec::new(),
        trim: None,
    };
    let mut tx = db.begin().await.unwrap();
    pipeline::create_asset(&mut tx, new, now).await.unwrap();
    assert!(pipeline::upload_finished(&mut tx, asset, now).await.unwrap());
    tx.commit().await.unwrap();
    jobs::of_asset(db, asset).await.unwrap()[0].id
}

pub(crate) async fn job(db: &Db, id: JobId) -> Job {
    jobs::find(db, id).await.unwrap().unwrap()
}

/// Waits until a job stands so.
pub(crate) async fn until(db: &Db, id: JobId, state: JobState) -> Job {
    eventually(|| async {
        let job = job(db, id).await;
        (job.state == state).then_some(job)
    })
    .await
}

/// Waits for something to come about.
pub(crate) async fn eventually<T, F, Fut>(mut look: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let waiting = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("it comes about in time")
}

/// Counts what runs, for each job and in all, also when it is dropped half way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    now: HashMap<JobId, u32>,
    most: usize,
}

pub(crate) struct Ran {
    running: Running,
    job: JobId,
}

impl Running {
    /// Counted until the answer is dropped.
    pub(crate) fn begin(&self, job: JobId) -> Ran {
        let mut counts = self.0.lock().unwrap();
        *counts.now.entry(job).or_default() += 1;
        let total = counts.now.values().sum::<u32>() as usize;
        counts.most = counts.most.max(total);
        Ran { running: self.clone(), job }
    }

    /// How many run now.
    pub(crate) fn now(&self) -> usize {
        self.0.lock().unwrap().now.values().sum::<u32>() as usize
    }

    /// How many ran at once at the most.
    pub(crate) fn most(&self) -> usize {
        self.0.lock().unwrap().most
    }
}

impl Drop for Ran {
    fn drop(&mut self) {
        *self.running.0.lock().unwrap().now.get_mut(&self.job).unwrap() -= 1;
    }
}
