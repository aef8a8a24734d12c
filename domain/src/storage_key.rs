//! Storage keys: where an asset's bytes lie in the object store. Relative, so that a bucket can move; versioned, so
//! that what is published never changes.
//!
//! | prefix | what | who may read |
//! |---|---|---|
//! | `sources/` | uploaded originals | private |
//! | `uploads/` | the last bytes of uploads under way, while they are too few for a part | private, deleted with the upload's end |
//! | `work/` | clear segments between transcoder and packager | private, deleted once packaged |
//! | `packages/` | encrypted segments, manifests, sealed stills | everybody, immutable but for the playlists that [grow](is_growing) |

use crate::ids::{AssetId, JobId, PackageId, UploadId};

/// The uploaded original of an asset.
pub fn source(asset: AssetId) -> String {
    format!("sources/{asset}/original")
}

/// Everything about the original of an asset.
pub fn source_prefix(asset: AssetId) -> String {
    format!("sources/{asset}/")
}

/// Everything about uploads under way.
pub const UPLOADS: &str = "uploads/";

/// What an open upload has beside its parts.
pub fn upload_prefix(upload: UploadId) -> String {
    format!("{UPLOADS}{upload}/")
}

/// What one writer of an open upload left beside its parts.
pub fn upload_epoch_prefix(upload: UploadId, epoch: u64) -> String {
    format!("{UPLOADS}{upload}/{epoch}/")
}

/// The last bytes of an upload as one writer left them: `epoch` is that writer's, and `name` its own.
pub fn upload_tail(upload: UploadId, epoch: u64, name: &str) -> String {
    format!("{UPLOADS}{upload}/{epoch}/{name}")
}

/// Whose tail lies under a storage key, and of which epoch.
pub fn parse_upload_tail(key: &str) -> Option<(UploadId, u64)> {
    let mut segments = key.strip_prefix(UPLOADS)?.split('/');
    let found = (segments.next()?.parse().ok()?, segments.next()?.parse().ok()?);
    (segments.next().is_some() && segments.next().is_none()).then_some(found)
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

/// The multivariant playlist of a whole package, within it.
pub const MULTIVARIANT: &str = "multivariant.m3u8";

/// The multivariant playlist of a package that is being made, within it: its media playlists grow.
pub const GROWING_MULTIVARIANT: &str = "multivariant.growing.m3u8";

/// The growing media playlist of a track.
pub fn growing_playlist(track: &str) -> String {
    format!("{track}.growing.m3u8")
}

/// Whether a file of a package changes: the playlists of what is being made do. No track has a dot in its name.
pub fn is_growing(file: &str) -> bool {
    file.ends_with(".growing.m3u8")
}

/// A still of a package, sealed.
pub fn still(asset: AssetId, package: PackageId, name: &str) -> String {
    format!("packages/{asset}/{package}/stills/{name}.sealed")
}

/// Every package version of an asset.
pub fn packages_prefix(asset: AssetId) -> String {
    format!("packages/{asset}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_told_from_what_never_changes() {
        assert!(is_growing(GROWING_MULTIVARIANT) && is_growing(&growing_playlist("720p")));
        for file in [MULTIVARIANT, "720p.m3u8", "growing.m3u8", "720p/seg-00001.m4s"] {
            assert!(!is_growing(file), "{file}");
        }
    }

    #[test]
    fn tails_are_told_from_what_is_not_ours() {
        let upload = "upl_018f2f3a5c7b7cc3a1b2c3d4e5f60718".parse().unwrap();
        let tail = upload_tail(upload, 7, "tail");
        assert_eq!(parse_upload_tail(&tail), Some((upload, 7)));
        assert!(tail.starts_with(&upload_epoch_prefix(upload, 7)));
        assert!(upload_epoch_prefix(upload, 7).starts_with(&upload_prefix(upload)));
        let other = tail.replace("/7/", "/x/");
        for key in [
            "uploads/notes.txt",
            "uploads/upl_1/7/tail",
            &other,
            &upload_prefix(upload),
            &format!("{tail}/x"),
        ] {
            assert_eq!(parse_upload_tail(key), None, "{key}");
        }
    }
}
