//! Typed identifiers: a UUIDv7 shown with a prefix that names its kind (`ast_…`).
//!
//! To add one: a line in the `ids!` list below.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use uuid::{Builder, Uuid};

use crate::Timestamp;

/// A string that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id like {prefix}_018f2f3a5c7b7cc3a1b2c3d4e5f60718, got {got:?}")]
pub struct IdError {
    prefix: &'static str,
    got: String,
}

/// Makes a UUIDv7 from a time and ten random bytes, both given by the caller.
pub fn uuid_v7(now: Timestamp, random: &[u8; 10]) -> Uuid {
    let ms = u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    Builder::from_unix_timestamp_millis(ms, random).into_uuid()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix shown before the UUID.
            pub const PREFIX: &'static str = $prefix;
            /// Wraps a UUID that is known to be of this kind.
            pub const fn from_uuid(uuid: Uuid) -> Self { Self(uuid) }
            /// The UUID inside.
            pub const fn uuid(self) -> Uuid { self.0 }
            /// A new id; later ids sort after earlier ones.
            pub fn generate(now: Timestamp, random: &[u8; 10]) -> Self { Self(uuid_v7(now, random)) }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(self, f) }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .filter(|hex| hex.len() == 32)
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or_else(|| IdError { prefix: $prefix, got: text.chars().take(64).collect() })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A person with an account.
    UserId = "usr";
    /// A course.
    CourseId = "crs";
    /// A lesson of a course.
    LessonId = "les";
    /// What an instructor uploads and a learner plays.
    AssetId = "ast";
    /// The captions of an asset in one language, as they came once.
    CaptionId = "cap";
    /// One tus transfer.
    UploadId = "upl";
    /// One published (or building) version of an asset's segments and manifests.
    PackageId = "pkg";
    /// A unit of background work.
    JobId = "job";
    /// One running process of Lectern, the owner of leases.
    ProcessId = "prc";
    /// One viewing on one device.
    SessionId = "ses";
    /// A chain of refresh tokens that began with one login.
    TokenFamilyId = "fam";
    /// A content key's public name (CENC `default_KID`, ISO/IEC 23001-7 clause 8.2).
    Kid = "kid";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form_and_no_other_kind_reads_it() {
        let id = AssetId::generate(Timestamp::UNIX_EPOCH, &[7; 10]);
        assert_eq!(id.to_string().parse::<AssetId>(), Ok(id));
        assert!(id.to_string().parse::<UserId>().is_err());
        for bad in [
            "",
            "ast_",
            "ast_zz",
            "ast_018f2f3a-5c7b-7cc3-a1b2-c3d4e5f60718",
            "018f2f3a5c7b7cc3a1b2c3d4e5f60718",
        ] {
            assert!(bad.parse::<AssetId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_sort_by_time() {
        let early = JobId::generate(Timestamp::UNIX_EPOCH, &[0xff; 10]);
        let late = JobId::generate(Timestamp::UNIX_EPOCH + time::Duration::milliseconds(1), &[0; 10]);
        assert!(early < late);
    }
}
