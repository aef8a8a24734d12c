//! An object store that is no disk of this machine: a real folder behind a door that gives no paths, counts what it
//! serves, and breaks down on demand.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use lectern_platform::objects::{DiskObjects, ObjectBody, Objects, ObjectsError};

/// How it misbehaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mood {
    Good,
    /// This request and all later ones fail.
    FailsFrom(u64),
    /// From this request on the object is gone.
    VanishesAt(u64),
    /// This request's stream ends half way.
    BreaksOffAt(u64),
    /// This request and all later ones find another object of another size.
    ChangesAt(u64),
    /// Every request takes this long.
    Slow(Duration),
    /// This request is never answered.
    HangsAt(u64),
}

#[derive(Debug)]
pub(crate) struct Remote {
    disk: DiskObjects,
    mood: Mood,
    requests: AtomicU64,
    bytes: Arc<AtomicU64>,
    outstanding: Arc<Outstanding>,
    _folder: tempfile::TempDir,
}

/// Bytes handed out and not dropped yet.
#[derive(Debug, Default)]
struct Outstanding {
    now: AtomicU64,
    most: AtomicU64,
}

/// A piece that says when it is dropped.
struct Piece(Bytes, Arc<Outstanding>);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.1.now.fetch_sub(self.0.len() as u64, Ordering::SeqCst);
    }
}

/// The storage key of what the tests read.
pub(crate) const KEY: &str = "sources/asset/original";

impl Remote {
    /// Holds a copy of `file` under [`KEY`].
    pub(crate) async fn with(file: &Path, mood: Mood) -> Arc<Self> {
        let folder = tempfile::tempdir_in(crate::fixtures::folder()).unwrap();
        let root = folder.path().join("objects");
        let disk = DiskObjects::open(root.clone()).await.unwrap();
        std::fs::create_dir_all(root.join(KEY).parent().unwrap()).unwrap();
        std::fs::hard_link(file, root.join(KEY)).unwrap();
        Arc::new(Self {
            disk,
            mood,
            requests: AtomicU64::new(0),
            bytes: Arc::default(),
            outstanding: Arc::default(),
            _folder: folder,
        })
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    /// The most bytes that the reader held at once.
    pub(crate) fn most_outstanding(&self) -> u64 {
        self.outstanding.most.load(Ordering::SeqCst)
    }
}

fn broken(action: &'static str, key: &str) -> ObjectsError {
    let source = std::io::Error::other("503 Slow Down");
    ObjectsError::Io { action, key: key.to_owned(), source }
}

#[async_trait]
impl Objects for Remote {
    fn path(&self, _key: &str) -> Option<PathBuf> {
        None
    }

    async fn open(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<ObjectBody>, ObjectsError> {
        let request = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let mut cut = None;
        let mut grown = 0;
        match self.mood {
            Mood::FailsFrom(from) if request >= from => return Err(broken("open", key)),
            Mood::VanishesAt(from) if request >= from => return Ok(None),
            Mood::ChangesAt(from) if request >= from => grown = 1,
            Mood::Slow(delay) => tokio::time::sleep(delay).await,
            Mood::HangsAt(at) if request == at => std::future::pending().await,
            Mood::BreaksOffAt(at) if request == at => {
                cut = range.as_ref().map(|range| (range.end - range.start) as usize / 2);
            }
            _ => {}
        }
        let range = range.expect("a worker does not read whole sources");
        let Some(body) = self.disk.open(key, Some(range)).await? else { return Ok(None) };
        let (outstanding, served) = (Arc::clone(&self.outstanding), Arc::clone(&self.bytes));
        let mut left = cut.unwrap_or(usize::MAX);
        let stream = body.stream.map(move |piece| {
            let piece = piece?;
            let piece = piece.slice(..piece.len().min(left));
            left -= piece.len();
            let length = piece.len() as u64;
            served.fetch_add(length, Ordering::SeqCst);
            let now = outstanding.now.fetch_add(length, Ordering::SeqCst) + length;
            outstanding.most.fetch_max(now, Ordering::SeqCst);
            Ok(Bytes::from_owner(Piece(piece, Arc::clone(&outstanding))))
        });
        Ok(Some(ObjectBody { size: body.size + grown, stream: stream.boxed() }))
    }

    async fn size(&self, key: &str) -> Result<Option<u64>, ObjectsError> {
        self.disk.size(key).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), ObjectsError> {
        self.disk.put(key, bytes).await
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<(), ObjectsError> {
        self.disk.put_file(key, file).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, ObjectsError> {
        self.disk.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, ObjectsError> {
        self.disk.list(prefix).await
    }

    async fn delete_prefix(&self, prefix: &str) -> Result<(), ObjectsError> {
        self.disk.delete_prefix(prefix).await
    }

    async fn check(&self) -> Result<(), ObjectsError> {
        self.disk.check().await
    }
}
