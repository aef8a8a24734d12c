-- See the PostgreSQL migration of the same number.

ALTER TABLE assets ADD COLUMN trim_in_ms INTEGER;
ALTER TABLE assets ADD COLUMN trim_out_ms INTEGER;
