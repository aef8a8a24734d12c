//! Multipart uploads in a bucket, and sending a file as one.

use std::{fs::File, os::unix::fs::FileExt as _, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_s3::{
    error::ProvideErrorMetadata as _,
    presigning::PresigningConfig,
    primitives::DateTime,
    types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lectern_domain::Timestamp;

use super::{
    S3Objects,
    errors::{self, as_io, failed, status},
    timeouts, within,
};
use crate::objects::{
    Completion, Multipart, MultipartId, Objects as _, ObjectsError, OpenMultipart, PresignedUrl, StoredPart,
    check_prefix,
};

/// Files up to this size go in one request; parts have this size unless that would make too many.
const PART_BYTES: u64 = 8 << 20;
/// Parts under way at a time.
const PARALLEL: usize = 4;
/// More parts than this no multipart upload has.
const MOST_PARTS: u64 = 10_000;
/// Joining parts takes services longer than other requests: as long as if it carried this much.
const JOINING_BYTES: u64 = 16 << 20;

/// Parts of one size, the last one shorter: as few as fit the limits.
fn part_bytes(file: u64) -> u64 {
    // Whole MiB: reads stay aligned.
    file.div_ceil(MOST_PARTS).div_ceil(1 << 20).max(PART_BYTES >> 20) << 20
}

/// Sends a file, which stays where it is.
pub(super) async fn send_file(store: &S3Objects, key: &str, path: &Path) -> Result<(), ObjectsError> {
    let told = |source| errors::io("put", key, source);
    let file = tokio::fs::File::open(path).await.map_err(told)?;
    let size = file.metadata().await.map_err(told)?.len();
    let file = Arc::new(file.into_std().await);
    if size <= PART_BYTES {
        return store.put(key, read_at(&file, 0, size).await.map_err(told)?).await;
    }
    let id = store.create(key).await?;
    let mut aborting = AbortOnDrop { store, key, id: Some(&id) };
    let part = part_bytes(size);
    let sent = stream::iter(0..size.div_ceil(part)).map(|index| {
        let (file, id) = (&file, &id);
        async move {
            let at = index * part;
            let bytes = read_at(file, at, part.min(size - at)).await.map_err(told)?;
            store.put_part(key, id, index as u32 + 1, bytes).await
        }
    });
    let mut parts: Vec<StoredPart> = sent.buffer_unordered(PARALLEL).try_collect().await?;
    parts.sort_by_key(|part| part.number);
    match store.complete(key, &id, &parts).await? {
        Completion::Done => {}
        // Its answer may have been lost.
        Completion::Gone if store.size(key).await? == Some(size) => {}
        Completion::Gone => {
            return Err(errors::other("put", key, "the multipart upload was aborted meanwhile"));
        }
        Completion::Refused(why) => return Err(errors::other("put", key, why)),
    }
    aborting.id = None;
    Ok(())
}

async fn read_at(file: &Arc<File>, at: u64, length: u64) -> std::io::Result<Bytes> {
    let file = file.clone();
    let read = move || {
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, at)?;
        Ok(Bytes::from(bytes))
    };
    tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)?
}

/// Parts cost money until they are aborted: whether sending failed or was given up.
struct AbortOnDrop<'a> {
    store: &'a S3Objects,
    key: &'a str,
    id: Option<&'a MultipartId>,
}

impl Drop for AbortOnDrop<'_> {
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) = (self.id, tokio::runtime::Handle::try_current()) else { return };
        let (store, key, id) = (self.store.clone(), self.key.to_owned(), id.clone());
        runtime.spawn(async move {
            // What this misses, the sweep of uploads finds.
            if let Err(error) = store.abort(&key, &id).await {
                tracing::warn!(key, %error, "aborting a multipart upload failed");
            }
        });
    }
}

#[async_trait]
impl Multipart for S3Objects {
    async fn create(&self, key: &str) -> Result<MultipartId, ObjectsError> {
        let (algorithm, kms_key) = self.encryption();
        let created = self
            .client()
            .create_multipart_upload()
            .bucket(self.bucket())
            .key(self.full(key)?)
            .set_server_side_encryption(algorithm)
            .set_ssekms_key_id(kms_key)
            .send()
            .await
            .map_err(failed("create multipart", key))?;
        let id = created
            .upload_id
            .ok_or_else(|| errors::other("create multipart", key, "the answer has no id"))?;
        Ok(MultipartId(id))
    }

    async fn presign_part(
        &self,
        key: &str,
        id: &MultipartId,
        number: u32,
        lives: Duration,
    ) -> Result<PresignedUrl, ObjectsError> {
        let lives =
            PresigningConfig::expires_in(lives).map_err(|error| errors::other("presign", key, error))?;
        let request = self
            .0
            .presigner
            .upload_part()
            .bucket(self.bucket())
            .key(self.full(key)?)
            .upload_id(&id.0)
            .part_number(number as i32)
            .presigned(lives)
            .await
            .map_err(failed("presign", key))?;
        Ok(PresignedUrl(request.uri().to_owned()))
    }

