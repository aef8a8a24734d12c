//! Jobs: queued once, claimed under a lease, fenced by their attempt.
//!
//! Whoever completes, retries or fails a job names the attempt it was claimed with; when another attempt has begun
//! since, nothing is written and the answer is false.

use lectern_domain::{
    Timestamp,
    ids::{AssetId, JobId, ProcessId, UserId, uuid_v7},
    job::{
        JobPayload, JobState, MAX_ATTEMPTS, MAX_FAILURES, RELEASED_SOON, URGENT, WorkClass, backoff, urgency,
    },
    media::TranscodeOutput,
};
use time::Duration;

use crate::{
    Db, Engine, Error, Tx,
    row::{FromRow, Row, corrupt},
    statement::statements,
    value::args,
};

/// The columns of a [`Job`].
macro_rules! job {
    () => {
        "id, payload, state, progress, attempt, failures, lease_owner, owner_id, turn, priority, memory_mib, result, \
         run_after, created_at, updated_at"
    };
}

#[cfg(feature = "testing")]
pub(crate) use job;

statements! {
    // Any number of rows at once: a plan queues hundreds.
    INSERT = split(
        "INSERT INTO jobs (id, dedup_key, kind, asset_id, payload, state, priority, weight, progress, run_after, \
         attempt, failures, owner_id, turn, memory_mib, created_at, updated_at) \
         SELECT unhex(r.value ->> 'id'), r.value ->> 'dedup_key', r.value ->> 'kind', unhex(r.value ->> 'asset_id'), \
         r.value -> 'payload', 'queued', r.value ->> 'priority', r.value ->> 'weight', 0.0, $2, 0, 0, \
         unhex(r.value ->> 'owner_id'), r.value ->> 'turn', r.value ->> 'memory_mib', $2, $2 \
         FROM json_each($1) AS r WHERE TRUE ON CONFLICT (dedup_key) DO NOTHING",
        "INSERT INTO jobs (id, dedup_key, kind, asset_id, payload, state, priority, weight, progress, run_after, \
         attempt, failures, owner_id, turn, memory_mib, created_at, updated_at) \
         SELECT id, dedup_key, kind, asset_id, payload, 'queued', priority, weight, 0.0, $2, 0, 0, owner_id, turn, \
         memory_mib, $2, $2 FROM jsonb_to_recordset($1) AS r(id UUID, dedup_key TEXT, kind TEXT, asset_id UUID, \
         payload JSONB, priority BIGINT, weight DOUBLE PRECISION, owner_id UUID, turn BIGINT, memory_mib BIGINT) \
         ON CONFLICT (dedup_key) DO NOTHING",
    );
    FIND = both(concat!("SELECT ", job!(), " FROM jobs WHERE id = $1"));
    OF_ASSET = both(concat!("SELECT ", job!(), " FROM jobs WHERE asset_id = $1 ORDER BY created_at, priority DESC, turn, id"));
    // Claims and tells the story of it in one statement where the engine can.
    CLAIM = split(
        concat!(
            "UPDATE jobs SET state = 'leased', attempt = attempt + 1, lease_owner = $1, lease_expires_at = $2, \
             updated_at = $3 WHERE id IN (SELECT id FROM jobs WHERE state = 'queued' AND run_after <= $3 \
             AND class IN (SELECT value FROM json_each($4)) AND memory_mib <= $5 \
             ORDER BY priority DESC, turn, id LIMIT $6) RETURNING ",
            job!()
        ),
        concat!(
            "WITH claimed AS (UPDATE jobs SET state = 'leased', attempt = attempt + 1, lease_owner = $1, \
             lease_expires_at = $2, updated_at = $3 WHERE id IN (SELECT id FROM jobs WHERE state = 'queued' \
             AND run_after <= $3 AND class = ANY (ARRAY(SELECT jsonb_array_elements_text($4))) AND memory_mib <= $5 \
             ORDER BY priority DESC, turn, id LIMIT $6 FOR UPDATE SKIP LOCKED) RETURNING ",
            job!(),
            "), told AS (INSERT INTO job_story (job_id, at, attempt, event, detail) \
             SELECT id, $3, attempt, 'claimed', $7 FROM claimed) SELECT ",
            job!(),
            " FROM claimed"
        ),
    );
    NEXT_DUE = split(
        "SELECT MIN(run_after) AS due FROM jobs WHERE state = 'queued' AND class IN (SELECT value FROM json_each($1))",
        "SELECT MIN(run_after) AS due FROM jobs WHERE state = 'queued' \
         AND class = ANY (ARRAY(SELECT jsonb_array_elements_text($1)))",
    );
    HEARTBEAT = both(
        "UPDATE jobs SET lease_expires_at = $3, progress = CASE WHEN $4 > progress THEN $4 ELSE progress END \
         WHERE id = $1 AND attempt = $2 AND state = 'leased'"
    );
    // Ends jobs and tells the story of each in one statement where the engine can. By the lease and not by the state, and the ids
    // as an array, so that PostgreSQL finds them by id and not among all that are or were leased.
    FINISH = split(
        "UPDATE jobs SET state = $2, result = NULLIF(r.value -> 'result', 'null'), \
         progress = CASE WHEN $2 = 'done' THEN 1.0 ELSE progress END, lease_owner = NULL, lease_expires_at = NULL, \
         updated_at = $3 FROM json_each($1) AS r WHERE jobs.id = unhex(r.value ->> 'id') \
         AND jobs.attempt = r.value ->> 'attempt' AND jobs.lease_owner IS NOT NULL RETURNING id",
        "WITH r AS (SELECT id, attempt, result FROM jsonb_to_recordset($1) AS r(id UUID, attempt BIGINT, result JSONB)), \
         ended AS (UPDATE jobs SET state = $2, result = (SELECT NULLIF(r.result, 'null') FROM r WHERE r.id = jobs.id), \
         progress = CASE WHEN $2 = 'done' THEN 1.0 ELSE progress END, lease_owner = NULL, lease_expires_at = NULL, \
         updated_at = $3 WHERE id = ANY (ARRAY(SELECT id FROM r)) \
         AND attempt = (SELECT r.attempt FROM r WHERE r.id = jobs.id) AND lease_owner IS NOT NULL \
         RETURNING id, attempt), \
         told AS (INSERT INTO job_story (job_id, at, attempt, event, detail) SELECT id, $3, attempt, $2, '' FROM ended) \
         SELECT id FROM ended",
    );
    OPEN_TRANSCODES = both(
        "SELECT COUNT(*) AS open FROM jobs WHERE asset_id = $1 AND kind IN ('transcode_span', 'transcode_audio') \
         AND state NOT IN ('done', 'cancelled')"
    );
    OPEN_PACKAGING = both(
        "SELECT COUNT(*) AS open FROM jobs WHERE asset_id = $1 AND kind IN ('grow', 'package') \
         AND state NOT IN ('done', 'cancelled')"
    );
    // What must have been made before anything can be published: the first spans, and something of every sound.
    OPEN_HEAD = split(
        "SELECT COUNT(*) AS open FROM jobs WHERE asset_id = $1 AND state NOT IN ('done', 'cancelled') \
         AND (kind = 'transcode_span' AND payload ->> 'span' < $2 OR kind = 'transcode_audio' AND NOT EXISTS \
         (SELECT 1 FROM job_parts WHERE job_id = jobs.id AND job_parts.attempt = jobs.attempt))",
        "SELECT COUNT(*) AS open FROM jobs WHERE asset_id = $1 AND state NOT IN ('done', 'cancelled') \
         AND (kind = 'transcode_span' AND (payload ->> 'span')::bigint < $2 OR kind = 'transcode_audio' AND NOT EXISTS \
         (SELECT 1 FROM job_parts WHERE job_id = jobs.id AND job_parts.attempt = jobs.attempt))",
    );
    // Those of attempts that were cancelled belong to an older generation.
    FIRST_CLAIMED = both(
        "SELECT MIN(at) AS at FROM job_story WHERE event = 'claimed' AND job_id IN (SELECT id FROM jobs \
         WHERE asset_id = $1 AND kind IN ('transcode_span', 'transcode_audio') AND state <> 'cancelled')"
    );
    ADD_PART = both(
        "INSERT INTO job_parts (job_id, attempt, part, output) SELECT id, attempt, (SELECT COUNT(*) FROM job_parts AS p \
         WHERE p.job_id = jobs.id AND p.attempt = jobs.attempt), $3 FROM jobs WHERE id = $1 AND attempt = $2 \
         AND state = 'leased'"
    );
    PARTS = both(
        "SELECT job_parts.output FROM job_parts JOIN jobs ON jobs.id = job_parts.job_id \
         AND jobs.attempt = job_parts.attempt WHERE job_id = $1 ORDER BY part"
    );
    DROP_PARTS = both("DELETE FROM job_parts WHERE job_id IN (SELECT id FROM jobs WHERE asset_id = $1)");
    // $5 is 1 when the attempt counts as a failure, $8 when it met an outage; 0 when the lease was given back or lost.
    PUT_BACK = both(concat!(
        "UPDATE jobs SET state = CASE WHEN failures + $5 >= $6 OR attempt - outages - $8 >= $7 THEN 'parked' \
         ELSE 'queued' END, failures = failures + $5, outages = outages + $8, run_after = $3, lease_owner = NULL, lease_expires_at = NULL, updated_at = $4 \
         WHERE id = $1 AND attempt = $2 AND state = 'leased' RETURNING ",
        job!()
    ));
    EXPIRED = both(concat!(
        "SELECT ",
        job!(),
        " FROM jobs WHERE state = 'leased' AND lease_expires_at <= $1 ORDER BY id LIMIT 100"
    ));
    LEASED = both(concat!("SELECT ", job!(), " FROM jobs WHERE state = 'leased' ORDER BY id"));
    CANCEL_OF_ASSET = both(
        "UPDATE jobs SET state = 'cancelled', lease_owner = NULL, lease_expires_at = NULL, updated_at = $2 \
         WHERE asset_id = $1 AND state IN ('queued', 'leased') AND kind <> 'clean_work' AND kind <> 'delete_asset'"
    );
    // Whatever became of it: an earlier generation's jobs are neither waited for, nor packaged, nor counted.
    SUPERSEDE_OF_ASSET = both(
        "UPDATE jobs SET state = 'cancelled', lease_owner = NULL, lease_expires_at = NULL, updated_at = $2 \
         WHERE asset_id = $1 AND state <> 'cancelled'"
    );
    // Start-time fair queueing (Goyal, Vin, Cheng 1996): who has nothing open begins where the queue now is, who has
    // begins after the last of it.
    FAIR_START = both(
        "SELECT COALESCE(MIN(turn), 1) AS now, COALESCE(MAX(CASE WHEN owner_id = $1 THEN turn END), 0) AS own \
         FROM jobs WHERE state IN ('queued', 'leased') AND turn > 0"
    );
    // Releases come nearer while jobs wait.
    HURRY = both(
        "UPDATE jobs SET priority = priority + $1 WHERE state = 'queued' AND priority < $1 AND asset_id IN \
         (SELECT assets.id FROM assets JOIN lessons ON lessons.id = assets.lesson_id \
         WHERE lessons.release_at > $2 AND lessons.release_at <= $3)"
    );
    COUNT_BY_STATE = both("SELECT kind, state, COUNT(*) AS total FROM jobs GROUP BY kind, state");
    LIST = split(
        concat!(
            "SELECT ",
            job!(),
            " FROM jobs WHERE ($1 IS NULL OR state = $1) AND ($2 IS NULL OR asset_id = $2) \
             AND ($3 IS NULL OR id < $3) ORDER BY id DESC LIMIT $4"
        ),
        concat!(
            "SELECT ",
            job!(),
            " FROM jobs WHERE ($1::text IS NULL OR state = $1) AND ($2::uuid IS NULL OR asset_id = $2) \
             AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4"
        ),
    );
    RUN_NOW = both("UPDATE jobs SET run_after = $2 WHERE id = $1 AND state = 'queued' AND run_after > $2");
    TELL = both("INSERT INTO job_story (job_id, at, attempt, event, detail) VALUES ($1, $2, $3, $4, $5)");
    STORY = both("SELECT at, attempt, event, detail FROM job_story WHERE job_id = $1 ORDER BY at, attempt");
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
    /// Who uploaded the asset.
    pub owner: Option<UserId>,
    /// Its place: lower first among equal priorities; 0 for work that takes no turns.
    pub turn: u64,
    /// Higher first.
    pub priority: i64,
    /// Estimated peak of the memory it takes, MiB.
    pub memory_mib: u64,
    /// What it left for those after it.
    pub result: Option<serde_json::Value>,
    /// Not before.
    pub run_after: Timestamp,
    /// When it was queued first.
    pub created_at: Timestamp,
    /// When it was last queued, claimed or ended.
    pub updated_at: Timestamp,
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
            owner: row.maybe("owner_id")?,
            turn: row.get("turn")?,
            priority: row.get("priority")?,
            memory_mib: row.get("memory_mib")?,
            result: row.maybe("result")?,
            run_after: row.get("run_after")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
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
    /// Who uploaded the asset: owners take turns.
    pub owner: Option<UserId>,
    /// Its place among those of equal priority, from [`fair_start`]; 0: before all that take turns.
    pub turn: u64,
    /// Estimated peak of the memory it takes, MiB.
    pub memory_mib: u64,
}

