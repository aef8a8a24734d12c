//! What every role's HTTP has in common: problem documents and who is calling.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::{
    Json,
    extract::{ConnectInfo, FromRef, FromRequestParts, OptionalFromRequestParts},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use lectern_domain::{account::Role, ids::UserId};
use serde::Serialize;

use crate::tokens::AccessTokens;

/// A failed request, answered as RFC 9457 `application/problem+json`.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// Stable, for programs.
    pub code: &'static str,
    /// For people: what was expected, what came, what to do.
    pub detail: String,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u64>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
}

impl Problem {
    /// A problem with a status, a stable code and a sentence.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after: None }
    }

    /// 400: a field is not as expected.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    /// 401: no valid access token.
    pub fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "sign in and send the access token as a bearer token",
        )
    }

    /// 403: signed in, but the role is not enough.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 403: right role, but somebody else's.
    pub fn not_owner() -> Self {
        Self::new(StatusCode::FORBIDDEN, "not_owner", "only the course's instructor or an admin can do this")
    }

    /// 404: not there, or not for this caller to know of.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    /// 405: the route is there, but not for this method.
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this route does not take this method; see the Allow header",
        )
    }

    /// 429: the client has asked too often, and may ask again after `wait`.
    pub fn too_many_requests(detail: impl Into<String>, wait: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after(wait.as_secs() + 1)
    }

    /// 500: the cause goes to the log, the client gets a reference to nothing but the time.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong on our side; try again, and tell the operator if it happens twice",
        )
    }

    /// Asks the client to wait.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl From<lectern_store::Error> for Problem {
    fn from(error: lectern_store::Error) -> Self {
        Self::internal(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Where a request comes from; absent when the server was started without connection information. The last address in
/// `X-Forwarded-For` counts where it is to be trusted: the nearest proxy wrote it, those before it were written by whoever.
pub fn client_address(parts: &Parts, trust_forwarded_for: bool) -> Option<IpAddr> {
    let forwarded = || {
        let list = parts.headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
        list.rsplit(',').next()?.trim().parse().ok()
    };
    let peer = || parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    trust_forwarded_for.then(forwarded).flatten().or_else(peer)
}

/// The bearer token of a request, if it has one.
pub fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Who is calling, taken from a valid access token. As an axum extractor it answers 401 by itself;
/// `Option<Caller>` lets anonymous requests through, but not ones with a bad token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub user: UserId,
    /// Its role when the token was made (access tokens live for minutes).
    pub role: Role,
}

impl Caller {
    /// Whether the caller may act for `owner`.
    pub fn is_or_admin(&self, owner: UserId) -> bool {
        self.user == owner || self.role == Role::Admin
    }

    /// 403 unless the caller has at least this role.
    pub fn at_least(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            Ok(())
        } else {
            Err(Problem::forbidden(format!(
                "this needs the role {}, yours is {}",
                role.as_str(),
                self.role.as_str()
            )))
        }
    }
}

impl<S> FromRequestParts<S> for Caller
where
    AccessTokens: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let token = bearer(parts).ok_or_else(Problem::unauthenticated)?;
        AccessTokens::from_ref(state).verify(token).ok_or_else(Problem::unauthenticated)
    }
}

impl<S> OptionalFromRequestParts<S> for Caller
where
    AccessTokens: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        match bearer(parts) {
            None => Ok(None),
            Some(token) => {
                AccessTokens::from_ref(state).verify(token).map(Some).ok_or_else(Problem::unauthenticated)
            }
        }
    }
}
