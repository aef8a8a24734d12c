//! Playback sessions, the facts of the playback decision, the audit log.

use lectern_domain::{
    Timestamp,
    account::Role,
    asset::AssetState,
    course::PublishedStatus,
    decision::{Entitlement, Facts},
    ids::{AssetId, Kid, LessonId, PackageId, SessionId, UserId},
    keys::{KeyName, TrackClass},
};
use uuid::Uuid;

use crate::{
    Db, Error,
    row::{FromRow, Row},
    statement::statements,
    value::{args, to_micros},
};

statements! {
    // One row for each pair of entitlement and content key; what is the same in all of them is taken from the first.
    LESSON_FACTS = both(
        "SELECT u.id AS user_id, u.role, u.disabled_at, c.owner_id, c.published_status AS course_status, \
         l.published_status AS lesson_status, l.release_at, a.id AS asset_id, a.state AS asset_state, a.package_id, a.duration_ms, \
         v.published_at, a.wrapped_secret, p.position_ms, k.kid, k.class, k.period, e.starts_at, e.ends_at \
         FROM lessons l JOIN courses c ON c.id = l.course_id JOIN users u ON u.id = $2 \
         LEFT JOIN assets a ON a.id = l.asset_id \
         LEFT JOIN packages v ON v.id = a.package_id \
         LEFT JOIN content_keys k ON k.package_id = COALESCE(v.base_id, v.id) \
         LEFT JOIN entitlements e ON e.course_id = c.id AND e.user_id = u.id \
         LEFT JOIN progress p ON p.user_id = u.id AND p.lesson_id = l.id \
         WHERE l.id = $1"
    );
    // The asset is joined only while the lesson still shows it: one that was replaced or removed cannot be played.
    SESSION_FACTS = both(
        "SELECT s.user_id, s.lesson_id, s.asset_id AS session_asset_id, s.package_id, s.last_seen_at, s.ended_at, \
         u.role, u.disabled_at, c.owner_id, c.published_status AS course_status, \
         l.published_status AS lesson_status, l.release_at, a.state AS asset_state, a.wrapped_secret, \
         k.kid, k.class, k.period, e.starts_at, e.ends_at \
         FROM playback_sessions s JOIN users u ON u.id = s.user_id \
         JOIN lessons l ON l.id = s.lesson_id JOIN courses c ON c.id = l.course_id \
         LEFT JOIN assets a ON a.id = s.asset_id AND a.id = l.asset_id \
         LEFT JOIN packages v ON v.id = s.package_id \
         LEFT JOIN content_keys k ON k.kid = $2 AND k.package_id = COALESCE(v.base_id, v.id) \
         LEFT JOIN entitlements e ON e.course_id = c.id AND e.user_id = u.id \
         WHERE s.id = $1"
    );
    BEGIN_SESSION = both(
        "INSERT INTO playback_sessions (id, user_id, lesson_id, asset_id, package_id, created_at, last_seen_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $6)"
    );
    SEEN = both(
        "UPDATE playback_sessions SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2 AND ended_at IS NULL"
    );
    END_SESSION = both("UPDATE playback_sessions SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL");
    // Any number of rows in one statement: decisions that come together are made durable together.
    APPEND_AUDIT = split(
        "INSERT INTO license_audit (id, at, action, user_id, session_id, lesson_id, asset_id, kid, granted, reason, \
         client) SELECT unhex(r.value ->> 'id'), r.value ->> 'at_us', r.value ->> 'action', \
         unhex(r.value ->> 'user_id'), unhex(r.value ->> 'session_id'), unhex(r.value ->> 'lesson_id'), \
         unhex(r.value ->> 'asset_id'), unhex(r.value ->> 'kid'), r.value ->> 'granted', r.value ->> 'reason', \
         r.value ->> 'client' FROM json_each($1) AS r",
        "INSERT INTO license_audit (id, at, action, user_id, session_id, lesson_id, asset_id, kid, granted, reason, \
         client) SELECT id, 'epoch'::timestamptz + at_us * interval '1 microsecond', action, user_id, session_id, \
         lesson_id, asset_id, kid, granted, reason, client FROM jsonb_to_recordset($1) AS r(id UUID, at_us BIGINT, \
         action TEXT, user_id UUID, session_id UUID, lesson_id UUID, asset_id UUID, kid UUID, granted BOOLEAN, \
         reason TEXT, client TEXT)",
    );
    AUDIT_SINCE = both(
        "SELECT id, at, action, user_id, session_id, lesson_id, asset_id, kid, granted, reason, client \
         FROM license_audit WHERE at >= $1 ORDER BY at, id LIMIT $2"
    );
}

