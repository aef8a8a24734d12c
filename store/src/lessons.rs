//! Lessons.

use lectern_domain::{
    Timestamp,
    asset::AssetState,
    course::{LessonType, PublishedStatus},
    ids::{AssetId, CourseId, LessonId, UserId},
};

use crate::{
    Db, Error, Tx, assets,
    row::{FromRow, Row},
    statement::statements,
    value::args,
};

/// The columns of a [`Lesson`]; `$1` is the caller, may be null.
macro_rules! lesson_view {
    ($rest:literal) => {
        concat!(
            "SELECT l.id, l.course_id, l.title, l.type, l.order_index, l.published_status, l.body, l.release_at, \
             l.asset_id, l.version, l.created_at, l.updated_at, c.owner_id, c.published_status AS course_status, \
             EXISTS (SELECT 1 FROM enrollments e WHERE e.course_id = c.id AND e.user_id = $1 AND e.left_at IS NULL) \
                 AS enrolled, \
             a.state AS asset_state, a.progress AS asset_progress, a.duration_ms AS asset_duration_ms \
             FROM lessons l JOIN courses c ON c.id = l.course_id LEFT JOIN assets a ON a.id = l.asset_id ",
            $rest
        )
    };
}

statements! {
    /// Without an order index (`$5` null) the lesson goes to the end.
    INSERT = both(
        "INSERT INTO lessons (id, course_id, title, type, order_index, published_status, body, release_at, version, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, \
         COALESCE($5, (SELECT MAX(order_index) + 1 FROM lessons WHERE course_id = $2), 0), $6, $7, $9, 1, $8, $8)"
    );
    GET = both(lesson_view!("WHERE l.id = $2"));
    GET_BY_ASSET = both(lesson_view!("WHERE l.asset_id = $2"));
    /// `$3`: those that learners do not see (yet) too.
    LIST = both(lesson_view!(
        "WHERE l.course_id = $2 AND ($3 OR (l.published_status = 'published' \
         AND (l.release_at IS NULL OR l.release_at <= $4))) ORDER BY l.order_index, l.id"
    ));
    COUNT = both("SELECT COUNT(*) AS lessons FROM lessons WHERE course_id = $1");
    UPDATE = both(
        "UPDATE lessons SET title = COALESCE($2, title), order_index = COALESCE($3, order_index), \
         published_status = COALESCE($4, published_status), body = COALESCE($5, body), \
         release_at = CASE WHEN $8 THEN $9 ELSE release_at END, version = version + 1, updated_at = $6 WHERE id = $1 AND (version = $7 OR $7 IS NULL)"
    );
    SET_ASSET = both("UPDATE lessons SET asset_id = $2, version = version + 1, updated_at = $3 WHERE id = $1");
    OF_COURSE = both("SELECT id FROM lessons WHERE course_id = $1 ORDER BY id");
    DELETE = both("DELETE FROM lessons WHERE id = $1");
}

/// What a lesson's list entry says about its asset.
#[derive(Debug, Clone, PartialEq)]
pub struct LessonAsset {
    /// Which.
    pub id: AssetId,
    /// Where it stands.
    pub state: AssetState,
    /// From 0 to 1.
    pub progress: f64,
    /// Duration, once known.
    pub duration_ms: Option<u64>,
}

impl LessonAsset {
    fn from_lesson_row(row: &Row) -> Result<Option<Self>, Error> {
        let Some(id) = row.maybe("asset_id")? else { return Ok(None) };
        Ok(Some(Self {
            id,
            state: row.word("asset_state", AssetState::parse)?,
            progress: row.get("asset_progress")?,
            duration_ms: row.maybe("asset_duration_ms")?,
        }))
    }
}

/// A lesson, with what decides who may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Lesson {
    /// Which.
    pub id: LessonId,
    /// Of which course.
    pub course: CourseId,
    /// One line.
    pub title: String,
    /// What it consists of.
    pub kind: LessonType,
    /// Place within the course; equal places are ordered by age.
    pub order_index: i64,
    /// Whether learners see it.
    pub published_status: PublishedStatus,
    /// Text to read, or notes to the video.
    pub body: String,
    /// Learners see it from then on; absent: as soon as it is published.
    pub release_at: Option<Timestamp>,
    /// What is played.
    pub asset: Option<LessonAsset>,
    /// Raised by every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who teaches the course.
    pub owner: UserId,
    /// Whether learners see the course.
    pub course_status: PublishedStatus,
    /// Whether the caller is enrolled in the course now.
    pub enrolled: bool,
}

impl FromRow for Lesson {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            course: row.get("course_id")?,
            title: row.get("title")?,
            kind: row.word("type", LessonType::parse)?,
            order_index: row.get("order_index")?,
            published_status: row.word("published_status", PublishedStatus::parse)?,
            body: row.get("body")?,
            release_at: row.maybe("release_at")?,
            asset: LessonAsset::from_lesson_row(row)?,
            version: row.get("version")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
            owner: row.get("owner_id")?,
            course_status: row.word("course_status", PublishedStatus::parse)?,
            enrolled: row.get("enrolled")?,
        })
    }
}

