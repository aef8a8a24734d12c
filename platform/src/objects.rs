//! The object store: sources, clear work segments, packages, under the storage keys of `domain::storage_key`.

mod disk;
mod multipart;
mod s3;

use std::{ops::Range, path::PathBuf, pin::Pin, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;

pub use disk::DiskObjects;
pub use multipart::{Completion, Multipart, MultipartId, OpenMultipart, PresignedUrl, StoredPart};
pub use s3::{S3Credentials, S3Location, S3Objects, Sse};

/// Why an object operation failed. "Not there" is `Ok(None)`.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// A storage key that could leave its prefix.
    #[error("expected a relative storage key of plain segments, got {0:?}")]
    BadKey(String),
    /// An `s3:` URL that says something unknown or impossible. The URL itself is not repeated.
    #[error("{0}")]
    BadUrl(String),
    /// The store did not do it.
    #[error("{action} {key}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which object.
        key: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The bytes of an object or of a range of it.
pub struct ObjectBody {
    /// Size of the whole object.
    pub size: u64,
    /// The bytes asked for, in pieces of bounded size.
    pub stream: Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>,
}

impl std::fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectBody").field("size", &self.size).finish_non_exhaustive()
    }
}

/// An object store. A write is atomic: readers see the old object or the new one, whole.
#[async_trait]
pub trait Objects: Send + Sync + std::fmt::Debug {
    /// Stores bytes.
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), ObjectsError>;
    /// Stores a local file and removes it.
    async fn put_file(&self, key: &str, file: &std::path::Path) -> Result<(), ObjectsError>;
    /// The size of an object.
    async fn size(&self, key: &str) -> Result<Option<u64>, ObjectsError>;
    /// An object in memory. For small ones: manifests, segments.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, ObjectsError>;
    /// An object, or the part of it in `range` (which is cut to the object's size), as a stream.
    async fn open(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<ObjectBody>, ObjectsError>;
    /// Where the object lies, if the store is a disk of this machine: read it in place. None for a store elsewhere,
    /// whose objects are read with [`Objects::open`], a range at a time. Says nothing about whether the object exists.
    fn path(&self, key: &str) -> Option<PathBuf>;
    /// Storage keys under a prefix that ends in `/`, sorted.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, ObjectsError>;
    /// Removes everything under a prefix that ends in `/`. Nothing there is fine.
    async fn delete_prefix(&self, prefix: &str) -> Result<(), ObjectsError>;
    /// Whether the store answers and takes writes.
    async fn check(&self) -> Result<(), ObjectsError>;
    /// Uploads that are made of parts and can be sent past this process. `None`: the store knows no such thing.
    fn multipart(&self) -> Option<&dyn Multipart> {
        None
    }
}

/// A shared object store.
pub type SharedObjects = Arc<dyn Objects>;

/// Checks a storage key: relative, no empty, `.` or `..` segments, no control characters.
pub(crate) fn check_key(key: &str) -> Result<(), ObjectsError> {
    let plain = !key.is_empty()
        && key.len() <= 1_024
        && key.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && !key.chars().any(|c| c.is_control() || c == '\\');
    if plain { Ok(()) } else { Err(ObjectsError::BadKey(key.chars().take(200).collect())) }
}

/// Checks a prefix: a storage key followed by `/`.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), ObjectsError> {
    check_key(prefix.strip_suffix('/').ok_or_else(|| ObjectsError::BadKey(prefix.to_owned()))?)
}
