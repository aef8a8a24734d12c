//! Which upload a request means, and whether its caller may act on it.

use lectern_domain::{asset::AssetState, ids::UploadId};
use lectern_platform::http::{Caller, Problem};
use lectern_store::uploads::{self, Protocol, Upload, UploadState};

use crate::{IngestState, transfer};

/// An id out of a path.
pub(crate) fn upload_id(text: &str) -> Result<UploadId, Problem> {
    text.parse().map_err(|_| Problem::not_found("upload"))
}

/// The upload, if the caller may act on it (it is theirs, or they are an admin), it comes this way, and it has not ended
/// without a source.
pub(crate) async fn find(
    state: &IngestState,
    caller: Caller,
    id: UploadId,
    protocol: Protocol,
) -> Result<Upload, Problem> {
    let upload = uploads::find(&state.db, id)
        .await?
        .filter(|upload| upload.protocol == protocol && caller.is_or_admin(upload.owner))
        .ok_or_else(|| Problem::not_found("upload"))?;
    let gone = match upload.state {
        UploadState::Terminated | UploadState::Expired => true,
        UploadState::Open => {
            upload.expires_at <= state.clock.now() || upload.asset_state == AssetState::Deleted
        }
        UploadState::Finished => upload.asset_state == AssetState::Deleted,
    };
    if gone { Err(transfer::gone()) } else { Ok(upload) }
}
