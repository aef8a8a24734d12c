//! The worker loop: hear that there is work, claim jobs under a lease, run their handler, keep the lease by heartbeats, write
//! the outcome, acknowledge.
//!
//! One loop for each handler gives out the process's slots and memory: it claims only what can run now, the most urgent
//! first. It looks at the table when an announcement or a hint comes, when a backoff ends, and now and then anyway, so
//! that work goes on without any broker.
//!
//! What may be interrupted: waiting for work, at any time. What may not: a running handler during the soft stage of
//! shutdown. In the hard stage, or when the lease is lost, the handler is told through [`JobContext::cancelled`] and
//! dropped; whatever it wrote belongs to an attempt that can no longer complete.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lectern_domain::{
    ids::{AssetId, ProcessId},
    job::WorkClass,
    media::TranscodeOutput,
};
use lectern_store::{
    Db, Engine,
    jobs::{self, Job, PutBack, Wanted},
    packages::NewPackage,
    pipeline::{self, Completion, JobFailure, Taken},
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{Clock, new_id},
    events::AssetNews,
    queue::{Delivery, HOLD, LocalQueue, SharedQueue},
    shutdown::Shutdown,
};

/// How long a claimed job belongs to its worker without a heartbeat.
pub const LEASE: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A hint or an announcement may be lost; the table is looked at this often anyway. With many processes more often: the
/// announcement of a job may be in the hands of one that is busy.
const POLL_ALONE: Duration = Duration::from_secs(5);
const POLL_AMONG_MANY: Duration = Duration::from_secs(2);
/// How long a process with many slots lets them come free before it claims again.
const GATHER: Duration = Duration::from_millis(10);
/// What ends within this time of each other is written together.
const TOGETHER: Duration = Duration::from_millis(1);
/// Longest time that an attempt may take. Jobs are cut to take a few minutes; what takes this long hangs.
pub const LONGEST: Duration = Duration::from_mins(25);

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

/// Whether a process shall take no new job. Cheap to clone; at first it shall.
#[derive(Debug, Clone)]
pub struct Drain(Arc<watch::Sender<bool>>);

impl Default for Drain {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Drain {
    /// Says it. True: it was otherwise before.
    pub fn set(&self, drain: bool) -> bool {
        self.0.send_if_modified(|held| std::mem::replace(held, drain) != drain)
    }
}

/// Does the jobs of some classes.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Which classes.
    fn classes(&self) -> &'static [WorkClass];
    /// Does one. Must be safe to run again after any crash: an attempt's bytes go to places of its own, or are the
    /// same bytes every time.
    async fn run(&self, job: &Job, context: &JobContext) -> Result<Completion, JobFailure>;
}

/// What a handler's jobs may take of the machine together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Jobs at once.
    pub slots: usize,
    /// Estimated memory at once, MiB. A job that needs more than all of it runs alone.
    pub memory_mib: u32,
}

impl Capacity {
    /// So many jobs, whatever memory they take.
    pub const fn slots(slots: usize) -> Self {
        Self { slots, memory_mib: u32::MAX >> 4 }
    }
}

/// What a running handler knows of its surroundings.
#[derive(Debug, Clone)]
pub struct JobContext {
    progress: Arc<AtomicU64>,
    cancelled: CancellationToken,
    workers: Workers,
    job: Arc<Job>,
}

impl JobContext {
    /// Reports how far the job is, from 0 to 1. Never goes backwards.
    pub fn progress(&self, value: f64) {
        let millionths = (value.clamp(0.0, 1.0) * 1e6) as u64;
        self.progress.fetch_max(millionths, Ordering::Relaxed);
    }

