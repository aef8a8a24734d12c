//! Part files: what has come of each open upload. A file's length is the upload's offset.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use lectern_domain::ids::UploadId;
use tokio::{
    fs,
    task::{JoinHandle, spawn_blocking},
};

const SUFFIX: &str = ".part";
/// Bytes gathered before they are written. One such piece is being written while the next one is gathered.
const PIECE_BYTES: usize = 256 * 1024;
/// Bytes written before a sync begins beside the writing: bounds the last sync, and what a power cut can take.
const SYNC_BYTES: u64 = 64 << 20;

/// The folder of part files.
#[derive(Debug, Clone)]
pub(crate) struct PartFiles {
    folder: Arc<Path>,
}

impl PartFiles {
    pub(crate) async fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder).await?;
        Ok(Self { folder: folder.into() })
    }

    pub(crate) fn path(&self, upload: UploadId) -> PathBuf {
        self.folder.join(format!("{upload}{SUFFIX}"))
    }

    /// Bytes there; `None` when there is no file.
    pub(crate) async fn length(&self, upload: UploadId) -> io::Result<Option<u64>> {
        match fs::metadata(self.path(upload)).await {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens for writing at the end, making the file (durably) if it is missing.
    pub(crate) async fn writer(&self, upload: UploadId) -> io::Result<PartWriter> {
        let (path, folder) = (self.path(upload), self.folder.clone());
        blocking(move || {
            let new = !path.exists();
            let file = File::options().write(true).create(true).truncate(false).open(&path)?;
            if new {
                File::open(folder)?.sync_all()?;
            }
            let length = file.metadata()?.len();
            Ok(PartWriter {
                file: Arc::new(file),
                start: length,
                end: length,
                synced: length,
                sync_from: length,
                gathered: Vec::new(),
                gathered_bytes: 0,
                writing: None,
                syncing: None,
            })
        })
        .await
    }

    /// Removes the file. None there is fine.
    pub(crate) async fn remove(&self, upload: UploadId) -> io::Result<()> {
        match fs::remove_file(self.path(upload)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Uploads that have a part file. Anything else in the folder is not ours and is left alone.
    pub(crate) async fn list(&self) -> io::Result<Vec<UploadId>> {
        let mut entries = fs::read_dir(&self.folder).await?;
        let mut found = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name();
            found.extend(name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse::<UploadId>().ok()));
        }
        Ok(found)
    }

    /// Bytes that an unprivileged process may still write to this disk.
    pub(crate) async fn free_bytes(&self) -> io::Result<u64> {
        let folder = self.folder.clone();
        blocking(move || {
            let stat = rustix::fs::statvfs(&*folder)?;
            Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
        })
        .await
    }
}

/// Appends to a part file: bounded pieces, one being written while the next comes in, synced before it is done.
#[derive(Debug)]
pub(crate) struct PartWriter {
    file: Arc<File>,
    /// Length when this writer began.
    start: u64,
    /// Length once everything given to it is written.
    end: u64,
    /// Up to here it is on disk.
    synced: u64,
    /// Where the next sync beside the writing counts from.
    sync_from: u64,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    writing: Option<JoinHandle<io::Result<()>>>,
    syncing: Option<(u64, JoinHandle<io::Result<()>>)>,
}

impl PartWriter {
    /// Length once everything given to it is written.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Takes bytes. Waits while two pieces are under way.
    pub(crate) async fn push(&mut self, bytes: Bytes) -> io::Result<()> {
        self.end += bytes.len() as u64;
        self.gathered_bytes += bytes.len();
        self.gathered.push(bytes);
        if self.gathered_bytes >= PIECE_BYTES { self.write().await } else { Ok(()) }
    }

    async fn write(&mut self) -> io::Result<()> {
        self.written().await?;
        let at = self.end - self.gathered_bytes as u64;
        if at - self.sync_from >= SYNC_BYTES {
            self.sync_ended().await?;
            let file = self.file.clone();
            self.syncing = Some((at, spawn_blocking(move || file.sync_data())));
            self.sync_from = at;
        }
        let (file, pieces) = (self.file.clone(), std::mem::take(&mut self.gathered));
        self.gathered_bytes = 0;
        self.writing = Some(spawn_blocking(move || {
            let mut at = at;
            for piece in pieces {
                file.write_all_at(&piece, at)?;
                at += piece.len() as u64;
            }
            Ok(())
        }));
        Ok(())
    }

    async fn written(&mut self) -> io::Result<()> {
        match self.writing.take() {
            Some(writing) => writing.await.map_err(io::Error::other)?,
            None => Ok(()),
        }
    }

    async fn sync_ended(&mut self) -> io::Result<()> {
        if let Some((at, syncing)) = self.syncing.take() {
            syncing.await.map_err(io::Error::other)??;
            self.synced = at;
        }
        Ok(())
    }

    /// Writes and syncs what was taken. Gives the file's length, which is now on disk.
    pub(crate) async fn finish(mut self) -> (u64, io::Result<()>) {
        let done = async {
            self.write().await?;
            self.written().await?;
            self.sync_ended().await?;
            let file = self.file.clone();
            blocking(move || file.sync_data()).await?;
            self.synced = self.end;
            io::Result::Ok(())
        };
        match done.await {
            Ok(()) => (self.end, Ok(())),
            Err(error) => (self.cut().await, Err(error)),
        }
    }

    /// Forgets everything this writer took.
    pub(crate) async fn undo(mut self) -> (u64, io::Result<()>) {
        let start = self.start;
        let _ = self.written().await;
        let _ = self.sync_ended().await;
        let file = self.file.clone();
        let result = blocking(move || {
            file.set_len(start)?;
            file.sync_data()
        });
        (start, result.await)
    }

    /// After a failed write or sync nobody knows what is on disk beyond the last sync that held: the file ends there.
    /// Gives that length.
    pub(crate) async fn cut(&mut self) -> u64 {
        let _ = self.written().await;
        let _ = self.sync_ended().await;
        let (file, length) = (self.file.clone(), self.synced);
        if let Err(error) = blocking(move || file.set_len(length).and_then(|()| file.sync_data())).await {
            tracing::error!(%error, "a part file could not be cut back after a failed write");
        }
        length
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
