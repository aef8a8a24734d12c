//! Extractors whose refusals are problem documents: bodies, path ids, queries, the client's address.

use std::{convert::Infallible, error::Error as _, net::IpAddr, str::FromStr};

use axum::{
    Json,
    extract::{FromRef, FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
};
use lectern_domain::ids::IdError;
use lectern_platform::http::{Problem, client_address};
use serde::de::DeserializeOwned;

use crate::ApiState;

/// A JSON body of a known shape.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "payload_too_large",
                    format!("expected a body of at most {} bytes", crate::BODY_LIMIT),
                ),
                StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "unsupported_media_type",
                    "expected a body with Content-Type: application/json",
                ),
                // The source names the field and says what was expected there.
                _ => Problem::invalid(
                    rejection.source().map_or_else(|| rejection.to_string(), ToString::to_string),
                ),
            }),
        }
    }
}

/// The one id in a path.
#[derive(Debug)]
pub(crate) struct PathId<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for PathId<T>
where
    T: FromStr<Err = IdError>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::invalid(rejection.body_text()))?;
        text.parse().map(Self).map_err(|error| Problem::invalid(error.to_string()))
    }
}

/// The query of a URL.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Params<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::invalid(format!(
                "query: {}",
                rejection.source().map_or_else(|| rejection.to_string(), ToString::to_string)
            ))),
        }
    }
}

/// Where a request comes from: [`client_address`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

impl<S> FromRequestParts<S> for ClientAddress
where
    ApiState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let trusted = ApiState::from_ref(state).settings.trust_forwarded_for;
        Ok(Self(client_address(parts, trusted)))
    }
}
