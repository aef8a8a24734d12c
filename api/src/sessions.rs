//! Signed-in sessions: a short access token and a refresh token that works once.
//!
//! A refresh token is 256 random bits; only its SHA-256 is stored. Every token that began with one sign-in is of one
//! family. Using a token twice means that two parties hold it, and nobody can tell which is the thief: the family is
//! revoked.
//!
//! One exception, for answers that never arrive (a page reloaded while it refreshes): for [`GRACE`] after its use a
//! token is answered again, as long as nothing that came from it was used. What was given out before is then revoked,
//! and whoever shows it still ends the family: two parties are found out at the next refresh at the latest.

use std::time::Duration;

use axum::http::StatusCode;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use lectern_domain::{
    Timestamp,
    account::Role,
    ids::{TokenFamilyId, UserId, uuid_v7},
};
use lectern_platform::{
    clock::{new_id, random_bytes},
    http::{Caller, Problem},
};
use lectern_store::{
    Tx,
    accounts::{self, RefreshToken, User},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::ApiState;

/// How long after its use a refresh token is answered once more.
const GRACE: Duration = Duration::from_secs(10);

/// An account as its holder sees it.
#[derive(Debug, Serialize)]
pub(crate) struct UserView {
    id: UserId,
    email: String,
    name: String,
    role: Role,
    #[serde(with = "time::serde::rfc3339")]
    created_at: Timestamp,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        let User { id, email, name, role, created_at, .. } = user;
        Self { id, email, name, role, created_at }
    }
}

/// The answer to a sign-in. No `Debug`: it holds tokens.
#[derive(Serialize)]
pub(crate) struct SessionView {
    user: UserView,
    access_token: String,
    refresh_token: String,
    expires_in: u64,
}

fn hash(token: &SecretString) -> Vec<u8> {
    Sha256::digest(token.expose_secret()).to_vec()
}

/// Begins a session: the first tokens of a new family.
pub(crate) async fn begin(state: &ApiState, user: User) -> Result<SessionView, Problem> {
    let family = new_id(&*state.clock, TokenFamilyId::generate);
    let mut tx = state.db.begin().await?;
    let session = issue(state, &mut tx, user, family).await?;
    tx.commit().await?;
    Ok(session)
}

async fn issue(
    state: &ApiState,
    tx: &mut Tx,
    user: User,
    family: TokenFamilyId,
) -> Result<SessionView, Problem> {
    let now = state.clock.now();
    let token = SecretString::from(URL_SAFE_NO_PAD.encode(random_bytes::<32>()));
    let row = RefreshToken {
        id: uuid_v7(now, &random_bytes()),
        family,
        user: user.id,
        hash: hash(&token),
        created_at: now,
        expires_at: now + state.settings.refresh_lifetime,
        used_at: None,
        revoked_at: None,
    };
    accounts::insert_refresh_token(tx, row).await?;
    Ok(SessionView {
        access_token: state.tokens.issue(Caller { user: user.id, role: user.role }),
        refresh_token: token.expose_secret().to_owned(),
        expires_in: state.tokens.lifetime().as_secs(),
        user: user.into(),
    })
}

/// Exchanges a refresh token for the next session of its family.
pub(crate) async fn refresh(state: &ApiState, token: &SecretString) -> Result<SessionView, Problem> {
    let now = state.clock.now();
    let mut tx = state.db.begin().await?;
    let held = accounts::refresh_token(&mut tx, &hash(token)).await?.ok_or_else(invalid)?;
    // From here on no other transaction refreshes or revokes anything of this user: a token issued beside a
    // revocation would survive it.
    let user = accounts::get_locked(&mut tx, held.user).await?.ok_or_else(invalid)?;
    if user.disabled_at.is_some() {
        return Err(disabled());
    }
    if accounts::use_refresh_token(&mut tx, held.id, now).await? {
        accounts::delete_expired_tokens(&mut tx, user.id, now).await?;
        let session = issue(state, &mut tx, user, held.family).await?;
        tx.commit().await?;
        return Ok(session);
    }
    // Read again: it may have been used while this transaction waited for the account.
    let held = accounts::refresh_token(&mut tx, &hash(token)).await?.ok_or_else(invalid)?;
    if held.used_at.is_some_and(|used_at| now < used_at + GRACE)
        && held.revoked_at.is_none()
        && !accounts::successor_used(&mut tx, &held).await?
    {
        accounts::supersede(&mut tx, held.family, now).await?;
        let session = issue(state, &mut tx, user, held.family).await?;
        tx.commit().await?;
        return Ok(session);
    }
    if held.used_at.is_some() || held.revoked_at.is_some() {
        // Revoked but never used: superseded, or its family ended already and this changes nothing.
        accounts::revoke_family(&mut tx, held.family, now).await?;
        tx.commit().await?;
    }
    if held.used_at.is_none() {
        return Err(invalid());
    }
    tracing::warn!(user = %held.user, family = %held.family, "refresh token used twice, family revoked");
    Err(Problem::new(
        StatusCode::UNAUTHORIZED,
        "refresh_reused",
        "this refresh token was used before, so every token of this sign-in is revoked; sign in again",
    ))
}

/// Ends a session: revokes the token's family. An unknown token is as good as a revoked one.
pub(crate) async fn end(state: &ApiState, token: &SecretString) -> Result<(), Problem> {
    let now = state.clock.now();
    let mut tx = state.db.begin().await?;
    let Some(held) = accounts::refresh_token(&mut tx, &hash(token)).await? else { return Ok(()) };
    accounts::get_locked(&mut tx, held.user).await?;
    accounts::revoke_family(&mut tx, held.family, now).await?;
    tx.commit().await?;
    Ok(())
}

/// 403: the account is disabled.
pub(crate) fn disabled() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "user_disabled", "this account has been disabled; ask your school")
}

fn invalid() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "refresh_invalid",
        "this refresh token is unknown, revoked or expired; sign in again",
    )
}
