-- See the PostgreSQL migration of the same number.

ALTER TABLE packages ADD COLUMN stills TEXT;       -- domain::stills::PackageStills

CREATE TABLE chapters (
    package_id BLOB NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
    start_ms   INTEGER NOT NULL,
    title      TEXT NOT NULL,                      -- empty until somebody gives one
    tile       INTEGER,                            -- its still on the sheet of chapters
    PRIMARY KEY (package_id, start_ms)
) STRICT;
