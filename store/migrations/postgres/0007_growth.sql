-- Packages that are published while they are being made. A process of the version before fails on the job kind `grow`.

ALTER TABLE packages
    ADD COLUMN generation BIGINT NOT NULL DEFAULT 0,   -- of the asset: there is one package of each
    ADD COLUMN landed     BIGINT NOT NULL DEFAULT 0,   -- counts what its transcode jobs have brought
    ADD COLUMN grown_at   BIGINT NOT NULL DEFAULT 0,   -- how much of that it has been grown with
    ADD COLUMN grown      JSONB;                       -- domain::growth::Grown

-- What a job has made while it goes on, a row for each time it told.
CREATE TABLE job_parts (
    job_id  UUID NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt BIGINT NOT NULL,
    part    BIGINT NOT NULL,
    output  JSONB NOT NULL,                            -- domain::media::TranscodeOutput
    PRIMARY KEY (job_id, attempt, part)
);
