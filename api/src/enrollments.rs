//! `/enrollments`: enroll in a published course, leave it.

use axum::{Json, extract::State, http::StatusCode};
use lectern_domain::{
    Timestamp,
    course::PublishedStatus,
    ids::{CourseId, UserId},
};
use lectern_platform::http::{Caller, Problem};
use lectern_store::enrollments;
use serde::Serialize;

use crate::{ApiState, courses, extract::PathId};

#[derive(Debug, Serialize)]
pub(crate) struct EnrollmentView {
    course_id: CourseId,
    user_id: UserId,
    #[serde(with = "time::serde::rfc3339")]
    enrolled_at: Timestamp,
}

pub(crate) async fn enroll(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(course): PathId<CourseId>,
) -> Result<(StatusCode, Json<EnrollmentView>), Problem> {
    let found = courses::visible(&state, Some(caller), course).await?;
    if found.published_status != PublishedStatus::Published {
        // Only who teaches it gets here; for others it does not exist.
        let detail = "the course is a draft; publish it before anybody can enroll";
        return Err(Problem::new(StatusCode::CONFLICT, "not_published", detail));
    }
    let mut tx = state.db.begin().await?;
    let begun = enrollments::enroll(&mut tx, course, caller.user, state.clock.now()).await?;
    let enrollment = enrollments::get(&mut tx, course, caller.user)
        .await?
        .ok_or_else(|| Problem::internal("an enrollment vanished within its own transaction"))?;
    tx.commit().await?;
    let status = if begun { StatusCode::CREATED } else { StatusCode::OK };
    let view = EnrollmentView {
        course_id: enrollment.course,
        user_id: enrollment.user,
        enrolled_at: enrollment.enrolled_at,
    };
    Ok((status, Json(view)))
}

pub(crate) async fn leave(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(course): PathId<CourseId>,
) -> Result<StatusCode, Problem> {
    // Not asked whether the course is visible: who is enrolled can leave a course that became a draft.
    let mut tx = state.db.begin().await?;
    let ended = enrollments::leave(&mut tx, course, caller.user, state.clock.now()).await?;
    tx.commit().await?;
    if ended { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("enrollment of yours")) }
}
