//! Listing and deleting by prefix, a page at a time.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::{
    S3Objects,
    errors::{self, failed},
    timeouts, within,
};
use crate::objects::{Multipart as _, ObjectsError, check_prefix};

/// Objects that one request deletes.
const DELETE_AT_ONCE: usize = 1_000;
/// Deleting so many takes services longer than other requests: as long as if it carried this much.
const DELETING_BYTES: u64 = 4 << 20;

pub(super) async fn list(store: &S3Objects, prefix: &str) -> Result<Vec<String>, ObjectsError> {
    check_prefix(prefix)?;
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let (page, more) = store.page(prefix, after).await?;
        keys.extend(page.iter().filter_map(|key| store.stripped(key)));
        after = more;
        if after.is_none() {
            break;
        }
    }
    keys.sort();
    Ok(keys)
}

pub(super) async fn delete_prefix(store: &S3Objects, prefix: &str) -> Result<(), ObjectsError> {
    check_prefix(prefix)?;
    let mut after = None;
    loop {
        let (page, more) = store.page(prefix, after).await?;
        for keys in page.chunks(DELETE_AT_ONCE) {
            store.delete(prefix, keys).await?;
        }
        after = more;
        if after.is_none() {
            break;
        }
    }
    // What was being sent there must not appear later.
    for open in store.open_multiparts(Some(prefix)).await? {
        store.abort(&open.key, &open.id).await?;
    }
    Ok(())
}

impl S3Objects {
    async fn delete(&self, prefix: &str, keys: &[String]) -> Result<(), ObjectsError> {
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let objects: Result<Vec<_>, _> = objects.collect();
        let delete =
            objects.and_then(|objects| Delete::builder().set_objects(Some(objects)).quiet(true).build());
        let delete = delete.map_err(|error| errors::other("delete", prefix, error))?;
        let deleted = self
            .client()
            .delete_objects()
            .bucket(self.bucket())
            .delete(delete)
            .customize()
            .config_override(within(timeouts(DELETING_BYTES)))
            .send()
            .await
            .map_err(failed("delete", prefix))?;
        match deleted.errors().first() {
            None => Ok(()),
            Some(error) => Err(errors::other(
                "delete",
                error.key().unwrap_or(prefix),
                format!("{}: {}", error.code().unwrap_or("?"), error.message().unwrap_or_default()),
            )),
        }
    }

    /// One page of keys as the bucket has them, and whether more follow.
    async fn page(
        &self,
        prefix: &str,
        after: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), ObjectsError> {
        let page = self
            .client()
            .list_objects_v2()
            .bucket(self.bucket())
            .prefix(format!("{}{prefix}", self.prefix()))
            .set_continuation_token(after)
            .send()
            .await
            .map_err(failed("list", prefix))?;
        let more =
            page.is_truncated().unwrap_or_default().then(|| page.next_continuation_token.clone()).flatten();
        Ok((page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect(), more))
    }
}
