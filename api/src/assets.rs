//! `/assets`: read, follow, retry, delete. What an asset is made of comes from the upload and the pipeline.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Sse, sse::KeepAlive},
};
use lectern_domain::{
    Timestamp,
    asset::AssetState,
    failure::FailureCode,
    ids::{AssetId, LessonId, PackageId},
    media::Rendition,
    trim::Trim,
};
use lectern_platform::http::{Caller, Problem};
use lectern_store::{
    assets::{self, Asset},
    lessons,
    pipeline::{self, Trimmed},
};
use serde::{Deserialize, Serialize};

use crate::{
    ApiState, asset_events,
    extract::{Body, PathId},
    lessons::may_see,
};

#[derive(Debug, Serialize)]
struct FailureView {
    code: FailureCode,
    message: String,
    retryable: bool,
}

/// An asset as one caller sees it. What concerns only who uploaded it (file name, size, why it failed) is left out
/// for learners.
#[derive(Debug, Serialize)]
pub(crate) struct AssetView {
    id: AssetId,
    lesson_id: Option<LessonId>,
    filename: Option<String>,
    pub(crate) state: AssetState,
    progress: f64,
    duration_ms: Option<u64>,
    source_bytes: Option<u64>,
    renditions: Vec<Rendition>,
    /// While the rest is being made: how much can be played.
    #[serde(skip_serializing_if = "Option::is_none")]
    playable_ms: Option<u64>,
    /// Which part of the source is the lesson.
    #[serde(skip_serializing_if = "Option::is_none")]
    trim: Option<Trim>,
    /// Why it is this ladder, for whoever teaches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    why: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: Timestamp,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: Timestamp,
}

impl AssetView {
    fn new(asset: Asset, staff: bool) -> Self {
        let failure = asset.failure.filter(|_| staff && asset.state == AssetState::Failed);
        Self {
            id: asset.id,
            lesson_id: asset.lesson,
            filename: Some(asset.filename).filter(|_| staff),
            state: asset.state,
            progress: asset.progress,
            duration_ms: asset.duration_ms,
            source_bytes: Some(asset.source_bytes).filter(|_| staff),
            renditions: asset.renditions,
            playable_ms: asset.playable_ms.filter(|_| asset.state == AssetState::Playable),
            trim: asset.trim.filter(|_| staff),
            why: asset
                .plan
                .and_then(|plan| plan.video)
                .filter(|_| staff)
                .map_or_else(Vec::new, |video| video.why),
            failure: failure.map(|failure| FailureView {
                retryable: failure.code.retryable(),
                code: failure.code,
                message: failure.message,
            }),
            created_at: asset.created_at,
            updated_at: asset.updated_at,
        }
    }
}

/// The asset and whether the caller is staff to it: uploaded it, teaches its course, or is an admin. Learners see what
/// the lessons that they may see play.
async fn find(state: &ApiState, caller: Caller, id: AssetId) -> Result<(Asset, bool), Problem> {
    let not_found = || Problem::not_found("asset");
    let asset = assets::find(&state.db, id).await?.ok_or_else(not_found)?;
    if caller.is_or_admin(asset.owner) {
        return Ok((asset, true));
    }
    if let Some(lesson) = asset.lesson {
        let lesson = lessons::get(&state.db, Some(caller.user), lesson).await?;
        if let Some(lesson) = lesson {
            if caller.is_or_admin(lesson.owner) {
                return Ok((asset, true));
            }
            let played = lesson.asset.as_ref().is_some_and(|played| played.id == id);
            if played && may_see(&lesson, Some(caller), state.clock.now()) {
                return Ok((asset, false));
            }
        }
    }
    Err(not_found())
}

/// The asset as the caller sees it.
pub(crate) async fn visible(state: &ApiState, caller: Caller, id: AssetId) -> Result<AssetView, Problem> {
    let (asset, staff) = find(state, caller, id).await?;
    Ok(AssetView::new(asset, staff))
}

/// The published package of an asset that the caller may see.
pub(crate) async fn visible_package(
    state: &ApiState,
    caller: Caller,
    id: AssetId,
) -> Result<Option<PackageId>, Problem> {
    find(state, caller, id).await.map(|(asset, _)| asset.package)
}

pub(crate) async fn owned(state: &ApiState, caller: Caller, id: AssetId) -> Result<Asset, Problem> {
    match find(state, caller, id).await? {
        (asset, true) => Ok(asset),
        (_, false) => Err(Problem::not_owner()),
    }
}

pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<AssetId>,
) -> Result<Json<AssetView>, Problem> {
    visible(&state, caller, id).await.map(Json)
}

pub(crate) async fn events(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<AssetId>,
) -> Result<impl IntoResponse, Problem> {
    // Listening begins before the first look, so that no change falls between them.
    let news = state.news.listen();
    visible(&state, caller, id).await?;
    let events = Sse::new(asset_events::follow(state, caller, id, news)).keep_alive(KeepAlive::default());
    // nginx would otherwise keep events back until its buffer is full.
    Ok(([("x-accel-buffering", "no")], events))
}

pub(crate) async fn retry(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<AssetId>,
) -> Result<(StatusCode, Json<AssetView>), Problem> {
    owned(&state, caller, id).await?;
    let mut tx = state.db.begin().await?;
    if !pipeline::retry_asset(&mut tx, id, state.clock.now()).await? {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "not_retryable",
            "only an asset that failed for a reason that may pass can be tried again; otherwise upload another file",
        ));
    }
    tx.commit().await?;
    state.wakeups.wake();
    state.news.changed(id);
    tracing::info!(asset = %id, user = %caller.user, "asset tried again");
    Ok((StatusCode::ACCEPTED, Json(visible(&state, caller, id).await?)))
}

/// The points as sent; without one of them the lesson begins, or ends, with the source.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Points {
    in_ms: Option<u64>,
    out_ms: Option<u64>,
}

pub(crate) async fn trim(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<AssetId>,
    Body(points): Body<Points>,
) -> Result<Json<AssetView>, Problem> {
    owned(&state, caller, id).await?;
    let trim = Trim::new(points.in_ms, points.out_ms)
        .map_err(|error| Problem::invalid(error.named("in_ms", "out_ms")))?;
    let mut tx = state.db.begin().await?;
    match pipeline::trim_asset(&mut tx, id, trim, state.clock.now()).await? {
        Trimmed::Yes => tx.commit().await?,
        Trimmed::NoAsset => return Err(Problem::not_found("asset")),
        Trimmed::TooLate => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "trim_too_late",
                "in and out points can be set until the upload is finished, or when the asset has failed and can be tried again; \
                 otherwise upload the file again with other points",
            ));
        }
    }
    state.news.changed(id);
    tracing::info!(asset = %id, user = %caller.user, ?trim, "points set");
    visible(&state, caller, id).await.map(Json)
}

pub(crate) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<AssetId>,
) -> Result<StatusCode, Problem> {
    owned(&state, caller, id).await?;
    let mut tx = state.db.begin().await?;
    // False when it was deleted before, which is what was asked for.
    if pipeline::delete_asset(&mut tx, id, state.clock.now()).await? {
        tx.commit().await?;
        state.wakeups.wake();
        state.news.changed(id);
        tracing::info!(asset = %id, user = %caller.user, "asset deleted");
    }
    Ok(StatusCode::NO_CONTENT)
}
