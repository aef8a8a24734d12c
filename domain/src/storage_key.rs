//! Storage keys: where an asset's bytes lie in the object store. Relative, so that a bucket can move; versioned, so
//! that what is published never changes.
//!
//! | prefix | what | who may read |
//! |---|---|---|
//! | `sources/` | uploaded originals | private |
//! | `work/` | clear segments between transcoder and packager | private, deleted once packaged |
//! | `packages/` | encrypted segments and manifests | everybody, immutable |

use crate::ids::{AssetId, JobId, PackageId};

/// The uploaded original of an asset.
pub fn source(asset: AssetId) -> String {
    format!("sources/{asset}/original")
}

/// Everything about the original of an asset.
pub fn source_prefix(asset: AssetId) -> String {
    format!("sources/{asset}/")
}

/// Clear intermediates of an asset.
pub fn work_prefix(asset: AssetId) -> String {
    format!("work/{asset}/")
}

/// Clear intermediates of one attempt of one job: a late attempt never overwrites another's bytes.
pub fn work_attempt_prefix(asset: AssetId, job: JobId, attempt: u32) -> String {
    format!("work/{asset}/{job}-{attempt}/")
}

/// One package version.
pub fn package_prefix(asset: AssetId, package: PackageId) -> String {
    format!("packages/{asset}/{package}/")
}

/// Every package version of an asset.
pub fn packages_prefix(asset: AssetId) -> String {
    format!("packages/{asset}/")
}
