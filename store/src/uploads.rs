//! Uploads: one transfer each, by tus or past this program to the object store. How far it has come is not here: the
//! length of its part file is the offset, or `upload_parts` has it, or the object store knows of its parts.

use lectern_domain::{
    Timestamp,
    asset::AssetState,
    ids::{AssetId, LessonId, UploadId, UserId},
};

use crate::{
    Db, Error, Tx,
    row::{FromRow, Row},
    statement::statements,
    upload_parts,
    value::args,
};

/// The columns of an [`Upload`].
macro_rules! upload_view {
    ($rest:literal) => {
        concat!(
            "SELECT uploads.id, uploads.owner_id, uploads.asset_id, uploads.length_bytes, uploads.metadata, \
             uploads.state, uploads.created_at, uploads.expires_at, uploads.protocol, uploads.multipart_id, \
             assets.state AS asset_state FROM uploads JOIN assets ON assets.id = uploads.asset_id ",
            $rest
        )
    };
}

statements! {
    // PostgreSQL: course and lesson may change meanwhile, but not go away. The course first: see
    // `pipeline::delete_assets_of_lesson`. Two statements, so that the second sees what the first waited for.
    KEEP_COURSE = split(
        "SELECT id FROM courses WHERE id = (SELECT course_id FROM lessons WHERE id = $1)",
        "SELECT id FROM courses WHERE id = (SELECT course_id FROM lessons WHERE id = $1) FOR KEY SHARE",
    );
    KEEP_LESSON = split(
        "SELECT id FROM lessons WHERE id = $1",
        "SELECT id FROM lessons WHERE id = $1 FOR KEY SHARE",
    );
    // An announced asset counts with its announced size, so this covers open uploads and stored sources alike.
    STORED = both(
        "SELECT CAST(COALESCE(SUM(source_bytes), 0) AS BIGINT) AS bytes FROM assets \
         WHERE owner_id = $1 AND state <> 'deleted'"
    );
    COUNT_OPEN = both("SELECT COUNT(*) AS uploads FROM uploads WHERE owner_id = $1 AND state = 'open'");
    INSERT = both(
        "INSERT INTO uploads (id, owner_id, asset_id, length_bytes, metadata, state, created_at, expires_at, protocol, \
         multipart_id) VALUES ($1, $2, $3, $4, $5, 'open', $6, $7, $8, $9)"
    );
    FIND = both(upload_view!("WHERE uploads.id = $1"));
    FIND_OF_ASSET = both(upload_view!("WHERE uploads.asset_id = $1"));
    LIST_OPEN = both(upload_view!("WHERE uploads.state = 'open' ORDER BY uploads.id"));
    EXTEND = both("UPDATE uploads SET expires_at = $2 WHERE id = $1 AND state = 'open' AND expires_at < $2");
    CLOSE = both("UPDATE uploads SET state = $2 WHERE id = $1 AND state = 'open'");
}

/// Where an upload stands. Only an open one takes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadState {
    /// Takes bytes.
    Open,
    /// Every byte came and the source is in the object store.
    Finished,
    /// Ended by its owner, or its asset was deleted.
    Terminated,
    /// Nobody went on with it in time.
    Expired,
}

impl UploadState {
    /// The name in the database and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Finished => "finished",
            Self::Terminated => "terminated",
            Self::Expired => "expired",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Finished, Self::Terminated, Self::Expired]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// How an upload's bytes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// To this program, by tus.
    Tus,
    /// To the object store, in parts of a multipart upload.
    S3Multipart,
}

impl Protocol {
    /// The name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tus => "tus",
            Self::S3Multipart => "s3-multipart",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Tus, Self::S3Multipart].into_iter().find(|protocol| protocol.as_str() == text)
    }
}

/// An upload with the state of the asset it is for.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// Who uploads.
    pub owner: UserId,
    /// The asset whose source it brings.
    pub asset: AssetId,
    /// Announced size.
    pub length_bytes: u64,
    /// `Upload-Metadata` as it was sent.
    pub metadata: String,
    /// Where it stands.
    pub state: UploadState,
    /// Where its asset stands: one that was deleted wants no more bytes.
    pub asset_state: AssetState,
    /// When it was announced.
    pub created_at: Timestamp,
    /// When it ends unless bytes come before.
    pub expires_at: Timestamp,
    /// How its bytes come.
    pub protocol: Protocol,
    /// The object store's name of the multipart upload that its bytes go into, if they do.
    pub multipart_id: Option<String>,
}

