//! Multipart uploads: an object sent as parts, in any order, by this process or by whoever holds a presigned URL.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use lectern_domain::Timestamp;

use super::ObjectsError;

/// The store's name of a multipart upload. Worth nothing without credentials, so it may be stored and logged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MultipartId(pub String);

/// A URL that lets whoever has it write one part. Prints as redacted.
#[derive(Clone)]
pub struct PresignedUrl(pub(super) String);

impl PresignedUrl {
    /// The URL, for the one who may use it. Not for logs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PresignedUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PresignedUrl([redacted])")
    }
}

/// A part that the store has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPart {
    /// From 1.
    pub number: u32,
    /// Its entity tag, with the quotes.
    pub etag: String,
    /// Its size.
    pub bytes: u64,
}

/// A multipart upload that was neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenMultipart {
    /// The storage key that it is for.
    pub key: String,
    /// Its name.
    pub id: MultipartId,
    /// When it was created, as the store tells it.
    pub created_at: Timestamp,
}

/// How completing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion {
    /// The object is there.
    Done,
    /// There is no such multipart upload: it was completed (perhaps by an attempt whose answer was lost) or aborted.
    /// The object's size tells which.
    Gone,
    /// The store refuses this list of parts; the multipart upload is as it was.
    Refused(String),
}

/// What a store with multipart uploads can do. Nothing can be read under the key before it is complete.
#[async_trait]
pub trait Multipart: Send + Sync {
    /// Begins one.
    async fn create(&self, key: &str) -> Result<MultipartId, ObjectsError>;
    /// A URL that takes the bytes of one part by PUT for as long as it lives.
    async fn presign_part(
        &self,
        key: &str,
        id: &MultipartId,
        number: u32,
        lives: Duration,
    ) -> Result<PresignedUrl, ObjectsError>;
    /// Sends a part; one sent before under that number is replaced.
    async fn put_part(
        &self,
        key: &str,
        id: &MultipartId,
        number: u32,
        bytes: Bytes,
    ) -> Result<StoredPart, ObjectsError>;
    /// The parts that are there, by number. `None`: there is no such multipart upload (any more).
    async fn parts(&self, key: &str, id: &MultipartId) -> Result<Option<Vec<StoredPart>>, ObjectsError>;
    /// Makes the object of these parts, which come sorted by number.
    async fn complete(
        &self,
        key: &str,
        id: &MultipartId,
        parts: &[StoredPart],
    ) -> Result<Completion, ObjectsError>;
    /// Removes it with its parts. None there is fine.
    async fn abort(&self, key: &str, id: &MultipartId) -> Result<(), ObjectsError>;
    /// Those that are open under a prefix that ends in `/`, or everywhere.
    async fn open_multiparts(&self, prefix: Option<&str>) -> Result<Vec<OpenMultipart>, ObjectsError>;
}
