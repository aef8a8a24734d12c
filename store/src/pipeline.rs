//! The way of an asset from upload to play: each step is one transaction that moves the state and queues the jobs it
//! causes, so that a crash between two steps loses nothing and repeats nothing.

use lectern_domain::{
    Timestamp,
    asset::AssetState,
    cost::{light_cost, span_cost},
    failure::{Failure, FailureCode},
    growth::{self, Grown},
    ids::{AssetId, PackageId},
    job::{JobPayload, JobState},
    media::{Rendition, TranscodeOutput},
    plan::TranscodePlan,
    source::SourceInfo,
    trim::Trim,
};

use crate::{
    Db, Error, Tx,
    assets::{self, Asset, NewAsset},
    captions,
    jobs::{self, Job, NewJob, PutBack},
    packages::{self, NewPackage, Package},
    row::corrupt,
    statement::statements,
    value::args,
};

statements! {
    LESSON_ASSET_STATE = both(
        "SELECT assets.id, assets.state FROM lessons JOIN assets ON assets.id = lessons.asset_id WHERE lessons.id = $1"
    );
    POINT_LESSON = both("UPDATE lessons SET asset_id = $2, version = version + 1, updated_at = $3 WHERE id = $1");
    UNPOINT_LESSONS = both("UPDATE lessons SET asset_id = NULL, version = version + 1, updated_at = $2 WHERE asset_id = $1");
    // PostgreSQL: waits for uploads that are being announced in the course, and lets none be announced meanwhile.
    HOLD_COURSE = split(
        "SELECT id FROM courses WHERE id = (SELECT course_id FROM lessons WHERE id = $1)",
        "SELECT id FROM courses WHERE id = (SELECT course_id FROM lessons WHERE id = $1) FOR UPDATE",
    );
    OF_LESSON = both("SELECT id FROM assets WHERE lesson_id = $1 AND state <> 'deleted'");
    SAVE_PLAN = both("UPDATE assets SET source_info = $2, plan = $3, duration_ms = $4 WHERE id = $1");
    POINT_PACKAGE = both("UPDATE assets SET package_id = $2, duration_ms = $3 WHERE id = $1");
    SHRED = both("UPDATE assets SET wrapped_secret = NULL WHERE id = $1");
    NEXT_GENERATION = both("UPDATE assets SET generation = generation + 1, progress = 0.0 WHERE id = $1");
    // A late heartbeat takes nothing from an asset that is ready.
    ADVANCE_PROGRESS = split(
        "UPDATE assets SET progress = MIN(0.999, MAX(progress, COALESCE((SELECT SUM(weight * jobs.progress) FROM jobs \
         WHERE jobs.asset_id = assets.id AND jobs.state <> 'cancelled'), 0.0))) \
         WHERE id = $1 AND state NOT IN ('ready', 'failed', 'deleted')",
        "UPDATE assets SET progress = LEAST(0.999, GREATEST(progress, COALESCE((SELECT SUM(weight * jobs.progress) \
         FROM jobs WHERE jobs.asset_id = assets.id AND jobs.state <> 'cancelled'), 0.0))) \
         WHERE id = $1 AND state NOT IN ('ready', 'failed', 'deleted')",
    );
    COMPLETE_PROGRESS = both("UPDATE assets SET progress = 1.0 WHERE id = $1");
}

/// Shares of an asset's progress; the transcode jobs divide theirs by the length of what they make.
const PROBE_SHARE: f64 = 0.02;
const TRANSCODE_SHARE: f64 = 0.92;
const PACKAGE_SHARE: f64 = 0.06;

/// Least time between two growths of a package that can be played.
const BETWEEN_GROWTHS: time::Duration = time::Duration::seconds(2);

/// Cores that estimates of memory assume: more threads hold more pictures.
const CORES_OF_A_WORKER: f64 = 4.0;

