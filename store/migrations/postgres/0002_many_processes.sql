-- One pipeline over many processes. Everything here may be applied while processes of the version before are at work:
-- columns have defaults, and what must follow every change of a job or an asset is done by triggers, which see theirs too.

-- Jobs: class, turn, cost ------------------------------------------------------------------------------------------

ALTER TABLE jobs
    ADD COLUMN class TEXT NOT NULL GENERATED ALWAYS AS (   -- domain::job::WorkClass
        CASE kind
            WHEN 'probe' THEN 'first_video'
            WHEN 'transcode_span' THEN CASE WHEN payload ->> 'span' = '0' THEN 'first_video' ELSE 'bulk_video' END
            WHEN 'transcode_audio' THEN 'audio'
            ELSE 'packaging'
        END) STORED,
    ADD COLUMN owner_id   UUID,                            -- whose turn it takes
    ADD COLUMN turn       BIGINT NOT NULL DEFAULT 0,       -- lower first among equal priorities: start-time fair queueing
    ADD COLUMN outages    BIGINT NOT NULL DEFAULT 0,       -- attempts that found database or object store away
    ADD COLUMN memory_mib BIGINT NOT NULL DEFAULT 0;       -- estimated peak; a worker claims only what fits
DROP INDEX jobs_claim;
CREATE INDEX jobs_ready ON jobs (priority DESC, turn, id) INCLUDE (class, run_after, memory_mib) WHERE state = 'queued';
CREATE INDEX jobs_open_turns ON jobs (turn) INCLUDE (owner_id) WHERE state IN ('queued', 'leased') AND turn > 0;
CREATE INDEX jobs_leased ON jobs (lease_expires_at) WHERE state = 'leased';

ALTER TABLE lessons ADD COLUMN release_at TIMESTAMPTZ;     -- learners see it from then on; null: as soon as published

-- One key of a purpose signs at a time, whoever made it first.
UPDATE signing_keys SET retired_at = now() WHERE retired_at IS NULL AND EXISTS (SELECT 1 FROM signing_keys AS later
    WHERE later.purpose = signing_keys.purpose AND later.retired_at IS NULL AND (later.created_at, later.id) > (signing_keys.created_at, signing_keys.id));
CREATE UNIQUE INDEX signing_keys_signs ON signing_keys (purpose) WHERE retired_at IS NULL;

-- Outbox -----------------------------------------------------------------------------------------------------------
-- What other processes must hear of, written by the transaction that makes it true and relayed after it committed.

CREATE TABLE outbox (
    id     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic  TEXT NOT NULL,                                  -- job.CLASS, asset.STATE, entitlement.changed, key.revoked
    body   JSONB NOT NULL,
    due_at TIMESTAMPTZ NOT NULL                            -- not before
);
CREATE INDEX outbox_due ON outbox (due_at, id);

CREATE FUNCTION announce_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (topic, body, due_at) VALUES (
        'job.' || NEW.class,
        jsonb_build_object('job', NEW.id, 'asset', NEW.asset_id, 'attempt', NEW.attempt),
        NEW.run_after);
    RETURN NULL;
END $$;
-- Jobs are inserted many at a time.
CREATE FUNCTION announce_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (topic, body, due_at)
        SELECT 'job.' || class, jsonb_build_object('job', id, 'asset', asset_id, 'attempt', attempt), run_after
        FROM inserted WHERE state = 'queued';
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_queued AFTER INSERT ON jobs
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION announce_jobs();
CREATE TRIGGER jobs_queued_again AFTER UPDATE OF state ON jobs
    FOR EACH ROW WHEN (NEW.state = 'queued' AND OLD.state <> 'queued') EXECUTE FUNCTION announce_job();

CREATE FUNCTION announce_asset() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (topic, body, due_at)
        VALUES ('asset.' || NEW.state, jsonb_build_object('asset', NEW.id), NEW.updated_at);
    RETURN NULL;
END $$;
CREATE TRIGGER assets_moved AFTER UPDATE OF state ON assets
    FOR EACH ROW WHEN (NEW.state <> OLD.state) EXECUTE FUNCTION announce_asset();

CREATE FUNCTION announce_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (topic, body, due_at)
        VALUES ('key.revoked', jsonb_build_object('asset', NEW.id), NEW.updated_at);
    RETURN NULL;
