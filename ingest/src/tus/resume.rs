//! HEAD, PATCH and DELETE on an upload.

use axum::{
    body::{Body, HttpBody as _},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use lectern_domain::ids::UploadId;
use lectern_platform::http::{Caller, Problem};
use lectern_store::uploads::{Protocol, Upload, UploadState};

use super::{
    headers::{byte_count, http_date},
    is_tus_body,
};
use crate::{
    IngestState, access,
    ending::{self, EndingError, Standing},
    locks::{Claim, Hold},
    transfer::{self, Transferred, transfer},
};

/// How far an upload has come (tus 1.0, HEAD).
pub(super) async fn head(state: &IngestState, caller: Caller, id: UploadId) -> Result<Response, Problem> {
    // A client that gets a 5xx here (tus-js-client for one) throws the upload away and begins a new one. What may pass
    // is therefore told as 423: it keeps the upload and asks again.
    let (upload, offset) = offset(state, caller, id).await.map_err(|problem| {
        if problem.status.is_server_error() {
            Problem::new(StatusCode::LOCKED, "upload_locked", problem.detail)
                .retry_after(problem.retry_after.unwrap_or(5))
        } else {
            problem
        }
    })?;
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert("upload-offset", offset.into());
    headers.insert("upload-length", upload.length_bytes.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !upload.metadata.is_empty() {
        let metadata = HeaderValue::from_str(&upload.metadata).map_err(Problem::internal)?;
        headers.insert("upload-metadata", metadata);
    }
    if offset < upload.length_bytes {
        headers.insert("upload-expires", http_date(upload.expires_at));
    }
    Ok(response)
}

async fn offset(state: &IngestState, caller: Caller, id: UploadId) -> Result<(Upload, u64), Problem> {
    find(state, caller, id).await?;
    let hold = state.locks.hold(id, Claim::Resume).await.ok_or_else(locked)?;
    let upload = find(state, caller, id).await?;
    let offset = current_offset(state, &upload, hold, true).await?.1;
    Ok((upload, offset))
}

/// Bytes to append (tus 1.0, PATCH).
pub(super) async fn patch(
    state: &IngestState,
    caller: Caller,
    id: UploadId,
    headers: &HeaderMap,
    body: &mut Option<Body>,
) -> Result<Response, Problem> {
    if !is_tus_body(headers) {
        return Err(super::wrong_type());
    }
    let from = byte_count(headers, "upload-offset")?
        .ok_or_else(|| Problem::invalid("Upload-Offset: expected the offset this body begins at"))?;
    find(state, caller, id).await?;
    let hold = state.locks.hold(id, Claim::Send).await.ok_or_else(locked)?;
    // Again: it may have ended while the request before this one was waited for.
    let upload = find(state, caller, id).await?;
    // Looks only: a request that cannot go on must not stop one that does.
    let (hold, offset) = current_offset(state, &upload, hold, false).await?;
    if from != offset {
        return Err(transfer::offset_mismatch(offset));
    }
    let announced = body.as_ref().and_then(|body| body.size_hint().exact());
    if announced.is_some_and(|bytes| bytes > upload.length_bytes - offset) {
        return Err(transfer::too_long(&upload));
    }
    let Some(hold) = hold else {
        // Finished. A client that never got the last answer sends an empty body to hear it again.
        return if announced == Some(0) {
            Ok(appended(Transferred { offset, expires_at: None }))
        } else {
            Err(transfer::too_long(&upload))
        };
    };
    let wanted = announced.unwrap_or(upload.length_bytes - offset);
    let room = state.kept(&upload).room().await.map_err(Problem::internal)?;
    if room.is_some_and(|room| room < wanted) {
        tracing::error!(upload = %upload.id, asset = %upload.asset, room, "no space for an upload");
        return Err(transfer::no_space());
    }
    let body = body.take().unwrap_or_default();
    transfer(state, upload, hold, offset, body).await.map(appended).map_err(|stopped| stopped.problem)
}

fn appended(transferred: Transferred) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert("upload-offset", transferred.offset.into());
    if let Some(expires_at) = transferred.expires_at {
        headers.insert("upload-expires", http_date(expires_at));
    }
    response
}

/// Ends an upload (tus 1.0, termination). A finished one has become an asset, which is deleted as such.
pub(super) async fn delete(state: &IngestState, caller: Caller, id: UploadId) -> Result<Response, Problem> {
    find(state, caller, id).await?;
    let _hold = state.locks.hold(id, Claim::Resume).await.ok_or_else(locked)?;
    let upload = find(state, caller, id).await?;
    if upload.state == UploadState::Finished {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "upload_finished",
            format!("this upload is finished; delete the asset {} instead", upload.asset),
        ));
    }
    ending::abandon(state, &upload, UploadState::Terminated).await.map_err(Problem::internal)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The offset, finishing an upload that a crash left complete. Gives the hold back while the upload is open. `take` it
/// from other processes, or only look.
async fn current_offset(
    state: &IngestState,
    upload: &Upload,
    hold: Hold,
    take: bool,
) -> Result<(Option<Hold>, u64), Problem> {
    if upload.state == UploadState::Finished {
        return Ok((None, upload.length_bytes));
    }
    let standing =
        if take { ending::take(state, upload).await } else { ending::standing(state, upload).await };
    let standing = match standing {
        Ok(standing) => standing,
        Err(EndingError::Kept(error)) => return Err(transfer::not_kept(state, upload, &error).await),
        Err(error) => return Err(Problem::internal(error)),
    };
    match standing {
        Standing::Offset(offset) => Ok((Some(hold), offset)),
        Standing::Complete => match ending::finish(state, upload).await {
            Ok(true) => Ok((None, upload.length_bytes)),
            Ok(false) => Err(transfer::gone()),
            Err(error) => Err(transfer::not_finished(upload, &error)),
        },
    }
}

async fn find(state: &IngestState, caller: Caller, id: UploadId) -> Result<Upload, Problem> {
    access::find(state, caller, id, Protocol::Tus).await
}

fn locked() -> Problem {
    Problem::new(
        StatusCode::LOCKED,
        "upload_locked",
        "another request is sending to this upload; ask HEAD for the offset to take over from it",
    )
    .retry_after(2)
}
