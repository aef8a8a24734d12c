//! Uploads by tus that go straight into a multipart upload of the source, without a local copy of the whole.
//!
//! What counts is in the database (`store::upload_parts`): parts, and a tail that is too small for a part. Bytes are
//! in the object store before they are recorded and recorded before they are acknowledged, and only the writer that took
//! the upload last can record. So it does not matter which process a request comes to, nor what one that was overtaken
//! still sends: numbers of parts and keys of tails are used once.
//!
//! Parts have one size, except for the last: some services ask for that. It follows from the announced length, so that
//! [`NEEDED_PARTS`] hold the file and the rest of the 10,000 numbers is for parts that were lost on the way.
//! 8 MiB up to 70 GiB; 5 TiB, the largest object of S3, would be parts of 583 MiB.

mod writer;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use lectern_domain::{ids::UploadId, storage_key};
use lectern_platform::objects::{Completion, Multipart, MultipartId, StoredPart};
use lectern_store::{
    upload_parts::{self, Standing},
    uploads::{self, Upload, UploadState},
};

use crate::{IngestState, kept::KeptError};

pub(crate) use writer::PartsWriter;

/// Parts of an upload have this size unless that would make too many.
const PART_BYTES: u64 = 8 << 20;
/// More numbers S3 does not have.
const MOST_PARTS: u32 = 10_000;
/// Most parts that a file is cut into.
const NEEDED_PARTS: u64 = 9_000;

/// The size of all parts but the last: whole MiB.
fn part_bytes(length_bytes: u64) -> u64 {
    length_bytes.div_ceil(NEEDED_PARTS).div_ceil(1 << 20).max(PART_BYTES >> 20) << 20
}

/// An upload and the multipart upload that its bytes go into.
pub(crate) struct Multiparts<'a> {
    pub(crate) state: &'a IngestState,
    pub(crate) upload: &'a Upload,
    pub(crate) store: &'a dyn Multipart,
    pub(crate) id: MultipartId,
}

impl Multiparts<'_> {
    fn key(&self) -> String {
        storage_key::source(self.upload.asset)
    }

    pub(crate) async fn offset(&self) -> Result<Option<u64>, KeptError> {
        let standing = upload_parts::standing(&self.state.db, self.upload.id).await?;
        Ok(standing.map(|standing| standing.offset()))
    }

    pub(crate) async fn take(&self) -> Result<Standing, KeptError> {
        upload_parts::take(&self.state.db, self.upload.id).await?.ok_or(KeptError::Overtaken)
    }

    /// Takes the upload and reads back its tail.
    pub(crate) async fn writer(&self, from: u64) -> Result<PartsWriter, KeptError> {
        let standing = self.take().await?;
        if standing.offset() != from {
            return Err(KeptError::Offset(standing.offset()));
        }
        let tail = match &standing.tail {
            None => Bytes::new(),
            Some(tail) => match self.state.objects.get(&tail.key).await? {
                Some(bytes) if bytes.len() as u64 == tail.bytes => bytes,
                _ => {
                    tracing::error!(upload = %self.upload.id, key = tail.key, "the tail of an upload was lost");
                    let (db, epoch) = (&self.state.db, standing.epoch);
                    if !upload_parts::record_tail(db, self.upload.id, epoch, None).await? {
                        return Err(KeptError::Overtaken);
                    }
                    return Err(KeptError::Offset(standing.part_bytes));
                }
            },
        };
        Ok(PartsWriter::new(self, standing, tail))
    }

    /// Joins the parts. Several processes may do so at once.
    pub(crate) async fn complete(&self) -> Result<(), KeptError> {
        let (key, length) = (self.key(), self.upload.length_bytes);
        if length == 0 {
            // An object of no parts there is none.
            self.state.objects.put(&key, Bytes::new()).await?;
            self.abort().await;
            return Ok(());
        }
        let parts = upload_parts::list(&self.state.db, self.upload.id).await?;
        let mut refused = String::new();
        // Fewer: somebody else has finished it meanwhile.
        if parts.iter().map(|part| part.bytes).sum::<u64>() == length {
            let parts = parts
                .into_iter()
                .map(|part| StoredPart { number: part.number, etag: part.etag, bytes: part.bytes })
                .collect::<Vec<_>>();
            match self.store.complete(&key, &self.id, &parts).await? {
                // Gone: joined before, perhaps by an attempt whose answer was lost.
                Completion::Done | Completion::Gone => {}
                Completion::Refused(why) => refused = format!("; it refused: {why}"),
            }
        }
        match self.state.objects.size(&key).await? {
            Some(size) if size == length => Ok(()),
            found => Err(KeptError::Lost(format!(
                "expected the object store to have {key} with {length} bytes, got {found:?}{refused}"
            ))),
        }
    }

    pub(crate) async fn abort(&self) {
        if let Err(error) = self.store.abort(&self.key(), &self.id).await {
            tracing::warn!(upload = %self.upload.id, asset = %self.upload.asset, %error, "aborting a multipart upload failed");
        }
    }

    pub(crate) async fn remove_tails(&self) {
        let prefix = storage_key::upload_prefix(self.upload.id);
        if let Err(error) = self.state.objects.delete_prefix(&prefix).await {
            tracing::warn!(upload = %self.upload.id, %error, "removing the tails of an upload failed");
        }
    }
}

/// Removes tails that do not count and never will: of uploads that ended, of writers that were overtaken or have written
/// on. Gives the number of writers that left such.
pub(crate) async fn sweep_tails(state: &IngestState) -> Result<u64, KeptError> {
    if state.objects.multipart().is_none() {
        return Ok(0);
    }
    let mut left: BTreeMap<UploadId, BTreeSet<u64>> = BTreeMap::new();
    for key in state.objects.list(storage_key::UPLOADS).await? {
        // Anything else there is not ours and is left alone.
        if let Some((upload, epoch)) = storage_key::parse_upload_tail(&key) {
            left.entry(upload).or_default().insert(epoch);
        }
    }
    let mut removed = 0;
    for (upload, epochs) in left {
        // After the list: whatever of an older epoch does not count now never will.
        let open = uploads::find(&state.db, upload).await?.filter(|row| row.state == UploadState::Open);
        let standing = match open {
            Some(_) => upload_parts::standing(&state.db, upload).await?,
            None => None,
        };
        for epoch in epochs {
            let prefix = storage_key::upload_epoch_prefix(upload, epoch);
            let may_count = standing.as_ref().is_some_and(|standing| {
                let tail = standing.tail.as_ref();
                epoch >= standing.epoch || tail.is_some_and(|tail| tail.key.starts_with(&prefix))
            });
            if !may_count {
                state.objects.delete_prefix(&prefix).await?;
                removed += 1;
                tracing::debug!(%upload, epoch, "removed a tail that does not count");
            }
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_s3_can_hold_fits_into_its_parts() {
        let gibibytes = 1 << 30;
        for length in [0, 1, PART_BYTES + 1, 64 * gibibytes, 71 * gibibytes, 5_120 * gibibytes] {
            let part = part_bytes(length);
            assert!(length.div_ceil(part) <= NEEDED_PARTS, "{length}");
            assert!((5 << 20..=5 << 30).contains(&part), "{length}");
        }
        assert_eq!(part_bytes(64 * gibibytes), PART_BYTES);
        assert_eq!(part_bytes(PART_BYTES * NEEDED_PARTS + 1), PART_BYTES + (1 << 20));
        assert_eq!(part_bytes(5_120 * gibibytes), 583 << 20);
    }
}
