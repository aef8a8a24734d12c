//! Courses.

use lectern_domain::{
    Timestamp,
    course::PublishedStatus,
    ids::{CourseId, UserId},
};

use crate::{
    Db, Error, Tx,
    row::{FromRow, Row},
    statement::statements,
    value::args,
};

/// The columns of a [`Course`] as one caller (`$1`, may be null) sees it.
macro_rules! course_view {
    ($rest:literal) => {
        concat!(
            "SELECT c.id, c.owner_id, c.title, c.description, c.price_amount_minor, c.price_currency, \
             c.published_status, c.version, c.created_at, c.updated_at, u.name AS owner_name, \
             (SELECT COUNT(*) FROM lessons l WHERE l.course_id = c.id) AS lessons_total, \
             (SELECT COUNT(*) FROM lessons l WHERE l.course_id = c.id AND l.published_status = 'published') \
                 AS lessons_published, \
             EXISTS (SELECT 1 FROM enrollments e WHERE e.course_id = c.id AND e.user_id = $1 AND e.left_at IS NULL) \
                 AS enrolled \
             FROM courses c JOIN users u ON u.id = c.owner_id ",
            $rest
        )
    };
}

statements! {
    INSERT = both(
        "INSERT INTO courses (id, owner_id, title, description, price_amount_minor, price_currency, \
         published_status, version, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8)"
    );
    GET = both(course_view!("WHERE c.id = $2"));
    /// `$2` sees drafts, `$3` the id before which to go on, `$4` only taught or enrolled, `$5` how many.
    LIST = both(course_view!(
        "WHERE (c.published_status = 'published' OR c.owner_id = $1 OR $2) \
         AND (c.id < $3 OR $3 IS NULL) \
         AND (NOT $4 OR c.owner_id = $1 OR EXISTS (SELECT 1 FROM enrollments e \
              WHERE e.course_id = c.id AND e.user_id = $1 AND e.left_at IS NULL)) \
         ORDER BY c.id DESC LIMIT $5"
    ));
    UPDATE = both(
        "UPDATE courses SET title = COALESCE($2, title), description = COALESCE($3, description), \
         price_amount_minor = COALESCE($4, price_amount_minor), price_currency = COALESCE($5, price_currency), \
         published_status = COALESCE($6, published_status), version = version + 1, updated_at = $7 \
         WHERE id = $1 AND (version = $8 OR $8 IS NULL)"
    );
    /// Holds the course until the transaction ends, so that nothing is added to what is being deleted.
    LOCK = split(
        "SELECT id FROM courses WHERE id = $1",
        "SELECT id FROM courses WHERE id = $1 FOR UPDATE",
    );
    DELETE = both("DELETE FROM courses WHERE id = $1");
}

/// What something costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// In the currency's smallest unit.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
}

/// A course as one caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// Which.
    pub id: CourseId,
    /// Who teaches it.
    pub owner: UserId,
    /// Their name.
    pub owner_name: String,
    /// One line.
    pub title: String,
    /// Many lines.
    pub description: String,
    /// What it costs.
    pub price: Price,
    /// Whether learners see it.
    pub published_status: PublishedStatus,
    /// Raised by every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// How many lessons it has.
    pub lessons_total: u64,
    /// How many of them are published.
    pub lessons_published: u64,
    /// Whether the caller is enrolled in it now.
    pub enrolled: bool,
}

impl FromRow for Course {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            owner: row.get("owner_id")?,
            owner_name: row.get("owner_name")?,
            title: row.get("title")?,
            description: row.get("description")?,
            price: Price {
                amount_minor: row.get("price_amount_minor")?,
                currency: row.get("price_currency")?,
            },
            published_status: row.word("published_status", PublishedStatus::parse)?,
            version: row.get("version")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
            lessons_total: row.get("lessons_total")?,
            lessons_published: row.get("lessons_published")?,
            enrolled: row.get("enrolled")?,
        })
    }
}

/// What a new course begins with.
#[derive(Debug, Clone)]
pub struct NewCourse {
    /// Which.
    pub id: CourseId,
    /// Who teaches it.
    pub owner: UserId,
    /// One line.
    pub title: String,
    /// Many lines.
    pub description: String,
    /// What it costs.
    pub price: Price,
    /// Whether learners see it.
    pub published_status: PublishedStatus,
}

/// Stores a new course, version 1.
pub async fn insert(db: &Db, course: NewCourse, now: Timestamp) -> Result<(), Error> {
    let args = args![
        course.id,
        course.owner,
        course.title,
        course.description,
        course.price.amount_minor,
        course.price.currency,
        course.published_status.as_str(),
        now,
    ];
    db.execute(INSERT, args).await?;
    Ok(())
}

/// One course, whatever its status, as `caller` sees it.
pub async fn get(db: &Db, caller: Option<UserId>, course: CourseId) -> Result<Option<Course>, Error> {
    db.fetch_optional(GET, args![caller, course]).await
}

/// Which courses to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Who asks: sees their own drafts.
    pub caller: Option<UserId>,
    /// Sees everybody's drafts.
    pub sees_drafts: bool,
    /// Only those the caller teaches or is enrolled in.
    pub mine: bool,
    /// Goes on after this one.
    pub after: Option<CourseId>,
}

/// At most `limit` courses, newest first.
pub async fn list(db: &Db, filter: Filter, limit: u32) -> Result<Vec<Course>, Error> {
    let args = args![filter.caller, filter.sees_drafts, filter.after, filter.mine, limit];
    db.fetch_all(LIST, args).await
}

/// What to change; absent fields stay.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// One line.
    pub title: Option<String>,
    /// Many lines.
    pub description: Option<String>,
    /// What it costs.
    pub price: Option<Price>,
    /// Whether learners see it.
    pub published_status: Option<PublishedStatus>,
}

/// Changes a course, if it has still the expected version. False if it has not, or is gone.
pub async fn update(
    db: &Db,
    course: CourseId,
    change: Change,
    expected_version: Option<i64>,
    now: Timestamp,
) -> Result<bool, Error> {
    let (amount, currency) = change.price.map(|price| (price.amount_minor, price.currency)).unzip();
    let args = args![
        course,
        change.title,
        change.description,
        amount,
        currency,
        change.published_status.map(PublishedStatus::as_str),
        now,
        expected_version,
    ];
    Ok(db.execute(UPDATE, args).await? == 1)
}

/// Holds a course against every change until the transaction ends. False if there is none.
pub async fn lock(tx: &mut Tx, course: CourseId) -> Result<bool, Error> {
    Ok(tx.fetch_optional::<CourseId>(LOCK, args![course]).await?.is_some())
}

impl FromRow for CourseId {
    fn from_row(row: &Row) -> Result<Self, Error> {
        row.get("id")
    }
}

/// Deletes a course with its lessons, enrollments, entitlements and progress. The lessons' assets are the caller's to
/// delete first.
pub async fn delete(tx: &mut Tx, course: CourseId) -> Result<bool, Error> {
    Ok(tx.execute(DELETE, args![course]).await? == 1)
}
