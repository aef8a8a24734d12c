//! The distributed object store: a bucket of any S3 service.
//!
//! Time limits, which also hold on a connection that has gone silent: connecting 3 s; an attempt 10 s and 1 s for every
//! 256 KiB that it carries; all attempts of a request together 45 s and 2 s for every 256 KiB, so 109 s for a part of a
//! file. A body that is read may be silent for 10 s, then the rest is asked for again; it fails a minute after its last
//! byte.
//!
//! Memory: a file is sent as parts of 8 MiB (more above 80 GB), four at a time, so 32 MiB. Reading holds what the network
//! brings. Each write carries a CRC32 that the service checks and keeps.

mod errors;
mod keys;
mod location;
mod multipart;
mod reading;

use std::{
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation,
        StalledStreamProtectionConfig,
        retry::{RetryConfig, RetryPartition, TokenBucket},
        timeout::TimeoutConfig,
    },
    operation::head_object::HeadObjectError,
    types::{ChecksumAlgorithm, ServerSideEncryption},
};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use secrecy::{ExposeSecret as _, SecretString};

use self::errors::failed;
use super::{Multipart, ObjectBody, Objects, ObjectsError, check_key};

pub use location::{S3Location, Sse};

/// Connecting takes no longer.
const CONNECT: Duration = Duration::from_secs(3);
/// An attempt of a request that carries next to nothing.
const ATTEMPT: Duration = Duration::from_secs(10);
/// All attempts of such a request.
const OPERATION: Duration = Duration::from_secs(45);
/// What a line must carry at least, bytes a second.
const SLOWEST_LINE: u64 = 256 << 10;
/// The SDK waits longer and at random between them, up to [`LONGEST_PAUSE`]: a quarter of a minute in all, enough for a
/// service that restarts.
const ATTEMPTS: u32 = 14;
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// The object that [`Objects::check`] writes, and how often at most.
const CHECK_KEY: &str = ".lectern-check";
const CHECK_WRITES_EVERY: Duration = Duration::from_mins(1);
/// Readiness is asked for often and must not wait long.
const CHECK: Duration = Duration::from_secs(5);

/// Credentials given by hand. Usually they come from where AWS tools look: environment, profile, role of the instance.
#[derive(Debug, Clone)]
pub struct S3Credentials {
    /// The access key's id.
    pub access_key: String,
    /// Its secret.
    pub secret_key: SecretString,
}

impl From<S3Credentials> for Credentials {
    fn from(given: S3Credentials) -> Self {
        Self::new(given.access_key, given.secret_key.expose_secret(), None, None, "configuration")
    }
}

/// Objects in a bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct S3Objects(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    /// Signs URLs for browsers: their endpoint, and no checksum that was computed over nothing.
    presigner: Client,
    location: S3Location,
    /// When a check last wrote.
    written: Mutex<Option<Instant>>,
}

/// Limits for a request that carries `bytes`.
fn timeouts(bytes: u64) -> TimeoutConfig {
    let carrying = Duration::from_secs(bytes / SLOWEST_LINE);
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT + carrying)
        .operation_timeout(OPERATION + carrying * 2)
        .build()
}

/// A request's configuration with other limits than those of a small one.
fn within(timeouts: TimeoutConfig) -> Builder {
    Builder::default().timeout_config(timeouts)
}