impl NewJob {
    /// A job of somebody's asset, as urgent as its class and its lesson's release make it.
    pub(crate) fn new(
        payload: JobPayload,
        owner: UserId,
        release_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        let priority = payload.priority() + urgency(release_at, now);
        Self { owner: Some(owner), priority, ..Self::unowned(payload) }
    }

    /// A job that nobody waits for.
    pub(crate) fn unowned(payload: JobPayload) -> Self {
        let priority = payload.priority();
        Self { dedup_key: String::new(), payload, priority, weight: 0.0, owner: None, turn: 0, memory_mib: 0 }
    }
}

/// Queues a job. False: the same work was queued before.
pub async fn insert(tx: &mut Tx, new: NewJob, now: Timestamp) -> Result<bool, Error> {
    Ok(insert_all(tx, &[new], now).await? == 1)
}

/// Queues jobs. How many; the others were queued before.
pub async fn insert_all(tx: &mut Tx, new: &[NewJob], now: Timestamp) -> Result<u64, Error> {
    let row = |new: &NewJob| {
        let id = JobId::from_uuid(uuid_v7(now, &rand::random()));
        let payload = serde_json::to_value(&new.payload).map_err(|error| corrupt("payload", error))?;
        Ok(serde_json::json!({
            "id": id.uuid().simple().to_string(),
            "dedup_key": new.dedup_key,
            "kind": new.payload.kind().as_str(),
            "asset_id": new.payload.asset().uuid().simple().to_string(),
            "payload": payload,
            "priority": new.priority,
            "weight": new.weight,
            "owner_id": new.owner.map(|owner| owner.uuid().simple().to_string()),
            "turn": new.turn,
            "memory_mib": new.memory_mib,
        }))
    };
    let rows = new.iter().map(row).collect::<Result<Vec<_>, Error>>()?;
    tx.execute(INSERT, args![serde_json::Value::from(rows), now]).await
}

