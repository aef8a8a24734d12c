//! Key material: one secret per asset, everything else derived from it.
//!
//! Types here print as redacted, are wiped when dropped, and give their bytes through one method only, so that every
//! use can be found by searching for `expose`.

use std::fmt;

use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::ids::{AssetId, Kid, PackageId};

/// How the segments of a package are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// Clear segments.
    None,
    /// Whole-segment AES-128-CBC (RFC 8216bis, 4.4.4.4, METHOD=AES-128). Encryption, not DRM: a player that gets the
    /// key sees it.
    #[serde(rename = "aes-128")]
    Aes128,
}

impl Protection {
    /// The name in the database, on the command line and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Aes128 => "aes-128",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::Aes128].into_iter().find(|protection| protection.as_str() == text)
    }
}

/// Which tracks of an asset share a content key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackClass {
    /// Every video rung.
    Video,
    /// Every audio track.
    Audio,
}

impl TrackClass {
    /// The name in the database and in key derivation. Changing one changes every derived key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Video, Self::Audio].into_iter().find(|class| class.as_str() == text)
    }
}

/// The context under which the vault wraps an asset's secret: it opens for that asset only.
pub fn secret_context(asset: AssetId) -> String {
    format!("asset secret|{asset}")
}

/// The 256-bit secret of one asset. Stored only wrapped by the vault.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct AssetSecret([u8; 32]);

impl AssetSecret {
    /// Takes 32 bytes from a cryptographic source.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the vault to wrap.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key that the stills of a package are sealed under: HKDF-SHA-256 (RFC 5869) with the package's id as salt and
    /// `lectern stills` as info. It has no KID: no player ever gets it.
    pub fn stills_key(&self, package: PackageId) -> StillsKey {
        let mut key = [0u8; 32];
        Hkdf::<Sha256>::new(Some(package.uuid().as_bytes()), &self.0)
            .expand(b"lectern stills", &mut key)
            .expect("32 bytes is a valid HKDF output length");
        StillsKey(key)
    }

    /// The content key of a KID in a key period for a track class: HKDF-SHA-256 (RFC 5869) with the KID as salt and
    /// `lectern content key|class|period` as info.
    pub fn content_key(&self, kid: Kid, period: u32, class: TrackClass) -> ContentKey {
        let mut key = [0u8; 16];
        let info = format!("lectern content key|{}|{period}", class.as_str());
        Hkdf::<Sha256>::new(Some(kid.uuid().as_bytes()), &self.0)
            .expand(info.as_bytes(), &mut key)
            .expect("16 bytes is a valid HKDF output length");
        ContentKey(key)
    }
}

impl fmt::Debug for AssetSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AssetSecret(redacted)")
    }
}

/// The 256-bit key of a package's stills.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct StillsKey([u8; 32]);

impl StillsKey {
    /// The bytes, for the cipher.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for StillsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StillsKey(redacted)")
    }
}

/// A 128-bit content key.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ContentKey([u8; 16]);

impl ContentKey {
    /// Takes the bytes of a key that was made elsewhere.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the cipher or for a granted key response.
    pub const fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(redacted)")
    }
}

/// The names of a content key: what a package stores, with no key material in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyName {
    /// The public name.
    pub kid: Kid,
    /// Which tracks it opens.
    pub class: TrackClass,
    /// Position in time within the asset, from 0.
    pub period: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    /// Stored secrets open under this text alone: another spelling would lose every encrypted lesson.
    #[test]
    fn the_context_of_a_secret_stays_as_it_was() {
        let asset = "ast_018f2f3a5c7b7cc3a1b2c3d4e5f60718".parse().unwrap();
        assert_eq!(secret_context(asset), "asset secret|ast_018f2f3a5c7b7cc3a1b2c3d4e5f60718");
    }

    #[test]
    fn every_part_of_the_name_changes_the_key_and_nothing_prints_it() {
        let secret = AssetSecret::from_bytes([9; 32]);
        let kid = Kid::generate(Timestamp::UNIX_EPOCH, &[1; 10]);
        let other = Kid::generate(Timestamp::UNIX_EPOCH, &[2; 10]);
        let key = secret.content_key(kid, 0, TrackClass::Video);
        assert_eq!(key, secret.content_key(kid, 0, TrackClass::Video));
        assert_ne!(key, secret.content_key(other, 0, TrackClass::Video));
        assert_ne!(key, secret.content_key(kid, 1, TrackClass::Video));
        assert_ne!(key, secret.content_key(kid, 0, TrackClass::Audio));
        assert_ne!(key, AssetSecret::from_bytes([8; 32]).content_key(kid, 0, TrackClass::Video));
        assert_eq!(format!("{secret:?} {key:?}"), "AssetSecret(redacted) ContentKey(redacted)");
    }
}