/// What a new lesson begins with.
#[derive(Debug, Clone)]
pub struct NewLesson {
    /// Which.
    pub id: LessonId,
    /// Of which course.
    pub course: CourseId,
    /// One line.
    pub title: String,
    /// What it consists of.
    pub kind: LessonType,
    /// Place within the course; absent for the end.
    pub order_index: Option<i64>,
    /// Whether learners see it.
    pub published_status: PublishedStatus,
    /// Text.
    pub body: String,
    /// Learners see it from then on; absent: as soon as it is published.
    pub release_at: Option<Timestamp>,
}

/// Stores a new lesson, version 1, without an asset.
pub async fn insert(tx: &mut Tx, lesson: NewLesson, now: Timestamp) -> Result<(), Error> {
    let args = args![
        lesson.id,
        lesson.course,
        lesson.title,
        lesson.kind.as_str(),
        lesson.order_index,
        lesson.published_status.as_str(),
        lesson.body,
        now,
        lesson.release_at,
    ];
    tx.execute(INSERT, args).await?;
    Ok(())
}

/// One lesson, whatever its status, as `caller` stands to it.
pub async fn get(db: &Db, caller: Option<UserId>, lesson: LessonId) -> Result<Option<Lesson>, Error> {
    db.fetch_optional(GET, args![caller, lesson]).await
}

/// The lesson that plays this asset.
pub async fn get_by_asset(db: &Db, caller: Option<UserId>, asset: AssetId) -> Result<Option<Lesson>, Error> {
    db.fetch_optional(GET_BY_ASSET, args![caller, asset]).await
}

/// A course's lessons in order.
pub async fn list(
    db: &Db,
    caller: Option<UserId>,
    course: CourseId,
    drafts_too: bool,
    now: Timestamp,
) -> Result<Vec<Lesson>, Error> {
    db.fetch_all(LIST, args![caller, course, drafts_too, now]).await
}

struct Count(u64);

impl FromRow for Count {
    fn from_row(row: &Row) -> Result<Self, Error> {
        row.get("lessons").map(Self)
    }
}

/// How many lessons a course has.
pub async fn count(tx: &mut Tx, course: CourseId) -> Result<u64, Error> {
    let count: Option<Count> = tx.fetch_optional(COUNT, args![course]).await?;
    Ok(count.map_or(0, |count| count.0))
}

/// What to change; absent fields stay.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// One line.
    pub title: Option<String>,
    /// Place within the course.
    pub order_index: Option<i64>,
    /// Whether learners see it.
    pub published_status: Option<PublishedStatus>,
    /// Text.
    pub body: Option<String>,
    /// When learners see it; null within: as soon as it is published.
    pub release_at: Option<Option<Timestamp>>,
}

/// Changes a lesson, if it has still the expected version. False if it has not, or is gone.
pub async fn update(
    tx: &mut Tx,
    lesson: LessonId,
    change: Change,
    expected_version: Option<i64>,
    now: Timestamp,
) -> Result<bool, Error> {
    let args = args![
        lesson,
        change.title,
        change.order_index,
        change.published_status.map(PublishedStatus::as_str),
        change.body,
        now,
        expected_version,
        change.release_at.is_some(),
        change.release_at.flatten(),
    ];
    Ok(tx.execute(UPDATE, args).await? == 1)
}

/// Makes later transactions on an asset wait for this one. Whoever changes an asset and its lesson holds the asset
/// first: the order in which the pipeline holds them, too.
pub async fn hold_asset(tx: &mut Tx, asset: AssetId, now: Timestamp) -> Result<bool, Error> {
    assets::lock(tx, asset, now).await
}

/// Points a lesson at another asset, or at none. What becomes of the asset before it is the caller's to say.
pub async fn set_asset(
    tx: &mut Tx,
    lesson: LessonId,
    asset: Option<AssetId>,
    now: Timestamp,
) -> Result<bool, Error> {
    Ok(tx.execute(SET_ASSET, args![lesson, asset, now]).await? == 1)
}

struct OnlyId(LessonId);

impl FromRow for OnlyId {
    fn from_row(row: &Row) -> Result<Self, Error> {
        row.get("id").map(Self)
    }
}

/// The lessons of a course, in a fixed order.
pub async fn of_course(tx: &mut Tx, course: CourseId) -> Result<Vec<LessonId>, Error> {
    let lessons: Vec<OnlyId> = tx.fetch_all(OF_COURSE, args![course]).await?;
    Ok(lessons.into_iter().map(|only| only.0).collect())
}

/// Deletes a lesson with its progress and playback sessions. Its asset is the caller's to delete first.
pub async fn delete(tx: &mut Tx, lesson: LessonId) -> Result<bool, Error> {
    Ok(tx.execute(DELETE, args![lesson]).await? == 1)
}
