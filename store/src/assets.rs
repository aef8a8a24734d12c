//! Assets: read them, move their state forward.

use lectern_domain::{
    Timestamp,
    asset::AssetState,
    failure::{Failure, FailureCode},
    growth::Grown,
    ids::{AssetId, LessonId, PackageId, UserId},
    media::Rendition,
    plan::TranscodePlan,
    source::SourceInfo,
    trim::Trim,
};

use crate::{
    Db, Error, Tx,
    row::{FromRow, Row},
    statement::statements,
    value::args,
};

/// The columns of an [`Asset`].
macro_rules! asset_view {
    ($rest:literal) => {
        concat!(
            "SELECT assets.id, assets.owner_id, assets.lesson_id, assets.state, assets.progress, assets.generation, \
             assets.filename, assets.source_bytes, assets.trim_in_ms, assets.trim_out_ms, assets.source_info, assets.plan, assets.duration_ms, \
             assets.failure_code, assets.failure_message, assets.package_id, assets.wrapped_secret, \
             assets.created_at, assets.updated_at, packages.renditions, packages.published_at, packages.grown, lessons.release_at FROM assets \
             LEFT JOIN packages ON packages.id = assets.package_id \
             LEFT JOIN lessons ON lessons.id = assets.lesson_id ",
            $rest
        )
    };
}

statements! {
    INSERT = both(
        "INSERT INTO assets (id, owner_id, lesson_id, state, progress, generation, filename, source_bytes, \
         wrapped_secret, created_at, updated_at, trim_in_ms, trim_out_ms) \
         VALUES ($1, $2, $3, 'awaiting_upload', 0.0, 0, $4, $5, $6, $7, $7, $8, $9)"
    );
    FIND = both(asset_view!("WHERE assets.id = $1"));
    // PostgreSQL: read and held at once. SQLite has one writer.
    HOLD = split(
        asset_view!("WHERE assets.id = $1"),
        asset_view!("WHERE assets.id = $1 FOR NO KEY UPDATE OF assets"),
    );
    // The guard is the transition table of the domain, given as the list of states that may be left. PostgreSQL: as an
    // array. A row that changed while this waited for it is looked at again, but not against the other rows of a subquery:
    // one that went from `processing` to `playable` meanwhile would be held against `processing` alone and left as it is.
    ADVANCE = split(
        "UPDATE assets SET state = $2, updated_at = $3 \
         WHERE id = $1 AND state IN (SELECT value FROM json_each($4))",
        "UPDATE assets SET state = $2, updated_at = $3 \
         WHERE id = $1 AND state = ANY (ARRAY(SELECT jsonb_array_elements_text($4)))",
    );
    SET_TRIM = both("UPDATE assets SET trim_in_ms = $2, trim_out_ms = $3 WHERE id = $1");
    SET_FAILURE = both("UPDATE assets SET failure_code = $2, failure_message = $3 WHERE id = $1");
    LOCK = both("UPDATE assets SET updated_at = $2 WHERE id = $1");
}

/// An asset with what its published package offers.
#[derive(Debug, Clone)]
pub struct Asset {
    /// Its id.
    pub id: AssetId,
    /// Who uploaded it.
    pub owner: UserId,
    /// The lesson it was uploaded for.
    pub lesson: Option<LessonId>,
    /// Where it stands.
    pub state: AssetState,
    /// From 0 to 1.
    pub progress: f64,
    /// How often it was retried.
    pub generation: u32,
    /// As the instructor named it.
    pub filename: String,
    /// Size of the source.
    pub source_bytes: u64,
    /// Which part of the source is the lesson; all of it if absent.
    pub trim: Option<Trim>,
    /// What probing found.
    pub source_info: Option<SourceInfo>,
    /// What is being made of it.
    pub plan: Option<TranscodePlan>,
    /// Duration, once known.
    pub duration_ms: Option<u64>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// When learners may see the lesson it was uploaded for.
    pub release_at: Option<Timestamp>,
    /// The published package.
    pub package: Option<PackageId>,
    /// What the published package offers.
    pub renditions: Vec<Rendition>,
    /// How far the package can be played while the rest is being made, milliseconds.
    pub playable_ms: Option<u64>,
    /// The asset secret, wrapped; absent once shredded.
    pub wrapped_secret: Option<Vec<u8>>,
    /// When the upload was announced.
    pub created_at: Timestamp,
    /// When anything last changed.
    pub updated_at: Timestamp,
}

