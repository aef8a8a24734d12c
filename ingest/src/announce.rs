//! Announcing an upload, whichever way its bytes will come: who may, how much, and the rows that say so.

use axum::http::StatusCode;
use lectern_domain::{
    course::{LessonType, PublishedStatus},
    ids::{AssetId, LessonId, UploadId, UserId},
    keys::secret_context,
    trim::Trim,
};
use lectern_platform::{
    clock::{new_id, random_bytes},
    http::{Caller, Problem},
};
use lectern_store::{
    accounts,
    assets::NewAsset,
    lessons, pipeline,
    uploads::{self, NewUpload, Protocol, Upload},
};
use metrics::{counter, gauge};

use crate::IngestState;

/// What a creation request asks for, checked as far as the request itself goes.
pub(crate) struct Wanted {
    pub(crate) length_bytes: u64,
    pub(crate) lesson: LessonId,
    pub(crate) filename: String,
    /// Which part of the file is the lesson.
    pub(crate) trim: Option<Trim>,
    /// `Upload-Metadata` as sent by tus clients.
    pub(crate) metadata: String,
}

/// Names for a new upload, and how its bytes will come.
pub(crate) struct Announced {
    pub(crate) id: UploadId,
    pub(crate) asset: AssetId,
    pub(crate) protocol: Protocol,
    pub(crate) multipart_id: Option<String>,
}

impl Announced {
    /// An upload whose bytes come here.
    pub(crate) fn tus(state: &IngestState) -> Self {
        Self {
            id: new_id(&*state.clock, UploadId::generate),
            asset: new_id(&*state.clock, AssetId::generate),
            protocol: Protocol::Tus,
            multipart_id: None,
        }
    }
}

/// 413 for a file larger than any that is taken.
pub(crate) fn fits(state: &IngestState, length_bytes: u64) -> Result<(), Problem> {
    let max = state.settings.max_size_bytes;
    if length_bytes <= max {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        format!("expected a file of at most {max} bytes, got one of {length_bytes}"),
    ))
}

/// The owner of the lesson's course, whom the asset will belong to, if the caller may upload for it.
pub(crate) async fn lesson_owner(
    state: &IngestState,
    caller: Caller,
    lesson: LessonId,
) -> Result<UserId, Problem> {
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
pub(crate) async fn announce(
    state: &IngestState,
    caller: Caller,
    owner: UserId,
    wanted: Wanted,
    announced: Announced,
) -> Result<Upload, Problem> {
    let now = state.clock.now();
    let Announced { id, asset, protocol, multipart_id } = announced;
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
        trim: wanted.trim,
    };
    pipeline::create_asset(&mut tx, new, now).await?;
    let new = NewUpload {
        id,
        owner: caller.user,
        asset,
        length_bytes: wanted.length_bytes,
        metadata: wanted.metadata,
        expires_at: now + limits.expires_after,
        protocol,
        multipart_id,
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