    /// Keeps what the attempt has made since it last told, for those who can use it before the job has ended. `package` as in
    /// [`Completion::Transcoded`].
    pub async fn made(&self, output: &TranscodeOutput, package: &NewPackage) {
        let (workers, job) = (&self.workers, &*self.job);
        let part = |now| pipeline::part_made(&workers.db, job, output, package, now);
        if workers.write(Taken::Fenced, part).await == Taken::Yes {
            workers.news.changed(job.payload.asset());
            workers.wakeups.wake();
        }
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
    /// Announcements from other processes.
    pub queue: SharedQueue,
    /// Whether to take no new job.
    pub drain: Drain,
    /// Told after every change of an asset.
    pub news: AssetNews,
    /// When to stop.
    pub shutdown: Shutdown,
    /// Completions on their way to the database.
    pub ending: Ending,
}

/// Jobs that have ended and are not written yet, by asset; an asset that is being written has an entry.
#[derive(Debug, Clone, Default)]
pub struct Ending(Arc<Mutex<HashMap<AssetId, Vec<Waiting>>>>);

type Ended = (Job, Completion);
type Waiting = (Ended, oneshot::Sender<Taken>);

impl Workers {
    /// A process that hears of nobody else.
    pub fn alone(db: Db, clock: Arc<dyn Clock>) -> Self {
        Self {
            db,
            process: new_id(clock.as_ref(), ProcessId::generate),
            clock,
            wakeups: Wakeups::default(),
            news: AssetNews::default(),
            queue: Arc::new(LocalQueue::default()),
            drain: Drain::default(),
            shutdown: Shutdown::default(),
            ending: Ending::default(),
        }
    }

