//! Captions of assets: one file for each language, and the package versions that have them.
//!
//! Every change raises the asset's `texts_version`. Once the asset is ready a job makes a package version with the captions of
//! that moment ([`queue`]) and publishes it ([`published`]) unless one with later captions came before it.

use lectern_domain::{
    Timestamp,
    asset::AssetState,
    captions::{CaptionKind, CaptionOrigin},
    ids::{AssetId, CaptionId, PackageId},
    job::JobPayload,
};

use crate::{
    Db, Error, Tx,
    assets::{self, Asset},
    jobs::{self, NewJob},
    row::{FromRow, Row},
    statement::statements,
    value::args,
};

/// The columns of a [`Caption`].
macro_rules! caption {
    ($rest:literal) => {
        concat!("SELECT id, language, label, kind, origin, cues, created_at FROM captions ", $rest)
    };
}

statements! {
    LIST = both(caption!("WHERE asset_id = $1 ORDER BY language"));
    FIND = both(caption!("WHERE asset_id = $1 AND language = $2"));
    WEBVTT = both("SELECT webvtt FROM captions WHERE id = $1");
    COUNT_OTHERS = both("SELECT COUNT(*) AS total FROM captions WHERE asset_id = $1 AND language <> $2");
    PUT = both(
        "INSERT INTO captions (asset_id, language, id, label, kind, origin, cues, webvtt, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (asset_id, language) DO UPDATE SET id = $3, \
         label = $4, kind = $5, origin = $6, cues = $7, webvtt = $8, created_at = $9"
    );
    // What somebody uploaded is not replaced by what the source has, and another attempt does not bring it twice.
    PUT_IF_ABSENT = both(
        "INSERT INTO captions (asset_id, language, id, label, kind, origin, cues, webvtt, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (asset_id, language) DO NOTHING"
    );
    DELETE = both("DELETE FROM captions WHERE asset_id = $1 AND language = $2");
    DELETE_ALL = both("DELETE FROM captions WHERE asset_id = $1");
    CHANGED = both("UPDATE assets SET texts_version = texts_version + 1, updated_at = $2 WHERE id = $1");
    VERSIONS = both("SELECT texts_version, texts_published FROM assets WHERE id = $1");
    DERIVE_PACKAGE = both(
        "INSERT INTO packages (id, asset_id, protection, state, renditions, created_at, published_at, base_id) \
         SELECT $1, asset_id, protection, 'published', renditions, $3, $3, id FROM packages WHERE id = $2 \
         ON CONFLICT (id) DO NOTHING"
    );
    // Not backwards: two versions may be made at the same time.
    PUBLISH = both(
        "UPDATE assets SET package_id = $2, texts_published = $3, updated_at = $4 \
         WHERE id = $1 AND state = 'ready' AND texts_published < $3"
    );
}

/// The captions of an asset in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// Its id; another one with every upload.
    pub id: CaptionId,
    /// BCP 47 tag.
    pub language: String,
    /// As menus show it.
    pub label: String,
    /// Who it is for.
    pub kind: CaptionKind,
    /// Where it came from.
    pub origin: CaptionOrigin,
    /// Number of captions in it.
    pub cues: u64,
    /// When it came.
    pub created_at: Timestamp,
}

impl FromRow for Caption {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            language: row.get("language")?,
            label: row.get("label")?,
            kind: row.word("kind", CaptionKind::parse)?,
            origin: row.word("origin", CaptionOrigin::parse)?,
            cues: row.get("cues")?,
            created_at: row.get("created_at")?,
        })
    }
}

/// Captions to be kept.
#[derive(Debug, Clone)]
pub struct NewCaption {
    /// A fresh id.
    pub id: CaptionId,
    /// BCP 47 tag.
    pub language: String,
    /// As menus show it.
    pub label: String,
    /// Who it is for.
    pub kind: CaptionKind,
    /// Where it came from.
    pub origin: CaptionOrigin,
    /// Number of captions in it.
    pub cues: u64,
    /// The file as players get it.
    pub webvtt: String,
}

struct Text(String);

impl FromRow for Text {
    fn from_row(row: &Row) -> Result<Self, Error> {
        row.get("webvtt").map(Self)
    }
}

struct Total(u64);

impl FromRow for Total {
    fn from_row(row: &Row) -> Result<Self, Error> {
        row.get("total").map(Self)
    }
}

/// Which captions an asset has, and which its package has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// Counts the changes.
    pub wanted: u64,
    /// The change up to which the published package has them.
    pub published: u64,
}

impl FromRow for Versions {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self { wanted: row.get("texts_version")?, published: row.get("texts_published")? })
    }
}

/// How captions were kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// In a language that had none.
    New,
    /// In the place of others.
    Replaced,
    /// The asset has captions in as many languages as it may.
    TooMany,
}

