//! The two forms in which the bytes of uploads by tus are kept, and a look at them behind the program's back.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, sync::Arc};

use lectern_domain::storage_key;
use lectern_ingest::{IngestSettings, IngestState};
use lectern_platform::{
    objects::{Completion, Multipart as _, MultipartId, Objects as _, S3Objects, StoredPart},
    testing::s3::S3Service,
};
use lectern_store::{
    Db,
    testing::{on_both_engines, on_sqlite},
    upload_parts::{self, Part},
    uploads::{self, Upload},
};

use super::House;

/// How the bytes of uploads by tus are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In part files; objects on a disk.
    File,
    /// In parts of multipart uploads; objects in a bucket of Garage.
    Parts,
}

/// Runs a test on each form and each database.
pub async fn on_every_form<F, Fut>(test: F)
where
    F: Fn(Form, Db) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    for form in [Form::File, Form::Parts] {
        println!("{form:?}");
        on_both_engines(|db| test(form, db)).await;
    }
}

/// Runs a test on each form, with SQLite.
pub async fn on_forms<F, Fut>(test: F)
where
    F: Fn(Form, Db) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    for form in [Form::File, Form::Parts] {
        println!("{form:?}");
        on_sqlite(|db| Box::pin(test(form, db))).await;
    }
}

impl House {
    /// With objects where a form has them.
    pub async fn open_in(form: Form, db: Db, settings: IngestSettings) -> Self {
        match form {
            Form::File => Self::open(db, settings).await,
            Form::Parts => {
                let service = S3Service::garage();
                let bucket = service.make_bucket().await;
                Self::open_bucket(db, settings, service.open(&bucket).await.unwrap()).await
            }
        }
    }

    /// With objects in a bucket.
    pub async fn open_bucket(db: Db, settings: IngestSettings, objects: S3Objects) -> Self {
        let mut house = Self::open_on(db, settings, Arc::new(objects.clone())).await;
        house.bucket = Some(objects);
        house
    }

    /// Another process on the same database and bucket.
    pub fn of(
        other: &Self,
        state: IngestState,
        address: SocketAddr,
        folder: PathBuf,
        bucket: S3Objects,
        temporary: tempfile::TempDir,
    ) -> Self {
        Self {
            db: other.db.clone(),
            tokens: state.tokens.clone(),
            state,
            people: other.people.clone(),
            clock: other.clock.clone(),
            address,
            folder,
            bucket: Some(bucket),
            calls: other.calls.clone(),
            _temporary: temporary,
        }
    }

    pub async fn upload(&self, path: &str) -> Upload {
        let id = path.rsplit('/').next().unwrap().parse().unwrap();
        uploads::find(&self.db, id).await.unwrap().unwrap()
    }

    /// Bytes that are kept of an upload and count.
    pub async fn kept(&self, path: &str) -> u64 {
        if self.bucket.is_none() {
            return std::fs::metadata(self.part(path)).map_or(0, |metadata| metadata.len());
        }
        let upload = self.upload(path).await;
        upload_parts::standing(&self.db, upload.id).await.unwrap().unwrap().offset()
    }

    /// Whether anything is kept of an upload, whether or not it counts, other than its source.
    pub async fn has_bytes(&self, path: &str) -> bool {
        let Some(bucket) = &self.bucket else { return self.part(path).exists() };
        let upload = self.upload(path).await;
        let tails = bucket.list(&storage_key::upload_prefix(upload.id)).await.unwrap();
        let open = bucket.open_multiparts(None).await.unwrap();
        let named = upload.multipart_id.unwrap();
        !tails.is_empty()
            || open.iter().any(|open| open.id.0 == named)
            || !upload_parts::list(&self.db, upload.id).await.unwrap().is_empty()
    }

    /// What is kept of all uploads: part files, or multipart uploads and tails.
    pub async fn left(&self) -> usize {
        match &self.bucket {
            None => std::fs::read_dir(self.folder.join("uploads")).unwrap().count(),
            Some(bucket) => {
                let tails = bucket.list(storage_key::UPLOADS).await.unwrap().len();
                tails + bucket.open_multiparts(None).await.unwrap().len()
            }
        }
    }

    /// Appends bytes as a process does that dies just after.
    pub async fn append_silently(&self, path: &str, bytes: &[u8]) {
        let Some(bucket) = &self.bucket else {
            let file = std::fs::OpenOptions::new().append(true).open(self.part(path));
            file.unwrap().write_all(bytes).unwrap();
            return;
        };
        let upload = self.upload(path).await;
        let standing = upload_parts::take(&self.db, upload.id).await.unwrap().unwrap();
        let tail = match standing.tail {
            None => Vec::new(),
            Some(tail) => bucket.get(&tail.key).await.unwrap().unwrap().to_vec(),
        };
        let number =
            upload_parts::reserve(&self.db, upload.id, standing.epoch, 10_000).await.unwrap().unwrap();
        let (key, id) = (storage_key::source(upload.asset), MultipartId(upload.multipart_id.unwrap()));
        let put = bucket.put_part(&key, &id, number, [tail, bytes.to_vec()].concat().into()).await.unwrap();
        let part = Part { number, bytes: put.bytes, etag: put.etag };
        assert!(upload_parts::record(&self.db, upload.id, standing.epoch, &part).await.unwrap());
    }

    /// Makes the source of what is kept and tells nobody.
    pub async fn complete_silently(&self, path: &str) {
        let upload = self.upload(path).await;
        let key = storage_key::source(upload.asset);
        let Some(bucket) = &self.bucket else {
            return self.state.objects.put_file(&key, &self.part(path)).await.unwrap();
        };
        let parts = upload_parts::list(&self.db, upload.id).await.unwrap();
        let parts: Vec<_> = parts
            .into_iter()
            .map(|part| StoredPart { number: part.number, etag: part.etag, bytes: part.bytes })
            .collect();
        let id = MultipartId(upload.multipart_id.unwrap());
        assert_eq!(bucket.complete(&key, &id, &parts).await.unwrap(), Completion::Done);
    }
}
