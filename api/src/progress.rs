//! `/progress` and `/users/{user_id}/progress`: where learners are in their lessons.

use axum::{Json, extract::State, http::StatusCode};
use lectern_domain::{
    Timestamp,
    account::Role,
    ids::{CourseId, LessonId, UserId},
};
use lectern_platform::http::{Caller, Problem};
use lectern_store::{
    enrollments::{self, Progress},
    lessons::Lesson,
};
use serde::{Deserialize, Serialize};

use crate::{
    ApiState,
    extract::{Body, PathId},
    lessons,
};

/// The furthest position kept, 24 hours in milliseconds.
const POSITION_MAX_MS: i64 = 24 * 3_600 * 1_000;

#[derive(Debug, Serialize)]
pub(crate) struct ProgressView {
    lesson_id: LessonId,
    course_id: CourseId,
    position_ms: u64,
    completed: bool,
    /// Absent where nothing was reported yet.
    #[serde(with = "time::serde::rfc3339::option")]
    updated_at: Option<Timestamp>,
}

impl From<Progress> for ProgressView {
    fn from(progress: Progress) -> Self {
        Self {
            lesson_id: progress.lesson,
            course_id: progress.course,
            position_ms: progress.position_ms,
            completed: progress.completed,
            updated_at: Some(progress.updated_at),
        }
    }
}

/// The lesson, if the caller may be somewhere in it.
async fn attended(state: &ApiState, caller: Caller, id: LessonId) -> Result<Lesson, Problem> {
    let lesson = lessons::visible(state, Some(caller), id).await?;
    if lesson.enrolled || caller.is_or_admin(lesson.owner) {
        Ok(lesson)
    } else {
        let detail = "you are not enrolled in this course";
        Err(Problem::new(StatusCode::FORBIDDEN, "not_enrolled", detail))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    position_ms: i64,
    /// Absent: as it was.
    completed: Option<bool>,
}

pub(crate) async fn put(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<LessonId>,
    Body(report): Body<Report>,
) -> Result<Json<ProgressView>, Problem> {
    let lesson = attended(&state, caller, id).await?;
    let position_ms = report.position_ms.clamp(0, POSITION_MAX_MS).unsigned_abs();
    let now = state.clock.now();
    enrollments::put_progress(&state.db, caller.user, id, position_ms, report.completed, now).await?;
    read(&state, caller, &lesson).await.map(Json)
}

pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<LessonId>,
) -> Result<Json<ProgressView>, Problem> {
    let lesson = attended(&state, caller, id).await?;
    read(&state, caller, &lesson).await.map(Json)
}

/// Who has reported nothing is at the beginning.
async fn read(state: &ApiState, caller: Caller, lesson: &Lesson) -> Result<ProgressView, Problem> {
    let stored = enrollments::get_progress(&state.db, caller.user, lesson.id).await?;
    Ok(stored.map_or(
        ProgressView {
            lesson_id: lesson.id,
            course_id: lesson.course,
            position_ms: 0,
            completed: false,
            updated_at: None,
        },
        Into::into,
    ))
}

#[derive(Debug, Serialize)]
pub(crate) struct ProgressList {
    items: Vec<ProgressView>,
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(user): PathId<UserId>,
) -> Result<Json<ProgressList>, Problem> {
    if caller.user != user && caller.role != Role::Admin {
        return Err(Problem::forbidden("only the learner and admins can see this progress"));
    }
    let found = enrollments::list_progress(&state.db, user).await?;
    Ok(Json(ProgressList { items: found.into_iter().map(Into::into).collect() }))
}
