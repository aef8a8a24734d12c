//! Packages and the names of their content keys.

use lectern_domain::{
    Timestamp,
    growth::Grown,
    ids::{AssetId, Kid, PackageId},
    keys::{KeyName, Protection, TrackClass},
    media::Rendition,
};

use crate::{
    Db, Error, Tx,
    row::{FromRow, Row, corrupt},
    statement::statements,
    value::args,
};

statements! {
    INSERT = both(
        "INSERT INTO packages (id, asset_id, protection, state, renditions, created_at, generation) \
         VALUES ($1, $2, $3, 'building', $4, $5, $6)"
    );
    INSERT_KEY = both(
        "INSERT INTO content_keys (kid, package_id, asset_id, class, period) VALUES ($1, $2, $3, $4, $5)"
    );
    FIND = both(
        "SELECT id, asset_id, protection, renditions, published_at, base_id, landed, grown_at, grown FROM packages \
         WHERE id = $1"
    );
    OF_GENERATION = both(
        "SELECT id, asset_id, protection, renditions, published_at, base_id, landed, grown_at, grown FROM packages \
         WHERE asset_id = $1 AND generation = $2 AND base_id IS NULL"
    );
    LANDED = both("UPDATE packages SET landed = landed + 1 WHERE id = $1");
    GROWN = both("UPDATE packages SET renditions = $2, grown = $3, grown_at = $4 WHERE id = $1");
    KEYS = both("SELECT kid, class, period FROM content_keys WHERE package_id = $1 ORDER BY class, period");
    PUBLISH = both("UPDATE packages SET state = 'published', renditions = $2, published_at = $3 WHERE id = $1");
}

/// One package version.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its id.
    pub id: PackageId,
    /// Of which asset.
    pub asset: AssetId,
    /// How it is protected.
    pub protection: Protection,
    /// What it offers; empty while it is being built.
    pub renditions: Vec<Rendition>,
    /// When the pointer moved to it.
    pub published_at: Option<Timestamp>,
    /// The package whose segments and keys it uses, if it has none of its own.
    pub base: Option<PackageId>,
    /// Counts what transcode jobs have brought for it.
    pub landed: u64,
    /// How much of that it was grown with.
    pub grown_at: u64,
    /// How far it has grown; absent where nothing was published before all of it was.
    pub grown: Option<Grown>,
}

impl FromRow for Package {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            asset: row.get("asset_id")?,
            protection: row.word("protection", Protection::parse)?,
            renditions: row.json("renditions")?,
            published_at: row.maybe("published_at")?,
            base: row.maybe("base_id")?,
            landed: row.get("landed")?,
            grown_at: row.get("grown_at")?,
            grown: row.maybe_json("grown")?,
        })
    }
}

impl FromRow for KeyName {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            kid: row.get::<Kid>("kid")?,
            class: row.word("class", TrackClass::parse)?,
            period: row.get("period")?,
        })
    }
}

/// A package to be built.
#[derive(Debug, Clone)]
pub struct NewPackage {
    /// Its id.
    pub id: PackageId,
    /// How it will be protected.
    pub protection: Protection,
    /// The names of its content keys.
    pub keys: Vec<KeyName>,
}

pub(crate) async fn insert(
    tx: &mut Tx,
    asset: AssetId,
    generation: u32,
    new: &NewPackage,
    now: Timestamp,
) -> Result<(), Error> {
    let none = serde_json::Value::Array(Vec::new());
    tx.execute(INSERT, args![new.id, asset, new.protection.as_str(), none, now, generation]).await?;
    for key in &new.keys {
        tx.execute(INSERT_KEY, args![key.kid, new.id, asset, key.class.as_str(), key.period]).await?;
    }
    Ok(())
}

/// The package that a generation of an asset is made into, once something of it has been made.
pub(crate) async fn of_generation(
    tx: &mut Tx,
    asset: AssetId,
    generation: u32,
) -> Result<Option<Package>, Error> {
    tx.fetch_optional(OF_GENERATION, args![asset, generation]).await
}

/// Something more of it has been made.
pub(crate) async fn landed(tx: &mut Tx, id: PackageId) -> Result<(), Error> {
    tx.execute(LANDED, args![id]).await.map(drop)
}

/// It has grown with what had landed by `grown_at`.
pub(crate) async fn set_grown(
    tx: &mut Tx,
    id: PackageId,
    renditions: &[Rendition],
    grown: &Grown,
    grown_at: u64,
) -> Result<(), Error> {
    let renditions = serde_json::to_value(renditions).map_err(|error| corrupt("renditions", error))?;
    let grown = serde_json::to_value(grown).map_err(|error| corrupt("grown", error))?;
    tx.execute(GROWN, args![id, renditions, grown, grown_at]).await.map(drop)
}

pub(crate) async fn publish(
    tx: &mut Tx,
    id: PackageId,
    renditions: &[Rendition],
    now: Timestamp,
) -> Result<(), Error> {
    let renditions = serde_json::to_value(renditions).map_err(|error| corrupt("renditions", error))?;
    tx.execute(PUBLISH, args![id, renditions, now]).await?;
    Ok(())
}

/// A package by id.
pub async fn find(db: &Db, id: PackageId) -> Result<Option<Package>, Error> {
    db.fetch_optional(FIND, args![id]).await
}

/// The names of a package's content keys.
pub async fn keys(db: &Db, id: PackageId) -> Result<Vec<KeyName>, Error> {
    db.fetch_all(KEYS, args![id]).await
}