/// Keeps captions in the place of those in the same language; `most` is the number of languages an asset may have.
pub async fn put(
    tx: &mut Tx,
    asset: AssetId,
    new: &NewCaption,
    most: u64,
    now: Timestamp,
) -> Result<Kept, Error> {
    // One after the other, so that together they do not pass the limit.
    assets::lock(tx, asset, now).await?;
    let others: Option<Total> = tx.fetch_optional(COUNT_OTHERS, args![asset, new.language.as_str()]).await?;
    if others.is_some_and(|others| others.0 >= most) {
        return Ok(Kept::TooMany);
    }
    let there: Option<Caption> = tx.fetch_optional(FIND, args![asset, new.language.as_str()]).await?;
    tx.execute(PUT, row(asset, new, now)).await?;
    changed(tx, asset, now).await?;
    Ok(if there.is_some() { Kept::Replaced } else { Kept::New })
}

/// Keeps captions that the source brought, in languages that have none yet.
pub async fn put_from_source(
    db: &Db,
    asset: AssetId,
    new: &[NewCaption],
    now: Timestamp,
) -> Result<(), Error> {
    let mut tx = db.begin().await?;
    assets::lock(&mut tx, asset, now).await?;
    let mut kept = 0;
    for one in new {
        kept += tx.execute(PUT_IF_ABSENT, row(asset, one, now)).await?;
    }
    if kept > 0 {
        changed(&mut tx, asset, now).await?;
    }
    tx.commit().await
}

fn row(asset: AssetId, new: &NewCaption, now: Timestamp) -> Vec<crate::value::Value> {
    args![
        asset,
        new.language.as_str(),
        new.id,
        new.label.as_str(),
        new.kind.as_str(),
        new.origin.as_str(),
        new.cues,
        new.webvtt.as_str(),
        now
    ]
}

/// Removes the captions in a language. False: there are none.
pub async fn delete(tx: &mut Tx, asset: AssetId, language: &str, now: Timestamp) -> Result<bool, Error> {
    assets::lock(tx, asset, now).await?;
    if tx.execute(DELETE, args![asset, language]).await? == 0 {
        return Ok(false);
    }
    changed(tx, asset, now).await?;
    Ok(true)
}

/// Removes the captions of an asset that is deleted: what was said in it is its content.
pub(crate) async fn delete_all(tx: &mut Tx, asset: AssetId) -> Result<(), Error> {
    tx.execute(DELETE_ALL, args![asset]).await.map(drop)
}

/// Counts a change, and has it published if the asset is ready; otherwise that follows when it is.
async fn changed(tx: &mut Tx, id: AssetId, now: Timestamp) -> Result<(), Error> {
    tx.execute(CHANGED, args![id, now]).await?;
    match assets::find_in(tx, id).await? {
        Some(asset) if asset.state == AssetState::Ready => queue(tx, &asset, now).await,
        _ => Ok(()),
    }
}

/// Queues the job that publishes the captions of a ready asset, unless its package has them.
pub(crate) async fn queue(tx: &mut Tx, asset: &Asset, now: Timestamp) -> Result<(), Error> {
    let versions: Option<Versions> = tx.fetch_optional(VERSIONS, args![asset.id]).await?;
    let Some(versions) = versions.filter(|versions| versions.wanted > versions.published) else {
        return Ok(());
    };
    let payload = JobPayload::AddTexts { asset: asset.id, version: versions.wanted };
    let job = NewJob {
        dedup_key: format!("{}:texts:{}", asset.id, versions.wanted),
        ..NewJob::new(payload, asset.owner, asset.release_at, now)
    };
    jobs::insert(tx, job, now).await.map(drop)
}

/// The pointer moves to a package version made of `base` with the captions up to `version`; `package` is `base` itself where
/// there are none.
pub(crate) async fn published(
    tx: &mut Tx,
    asset: AssetId,
    package: PackageId,
    base: PackageId,
    version: u64,
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(DERIVE_PACKAGE, args![package, base, now]).await?;
    tx.execute(PUBLISH, args![asset, package, version, now]).await.map(drop)
}

/// The captions of an asset, by language.
pub async fn list(db: &Db, asset: AssetId) -> Result<Vec<Caption>, Error> {
    db.fetch_all(LIST, args![asset]).await
}

/// The captions of an asset in a language.
pub async fn find(db: &Db, asset: AssetId, language: &str) -> Result<Option<Caption>, Error> {
    db.fetch_optional(FIND, args![asset, language]).await
}

/// The file of some captions as players get it. `None`: they were replaced or removed.
pub async fn webvtt(db: &Db, id: CaptionId) -> Result<Option<String>, Error> {
    let found: Option<Text> = db.fetch_optional(WEBVTT, args![id]).await?;
    Ok(found.map(|text| text.0))
}

/// Which captions an asset has, and which its package has.
pub async fn versions(db: &Db, asset: AssetId) -> Result<Option<Versions>, Error> {
    db.fetch_optional(VERSIONS, args![asset]).await
}
