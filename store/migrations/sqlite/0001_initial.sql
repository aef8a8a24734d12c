-- Types on SQLite: UUID as 16-byte BLOB, time as INTEGER microseconds since the Unix epoch, JSON as TEXT, boolean as 0 or 1.

-- Accounts ---------------------------------------------------------------------------------------------------------

CREATE TABLE users (
    id            BLOB PRIMARY KEY,
    email         TEXT NOT NULL UNIQUE,            -- lower case
    name          TEXT NOT NULL,
    password_hash TEXT NOT NULL,                   -- PHC string, argon2id
    role          TEXT NOT NULL,                   -- student, instructor, admin
    created_at    INTEGER NOT NULL,
    disabled_at   INTEGER
) STRICT;

-- A refresh token works once. Every token of one login shares a family, revoked as a whole.
CREATE TABLE refresh_tokens (
    id         BLOB PRIMARY KEY,
    family_id  BLOB NOT NULL,
    user_id    BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash BLOB NOT NULL UNIQUE,              -- SHA-256; the token itself is never stored
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    revoked_at INTEGER
) STRICT;
CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_user ON refresh_tokens (user_id);

-- Keys that sign access tokens (purpose access) and playback tokens (purpose playback).
CREATE TABLE signing_keys (
    id              BLOB PRIMARY KEY,
    purpose         TEXT NOT NULL,
    public_key      BLOB NOT NULL,                -- Ed25519, 32 bytes
    wrapped_private BLOB NOT NULL,                -- PKCS#8 v2, wrapped by the vault
    created_at      INTEGER NOT NULL,
    retired_at      INTEGER                    -- no longer signs; still verifies
) STRICT;

-- Courses ----------------------------------------------------------------------------------------------------------

CREATE TABLE courses (
    id                 BLOB PRIMARY KEY,
    owner_id           BLOB NOT NULL REFERENCES users (id),
    title              TEXT NOT NULL,
    description        TEXT NOT NULL,
    price_amount_minor INTEGER NOT NULL,
    price_currency     TEXT NOT NULL,
    published_status   TEXT NOT NULL,              -- draft, published
    version            INTEGER NOT NULL,            -- for If-Match
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL
) STRICT;
CREATE INDEX courses_owner ON courses (owner_id);

