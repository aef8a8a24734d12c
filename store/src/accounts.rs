//! Accounts and their refresh tokens.

use lectern_domain::{
    Timestamp,
    account::Role,
    ids::{TokenFamilyId, UserId},
};
use uuid::Uuid;

use crate::{
    Db, Error, Tx,
    row::{FromRow, Row},
    statement::statements,
    value::args,
};

/// The columns of a [`User`].
macro_rules! user {
    () => {
        "id, email, name, role, created_at, disabled_at"
    };
}

/// The columns of a [`RefreshToken`].
macro_rules! token {
    () => {
        "id, family_id, user_id, token_hash, created_at, expires_at, used_at, revoked_at"
    };
}

statements! {
    INSERT = both(
        "INSERT INTO users (id, email, name, password_hash, role, created_at) VALUES ($1, $2, $3, $4, $5, $6)"
    );
    GET = both(concat!("SELECT ", user!(), " FROM users WHERE id = $1"));
    GET_BY_EMAIL = both(concat!("SELECT ", user!(), ", password_hash FROM users WHERE email = $1"));
    /// Holds the account until the transaction ends: two refreshes of one user never run side by side. On SQLite the
    /// transaction itself has the write lock.
    GET_LOCKED = split(
        concat!("SELECT ", user!(), " FROM users WHERE id = $1"),
        concat!("SELECT ", user!(), " FROM users WHERE id = $1 FOR NO KEY UPDATE"),
    );
    SET_DISABLED = both("UPDATE users SET disabled_at = $2 WHERE id = $1");

    INSERT_TOKEN = both(
        "INSERT INTO refresh_tokens (id, family_id, user_id, token_hash, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6)"
    );
    GET_TOKEN = both(concat!("SELECT ", token!(), " FROM refresh_tokens WHERE token_hash = $1"));
    USE_TOKEN = both(
        "UPDATE refresh_tokens SET used_at = $2 \
         WHERE id = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $2"
    );
    REVOKE_FAMILY = both(
        "UPDATE refresh_tokens SET revoked_at = $2 WHERE family_id = $1 AND revoked_at IS NULL"
    );
    USED_SINCE = both(
        concat!("SELECT ", token!(), " FROM refresh_tokens WHERE family_id = $1 AND id <> $2 AND used_at >= $3 LIMIT 1")
    );
    SUPERSEDE = both(
        "UPDATE refresh_tokens SET revoked_at = $2 \
         WHERE family_id = $1 AND used_at IS NULL AND revoked_at IS NULL"
    );
    DELETE_EXPIRED_TOKENS = both("DELETE FROM refresh_tokens WHERE user_id = $1 AND expires_at <= $2");
}

/// An account, without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Whose.
    pub id: UserId,
    /// Lower case, unique.
    pub email: String,
    /// As shown to others.
    pub name: String,
    /// What the account may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it may not sign in.
    pub disabled_at: Option<Timestamp>,
}

impl FromRow for User {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            email: row.get("email")?,
            name: row.get("name")?,
            role: row.word("role", Role::parse)?,
            created_at: row.get("created_at")?,
            disabled_at: row.maybe("disabled_at")?,
        })
    }
}

/// An account and the hash of its password (PHC string). `Debug` leaves the hash out.
pub struct Credentials {
    /// The account.
    pub user: User,
    /// argon2id, with its parameters and salt.
    pub password_hash: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl FromRow for Credentials {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self { user: User::from_row(row)?, password_hash: row.get("password_hash")? })
    }
}

/// Stores a new account. A taken e-mail address is a unique violation.
pub async fn insert(db: &Db, user: &User, password_hash: &str) -> Result<(), Error> {
    let args = args![
        user.id,
        user.email.as_str(),
        user.name.as_str(),
        password_hash,
        user.role.as_str(),
        user.created_at,
    ];
    db.execute(INSERT, args).await?;
    Ok(())
}

/// One account.
pub async fn get(db: &Db, user: UserId) -> Result<Option<User>, Error> {
    db.fetch_optional(GET, args![user]).await
}

/// The account of a lower-case e-mail address.
pub async fn credentials(db: &Db, email: &str) -> Result<Option<Credentials>, Error> {
    db.fetch_optional(GET_BY_EMAIL, args![email]).await
}

/// One account, held against every other transaction that also asks for it so, until this one ends.
pub async fn get_locked(tx: &mut Tx, user: UserId) -> Result<Option<User>, Error> {
    tx.fetch_optional(GET_LOCKED, args![user]).await
}

/// Disables an account from a time on, or enables it again. False if there is none.
pub async fn set_disabled(db: &Db, user: UserId, since: Option<Timestamp>) -> Result<bool, Error> {
    Ok(db.execute(SET_DISABLED, args![user, since]).await? == 1)
}

/// A refresh token as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// Row id.
    pub id: Uuid,
    /// Every token that began with the same login.
    pub family: TokenFamilyId,
    /// Whose.
    pub user: UserId,
    /// SHA-256 of the token.
    pub hash: Vec<u8>,
    /// When it was given out.
    pub created_at: Timestamp,
    /// Exclusive.
    pub expires_at: Timestamp,
    /// When it was exchanged for the next.
    pub used_at: Option<Timestamp>,
    /// When its family was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshToken")
            .field("family", &self.family)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl FromRow for RefreshToken {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            family: row.get("family_id")?,
            user: row.get("user_id")?,
            hash: row.get("token_hash")?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            used_at: row.maybe("used_at")?,
            revoked_at: row.maybe("revoked_at")?,
        })
    }
}

/// Stores a fresh token (its `used_at` and `revoked_at` are taken for absent).
pub async fn insert_refresh_token(tx: &mut Tx, token: RefreshToken) -> Result<(), Error> {
    let args = args![token.id, token.family, token.user, token.hash, token.created_at, token.expires_at];
    tx.execute(INSERT_TOKEN, args).await?;
    Ok(())
}

/// The token with this SHA-256.
pub async fn refresh_token(tx: &mut Tx, hash: &[u8]) -> Result<Option<RefreshToken>, Error> {
    tx.fetch_optional(GET_TOKEN, args![hash]).await
}

/// Marks a token as used. True for exactly one caller, and only while it is unused, unrevoked and unexpired.
pub async fn use_refresh_token(tx: &mut Tx, token: Uuid, now: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(USE_TOKEN, args![token, now]).await? == 1)
}

/// Whether another token of its family was used when `token` was, or later: what came after `token` has arrived.
pub async fn successor_used(tx: &mut Tx, token: &RefreshToken) -> Result<bool, Error> {
    let Some(used_at) = token.used_at else { return Ok(false) };
    let args = args![token.family, token.id, used_at];
    Ok(tx.fetch_optional::<RefreshToken>(USED_SINCE, args).await?.is_some())
}

/// Revokes what a family has not used yet, and nothing else: a new token takes its place.
pub async fn supersede(tx: &mut Tx, family: TokenFamilyId, now: Timestamp) -> Result<(), Error> {
    tx.execute(SUPERSEDE, args![family, now]).await?;
    Ok(())
}

/// Revokes every token of a family.
pub async fn revoke_family(tx: &mut Tx, family: TokenFamilyId, now: Timestamp) -> Result<(), Error> {
    tx.execute(REVOKE_FAMILY, args![family, now]).await?;
    Ok(())
}

/// Forgets a user's tokens that can no longer be used anyway.
pub async fn delete_expired_tokens(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<(), Error> {
    tx.execute(DELETE_EXPIRED_TOKENS, args![user, now]).await?;
    Ok(())
}
