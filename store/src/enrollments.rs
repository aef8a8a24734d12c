//! Enrollments, the entitlements they write, and learners' progress.

use lectern_domain::{
    Timestamp,
    ids::{CourseId, LessonId, UserId},
};

use crate::{
    Db, Error, Tx,
    row::{FromRow, Row},
    statement::statements,
    value::args,
};

statements! {
    /// Changes nothing for who is enrolled already; opens again for who left.
    ENROLL = both(
        "INSERT INTO enrollments (course_id, user_id, enrolled_at) VALUES ($1, $2, $3) \
         ON CONFLICT (course_id, user_id) DO UPDATE SET enrolled_at = excluded.enrolled_at, left_at = NULL \
         WHERE enrollments.left_at IS NOT NULL"
    );
    ENTITLE = both(
        "INSERT INTO entitlements (course_id, user_id, source, starts_at, updated_at) \
         VALUES ($1, $2, 'enrollment', $3, $3) \
         ON CONFLICT (course_id, user_id, source) DO UPDATE \
         SET starts_at = excluded.starts_at, ends_at = NULL, updated_at = excluded.updated_at"
    );
    GET = both("SELECT course_id, user_id, enrolled_at, left_at FROM enrollments WHERE course_id = $1 AND user_id = $2");
    LEAVE = both(
        "UPDATE enrollments SET left_at = $3 WHERE course_id = $1 AND user_id = $2 AND left_at IS NULL"
    );
    END_ENTITLEMENT = both(
        "UPDATE entitlements SET ends_at = $3, updated_at = $3 \
         WHERE course_id = $1 AND user_id = $2 AND source = 'enrollment' AND (ends_at IS NULL OR ends_at > $3)"
    );
    /// `completed` stays as it is where nothing is said of it.
    PUT_PROGRESS = both(
        "INSERT INTO progress (user_id, lesson_id, position_ms, completed, updated_at) VALUES ($1, $2, $3, COALESCE($4, FALSE), $5) \
         ON CONFLICT (user_id, lesson_id) DO UPDATE SET position_ms = excluded.position_ms, \
         completed = COALESCE($4, progress.completed), updated_at = excluded.updated_at"
    );
    GET_PROGRESS = both(
        "SELECT p.lesson_id, p.position_ms, p.completed, p.updated_at, l.course_id FROM progress p JOIN lessons l ON l.id = p.lesson_id \
         WHERE p.user_id = $1 AND p.lesson_id = $2"
    );
    LIST_PROGRESS = both(
        "SELECT p.lesson_id, p.position_ms, p.completed, p.updated_at, l.course_id FROM progress p JOIN lessons l ON l.id = p.lesson_id \
         WHERE p.user_id = $1 ORDER BY p.updated_at DESC, p.lesson_id"
    );
}

/// A learner's place in a course.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrollment {
    /// Which course.
    pub course: CourseId,
    /// Which learner.
    pub user: UserId,
    /// Since when.
    pub enrolled_at: Timestamp,
    /// When the learner left.
    pub left_at: Option<Timestamp>,
}

impl FromRow for Enrollment {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            course: row.get("course_id")?,
            user: row.get("user_id")?,
            enrolled_at: row.get("enrolled_at")?,
            left_at: row.maybe("left_at")?,
        })
    }
}

/// Enrolls a learner and entitles them from `now` on. False if they were enrolled already.
pub async fn enroll(tx: &mut Tx, course: CourseId, user: UserId, now: Timestamp) -> Result<bool, Error> {
    let begun = tx.execute(ENROLL, args![course, user, now]).await? == 1;
    if begun {
        tx.execute(ENTITLE, args![course, user, now]).await?;
    }
    Ok(begun)
}

/// One enrollment, also a past one.
pub async fn get(tx: &mut Tx, course: CourseId, user: UserId) -> Result<Option<Enrollment>, Error> {
    tx.fetch_optional(GET, args![course, user]).await
}

/// Ends an enrollment and the entitlement that it wrote. False if there is none in force.
pub async fn leave(tx: &mut Tx, course: CourseId, user: UserId, now: Timestamp) -> Result<bool, Error> {
    let ended = tx.execute(LEAVE, args![course, user, now]).await? == 1;
    if ended {
        tx.execute(END_ENTITLEMENT, args![course, user, now]).await?;
    }
    Ok(ended)
}

/// Where a learner is in a lesson.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Which lesson.
    pub lesson: LessonId,
    /// Of which course.
    pub course: CourseId,
    /// Milliseconds from the beginning.
    pub position_ms: u64,
    /// Seen to the end once, and not taken back.
    pub completed: bool,
    /// When it was last reported.
    pub updated_at: Timestamp,
}

impl FromRow for Progress {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            lesson: row.get("lesson_id")?,
            course: row.get("course_id")?,
            position_ms: row.get("position_ms")?,
            completed: row.get("completed")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

/// Stores where a learner is, and whether the lesson is completed if that is said.
pub async fn put_progress(
    db: &Db,
    user: UserId,
    lesson: LessonId,
    position_ms: u64,
    completed: Option<bool>,
    now: Timestamp,
) -> Result<(), Error> {
    db.execute(PUT_PROGRESS, args![user, lesson, position_ms, completed, now]).await?;
    Ok(())
}

/// Where a learner is in one lesson.
pub async fn get_progress(db: &Db, user: UserId, lesson: LessonId) -> Result<Option<Progress>, Error> {
    db.fetch_optional(GET_PROGRESS, args![user, lesson]).await
}

/// Where a learner is everywhere, latest first.
pub async fn list_progress(db: &Db, user: UserId) -> Result<Vec<Progress>, Error> {
    db.fetch_all(LIST_PROGRESS, args![user]).await
}
