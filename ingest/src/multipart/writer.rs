//! Appends to the parts of an upload: one part fills while the one before is under way.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use lectern_domain::{ids::UploadId, storage_key};
use lectern_platform::objects::{MultipartId, ObjectsError, SharedObjects};
use lectern_store::{
    Db,
    upload_parts::{self, Part, Standing, Tail},
    uploads::{self, UploadState},
};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{MOST_PARTS, Multiparts, part_bytes};
use crate::kept::KeptError;

/// A body's pieces end where they like: so much may go beyond a part.
const BEYOND: usize = 512 << 10;

/// Where parts go and in whose name.
#[derive(Debug)]
struct Place {
    db: Db,
    objects: SharedObjects,
    upload: UploadId,
    key: String,
    id: MultipartId,
    epoch: u64,
}

/// Memory: the part that fills, the one under way, and the tail that there was when it began.
#[derive(Debug)]
pub(crate) struct PartsWriter {
    place: Arc<Place>,
    length: u64,
    part_bytes: usize,
    /// What counted when this writer began.
    before: Standing,
    tail: Bytes,
    /// The first part that this writer recorded.
    first: Option<u32>,
    /// The offset up to which everything counts.
    counted: u64,
    /// Bytes in parts that count.
    placed: u64,
    /// Where `filling` begins: after the part under way.
    at: u64,
    filling: BytesMut,
    sending: Option<AbortOnDropHandle<Result<(Part, Bytes), KeptError>>>,
    /// What the part before last filled, to be filled again: the allocator would otherwise keep more of them.
    spare: BytesMut,
}

impl PartsWriter {
    /// Writes on after what counts, in the epoch that was taken with it.
    pub(super) fn new(parts: &Multiparts<'_>, before: Standing, tail: Bytes) -> Self {
        let length = parts.upload.length_bytes;
        let mut writer = Self {
            place: Arc::new(Place {
                db: parts.state.db.clone(),
                objects: parts.state.objects.clone(),
                upload: parts.upload.id,
                key: parts.key(),
                id: parts.id.clone(),
                epoch: before.epoch,
            }),
            length,
            part_bytes: part_bytes(length) as usize,
            first: None,
            counted: before.offset(),
            placed: before.part_bytes,
            at: before.part_bytes,
            filling: BytesMut::new(),
            sending: None,
            spare: BytesMut::new(),
            before,
            tail,
        };
        writer.filling = writer.fresh();
        writer.filling.extend_from_slice(&writer.tail);
        writer
    }

    /// Room for the next part, which costs nothing until it is filled.
    fn fresh(&mut self) -> BytesMut {
        let rest = self.length.saturating_sub(self.at);
        let mut room = std::mem::take(&mut self.spare);
        room.reserve(rest.min((self.part_bytes + BEYOND) as u64) as usize);
        room
    }

    pub(crate) fn end(&self) -> u64 {
        self.at + self.filling.len() as u64
    }

    pub(crate) fn counted(&self) -> u64 {
        self.counted
    }

    /// Waits while a part is full and the one before it still under way. Nothing is lost when this is dropped.
    pub(crate) async fn ready(&mut self) -> Result<(), KeptError> {
        while self.filling.len() >= self.part_bytes {
            self.sent().await?;
            self.send();
        }
        Ok(())
    }

