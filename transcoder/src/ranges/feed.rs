//! The parent's side: fetches what a child needs of a source, within bounds that hold for a child that lies.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    ops::Range,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::StreamExt as _;
use lectern_platform::objects::SharedObjects;

use super::{BLOCK, MAX_FETCH, MAX_RESIDENT, blocks, bytes, readahead::ReadAhead};

/// How long one fetch may take, the store's own retries among it: 4 MiB at 35 kB/s.
const FETCH_BOUND: Duration = Duration::from_mins(2);
/// Bytes of a fetch that are held in memory before they are written.
const WRITE_BYTES: usize = 1 << 20;
/// Bytes that may be fetched besides four times the source's size: blocks around small reads of a small source.
const FETCH_ALLOWANCE: u64 = 64 << 20;
/// Questions that a child may ask besides four for each block. Most need a fetch and are bounded by that.
const ASK_ALLOWANCE: u64 = 10_000;

/// Why a child's question is not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FeedError {
    /// The store's affair: another attempt may succeed.
    #[error("reading {key} bytes {} to {}: {cause}", range.start, range.end)]
    Fetch {
        /// The source's storage key.
        key: String,
        /// What was being fetched.
        range: Range<u64>,
        /// What the store, or the disk that keeps the bytes, said.
        cause: String,
    },
    /// A child in order does not ask this.
    #[error("{0}")]
    Refused(String),
}

/// A source in an object store, for one child.
#[derive(Debug)]
pub struct Feed {
    objects: SharedObjects,
    key: String,
    size: u64,
    path: PathBuf,
    file: Arc<File>,
    bound: Duration,
    /// Blocks that are in the file.
    resident: BTreeSet<u64>,
    most_resident: u64,
    ahead: ReadAhead,
    asked: u64,
    fetched_bytes: u64,
    waited: Duration,
}

impl Feed {
    /// For the object `key` of `size` bytes, through the new file `path`, which the caller removes.
    pub fn create(objects: SharedObjects, key: String, size: u64, path: &Path) -> io::Result<Self> {
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.set_len(size)?;
        Ok(Self {
            objects,
            key,
            size,
            path: path.to_owned(),
            file: Arc::new(file),
            bound: FETCH_BOUND,
            resident: BTreeSet::new(),
            most_resident: 0,
            ahead: ReadAhead::default(),
            asked: 0,
            fetched_bytes: 0,
            waited: Duration::ZERO,
        })
    }

    /// The same with another bound on the time of one fetch.
    pub fn with_bound(self, bound: Duration) -> Self {
        Self { bound, ..self }
    }

    /// The file that the child reads.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes fetched so far.
    pub fn fetched_bytes(&self) -> u64 {
        self.fetched_bytes
    }

    /// The most bytes that were in the file at once.
    pub fn most_resident_bytes(&self) -> u64 {
        self.most_resident
    }

