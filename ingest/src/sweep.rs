//! The sweep: finishes what a crash left complete, ends what nobody goes on with, removes part files, parts and tails that
//! belong to no open upload. Run before serving and every minute, by every process: it looks, and takes no upload from
//! another process that receives.

use std::collections::HashSet;

use lectern_domain::asset::AssetState;
use lectern_platform::objects::ObjectsError;
use lectern_store::uploads::{self, Protocol, Upload, UploadState};
use metrics::gauge;

use crate::{
    IngestState,
    direct::complete::{self, Settled},
    ending::{self, EndingError, Standing},
    kept::KeptError,
    multipart,
};

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Uploads that were complete and are now finished.
    pub finished: u64,
    /// Uploads whose time was over.
    pub expired: u64,
    /// Uploads whose asset was deleted.
    pub terminated: u64,
    /// Part files that belonged to no open upload.
    pub files_removed: u64,
    /// Writers of uploads whose tail in the object store does not count any more.
    pub tails_removed: u64,
    /// Multipart uploads of the object store that belonged to no open upload for longer than uploads are kept.
    pub multiparts_aborted: u64,
}

/// One sweep. An upload that a request works on is left for the next one; a failure about one upload is logged and
/// does not keep the others.
pub async fn sweep(state: &IngestState) -> Result<Swept, lectern_store::Error> {
    let open = uploads::list_open(&state.db).await?;
    gauge!("lectern_uploads_open").set(open.len() as f64);
    let mut swept = Swept::default();
    for upload in &open {
        if let Err(error) = settle(state, upload, &mut swept).await {
            tracing::warn!(upload = %upload.id, asset = %upload.asset, %error, "sweeping an upload failed");
        }
    }
    match abort_forgotten(state, &open).await {
        Ok(aborted) => swept.multiparts_aborted = aborted,
        Err(error) => tracing::warn!(%error, "looking for forgotten multipart uploads failed"),
    }
    match multipart::sweep_tails(state).await {
        Ok(removed) => swept.tails_removed = removed,
        Err(error) => tracing::warn!(%error, "looking for tails of uploads failed"),
    }
    let open: HashSet<_> = open.into_iter().map(|upload| upload.id).collect();
    match state.files.list().await {
        Err(error) => tracing::warn!(%error, "listing part files failed"),
        Ok(files) => {
            for id in files.into_iter().filter(|id| !open.contains(id)) {
                // The list of rows is older than the file: only a fresh look tells.
                let Some(_hold) = state.locks.try_hold(id) else { continue };
                let found = uploads::find(&state.db, id).await?;
                if found.is_some_and(|upload| upload.state == UploadState::Open) {
                    continue;
                }
                match state.files.remove(id).await {
                    Ok(()) => {
                        swept.files_removed += 1;
                        tracing::info!(upload = %id, "removed a part file of no open upload");
                    }
                    Err(error) => tracing::warn!(upload = %id, %error, "removing a part file failed"),
                }
            }
        }
    }
    Ok(swept)
}

async fn settle(state: &IngestState, listed: &Upload, swept: &mut Swept) -> Result<(), EndingError> {
    let Some(_hold) = state.locks.try_hold(listed.id) else { return Ok(()) };
    // It may have ended, or its time may have been put off, since the list was made.
    let Some(upload) = uploads::find(&state.db, listed.id).await? else { return Ok(()) };
    if upload.state != UploadState::Open {
        return Ok(());
    }
    if upload.asset_state == AssetState::Deleted {
        swept.terminated += u64::from(ending::abandon(state, &upload, UploadState::Terminated).await?);
    } else if upload.protocol == Protocol::S3Multipart {
        settle_direct(state, &upload, swept).await?;
    } else if ending::standing(state, &upload).await? == Standing::Complete {
        match ending::finish(state, &upload).await {
            Ok(finished) => swept.finished += u64::from(finished),
            // Another process may be about to finish it; but not for ever.
            Err(EndingError::Kept(KeptError::Lost(why))) if upload.expires_at <= state.clock.now() => {
                tracing::warn!(upload = %upload.id, asset = %upload.asset, why, "a complete upload was lost");
                swept.expired += u64::from(ending::abandon(state, &upload, UploadState::Expired).await?);
            }
            Err(error) => return Err(error),
        }
    } else if upload.expires_at <= state.clock.now() {
        swept.expired += u64::from(ending::abandon(state, &upload, UploadState::Expired).await?);
    }
    Ok(())
}

/// A direct upload of which everything is there is finished, whether or not anybody told.
async fn settle_direct(state: &IngestState, upload: &Upload, swept: &mut Swept) -> Result<(), EndingError> {
    let settled = complete::settle(state, upload, None).await?;
    match settled {
        Settled::Finished => swept.finished += 1,
        Settled::Deleted => swept.terminated += 1,
        Settled::WrongSize(_) => {
            tracing::error!(upload = %upload.id, asset = %upload.asset, ?settled, "a direct upload became another object");
            swept.expired += u64::from(ending::abandon(state, upload, UploadState::Expired).await?);
        }
        // Vanished too: another process may be joining the parts just now.
        Settled::Incomplete(_) | Settled::TooLong(_) | Settled::Refused(_) | Settled::Vanished => {
            if upload.expires_at <= state.clock.now() {
                swept.expired += u64::from(ending::abandon(state, upload, UploadState::Expired).await?);
            }
        }
    }
    Ok(())
}

/// Parts cost money until they are aborted: of a creation that crashed, or of a file whose sender did.
async fn abort_forgotten(state: &IngestState, open: &[Upload]) -> Result<u64, ObjectsError> {
    let Some(store) = state.objects.multipart() else { return Ok(0) };
    let before = state.clock.now() - state.settings.expires_after;
    let known: HashSet<&str> = open.iter().filter_map(|upload| upload.multipart_id.as_deref()).collect();
    let mut aborted = 0;
    for found in store.open_multiparts(None).await? {
        if found.created_at < before && !known.contains(found.id.0.as_str()) {
            store.abort(&found.key, &found.id).await?;
            tracing::info!(key = found.key, "aborted a multipart upload of no open upload");
            aborted += 1;
        }
    }
    Ok(aborted)
}