/// What a job achieved.
#[derive(Debug, Clone)]
pub enum Completion {
    /// The source was examined and planned.
    Probed {
        /// What was found.
        source: Box<SourceInfo>,
        /// What will be made.
        plan: Box<TranscodePlan>,
    },
    /// A span or an audio track was encoded.
    Transcoded {
        /// Its segments.
        output: TranscodeOutput,
        /// The package that it begins if it is the first of the asset.
        package: NewPackage,
    },
    /// A package has grown, or there was nothing yet to grow with.
    Grown {
        /// What it offers so far.
        renditions: Vec<Rendition>,
        /// How far it reaches.
        grown: Grown,
    },
    /// Everything of the package is in the object store.
    Packaged {
        /// What it offers.
        renditions: Vec<Rendition>,
        /// Duration as packaged.
        duration_ms: u64,
    },
    /// A package version with the asset's captions is in the object store.
    TextsAdded {
        /// The version; `base` where the asset has no captions.
        package: PackageId,
        /// The package whose segments it uses.
        base: PackageId,
    },
    /// Clear intermediates, or a deleted asset's objects, are gone.
    Removed,
}

/// How a completion or a failure was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was written.
    Yes,
    /// Another attempt has begun, or the job was cancelled: nothing was written.
    Fenced,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobFailure {
    /// Another attempt may succeed. After some of these the asset fails.
    Retry(String),
    /// Database or object store did not answer: no attempt could have succeeded, so it is not held against the job.
    Unavailable(String),
    /// No attempt can succeed: the asset fails.
    Fail {
        /// Why.
        failure: Failure,
        /// For the log and the story.
        detail: String,
    },
}

struct LessonAsset {
    id: AssetId,
    state: AssetState,
}

impl crate::row::FromRow for LessonAsset {
    fn from_row(row: &crate::row::Row) -> Result<Self, Error> {
        Ok(Self { id: row.get("id")?, state: row.word("state", AssetState::parse)? })
    }
}

struct OnlyId(AssetId);

impl crate::row::FromRow for OnlyId {
    fn from_row(row: &crate::row::Row) -> Result<Self, Error> {
        row.get("id").map(OnlyId)
    }
}

/// Inserts an announced asset. The lesson points at it at once, unless it already has an asset that plays: then the
/// pointer moves when the new one plays too.
pub async fn create_asset(tx: &mut Tx, new: NewAsset, now: Timestamp) -> Result<(), Error> {
    let (id, lesson) = (new.id, new.lesson);
    assets::insert(tx, new, now).await?;
    let current: Option<LessonAsset> = tx.fetch_optional(LESSON_ASSET_STATE, args![lesson]).await?;
    match current {
        Some(current) if current.state.is_playable() => {}
        Some(current) => {
            delete_asset(tx, current.id, now).await?;
            tx.execute(POINT_LESSON, args![lesson, id, now]).await?;
        }
        None => {
            tx.execute(POINT_LESSON, args![lesson, id, now]).await?;
        }
    }
    Ok(())
}

/// The source is in the object store: the asset is probed next. False: it was so before.
pub async fn upload_finished(tx: &mut Tx, asset: AssetId, now: Timestamp) -> Result<bool, Error> {
    if !assets::advance(tx, asset, AssetState::Probing, now).await? {
        return Ok(false);
    }
    let Some(asset) = assets::find_in(tx, asset).await? else { return Ok(false) };
    queue_probe(tx, &asset, 0, now).await?;
    Ok(true)
}

async fn queue_probe(tx: &mut Tx, asset: &Asset, generation: u32, now: Timestamp) -> Result<(), Error> {
    let payload = JobPayload::Probe { asset: asset.id };
    let job = NewJob {
        dedup_key: format!("{}:{generation}:probe", asset.id),
        weight: PROBE_SHARE,
        turn: jobs::fair_start(tx, asset.owner).await?,
        memory_mib: light_cost().memory_mib,
        ..NewJob::new(payload, asset.owner, asset.release_at, now)
    };
    jobs::insert(tx, job, now).await.map(drop)
}

