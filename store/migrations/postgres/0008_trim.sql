-- In and out points of an asset, milliseconds of its source; both null: all of it. A process of the version before knows none: it would
-- plan and make the whole source.

ALTER TABLE assets
    ADD COLUMN trim_in_ms  BIGINT,
    ADD COLUMN trim_out_ms BIGINT;
