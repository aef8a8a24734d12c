//! POST: announces an upload, and takes its first bytes if they come along (creation, creation-with-upload).

use axum::{
    body::{Body, HttpBody as _},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use lectern_domain::{
    account::Role,
    ids::UserId,
    storage_key,
    trim::{IN_POINT, OUT_POINT, Trim},
};
use lectern_platform::{
    http::{Caller, Problem},
    objects::Multipart,
};
use lectern_store::uploads::{Upload, UploadState};

use super::{
    PATH,
    headers::{byte_count, http_date},
    is_tus_body,
};
use crate::{
    IngestState,
    announce::{Announced, Wanted, announce, fits, lesson_owner},
    ending, kept,
    locks::Claim,
    metadata::Metadata,
    transfer::{self, Transferred, transfer},
};

pub(super) async fn create(
    state: &IngestState,
    caller: Caller,
    headers: &HeaderMap,
    body: &mut Option<Body>,
) -> Result<Response, Problem> {
    let wanted = read(state, headers)?;
    let brings = brings_bytes(headers, body.as_ref(), wanted.length_bytes)?;
    caller.at_least(Role::Instructor)?;
    let owner = lesson_owner(state, caller, wanted.lesson).await?;
    let upload = match state.objects.multipart() {
        None => to_file(state, caller, owner, wanted).await?,
        Some(store) => to_parts(state, store, caller, owner, wanted).await?,
    };

    let transferred = if upload.length_bytes == 0 {
        ending::finish(state, &upload).await.map_err(|error| transfer::not_finished(&upload, &error))?;
        Some(Transferred { offset: 0, expires_at: None })
    } else if let (true, Some(body)) = (brings, body.take()) {
        Some(first_bytes(state, &upload, body).await?)
    } else {
        None
    };
    let expires_at = transferred.map_or(Some(upload.expires_at), |transferred| transferred.expires_at);
    let mut response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    let text = |text: String| HeaderValue::from_str(&text).map_err(Problem::internal);
    headers.insert(header::LOCATION, text(format!("{PATH}/{}", upload.id))?);
    headers.insert("lectern-asset-id", text(upload.asset.to_string())?);
    if let Some(transferred) = transferred {
        headers.insert("upload-offset", transferred.offset.into());
    }
    if let Some(expires_at) = expires_at {
        headers.insert("upload-expires", http_date(expires_at));
    }
    Ok(response)
}

async fn to_file(
    state: &IngestState,
    caller: Caller,
    owner: UserId,
    wanted: Wanted,
) -> Result<Upload, Problem> {
    let room = kept::room(state).await.map_err(Problem::internal)?;
    if room < wanted.length_bytes {
        tracing::error!(room, length = wanted.length_bytes, "no space for an upload");
        return Err(transfer::no_space());
    }
    let upload = announce(state, caller, owner, wanted, Announced::tus(state)).await?;
    // Made now, so that its place in the folder is on disk before the first byte is acknowledged.
    state.files.writer(upload.id).await.map_err(Problem::internal)?;
    Ok(upload)
}

/// First in the object store: a multipart upload that no row names is swept, a row that names none would be of no use.
async fn to_parts(
    state: &IngestState,
    store: &dyn Multipart,
    caller: Caller,
    owner: UserId,
    wanted: Wanted,
) -> Result<Upload, Problem> {
    let mut announced = Announced::tus(state);
    let key = storage_key::source(announced.asset);
    let id = store.create(&key).await.map_err(|error| transfer::unavailable(&error))?;
    announced.multipart_id = Some(id.0.clone());
    match announce(state, caller, owner, wanted, announced).await {
        Ok(upload) => Ok(upload),
        Err(problem) => {
            if let Err(error) = store.abort(&key, &id).await {
                tracing::warn!(key, %error, "aborting a multipart upload that was refused failed");
            }
            Err(problem)
        }
    }
}

fn read(state: &IngestState, headers: &HeaderMap) -> Result<Wanted, Problem> {
    for (name, what) in [("upload-defer-length", "a deferred length"), ("upload-concat", "concatenation")] {
        if headers.contains_key(name) {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "not_supported",
                format!("{what} is not supported: send the whole file as one upload with its Upload-Length"),
            ));
        }
    }
    let length_bytes = byte_count(headers, "upload-length")?
        .ok_or_else(|| Problem::invalid("Upload-Length: expected the size of the file in bytes"))?;
    fits(state, length_bytes)?;
    let mut lines = headers.get_all("upload-metadata").iter();
    let line = lines.next().map_or(&b""[..], HeaderValue::as_bytes);
    if lines.next().is_some() {
        return Err(Problem::invalid("Upload-Metadata: expected one header, got several"));
    }
    let metadata = Metadata::parse(line).map_err(Problem::invalid)?;
    let lesson = metadata
        .text("lesson_id")
        .map_err(Problem::invalid)?
        .ok_or_else(|| Problem::invalid("Upload-Metadata: expected lesson_id, the lesson this file is for"))?
        .parse()
        .map_err(|error| Problem::invalid(format!("Upload-Metadata: lesson_id: {error}")))?;
    let filename = metadata.filename().map_err(Problem::invalid)?;
    let point = |name| metadata.text(name).map_err(Problem::invalid);
    let trim = Trim::parse(point(IN_POINT)?, point(OUT_POINT)?).map_err(|error| {
        Problem::invalid(format!("Upload-Metadata: {}", error.named(IN_POINT, OUT_POINT)))
    })?;
    let metadata = String::from_utf8_lossy(line).into_owned();
    Ok(Wanted { length_bytes, lesson, filename, trim, metadata })
}

/// Whether the request brings first bytes. A body of another type is refused rather than thrown away in silence.
fn brings_bytes(headers: &HeaderMap, body: Option<&Body>, length_bytes: u64) -> Result<bool, Problem> {
    let exact = body.and_then(|body| body.size_hint().exact());
    if exact == Some(0) || body.is_none_or(axum::body::HttpBody::is_end_stream) {
        return Ok(false);
    }
    if !is_tus_body(headers) {
        return Err(super::wrong_type());
    }
    if exact.is_some_and(|bytes| bytes > length_bytes) {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "longer_than_announced",
            format!("expected a body of at most the Upload-Length of {length_bytes} bytes"),
        ));
    }
    Ok(true)
}

/// The bytes that came with the creation. Whatever stops them, the upload exists and the client learns how far it came;
/// but a client that is gone, or whose body was not what it announced, never learns its address: then it is ended.
async fn first_bytes(state: &IngestState, upload: &Upload, body: Body) -> Result<Transferred, Problem> {
    let Some(hold) = state.locks.hold(upload.id, Claim::Send).await else {
        return Err(Problem::internal("a new upload was held by another request"));
    };
    match transfer(state, upload.clone(), hold, 0, body).await {
        Ok(transferred) => Ok(transferred),
        Err(stopped) if stopped.client_gone || stopped.problem.status == StatusCode::PAYLOAD_TOO_LARGE => {
            ending::abandon(state, upload, UploadState::Terminated).await.map_err(Problem::internal)?;
            Err(stopped.problem)
        }
        Err(stopped) => Ok(Transferred { offset: stopped.offset, expires_at: Some(upload.expires_at) }),
    }
}
