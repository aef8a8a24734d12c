//! Lessons: list and create within a course; read, change, delete.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use lectern_domain::{
    Timestamp,
    asset::AssetState,
    course::{LessonType, PublishedStatus},
    ids::{AssetId, CourseId, LessonId},
};
use lectern_platform::{
    clock::new_id,
    http::{Caller, Problem},
};
use lectern_store::{
    Tx, assets, courses as course_rows,
    lessons::{self, Change, Lesson, LessonAsset, NewLesson},
    pipeline,
};
use serde::{Deserialize, Serialize};

use crate::{
    ApiState, conditional,
    courses::{self, is_staff, location},
    extract::{Body, PathId},
    input,
};

/// Lessons a course can have: its list is sent whole.
const MAX_LESSONS: u64 = 1_000;
const MAX_ORDER_INDEX: i64 = 1_000_000_000;

#[derive(Debug, Serialize)]
struct LessonAssetView {
    id: AssetId,
    state: AssetState,
    progress: f64,
    duration_ms: Option<u64>,
}

impl From<LessonAsset> for LessonAssetView {
    fn from(asset: LessonAsset) -> Self {
        let LessonAsset { id, state, progress, duration_ms } = asset;
        Self { id, state, progress, duration_ms }
    }
}

/// A lesson as anybody sees it who may see it at all.
#[derive(Debug, Serialize)]
pub(crate) struct LessonView {
    id: LessonId,
    course_id: CourseId,
    title: String,
    r#type: LessonType,
    order_index: i64,
    published_status: PublishedStatus,
    body: String,
    #[serde(with = "time::serde::rfc3339::option")]
    release_at: Option<Timestamp>,
    asset_id: Option<AssetId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asset: Option<LessonAssetView>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: Timestamp,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: Timestamp,
}

impl From<Lesson> for LessonView {
    fn from(lesson: Lesson) -> Self {
        Self {
            id: lesson.id,
            course_id: lesson.course,
            title: lesson.title,
            r#type: lesson.kind,
            order_index: lesson.order_index,
            published_status: lesson.published_status,
            body: lesson.body,
            release_at: lesson.release_at,
            asset_id: lesson.asset.as_ref().map(|asset| asset.id),
            asset: lesson.asset.map(Into::into),
            created_at: lesson.created_at,
            updated_at: lesson.updated_at,
        }
    }
}

/// Whether the caller may know of a lesson: published in a published course and released, or theirs to teach.
pub(crate) fn may_see(lesson: &Lesson, caller: Option<Caller>, now: Timestamp) -> bool {
    let published = lesson.published_status == PublishedStatus::Published
        && lesson.release_at.is_none_or(|at| at <= now)
        && lesson.course_status == PublishedStatus::Published;
    published || is_staff(caller, lesson.owner)
}

/// The lesson, if the caller may know of it.
pub(crate) async fn visible(
    state: &ApiState,
    caller: Option<Caller>,
    id: LessonId,
) -> Result<Lesson, Problem> {
    lessons::get(&state.db, caller.map(|caller| caller.user), id)
        .await?
        .filter(|lesson| may_see(lesson, caller, state.clock.now()))
        .ok_or_else(|| Problem::not_found("lesson"))
}

async fn owned(state: &ApiState, caller: Caller, id: LessonId) -> Result<Lesson, Problem> {
    let lesson = visible(state, Some(caller), id).await?;
    if caller.is_or_admin(lesson.owner) { Ok(lesson) } else { Err(Problem::not_owner()) }
}

