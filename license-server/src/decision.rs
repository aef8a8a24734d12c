//! The steps that everything decided goes through: who asks, what is true, may they, write it down, answer.

use std::net::IpAddr;

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use lectern_domain::{
    Timestamp,
    decision::{Refusal, may_play},
    ids::{Kid, SessionId},
};
use lectern_platform::{
    clock::{new_id, random_bytes},
    http::{Problem, client_address},
};
use lectern_store::playback::{self, AuditRow, SessionChange, SessionFacts};

use crate::{
    LicenseState,
    token::{Claims, Kind},
};

/// Why something was not given.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The rules say no.
    Refused(Refusal),
    /// The rules were not asked or could not be followed; the reason for the audit row, if one can be written.
    Broken(Problem, Option<&'static str>),
    /// Like [`Stop::Refused`], answered in the words of the routes that take access tokens.
    SignedOut(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<lectern_store::Error> for Stop {
    fn from(error: lectern_store::Error) -> Self {
        tracing::error!(%error, "the facts of a decision could not be read");
        Self::Broken(unavailable(), None)
    }
}

/// 503: we cannot tell or cannot write down, so we do not give.
pub(crate) fn unavailable() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "playback cannot be checked right now; try again in a few seconds",
    )
    .retry_after(2)
}

/// A refusal as a problem document.
pub(crate) fn refused(refusal: Refusal) -> Problem {
    let status = match refusal {
        Refusal::TokenMissing | Refusal::TokenInvalid | Refusal::TokenExpired => StatusCode::UNAUTHORIZED,
        _ => StatusCode::FORBIDDEN,
    };
    Problem::new(status, refusal.as_str(), refusal.sentence())
}

/// The address a request came from, for the audit log and for the limit on strangers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client(pub Option<IpAddr>);

impl FromRequestParts<LicenseState> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &LicenseState) -> Result<Self, Self::Rejection> {
        Ok(Self(client_address(parts, state.settings.trust_forwarded_for)))
    }
}

/// One decision on its way: when it is made and what is known so far, for its audit row.
pub(crate) struct Ask {
    pub now: Timestamp,
    pub row: AuditRow,
    client: Client,
}

impl Ask {
    pub(crate) fn new(state: &LicenseState, action: &str, client: Client) -> Self {
        let now = state.clock.now();
        let row = AuditRow {
            id: lectern_domain::ids::uuid_v7(now, &random_bytes()),
            at: now,
            action: action.to_owned(),
            user: None,
            session: None,
            lesson: None,
            asset: None,
            kid: None,
            granted: false,
            reason: String::new(),
            client: client.0.map_or_else(|| "unknown".to_owned(), |address| address.to_string()),
        };
        Self { now, row, client }
    }

    /// The token's part of the check.
    pub(crate) fn token(
        &mut self,
        state: &LicenseState,
        token: Option<&str>,
        kinds: &[Kind],
    ) -> Result<Claims, Refusal> {
        let claims = state.playback.check(token, kinds, self.now)?;
        self.row.session = Some(claims.session);
        self.row.user = claims.scope.as_ref().map(|scope| scope.user);
        self.row.asset = claims.scope.as_ref().map(|scope| scope.asset);
        Ok(claims)
    }

    /// The session's part and the rules: live, bound to what the token says, allowed now.
    pub(crate) async fn session(
        &mut self,
        state: &LicenseState,
        claims: &Claims,
        kid: Option<Kid>,
    ) -> Result<SessionFacts, Stop> {
        let found = playback::session_facts(&state.db, claims.session, kid, self.now).await?;
        let found = found.ok_or(Refusal::SessionEnded)?;
        self.row.user = Some(found.facts.user);
        self.row.lesson = Some(found.lesson);
        self.row.asset = Some(found.asset);
        let bound =
            claims.scope.as_ref().is_none_or(|s| s.user == found.facts.user && s.asset == found.asset);
        if !bound {
            return Err(Refusal::TokenInvalid.into());
        }
        let idle =
            claims.kind == Kind::Playback && found.last_seen_at + state.settings.session_idle <= self.now;
        if found.ended_at.is_some() || idle {
            return Err(Refusal::SessionEnded.into());
        }
        may_play(&found.facts, self.now)?;
        Ok(found)
    }

    /// Writes the decision down, and what it does to the session if it is granted; then gives what was granted or says
    /// why not. What is not written down is not given.
    pub(crate) async fn settle<T>(
        mut self,
        state: &LicenseState,
        outcome: Result<(T, Option<SessionChange>), Stop>,
    ) -> (Result<T, Problem>, &'static str) {
        let (reason, change, answer) = match outcome {
            Ok((given, change)) => ("granted", change, Ok(given)),
            Err(Stop::Refused(refusal)) => (refusal.as_str(), None, Err(refused(refusal))),
            Err(Stop::SignedOut(refusal)) => (refusal.as_str(), None, Err(Problem::unauthenticated())),
            Err(Stop::Broken(problem, Some(reason))) => (reason, None, Err(problem)),
            Err(Stop::Broken(problem, None)) => return (Err(problem), "unavailable"),
        };
        // A stranger, who shows nothing that we signed, could fill the log with refusals of nobody in particular.
        let stranger = answer.is_err() && self.row.user.is_none() && self.row.session.is_none();
        if stranger && let Err(wait) = state.strangers.check(self.client.0, "") {
            let detail = "too many requests without a valid token; wait a little and try again";
            return (Err(Problem::too_many_requests(detail, wait)), "too_many_requests");
        }
        self.row.granted = answer.is_ok();
        reason.clone_into(&mut self.row.reason);
        match state.audit.append(self.row, change).await {
            Ok(()) => (answer, reason),
            Err(crate::audit::NotWritten) => (Err(unavailable()), "unavailable"),
        }
    }
}

/// What a use does to the session: it was seen, written down only when the last time is long enough ago, so that most
/// uses write nothing but their audit row.
pub(crate) fn seen(
    state: &LicenseState,
    session: SessionId,
    found: &SessionFacts,
    now: Timestamp,
) -> Option<SessionChange> {
    (found.last_seen_at + state.settings.session_idle / 10 <= now).then_some(SessionChange::Seen(session))
}

/// A new session's id.
pub(crate) fn new_session(state: &LicenseState) -> SessionId {
    new_id(&*state.clock, SessionId::generate)
}