/// A job by id.
pub async fn find(db: &Db, id: JobId) -> Result<Option<Job>, Error> {
    db.fetch_optional(FIND, args![id]).await
}

/// Every job of an asset, oldest first.
pub async fn of_asset(db: &Db, asset: AssetId) -> Result<Vec<Job>, Error> {
    db.fetch_all(OF_ASSET, args![asset]).await
}

fn names(classes: &[WorkClass]) -> serde_json::Value {
    classes.iter().map(|class| class.as_str()).collect::<Vec<_>>().into()
}

/// What a process would take.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Of which classes.
    pub classes: &'a [WorkClass],
    /// How many at most.
    pub jobs: u64,
    /// None that needs more memory, MiB.
    pub memory_mib: u64,
}

/// Claims the most urgent jobs, each a new attempt under a lease.
pub async fn claim(
    db: &Db,
    owner: ProcessId,
    wanted: Wanted<'_>,
    now: Timestamp,
    lease: Duration,
) -> Result<Vec<Job>, Error> {
    let args = args![owner, now + lease, now, names(wanted.classes), wanted.memory_mib, wanted.jobs];
    if db.engine() == Engine::Postgres {
        let told = args.into_iter().chain(args![owner.to_string()]).collect();
        return db.fetch_all(CLAIM, told).await;
    }
    let mut tx = db.begin().await?;
    let jobs: Vec<Job> = tx.fetch_all(CLAIM, args).await?;
    for job in &jobs {
        tell(&mut tx, job.id, job.attempt, "claimed", &owner.to_string(), now).await?;
    }
    tx.commit().await?;
    Ok(jobs)
}

