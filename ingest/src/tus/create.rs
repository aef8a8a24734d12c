//! POST: announces an upload, and takes its first bytes if they come along (creation, creation-with-upload).

use axum::{
    body::{Body, HttpBody as _},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use lectern_domain::{
    account::Role,
    course::{LessonType, PublishedStatus},
    ids::{AssetId, LessonId, UploadId, UserId},
    keys::secret_context,
};
use lectern_platform::{
    clock::{new_id, random_bytes},
    http::{Caller, Problem},
};
use lectern_store::{
    accounts,
    assets::NewAsset,
    lessons, pipeline,
    uploads::{self, NewUpload, Upload, UploadState},
};
use metrics::{counter, gauge};

use super::{
    PATH,
    headers::{byte_count, http_date},
    is_tus_body,
};
use crate::{
    IngestState, ending,
    locks::Claim,
    metadata::Metadata,
    transfer::{self, Transferred, transfer},
};

/// What a creation request asks for, checked as far as its headers go.
struct Wanted {
    length_bytes: u64,
    lesson: LessonId,
    filename: String,
    metadata: String,
}

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
    let free = state.files.free_bytes().await.map_err(Problem::internal)?;
    if free.saturating_sub(state.settings.min_free_bytes) < wanted.length_bytes {
        tracing::error!(free, length = wanted.length_bytes, "no space for an upload");
        return Err(transfer::no_space());
    }
    let upload = announce(state, caller, owner, wanted).await?;
    // Made now, so that its place in the folder is on disk before the first byte is acknowledged.
    state.files.writer(upload.id).await.map_err(Problem::internal)?;

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
    let max = state.settings.max_size_bytes;
    if length_bytes > max {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("expected a file of at most {max} bytes, got one of {length_bytes}"),
        ));
    }
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
    let metadata = String::from_utf8_lossy(line).into_owned();
    Ok(Wanted { length_bytes, lesson, filename, metadata })
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

/// The owner of the lesson's course, whom the asset will belong to, if the caller may upload for it.
async fn lesson_owner(state: &IngestState, caller: Caller, lesson: LessonId) -> Result<UserId, Problem> {
    let Some(lesson) = lessons::get(&state.db, Some(caller.user), lesson).await? else {
        return Err(Problem::not_found("lesson"));
    };
    if !caller.is_or_admin(lesson.owner) {
        let published = lesson.course_status == PublishedStatus::Published
            && lesson.published_status == PublishedStatus::Published;
        return Err(if published { Problem::not_owner() } else { Problem::not_found("lesson") });
    }
    if lesson.kind != LessonType::Video {
        return Err(Problem::invalid(format!(
            "lesson_id: expected a lesson of type video, got one of type {}",
            lesson.kind.as_str()
        )));
    }
    Ok(lesson.owner)
}

/// Writes asset and upload in one transaction, within the owner's limits.
async fn announce(
    state: &IngestState,
    caller: Caller,
    owner: UserId,
    wanted: Wanted,
) -> Result<Upload, Problem> {
    let now = state.clock.now();
    let id = new_id(&*state.clock, UploadId::generate);
    let asset = new_id(&*state.clock, AssetId::generate);
    let secret = zeroize::Zeroizing::new(random_bytes::<32>());
    let wrapped_secret =
        state.vault.wrap(&secret_context(asset), secret.as_slice()).await.map_err(Problem::internal)?;

    let limits = &state.settings;
    let mut tx = state.db.begin().await?;
    // Creations for one owner take turns here, so that two cannot both fit into what is left of a quota.
    accounts::get_locked(&mut tx, owner).await?;
    let enabled =
        accounts::get_locked(&mut tx, caller.user).await?.is_some_and(|user| user.disabled_at.is_none());
    if !enabled {
        return Err(Problem::unauthenticated());
    }
    if !uploads::keep_lesson(&mut tx, wanted.lesson).await? {
        return Err(Problem::not_found("lesson"));
    }
    let open = uploads::count_open(&mut tx, caller.user).await?;
    if open >= limits.max_open_uploads {
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_uploads",
            format!("you have {open} uploads open, which is the limit; finish or end one of them first"),
        )
        .retry_after(60));
    }
    let stored = uploads::stored_bytes(&mut tx, owner).await?;
    if stored.saturating_add(wanted.length_bytes) > limits.quota_bytes {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "quota_exceeded",
            format!(
                "this file of {} bytes does not fit: {stored} of {} bytes are in use; delete what is no longer needed",
                wanted.length_bytes, limits.quota_bytes
            ),
        ));
    }
    let new = NewAsset {
        id: asset,
        owner,
        lesson: wanted.lesson,
        filename: wanted.filename,
        source_bytes: wanted.length_bytes,
        wrapped_secret,
    };
    pipeline::create_asset(&mut tx, new, now).await?;
    let new = NewUpload {
        id,
        owner: caller.user,
        asset,
        length_bytes: wanted.length_bytes,
        metadata: wanted.metadata,
        expires_at: now + limits.expires_after,
    };
    uploads::insert(&mut tx, new, now).await?;
    tx.commit().await?;

    gauge!("lectern_uploads_open").increment(1);
    counter!("lectern_uploads_created_total").increment(1);
    tracing::info!(
        upload = %id, %asset, lesson = %wanted.lesson, user = %caller.user, bytes = wanted.length_bytes, "upload created"
    );
    (state.on_finished)(asset);
    uploads::find(&state.db, id)
        .await?
        .ok_or_else(|| Problem::internal("an upload vanished after its creation"))
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
