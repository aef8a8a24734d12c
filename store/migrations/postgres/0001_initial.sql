-- Accounts ---------------------------------------------------------------------------------------------------------

CREATE TABLE users (
    id            UUID PRIMARY KEY,
    email         TEXT NOT NULL UNIQUE,            -- lower case
    name          TEXT NOT NULL,
    password_hash TEXT NOT NULL,                   -- PHC string, argon2id
    role          TEXT NOT NULL,                   -- student, instructor, admin
    created_at    TIMESTAMPTZ NOT NULL,
    disabled_at   TIMESTAMPTZ
);

-- A refresh token works once. Every token of one login shares a family, revoked as a whole.
CREATE TABLE refresh_tokens (
    id         UUID PRIMARY KEY,
    family_id  UUID NOT NULL,
    user_id    UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash BYTEA NOT NULL UNIQUE,              -- SHA-256; the token itself is never stored
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    used_at    TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_user ON refresh_tokens (user_id);

-- Keys that sign access tokens (purpose access) and playback tokens (purpose playback).
CREATE TABLE signing_keys (
    id              UUID PRIMARY KEY,
    purpose         TEXT NOT NULL,
    public_key      BYTEA NOT NULL,                -- Ed25519, 32 bytes
    wrapped_private BYTEA NOT NULL,                -- PKCS#8 v2, wrapped by the vault
    created_at      TIMESTAMPTZ NOT NULL,
    retired_at      TIMESTAMPTZ                    -- no longer signs; still verifies
);

-- Courses ----------------------------------------------------------------------------------------------------------

CREATE TABLE courses (
    id                 UUID PRIMARY KEY,
    owner_id           UUID NOT NULL REFERENCES users (id),
    title              TEXT NOT NULL,
    description        TEXT NOT NULL,
    price_amount_minor BIGINT NOT NULL,
    price_currency     TEXT NOT NULL,
    published_status   TEXT NOT NULL,              -- draft, published
    version            BIGINT NOT NULL,            -- for If-Match
    created_at         TIMESTAMPTZ NOT NULL,
    updated_at         TIMESTAMPTZ NOT NULL
);
CREATE INDEX courses_owner ON courses (owner_id);

CREATE TABLE assets (
    id             UUID PRIMARY KEY,
    owner_id       UUID NOT NULL REFERENCES users (id),
    lesson_id      UUID,                           -- the lesson it was uploaded for
    state          TEXT NOT NULL,
    progress       DOUBLE PRECISION NOT NULL,      -- 0 to 1, never backwards within a generation
    generation     BIGINT NOT NULL,                -- raised by a retry: jobs of an older one are stale
    filename       TEXT NOT NULL,
    source_bytes   BIGINT NOT NULL,
    source_sha256  BYTEA,
    source_info    JSONB,                          -- domain::source::SourceInfo
    plan           JSONB,                          -- domain::plan::TranscodePlan
    duration_ms    BIGINT,
    failure_code   TEXT,
    failure_message TEXT,
    package_id     UUID,                           -- the published package: the one pointer
    wrapped_secret BYTEA,                          -- domain::keys::AssetSecret, wrapped by the vault
    created_at     TIMESTAMPTZ NOT NULL,
    updated_at     TIMESTAMPTZ NOT NULL
);
CREATE INDEX assets_owner ON assets (owner_id);
CREATE INDEX assets_lesson ON assets (lesson_id);

CREATE TABLE lessons (
    id               UUID PRIMARY KEY,
    course_id        UUID NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    title            TEXT NOT NULL,
    type             TEXT NOT NULL,                -- video, text
    order_index      BIGINT NOT NULL,
    published_status TEXT NOT NULL,
    body             TEXT NOT NULL,
    asset_id         UUID REFERENCES assets (id),
    version          BIGINT NOT NULL,
    created_at       TIMESTAMPTZ NOT NULL,
    updated_at       TIMESTAMPTZ NOT NULL
);
CREATE INDEX lessons_course ON lessons (course_id, order_index);
CREATE INDEX lessons_asset ON lessons (asset_id);

CREATE TABLE enrollments (
    course_id   UUID NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    user_id     UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    enrolled_at TIMESTAMPTZ NOT NULL,
    left_at     TIMESTAMPTZ,
    PRIMARY KEY (course_id, user_id)
);
CREATE INDEX enrollments_user ON enrollments (user_id);

-- The right to play, written by enrollments and by an external LMS. The license server reads only this.
CREATE TABLE entitlements (
    course_id  UUID NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    user_id    UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    source     TEXT NOT NULL,                      -- enrollment, external
    starts_at  TIMESTAMPTZ NOT NULL,
    ends_at    TIMESTAMPTZ,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (course_id, user_id, source)
);
CREATE INDEX entitlements_user ON entitlements (user_id);

CREATE TABLE progress (
    user_id     UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    lesson_id   UUID NOT NULL REFERENCES lessons (id) ON DELETE CASCADE,
    position_ms BIGINT NOT NULL,
    completed   BOOLEAN NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, lesson_id)
);
CREATE INDEX progress_lesson ON progress (lesson_id);

