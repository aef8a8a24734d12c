//! Stills of packages, and the chapters of an asset: found by the packager, named and changed by the instructor. They belong to
//! the package that has the segments, whatever versions with captions are made of it.

use lectern_domain::{
    ids::{AssetId, PackageId},
    stills::PackageStills,
};

use crate::{
    Db, Error, Tx,
    row::{FromRow, Row, corrupt},
    statement::statements,
    value::args,
};

statements! {
    SET_STILLS = both("UPDATE packages SET stills = $2 WHERE id = $1");
    // What a package version is made of has the stills.
    STILLS = both(
        "SELECT b.id, b.stills FROM packages v JOIN packages b ON b.id = COALESCE(v.base_id, v.id) WHERE v.id = $1"
    );
    LIST = both(
        "SELECT c.start_ms, c.title, c.tile FROM packages v JOIN chapters c ON c.package_id = COALESCE(v.base_id, v.id) \
         WHERE v.id = $1 ORDER BY c.start_ms"
    );
    // PostgreSQL: who replaces them at the same time waits.
    HOLD_BASE = split(
        "SELECT COALESCE(v.base_id, v.id) AS id FROM assets a JOIN packages v ON v.id = a.package_id WHERE a.id = $1",
        "SELECT COALESCE(v.base_id, v.id) AS id FROM assets a JOIN packages v ON v.id = a.package_id WHERE a.id = $1 \
         FOR UPDATE OF a",
    );
    CLEAR = both("DELETE FROM chapters WHERE package_id = $1");
    INSERT = both("INSERT INTO chapters (package_id, start_ms, title, tile) VALUES ($1, $2, $3, $4)");
}

/// A part of a lecture that begins with another picture, or where the instructor says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chapter {
    /// When it begins, milliseconds.
    pub start_ms: u64,
    /// Empty until somebody gives one.
    pub title: String,
    /// Its still on the sheet of chapters.
    pub tile: Option<u32>,
}

impl FromRow for Chapter {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self { start_ms: row.get("start_ms")?, title: row.get("title")?, tile: row.maybe("tile")? })
    }
}

/// What was found in the pictures of a package.
#[derive(Debug, Clone)]
pub struct Found {
    /// The stills that were stored.
    pub stills: PackageStills,
    /// The chapters.
    pub chapters: Vec<Chapter>,
}

struct Base {
    id: PackageId,
    stills: Option<PackageStills>,
}

impl FromRow for Base {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self { id: row.get("id")?, stills: row.maybe_json("stills")? })
    }
}

struct BaseId(PackageId);

impl FromRow for BaseId {
    fn from_row(row: &Row) -> Result<Self, Error> {
        row.get("id").map(Self)
    }
}

/// Keeps what was found in a package that is being built. Another attempt finds the same.
pub async fn keep_found(db: &Db, package: PackageId, found: &Found) -> Result<(), Error> {
    let stills = serde_json::to_value(found.stills).map_err(|error| corrupt("stills", error))?;
    let mut tx = db.begin().await?;
    tx.execute(SET_STILLS, args![package, stills]).await?;
    insert(&mut tx, package, &found.chapters).await?;
    tx.commit().await
}

async fn insert(tx: &mut Tx, package: PackageId, chapters: &[Chapter]) -> Result<(), Error> {
    tx.execute(CLEAR, args![package]).await?;
    for chapter in chapters {
        let args = args![package, chapter.start_ms, chapter.title.as_str(), chapter.tile];
        tx.execute(INSERT, args).await?;
    }
    Ok(())
}

/// The stills of a package version and the package that they lie under. `None`: it has none.
pub async fn stills(db: &Db, package: PackageId) -> Result<Option<(PackageId, PackageStills)>, Error> {
    let found: Option<Base> = db.fetch_optional(STILLS, args![package]).await?;
    Ok(found.and_then(|base| Some((base.id, base.stills?))))
}

/// The chapters of a package version, in order.
pub async fn list(db: &Db, package: PackageId) -> Result<Vec<Chapter>, Error> {
    db.fetch_all(LIST, args![package]).await
}

/// Puts chapters in the place of those that an asset has. False: it has no package yet.
pub async fn replace(tx: &mut Tx, asset: AssetId, chapters: &[Chapter]) -> Result<bool, Error> {
    let base: Option<BaseId> = tx.fetch_optional(HOLD_BASE, args![asset]).await?;
    let Some(BaseId(base)) = base else { return Ok(false) };
    insert(tx, base, chapters).await?;
    Ok(true)
}
