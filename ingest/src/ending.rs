//! How an upload ends: finished, terminated by its owner, expired. Whoever calls these holds the upload.

use lectern_domain::{asset::AssetState, storage_key};
use lectern_platform::objects::{MultipartId, ObjectsError};
use lectern_store::{
    assets, pipeline,
    uploads::{self, Protocol, Upload, UploadState},
};
use metrics::{counter, gauge};

use crate::{IngestState, kept::KeptError};

/// Why an upload could not be brought to its end. Its bytes are kept; trying again may succeed.
#[derive(Debug)]
pub(crate) enum EndingError {
    Store(lectern_store::Error),
    Objects(ObjectsError),
    Kept(KeptError),
}

impl std::fmt::Display for EndingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Objects(error) => error.fmt(f),
            Self::Kept(error) => error.fmt(f),
        }
    }
}

impl From<lectern_store::Error> for EndingError {
    fn from(error: lectern_store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<ObjectsError> for EndingError {
    fn from(error: ObjectsError) -> Self {
        Self::Objects(error)
    }
}

impl From<KeptError> for EndingError {
    fn from(error: KeptError) -> Self {
        Self::Kept(error)
    }
}

/// Where an open upload really stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The next byte wanted.
    Offset(u64),
    /// Every byte came.
    Complete,
}

/// Looks at what is kept, and where there is nothing at the object store: a crash may have come after the move and
/// before the transaction.
pub(crate) async fn standing(state: &IngestState, upload: &Upload) -> Result<Standing, EndingError> {
    let kept = match upload.protocol {
        Protocol::Tus => state.kept(upload).offset().await?,
        Protocol::S3Multipart => None,
    };
    judge(state, upload, kept).await
}

/// The same for a client that is about to resume: what another process still receives for this upload does not count.
pub(crate) async fn take(state: &IngestState, upload: &Upload) -> Result<Standing, EndingError> {
    let kept = state.kept(upload).take().await?;
    judge(state, upload, kept).await
}

async fn judge(state: &IngestState, upload: &Upload, kept: Option<u64>) -> Result<Standing, EndingError> {
    let offset = match kept {
        Some(length) => length,
        None => match state.objects.size(&storage_key::source(upload.asset)).await? {
            Some(size) if size == upload.length_bytes => return Ok(Standing::Complete),
            _ => 0,
        },
    };
    Ok(if offset == upload.length_bytes { Standing::Complete } else { Standing::Offset(offset) })
}

/// Makes the source of what is kept and queues the probe. Safe to repeat from any point of a crash.
/// False: the asset was deleted meanwhile, so the upload ended as terminated.
pub(crate) async fn finish(state: &IngestState, upload: &Upload) -> Result<bool, EndingError> {
    if upload.protocol == Protocol::Tus {
        state.kept(upload).complete().await?;
    }
    let now = state.clock.now();
    let mut tx = state.db.begin().await?;
    let moved = pipeline::upload_finished(&mut tx, upload.asset, now).await?;
    let deleted = !moved
        && assets::find_in(&mut tx, upload.asset)
            .await?
            .is_none_or(|asset| asset.state == AssetState::Deleted);
    let end = if deleted { UploadState::Terminated } else { UploadState::Finished };
    let closed = uploads::close(&mut tx, upload.id, end).await?;
    tx.commit().await?;
    if closed {
        note(upload, end);
    }
    if deleted {
        // The asset's own delete job may have run before the move.
        state.objects.delete_prefix(&storage_key::source_prefix(upload.asset)).await?;
    }
    (state.on_finished)(upload.asset);
    state.kept(upload).tidy().await;
    Ok(!deleted)
}

/// Ends an open upload without a source: its asset is deleted with it. False: it was not open.
pub(crate) async fn abandon(
    state: &IngestState,
    upload: &Upload,
    end: UploadState,
) -> Result<bool, EndingError> {
    let mut tx = state.db.begin().await?;
    let closed = uploads::close(&mut tx, upload.id, end).await?;
    if closed {
        pipeline::delete_asset(&mut tx, upload.asset, state.clock.now()).await?;
    }
    tx.commit().await?;
    if closed {
        match upload.protocol {
            Protocol::Tus => state.kept(upload).remove().await?,
            Protocol::S3Multipart => forget_parts(state, upload).await,
        }
        note(upload, end);
        (state.on_finished)(upload.asset);
    }
    Ok(closed)
}

/// Removes what the object store has of an upload that ends without a source. What this misses, the sweep finds.
async fn forget_parts(state: &IngestState, upload: &Upload) {
    let (Some(id), Some(store)) = (&upload.multipart_id, state.objects.multipart()) else { return };
    if let Err(error) = store.abort(&storage_key::source(upload.asset), &MultipartId(id.clone())).await {
        tracing::warn!(upload = %upload.id, asset = %upload.asset, %error, "aborting a multipart upload failed");
    }
}

fn note(upload: &Upload, end: UploadState) {
    gauge!("lectern_uploads_open").decrement(1);
    counter!("lectern_uploads_ended_total", "state" => end.as_str()).increment(1);
    tracing::info!(upload = %upload.id, asset = %upload.asset, bytes = upload.length_bytes, "upload {}", end.as_str());
}
