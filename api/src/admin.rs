//! `/admin`: what operators see and do of jobs and workers; `lectern admin jobs` does the same without HTTP.
//!
//! A job is retried and cancelled with its asset: the other jobs of an asset are worth nothing without it.

use std::num::NonZeroU32;

use axum::{Json, extract::State, http::StatusCode};
use lectern_domain::{
    Timestamp,
    account::Role,
    ids::{AssetId, JobId, ProcessId, UserId},
    job::{JobKind, JobState, WorkClass},
};
use lectern_platform::http::{Caller, Problem};
use lectern_store::{
    Db,
    jobs::{self, Job},
    pipeline,
    processes::{self, Process},
};
use serde::{Deserialize, Serialize};

use crate::{
    ApiState,
    extract::{Body, Params, PathId},
    paging,
};

/// A job as operators see it.
#[derive(Debug, Serialize)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Whose job.
    pub asset_id: AssetId,
    /// Who uploaded the asset.
    pub owner_id: Option<UserId>,
    /// What it does.
    pub kind: JobKind,
    /// Which queue it is announced in.
    pub class: WorkClass,
    /// Where it stands.
    pub state: JobState,
    /// From 0 to 1.
    pub progress: f64,
    /// Its latest attempt.
    pub attempt: u32,
    /// Attempts that failed.
    pub failures: u32,
    /// Higher first.
    pub priority: i64,
    /// Lower first among equal priorities.
    pub turn: u64,
    /// The process that runs it.
    pub worker_id: Option<ProcessId>,
    /// Not before.
    #[serde(with = "time::serde::rfc3339")]
    pub run_after: Timestamp,
    /// When it was queued first.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: Timestamp,
    /// When it was last queued, claimed or ended.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: Timestamp,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            id: job.id,
            asset_id: job.payload.asset(),
            owner_id: job.owner,
            kind: job.payload.kind(),
            class: job.payload.class(),
            state: job.state,
            progress: job.progress,
            attempt: job.attempt,
            failures: job.failures,
            priority: job.priority,
            turn: job.turn,
            worker_id: job.lease_owner,
            run_after: job.run_after,
            created_at: job.created_at,
            updated_at: job.updated_at,
        }
    }
}

/// What happened to a job.
#[derive(Debug, Serialize)]
pub struct StoryView {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: Timestamp,
    /// During which attempt.
    pub attempt: u32,
    /// What.
    pub event: String,
    /// More about it.
    pub detail: String,
}

/// A job with its story.
#[derive(Debug, Serialize)]
pub struct JobWithStory {
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// What happened to it, in order.
    pub story: Vec<StoryView>,
}

/// A process and what it does.
#[derive(Debug, Serialize)]
pub struct WorkerView {
    /// Its id.
    pub id: ProcessId,
    /// The machine's name.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// The program's version.
    pub version: String,
    /// What it does.
    pub roles: Vec<String>,
    /// Jobs it runs at once.
    pub slots: u64,
    /// Memory that these may take together, MiB; 0: not bounded.
    pub memory_mib: u64,
    /// Whether it takes no new job.
    pub draining: bool,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: Timestamp,
    /// When it last said that it lives.
    #[serde(with = "time::serde::rfc3339")]
    pub seen_at: Timestamp,
    /// The jobs it runs.
    pub jobs: Vec<JobView>,
}

/// What came of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordered {
    /// It was carried out.
    Done,
    /// There is no such job.
    Unknown,
    /// Its state does not allow it.
    NotNow(JobState),
}

/// A job with its story.
pub async fn show(db: &Db, id: JobId) -> Result<Option<JobWithStory>, lectern_store::Error> {
    let Some(job) = jobs::find(db, id).await? else { return Ok(None) };
    let story = jobs::story(db, id).await?.into_iter().map(|line| StoryView {
        at: line.at,
        attempt: line.attempt,
        event: line.event,
        detail: line.detail,
    });
    Ok(Some(JobWithStory { job: job.into(), story: story.collect() }))
}

/// Starts a failed or parked job's asset again; ends the wait of one that is queued.
pub async fn retry(db: &Db, id: JobId, now: Timestamp) -> Result<Ordered, lectern_store::Error> {
    let Some(job) = jobs::find(db, id).await? else { return Ok(Ordered::Unknown) };
    let done = match job.state {
        JobState::Queued => jobs::run_now(db, id, now).await? || job.run_after <= now,
        JobState::Leased | JobState::Done => false,
        JobState::Failed | JobState::Parked | JobState::Cancelled => {
            let mut tx = db.begin().await?;
            let begun = pipeline::retry_asset(&mut tx, job.payload.asset(), now).await?;
            tx.commit().await?;
            begun
        }
    };
    Ok(if done { Ordered::Done } else { Ordered::NotNow(job.state) })
}