    async fn put_part(
        &self,
        key: &str,
        id: &MultipartId,
        number: u32,
        bytes: Bytes,
    ) -> Result<StoredPart, ObjectsError> {
        let size = bytes.len() as u64;
        let put = self
            .client()
            .upload_part()
            .bucket(self.bucket())
            .key(self.full(key)?)
            .upload_id(&id.0)
            .part_number(number as i32)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(bytes.into())
            .customize()
            .config_override(within(timeouts(size)))
            .send()
            .await
            .map_err(failed("put part of", key))?;
        let etag = put.e_tag.ok_or_else(|| errors::other("put part of", key, "the answer has no ETag"))?;
        Ok(StoredPart { number, etag, bytes: size })
    }

    async fn parts(&self, key: &str, id: &MultipartId) -> Result<Option<Vec<StoredPart>>, ObjectsError> {
        let full = self.full(key)?;
        let (mut parts, mut after) = (Vec::new(), None);
        loop {
            let request = self.client().list_parts().bucket(self.bucket()).key(&full).upload_id(&id.0);
            let page = match request.set_part_number_marker(after).send().await {
                Ok(page) => page,
                Err(error) if error.code() == Some("NoSuchUpload") => return Ok(None),
                Err(error) => return Err(failed("list parts of", key)(error)),
            };
            parts.extend(page.parts().iter().filter_map(|part| {
                Some(StoredPart {
                    number: part.part_number()?.try_into().ok()?,
                    etag: part.e_tag()?.to_owned(),
                    bytes: part.size()?.try_into().ok()?,
                })
            }));
            after = page
                .is_truncated()
                .unwrap_or_default()
                .then(|| page.next_part_number_marker.clone())
                .flatten();
            if after.is_none() {
                parts.sort_by_key(|part| part.number);
                return Ok(Some(parts));
            }
        }
    }

    async fn complete(
        &self,
        key: &str,
        id: &MultipartId,
        parts: &[StoredPart],
    ) -> Result<Completion, ObjectsError> {
        let named = parts
            .iter()
            .map(|part| CompletedPart::builder().part_number(part.number as i32).e_tag(&part.etag).build());
        let completed = self
            .client()
            .complete_multipart_upload()
            .bucket(self.bucket())
            .key(self.full(key)?)
            .upload_id(&id.0)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(named.collect())).build())
            .customize()
            .config_override(within(timeouts(JOINING_BYTES)))
            .send()
            .await;
        match completed {
            Ok(_) => Ok(Completion::Done),
            Err(error) if error.code() == Some("NoSuchUpload") => Ok(Completion::Gone),
            Err(error) if status(&error) == Some(400) => Ok(Completion::Refused(as_io(&error).to_string())),
            Err(error) => Err(failed("complete multipart", key)(error)),
        }
    }

    async fn abort(&self, key: &str, id: &MultipartId) -> Result<(), ObjectsError> {
        let request = self.client().abort_multipart_upload().bucket(self.bucket()).key(self.full(key)?);
        match request.upload_id(&id.0).send().await {
            Ok(_) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(failed("abort multipart", key)(error)),
        }
    }

    async fn open_multiparts(&self, prefix: Option<&str>) -> Result<Vec<OpenMultipart>, ObjectsError> {
        let prefix = match prefix {
            None => "",
            Some(prefix) => {
                check_prefix(prefix)?;
                prefix
            }
        };
        let full = format!("{}{prefix}", self.prefix());
        let (mut found, mut markers) = (Vec::new(), (None, None));
        loop {
            let page = self
                .client()
                .list_multipart_uploads()
                .bucket(self.bucket())
                .set_prefix((!full.is_empty()).then(|| full.clone()))
                .set_key_marker(markers.0.take())
                .set_upload_id_marker(markers.1.take())
                .send()
                .await
                .map_err(failed("list multiparts under", prefix))?;
            found.extend(page.uploads().iter().filter_map(|upload| {
                Some(OpenMultipart {
                    key: self.stripped(upload.key()?)?,
                    id: MultipartId(upload.upload_id()?.to_owned()),
                    created_at: upload.initiated().and_then(time_of)?,
                })
            }));
            if !page.is_truncated().unwrap_or_default() || page.next_key_marker().is_none() {
                return Ok(found);
            }
            markers = (page.next_key_marker, page.next_upload_id_marker);
        }
    }
}

fn time_of(time: &DateTime) -> Option<Timestamp> {
    Timestamp::from_unix_timestamp_nanos(time.as_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_s3_can_hold_fits_into_its_parts() {
        let tebibytes = 1 << 40;
        for size in [0, 1, PART_BYTES + 1, 80 << 30, 5 * tebibytes, 48 * tebibytes] {
            let part = part_bytes(size);
            assert!(size.div_ceil(part) <= MOST_PARTS, "{size}");
            assert!((5 << 20..=5 << 30).contains(&part), "{size}");
        }
        assert_eq!(part_bytes(PART_BYTES * MOST_PARTS), PART_BYTES);
    }
}
