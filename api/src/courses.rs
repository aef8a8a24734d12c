//! `/courses`: list, create, read, change, delete.

use std::num::NonZeroU32;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use lectern_domain::{
    Timestamp,
    account::Role,
    course::PublishedStatus,
    ids::{CourseId, UserId},
};
use lectern_platform::{
    clock::new_id,
    http::{Caller, Problem},
};
use lectern_store::{
    courses::{self, Change, Course, Filter, NewCourse, Price},
    lessons, pipeline,
};
use serde::{Deserialize, Serialize};

use crate::{
    ApiState, conditional,
    extract::{Body, Params, PathId},
    input::{self, PriceInput},
    paging,
};

#[derive(Debug, Serialize)]
struct PriceView {
    amount_minor: i64,
    currency: String,
}

#[derive(Debug, Serialize)]
struct OwnerView {
    id: UserId,
    name: String,
}

/// A course as one caller sees it.
#[derive(Debug, Serialize)]
pub(crate) struct CourseView {
    id: CourseId,
    title: String,
    description: String,
    price: PriceView,
    published_status: PublishedStatus,
    owner: OwnerView,
    enrolled: bool,
    lesson_count: u64,
    #[serde(with = "time::serde::rfc3339")]
    created_at: Timestamp,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: Timestamp,
}

fn view(course: Course, caller: Option<Caller>) -> CourseView {
    let staff = is_staff(caller, course.owner);
    CourseView {
        id: course.id,
        title: course.title,
        description: course.description,
        price: PriceView { amount_minor: course.price.amount_minor, currency: course.price.currency },
        published_status: course.published_status,
        owner: OwnerView { id: course.owner, name: course.owner_name },
        enrolled: course.enrolled,
        lesson_count: if staff { course.lessons_total } else { course.lessons_published },
        created_at: course.created_at,
        updated_at: course.updated_at,
    }
}

/// Whether the caller teaches what `owner` owns, or is an admin.
pub(crate) fn is_staff(caller: Option<Caller>, owner: UserId) -> bool {
    caller.is_some_and(|caller| caller.is_or_admin(owner))
}

/// The course, if the caller may know of it.
pub(crate) async fn visible(
    state: &ApiState,
    caller: Option<Caller>,
    id: CourseId,
) -> Result<Course, Problem> {
    courses::get(&state.db, caller.map(|caller| caller.user), id)
        .await?
        .filter(|course| {
            course.published_status == PublishedStatus::Published || is_staff(caller, course.owner)
        })
        .ok_or_else(|| Problem::not_found("course"))
}

/// The course, if the caller may change it.
pub(crate) async fn owned(state: &ApiState, caller: Caller, id: CourseId) -> Result<Course, Problem> {
    let course = visible(state, Some(caller), id).await?;
    if caller.is_or_admin(course.owner) { Ok(course) } else { Err(Problem::not_owner()) }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    cursor: Option<String>,
    limit: Option<NonZeroU32>,
    #[serde(default)]
    mine: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct CoursePage {
    items: Vec<CourseView>,
    next_cursor: Option<String>,
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Option<Caller>,
    Params(page): Params<Page>,
) -> Result<Json<CoursePage>, Problem> {
    if page.mine && caller.is_none() {
        return Err(Problem::unauthenticated());
    }
    let limit = paging::limit(page.limit)?;
    let filter = Filter {
        caller: caller.map(|caller| caller.user),
        sees_drafts: caller.is_some_and(|caller| caller.role == Role::Admin),
        mine: page.mine,
        after: page.cursor.as_deref().map(paging::after).transpose()?,
    };
    // One more than asked for tells whether there is another page.
    let mut found = courses::list(&state.db, filter, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_cursor = found.last().filter(|_| more).map(|last| paging::cursor(last.id));
    let items = found.into_iter().map(|course| view(course, caller)).collect();
    Ok(Json(CoursePage { items, next_cursor }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    title: String,
    description: Option<String>,
    price: Option<PriceInput>,
}

pub(crate) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Body(draft): Body<Draft>,
) -> Result<impl IntoResponse, Problem> {
    caller.at_least(Role::Instructor)?;
    let free = || Price { amount_minor: 0, currency: "USD".into() };
    let course = NewCourse {
        id: new_id(&*state.clock, CourseId::generate),
        owner: caller.user,
        title: input::line("title", &draft.title)?,
        description: description(draft.description.unwrap_or_default())?,
        price: draft.price.map(input::price).transpose()?.unwrap_or_else(free),
        published_status: PublishedStatus::Draft,
    };
    let id = course.id;
    courses::insert(&state.db, course, state.clock.now()).await?;
    let course = visible(&state, Some(caller), id).await?;
    let place = location(&format!("/api/v1/courses/{id}"));
    Ok((StatusCode::CREATED, place, conditional::etag(course.version), Json(view(course, Some(caller)))))
}

fn description(text: String) -> Result<String, Problem> {
    input::text("description", text, input::DESCRIPTION_MAX)
}

/// Where the thing just made is found.
pub(crate) fn location(path: &str) -> [(HeaderName, HeaderValue); 1] {
    [(header::LOCATION, HeaderValue::from_str(path).expect("ids are ASCII"))]
}

pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Option<Caller>,
    PathId(id): PathId<CourseId>,
) -> Result<impl IntoResponse, Problem> {
    let course = visible(&state, caller, id).await?;
    Ok((conditional::etag(course.version), Json(view(course, caller))))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    title: Option<String>,
    description: Option<String>,
    price: Option<PriceInput>,
    published_status: Option<PublishedStatus>,
}

pub(crate) async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CourseId>,
    headers: HeaderMap,
    Body(edit): Body<Edit>,
) -> Result<impl IntoResponse, Problem> {
    let course = owned(&state, caller, id).await?;
    let expected = conditional::expected_version(&headers, course.version)?;
    let change = Change {
        title: edit.title.map(|title| input::line("title", &title)).transpose()?,
        description: edit.description.map(description).transpose()?,
        price: edit.price.map(input::price).transpose()?,
        published_status: edit.published_status,
    };
    if !courses::update(&state.db, id, change, expected, state.clock.now()).await? {
        // Gone, which `visible` will say, or changed by another since it was read.
        visible(&state, Some(caller), id).await?;
        return Err(conditional::changed_meanwhile());
    }
    let course = visible(&state, Some(caller), id).await?;
    Ok((conditional::etag(course.version), Json(view(course, Some(caller)))))
}

pub(crate) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CourseId>,
) -> Result<StatusCode, Problem> {
    owned(&state, caller, id).await?;
    let now = state.clock.now();
    let mut tx = state.db.begin().await?;
    // Held, so that no lesson is added between deleting the assets and deleting the course.
    if !courses::lock(&mut tx, id).await? {
        return Err(Problem::not_found("course"));
    }
    for lesson in lessons::of_course(&mut tx, id).await? {
        pipeline::delete_assets_of_lesson(&mut tx, lesson, now).await?;
    }
    courses::delete(&mut tx, id).await?;
    tx.commit().await?;
    state.wakeups.wake();
    tracing::info!(course = %id, user = %caller.user, "course deleted");
    Ok(StatusCode::NO_CONTENT)
}