/// Removes an asset: it stops playing now, its secret is shredded now, its objects go soon. False: it was deleted before.
pub async fn delete_asset(tx: &mut Tx, asset: AssetId, now: Timestamp) -> Result<bool, Error> {
    if !assets::advance(tx, asset, AssetState::Deleted, now).await? {
        return Ok(false);
    }
    tx.execute(SHRED, args![asset]).await?;
    captions::delete_all(tx, asset).await?;
    tx.execute(UNPOINT_LESSONS, args![asset, now]).await?;
    jobs::cancel_of_asset(tx, asset, now).await?;
    let job =
        NewJob { dedup_key: format!("{asset}:delete"), ..NewJob::unowned(JobPayload::DeleteAsset { asset }) };
    // Not at once: a running attempt learns within a heartbeat that it was cancelled, and may still be writing.
    jobs::insert(tx, job, now + time::Duration::seconds(5)).await?;
    Ok(true)
}

/// Removes every asset ever uploaded for a lesson. Call before deleting the lesson, and before anything else in the
/// transaction that waits for an asset or a lesson: the course is held first, as where an upload is announced
/// ([`crate::uploads::keep_lesson`]), so that neither misses the other and neither waits for the other in a circle.
pub async fn delete_assets_of_lesson(
    tx: &mut Tx,
    lesson: lectern_domain::ids::LessonId,
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(HOLD_COURSE, args![lesson]).await?;
    let assets: Vec<OnlyId> = tx.fetch_all(OF_LESSON, args![lesson]).await?;
    for OnlyId(asset) in assets {
        delete_asset(tx, asset, now).await?;
    }
    Ok(())
}

/// Starts a failed asset again from its stored source. False: it has not failed, or its source is gone.
pub async fn retry_asset(tx: &mut Tx, asset: AssetId, now: Timestamp) -> Result<bool, Error> {
    let Some(found) = assets::find_in(tx, asset).await? else { return Ok(false) };
    let retryable = found.failure.as_ref().is_some_and(|failure| failure.code.retryable());
    if !retryable || !assets::advance(tx, asset, AssetState::Probing, now).await? {
        return Ok(false);
    }
    assets::set_failure(tx, asset, None).await?;
    tx.execute(NEXT_GENERATION, args![asset]).await?;
    jobs::supersede_of_asset(tx, asset, now).await?;
    queue_probe(tx, &found, found.generation + 1, now).await?;
    Ok(true)
}

/// What became of a wish for other points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trimmed {
    /// They hold from now on.
    Yes,
    /// There is no such asset.
    NoAsset,
    /// Its source has been examined with other points, and what was planned is being made or done.
    TooLate,
}

/// Sets the points of an asset whose source has not been examined yet, or that failed and can be tried again.
pub async fn trim_asset(
    tx: &mut Tx,
    asset: AssetId,
    trim: Option<Trim>,
    now: Timestamp,
) -> Result<Trimmed, Error> {
    // A probe job that is queued or begins meanwhile would have read the points of before.
    assets::lock(tx, asset, now).await?;
    let Some(found) = assets::find_in(tx, asset).await? else { return Ok(Trimmed::NoAsset) };
    let open = match found.state {
        AssetState::Deleted => return Ok(Trimmed::NoAsset),
        AssetState::AwaitingUpload | AssetState::Uploading => true,
        AssetState::Failed => found.failure.as_ref().is_some_and(|failure| failure.code.retryable()),
        _ => false,
    };
    if !open {
        return Ok(if found.trim == trim { Trimmed::Yes } else { Trimmed::TooLate });
    }
    assets::set_trim(tx, asset, trim).await?;
    Ok(Trimmed::Yes)
}

