//! The tus 1.0.0 protocol over HTTP: what is offered, which request means what, and the headers of every answer.
//!
//! One dispatcher serves every method, because `X-HTTP-Method-Override` may change it and `Tus-Resumable` is checked
//! before anything else. Answers get their common headers (protocol version, CORS) in one place.

mod create;
mod headers;
mod resume;

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
    routing::any,
};
use lectern_platform::http::{Problem, bearer};

use crate::{IngestState, access::upload_id, receive::linger};

/// The protocol version.
pub const VERSION: &str = "1.0.0";
/// The extensions, as advertised.
pub const EXTENSIONS: &str = "creation,creation-with-upload,termination,expiration";
/// Where uploads are.
pub const PATH: &str = "/uploads";

const METHODS: &str = "OPTIONS, POST, HEAD, PATCH, DELETE";
const REQUEST_HEADERS: &str = "Authorization, Content-Type, Tus-Resumable, Upload-Length, Upload-Metadata, \
     Upload-Offset, X-HTTP-Method-Override, X-Request-ID, X-Requested-With";
const RESPONSE_HEADERS: &str = "Location, Lectern-Asset-Id, Retry-After, Tus-Extension, Tus-Max-Size, \
     Tus-Resumable, Tus-Version, Upload-Expires, Upload-Length, Upload-Metadata, Upload-Offset";

/// `/uploads` and `/uploads/{upload_id}`. Put no limit on body size and no timeout around it: parts are as large as
/// clients like, and a transfer ends by itself when its client falls silent.
pub fn router(state: IngestState) -> Router {
    let collection = any(|state, request| answer(state, None, request));
    let upload = any(|state, Path(id): Path<String>, request| answer(state, Some(id), request));
    Router::new()
        .route(PATH, collection.clone())
        .route("/uploads/", collection)
        .route("/uploads/{upload_id}", upload)
        .with_state(state)
}

async fn answer(State(state): State<IngestState>, id: Option<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut body = Some(body);
    let mut response = match dispatch(&state, id.as_deref(), &parts, &mut body).await {
        Ok(response) => response,
        Err(problem) => {
            if let Some(body) = body {
                linger(body.into_data_stream());
            }
            let status = problem.status;
            let mut response = problem.into_response();
            let headers = response.headers_mut();
            if status == StatusCode::PRECONDITION_FAILED {
                headers.insert("tus-version", HeaderValue::from_static(VERSION));
            }
            if status == StatusCode::METHOD_NOT_ALLOWED {
                headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert("tus-resumable", HeaderValue::from_static(VERSION));
    // Any origin: what proves the caller is a header that a foreign page does not have, never a cookie.
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(RESPONSE_HEADERS));
    response
}

async fn dispatch(
    state: &IngestState,
    id: Option<&str>,
    parts: &Parts,
    body: &mut Option<Body>,
) -> Result<Response, Problem> {
    let method = method(parts)?;
    if method == Method::OPTIONS {
        return Ok(options(state));
    }
    if parts.headers.get("tus-resumable").is_none_or(|version| version != VERSION) {
        return Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "tus_version",
            format!("expected the header Tus-Resumable: {VERSION}"),
        ));
    }
    let caller =
        bearer(parts).and_then(|token| state.tokens.verify(token)).ok_or_else(Problem::unauthenticated)?;
    match (method.as_str(), id) {
        ("POST", None) => create::create(state, caller, &parts.headers, body).await,
        ("HEAD", Some(id)) => resume::head(state, caller, upload_id(id)?).await,
        ("PATCH", Some(id)) => resume::patch(state, caller, upload_id(id)?, &parts.headers, body).await,
        ("DELETE", Some(id)) => resume::delete(state, caller, upload_id(id)?).await,
        (other, _) => Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("expected POST on {PATH}, or HEAD, PATCH or DELETE on an upload, got {other}"),
        )),
    }
}

/// The method meant: clients behind proxies that know no PATCH say it in a header (tus 1.0, X-HTTP-Method-Override).
fn method(parts: &Parts) -> Result<Method, Problem> {
    match parts.headers.get("x-http-method-override") {
        None => Ok(parts.method.clone()),
        Some(value) => Method::from_bytes(value.as_bytes())
            .map_err(|_| Problem::invalid("X-HTTP-Method-Override: expected the name of a method")),
    }
}

/// Discovery (tus 1.0, OPTIONS) and the CORS preflight are the same request.
fn options(state: &IngestState) -> Response {
    let headers = [
        (HeaderName::from_static("tus-version"), VERSION.to_owned()),
        (HeaderName::from_static("tus-extension"), EXTENSIONS.to_owned()),
        (HeaderName::from_static("tus-max-size"), state.settings.max_size_bytes.to_string()),
        (header::ALLOW, METHODS.to_owned()),
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS.to_owned()),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS.to_owned()),
        (header::ACCESS_CONTROL_MAX_AGE, "86400".to_owned()),
    ];
    (StatusCode::NO_CONTENT, axum::response::AppendHeaders(headers)).into_response()
}

/// 415: the body is not of the one type that tus knows.
fn wrong_type() -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "expected a body of Content-Type application/offset+octet-stream",
    )
}

fn is_tus_body(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/offset+octet-stream")
}
