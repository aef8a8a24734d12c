-- See the PostgreSQL migration of the same number.

CREATE TABLE captions (
    asset_id   BLOB NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    language   TEXT NOT NULL,                      -- BCP 47
    id         BLOB NOT NULL UNIQUE,               -- another one with every upload
    label      TEXT NOT NULL,                      -- shown in menus
    kind       TEXT NOT NULL,                      -- captions, subtitles
    origin     TEXT NOT NULL,                      -- uploaded, source
    cues       INTEGER NOT NULL,
    webvtt     TEXT NOT NULL,                      -- as players get it
    created_at INTEGER NOT NULL,
    PRIMARY KEY (asset_id, language)
) STRICT;

-- Raised by every change of an asset's captions; the published package has those of the second.
ALTER TABLE assets ADD COLUMN texts_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE assets ADD COLUMN texts_published INTEGER NOT NULL DEFAULT 0;

-- The package whose segments and keys this one uses; null: it has its own.
ALTER TABLE packages ADD COLUMN base_id BLOB;