/// Writes a job's progress (from 0 to 1) through to its asset.
pub async fn report_progress(db: &Db, asset: AssetId) -> Result<(), Error> {
    db.execute(ADVANCE_PROGRESS, args![asset]).await.map(drop)
}

/// Completes a job: its result, the asset's next state and the jobs that follow, at once.
pub async fn complete(db: &Db, job: &Job, completion: Completion, now: Timestamp) -> Result<Taken, Error> {
    Ok(complete_all(db, &[(job.clone(), completion)], now).await?[0])
}

/// The same for some jobs of one asset that have ended, in their order.
pub async fn complete_all(db: &Db, ended: &[(Job, Completion)], now: Timestamp) -> Result<Vec<Taken>, Error> {
    let Some(asset_id) = ended.first().map(|(job, _)| job.payload.asset()) else { return Ok(Vec::new()) };
    let fenced = vec![Taken::Fenced; ended.len()];
    let mut tx = db.begin().await?;
    // Jobs of one asset that end together take turns here, so that exactly one of them sees itself as the last.
    let Some(asset) = assets::hold(&mut tx, asset_id).await? else { return Ok(fenced) };
    let result = |completion: &Completion| match completion {
        Completion::Transcoded { output, .. } => serde_json::to_value(output).map(Some),
        _ => Ok(None),
    };
    let rows = ended
        .iter()
        .map(|(job, completion)| Ok((job, result(completion).map_err(|error| corrupt("result", error))?)))
        .collect::<Result<Vec<_>, Error>>()?;
    let held = jobs::finish(&mut tx, &rows, JobState::Done, now).await?;
    let mut taken = fenced;
    for ((job, completion), taken) in ended.iter().zip(&mut taken) {
        if !held.contains(&job.id) {
            continue;
        }
        *taken = Taken::Yes;
        match completion {
            Completion::Probed { source, plan } => probed(&mut tx, &asset, source, plan, now).await?,
            Completion::Transcoded { package, .. } => landed(&mut tx, &asset, package, now).await?,
            Completion::Grown { renditions, grown: reach } => {
                if let JobPayload::Grow { package, landed, .. } = job.payload {
                    grown(&mut tx, &asset, package, landed, renditions, reach, now).await?;
                }
            }
            Completion::Packaged { renditions, duration_ms } => {
                if let JobPayload::Package { package, .. } = job.payload {
                    packaged(&mut tx, &asset, package, renditions, *duration_ms, now).await?;
                }
            }
            Completion::TextsAdded { package, base } => {
                if let JobPayload::AddTexts { version, .. } = job.payload {
                    captions::published(&mut tx, asset_id, *package, *base, version, now).await?;
                }
            }
            Completion::Removed => {
                if asset.state == AssetState::Playable
                    && assets::advance(&mut tx, asset_id, AssetState::Ready, now).await?
                {
                    tx.execute(COMPLETE_PROGRESS, args![asset_id]).await?;
                    captions::queue(&mut tx, &asset, now).await?;
                }
            }
        }
    }
    // Removing objects is no progress.
    if ended.iter().any(|(job, _)| held.contains(&job.id) && job.payload.kind().gives_up()) {
        tx.execute(ADVANCE_PROGRESS, args![asset_id]).await?;
    }
    tx.commit().await?;
    Ok(taken)
}

