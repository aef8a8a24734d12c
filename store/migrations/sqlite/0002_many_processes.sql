-- See the PostgreSQL migration of the same number. SQLite has one process: nothing is announced to others, so the outbox
-- stays empty and has no triggers, and logs are not partitioned.

ALTER TABLE jobs ADD COLUMN class TEXT GENERATED ALWAYS AS (   -- domain::job::WorkClass
    CASE kind
        WHEN 'probe' THEN 'first_video'
        WHEN 'transcode_span' THEN CASE WHEN payload ->> 'span' = 0 THEN 'first_video' ELSE 'bulk_video' END
        WHEN 'transcode_audio' THEN 'audio'
        ELSE 'packaging'
    END) VIRTUAL;
ALTER TABLE jobs ADD COLUMN owner_id BLOB;                         -- whose turn it takes
ALTER TABLE jobs ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;       -- lower first among equal priorities
ALTER TABLE jobs ADD COLUMN outages INTEGER NOT NULL DEFAULT 0;    -- attempts that found database or object store away
ALTER TABLE jobs ADD COLUMN memory_mib INTEGER NOT NULL DEFAULT 0; -- estimated peak; a worker claims only what fits
DROP INDEX jobs_claim;
CREATE INDEX jobs_ready ON jobs (priority DESC, turn, id) WHERE state = 'queued';
CREATE INDEX jobs_open_turns ON jobs (turn) WHERE state IN ('queued', 'leased') AND turn > 0;
CREATE INDEX jobs_leased ON jobs (lease_expires_at) WHERE state = 'leased';

ALTER TABLE lessons ADD COLUMN release_at INTEGER;                 -- learners see it from then on; null: once published

-- One key of a purpose signs at a time, whoever made it first.
UPDATE signing_keys SET retired_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER) WHERE retired_at IS NULL AND EXISTS (SELECT 1 FROM signing_keys AS later
    WHERE later.purpose = signing_keys.purpose AND later.retired_at IS NULL AND (later.created_at, later.id) > (signing_keys.created_at, signing_keys.id));
CREATE UNIQUE INDEX signing_keys_signs ON signing_keys (purpose) WHERE retired_at IS NULL;

CREATE TABLE outbox (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    topic  TEXT NOT NULL,
    body   TEXT NOT NULL,
    due_at INTEGER NOT NULL
) STRICT;

CREATE TABLE processes (
    id         BLOB PRIMARY KEY,
    host       TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    version    TEXT NOT NULL,
    roles      TEXT NOT NULL,
    slots      INTEGER NOT NULL,
    memory_mib INTEGER NOT NULL,
    drain      INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE duties (
    name       TEXT PRIMARY KEY,
    holder     BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
