//! The sweep: finishes what a crash left complete, ends what nobody goes on with, removes part files that belong to
//! no open upload. Run before serving and every minute.

use std::collections::HashSet;

use lectern_domain::asset::AssetState;
use lectern_store::uploads::{self, Upload, UploadState};
use metrics::gauge;

use crate::{
    IngestState,
    ending::{self, EndingError, Standing},
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
    } else if ending::standing(state, &upload).await? == Standing::Complete {
        swept.finished += u64::from(ending::finish(state, &upload).await?);
    } else if upload.expires_at <= state.clock.now() {
        swept.expired += u64::from(ending::abandon(state, &upload, UploadState::Expired).await?);
    }
    Ok(())
}
