//! The worker loop: claim a job under a lease, run its handler, keep the lease by heartbeats, write the outcome.
//!
//! What may be interrupted: waiting for work, at any time. What may not: a running handler during the soft stage of
//! shutdown. In the hard stage, or when the lease is lost, the handler is told through [`JobContext::cancelled`] and
//! dropped; whatever it wrote belongs to an attempt that can no longer complete.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lectern_domain::{ids::ProcessId, job::JobKind};
use lectern_store::{
    Db,
    jobs::{self, Job, PutBack},
    pipeline::{self, Completion, JobFailure, Taken},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, events::AssetNews, shutdown::Shutdown};

/// How long a claimed job belongs to its worker without a heartbeat.
pub const LEASE: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A hint may be lost; the table is looked at this often anyway.
const POLL: Duration = Duration::from_secs(5);

/// In-process hints that there may be work. Cheap to clone. The jobs table is the truth.
#[derive(Debug, Clone)]
pub struct Wakeups(Arc<watch::Sender<u64>>);

impl Default for Wakeups {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Wakeups {
    /// There may be new work.
    pub fn wake(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Does the jobs of some kinds.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Which kinds.
    fn kinds(&self) -> &'static [JobKind];
    /// Does one. Must be safe to run again after any crash: an attempt's bytes go to places of its own, or are the
    /// same bytes every time.
    async fn run(&self, job: &Job, context: &JobContext) -> Result<Completion, JobFailure>;
}

/// What a running handler knows of its surroundings.
#[derive(Debug, Clone)]
pub struct JobContext {
    progress: Arc<AtomicU64>,
    cancelled: CancellationToken,
}

impl JobContext {
    /// Reports how far the job is, from 0 to 1. Never goes backwards.
    pub fn progress(&self, value: f64) {
        let millionths = (value.clamp(0.0, 1.0) * 1e6) as u64;
        self.progress.fetch_max(millionths, Ordering::Relaxed);
    }

    /// Cancelled when the attempt is no longer wanted.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    fn current(&self) -> f64 {
        self.progress.load(Ordering::Relaxed) as f64 / 1e6
    }
}

/// Runs handlers over the jobs table. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Workers {
    /// The database with the jobs.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// This process, the owner of leases.
    pub process: ProcessId,
    /// Hints from those who queue work.
    pub wakeups: Wakeups,
    /// Told after every change of an asset.
    pub news: AssetNews,
    /// When to stop.
    pub shutdown: Shutdown,
}

impl Workers {
    /// Starts `slots` loops that each run one job of the handler's kinds at a time.
    pub fn start(&self, handler: &Arc<dyn Handler>, slots: usize) {
        for _ in 0..slots {
            let (workers, handler) = (self.clone(), handler.clone());
            self.shutdown.spawn(async move { workers.serve(handler).await });
        }
    }

    /// Starts the loop that returns expired leases to the queue. One per process is enough; many do no harm.
    pub fn start_reaper(&self) {
        let workers = self.clone();
        self.shutdown.spawn(async move {
            while workers.pause(LEASE / 3).await {
                if let Err(error) = workers.reap().await {
                    tracing::warn!(%error, "could not look for expired leases; will try again");
                }
            }
        });
    }

    /// Returns every lease to the queue. Only for a deployment of one process, before its workers start: the holders
    /// are dead.
    pub async fn take_over(&self) -> Result<usize, lectern_store::Error> {
        let jobs = jobs::leased(&self.db).await?;
        for job in &jobs {
            pipeline::job_put_back(&self.db, job, PutBack::LeaseLost, self.clock.now()).await?;
        }
        Ok(jobs.len())
    }

    async fn reap(&self) -> Result<(), lectern_store::Error> {
        for job in jobs::expired(&self.db, self.clock.now()).await? {
            tracing::warn!(job = %job.id, asset = %job.payload.asset(), attempt = job.attempt, "lease ran out; the job goes back to the queue");
            pipeline::job_put_back(&self.db, &job, PutBack::LeaseLost, self.clock.now()).await?;
            self.news.changed(job.payload.asset());
            self.wakeups.wake();
        }
        Ok(())
    }