impl FromRow for Asset {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let failure = match row.maybe::<String>("failure_code")? {
            None => None,
            Some(_) => Some(Failure {
                code: row.word("failure_code", FailureCode::parse)?,
                message: row.get("failure_message")?,
            }),
        };
        let published: Option<Timestamp> = row.maybe("published_at")?;
        let grown: Option<Grown> = row.maybe_json("grown")?;
        Ok(Self {
            id: row.get("id")?,
            owner: row.get("owner_id")?,
            lesson: row.maybe("lesson_id")?,
            state: row.word("state", AssetState::parse)?,
            progress: row.get("progress")?,
            generation: row.get("generation")?,
            filename: row.get("filename")?,
            source_bytes: row.get("source_bytes")?,
            trim: trim_of(row)?,
            source_info: row.maybe_json("source_info")?,
            plan: row.maybe_json("plan")?,
            duration_ms: row.maybe("duration_ms")?,
            failure,
            release_at: row.maybe("release_at")?,
            package: row.maybe("package_id")?,
            renditions: row.maybe_json("renditions")?.unwrap_or_default(),
            playable_ms: grown.filter(|_| published.is_none()).map(|grown| grown.until_ms),
            wrapped_secret: row.maybe("wrapped_secret")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

impl Asset {
    /// Whether what was planned is the part that was asked for. A process of a version that knows no points plans all of a source; what it
    /// planned must not be made.
    pub fn planned_as_asked(&self) -> bool {
        self.source_info.as_ref().and_then(|info| info.trim) == self.trim
    }
}

/// An asset that an upload announces.
#[derive(Debug, Clone)]
pub struct NewAsset {
    /// Its id.
    pub id: AssetId,
    /// Who uploads.
    pub owner: UserId,
    /// For which lesson.
    pub lesson: LessonId,
    /// As the instructor named it.
    pub filename: String,
    /// Announced size.
    pub source_bytes: u64,
    /// A fresh asset secret, wrapped by the vault.
    pub wrapped_secret: Vec<u8>,
    /// Which part of the source is the lesson.
    pub trim: Option<Trim>,
}

fn trim_of(row: &Row) -> Result<Option<Trim>, Error> {
    let (in_ms, out_ms): (Option<u64>, _) = (row.maybe("trim_in_ms")?, row.maybe("trim_out_ms")?);
    Ok(in_ms.map(|in_ms| Trim { in_ms, out_ms }))
}

pub(crate) async fn insert(tx: &mut Tx, new: NewAsset, now: Timestamp) -> Result<(), Error> {
    let args = args![
        new.id,
        new.owner,
        new.lesson,
        new.filename,
        new.source_bytes,
        new.wrapped_secret,
        now,
        new.trim.map(|trim| trim.in_ms),
        new.trim.and_then(|trim| trim.out_ms)
    ];
    tx.execute(INSERT, args).await?;
    Ok(())
}

/// An asset by id, deleted ones included.
pub async fn find(db: &Db, id: AssetId) -> Result<Option<Asset>, Error> {
    db.fetch_optional(FIND, args![id]).await
}

/// An asset by id, within a transaction.
pub async fn find_in(tx: &mut Tx, id: AssetId) -> Result<Option<Asset>, Error> {
    tx.fetch_optional(FIND, args![id]).await
}

/// Moves an asset to a state, if the domain allows it from where it stands. False: it was not moved.
pub async fn advance(tx: &mut Tx, id: AssetId, next: AssetState, now: Timestamp) -> Result<bool, Error> {
    let from: serde_json::Value = AssetState::before(next).map(AssetState::as_str).collect::<Vec<_>>().into();
    Ok(tx.execute(ADVANCE, args![id, next.as_str(), now, from]).await? == 1)
}

/// Makes later transactions on the same asset wait for this one, on both engines.
pub(crate) async fn lock(tx: &mut Tx, id: AssetId, now: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(LOCK, args![id, now]).await? == 1)
}

/// An asset, which later transactions on it then wait for, as with [`lock`].
pub(crate) async fn hold(tx: &mut Tx, id: AssetId) -> Result<Option<Asset>, Error> {
    tx.fetch_optional(HOLD, args![id]).await
}

pub(crate) async fn set_failure(tx: &mut Tx, id: AssetId, failure: Option<&Failure>) -> Result<(), Error> {
    let code = failure.map(|failure| failure.code.as_str());
    let message = failure.map(|failure| failure.message.as_str());
    tx.execute(SET_FAILURE, args![id, code, message]).await?;
    Ok(())
}

pub(crate) async fn set_trim(tx: &mut Tx, id: AssetId, trim: Option<Trim>) -> Result<(), Error> {
    let points = args![id, trim.map(|trim| trim.in_ms), trim.and_then(|trim| trim.out_ms)];
    tx.execute(SET_TRIM, points).await?;
    Ok(())
}
