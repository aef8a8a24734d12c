//! What counts of an upload whose bytes go into a multipart upload of the object store: its parts, and the tail, which is
//! what came after them and is too small for a part. Their bytes are the upload's offset.
//!
//! Whoever is about to write takes the upload, which raises its epoch. Everything that a writer records names the epoch
//! that it took; what names an older one is not recorded, so the bytes of a writer that was overtaken do not count. A
//! number of a part is given out once, so such a writer cannot replace a part that counts either.

use lectern_domain::ids::UploadId;

use crate::{
    Db, Error, Tx,
    row::{FromRow, Row},
    statement::statements,
    value::args,
};

statements! {
    STANDING = both(
        "SELECT epoch, tail_key, tail_bytes, (SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM upload_parts \
         WHERE upload_id = uploads.id) AS part_bytes FROM uploads WHERE id = $1"
    );
    TAKE = both("UPDATE uploads SET epoch = epoch + 1 WHERE id = $1 AND state = 'open'");
    RESERVE = both(
        "UPDATE uploads SET next_part = next_part + 1 WHERE id = $1 AND epoch = $2 AND state = 'open' \
         AND next_part <= $3 RETURNING next_part - 1 AS number"
    );
    SET_TAIL = both(
        "UPDATE uploads SET tail_key = $3, tail_bytes = $4 WHERE id = $1 AND epoch = $2 AND state = 'open'"
    );
    INSERT = both("INSERT INTO upload_parts (upload_id, number, bytes, etag) VALUES ($1, $2, $3, $4)");
    LIST = both("SELECT number, bytes, etag FROM upload_parts WHERE upload_id = $1 ORDER BY number");
    DELETE_FROM = both("DELETE FROM upload_parts WHERE upload_id = $1 AND number >= $2");
}

/// A part that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number in the multipart upload. Numbers ascend, with gaps.
    pub number: u32,
    /// Its size.
    pub bytes: u64,
    /// The object store's entity tag of it.
    pub etag: String,
}

impl FromRow for Part {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self { number: row.get("number")?, bytes: row.get("bytes")?, etag: row.get("etag")? })
    }
}

/// The bytes after the parts: an object of their own until there are enough of them for a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Its storage key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
}

/// How far an upload has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Raised by whoever takes the upload.
    pub epoch: u64,
    /// Bytes in parts.
    pub part_bytes: u64,
    /// What came after them.
    pub tail: Option<Tail>,
}

impl Standing {
    /// The next byte wanted.
    pub fn offset(&self) -> u64 {
        self.part_bytes + self.tail.as_ref().map_or(0, |tail| tail.bytes)
    }
}

impl FromRow for Standing {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let key: Option<String> = row.maybe("tail_key")?;
        let bytes = row.get("tail_bytes")?;
        Ok(Self {
            epoch: row.get("epoch")?,
            part_bytes: row.get("part_bytes")?,
            tail: key.map(|key| Tail { key, bytes }),
        })
    }
}

struct Number(u32);

impl FromRow for Number {
    fn from_row(row: &Row) -> Result<Self, Error> {
        row.get("number").map(Self)
    }
}

/// How far an upload has come, without taking it. `None`: there is no such upload.
pub async fn standing(db: &Db, upload: UploadId) -> Result<Option<Standing>, Error> {
    db.fetch_optional(STANDING, args![upload]).await
}

/// Takes an open upload: what those who took it before record from now on does not count. `None`: it is not open.
pub async fn take(db: &Db, upload: UploadId) -> Result<Option<Standing>, Error> {
    let mut tx = db.begin().await?;
    if tx.execute(TAKE, args![upload]).await? == 0 {
        return Ok(None);
    }
    // A statement of its own: it sees the part whose recording the one before waited for.
    let standing = tx.fetch_optional(STANDING, args![upload]).await?;
    tx.commit().await?;
    Ok(standing)
}

/// Gives out a number for a part, up to `most`, which nobody gets again. `None`: none is left, or somebody else has taken
/// the upload.
pub async fn reserve(db: &Db, upload: UploadId, epoch: u64, most: u32) -> Result<Option<u32>, Error> {
    let number: Option<Number> = db.fetch_optional(RESERVE, args![upload, epoch, most]).await?;
    Ok(number.map(|Number(number)| number))
}

/// Records a part that begins where the parts before it end and contains the tail. False: somebody else has taken the
/// upload.
pub async fn record(db: &Db, upload: UploadId, epoch: u64, part: &Part) -> Result<bool, Error> {
    let mut tx = db.begin().await?;
    if !set_tail(&mut tx, upload, epoch, None).await? {
        return Ok(false);
    }
    tx.execute(INSERT, args![upload, part.number, part.bytes, part.etag.as_str()]).await?;
    tx.commit().await?;
    Ok(true)
}

/// Records a tail in place of the one before. False: somebody else has taken the upload.
pub async fn record_tail(db: &Db, upload: UploadId, epoch: u64, tail: Option<&Tail>) -> Result<bool, Error> {
    let mut tx = db.begin().await?;
    let recorded = set_tail(&mut tx, upload, epoch, tail).await?;
    tx.commit().await?;
    Ok(recorded)
}

/// Forgets the parts from a number on and puts the tail back that there was before them. False: somebody else has taken
/// the upload.
pub async fn undo(
    db: &Db,
    upload: UploadId,
    epoch: u64,
    from: u32,
    tail: Option<&Tail>,
) -> Result<bool, Error> {
    let mut tx = db.begin().await?;
    if !set_tail(&mut tx, upload, epoch, tail).await? {
        return Ok(false);
    }
    tx.execute(DELETE_FROM, args![upload, from]).await?;
    tx.commit().await?;
    Ok(true)
}

async fn set_tail(tx: &mut Tx, upload: UploadId, epoch: u64, tail: Option<&Tail>) -> Result<bool, Error> {
    let (key, bytes) = (tail.map(|tail| tail.key.clone()), tail.map_or(0, |tail| tail.bytes));
    Ok(tx.execute(SET_TAIL, args![upload, epoch, key, bytes]).await? == 1)
}

/// The parts that count, by number.
pub async fn list(db: &Db, upload: UploadId) -> Result<Vec<Part>, Error> {
    db.fetch_all(LIST, args![upload]).await
}

/// Forgets all parts of an upload that has ended.
pub(crate) async fn forget(tx: &mut Tx, upload: UploadId) -> Result<(), Error> {
    tx.execute(DELETE_FROM, args![upload, 0u32]).await.map(drop)
}