async fn probed(
    tx: &mut Tx,
    asset: &Asset,
    source: &SourceInfo,
    plan: &TranscodePlan,
    now: Timestamp,
) -> Result<(), Error> {
    if !assets::advance(tx, asset.id, AssetState::Processing, now).await? {
        return Ok(());
    }
    let info = serde_json::to_value(source).map_err(|error| corrupt("source_info", error))?;
    let plan_json = serde_json::to_value(plan).map_err(|error| corrupt("plan", error))?;
    let duration_ms = (plan.duration_ns > 0).then_some(plan.duration_ns / 1_000_000);
    tx.execute(SAVE_PLAN, args![asset.id, info, plan_json, duration_ms]).await?;
    let spans = plan.video.as_ref().map_or(&[][..], |video| &video.spans);
    // An audio track costs about as much as a twentieth of a span's picture.
    let units = spans.len() as f64 + plan.audio.len() as f64 * 0.05;
    let new = |payload| NewJob::new(payload, asset.owner, asset.release_at, now);
    let span_memory = |(track, video)| span_cost(track, video, CORES_OF_A_WORKER).memory_mib;
    let memory_mib = source.video.as_ref().zip(plan.video.as_ref()).map_or(0, span_memory);
    // Turns pass with the media made: whoever brings a hundred hours waits for others after each of them.
    let mut turn = jobs::fair_start(tx, asset.owner).await?;
    let mut queued = Vec::new();
    for index in 0..plan.audio.len() {
        let job = NewJob {
            dedup_key: format!("{}:{}:audio:{index}", asset.id, asset.generation),
            weight: TRANSCODE_SHARE / units * 0.05,
            turn,
            memory_mib: light_cost().memory_mib,
            ..new(JobPayload::TranscodeAudio { asset: asset.id, audio: index as u32 })
        };
        turn += plan.duration_ns / 20_000_000;
        queued.push(job);
    }
    for span in spans {
        let job = NewJob {
            dedup_key: format!("{}:{}:span:{}", asset.id, asset.generation, span.index),
            weight: TRANSCODE_SHARE / units,
            turn,
            memory_mib,
            ..new(JobPayload::TranscodeSpan { asset: asset.id, span: span.index })
        };
        let end_ns = span.end_ns.unwrap_or(plan.duration_ns);
        turn += end_ns.saturating_sub(span.start_ns) / 1_000_000;
        queued.push(job);
    }
    jobs::insert_all(tx, &queued, now).await?;
    Ok(())
}

/// Keeps what a transcode job has made so far, while it goes on; `package` as in [`Completion::Transcoded`].
pub async fn part_made(
    db: &Db,
    job: &Job,
    output: &TranscodeOutput,
    package: &NewPackage,
    now: Timestamp,
) -> Result<Taken, Error> {
    let mut tx = db.begin().await?;
    let Some(asset) = assets::hold(&mut tx, job.payload.asset()).await? else { return Ok(Taken::Fenced) };
    if !jobs::add_part(&mut tx, job, output).await? {
        return Ok(Taken::Fenced);
    }
    landed(&mut tx, &asset, package, now).await?;
    tx.commit().await?;
    Ok(Taken::Yes)
}

/// Something more of an asset has been made.
async fn landed(tx: &mut Tx, asset: &Asset, new: &NewPackage, now: Timestamp) -> Result<(), Error> {
    if packages::of_generation(tx, asset.id, asset.generation).await?.is_none() {
        packages::insert(tx, asset.id, asset.generation, new, now).await?;
    }
    let Some(package) = packages::of_generation(tx, asset.id, asset.generation).await? else { return Ok(()) };
    packages::landed(tx, package.id).await?;
    go_on(tx, asset, &Package { landed: package.landed + 1, ..package }, now).await
}

/// Queues what comes next for a package: the whole of it once everything is made, or as much as there is. One at a time, because
/// both write its playlists.
async fn go_on(tx: &mut Tx, asset: &Asset, package: &Package, now: Timestamp) -> Result<(), Error> {
    let making = matches!(asset.state, AssetState::Processing | AssetState::Playable);
    if !making || jobs::open_packaging(tx, asset.id).await? > 0 {
        return Ok(());
    }
    let name = |what: &str| format!("{}:{}:{what}", asset.id, asset.generation);
    if jobs::open_transcodes(tx, asset.id).await? == 0 {
        let payload = JobPayload::Package { asset: asset.id, package: package.id };
        let job = NewJob {
            dedup_key: name("package"),
            weight: PACKAGE_SHARE,
            ..NewJob::new(payload, asset.owner, asset.release_at, now)
        };
        return jobs::insert(tx, job, now).await.map(drop);
    }
    if package.landed <= package.grown_at || !can_grow(tx, asset).await? {
        return Ok(());
    }
    let payload = JobPayload::Grow { asset: asset.id, package: package.id, landed: package.landed };
    let job = NewJob {
        dedup_key: name(&format!("grow:{}", package.landed)),
        ..NewJob::new(payload, asset.owner, asset.release_at, now)
    };
    // Whoever plays has a while to go; what lands in that time is published together.
    let begin = if asset.state == AssetState::Playable { now + BETWEEN_GROWTHS } else { now };
    jobs::insert(tx, job, begin).await.map(drop)
}

