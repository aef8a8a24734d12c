//! The embedded object store: a folder.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::{
    fs,
    io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _},
};
use tokio_util::io::ReaderStream;

use super::{ObjectBody, Objects, ObjectsError, check_key, check_prefix};

/// Pieces that a stream hands out.
const READ_BYTES: usize = 256 * 1024;

/// Objects as files below a root folder.
#[derive(Debug, Clone)]
pub struct DiskObjects {
    root: PathBuf,
    partial: PathBuf,
}

impl DiskObjects {
    /// Opens (or makes) the folder. Half-written objects of an earlier process are removed: no other may be writing.
    pub async fn open(root: PathBuf) -> Result<Self, ObjectsError> {
        match fs::remove_dir_all(root.join(".partial")).await {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(ObjectsError::Io { action: "open", key: root.display().to_string(), source })
            }
            _ => Self::open_shared(root).await,
        }
    }

    /// Opens (or makes) a folder that several processes share.
    pub async fn open_shared(root: PathBuf) -> Result<Self, ObjectsError> {
        let partial = root.join(".partial");
        let fail = |source| ObjectsError::Io { action: "open", key: root.display().to_string(), source };
        fs::create_dir_all(&partial).await.map_err(fail)?;
        Ok(Self { root, partial })
    }

    fn place_of(&self, key: &str) -> Result<PathBuf, ObjectsError> {
        check_key(key)?;
        Ok(self.root.join(key))
    }

    fn partial_path(&self) -> PathBuf {
        self.partial.join(uuid::Uuid::new_v4().simple().to_string())
    }

    /// Moves a finished, synced file to its place and makes the move durable.
    async fn place(&self, from: &Path, to: &Path) -> io::Result<()> {
        let folder = to.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).await?;
        fs::rename(from, to).await?;
        fs::File::open(folder).await?.sync_all().await
    }
}

fn failed(action: &'static str, key: &str) -> impl FnOnce(io::Error) -> ObjectsError {
    let key = key.to_owned();
    move |source| ObjectsError::Io { action, key, source }
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Objects for DiskObjects {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), ObjectsError> {
        let path = self.place_of(key)?;
        let partial = self.partial_path();
        let write = async {
            let mut file = fs::File::create_new(&partial).await?;
            file.write_all(&bytes).await?;
            file.sync_all().await?;
            self.place(&partial, &path).await
        };
        let result = write.await;
        if result.is_err() {
            let _ = fs::remove_file(&partial).await;
        }
        result.map_err(failed("put", key))
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<(), ObjectsError> {
        let path = self.place_of(key)?;
        let write = async {
            fs::File::open(file).await?.sync_all().await?;
            // One rename, so that a crash leaves the file either where it was or in its place.
            match self.place(file, &path).await {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
                done => return done,
            }
            // On another file system: copied, and removed only once the copy is in its place.
            let partial = self.partial_path();
            let copy = async {
                fs::copy(file, &partial).await?;
                fs::File::open(&partial).await?.sync_all().await?;
                self.place(&partial, &path).await
            };
            if let Err(error) = copy.await {
                let _ = fs::remove_file(&partial).await;
                return Err(error);
            }
            fs::remove_file(file).await
        };
        write.await.map_err(failed("put", key))
    }

    async fn size(&self, key: &str) -> Result<Option<u64>, ObjectsError> {
        let metadata = found(fs::metadata(self.place_of(key)?).await).map_err(failed("size", key))?;
        Ok(metadata.filter(std::fs::Metadata::is_file).map(|metadata| metadata.len()))
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, ObjectsError> {
        if self.size(key).await?.is_none() {
            return Ok(None);
        }
        Ok(found(fs::read(self.place_of(key)?).await).map_err(failed("get", key))?.map(Bytes::from))
    }

    async fn open(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<ObjectBody>, ObjectsError> {
        let path = self.place_of(key)?;
        let open = async {
            let Some(mut file) = found(fs::File::open(&path).await)? else { return Ok(None) };
            let metadata = file.metadata().await?;
            if !metadata.is_file() {
                return Ok(None);
            }
            let size = metadata.len();
            let range = range.unwrap_or(0..size);
            let start = range.start.min(size);
            let length = range.end.min(size).saturating_sub(start);
            file.seek(io::SeekFrom::Start(start)).await?;
            let stream = ReaderStream::with_capacity(file.take(length), READ_BYTES).boxed();
            Ok(Some(ObjectBody { size, stream }))
        };
        open.await.map_err(failed("open", key))
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        self.place_of(key).ok()
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, ObjectsError> {
        check_prefix(prefix)?;
        let walk = async {
            let mut keys = Vec::new();
            let mut folders = vec![prefix.trim_end_matches('/').to_owned()];
            while let Some(folder) = folders.pop() {
                let Some(mut entries) = found(fs::read_dir(self.root.join(&folder)).await)? else { continue };
                while let Some(entry) = entries.next_entry().await? {
                    let key = format!("{folder}/{}", entry.file_name().to_string_lossy());
                    if entry.file_type().await?.is_dir() { folders.push(key) } else { keys.push(key) }
                }
            }
            keys.sort();
            Ok(keys)
        };
        walk.await.map_err(failed("list", prefix))
    }

    async fn delete_prefix(&self, prefix: &str) -> Result<(), ObjectsError> {
        check_prefix(prefix)?;
        found(fs::remove_dir_all(self.root.join(prefix)).await).map(drop).map_err(failed("delete", prefix))
    }

    async fn check(&self) -> Result<(), ObjectsError> {
        let probe = self.partial_path();
        let write = async {
            fs::write(&probe, b"").await?;
            fs::remove_file(&probe).await
        };
        write.await.map_err(failed("check", ".partial"))
    }
}