    /// Takes bytes. Call [`Self::ready`] before.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.filling.extend_from_slice(bytes);
        if self.sending.is_none() && self.filling.len() >= self.part_bytes {
            self.send();
        }
    }

    /// Sends a part of what there is.
    fn send(&mut self) {
        let size = self.part_bytes.min(self.filling.len());
        self.at += size as u64;
        let mut next = self.fresh();
        next.extend_from_slice(&self.filling[size..]);
        self.filling.truncate(size);
        let bytes = std::mem::replace(&mut self.filling, next).freeze();
        let place = self.place.clone();
        self.sending = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let part = place.put_part(bytes.clone()).await?;
            Ok((part, bytes))
        })));
    }

    async fn sent(&mut self) -> Result<(), KeptError> {
        let Some(sending) = &mut self.sending else { return Ok(()) };
        let sent = sending.await;
        self.sending = None;
        let (part, bytes) = sent.map_err(std::io::Error::other)??;
        if let Ok(mut room) = bytes.try_into_mut() {
            room.clear();
            self.spare = room;
        }
        self.first.get_or_insert(part.number);
        self.placed += part.bytes;
        // The tail that there was is in the first part: it is smaller than any but the last.
        self.counted = self.placed;
        Ok(())
    }

    /// Makes durable what was taken, as far as there is time.
    pub(crate) async fn finish(mut self, hurry: Option<Duration>) -> (u64, Result<(), KeptError>) {
        let result = match hurry {
            None => self.flush().await,
            // The rest does not count: the client learns so from the offset.
            Some(hurry) => timeout(hurry, self.flush()).await.unwrap_or(Ok(())),
        };
        (self.counted, result)
    }

    async fn flush(&mut self) -> Result<(), KeptError> {
        self.sent().await?;
        while self.filling.len() >= self.part_bytes || (self.end() == self.length && !self.filling.is_empty())
        {
            self.send();
            self.sent().await?;
        }
        if self.end() > self.counted {
            let bytes = std::mem::take(&mut self.filling).freeze();
            let tail = self.place.put_tail("tail", bytes).await?;
            if !upload_parts::record_tail(&self.place.db, self.place.upload, self.place.epoch, Some(&tail))
                .await?
            {
                return Err(KeptError::Overtaken);
            }
            self.counted = self.at + tail.bytes;
        }
        Ok(())
    }

    /// Forgets everything this writer took.
    pub(crate) async fn undo(mut self) -> (u64, Result<(), KeptError>) {
        let result = self.restore().await;
        (self.counted, result)
    }

    async fn restore(&mut self) -> Result<(), KeptError> {
        self.sent().await?;
        let Some(first) = self.first else { return Ok(()) };
        let place = &self.place;
        // Once more: the one that there was may have been swept.
        let tail = match self.before.tail {
            None => None,
            Some(_) => Some(place.put_tail("restored", self.tail.clone()).await?),
        };
        if !upload_parts::undo(&place.db, place.upload, place.epoch, first, tail.as_ref()).await? {
            return Err(KeptError::Overtaken);
        }
        self.counted = self.before.offset();
        Ok(())
    }
}

impl Place {
    async fn put_part(&self, bytes: Bytes) -> Result<Part, KeptError> {
        let number = upload_parts::reserve(&self.db, self.upload, self.epoch, MOST_PARTS).await?;
        let Some(number) = number else {
            return Err(self.unless_overtaken("every number of a part is used up").await);
        };
        let Some(store) = self.objects.multipart() else {
            return Err(KeptError::Lost("the object store knows no multipart uploads any more".into()));
        };
        let put = match store.put_part(&self.key, &self.id, number, bytes).await {
            Ok(put) => put,
            Err(ObjectsError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound
                    && store.parts(&self.key, &self.id).await?.is_none() =>
            {
                return Err(self.unless_overtaken("the multipart upload was aborted").await);
            }
            Err(error) => return Err(error.into()),
        };
        let part = Part { number, bytes: put.bytes, etag: put.etag };
        let recorded = upload_parts::record(&self.db, self.upload, self.epoch, &part).await?;
        if recorded { Ok(part) } else { Err(KeptError::Overtaken) }
    }

    async fn put_tail(&self, name: &str, bytes: Bytes) -> Result<Tail, KeptError> {
        let tail =
            Tail { key: storage_key::upload_tail(self.upload, self.epoch, name), bytes: bytes.len() as u64 };
        self.objects.put(&tail.key, bytes).await?;
        Ok(tail)
    }

    /// The upload cannot go on, unless it goes on without this writer.
    async fn unless_overtaken(&self, why: &'static str) -> KeptError {
        let judged = async {
            let open =
                uploads::find(&self.db, self.upload).await?.is_some_and(|row| row.state == UploadState::Open);
            let standing = upload_parts::standing(&self.db, self.upload).await?;
            Ok(open && standing.is_some_and(|standing| standing.epoch == self.epoch))
        };
        let judged: Result<bool, lectern_store::Error> = judged.await;
        match judged {
            Ok(true) => KeptError::Lost(why.into()),
            Ok(false) => KeptError::Overtaken,
            Err(error) => error.into(),
        }
    }
}