/// Whether what has been made of an asset is enough to begin with and of use to anybody.
async fn can_grow(tx: &mut Tx, asset: &Asset) -> Result<bool, Error> {
    let Some(plan) = &asset.plan else { return Ok(false) };
    let spans = plan.video.as_ref().map_or(&[][..], |video| &video.spans);
    let head = spans.iter().filter(|span| span.start_ns < growth::LEAST_MS * 1_000_000).count();
    let nothing_follows = !spans.is_empty() && head == spans.len();
    if nothing_follows || plan.duration_ns < 2 * growth::LEAST_MS * 1_000_000 {
        return Ok(false);
    }
    // In the place of another asset that plays it will play when it is whole: until then that one is better.
    Ok(shows(tx, asset).await? && jobs::open_head(tx, asset.id, head as u64).await? == 0)
}

/// Whether an asset's lesson shows it.
async fn shows(tx: &mut Tx, asset: &Asset) -> Result<bool, Error> {
    let Some(lesson) = asset.lesson else { return Ok(false) };
    let current: Option<LessonAsset> = tx.fetch_optional(LESSON_ASSET_STATE, args![lesson]).await?;
    Ok(current.is_some_and(|current| current.id == asset.id))
}

async fn grown(
    tx: &mut Tx,
    asset: &Asset,
    package: PackageId,
    landed: u64,
    renditions: &[Rendition],
    reach: &Grown,
    now: Timestamp,
) -> Result<(), Error> {
    packages::set_grown(tx, package, renditions, reach, landed).await?;
    let since = jobs::first_claimed(tx, asset.id).await?.unwrap_or(now);
    let elapsed_ms = u64::try_from((now - since).whole_milliseconds()).unwrap_or(0);
    let duration_ms = asset.duration_ms.unwrap_or(0);
    let mut asset = asset.clone();
    if growth::may_begin(reach.until_ms, duration_ms, elapsed_ms)
        && shows(tx, &asset).await?
        && assets::advance(tx, asset.id, AssetState::Playable, now).await?
    {
        tx.execute(POINT_PACKAGE, args![asset.id, package, duration_ms]).await?;
        asset.state = AssetState::Playable;
    }
    let Some(package) = packages::of_generation(tx, asset.id, asset.generation).await? else { return Ok(()) };
    go_on(tx, &asset, &package, now).await
}

async fn packaged(
    tx: &mut Tx,
    asset: &Asset,
    package: PackageId,
    renditions: &[Rendition],
    duration_ms: u64,
    now: Timestamp,
) -> Result<(), Error> {
    let begins = assets::advance(tx, asset.id, AssetState::Playable, now).await?;
    if !begins && asset.state != AssetState::Playable {
        return Ok(());
    }
    packages::publish(tx, package, renditions, now).await?;
    jobs::drop_parts(tx, asset.id).await?;
    tx.execute(POINT_PACKAGE, args![asset.id, package, duration_ms]).await?;
    if let Some(lesson) = asset.lesson.filter(|_| begins) {
        let current: Option<LessonAsset> = tx.fetch_optional(LESSON_ASSET_STATE, args![lesson]).await?;
        if let Some(replaced) = current.filter(|current| current.id != asset.id) {
            delete_asset(tx, replaced.id, now).await?;
        }
        tx.execute(POINT_LESSON, args![lesson, asset.id, now]).await?;
    }
    queue_clean_work(tx, asset, now).await
}