#[derive(Debug, Serialize)]
pub(crate) struct LessonList {
    items: Vec<LessonView>,
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Option<Caller>,
    PathId(course): PathId<CourseId>,
) -> Result<Json<LessonList>, Problem> {
    let drafts_too = is_staff(caller, courses::visible(&state, caller, course).await?.owner);
    let now = state.clock.now();
    let found = lessons::list(&state.db, caller.map(|caller| caller.user), course, drafts_too, now).await?;
    Ok(Json(LessonList { items: found.into_iter().map(Into::into).collect() }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    title: String,
    r#type: LessonType,
    order_index: Option<i64>,
    published_status: Option<PublishedStatus>,
    body: Option<String>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    release_at: Option<Timestamp>,
}

pub(crate) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(course): PathId<CourseId>,
    Body(draft): Body<Draft>,
) -> Result<impl IntoResponse, Problem> {
    courses::owned(&state, caller, course).await?;
    let lesson = NewLesson {
        id: new_id(&*state.clock, LessonId::generate),
        course,
        title: input::line("title", &draft.title)?,
        kind: draft.r#type,
        order_index: draft.order_index.map(order_index).transpose()?,
        published_status: draft.published_status.unwrap_or(PublishedStatus::Draft),
        body: body(draft.body.unwrap_or_default())?,
        release_at: draft.release_at,
    };
    let id = lesson.id;
    let mut tx = state.db.begin().await?;
    // Held: two lessons made at once get different places, and none is added to a course that is being deleted.
    if !course_rows::lock(&mut tx, course).await? {
        return Err(Problem::not_found("course"));
    }
    if lessons::count(&mut tx, course).await? >= MAX_LESSONS {
        let detail = format!("a course can have at most {MAX_LESSONS} lessons");
        return Err(Problem::new(StatusCode::CONFLICT, "too_many_lessons", detail));
    }
    lessons::insert(&mut tx, lesson, state.clock.now()).await?;
    tx.commit().await?;
    let lesson = visible(&state, Some(caller), id).await?;
    let place = location(&format!("/api/v1/lessons/{id}"));
    Ok((StatusCode::CREATED, place, conditional::etag(lesson.version), Json(LessonView::from(lesson))))
}

fn body(text: String) -> Result<String, Problem> {
    input::text("body", text, input::BODY_MAX)
}

fn order_index(given: i64) -> Result<i64, Problem> {
    if (0..=MAX_ORDER_INDEX).contains(&given) {
        Ok(given)
    } else {
        Err(Problem::invalid(format!("order_index: expected 0 to {MAX_ORDER_INDEX}, got {given}")))
    }
}

pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Option<Caller>,
    PathId(id): PathId<LessonId>,
) -> Result<impl IntoResponse, Problem> {
    let lesson = visible(&state, caller, id).await?;
    Ok((conditional::etag(lesson.version), Json(LessonView::from(lesson))))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    title: Option<String>,
    order_index: Option<i64>,
    published_status: Option<PublishedStatus>,
    body: Option<String>,
    #[expect(clippy::option_option, reason = "absent, null and a value are three different wishes")]
    #[serde(default, deserialize_with = "input::nullable")]
    asset_id: Option<Option<AssetId>>,
    #[expect(clippy::option_option, reason = "absent, null and a value are three different wishes")]
    #[serde(default, deserialize_with = "input::nullable_time")]
    release_at: Option<Option<Timestamp>>,
}

pub(crate) async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<LessonId>,
    headers: HeaderMap,
    Body(edit): Body<Edit>,
) -> Result<impl IntoResponse, Problem> {
    let lesson = owned(&state, caller, id).await?;
    let expected = conditional::expected_version(&headers, lesson.version)?;
    let change = Change {
        title: edit.title.map(|title| input::line("title", &title)).transpose()?,
        order_index: edit.order_index.map(order_index).transpose()?,
        published_status: edit.published_status,
        body: edit.body.map(body).transpose()?,
        release_at: edit.release_at,
    };
    let now = state.clock.now();
    let current = lesson.asset.as_ref().map(|asset| asset.id);
    // Naming the asset that is already there changes nothing.
    let new_asset = edit.asset_id.filter(|wanted| *wanted != current);
    let mut tx = state.db.begin().await?;
    if let (Some(_), Some(current)) = (new_asset, current) {
        lessons::hold_asset(&mut tx, current, now).await?;
    }
    if !lessons::update(&mut tx, id, change, expected, now).await? {
        drop(tx);
        visible(&state, Some(caller), id).await?;
        return Err(conditional::changed_meanwhile());
    }
    if let Some(wanted) = new_asset {
        replace_asset(&mut tx, id, current, wanted, now).await?;
    }
    tx.commit().await?;
    if new_asset.is_some() {
        state.wakeups.wake();
        if let Some(current) = current {
            state.news.changed(current);
        }
    }
    let lesson = visible(&state, Some(caller), id).await?;
    Ok((conditional::etag(lesson.version), Json(LessonView::from(lesson))))
}

/// Points the lesson at another asset of its own (an upload whose turn had not come yet), or at none. What it pointed at is
/// deleted.
async fn replace_asset(
    tx: &mut Tx,
    lesson: LessonId,
    current: Option<AssetId>,
    wanted: Option<AssetId>,
    now: Timestamp,
) -> Result<(), Problem> {
    if let Some(wanted) = wanted {
        assets::find_in(tx, wanted)
            .await?
            .filter(|asset| asset.lesson == Some(lesson) && asset.state != AssetState::Deleted)
            .ok_or_else(|| {
                Problem::invalid(
                    "asset_id: expected an asset uploaded for this lesson and not deleted, or null",
                )
            })?;
    }
    if let Some(current) = current {
        pipeline::delete_asset(tx, current, now).await?;
    }
    lessons::set_asset(tx, lesson, wanted, now).await?;
    Ok(())
}

pub(crate) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<LessonId>,
) -> Result<StatusCode, Problem> {
    let lesson = owned(&state, caller, id).await?;
    let mut tx = state.db.begin().await?;
    pipeline::delete_assets_of_lesson(&mut tx, id, state.clock.now()).await?;
    let deleted = lessons::delete(&mut tx, id).await?;
    tx.commit().await?;
    state.wakeups.wake();
    if let Some(asset) = lesson.asset {
        state.news.changed(asset.id);
    }
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("lesson")) }
}
