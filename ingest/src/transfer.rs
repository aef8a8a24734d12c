//! One transfer: the body of a PATCH (or of a creation) appended to an upload, to its end or as far as it came.

use axum::{body::Body, http::StatusCode};
use lectern_domain::{Timestamp, asset::AssetState};
use lectern_platform::http::Problem;
use lectern_store::{
    assets,
    uploads::{self, Upload, UploadState},
};
use tokio::sync::oneshot;

use crate::{
    IngestState,
    ending::{self, EndingError},
    kept::KeptError,
    locks::Hold,
    receive::{End, linger, receive},
};

/// A transfer that ended well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transferred {
    /// The next byte wanted.
    pub(crate) offset: u64,
    /// When the upload ends unless bytes come before; absent once it is finished.
    pub(crate) expires_at: Option<Timestamp>,
}

/// A transfer that ended early. What came is kept, unless the problem says otherwise.
#[derive(Debug)]
pub(crate) struct Stopped {
    /// The next byte wanted.
    pub(crate) offset: u64,
    /// Whether the client can still be told.
    pub(crate) client_gone: bool,
    /// What to tell it.
    pub(crate) problem: Problem,
}

/// Runs a transfer as a task of its own: when the client's connection breaks its request is dropped, but what came must
/// still be synced, and a complete upload still be finished. The task gives the upload back before the answer goes out.
pub(crate) async fn transfer(
    state: &IngestState,
    upload: Upload,
    hold: Hold,
    offset: u64,
    body: Body,
) -> Result<Transferred, Stopped> {
    let (answer, answered) = oneshot::channel();
    let task = {
        let state = state.clone();
        async move {
            let result = run(&state, &upload, &hold, offset, body).await;
            drop(hold);
            // Nobody may be waiting any more.
            let _ = answer.send(result);
        }
    };
    state.shutdown.spawn(task);
    answered.await.unwrap_or_else(|_| {
        let problem = Problem::internal("a transfer ended without an answer");
        Err(Stopped { offset, client_gone: false, problem })
    })
}

async fn run(
    state: &IngestState,
    upload: &Upload,
    hold: &Hold,
    from: u64,
    body: Body,
) -> Result<Transferred, Stopped> {
    let mut body = body.into_data_stream();
    let failed = |offset, problem| Stopped { offset, client_gone: false, problem };
    if let Err(error) = announce(state, upload).await {
        linger(body);
        return Err(failed(from, Problem::internal(error)));
    }
    let writer = match state.kept(upload).writer(from).await {
        Ok(writer) => writer,
        Err(error) => {
            linger(body);
            return Err(failed(from, not_kept(state, upload, &error).await));
        }
    };
    let (offset, end) = receive(writer, upload.length_bytes, &mut body, hold, state.shutdown.soft()).await;
    tracing::debug!(
        upload = %upload.id, asset = %upload.asset, from, offset, length = upload.length_bytes, end = end.as_str(),
        "upload received"
    );
    let problem = match end {
        End::Failed(ref error) => Some(not_kept(state, upload, error).await),
        End::TooLong => Some(too_long(upload)),
        _ if offset == upload.length_bytes => {
            return match ending::finish(state, upload).await {
                Ok(true) => Ok(Transferred { offset, expires_at: None }),
                Ok(false) => Err(failed(offset, gone())),
                Err(error) => Err(failed(offset, not_finished(upload, &error))),
            };
        }
        End::Whole => None,
        End::Broken => Some(Problem::new(
            StatusCode::BAD_REQUEST,
            "upload_interrupted",
            "the body ended before its Content-Length; what came is kept",
        )),
        End::Silent => Some(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "upload_interrupted",
            "no bytes came for a minute; what came before is kept",
        )),
        End::GaveWay => Some(overtaken()),
        End::Stopping => Some(
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "the server is restarting; what came is kept",
            )
            .retry_after(2),
        ),
    };
    let expires_at = match extend(state, upload).await {
        Ok(expires_at) => expires_at,
        Err(error) => return Err(failed(offset, Problem::internal(error))),
    };
    match problem {
        None => Ok(Transferred { offset, expires_at: Some(expires_at) }),
        Some(problem) => {
            let client_gone = matches!(end, End::Broken);
            if !client_gone {
                linger(body);
            }
            Err(Stopped { offset, client_gone, problem })
        }
    }
}

