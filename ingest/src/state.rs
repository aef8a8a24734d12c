//! What every upload request works with, and what an operator may set.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::extract::FromRef;
use lectern_domain::ids::AssetId;
use lectern_platform::{
    clock::Clock, objects::SharedObjects, shutdown::Shutdown, tokens::AccessTokens, vault::Vault,
};
use lectern_store::Db;

use crate::{locks::Locks, part::PartFiles};

/// What an operator may set about uploads.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// Largest file taken.
    pub max_size_bytes: u64,
    /// Most bytes an instructor may have in open uploads and stored sources together.
    pub quota_bytes: u64,
    /// How long an upload waits for its next bytes.
    pub expires_after: Duration,
    /// Most uploads somebody may have open.
    pub max_open_uploads: u64,
    /// Free space that uploads leave on the disk of the part files.
    pub min_free_bytes: u64,
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            max_size_bytes: 64 << 30,
            quota_bytes: 512 << 30,
            expires_after: Duration::from_hours(7 * 24),
            max_open_uploads: 20,
            min_free_bytes: 1 << 30,
        }
    }
}

/// What [`IngestState::open`] is made of.
pub struct IngestParts {
    /// The database.
    pub db: Db,
    /// Where finished sources go.
    pub objects: SharedObjects,
    /// Wraps asset secrets.
    pub vault: Arc<dyn Vault>,
    /// Says who is calling.
    pub tokens: AccessTokens,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Transfers are among what shutdown waits for; in the soft stage they stop taking bytes.
    pub shutdown: Shutdown,
    /// Limits.
    pub settings: IngestSettings,
    /// Folder of the part files: `<data>/uploads`. On the object store's file system a finished file is moved, not copied.
    /// Nothing new comes there where objects are in a bucket.
    pub folder: PathBuf,
    /// Called after an asset changed here (bytes arrive, upload finished or ended), so that workers and listeners look
    /// at once.
    pub on_finished: Arc<dyn Fn(AssetId) + Send + Sync>,
}

impl std::fmt::Debug for IngestParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IngestParts")
            .field("settings", &self.settings)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// Everything an upload request needs. Cheap to clone.
#[derive(Clone)]
pub struct IngestState {
    parts: Arc<IngestParts>,
    pub(crate) files: PartFiles,
    pub(crate) locks: Locks,
}

impl std::fmt::Debug for IngestState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("IngestState").field(&self.parts).finish()
    }
}

impl IngestState {
    /// Makes the folder of the part files if it is missing. Call [`crate::sweep`] before serving: it finishes what a
    /// crash left.
    pub async fn open(parts: IngestParts) -> std::io::Result<Self> {
        let files = PartFiles::open(parts.folder.clone()).await?;
        Ok(Self { parts: Arc::new(parts), files, locks: Locks::default() })
    }
}

impl std::ops::Deref for IngestState {
    type Target = IngestParts;

    fn deref(&self) -> &IngestParts {
        &self.parts
    }
}

impl FromRef<IngestState> for AccessTokens {
    fn from_ref(state: &IngestState) -> Self {
        state.tokens.clone()
    }
}