/// What is known when somebody asks to play a lesson.
#[derive(Debug, Clone)]
pub struct LessonFacts {
    /// For the decision.
    pub facts: Facts,
    /// The lesson's asset.
    pub asset: Option<AssetId>,
    /// Its package, once there is something to play in it.
    pub package: Option<PackageId>,
    /// Whether more of it is being made.
    pub growing: bool,
    /// Its duration, once known.
    pub duration_ms: Option<u64>,
    /// The names of the package's content keys.
    pub kids: Vec<Kid>,
    /// Where the viewer left off.
    pub position_ms: u64,
}

/// What is known of a session when it asks for something.
#[derive(Debug, Clone)]
pub struct SessionFacts {
    /// For the decision.
    pub facts: Facts,
    /// The lesson that is being viewed.
    pub lesson: LessonId,
    /// The asset that is being viewed.
    pub asset: AssetId,
    /// The package it is viewed from.
    pub package: PackageId,
    /// When the session last asked for something; to the granularity the license server chooses.
    pub last_seen_at: Timestamp,
    /// When it was ended.
    pub ended_at: Option<Timestamp>,
    /// The content key asked for, if the package has it.
    pub key: Option<KeyName>,
    /// The asset secret, wrapped; absent once shredded.
    pub wrapped_secret: Option<Vec<u8>>,
}

/// Somebody began to view a lesson.
#[derive(Debug, Clone, Copy)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Who views.
    pub user: UserId,
    /// Which lesson.
    pub lesson: LessonId,
    /// Which asset.
    pub asset: AssetId,
    /// Which package of it.
    pub package: PackageId,
}

/// What a granted decision does to its session.
#[derive(Debug, Clone, Copy)]
pub enum SessionChange {
    /// It begins.
    Begin(NewSession),
    /// It was seen.
    Seen(SessionId),
}

/// One decision of the license server: who, what, when, why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its id.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What was asked for: `session`, `key`, `heartbeat`, `playlist`.
    pub action: String,
    /// Who, when known.
    pub user: Option<UserId>,
    /// In which session, when known.
    pub session: Option<SessionId>,
    /// Which lesson, when known.
    pub lesson: Option<LessonId>,
    /// Which asset, when known.
    pub asset: Option<AssetId>,
    /// Which content key, when one was asked for.
    pub kid: Option<Kid>,
    /// Whether it was given.
    pub granted: bool,
    /// `granted`, or why not.
    pub reason: String,
    /// The client's address.
    pub client: String,
}

struct EntitlementRow(Option<Entitlement>);

impl FromRow for EntitlementRow {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let Some(starts_at) = row.maybe("starts_at")? else { return Ok(Self(None)) };
        Ok(Self(Some(Entitlement { starts_at, ends_at: row.maybe("ends_at")? })))
    }
}

/// Facts of which the entitlement is still missing.
fn facts(row: &Row) -> Result<Facts, Error> {
    let state = row.maybe::<String>("asset_state")?;
    let state = state.map(|_| row.word("asset_state", AssetState::parse)).transpose()?;
    Ok(Facts {
        user: row.get("user_id")?,
        role: row.word("role", Role::parse)?,
        user_disabled: row.maybe::<Timestamp>("disabled_at")?.is_some(),
        course_owner: row.get("owner_id")?,
        course_status: row.word("course_status", PublishedStatus::parse)?,
        lesson_status: row.word("lesson_status", PublishedStatus::parse)?,
        lesson_release_at: row.maybe("release_at")?,
        asset_playable: state.is_some_and(AssetState::is_playable)
            && row.maybe::<PackageId>("package_id")?.is_some()
            && row.maybe::<Vec<u8>>("wrapped_secret")?.is_some(),
        entitlement: None,
    })
}

fn key_name(row: &Row) -> Result<Option<KeyName>, Error> {
    let Some(kid) = row.maybe("kid")? else { return Ok(None) };
    Ok(Some(KeyName { kid, class: row.word("class", TrackClass::parse)?, period: row.get("period")? }))
}

impl FromRow for (LessonFacts, EntitlementRow) {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let one = LessonFacts {
            facts: facts(row)?,
            asset: row.maybe("asset_id")?,
            package: row.maybe("package_id")?,
            growing: row.maybe::<Timestamp>("published_at")?.is_none(),
            duration_ms: row.maybe("duration_ms")?,
            kids: key_name(row)?.into_iter().map(|name| name.kid).collect(),
            position_ms: row.maybe("position_ms")?.unwrap_or(0),
        };
        Ok((one, EntitlementRow::from_row(row)?))
    }
}