/// When the next queued job of these classes may run.
pub async fn next_due(db: &Db, classes: &[WorkClass]) -> Result<Option<Timestamp>, Error> {
    struct Due(Option<Timestamp>);
    impl FromRow for Due {
        fn from_row(row: &Row) -> Result<Self, Error> {
            row.maybe("due").map(Due)
        }
    }
    Ok(db.fetch_optional::<Due>(NEXT_DUE, args![names(classes)]).await?.and_then(|due| due.0))
}

/// Where the turns of an owner's next jobs begin.
pub(crate) async fn fair_start(tx: &mut Tx, owner: UserId) -> Result<u64, Error> {
    struct Turns(u64, u64);
    impl FromRow for Turns {
        fn from_row(row: &Row) -> Result<Self, Error> {
            Ok(Self(row.get("now")?, row.get("own")?))
        }
    }
    let turns: Option<Turns> = tx.fetch_optional(FAIR_START, args![owner]).await?;
    Ok(turns.map_or(1, |Turns(now, own)| now.max(own)))
}

/// Raises queued jobs whose lesson is released soon over all others. How many.
pub async fn hurry(db: &Db, now: Timestamp) -> Result<u64, Error> {
    db.execute(HURRY, args![URGENT, now, now + RELEASED_SOON]).await
}