CREATE TABLE assets (
    id             BLOB PRIMARY KEY,
    owner_id       BLOB NOT NULL REFERENCES users (id),
    lesson_id      BLOB,                           -- the lesson it was uploaded for
    state          TEXT NOT NULL,
    progress       REAL NOT NULL,      -- 0 to 1, never backwards within a generation
    generation     INTEGER NOT NULL,                -- raised by a retry: jobs of an older one are stale
    filename       TEXT NOT NULL,
    source_bytes   INTEGER NOT NULL,
    source_sha256  BLOB,
    source_info    TEXT,                          -- domain::source::SourceInfo
    plan           TEXT,                          -- domain::plan::TranscodePlan
    duration_ms    INTEGER,
    failure_code   TEXT,
    failure_message TEXT,
    package_id     BLOB,                           -- the published package: the one pointer
    wrapped_secret BLOB,                          -- domain::keys::AssetSecret, wrapped by the vault
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX assets_owner ON assets (owner_id);
CREATE INDEX assets_lesson ON assets (lesson_id);

CREATE TABLE lessons (
    id               BLOB PRIMARY KEY,
    course_id        BLOB NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    title            TEXT NOT NULL,
    type             TEXT NOT NULL,                -- video, text
    order_index      INTEGER NOT NULL,
    published_status TEXT NOT NULL,
    body             TEXT NOT NULL,
    asset_id         BLOB REFERENCES assets (id),
    version          INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX lessons_course ON lessons (course_id, order_index);
CREATE INDEX lessons_asset ON lessons (asset_id);

CREATE TABLE enrollments (
    course_id   BLOB NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    user_id     BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    enrolled_at INTEGER NOT NULL,
    left_at     INTEGER,
    PRIMARY KEY (course_id, user_id)
) STRICT;
CREATE INDEX enrollments_user ON enrollments (user_id);

-- The right to play, written by enrollments and by an external LMS. The license server reads only this.
CREATE TABLE entitlements (
    course_id  BLOB NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    user_id    BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    source     TEXT NOT NULL,                      -- enrollment, external
    starts_at  INTEGER NOT NULL,
    ends_at    INTEGER,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (course_id, user_id, source)
) STRICT;
CREATE INDEX entitlements_user ON entitlements (user_id);

CREATE TABLE progress (
    user_id     BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    lesson_id   BLOB NOT NULL REFERENCES lessons (id) ON DELETE CASCADE,
    position_ms INTEGER NOT NULL,
    completed   INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (user_id, lesson_id)
) STRICT;
CREATE INDEX progress_lesson ON progress (lesson_id);

-- Uploads ----------------------------------------------------------------------------------------------------------

CREATE TABLE uploads (
    id           BLOB PRIMARY KEY,
    owner_id     BLOB NOT NULL REFERENCES users (id),
    asset_id     BLOB NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    length_bytes INTEGER NOT NULL,
    metadata     TEXT NOT NULL,                    -- Upload-Metadata as sent, returned by HEAD
    state        TEXT NOT NULL,                    -- open, finished, terminated, expired
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX uploads_owner ON uploads (owner_id, state);
CREATE INDEX uploads_expiry ON uploads (state, expires_at);

-- Jobs -------------------------------------------------------------------------------------------------------------

CREATE TABLE jobs (
    id               BLOB PRIMARY KEY,
    dedup_key        TEXT NOT NULL UNIQUE,         -- the same work is never queued twice
    kind             TEXT NOT NULL,
    asset_id         BLOB NOT NULL,
    payload          TEXT NOT NULL,               -- domain::job::JobPayload
    state            TEXT NOT NULL,                -- queued, leased, done, failed, parked, cancelled
    priority         INTEGER NOT NULL,              -- higher first
    weight           REAL NOT NULL,    -- share of the asset's progress
    progress         REAL NOT NULL,    -- 0 to 1 within the job
    run_after        INTEGER NOT NULL,
    attempt          INTEGER NOT NULL,              -- the fence: only the latest attempt may complete
    failures         INTEGER NOT NULL,              -- attempts that reported a failure
    lease_owner      BLOB,
    lease_expires_at INTEGER,
    result           TEXT,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_claim ON jobs (state, kind, priority, run_after);
CREATE INDEX jobs_asset ON jobs (asset_id);

-- What happened to a job, a line an event.
CREATE TABLE job_story (
    job_id  BLOB NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    at      INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    event   TEXT NOT NULL,
    detail  TEXT NOT NULL
) STRICT;
CREATE INDEX job_story_job ON job_story (job_id, at);

-- Packages ---------------------------------------------------------------------------------------------------------

CREATE TABLE packages (
    id           BLOB PRIMARY KEY,
    asset_id     BLOB NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    protection   TEXT NOT NULL,                    -- none, aes-128
    state        TEXT NOT NULL,                    -- building, published
    renditions   TEXT NOT NULL,                   -- [domain::media::Rendition]
    created_at   INTEGER NOT NULL,
    published_at INTEGER
) STRICT;
CREATE INDEX packages_asset ON packages (asset_id);

-- The names of content keys. Keys themselves are derived, never stored.
CREATE TABLE content_keys (
    kid        BLOB PRIMARY KEY,
    package_id BLOB NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
    asset_id   BLOB NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    class      TEXT NOT NULL,                      -- video, audio
    period     INTEGER NOT NULL
) STRICT;
CREATE INDEX content_keys_package ON content_keys (package_id);

-- Playback ---------------------------------------------------------------------------------------------------------

CREATE TABLE playback_sessions (
    id           BLOB PRIMARY KEY,
    user_id      BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    lesson_id    BLOB NOT NULL REFERENCES lessons (id) ON DELETE CASCADE,
    asset_id     BLOB NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    package_id   BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    ended_at     INTEGER
) STRICT;
CREATE INDEX playback_sessions_user ON playback_sessions (user_id);

-- Every decision of the license server. No foreign keys: the evidence outlives what it speaks of.
CREATE TABLE license_audit (
    id         BLOB PRIMARY KEY,
    at         INTEGER NOT NULL,
    action     TEXT NOT NULL,                      -- session, key, heartbeat, playlist
    user_id    BLOB,
    session_id BLOB,
    lesson_id  BLOB,
    asset_id   BLOB,
    kid        BLOB,
    granted    INTEGER NOT NULL,
    reason     TEXT NOT NULL,                      -- granted, or domain::decision::Refusal
    client     TEXT NOT NULL                       -- address
) STRICT;
CREATE INDEX license_audit_at ON license_audit (at);
CREATE INDEX license_audit_user ON license_audit (user_id, at);