    /// Starts the loop of a handler.
    pub fn start(&self, handler: &Arc<dyn Handler>, capacity: Capacity) {
        let (workers, handler) = (self.clone(), handler.clone());
        self.shutdown.spawn(async move { workers.dispatch(handler, capacity).await });
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
        jobs::hurry(&self.db, self.clock.now()).await?;
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

    /// Announcements of some classes in one stream, until the period ends. The broker is left when the receiver is dropped:
    /// until then what came can be acknowledged.
    fn announcements(
        &self,
        classes: &[WorkClass],
        capacity: Capacity,
        period: &CancellationToken,
    ) -> mpsc::UnboundedReceiver<Delivery> {
        // Bounded all the same: by what the broker hands out unacknowledged.
        let (send, receive) = mpsc::unbounded_channel();
        for class in classes {
            let prefetch = u16::try_from(capacity.slots).unwrap_or(u16::MAX);
            let mut deliveries = self.queue.subscribe(*class, prefetch);
            let (send, period) = (send.clone(), period.clone());
            self.shutdown.spawn(async move {
                loop {
                    tokio::select! {
                        () = period.cancelled() => break,
                        delivery = deliveries.next() => {
                            if let Err(left) = send.send(delivery) {
                                left.0.again().await;
                            }
                        }
                    }
                }
                send.closed().await;
            });
        }
        receive
    }

    async fn dispatch(self, handler: Arc<dyn Handler>, capacity: Capacity) {
        let mut drain = self.drain.0.subscribe();
        while !self.shutdown.soft().is_cancelled() {
            if !*drain.borrow_and_update() {
                self.take_jobs(&handler, capacity, &mut drain).await;
                continue;
            }
            tokio::select! {
                () = self.shutdown.soft().cancelled() => {}
                _ = drain.changed() => {}
            }
        }
    }

    /// Claims and runs jobs until shutdown begins or the process is drained; ends when the last of them has ended.
    async fn take_jobs(
        &self,
        handler: &Arc<dyn Handler>,
        capacity: Capacity,
        drain: &mut watch::Receiver<bool>,
    ) {
        let classes = handler.classes();
        let slots = Arc::new(Semaphore::new(capacity.slots));
        let memory = Arc::new(Semaphore::new(capacity.memory_mib as usize));
        let period = self.shutdown.soft().child_token();
        let mut announcements = self.announcements(classes, capacity, &period);
        let mut hints = self.wakeups.0.subscribe();
        let mut held: VecDeque<Delivery> = VecDeque::new();
        let mut running = JoinSet::new();
        let may_go_on = |drain: &watch::Receiver<bool>| !period.is_cancelled() && !*drain.borrow();
        while may_go_on(drain) {
            while running.try_join_next().is_some() {}
            // Only this loop takes slots, so one that is seen free stays free.
            tokio::select! {
                () = period.cancelled() => continue,
                _ = drain.changed() => continue,
                slot = slots.acquire() => drop(slot),
            }
            if slots.available_permits() * 4 < capacity.slots {
                // Short jobs in many slots: those that end together are followed by one claim, not by one each.
                tokio::time::sleep(GATHER).await;
            }
            hints.mark_unchanged();
            while let Ok(delivery) = announcements.try_recv() {
                held.push_back(delivery);
            }
            let free = slots.available_permits();
            let idle = free == capacity.slots;
            let wanted = Wanted {
                classes,
                jobs: free as u64,
                memory_mib: if idle { i64::MAX as u64 } else { memory.available_permits() as u64 },
            };
            let lease = time::Duration::try_from(LEASE).expect("the lease is short");
            match jobs::claim(&self.db, self.process, wanted, self.clock.now(), lease).await {
                Ok(jobs) if jobs.is_empty() => {
                    // What they announced was done by somebody else, or is not due by this machine's clock.
                    for delivery in held.drain(..) {
                        delivery.done().await;
                    }
                    let wait = self.next_look(classes).await;
                    tokio::select! {
                        () = period.cancelled() => {}
                        _ = drain.changed() => {}
                        _ = hints.changed() => {}
                        Some(delivery) = announcements.recv() => held.push_back(delivery),
                        () = tokio::time::sleep(wait) => {}
                    }
                }
                Ok(jobs) => {
                    for job in jobs {
                        let slot = slots.clone().acquire_owned().await.expect("it is never closed");
                        let delivery = take_for(&mut held, &job);
                        let (workers, handler, memory) = (self.clone(), handler.clone(), memory.clone());
                        let share = job.memory_mib.min(u64::from(capacity.memory_mib)) as u32;
                        running.spawn(async move {
                            workers.attempt(&handler, job, delivery, (&memory, share)).await;
                            drop(slot);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "could not claim jobs; will try again");
                    self.pause(Duration::from_secs(1)).await;
                }
            }
        }
        period.cancel();
        for delivery in held {
            delivery.again().await;
        }
        while let Ok(delivery) = announcements.try_recv() {
            delivery.again().await;
        }
        running.join_all().await;
        drop(announcements);
    }

    /// How long to wait for news before the table is looked at again.
    async fn next_look(&self, classes: &[WorkClass]) -> Duration {
        if self.db.engine() == Engine::Postgres {
            // Backoffs that end are announced. Not all processes at the same moment.
            return POLL_AMONG_MANY.mul_f64(rand::random_range(0.75..1.25));
        }
        let due = jobs::next_due(&self.db, classes).await.ok().flatten();
        due.and_then(|due| Duration::try_from(due - self.clock.now()).ok())
            .map_or(POLL_ALONE, |wait| wait.clamp(Duration::from_millis(10), POLL_ALONE))
    }

    async fn attempt(
        &self,
        handler: &Arc<dyn Handler>,
        job: Job,
        delivery: Option<Delivery>,
        (memory, share): (&Arc<Semaphore>, u32),
    ) {
        let started = Instant::now();
        let (kind, asset) = (job.payload.kind().as_str(), job.payload.asset());
        tracing::info!(job = %job.id, %asset, kind, attempt = job.attempt, "job begins");
        let context = JobContext {
            progress: Arc::default(),
            cancelled: self.shutdown.hard().child_token(),
            workers: self.clone(),
            job: Arc::new(job.clone()),
        };
        let mut task = tokio::spawn({
            let (handler, job, context, memory) =
                (handler.clone(), job.clone(), context.clone(), memory.clone());
            async move {
                // Several jobs that each fit may have been claimed together: they wait here, under their leases.
                let _share = memory.acquire_many_owned(share).await.expect("it is never closed");
                handler.run(&job, &context).await
            }
        });
        let mut held_at = Instant::now();
        let outcome = loop {
            tokio::select! {
                done = &mut task => break Some(done.unwrap_or_else(|error| {
                    Err(JobFailure::Retry(if error.is_panic() { "the handler panicked".into() } else { error.to_string() }))
                })),
                () = self.shutdown.hard().cancelled() => break None,
                () = tokio::time::sleep(HEARTBEAT) => {
                    if started.elapsed() > LONGEST {
                        break Some(Err(JobFailure::Retry(format!("took longer than {} s", LONGEST.as_secs()))));
                    }
                    if let Some(delivery) = delivery.as_ref().filter(|_| held_at.elapsed() >= HOLD) {
                        delivery.hold().await;
                        held_at = Instant::now();
                    }
                    if !self.beat(&job, &context).await {
                        tracing::warn!(job = %job.id, %asset, attempt = job.attempt, "lease lost; the attempt is abandoned");
                        break None;
                    }
                }
            }
        };
        if !task.is_finished() {
            context.cancelled.cancel();
            task.abort();
            // Wait until it is gone, so that nothing of it runs beside a later attempt on this machine.
            let _ = (&mut task).await;
        }
        let (taken, word) = match outcome {
            Some(Ok(completion)) => (self.complete(job.clone(), completion).await, "done"),
            Some(Err(failure)) => {
                tracing::warn!(job = %job.id, %asset, kind, attempt = job.attempt, ?failure, "job failed");
                (
                    self.write(Taken::Fenced, |now| {
                        pipeline::job_failed(&self.db, &job, failure.clone(), now)
                    })
                    .await,
                    "failed",
                )
            }
            None => (
                self.write(Taken::Fenced, |now| {
                    pipeline::job_put_back(&self.db, &job, PutBack::Released, now)
                })
                .await,
                "released",
            ),
        };
        // Only now: until the outcome is written the announcement must come again.
        if let Some(delivery) = delivery {
            delivery.done().await;
        }
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

    /// Completes a job. Completions of one asset take turns in the database anyway; those that come while one is being
    /// written are written together after it.
    async fn complete(&self, job: Job, completion: Completion) -> Taken {
        let asset = job.payload.asset();
        let (tell, told) = oneshot::channel();
        let first = {
            let mut ending = self.ending.0.lock().unwrap_or_else(PoisonError::into_inner);
            let first = !ending.contains_key(&asset);
            ending.entry(asset).or_default().push(((job, completion), tell));
            first
        };
        if first {
            let workers = self.clone();
            tokio::spawn(async move {
                // Short jobs that were claimed together end together.
                tokio::time::sleep(TOGETHER).await;
                while let Some((ended, tell)) = workers.ended(asset) {
                    let fenced = vec![Taken::Fenced; ended.len()];
                    let taken =
                        workers.write(fenced, |now| pipeline::complete_all(&workers.db, &ended, now)).await;
                    for (tell, taken) in tell.into_iter().zip(taken) {
                        let _ = tell.send(taken);
                    }
                }
            });
        }
        told.await.unwrap_or(Taken::Fenced)
    }

    /// What waits to be completed of an asset; none: the next that ends is the first again.
    fn ended(&self, asset: AssetId) -> Option<(Vec<Ended>, Vec<oneshot::Sender<Taken>>)> {
        let mut ending = self.ending.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = std::mem::take(ending.get_mut(&asset)?);
        if waiting.is_empty() {
            ending.remove(&asset);
            return None;
        }
        Some(waiting.into_iter().unzip())
    }

    /// Writes an outcome, trying again while the lease lasts: the work is done, only the word of it is missing. `lost` if it
    /// cannot be written.
    async fn write<T, F, Fut>(&self, lost: T, outcome: F) -> T
    where
        F: Fn(lectern_domain::Timestamp) -> Fut,
        Fut: Future<Output = Result<T, lectern_store::Error>>,
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
                    return lost;
                }
            }
        }
    }
}

/// The announcement that stands for a job: the job's own, else one of its class, else any.
fn take_for(held: &mut VecDeque<Delivery>, job: &Job) -> Option<Delivery> {
    let class = job.payload.class();
    let own = held.iter().position(|delivery| delivery.announcement.job == job.id);
    let position = own
        .or_else(|| held.iter().position(|delivery| delivery.announcement.class == class))
        .or_else(|| (!held.is_empty()).then_some(0))?;
    held.remove(position)
}