    /// Time spent on fetching.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Gets the beginning of a range into the file, and perhaps more: what is there then.
    pub(crate) async fn need(&mut self, offset: u64, length: u64) -> Result<Range<u64>, FeedError> {
        let wanted = self.check(offset, length)?;
        self.asked += 1;
        if self.asked > ASK_ALLOWANCE + 4 * self.size.div_ceil(BLOCK) {
            return Err(FeedError::Refused(format!("the child asked {} times", self.asked)));
        }
        let first = wanted.start / BLOCK;
        let ends = |run: &Range<u64>| bytes(run, self.size);
        if self.resident.contains(&first) {
            let run = first..blocks(&wanted).end;
            let there = run.clone().find(|block| !self.resident.contains(block)).unwrap_or(run.end);
            return Ok(ends(&(first..there)));
        }
        let count = self.ahead.blocks(first).max(blocks(&wanted).end - first).min(MAX_FETCH / BLOCK);
        let end = (first + count).min(self.size.div_ceil(BLOCK));
        let end = self.resident.range(first..end).next().copied().unwrap_or(end);
        let range = ends(&(first..end));
        let resident = (self.resident.len() as u64 + end - first) * BLOCK;
        if resident > MAX_RESIDENT {
            return Err(FeedError::Refused(format!("the child keeps {} MiB", resident >> 20)));
        }
        let fetched = self.fetched_bytes + range.end - range.start;
        if fetched > FETCH_ALLOWANCE.saturating_add(self.size.saturating_mul(4)) {
            return Err(FeedError::Refused(format!(
                "the child wants {} MiB of a source of {} MiB",
                fetched >> 20,
                self.size >> 20
            )));
        }
        // Even what a fetch that fails leaves in the file is counted.
        self.resident.extend(first..end);
        self.most_resident = self.most_resident.max(resident);
        self.fetched_bytes = fetched;
        self.ahead.fetched(first, end - first);
        let started = Instant::now();
        let result = tokio::time::timeout(self.bound, self.fetch(range.clone())).await;
        self.waited += started.elapsed();
        let cause = match result {
            Ok(Ok(())) => return Ok(range),
            Ok(Err(cause)) => cause,
            Err(_) => format!("no answer within {} s", self.bound.as_secs_f32()),
        };
        Err(FeedError::Fetch { key: self.key.clone(), range, cause })
    }

    /// The child no longer relies on a range: its place on the disk is given back.
    pub(crate) async fn release(&mut self, offset: u64, length: u64) -> Result<(), FeedError> {
        let range = self.check(offset, length)?;
        let run = blocks(&range);
        if bytes(&run, self.size) != range {
            return Err(FeedError::Refused(format!("bytes {range:?} are not whole blocks")));
        }
        let file = Arc::clone(&self.file);
        let punched = tokio::task::spawn_blocking(move || {
            use rustix::fs::{FallocateFlags, fallocate};
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(&*file, flags, range.start, range.end - range.start)
        });
        match punched.await {
            Ok(Ok(())) => {}
            // The bytes stay, which costs room but breaks nothing.
            failed => tracing::debug!(?failed, path = %self.path.display(), "no hole"),
        }
        for block in run {
            self.resident.remove(&block);
        }
        Ok(())
    }

    /// A range within the source, not empty and not longer than what is released at once.
    fn check(&self, offset: u64, length: u64) -> Result<Range<u64>, FeedError> {
        match offset.checked_add(length) {
            Some(end) if length > 0 && end <= self.size && length <= MAX_RESIDENT => Ok(offset..end),
            _ => Err(FeedError::Refused(format!(
                "the child asks for {length} bytes at {offset} of a source of {} bytes",
                self.size
            ))),
        }
    }

    async fn fetch(&self, range: Range<u64>) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let body = self.objects.open(&self.key, Some(range.clone())).await.map_err(|error| text(&error))?;
        let mut body = body.ok_or("the object is gone")?;
        if body.size != self.size {
            return Err(format!("expected an object of {} bytes, it has {}", self.size, body.size));
        }
        let (mut at, mut pieces, mut waiting) = (range.start, Vec::new(), 0);
        while let Some(piece) = body.stream.next().await {
            let piece = piece.map_err(|error| text(&error))?;
            waiting += piece.len();
            if at + waiting as u64 > range.end {
                return Err(format!("expected {} bytes, more came", range.end - range.start));
            }
            pieces.push(piece);
            if waiting >= WRITE_BYTES {
                self.write(std::mem::take(&mut pieces), at).await.map_err(|error| text(&error))?;
                at += std::mem::take(&mut waiting) as u64;
            }
        }
        self.write(pieces, at).await.map_err(|error| text(&error))?;
        at += waiting as u64;
        if at < range.end {
            return Err(format!("expected {} bytes, {} came", range.end - range.start, at - range.start));
        }
        Ok(())
    }

    async fn write(&self, pieces: Vec<Bytes>, mut at: u64) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        let write = move || {
            for piece in pieces {
                file.write_all_at(&piece, at)?;
                at += piece.len() as u64;
            }
            Ok(())
        };
        tokio::task::spawn_blocking(write).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}