/// The asset's state says that bytes arrive.
pub(crate) async fn announce(state: &IngestState, upload: &Upload) -> Result<(), lectern_store::Error> {
    if upload.asset_state != AssetState::AwaitingUpload {
        return Ok(());
    }
    let mut tx = state.db.begin().await?;
    assets::advance(&mut tx, upload.asset, AssetState::Uploading, state.clock.now()).await?;
    tx.commit().await?;
    (state.on_finished)(upload.asset);
    Ok(())
}

/// Puts the upload's end off, to a hundredth of the period: small parts do not cost a write to the database each.
pub(crate) async fn extend(state: &IngestState, upload: &Upload) -> Result<Timestamp, lectern_store::Error> {
    let wanted = state.clock.now() + state.settings.expires_after;
    if wanted - upload.expires_at < state.settings.expires_after / 100 {
        return Ok(upload.expires_at);
    }
    uploads::extend(&state.db, upload.id, wanted).await?;
    Ok(wanted)
}

/// 413: the body brings more than the upload announced.
pub(crate) fn too_long(upload: &Upload) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "longer_than_announced",
        format!(
            "expected no byte beyond the announced {} bytes, got more; nothing of this request was kept",
            upload.length_bytes
        ),
    )
}

/// 410: the upload ended, or the asset it was for was deleted.
pub(crate) fn gone() -> Problem {
    Problem::new(StatusCode::GONE, "upload_gone", "this upload has ended; start a new one")
}

/// Every byte is here, but the object store or the database did not take it yet. Repeated by HEAD and by the sweep.
pub(crate) fn not_finished(upload: &Upload, error: &EndingError) -> Problem {
    tracing::error!(upload = %upload.id, asset = %upload.asset, %error, "finishing an upload failed");
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "upload_not_finished",
        "every byte came and is kept, but the file could not be stored yet; ask again in a moment",
    )
    .retry_after(5)
}

/// Why bytes could not be kept. What was acknowledged counts; an upload that cannot go on is ended.
pub(crate) async fn not_kept(state: &IngestState, upload: &Upload, error: &KeptError) -> Problem {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    match error {
        KeptError::File(io) if matches!(io.kind(), StorageFull | QuotaExceeded) => {
            tracing::error!(upload = %upload.id, %error, "no space for an upload");
            no_space()
        }
        KeptError::File(_) => Problem::internal(format!("upload {}: {error}", upload.id)),
        KeptError::Store(_) | KeptError::Objects(_) => unavailable(error),
        KeptError::Overtaken => overtaken(),
        KeptError::Offset(offset) => offset_mismatch(*offset),
        KeptError::Lost(_) => {
            tracing::error!(upload = %upload.id, asset = %upload.asset, %error, "an upload cannot go on");
            match ending::abandon(state, upload, UploadState::Terminated).await {
                Ok(_) => gone(),
                Err(error) => Problem::internal(error),
            }
        }
    }
}

/// 503: object store or database did not take what came.
pub(crate) fn unavailable(error: &impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "keeping an upload failed");
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "storage_unavailable",
        "uploads cannot be stored at the moment; what was acknowledged is kept, ask HEAD for the offset and go on",
    )
    .retry_after(5)
}

fn overtaken() -> Problem {
    Problem::new(
        StatusCode::LOCKED,
        "upload_locked",
        "another request went on with this upload; what came is kept",
    )
    .retry_after(1)
}

/// 409: bytes that do not begin where those before them end.
pub(crate) fn offset_mismatch(expected: u64) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "offset_mismatch",
        format!("expected Upload-Offset {expected}; ask HEAD for it"),
    )
}

/// 507: the disk of the part files is full.
pub(crate) fn no_space() -> Problem {
    Problem::new(
        StatusCode::INSUFFICIENT_STORAGE,
        "insufficient_storage",
        "the server has no room for this file at the moment; tell the operator",
    )
    .retry_after(60)
}