impl S3Objects {
    /// Opens the bucket that an `s3:` URL names. Asks it nothing yet: see [`Objects::check`].
    pub async fn open(url: &str, credentials: Option<S3Credentials>) -> Result<Self, ObjectsError> {
        let location = S3Location::parse(url)?;
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        // Other services than AWS mostly do not care; without any, the SDK would ask the metadata service of a cloud.
        let default = location.endpoint.as_ref().map(|_| "us-east-1".to_owned());
        let from_environment =
            || std::env::var("AWS_REGION").or_else(|_| std::env::var("AWS_DEFAULT_REGION")).ok();
        if let Some(region) = location.region.clone().or_else(from_environment).or(default) {
            loader = loader.region(Region::new(region));
        }
        if let Some(credentials) = credentials {
            loader = loader.credentials_provider(Credentials::from(credentials));
        }
        let shared = loader.load().await;
        let mut config = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(location.path_style)
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS)
                    .with_initial_backoff(Duration::from_millis(200))
                    .with_max_backoff(LONGEST_PAUSE),
            )
            // Requests do not take each other's retries: the SDK's budget is gone after a second in which a few of them
            // fail at the same time. Pauses at random, and the limits, are what keeps retries from piling up.
            .retry_partition(
                RetryPartition::custom("lectern-objects").token_bucket(TokenBucket::unlimited()).build(),
            )
            // What this does is done here by limits that also hold before the first byte.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(timeouts(0));
        if let Some(endpoint) = &location.endpoint {
            config = config.endpoint_url(endpoint.as_str());
        }
        let mut presigner =
            config.clone().request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        if let Some(endpoint) = &location.public_endpoint {
            presigner = presigner.endpoint_url(endpoint.as_str());
        }
        Ok(Self(Arc::new(Inner {
            client: Client::from_conf(config.build()),
            presigner: Client::from_conf(presigner.build()),
            location,
            written: Mutex::default(),
        })))
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.0.location.bucket
    }

    /// What every key in the bucket begins with: empty, or ending in `/`.
    pub fn prefix(&self) -> &str {
        &self.0.location.prefix
    }

    fn client(&self) -> &Client {
        &self.0.client
    }

    /// A storage key as the bucket has it.
    fn full(&self, key: &str) -> Result<String, ObjectsError> {
        check_key(key)?;
        Ok(format!("{}{key}", self.0.location.prefix))
    }

    /// A storage key from one of the bucket's.
    fn stripped(&self, key: &str) -> Option<String> {
        key.strip_prefix(&self.0.location.prefix).map(str::to_owned)
    }

    /// What every write says about encryption: algorithm and key.
    fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        match &self.0.location.sse {
            None => (None, None),
            Some(Sse::Aes256) => (Some(ServerSideEncryption::Aes256), None),
            Some(Sse::Kms(key)) => (Some(ServerSideEncryption::AwsKms), key.clone()),
        }
    }

    async fn put_within(&self, key: &str, bytes: Bytes, limits: TimeoutConfig) -> Result<(), ObjectsError> {
        let (algorithm, kms_key) = self.encryption();
        self.client()
            .put_object()
            .bucket(self.bucket())
            .key(self.full(key)?)
            .set_server_side_encryption(algorithm)
            .set_ssekms_key_id(kms_key)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(bytes.into())
            .customize()
            .config_override(within(limits))
            .send()
            .await
            .map(drop)
            .map_err(failed("put", key))
    }
}

#[async_trait]
impl Objects for S3Objects {
    fn path(&self, _: &str) -> Option<std::path::PathBuf> {
        None
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), ObjectsError> {
        let limits = timeouts(bytes.len() as u64);
        self.put_within(key, bytes, limits).await
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<(), ObjectsError> {
        check_key(key)?;
        multipart::send_file(self, key, file).await?;
        tokio::fs::remove_file(file).await.map_err(|source| errors::io("put", key, source))
    }

    async fn size(&self, key: &str) -> Result<Option<u64>, ObjectsError> {
        let head = self.client().head_object().bucket(self.bucket()).key(self.full(key)?).send().await;
        match head {
            Ok(head) => Ok(Some(head.content_length().unwrap_or_default().cast_unsigned())),
            Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => Ok(None),
            Err(error) => Err(failed("size", key)(error)),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, ObjectsError> {
        let Some(body) = self.open(key, None).await? else { return Ok(None) };
        let bytes = body.stream.try_fold(BytesMut::new(), |mut all, piece| {
            all.extend_from_slice(&piece);
            futures::future::ready(Ok(all))
        });
        Ok(Some(bytes.await.map_err(|source| errors::io("get", key, source))?.freeze()))
    }

    async fn open(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<ObjectBody>, ObjectsError> {
        let full = self.full(key)?;
        reading::open(self, key, full, range).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, ObjectsError> {
        keys::list(self, prefix).await
    }

    async fn delete_prefix(&self, prefix: &str) -> Result<(), ObjectsError> {
        keys::delete_prefix(self, prefix).await
    }

    async fn check(&self) -> Result<(), ObjectsError> {
        let limits = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(CHECK)
            .operation_timeout(CHECK)
            .build();
        self.client()
            .head_bucket()
            .bucket(self.bucket())
            .customize()
            .config_override(within(limits.clone()))
            .send()
            .await
            .map_err(failed("check", self.bucket()))?;
        let written = *self.0.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.is_none_or(|at| at.elapsed() >= CHECK_WRITES_EVERY) {
            self.put_within(CHECK_KEY, Bytes::new(), limits).await?;
            *self.0.written.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        Ok(())
    }

    fn multipart(&self) -> Option<&dyn Multipart> {
        Some(self)
    }
}
