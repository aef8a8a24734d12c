-- Uploads by tus whose bytes go straight into a multipart upload of the object store. A process of the version before knows
-- nothing of this: it takes such an upload to be at its beginning, and the client sends it from there.

ALTER TABLE uploads ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;       -- the fence: only the latest writer's bytes count
ALTER TABLE uploads ADD COLUMN next_part INTEGER NOT NULL DEFAULT 1;   -- numbers below were given out, each only once
ALTER TABLE uploads ADD COLUMN tail_key TEXT;                          -- storage key of the bytes after the parts
ALTER TABLE uploads ADD COLUMN tail_bytes INTEGER NOT NULL DEFAULT 0;

-- Parts that count. Their bytes and those of the tail are the upload's offset.
CREATE TABLE upload_parts (
    upload_id BLOB NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    number    INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    etag      TEXT NOT NULL,
    PRIMARY KEY (upload_id, number)
) STRICT;