END $$;
CREATE TRIGGER assets_shredded AFTER UPDATE OF wrapped_secret ON assets
    FOR EACH ROW WHEN (NEW.wrapped_secret IS NULL AND OLD.wrapped_secret IS NOT NULL) EXECUTE FUNCTION announce_revoked();

CREATE FUNCTION announce_entitlement() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE changed entitlements := COALESCE(NEW, OLD);
BEGIN
    INSERT INTO outbox (topic, body, due_at)
        VALUES ('entitlement.changed', jsonb_build_object('course', changed.course_id, 'user', changed.user_id),
                changed.updated_at);
    RETURN NULL;
END $$;
CREATE TRIGGER entitlements_changed AFTER INSERT OR UPDATE OR DELETE ON entitlements
    FOR EACH ROW EXECUTE FUNCTION announce_entitlement();

-- Who is there -----------------------------------------------------------------------------------------------------

CREATE TABLE processes (
    id         UUID PRIMARY KEY,                           -- jobs.lease_owner
    host       TEXT NOT NULL,
    pid        BIGINT NOT NULL,
    version    TEXT NOT NULL,
    roles      JSONB NOT NULL,                             -- ["api", …]
    slots      BIGINT NOT NULL,                            -- jobs it runs at once
    memory_mib BIGINT NOT NULL,                            -- that its jobs may use together
    drain      BOOLEAN NOT NULL,                           -- asked to take no new job
    started_at TIMESTAMPTZ NOT NULL,
    seen_at    TIMESTAMPTZ NOT NULL
);

-- Work that one process at a time does for all, as long as it renews.
CREATE TABLE duties (
    name       TEXT PRIMARY KEY,                           -- relay
    holder     UUID NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

-- Logs by month ----------------------------------------------------------------------------------------------------
-- What only grows is kept in a partition for each month, so that an old month goes by dropping a table. What was there
-- before becomes the default partition. Processes make the months ahead (store::partitions).

ALTER TABLE license_audit RENAME TO license_audit_rest;
ALTER TABLE license_audit_rest DROP CONSTRAINT license_audit_pkey;
ALTER INDEX license_audit_at RENAME TO license_audit_rest_at;
ALTER INDEX license_audit_user RENAME TO license_audit_rest_user;
CREATE TABLE license_audit (
    id         UUID NOT NULL,
    at         TIMESTAMPTZ NOT NULL,
    action     TEXT NOT NULL,
    user_id    UUID,
    session_id UUID,
    lesson_id  UUID,
    asset_id   UUID,
    kid        UUID,
    granted    BOOLEAN NOT NULL,
    reason     TEXT NOT NULL,
    client     TEXT NOT NULL,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX license_audit_at ON license_audit (at);
CREATE INDEX license_audit_user ON license_audit (user_id, at);
ALTER TABLE license_audit ATTACH PARTITION license_audit_rest DEFAULT;

ALTER TABLE job_story RENAME TO job_story_rest;
ALTER INDEX job_story_job RENAME TO job_story_rest_job;
ALTER TABLE job_story_rest DROP CONSTRAINT job_story_job_id_fkey;
CREATE TABLE job_story (
    job_id  UUID NOT NULL,
    at      TIMESTAMPTZ NOT NULL,
    attempt BIGINT NOT NULL,
    event   TEXT NOT NULL,
    detail  TEXT NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX job_story_job ON job_story (job_id, at);
ALTER TABLE job_story ATTACH PARTITION job_story_rest DEFAULT;

-- Makes the partitions of a month and of those ahead of it. A month whose rows already lie in the default partition stays there.
CREATE FUNCTION make_months(at TIMESTAMPTZ, ahead BIGINT) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
    log  TEXT;
    ord  BIGINT;
    first TIMESTAMPTZ;
    made BIGINT := 0;
BEGIN
    FOREACH log IN ARRAY ARRAY['license_audit', 'job_story'] LOOP
        FOR ord IN 0..ahead LOOP
            first := (date_trunc('month', at AT TIME ZONE 'UTC') + ord * interval '1 month') AT TIME ZONE 'UTC';
            IF to_regclass(log || to_char(first AT TIME ZONE 'UTC', '_YYYY_MM')) IS NULL THEN
                BEGIN
                    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                        log || to_char(first AT TIME ZONE 'UTC', '_YYYY_MM'), log, first,
                        ((first AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC');
                    made := made + 1;
                EXCEPTION WHEN check_violation OR duplicate_table THEN NULL;
                END;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