-- Uploads ----------------------------------------------------------------------------------------------------------

CREATE TABLE uploads (
    id           UUID PRIMARY KEY,
    owner_id     UUID NOT NULL REFERENCES users (id),
    asset_id     UUID NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    length_bytes BIGINT NOT NULL,
    metadata     TEXT NOT NULL,                    -- Upload-Metadata as sent, returned by HEAD
    state        TEXT NOT NULL,                    -- open, finished, terminated, expired
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL
);
CREATE INDEX uploads_owner ON uploads (owner_id, state);
CREATE INDEX uploads_expiry ON uploads (state, expires_at);

-- Jobs -------------------------------------------------------------------------------------------------------------

CREATE TABLE jobs (
    id               UUID PRIMARY KEY,
    dedup_key        TEXT NOT NULL UNIQUE,         -- the same work is never queued twice
    kind             TEXT NOT NULL,
    asset_id         UUID NOT NULL,
    payload          JSONB NOT NULL,               -- domain::job::JobPayload
    state            TEXT NOT NULL,                -- queued, leased, done, failed, parked, cancelled
    priority         BIGINT NOT NULL,              -- higher first
    weight           DOUBLE PRECISION NOT NULL,    -- share of the asset's progress
    progress         DOUBLE PRECISION NOT NULL,    -- 0 to 1 within the job
    run_after        TIMESTAMPTZ NOT NULL,
    attempt          BIGINT NOT NULL,              -- the fence: only the latest attempt may complete
    failures         BIGINT NOT NULL,              -- attempts that reported a failure
    lease_owner      UUID,
    lease_expires_at TIMESTAMPTZ,
    result           JSONB,
    created_at       TIMESTAMPTZ NOT NULL,
    updated_at       TIMESTAMPTZ NOT NULL
);
CREATE INDEX jobs_claim ON jobs (state, kind, priority, run_after);
CREATE INDEX jobs_asset ON jobs (asset_id);

-- What happened to a job, a line an event.
CREATE TABLE job_story (
    job_id  UUID NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    at      TIMESTAMPTZ NOT NULL,
    attempt BIGINT NOT NULL,
    event   TEXT NOT NULL,
    detail  TEXT NOT NULL
);
CREATE INDEX job_story_job ON job_story (job_id, at);

-- Packages ---------------------------------------------------------------------------------------------------------

CREATE TABLE packages (
    id           UUID PRIMARY KEY,
    asset_id     UUID NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    protection   TEXT NOT NULL,                    -- none, aes-128
    state        TEXT NOT NULL,                    -- building, published
    renditions   JSONB NOT NULL,                   -- [domain::media::Rendition]
    created_at   TIMESTAMPTZ NOT NULL,
    published_at TIMESTAMPTZ
);
CREATE INDEX packages_asset ON packages (asset_id);

-- The names of content keys. Keys themselves are derived, never stored.
CREATE TABLE content_keys (
    kid        UUID PRIMARY KEY,
    package_id UUID NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
    asset_id   UUID NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    class      TEXT NOT NULL,                      -- video, audio
    period     BIGINT NOT NULL
);
CREATE INDEX content_keys_package ON content_keys (package_id);

-- Playback ---------------------------------------------------------------------------------------------------------

CREATE TABLE playback_sessions (
    id           UUID PRIMARY KEY,
    user_id      UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    lesson_id    UUID NOT NULL REFERENCES lessons (id) ON DELETE CASCADE,
    asset_id     UUID NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    package_id   UUID NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    last_seen_at TIMESTAMPTZ NOT NULL,
    ended_at     TIMESTAMPTZ
);
CREATE INDEX playback_sessions_user ON playback_sessions (user_id);

-- Every decision of the license server. No foreign keys: the evidence outlives what it speaks of.
CREATE TABLE license_audit (
    id         UUID PRIMARY KEY,
    at         TIMESTAMPTZ NOT NULL,
    action     TEXT NOT NULL,                      -- session, key, heartbeat, playlist
    user_id    UUID,
    session_id UUID,
    lesson_id  UUID,
    asset_id   UUID,
    kid        UUID,
    granted    BOOLEAN NOT NULL,
    reason     TEXT NOT NULL,                      -- granted, or domain::decision::Refusal
    client     TEXT NOT NULL                       -- address
);
CREATE INDEX license_audit_at ON license_audit (at);
CREATE INDEX license_audit_user ON license_audit (user_id, at);
