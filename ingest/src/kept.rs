//! Where the bytes of an upload by tus are until all of them came: in a part file on this machine, or, where objects are
//! in a bucket, in a multipart upload of the source itself. The row says which; an upload keeps its form to its end.

use std::{io, time::Duration};

use bytes::Bytes;
use lectern_domain::storage_key;
use lectern_platform::objects::{MultipartId, ObjectsError};
use lectern_store::uploads::{Protocol, Upload};

use crate::{
    IngestState,
    multipart::{Multiparts, PartsWriter},
    part::PartWriter,
};

/// Why bytes could not be kept, read or put together.
#[derive(Debug)]
pub(crate) enum KeptError {
    File(io::Error),
    Store(lectern_store::Error),
    Objects(ObjectsError),
    /// Another request, perhaps of another process, has taken the upload.
    Overtaken,
    /// The next byte wanted is this one.
    Offset(u64),
    /// It cannot go on: why.
    Lost(String),
}

impl std::fmt::Display for KeptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(error) => write!(f, "part file: {error}"),
            Self::Store(error) => error.fmt(f),
            Self::Objects(error) => error.fmt(f),
            Self::Overtaken => f.write_str("another request has taken the upload"),
            Self::Offset(offset) => write!(f, "expected bytes from {offset} on"),
            Self::Lost(why) => write!(f, "the upload cannot go on: {why}"),
        }
    }
}

impl From<io::Error> for KeptError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<lectern_store::Error> for KeptError {
    fn from(error: lectern_store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<ObjectsError> for KeptError {
    fn from(error: ObjectsError) -> Self {
        Self::Objects(error)
    }
}

/// The form in which an upload's bytes are kept.
pub(crate) enum Kept<'a> {
    File { state: &'a IngestState, upload: &'a Upload },
    Parts(Multiparts<'a>),
}

impl IngestState {
    /// How the bytes of an upload by tus are kept.
    pub(crate) fn kept<'a>(&'a self, upload: &'a Upload) -> Kept<'a> {
        match (self.objects.multipart(), &upload.multipart_id) {
            (Some(store), Some(id)) if upload.protocol == Protocol::Tus => {
                Kept::Parts(Multiparts { state: self, upload, store, id: MultipartId(id.clone()) })
            }
            _ => Kept::File { state: self, upload },
        }
    }
}

impl Kept<'_> {
    /// Bytes that count. `None`: nothing is known of any.
    pub(crate) async fn offset(&self) -> Result<Option<u64>, KeptError> {
        match self {
            Self::File { state, upload } => Ok(state.files.length(upload.id).await?),
            Self::Parts(parts) => parts.offset().await,
        }
    }

    /// The same, and from now on nothing counts that somebody who took the upload before brings.
    pub(crate) async fn take(&self) -> Result<Option<u64>, KeptError> {
        match self {
            Self::File { .. } => self.offset().await,
            Self::Parts(parts) => parts.take().await.map(|standing| Some(standing.offset())),
        }
    }

    /// Takes the upload and writes at its end, which is expected to be at `from`.
    pub(crate) async fn writer(&self, from: u64) -> Result<Writer, KeptError> {
        match self {
            Self::File { state, upload } => {
                let writer = state.files.writer(upload.id).await?;
                if writer.end() == from {
                    Ok(Writer::File(writer))
                } else {
                    Err(KeptError::Offset(writer.end()))
                }
            }
            Self::Parts(parts) => parts.writer(from).await.map(Writer::Parts),
        }
    }

    /// Makes the source of a complete upload. Safe to repeat from any point of a crash.
    pub(crate) async fn complete(&self) -> Result<(), KeptError> {
        match self {
            Self::File { state, upload } => {
                if state.files.length(upload.id).await?.is_some() {
                    let key = storage_key::source(upload.asset);
                    state.objects.put_file(&key, &state.files.path(upload.id)).await?;
                }
                Ok(())
            }
            Self::Parts(parts) => parts.complete().await,
        }
    }

    /// Removes what an upload that has finished leaves behind. What this misses, the sweep finds.
    pub(crate) async fn tidy(&self) {
        if let Self::Parts(parts) = self {
            parts.remove_tails().await;
        }
    }

    /// Removes the bytes of an upload that has ended without a source. None there is fine.
    pub(crate) async fn remove(&self) -> Result<(), KeptError> {
        match self {
            Self::File { state, upload } => Ok(state.files.remove(upload.id).await?),
            Self::Parts(parts) => {
                // What this misses, the sweep finds.
                parts.abort().await;
                parts.remove_tails().await;
                Ok(())
            }
        }
    }

    /// Bytes that there still is room for; `None` where nobody can tell.
    pub(crate) async fn room(&self) -> io::Result<Option<u64>> {
        match self {
            Self::File { state, .. } => room(state).await.map(Some),
            Self::Parts(_) => Ok(None),
        }
    }
}

/// Bytes that part files may still take.
pub(crate) async fn room(state: &IngestState) -> io::Result<u64> {
    Ok(state.files.free_bytes().await?.saturating_sub(state.settings.min_free_bytes))
}

/// Appends to what is kept of an upload.
#[derive(Debug)]
pub(crate) enum Writer {
    File(PartWriter),
    Parts(PartsWriter),
}

impl Writer {
    /// The offset once everything given to it is kept.
    pub(crate) fn end(&self) -> u64 {
        match self {
            Self::File(writer) => writer.end(),
            Self::Parts(writer) => writer.end(),
        }
    }

    /// Waits until it takes bytes at once. Nothing is lost when the waiting is given up.
    pub(crate) async fn ready(&mut self) -> Result<(), KeptError> {
        match self {
            Self::File(_) => Ok(()),
            Self::Parts(writer) => writer.ready().await,
        }
    }

    /// Takes bytes.
    pub(crate) async fn push(&mut self, bytes: Bytes) -> Result<(), KeptError> {
        match self {
            Self::File(writer) => Ok(writer.push(bytes).await?),
            Self::Parts(writer) => {
                writer.push(&bytes);
                Ok(())
            }
        }
    }

    /// Makes durable what was taken; in a hurry, only what an object store takes within that time. Gives the offset.
    pub(crate) async fn finish(self, hurry: Option<Duration>) -> (u64, Result<(), KeptError>) {
        match self {
            Self::File(writer) => {
                let (offset, result) = writer.finish().await;
                (offset, result.map_err(KeptError::File))
            }
            Self::Parts(writer) => writer.finish(hurry).await,
        }
    }

    /// Forgets everything this writer took. Gives the offset.
    pub(crate) async fn undo(self) -> (u64, Result<(), KeptError>) {
        match self {
            Self::File(writer) => {
                let (offset, result) = writer.undo().await;
                (offset, result.map_err(KeptError::File))
            }
            Self::Parts(writer) => writer.undo().await,
        }
    }

    /// After an error: gives the offset, up to which everything surely is kept.
    pub(crate) async fn cut(self) -> u64 {
        match self {
            Self::File(mut writer) => writer.cut().await,
            Self::Parts(writer) => writer.counted(),
        }
    }
}
