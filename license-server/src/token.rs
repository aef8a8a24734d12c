//! Playback tokens and native tokens: signed proof of one playback session.
//!
//! | kind | audience | held by | lives | bound to |
//! |---|---|---|---|---|
//! | playback | `lectern-playback` | players that send headers | minutes, renewed by heartbeats | session, user, asset, KIDs |
//! | native | `lectern-native` | per-session playlists | the viewing | session, and through it everything else |
//!
//! A native token stands in every key URI of a playlist, once for each segment, so it says no more than it must: the
//! session's row names user, asset and package.

use std::{sync::Arc, time::Duration};

use lectern_domain::{
    Timestamp,
    decision::Refusal,
    ids::{AssetId, Kid, SessionId, UserId},
};
use lectern_platform::tokens::Keyring;
use serde::{Deserialize, Serialize};

/// Which kind of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    #[serde(rename = "lectern-playback")]
    Playback,
    #[serde(rename = "lectern-native")]
    Native,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    #[serde(rename = "aud")]
    pub kind: Kind,
    #[serde(rename = "sid")]
    pub session: SessionId,
    /// Seconds since the Unix epoch.
    pub exp: i64,
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
}

/// What only a playback token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scope {
    #[serde(rename = "sub")]
    pub user: UserId,
    #[serde(rename = "ast")]
    pub asset: AssetId,
    pub kids: Vec<Kid>,
}

impl Claims {
    /// Whether the token covers a KID. A native token covers those of its session's package, which the facts tell.
    pub(crate) fn covers(&self, kid: Kid) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.kids.contains(&kid))
    }
}

/// Makes and checks both kinds.
#[derive(Debug, Clone)]
pub(crate) struct PlaybackTokens(Arc<Keyring>);

impl PlaybackTokens {
    pub(crate) fn new(keyring: Arc<Keyring>) -> Self {
        Self(keyring)
    }

    /// A playback token and when it expires.
    pub(crate) fn playback(
        &self,
        session: SessionId,
        scope: Scope,
        now: Timestamp,
        lifetime: Duration,
    ) -> (String, Timestamp) {
        let expires_at = expiry(now, lifetime);
        let exp = expires_at.unix_timestamp();
        (self.0.sign(&Claims { kind: Kind::Playback, session, exp, scope: Some(scope) }), expires_at)
    }

    /// A native token.
    pub(crate) fn native(&self, session: SessionId, now: Timestamp, lifetime: Duration) -> String {
        let exp = expiry(now, lifetime).unix_timestamp();
        self.0.sign(&Claims { kind: Kind::Native, session, exp, scope: None })
    }

    /// The claims of a token of one of these kinds, or why it is no good.
    pub(crate) fn check(
        &self,
        token: Option<&str>,
        kinds: &[Kind],
        now: Timestamp,
    ) -> Result<Claims, Refusal> {
        let token = token.filter(|token| !token.is_empty()).ok_or(Refusal::TokenMissing)?;
        let claims: Claims = self.0.verify(token).ok_or(Refusal::TokenInvalid)?;
        let whole = claims.scope.is_some() == (claims.kind == Kind::Playback);
        if !whole || !kinds.contains(&claims.kind) {
            return Err(Refusal::TokenInvalid);
        }
        if claims.exp <= now.unix_timestamp() {
            return Err(Refusal::TokenExpired);
        }
        Ok(claims)
    }
}

/// To the whole second below, which is what tokens keep.
fn expiry(now: Timestamp, lifetime: Duration) -> Timestamp {
    let exp = now.unix_timestamp().saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX));
    Timestamp::from_unix_timestamp(exp).unwrap_or(now)
}