impl FromRow for Upload {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            owner: row.get("owner_id")?,
            asset: row.get("asset_id")?,
            length_bytes: row.get("length_bytes")?,
            metadata: row.get("metadata")?,
            state: row.word("state", UploadState::parse)?,
            asset_state: row.word("asset_state", AssetState::parse)?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            protocol: row.word("protocol", Protocol::parse)?,
            multipart_id: row.maybe("multipart_id")?,
        })
    }
}

/// An upload to announce.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// Its id.
    pub id: UploadId,
    /// Who uploads.
    pub owner: UserId,
    /// The asset it is for, which exists already.
    pub asset: AssetId,
    /// Announced size.
    pub length_bytes: u64,
    /// `Upload-Metadata` as it was sent.
    pub metadata: String,
    /// When it ends unless bytes come before.
    pub expires_at: Timestamp,
    /// How its bytes will come.
    pub protocol: Protocol,
    /// The object store's name of the multipart upload that its bytes go into, if they do.
    pub multipart_id: Option<String>,
}

struct Found;

impl FromRow for Found {
    fn from_row(_: &Row) -> Result<Self, Error> {
        Ok(Self)
    }
}

struct Bytes(u64);

impl FromRow for Bytes {
    fn from_row(row: &Row) -> Result<Self, Error> {
        row.get("bytes").map(Self)
    }
}

struct Count(u64);

impl FromRow for Count {
    fn from_row(row: &Row) -> Result<Self, Error> {
        row.get("uploads").map(Self)
    }
}

/// Keeps a lesson from being deleted until the transaction ends. False: there is none.
pub async fn keep_lesson(tx: &mut Tx, lesson: LessonId) -> Result<bool, Error> {
    tx.execute(KEEP_COURSE, args![lesson]).await?;
    let found: Option<Found> = tx.fetch_optional(KEEP_LESSON, args![lesson]).await?;
    Ok(found.is_some())
}

/// Bytes that count against an owner's quota: stored sources and what open uploads have announced.
pub async fn stored_bytes(tx: &mut Tx, owner: UserId) -> Result<u64, Error> {
    let found: Option<Bytes> = tx.fetch_optional(STORED, args![owner]).await?;
    Ok(found.map_or(0, |Bytes(bytes)| bytes))
}

/// How many uploads somebody has open.
pub async fn count_open(tx: &mut Tx, owner: UserId) -> Result<u64, Error> {
    let found: Option<Count> = tx.fetch_optional(COUNT_OPEN, args![owner]).await?;
    Ok(found.map_or(0, |Count(uploads)| uploads))
}

/// Announces an upload.
pub async fn insert(tx: &mut Tx, new: NewUpload, now: Timestamp) -> Result<(), Error> {
    let args = args![
        new.id,
        new.owner,
        new.asset,
        new.length_bytes,
        new.metadata,
        now,
        new.expires_at,
        new.protocol.as_str(),
        new.multipart_id
    ];
    tx.execute(INSERT, args).await?;
    Ok(())
}

/// An upload by id, whatever its state.
pub async fn find(db: &Db, id: UploadId) -> Result<Option<Upload>, Error> {
    db.fetch_optional(FIND, args![id]).await
}

/// The upload that brings, or brought, an asset's source.
pub async fn find_of_asset(db: &Db, asset: AssetId) -> Result<Option<Upload>, Error> {
    db.fetch_optional(FIND_OF_ASSET, args![asset]).await
}

/// Every open upload, oldest first. Each account may have a few, so the list is short.
pub async fn list_open(db: &Db) -> Result<Vec<Upload>, Error> {
    db.fetch_all(LIST_OPEN, args![]).await
}

/// Puts the end of an open upload off. It never comes nearer.
pub async fn extend(db: &Db, id: UploadId, expires_at: Timestamp) -> Result<(), Error> {
    db.execute(EXTEND, args![id, expires_at]).await.map(drop)
}

/// Ends an open upload. False: it was not open.
pub async fn close(tx: &mut Tx, id: UploadId, state: UploadState) -> Result<bool, Error> {
    let closed = tx.execute(CLOSE, args![id, state.as_str()]).await? == 1;
    if closed {
        upload_parts::forget(tx, id).await?;
    }
    Ok(closed)
}
