//! Signed tokens: `EdDSA` JSON Web Tokens (RFC 8037) under keys kept in the database, wrapped by the vault.
//!
//! Access tokens say who is calling. Playback tokens are made by the license server on a [`Keyring`] of their own, so
//! that neither kind is ever taken for the other.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use lectern_domain::{
    account::Role,
    ids::{UserId, uuid_v7},
};
use lectern_store::{Db, signing_keys};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    clock::{Clock, random_bytes},
    http::Caller,
    vault::{Vault, VaultError},
};

/// Why a keyring could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The database.
    #[error(transparent)]
    Store(#[from] lectern_store::Error),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A key that cannot be made or read.
    #[error("signing key {0} is not usable")]
    Unusable(String),
}

struct Key {
    id: String,
    public: Vec<u8>,
    decoding: DecodingKey,
}

/// The keys of one purpose: the newest signs, all verify.
pub struct Keyring {
    purpose: &'static str,
    signing: (String, EncodingKey),
    verifying: Vec<Key>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring")
            .field("purpose", &self.purpose)
            .field("keys", &self.verifying.len())
            .finish_non_exhaustive()
    }
}

impl Keyring {
    /// Loads the keys of a purpose, making the first one if there is none.
    pub async fn load(
        db: &Db,
        vault: &dyn Vault,
        clock: &dyn Clock,
        purpose: &'static str,
    ) -> Result<Self, KeyringError> {
        let mut stored = signing_keys::list(db, purpose).await?;
        if stored.is_empty() {
            let id = uuid_v7(clock.now(), &random_bytes());
            let unusable = |_| KeyringError::Unusable(id.to_string());
            let pair = Ed25519KeyPair::generate().map_err(unusable)?;
            let private = pair.to_pkcs8().map_err(unusable)?;
            let wrapped_private = vault.wrap(&context(purpose), private.as_ref()).await?;
            let public_key = pair.public_key().as_ref().to_vec();
            let key = signing_keys::SigningKey {
                id,
                public_key,
                wrapped_private,
                created_at: clock.now(),
                retired_at: None,
            };
            signing_keys::insert(db, purpose, key).await?;
            // Read again: another process may have been first, and then its key signs.
            stored = signing_keys::list(db, purpose).await?;
        }
        let newest = stored
            .iter()
            .find(|key| key.retired_at.is_none())
            .ok_or_else(|| KeyringError::Unusable(format!("({purpose}: every key is retired)")))?;
        let private = vault.unwrap(&context(purpose), &newest.wrapped_private).await?;
        let signing = (newest.id.simple().to_string(), EncodingKey::from_ed_der(&private));
        let verifying = stored
            .iter()
            .map(|key| Key {
                id: key.id.simple().to_string(),
                public: key.public_key.clone(),
                decoding: DecodingKey::from_ed_der(&key.public_key),
            })
            .collect();
        Ok(Self { purpose, signing, verifying })
    }

    /// Signs claims as a compact JWT.
    pub fn sign<C: Serialize>(&self, claims: &C) -> String {
        let header = Header { kid: Some(self.signing.0.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &self.signing.1)
            .expect("a loaded key signs serialisable claims")
    }

    /// The claims of a token whose signature holds under one of our keys. Times are the caller's to check.
    pub fn verify<C: DeserializeOwned>(&self, token: &str) -> Option<C> {
        let id = jsonwebtoken::decode_header(token).ok()?.kid?;
        let key = self.verifying.iter().find(|key| key.id == id)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        // Expiry is checked against our own clock, audience by each kind's claims.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        jsonwebtoken::decode::<C>(token, &key.decoding, &validation).ok().map(|data| data.claims)
    }

    /// The public halves as a JWK set (RFC 7517).
    pub fn jwks(&self) -> serde_json::Value {
        let keys: Vec<_> = self
            .verifying
            .iter()
            .map(|key| {
                serde_json::json!({
                    "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
                    "kid": key.id, "x": URL_SAFE_NO_PAD.encode(&key.public),
                })
            })
            .collect();
        serde_json::json!({ "keys": keys })
    }
}

fn context(purpose: &str) -> String {
    format!("signing key|{purpose}")
}

#[derive(Serialize, Deserialize)]
struct AccessClaims {
    aud: String,
    sub: UserId,
    role: Role,
    iat: i64,
    exp: i64,
}

const AUDIENCE: &str = "lectern-api";

/// Makes and checks access tokens. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessTokens {
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    lifetime: Duration,
}

impl AccessTokens {
    /// Over a keyring of purpose `access`; tokens live for `lifetime`.
    pub fn new(keyring: Arc<Keyring>, clock: Arc<dyn Clock>, lifetime: Duration) -> Self {
        Self { keyring, clock, lifetime }
    }

    /// How long a token lives.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// A fresh token.
    pub fn issue(&self, caller: Caller) -> String {
        let iat = self.clock.now().unix_timestamp();
        let exp = iat + self.lifetime.as_secs() as i64;
        self.keyring.sign(&AccessClaims {
            aud: AUDIENCE.into(),
            sub: caller.user,
            role: caller.role,
            iat,
            exp,
        })
    }

    /// Who a token speaks for, if it is ours, for this audience, and not past its time.
    pub fn verify(&self, token: &str) -> Option<Caller> {
        let claims: AccessClaims = self.keyring.verify(token)?;
        (claims.aud == AUDIENCE && claims.exp > self.clock.now().unix_timestamp())
            .then_some(Caller { user: claims.sub, role: claims.role })
    }

    /// The public keys.
    pub fn jwks(&self) -> serde_json::Value {
        self.keyring.jwks()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{ManualClock, new_id},
        vault::MasterKeyVault,
    };

    #[tokio::test]
    async fn tokens_hold_until_their_time_and_not_across_purposes() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(&format!("sqlite:{}", folder.path().join("t.db").display())).await.unwrap();
        db.migrate().await.unwrap();
        let vault = MasterKeyVault::open_or_create(&folder.path().join("master.key")).unwrap();
        let clock = ManualClock::at(1_000_000);
        let access = Arc::new(Keyring::load(&db, &vault, &clock, "access").await.unwrap());
        let playback = Arc::new(Keyring::load(&db, &vault, &clock, "playback").await.unwrap());
        let tokens = AccessTokens::new(access.clone(), Arc::new(clock.clone()), Duration::from_mins(1));
        let caller = Caller { user: new_id(&clock, UserId::generate), role: Role::Instructor };
        let token = tokens.issue(caller);
        assert_eq!(tokens.verify(&token), Some(caller));

        // Loaded again, as after a restart.
        let again = Arc::new(Keyring::load(&db, &vault, &clock, "access").await.unwrap());
        let restarted = AccessTokens::new(again, Arc::new(clock.clone()), Duration::from_mins(1));
        assert_eq!(restarted.verify(&token), Some(caller));

        let foreign = AccessTokens::new(playback, Arc::new(clock.clone()), Duration::from_mins(1));
        assert_eq!(tokens.verify(&foreign.issue(caller)), None);
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(bytes).unwrap();
            // The last character of a base64 group may carry unused bits; those must not be accepted either.
            assert_eq!(tokens.verify(&tampered), None, "byte {at} of {token}");
        }
        for nonsense in ["", ".", "..", "a.b.c", "\u{0}", &"x".repeat(100_000)] {
            assert_eq!(tokens.verify(nonsense), None);
        }
        clock.advance(Duration::from_mins(1));
        assert_eq!(tokens.verify(&token), None);
        assert_eq!(tokens.jwks()["keys"].as_array().unwrap().len(), 1);
    }
}
