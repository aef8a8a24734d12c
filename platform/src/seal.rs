//! Sealing small objects: AES-256-GCM under a key made for them, bound to the storage key that they lie under.

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use lectern_domain::keys::StillsKey;
use zeroize::Zeroizing;

use crate::clock::random_bytes;

const NONCE: usize = 12;
/// Raised when the form changes.
const VERSION: u8 = 1;

/// Seals and opens objects under one key.
pub struct Seal(Aes256Gcm);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(redacted)")
    }
}

impl Seal {
    /// Under a key.
    pub fn new(key: &StillsKey) -> Self {
        Self(Aes256Gcm::new_from_slice(key.expose()).expect("32 bytes are a key of AES-256"))
    }

    /// Version, nonce and ciphertext of an object for a storage key.
    pub fn seal(&self, storage_key: &str, clear: &[u8]) -> Vec<u8> {
        let nonce = random_bytes::<NONCE>();
        let payload = Payload { msg: clear, aad: storage_key.as_bytes() };
        let sealed = self.0.encrypt(&Nonce::from(nonce), payload).expect("an object fits into memory");
        [&[VERSION], nonce.as_slice(), &sealed].concat()
    }

    /// What was sealed. `None`: it is damaged, or was sealed under another key or for another storage key.
    pub fn open(&self, storage_key: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (VERSION, rest) = sealed.split_first().map(|(version, rest)| (*version, rest))? else {
            return None;
        };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        let payload = Payload { msg: sealed, aad: storage_key.as_bytes() };
        self.0.decrypt(&Nonce::from(*nonce), payload).ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use lectern_domain::{Timestamp, ids::PackageId, keys::AssetSecret};

    use super::*;

    #[test]
    fn what_was_sealed_opens_there_and_nowhere_else() {
        let package = |number| PackageId::generate(Timestamp::UNIX_EPOCH, &[number; 10]);
        let secret = AssetSecret::from_bytes([7; 32]);
        let seal = Seal::new(&secret.stills_key(package(1)));
        let sealed = seal.seal("a/poster.jpg", b"a picture");
        assert_eq!(seal.open("a/poster.jpg", &sealed).as_deref().map(Vec::as_slice), Some(&b"a picture"[..]));
        assert!(!sealed.windows(9).any(|window| window == b"a picture"));
        assert_ne!(sealed, seal.seal("a/poster.jpg", b"a picture"), "a fresh nonce each time");
        assert!(seal.open("b/poster.jpg", &sealed).is_none());
        let other = Seal::new(&secret.stills_key(package(2)));
        assert!(other.open("a/poster.jpg", &sealed).is_none());
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(seal.open("a/poster.jpg", &damaged).is_none(), "{at}");
            assert!(seal.open("a/poster.jpg", &sealed[..at]).is_none(), "{at}");
        }
    }
}