    /// Sleeps, and says whether to go on.
    async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.shutdown.soft().cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }

    async fn serve(self, handler: Arc<dyn Handler>) {
        let mut hints = self.wakeups.0.subscribe();
        while !self.shutdown.soft().is_cancelled() {
            hints.mark_unchanged();
            let lease = time::Duration::try_from(LEASE).expect("the lease is short");
            match jobs::claim(&self.db, self.process, handler.kinds(), self.clock.now(), lease).await {
                Ok(Some(job)) => self.attempt(&handler, job).await,
                Ok(None) => {
                    let due = jobs::next_due(&self.db, handler.kinds()).await.ok().flatten();
                    let wait = due
                        .and_then(|due| Duration::try_from(due - self.clock.now()).ok())
                        .map_or(POLL, |wait| wait.clamp(Duration::from_millis(10), POLL));
                    tokio::select! {
                        () = self.shutdown.soft().cancelled() => {}
                        _ = hints.changed() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "could not claim a job; will try again");
                    self.pause(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn attempt(&self, handler: &Arc<dyn Handler>, job: Job) {
        let started = Instant::now();
        let (kind, asset) = (job.payload.kind().as_str(), job.payload.asset());
        tracing::info!(job = %job.id, %asset, kind, attempt = job.attempt, "job begins");
        let context = JobContext { progress: Arc::default(), cancelled: self.shutdown.hard().child_token() };
        let mut task = tokio::spawn({
            let (handler, job, context) = (handler.clone(), job.clone(), context.clone());
            async move { handler.run(&job, &context).await }
        });
        let outcome = loop {
            tokio::select! {
                done = &mut task => break Some(done.unwrap_or_else(|error| {
                    Err(JobFailure::Retry(if error.is_panic() { "the handler panicked".into() } else { error.to_string() }))
                })),
                () = self.shutdown.hard().cancelled() => break None,
                () = tokio::time::sleep(HEARTBEAT) => {
                    if !self.beat(&job, &context).await {
                        tracing::warn!(job = %job.id, %asset, attempt = job.attempt, "lease lost; the attempt is abandoned");
                        break None;
                    }
                }
            }
        };
        let (taken, word) = match outcome {
            Some(Ok(completion)) => {
                (self.write(|now| pipeline::complete(&self.db, &job, completion.clone(), now)).await, "done")
            }
            Some(Err(failure)) => {
                tracing::warn!(job = %job.id, %asset, kind, attempt = job.attempt, ?failure, "job failed");
                (self.write(|now| pipeline::job_failed(&self.db, &job, failure.clone(), now)).await, "failed")
            }
            None => {
                context.cancelled.cancel();
                task.abort();
                // Wait until it is gone, so that nothing of it runs beside a later attempt on this machine.
                let _ = task.await;
                (
                    self.write(|now| pipeline::job_put_back(&self.db, &job, PutBack::Released, now)).await,
                    "released",
                )
            }
        };
        let elapsed = started.elapsed();
        metrics::counter!("lectern_jobs_total", "kind" => kind, "outcome" => word).increment(1);
        metrics::histogram!("lectern_job_seconds", "kind" => kind).record(elapsed.as_secs_f64());
        let fenced = taken == Taken::Fenced;
        tracing::info!(job = %job.id, %asset, kind, attempt = job.attempt, outcome = word, fenced, ms = elapsed.as_millis() as u64, "job ends");
        self.news.changed(asset);
        self.wakeups.wake();
    }

    /// Keeps the lease and writes progress through. A database that does not answer is no reason to stop working: the
    /// fence decides at the end.
    async fn beat(&self, job: &Job, context: &JobContext) -> bool {
        let lease = time::Duration::try_from(LEASE).expect("the lease is short");
        match jobs::heartbeat(&self.db, job, context.current(), self.clock.now(), lease).await {
            Ok(held) => {
                if held && pipeline::report_progress(&self.db, job.payload.asset()).await.is_ok() {
                    self.news.changed(job.payload.asset());
                }
                held
            }
            Err(error) => {
                tracing::warn!(%error, job = %job.id, "heartbeat failed; will try again");
                true
            }
        }
    }

    /// Writes an outcome, trying again while the lease lasts: the work is done, only the word of it is missing.
    async fn write<F, Fut>(&self, outcome: F) -> Taken
    where
        F: Fn(lectern_domain::Timestamp) -> Fut,
        Fut: Future<Output = Result<Taken, lectern_store::Error>>,
    {
        let deadline = Instant::now() + LEASE;
        loop {
            match outcome(self.clock.now()).await {
                Ok(taken) => return taken,
                Err(error) if Instant::now() < deadline => {
                    tracing::warn!(%error, "could not write a job's outcome; will try again");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Err(error) => {
                    tracing::error!(%error, "could not write a job's outcome; its lease will run out");
                    return Taken::Fenced;
                }
            }
        }
    }
}