/// Ends the work on a job's asset.
pub async fn cancel(db: &Db, id: JobId, now: Timestamp) -> Result<Ordered, lectern_store::Error> {
    let Some(job) = jobs::find(db, id).await? else { return Ok(Ordered::Unknown) };
    let open = matches!(job.state, JobState::Queued | JobState::Leased) && job.payload.kind().gives_up();
    if !open {
        return Ok(Ordered::NotNow(job.state));
    }
    let mut tx = db.begin().await?;
    let done = pipeline::cancel_asset(&mut tx, job.payload.asset(), now).await?;
    tx.commit().await?;
    Ok(if done { Ordered::Done } else { Ordered::NotNow(job.state) })
}

/// Every process with what it does.
pub async fn workers(db: &Db) -> Result<Vec<WorkerView>, lectern_store::Error> {
    let (processes, mut leased) = (processes::list(db).await?, jobs::leased(db).await?);
    let view = |process: Process| {
        let (own, rest) = std::mem::take(&mut leased)
            .into_iter()
            .partition(|job: &Job| job.lease_owner == Some(process.id));
        leased = rest;
        let own: Vec<Job> = own;
        WorkerView {
            id: process.id,
            host: process.host,
            pid: process.pid,
            version: process.version,
            roles: process.roles,
            slots: process.slots,
            memory_mib: process.memory_mib,
            draining: process.drain,
            started_at: process.started_at,
            seen_at: process.seen_at,
            jobs: own.into_iter().map(Into::into).collect(),
        }
    };
    Ok(processes.into_iter().map(view).collect())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParams {
    state: Option<JobState>,
    asset_id: Option<AssetId>,
    cursor: Option<JobId>,
    limit: Option<NonZeroU32>,
}

#[derive(Debug, Serialize)]
pub(crate) struct JobList {
    items: Vec<JobView>,
    next_cursor: Option<JobId>,
}

pub(crate) async fn list_jobs(
    State(state): State<ApiState>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Result<Json<JobList>, Problem> {
    caller.at_least(Role::Admin)?;
    let limit = paging::limit(params.limit)?;
    let found =
        jobs::list(&state.db, params.state, params.asset_id, params.cursor, u64::from(limit) + 1).await?;
    let mut items: Vec<JobView> = found.into_iter().map(Into::into).collect();
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().map(|last| last.id).filter(|_| more);
    Ok(Json(JobList { items, next_cursor }))
}

pub(crate) async fn get_job(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<JobId>,
) -> Result<Json<JobWithStory>, Problem> {
    caller.at_least(Role::Admin)?;
    show(&state.db, id).await?.map(Json).ok_or_else(|| Problem::not_found("job"))
}

fn answer(ordered: Ordered, wanted: &str) -> Result<(), Problem> {
    match ordered {
        Ordered::Done => Ok(()),
        Ordered::Unknown => Err(Problem::not_found("job")),
        Ordered::NotNow(state) => Err(Problem::new(
            StatusCode::CONFLICT,
            "job_state",
            format!("a job that is {} cannot be {wanted}, or its asset cannot", state.as_str()),
        )),
    }
}

pub(crate) async fn retry_job(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<JobId>,
) -> Result<(StatusCode, Json<JobWithStory>), Problem> {
    caller.at_least(Role::Admin)?;
    answer(retry(&state.db, id, state.clock.now()).await?, "retried")?;
    tracing::info!(job = %id, user = %caller.user, "job retried");
    changed(&state, id).await
}

pub(crate) async fn cancel_job(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<JobId>,
) -> Result<(StatusCode, Json<JobWithStory>), Problem> {
    caller.at_least(Role::Admin)?;
    answer(cancel(&state.db, id, state.clock.now()).await?, "cancelled")?;
    tracing::info!(job = %id, user = %caller.user, "job cancelled");
    changed(&state, id).await
}

async fn changed(state: &ApiState, id: JobId) -> Result<(StatusCode, Json<JobWithStory>), Problem> {
    let job = show(&state.db, id).await?.ok_or_else(|| Problem::not_found("job"))?;
    state.wakeups.wake();
    state.news.changed(job.job.asset_id);
    Ok((StatusCode::ACCEPTED, Json(job)))
}

#[derive(Debug, Serialize)]
pub(crate) struct WorkerList {
    items: Vec<WorkerView>,
}

pub(crate) async fn list_workers(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Json<WorkerList>, Problem> {
    caller.at_least(Role::Admin)?;
    Ok(Json(WorkerList { items: workers(&state.db).await? }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drain {
    drain: bool,
}

pub(crate) async fn drain_worker(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<ProcessId>,
    Body(order): Body<Drain>,
) -> Result<StatusCode, Problem> {
    caller.at_least(Role::Admin)?;
    if !processes::drain(&state.db, id, order.drain).await? {
        return Err(Problem::not_found("worker"));
    }
    tracing::info!(process = %id, user = %caller.user, drain = order.drain, "worker told whether to drain");
    Ok(StatusCode::ACCEPTED)
}
