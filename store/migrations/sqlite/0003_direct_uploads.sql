-- Uploads that browsers send to the object store themselves.

ALTER TABLE uploads ADD COLUMN protocol TEXT NOT NULL DEFAULT 'tus';   -- tus, s3-multipart
ALTER TABLE uploads ADD COLUMN multipart_id TEXT;                      -- the object store's name of the multipart upload
CREATE INDEX uploads_asset ON uploads (asset_id);
