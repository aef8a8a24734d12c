-- See the PostgreSQL migration of the same number.

ALTER TABLE packages ADD COLUMN generation INTEGER NOT NULL DEFAULT 0; -- of the asset: there is one package of each
ALTER TABLE packages ADD COLUMN landed INTEGER NOT NULL DEFAULT 0;     -- counts what its transcode jobs have brought
ALTER TABLE packages ADD COLUMN grown_at INTEGER NOT NULL DEFAULT 0;   -- how much of that it has been grown with
ALTER TABLE packages ADD COLUMN grown TEXT;                            -- domain::growth::Grown

-- What a job has made while it goes on, a row for each time it told.
CREATE TABLE job_parts (
    job_id  BLOB NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    part    INTEGER NOT NULL,
    output  TEXT NOT NULL,                                             -- domain::media::TranscodeOutput
    PRIMARY KEY (job_id, attempt, part)
) STRICT;
