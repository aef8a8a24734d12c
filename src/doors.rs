//! Opens the doors that a URL in the configuration chooses.

use std::sync::Arc;

use lectern_ingest::s3_events::Place;
use lectern_platform::{
    objects::{DiskObjects, S3Location, S3Objects, SharedObjects},
    sqs::Inbox,
};

use crate::config::Config;

/// Whether objects are in a bucket rather than in a folder.
pub(crate) fn are_in_s3(config: &Config) -> bool {
    config.objects.url.starts_with("s3:")
}

/// The object store. A bucket is not asked for anything yet, so that a service that is down for a moment keeps nobody
/// from starting: readiness tells.
pub(crate) async fn open_objects(config: &Config) -> anyhow::Result<SharedObjects> {
    if are_in_s3(config) {
        return Ok(Arc::new(S3Objects::open(&config.objects.url, None).await?));
    }
    let folder = config.objects_folder()?;
    let alone = config.database_url().starts_with("sqlite:");
    Ok(Arc::new(if alone {
        DiskObjects::open(folder).await?
    } else {
        DiskObjects::open_shared(folder).await?
    }))
}

/// The queue that the bucket tells of its objects, if there is one.
pub(crate) async fn open_bucket_events(config: &Config) -> anyhow::Result<Option<(Inbox, Place)>> {
    if config.uploads.s3_events_url.is_empty() {
        return Ok(None);
    }
    let S3Location { bucket, prefix, .. } = S3Location::parse(&config.objects.url)?;
    let inbox = Inbox::open(&config.uploads.s3_events_url, None).await?;
    Ok(Some((inbox, Place { bucket, prefix })))
}
