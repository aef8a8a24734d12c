//! Jobs: queued once, claimed under a lease, fenced by their attempt.
//!
//! Whoever completes, retries or fails a job names the attempt it was claimed with; when another attempt has begun
//! since, nothing is written and the answer is false.

use lectern_domain::{
    Timestamp,
    ids::{AssetId, JobId, ProcessId, uuid_v7},
    job::{JobKind, JobPayload, JobState, MAX_ATTEMPTS, MAX_FAILURES, backoff},
};
use time::Duration;

use crate::{
    Db, Error, Tx,
    row::{FromRow, Row, corrupt},
    statement::statements,
    value::args,
};

statements! {
    INSERT = both(
        "INSERT INTO jobs (id, dedup_key, kind, asset_id, payload, state, priority, weight, progress, run_after, \
         attempt, failures, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, 0.0, $8, 0, 0, $8, $8) ON CONFLICT (dedup_key) DO NOTHING"
    );
    FIND = both("SELECT * FROM jobs WHERE id = $1");
    OF_ASSET = both("SELECT * FROM jobs WHERE asset_id = $1 ORDER BY created_at, priority DESC, id");
    CLAIM = split(
        "UPDATE jobs SET state = 'leased', attempt = attempt + 1, lease_owner = $1, lease_expires_at = $2, \
         updated_at = $3 WHERE id = (SELECT id FROM jobs WHERE state = 'queued' AND run_after <= $3 \
         AND kind IN (SELECT value FROM json_each($4)) ORDER BY priority DESC, run_after, id LIMIT 1) RETURNING *",
        "UPDATE jobs SET state = 'leased', attempt = attempt + 1, lease_owner = $1, lease_expires_at = $2, \
         updated_at = $3 WHERE id = (SELECT id FROM jobs WHERE state = 'queued' AND run_after <= $3 \
         AND kind IN (SELECT jsonb_array_elements_text($4)) ORDER BY priority DESC, run_after, id LIMIT 1 \
         FOR UPDATE SKIP LOCKED) RETURNING *",
    );
    NEXT_DUE = split(
        "SELECT MIN(run_after) AS due FROM jobs WHERE state = 'queued' AND kind IN (SELECT value FROM json_each($1))",
        "SELECT MIN(run_after) AS due FROM jobs WHERE state = 'queued' \
         AND kind IN (SELECT jsonb_array_elements_text($1))",
    );
    HEARTBEAT = both(
        "UPDATE jobs SET lease_expires_at = $3, progress = CASE WHEN $4 > progress THEN $4 ELSE progress END \
         WHERE id = $1 AND attempt = $2 AND state = 'leased'"
    );
    FINISH = both(
        "UPDATE jobs SET state = $3, result = $4, progress = CASE WHEN $3 = 'done' THEN 1.0 ELSE progress END, \
         lease_owner = NULL, lease_expires_at = NULL, updated_at = $5 \
         WHERE id = $1 AND attempt = $2 AND state = 'leased'"
    );
    // $5 is 1 when the attempt counts as a failure, 0 when the lease was given back or lost.
    PUT_BACK = both(
        "UPDATE jobs SET state = CASE WHEN failures + $5 >= $6 OR attempt >= $7 THEN 'parked' ELSE 'queued' END, \
         failures = failures + $5, run_after = $3, lease_owner = NULL, lease_expires_at = NULL, updated_at = $4 \
         WHERE id = $1 AND attempt = $2 AND state = 'leased' RETURNING *"
    );
    EXPIRED = both("SELECT * FROM jobs WHERE state = 'leased' AND lease_expires_at <= $1 ORDER BY id LIMIT 100");
    LEASED = both("SELECT * FROM jobs WHERE state = 'leased' ORDER BY id");
    CANCEL_OF_ASSET = both(
        "UPDATE jobs SET state = 'cancelled', lease_owner = NULL, lease_expires_at = NULL, updated_at = $2 \
         WHERE asset_id = $1 AND state IN ('queued', 'leased') AND kind <> 'clean_work' AND kind <> 'delete_asset'"
    );
    // Whatever became of it: an earlier generation's jobs are neither waited for, nor packaged, nor counted.
    SUPERSEDE_OF_ASSET = both(
        "UPDATE jobs SET state = 'cancelled', lease_owner = NULL, lease_expires_at = NULL, updated_at = $2 \
         WHERE asset_id = $1 AND state <> 'cancelled'"
    );
    COUNT_BY_STATE = both("SELECT kind, state, COUNT(*) AS total FROM jobs GROUP BY kind, state");
    TELL = both("INSERT INTO job_story (job_id, at, attempt, event, detail) VALUES ($1, $2, $3, $4, $5)");
    STORY = both("SELECT * FROM job_story WHERE job_id = $1 ORDER BY at, attempt");
}

