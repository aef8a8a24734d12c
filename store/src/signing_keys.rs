//! Keys that sign access and playback tokens. Private halves are wrapped by the vault before they come here.

use lectern_domain::Timestamp;
use uuid::Uuid;

use crate::{
    Db, Error,
    row::{FromRow, Row},
    statement::statements,
    value::args,
};

statements! {
    INSERT = both(
        "INSERT INTO signing_keys (id, purpose, public_key, wrapped_private, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT DO NOTHING"
    );
    LIST = both(
        "SELECT id, public_key, wrapped_private, created_at, retired_at FROM signing_keys WHERE purpose = $1 \
         ORDER BY created_at DESC, id DESC"
    );
}

/// One signing key.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// The `kid` of tokens and of the JWKS.
    pub id: Uuid,
    /// Ed25519 public key, 32 bytes.
    pub public_key: Vec<u8>,
    /// PKCS#8, wrapped.
    pub wrapped_private: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stopped signing.
    pub retired_at: Option<Timestamp>,
}

impl FromRow for SigningKey {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            public_key: row.get("public_key")?,
            wrapped_private: row.get("wrapped_private")?,
            created_at: row.get("created_at")?,
            retired_at: row.maybe("retired_at")?,
        })
    }
}

/// Stores a new key for a purpose (`access`, `playback`), unless one signs for it already.
pub async fn insert(db: &Db, purpose: &str, key: SigningKey) -> Result<(), Error> {
    db.execute(INSERT, args![key.id, purpose, key.public_key, key.wrapped_private, key.created_at]).await?;
    Ok(())
}

/// Every key of a purpose, newest first.
pub async fn list(db: &Db, purpose: &str) -> Result<Vec<SigningKey>, Error> {
    db.fetch_all(LIST, args![purpose]).await
}
