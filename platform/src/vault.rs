//! The vault wraps small secrets (asset secrets, signing keys) with a master key that never leaves it.
//!
//! Wrapped form: one version byte, a 96-bit random nonce, AES-256-GCM ciphertext and tag. The context (what the secret
//! is for) is authenticated, so a wrapped secret moved to another row does not open.

use std::{
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
};

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::clock::random_bytes;

const VERSION: u8 = 1;
const NONCE: usize = 12;

/// Why a secret could not be wrapped or unwrapped. Never says what the secret was.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Wrong master key, wrong context, or damaged bytes.
    #[error("a wrapped secret does not open: the master key changed, or the stored bytes are damaged")]
    DoesNotOpen,
    /// The master key is unusable.
    #[error("master key: {0}")]
    MasterKey(String),
    /// Reading or writing the master key file failed.
    #[error("master key file {path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Wraps and unwraps. Asynchronous, so that a key service over the network fits.
#[async_trait]
pub trait Vault: Send + Sync + std::fmt::Debug {
    /// Encrypts `secret` for `context`.
    async fn wrap(&self, context: &str, secret: &[u8]) -> Result<Vec<u8>, VaultError>;
    /// Decrypts what [`Vault::wrap`] made for the same context.
    async fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError>;
}

/// A vault over a master key held in memory.
pub struct MasterKeyVault {
    cipher: Aes256Gcm,
}

impl std::fmt::Debug for MasterKeyVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKeyVault(redacted)")
    }
}

impl MasterKeyVault {
    /// From 32 bytes in base64, as set in the environment or a mounted secret.
    pub fn from_base64(text: &SecretString) -> Result<Self, VaultError> {
        let bytes =
            Zeroizing::new(STANDARD.decode(text.expose_secret().trim()).map_err(|_| {
                VaultError::MasterKey("expected 32 bytes in base64, got something else".into())
            })?);
        Self::from_bytes(&bytes)
    }

    /// From a 0600 file, made with a fresh key if it is missing.
    pub fn open_or_create(path: &Path) -> Result<Self, VaultError> {
        let fail = |source| VaultError::File { path: path.display().to_string(), source };
        if !path.exists() {
            let key = Zeroizing::new(random_bytes::<32>());
            // Written whole under another name first: a crash never leaves half a key.
            let partial = path.with_extension("partial");
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&partial)
                .map_err(fail)?;
            let text = Zeroizing::new(STANDARD.encode(key.as_slice()));
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)?;
            // A second process that lost the race keeps the winner's key.
            match std::fs::hard_link(&partial, path) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(fail(error)),
                _ => std::fs::remove_file(&partial).map_err(fail)?,
            }
        }
        let mode = std::fs::metadata(path).map_err(fail)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(VaultError::MasterKey(format!(
                "{} can be read by others (mode {mode:o}); expected 600: run chmod 600 on it",
                path.display()
            )));
        }
        let text = SecretString::from(std::fs::read_to_string(path).map_err(fail)?);
        Self::from_base64(&text)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, VaultError> {
        let cipher = Aes256Gcm::new_from_slice(bytes)
            .map_err(|_| VaultError::MasterKey(format!("expected 32 bytes, got {}", bytes.len())))?;
        Ok(Self { cipher })
    }

    /// As a shared trait object.
    pub fn shared(self) -> Arc<dyn Vault> {
        Arc::new(self)
    }
}

#[async_trait]
impl Vault for MasterKeyVault {
    async fn wrap(&self, context: &str, secret: &[u8]) -> Result<Vec<u8>, VaultError> {
        let nonce = random_bytes::<NONCE>();
        let payload = Payload { msg: secret, aad: context.as_bytes() };
        let sealed =
            self.cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| VaultError::DoesNotOpen)?;
        Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
    }

    async fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (version, rest) = wrapped.split_first().ok_or(VaultError::DoesNotOpen)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(VaultError::DoesNotOpen)?;
        if *version != VERSION {
            return Err(VaultError::DoesNotOpen);
        }
        let payload = Payload { msg: sealed, aad: context.as_bytes() };
        self.cipher
            .decrypt(&Nonce::from(*nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| VaultError::DoesNotOpen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_opens_only_whole_with_its_context_and_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let vault = MasterKeyVault::open_or_create(&path).unwrap();
        let wrapped = vault.wrap("asset a", b"secret").await.unwrap();
        assert!(!wrapped.windows(6).any(|window| window == b"secret"));
        let again = MasterKeyVault::open_or_create(&path).unwrap();
        assert_eq!(again.unwrap("asset a", &wrapped).await.unwrap().as_slice(), b"secret");
        assert!(again.unwrap("asset b", &wrapped).await.is_err());
        for cut in 0..wrapped.len() {
            assert!(again.unwrap("asset a", &wrapped[..cut]).await.is_err());
        }
        for at in 0..wrapped.len() {
            let mut damaged = wrapped.clone();
            damaged[at] ^= 1;
            assert!(again.unwrap("asset a", &damaged).await.is_err());
        }
        let other = MasterKeyVault::open_or_create(&folder.path().join("other.key")).unwrap();
        assert!(other.unwrap("asset a", &wrapped).await.is_err());
    }

    #[test]
    fn a_key_file_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        MasterKeyVault::open_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(MasterKeyVault::open_or_create(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn bad_key_text_is_refused() {
        for text in ["", "short", "AAAA", "not base64 at all!"] {
            assert!(MasterKeyVault::from_base64(&SecretString::from(text)).is_err());
        }
    }
}