/// Jobs, latest first: in this state, of this asset, before this one.
pub async fn list(
    db: &Db,
    state: Option<JobState>,
    asset: Option<AssetId>,
    before: Option<JobId>,
    limit: u64,
) -> Result<Vec<Job>, Error> {
    db.fetch_all(LIST, args![state.map(JobState::as_str), asset, before, limit]).await
}

/// Ends a queued job's wait. False: it does not wait.
pub async fn run_now(db: &Db, id: JobId, now: Timestamp) -> Result<bool, Error> {
    Ok(db.execute(RUN_NOW, args![id, now]).await? == 1)
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

/// Ends leased jobs, each with its result. Those that were ended; the others are fenced.
pub(crate) async fn finish(
    tx: &mut Tx,
    jobs: &[(&Job, Option<serde_json::Value>)],
    state: JobState,
    now: Timestamp,
) -> Result<Vec<JobId>, Error> {
    struct Ended(JobId);
    impl FromRow for Ended {
        fn from_row(row: &Row) -> Result<Self, Error> {
            row.get("id").map(Self)
        }
    }
    let row = |(job, result): &(&Job, Option<serde_json::Value>)| serde_json::json!({ "id": job.id.uuid().simple().to_string(), "attempt": job.attempt, "result": result });
    let rows: Vec<serde_json::Value> = jobs.iter().map(row).collect();
    let ended: Vec<Ended> =
        tx.fetch_all(FINISH, args![serde_json::Value::from(rows), state.as_str(), now]).await?;
    let ended: Vec<JobId> = ended.into_iter().map(|Ended(id)| id).collect();
    if matches!(tx, Tx::Sqlite(_)) {
        for (job, _) in jobs.iter().filter(|(job, _)| ended.contains(&job.id)) {
            tell(tx, job.id, job.attempt, state.as_str(), "", now).await?;
        }
    }
    Ok(ended)
}

struct Open(u64);

impl FromRow for Open {
    fn from_row(row: &Row) -> Result<Self, Error> {
        row.get("open").map(Self)
    }
}

/// How many of an asset's transcode jobs have not come to an end.
pub(crate) async fn open_transcodes(tx: &mut Tx, asset: AssetId) -> Result<u64, Error> {
    Ok(tx.fetch_optional::<Open>(OPEN_TRANSCODES, args![asset]).await?.map_or(0, |open| open.0))
}

/// How many of the jobs that make its package, or part of it.
pub(crate) async fn open_packaging(tx: &mut Tx, asset: AssetId) -> Result<u64, Error> {
    Ok(tx.fetch_optional::<Open>(OPEN_PACKAGING, args![asset]).await?.map_or(0, |open| open.0))
}

/// How many of the jobs without which nothing can be published: its first `spans`, and each sound of which nothing is there.
pub(crate) async fn open_head(tx: &mut Tx, asset: AssetId, spans: u64) -> Result<u64, Error> {
    Ok(tx.fetch_optional::<Open>(OPEN_HEAD, args![asset, spans]).await?.map_or(0, |open| open.0))
}

/// When work on an asset's tracks began.
pub(crate) async fn first_claimed(tx: &mut Tx, asset: AssetId) -> Result<Option<Timestamp>, Error> {
    struct At(Option<Timestamp>);
    impl FromRow for At {
        fn from_row(row: &Row) -> Result<Self, Error> {
            row.maybe("at").map(At)
        }
    }
    Ok(tx.fetch_optional::<At>(FIRST_CLAIMED, args![asset]).await?.and_then(|at| at.0))
}

/// Keeps what an attempt has made so far, besides what it told before. False: another attempt has begun.
pub(crate) async fn add_part(tx: &mut Tx, job: &Job, output: &TranscodeOutput) -> Result<bool, Error> {
    let output = serde_json::to_value(output).map_err(|error| corrupt("output", error))?;
    Ok(tx.execute(ADD_PART, args![job.id, job.attempt, output]).await? == 1)
}

/// What the present attempt of a job has told of, in order.
pub async fn parts(db: &Db, job: JobId) -> Result<Vec<TranscodeOutput>, Error> {
    struct Part(TranscodeOutput);
    impl FromRow for Part {
        fn from_row(row: &Row) -> Result<Self, Error> {
            row.json("output").map(Part)
        }
    }
    Ok(db.fetch_all::<Part>(PARTS, args![job]).await?.into_iter().map(|part| part.0).collect())
}

/// Forgets the parts of an asset whose jobs have all ended.
pub(crate) async fn drop_parts(tx: &mut Tx, asset: AssetId) -> Result<(), Error> {
    tx.execute(DROP_PARTS, args![asset]).await.map(drop)
}

/// Steps of the backoff after which a job whose doors are away asks again at the same pace, about every half minute: an outage
/// ends for all of them together.
const LONGEST_OUTAGE_STEP: u32 = 5;

/// Why a job goes back to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutBack {
    /// The attempt reported a failure: counted, and tried again after a backoff.
    Failed(String),
    /// Something that every job needs was away (database, object store): not counted, tried again after a backoff.
    Unavailable(String),
    /// The worker is shutting down: not counted, may run at once.
    Released,
    /// The lease ran out or its process died: not counted as a failure, may run at once.
    LeaseLost,
}

/// Puts a leased job back, or parks it when it has failed too often. The job as it stands then; none: fenced.
pub async fn put_back(tx: &mut Tx, job: &Job, why: &PutBack, now: Timestamp) -> Result<Option<Job>, Error> {
    let (event, detail, failed, wait) = match why {
        PutBack::Failed(detail) => ("failed", detail.as_str(), true, job.failures + 1),
        PutBack::Unavailable(detail) => {
            ("unavailable", detail.as_str(), false, job.attempt.min(LONGEST_OUTAGE_STEP))
        }
        PutBack::Released => ("released", "", false, 0),
        PutBack::LeaseLost => ("lease_lost", "", false, 0),
    };
    let run_after = if wait > 0 { now + backoff(wait, rand::random()) } else { now };
    let (failures, attempts) =
        if job.payload.kind().gives_up() { (MAX_FAILURES, MAX_ATTEMPTS) } else { (u32::MAX, u32::MAX) };
    let outage = matches!(why, PutBack::Unavailable(_));
    let args =
        args![job.id, job.attempt, run_after, now, i64::from(failed), failures, attempts, i64::from(outage)];
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

pub(crate) async fn tell(
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
