-- Stills and chapters of a package. A process of the version before makes and shows none.

ALTER TABLE packages ADD COLUMN stills JSONB;      -- domain::stills::PackageStills

CREATE TABLE chapters (
    package_id UUID NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
    start_ms   BIGINT NOT NULL,
    title      TEXT NOT NULL,                      -- empty until somebody gives one
    tile       BIGINT,                             -- its still on the sheet of chapters
    PRIMARY KEY (package_id, start_ms)
);