/// A job as stored.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What to do.
    pub payload: JobPayload,
    /// Where it stands.
    pub state: JobState,
    /// How far it is, from 0 to 1.
    pub progress: f64,
    /// Its latest attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// How many attempts reported a failure.
    pub failures: u32,
    /// Which process holds the lease.
    pub lease_owner: Option<ProcessId>,
    /// What it left for those after it.
    pub result: Option<serde_json::Value>,
    /// Not before.
    pub run_after: Timestamp,
}

impl FromRow for Job {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            payload: row.json("payload")?,
            state: row.word("state", JobState::parse)?,
            progress: row.get("progress")?,
            attempt: row.get("attempt")?,
            failures: row.get("failures")?,
            lease_owner: row.maybe("lease_owner")?,
            result: row.maybe("result")?,
            run_after: row.get("run_after")?,
        })
    }
}

/// One line of a job's story.
#[derive(Debug, Clone)]
pub struct StoryLine {
    /// When.
    pub at: Timestamp,
    /// During which attempt.
    pub attempt: u32,
    /// What: `claimed`, `failed`, `lease_lost`, ….
    pub event: String,
    /// More about it.
    pub detail: String,
}

impl FromRow for StoryLine {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            at: row.get("at")?,
            attempt: row.get("attempt")?,
            event: row.get("event")?,
            detail: row.get("detail")?,
        })
    }
}

/// A job to be queued.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Names the work: a second job with the same key is not queued.
    pub dedup_key: String,
    /// What to do.
    pub payload: JobPayload,
    /// Higher first.
    pub priority: i64,
    /// Share of the asset's progress.
    pub weight: f64,
}

/// Queues a job. False: the same work was queued before.
pub async fn insert(tx: &mut Tx, new: NewJob, now: Timestamp) -> Result<bool, Error> {
    let id = JobId::from_uuid(uuid_v7(now, &rand::random()));
    let payload = serde_json::to_value(&new.payload).map_err(|error| corrupt("payload", error))?;
    let (kind, asset) = (new.payload.kind().as_str(), new.payload.asset());
    let args = args![id, new.dedup_key, kind, asset, payload, new.priority, new.weight, now];
    Ok(tx.execute(INSERT, args).await? == 1)
}

/// A job by id.
pub async fn find(db: &Db, id: JobId) -> Result<Option<Job>, Error> {
    db.fetch_optional(FIND, args![id]).await
}

/// Every job of an asset, oldest first.
pub async fn of_asset(db: &Db, asset: AssetId) -> Result<Vec<Job>, Error> {
    db.fetch_all(OF_ASSET, args![asset]).await
}

pub(crate) async fn of_asset_in(tx: &mut Tx, asset: AssetId) -> Result<Vec<Job>, Error> {
    tx.fetch_all(OF_ASSET, args![asset]).await
}

fn names(kinds: &[JobKind]) -> serde_json::Value {
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().into()
}

/// Claims the most urgent job of these kinds: a new attempt under a lease.
pub async fn claim(
    db: &Db,
    owner: ProcessId,
    kinds: &[JobKind],
    now: Timestamp,
    lease: Duration,
) -> Result<Option<Job>, Error> {
    let mut tx = db.begin().await?;
    let job: Option<Job> = tx.fetch_optional(CLAIM, args![owner, now + lease, now, names(kinds)]).await?;
    if let Some(job) = &job {
        tell(&mut tx, job.id, job.attempt, "claimed", &owner.to_string(), now).await?;
    }
    tx.commit().await?;
    Ok(job)
}

/// When the next queued job of these kinds may run.
pub async fn next_due(db: &Db, kinds: &[JobKind]) -> Result<Option<Timestamp>, Error> {
    struct Due(Option<Timestamp>);
    impl FromRow for Due {
        fn from_row(row: &Row) -> Result<Self, Error> {
            row.maybe("due").map(Due)
        }
    }
    Ok(db.fetch_optional::<Due>(NEXT_DUE, args![names(kinds)]).await?.and_then(|due| due.0))
}