impl FromRow for (SessionFacts, EntitlementRow) {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let one = SessionFacts {
            facts: facts(row)?,
            lesson: row.get("lesson_id")?,
            asset: row.get("session_asset_id")?,
            package: row.get("package_id")?,
            last_seen_at: row.get("last_seen_at")?,
            ended_at: row.maybe("ended_at")?,
            key: key_name(row)?,
            wrapped_secret: row.maybe("wrapped_secret")?,
        };
        Ok((one, EntitlementRow::from_row(row)?))
    }
}

impl FromRow for AuditRow {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            at: row.get("at")?,
            action: row.get("action")?,
            user: row.maybe("user_id")?,
            session: row.maybe("session_id")?,
            lesson: row.maybe("lesson_id")?,
            asset: row.maybe("asset_id")?,
            kid: row.maybe("kid")?,
            granted: row.get("granted")?,
            reason: row.get("reason")?,
            client: row.get("client")?,
        })
    }
}

impl AuditRow {
    fn json(&self) -> serde_json::Value {
        let hex = |id: Uuid| id.simple().to_string();
        serde_json::json!({
            "id": hex(self.id), "at_us": to_micros(self.at), "action": self.action,
            "user_id": self.user.map(|id| hex(id.uuid())), "session_id": self.session.map(|id| hex(id.uuid())),
            "lesson_id": self.lesson.map(|id| hex(id.uuid())), "asset_id": self.asset.map(|id| hex(id.uuid())),
            "kid": self.kid.map(|id| hex(id.uuid())), "granted": self.granted, "reason": self.reason,
            "client": self.client,
        })
    }
}

/// Everything the decision about a user and a lesson needs, as of one moment. `None`: no such lesson or user.
pub async fn lesson_facts(
    db: &Db,
    lesson: LessonId,
    user: UserId,
    now: Timestamp,
) -> Result<Option<LessonFacts>, Error> {
    let rows: Vec<(LessonFacts, EntitlementRow)> = db.fetch_all(LESSON_FACTS, args![lesson, user]).await?;
    let entitlement = Entitlement::best(rows.iter().filter_map(|(_, held)| held.0), now);
    let mut kids: Vec<Kid> = rows.iter().flat_map(|(one, _)| one.kids.iter().copied()).collect();
    kids.sort_unstable();
    kids.dedup();
    Ok(rows.into_iter().next().map(|(mut one, _)| {
        one.facts.entitlement = entitlement;
        one.kids = kids;
        one
    }))
}

/// Everything the decision about a session (and a content key) needs, as of one moment. `None`: no such session.
pub async fn session_facts(
    db: &Db,
    session: SessionId,
    kid: Option<Kid>,
    now: Timestamp,
) -> Result<Option<SessionFacts>, Error> {
    let rows: Vec<(SessionFacts, EntitlementRow)> = db.fetch_all(SESSION_FACTS, args![session, kid]).await?;
    let entitlement = Entitlement::best(rows.iter().filter_map(|(_, held)| held.0), now);
    Ok(rows.into_iter().next().map(|(mut one, _)| {
        one.facts.entitlement = entitlement;
        one
    }))
}

/// Makes decisions durable, all or none: their audit rows and what they do to their sessions. At most two statements
/// more than there are changes; one when there are none.
pub async fn record(db: &Db, rows: &[AuditRow], changes: &[(SessionChange, Timestamp)]) -> Result<(), Error> {
    let audit = serde_json::Value::Array(rows.iter().map(AuditRow::json).collect());
    if changes.is_empty() {
        db.execute(APPEND_AUDIT, args![audit]).await?;
        return Ok(());
    }
    let mut tx = db.begin().await?;
    for (change, at) in changes {
        match change {
            SessionChange::Begin(new) => {
                let args = args![new.id, new.user, new.lesson, new.asset, new.package, *at];
                tx.execute(BEGIN_SESSION, args).await?;
            }
            SessionChange::Seen(session) => {
                tx.execute(SEEN, args![*session, *at]).await?;
            }
        }
    }
    tx.execute(APPEND_AUDIT, args![audit]).await?;
    tx.commit().await
}

/// Ends a session. False: it had ended before, or never was.
pub async fn end_session(db: &Db, session: SessionId, now: Timestamp) -> Result<bool, Error> {
    Ok(db.execute(END_SESSION, args![session, now]).await? == 1)
}

/// The decisions since a time, oldest first.
pub async fn audit_since(db: &Db, since: Timestamp, limit: u32) -> Result<Vec<AuditRow>, Error> {
    db.fetch_all(AUDIT_SINCE, args![since, limit]).await
}
