-- Captions, and package versions that add them to the segments of another. A process of the version before does not know such
-- versions: it gives no keys for them.

CREATE TABLE captions (
    asset_id   UUID NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    language   TEXT NOT NULL,                      -- BCP 47
    id         UUID NOT NULL UNIQUE,               -- another one with every upload
    label      TEXT NOT NULL,                      -- shown in menus
    kind       TEXT NOT NULL,                      -- captions, subtitles
    origin     TEXT NOT NULL,                      -- uploaded, source
    cues       BIGINT NOT NULL,
    webvtt     TEXT NOT NULL,                      -- as players get it
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (asset_id, language)
);

-- Raised by every change of an asset's captions; the published package has those of the second.
ALTER TABLE assets
    ADD COLUMN texts_version   BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN texts_published BIGINT NOT NULL DEFAULT 0;

-- The package whose segments and keys this one uses; null: it has its own.
ALTER TABLE packages ADD COLUMN base_id UUID;
