//! A house whose objects are in a bucket, and a client that sends its parts there.

use std::sync::Arc;

use lectern_domain::{
    ids::{AssetId, LessonId, UserId},
    storage_key,
};
use lectern_ingest::{IngestSettings, s3_events::Place};
use lectern_platform::{
    objects::{Completion, Multipart as _, MultipartId, S3Objects},
    testing::s3::S3Service,
};
use lectern_store::{
    Db,
    uploads::{self, UploadState},
};
use serde_json::{Value, json};

use super::{Answer, House, asset_state, probe_jobs, random};

pub const PATH: &str = "/api/v1/uploads/s3-multipart";
/// The smallest that every S3 takes, except for the last.
pub const PART: usize = 5 << 20;

/// A house whose objects are in a bucket of its own.
pub struct Direct {
    pub house: House,
    pub bucket: String,
    pub objects: S3Objects,
}

/// An upload under way.
pub struct Sending {
    pub id: String,
    pub asset: AssetId,
    pub bytes: Vec<u8>,
}

impl Direct {
    pub async fn open(db: Db, service: S3Service, settings: IngestSettings) -> Self {
        let bucket = service.make_bucket().await;
        let objects = service.open(&bucket).await.unwrap();
        let house = House::open_on(db, settings, Arc::new(objects.clone())).await;
        Self { house, bucket, objects }
    }

    pub async fn ask(&self, user: Option<UserId>, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.house
            .request(
                user,
                method,
                path,
                &[("Tus-Resumable", ""), ("Content-Type", "application/json")],
                &body,
            )
            .await
    }

    pub async fn owner(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask(Some(self.house.people.owner), method, path, body).await
    }

    pub fn creation(&self, size: u64) -> Value {
        creation(self.house.people.lesson, size)
    }

    /// Announces an upload for the first lesson.
    pub async fn create(&self, length: usize) -> Sending {
        self.create_for(self.house.people.lesson, length).await
    }

    pub async fn create_for(&self, lesson: LessonId, length: usize) -> Sending {
        let answer = self.owner("POST", PATH, &creation(lesson, length as u64)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let created = answer.json();
        assert_eq!(answer.header("lectern-asset-id"), created["asset_id"].as_str());
        let asset: AssetId = created["asset_id"].as_str().unwrap().parse().unwrap();
        assert_eq!(created["key"], storage_key::source(asset));
        Sending { id: created["uploadId"].as_str().unwrap().to_owned(), asset, bytes: random(length) }
    }

    pub async fn url(&self, sending: &Sending, number: usize) -> String {
        let answer = self.owner("GET", &format!("{PATH}/{}/{number}", sending.id), &Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.json()["expires"], 900);
        answer.json()["url"].as_str().unwrap().to_owned()
    }

    /// Sends bytes as a browser does: past the house. Gives the part as it is named in completing.
    pub async fn put(&self, sending: &Sending, number: usize, bytes: &[u8]) -> Value {
        let url = self.url(sending, number).await;
        let sent = reqwest::Client::new().put(url).body(bytes.to_vec()).send().await.unwrap();
        assert_eq!(sent.status(), 200);
        json!({"PartNumber": number, "ETag": sent.headers()["etag"].to_str().unwrap()})
    }

    /// Sends every part.
    pub async fn send(&self, sending: &Sending) -> Vec<Value> {
        let mut parts = Vec::new();
        for (index, bytes) in sending.bytes.chunks(PART).enumerate() {
            parts.push(self.put(sending, index + 1, bytes).await);
        }
        parts
    }

    pub async fn complete(&self, sending: &Sending, parts: &[Value]) -> Answer {
        self.owner("POST", &format!("{PATH}/{}/complete", sending.id), &json!({ "parts": parts })).await
    }

    /// Joins the parts in the bucket and tells nobody: as when the house dies just then.
    pub async fn complete_silently(&self, upload: &uploads::Upload) {
        let key = storage_key::source(upload.asset);
        let id = MultipartId(upload.multipart_id.clone().unwrap());
        let parts = self.objects.parts(&key, &id).await.unwrap().unwrap();
        assert_eq!(self.objects.complete(&key, &id, &parts).await.unwrap(), Completion::Done);
    }

    pub async fn row(&self, sending: &Sending) -> uploads::Upload {
        uploads::find(&self.house.db, sending.id.parse().unwrap()).await.unwrap().unwrap()
    }

    pub async fn assert_finished(&self, sending: &Sending) {
        assert_eq!(self.row(sending).await.state, UploadState::Finished);
        assert!(
            self.house.source(sending.asset).await.unwrap() == sending.bytes,
            "the source differs from what was sent"
        );
        assert_eq!(asset_state(&self.house.db, sending.asset).await, "probing");
        assert_eq!(probe_jobs(&self.house.db, sending.asset).await, 1);
        assert_eq!(self.open_multiparts().await, 0);
    }

    pub async fn open_multiparts(&self) -> usize {
        self.objects.open_multiparts(None).await.unwrap().len()
    }

    pub fn place(&self) -> Place {
        Place { bucket: self.bucket.clone(), prefix: String::new() }
    }

    /// What the bucket says when an object was created.
    pub fn event(&self, asset: AssetId) -> String {
        let key = storage_key::source(asset).replace('/', "%2F");
        json!({"Records": [{"eventName": "ObjectCreated:CompleteMultipartUpload",
            "s3": {"bucket": {"name": self.bucket}, "object": {"key": key}}}]})
        .to_string()
    }
}

pub fn creation(lesson: LessonId, size: u64) -> Value {
    json!({"filename": "lecture.mp4", "type": "video/mp4", "size": size, "metadata": {"lesson_id": lesson}})
}
