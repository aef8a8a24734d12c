//! Packages and the names of their content keys.

use lectern_domain::{
    Timestamp,
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
        "INSERT INTO packages (id, asset_id, protection, state, renditions, created_at) \
         VALUES ($1, $2, $3, 'building', $4, $5)"
    );
    INSERT_KEY = both(
        "INSERT INTO content_keys (kid, package_id, asset_id, class, period) VALUES ($1, $2, $3, $4, $5)"
    );
    FIND = both("SELECT id, asset_id, protection, renditions, published_at, base_id FROM packages WHERE id = $1");
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
    new: &NewPackage,
    now: Timestamp,
) -> Result<(), Error> {
    let none = serde_json::Value::Array(Vec::new());
    tx.execute(INSERT, args![new.id, asset, new.protection.as_str(), none, now]).await?;
    for key in &new.keys {
        tx.execute(INSERT_KEY, args![key.kid, new.id, asset, key.class.as_str(), key.period]).await?;
    }
    Ok(())
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