/// Keeps a lease and reports progress. False: the lease is lost, stop working.
pub async fn heartbeat(
    db: &Db,
    job: &Job,
    progress: f64,
    now: Timestamp,
    lease: Duration,
) -> Result<bool, Error> {
    Ok(db.execute(HEARTBEAT, args![job.id, job.attempt, now + lease, progress.clamp(0.0, 1.0)]).await? == 1)
}

pub(crate) async fn finish(
    tx: &mut Tx,
    job: &Job,
    state: JobState,
    result: Option<serde_json::Value>,
    now: Timestamp,
) -> Result<bool, Error> {
    let held = tx.execute(FINISH, args![job.id, job.attempt, state.as_str(), result, now]).await? == 1;
    if held {
        tell(tx, job.id, job.attempt, state.as_str(), "", now).await?;
    }
    Ok(held)
}

/// Why a job goes back to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutBack {
    /// The attempt reported a failure: counted, and tried again after a backoff.
    Failed(String),
    /// The worker is shutting down: not counted, may run at once.
    Released,
    /// The lease ran out or its process died: not counted as a failure, may run at once.
    LeaseLost,
}

/// Puts a leased job back, or parks it when it has failed too often. The job as it stands then; none: fenced.
pub async fn put_back(tx: &mut Tx, job: &Job, why: &PutBack, now: Timestamp) -> Result<Option<Job>, Error> {
    let (event, detail, failed) = match why {
        PutBack::Failed(detail) => ("failed", detail.as_str(), true),
        PutBack::Released => ("released", "", false),
        PutBack::LeaseLost => ("lease_lost", "", false),
    };
    let run_after = if failed { now + backoff(job.failures + 1, rand::random()) } else { now };
    let (failures, attempts) =
        if job.payload.kind().gives_up() { (MAX_FAILURES, MAX_ATTEMPTS) } else { (u32::MAX, u32::MAX) };
    let args = args![job.id, job.attempt, run_after, now, i64::from(failed), failures, attempts];
    let after: Option<Job> = tx.fetch_optional(PUT_BACK, args).await?;
    if let Some(after) = &after {
        tell(tx, job.id, job.attempt, event, detail, now).await?;
        if after.state == JobState::Parked {
            tell(tx, job.id, job.attempt, "parked", "out of attempts; retry the asset to start again", now)
                .await?;
        }
    }
    Ok(after)
}

/// Leased jobs whose time has run out.
pub async fn expired(db: &Db, now: Timestamp) -> Result<Vec<Job>, Error> {
    db.fetch_all(EXPIRED, args![now]).await
}

/// Every leased job: at the start of the only process of an embedded deployment, all are of a dead one.
pub async fn leased(db: &Db) -> Result<Vec<Job>, Error> {
    db.fetch_all(LEASED, args![]).await
}

pub(crate) async fn cancel_of_asset(tx: &mut Tx, asset: AssetId, now: Timestamp) -> Result<(), Error> {
    tx.execute(CANCEL_OF_ASSET, args![asset, now]).await?;
    Ok(())
}

/// Cancels every job an asset ever had, clean-up included: it begins again from its source.
pub(crate) async fn supersede_of_asset(tx: &mut Tx, asset: AssetId, now: Timestamp) -> Result<(), Error> {
    tx.execute(SUPERSEDE_OF_ASSET, args![asset, now]).await.map(drop)
}

/// How many jobs there are of each kind in each state.
pub async fn count_by_state(db: &Db) -> Result<Vec<(String, String, u64)>, Error> {
    struct Count(String, String, u64);
    impl FromRow for Count {
        fn from_row(row: &Row) -> Result<Self, Error> {
            Ok(Self(row.get("kind")?, row.get("state")?, row.get("total")?))
        }
    }
    let counts: Vec<Count> = db.fetch_all(COUNT_BY_STATE, args![]).await?;
    Ok(counts.into_iter().map(|count| (count.0, count.1, count.2)).collect())
}

/// What happened to a job, in order.
pub async fn story(db: &Db, id: JobId) -> Result<Vec<StoryLine>, Error> {
    db.fetch_all(STORY, args![id]).await
}

async fn tell(
    tx: &mut Tx,
    id: JobId,
    attempt: u32,
    event: &str,
    detail: &str,
    now: Timestamp,
) -> Result<(), Error> {
    // PostgreSQL cannot store NUL in text, and a story is not the place for megabytes.
    let detail: String = detail.chars().filter(|c| *c != '\0').take(4_000).collect();
    tx.execute(TELL, args![id, now, attempt, event, detail]).await?;
    Ok(())
}