async fn queue_clean_work(tx: &mut Tx, asset: &Asset, now: Timestamp) -> Result<(), Error> {
    let job = NewJob {
        dedup_key: format!("{}:{}:clean", asset.id, asset.generation),
        ..NewJob::unowned(JobPayload::CleanWork { asset: asset.id })
    };
    jobs::insert(tx, job, now).await.map(drop)
}

/// Ends the work on an asset: it fails as cancelled, and can be retried. False: there is no work on it.
pub async fn cancel_asset(tx: &mut Tx, asset: AssetId, now: Timestamp) -> Result<bool, Error> {
    assets::lock(tx, asset, now).await?;
    let state = assets::find_in(tx, asset).await?.map(|asset| asset.state);
    let working = match state {
        Some(AssetState::Probing | AssetState::Processing) => true,
        Some(AssetState::Playable) => jobs::open_transcodes(tx, asset).await? > 0,
        _ => false,
    };
    if working {
        fail_asset(tx, asset, &FailureCode::Cancelled.into(), now).await?;
    }
    Ok(working)
}

/// Takes a failed attempt: back to the queue, or parked, or the asset fails with it.
pub async fn job_failed(db: &Db, job: &Job, failure: JobFailure, now: Timestamp) -> Result<Taken, Error> {
    let mut tx = db.begin().await?;
    assets::lock(&mut tx, job.payload.asset(), now).await?;
    let taken = match failure {
        JobFailure::Retry(detail) => put_back(&mut tx, job, &PutBack::Failed(detail), now).await?,
        JobFailure::Unavailable(detail) => put_back(&mut tx, job, &PutBack::Unavailable(detail), now).await?,
        JobFailure::Fail { failure, detail } => {
            let result = Some(serde_json::json!({ "failure": failure, "detail": detail }));
            if jobs::finish(&mut tx, &[(job, result)], JobState::Failed, now).await?.is_empty() {
                Taken::Fenced
            } else {
                fail_asset(&mut tx, job.payload.asset(), &failure, now).await?;
                Taken::Yes
            }
        }
    };
    tx.commit().await?;
    Ok(taken)
}

/// Gives a lease back (soft shutdown, or a dead process found at start, or an expired lease).
pub async fn job_put_back(db: &Db, job: &Job, why: PutBack, now: Timestamp) -> Result<Taken, Error> {
    let mut tx = db.begin().await?;
    assets::lock(&mut tx, job.payload.asset(), now).await?;
    let taken = put_back(&mut tx, job, &why, now).await?;
    tx.commit().await?;
    Ok(taken)
}

async fn put_back(tx: &mut Tx, job: &Job, why: &PutBack, now: Timestamp) -> Result<Taken, Error> {
    let Some(after) = jobs::put_back(tx, job, why, now).await? else { return Ok(Taken::Fenced) };
    if after.state == JobState::Parked {
        fail_asset(tx, job.payload.asset(), &FailureCode::Internal.into(), now).await?;
    }
    Ok(Taken::Yes)
}

async fn fail_asset(tx: &mut Tx, id: AssetId, failure: &Failure, now: Timestamp) -> Result<(), Error> {
    let Some(asset) = assets::find_in(tx, id).await? else { return Ok(()) };
    if !assets::advance(tx, id, AssetState::Failed, now).await? {
        return Ok(());
    }
    assets::set_failure(tx, id, Some(failure)).await?;
    jobs::cancel_of_asset(tx, id, now).await?;
    // Not at once: other attempts of the asset learn within a heartbeat that they were cancelled.
    queue_clean_work(tx, &asset, now + time::Duration::seconds(3)).await
}
