//! Direct uploads: the browser sends its file to the object store itself, in parts of a multipart upload; this program
//! announces, signs and completes. Routes and JSON are those of Uppy's Companion, which Uppy's `AwsS3` plugin speaks.
//!
//! | step | what is true afterwards |
//! |---|---|
//! | create | a multipart upload in the bucket, and the row of an open upload that names it |
//! | sign, send parts | parts in the bucket; here nothing but a later end of the upload's time |
//! | complete | the object is there: [`complete::settle`] joins the parts, looks at the object, queues the probe |
//!
//! Completing is told by the client, by the bucket's event, by both, again and again, or by nobody: then the sweep looks.
//! Each of them does the same, and only the first one finds anything left to do.

pub(crate) mod complete;
mod create;
mod parts;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use lectern_platform::{
    http::{Caller, Problem},
    objects::{Multipart, ObjectsError},
};
use lectern_store::uploads::{Protocol, Upload, UploadState};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    IngestState,
    access::{self, upload_id},
    ending,
    locks::Claim,
};

/// Where direct uploads are: the second place is where clients of Companion look, below their endpoint.
const PATHS: [&str; 2] = ["/api/v1/uploads/s3-multipart", "/api/v1/uploads/s3/multipart"];
/// Ten thousand parts with their tags fit.
const MAX_BODY_BYTES: usize = 2 << 20;

/// The routes of direct uploads.
pub(crate) fn router(state: IngestState) -> Router {
    PATHS
        .into_iter()
        .fold(Router::new(), |router, path| {
            router
                .route(path, post(create))
                .route(&format!("{path}/{{upload_id}}"), get(list).delete(abort))
                .route(&format!("{path}/{{upload_id}}/batch"), get(sign_several))
                .route(&format!("{path}/{{upload_id}}/{{part_number}}"), get(sign))
                .route(&format!("{path}/{{upload_id}}/complete"), post(complete))
        })
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .with_state(state)
}

async fn create(State(state): State<IngestState>, caller: Caller, body: Body) -> Result<Response, Problem> {
    let created = create::create(&state, caller, read(body).await?).await?;
    let asset = HeaderValue::from_str(&created.asset_id.to_string()).map_err(Problem::internal)?;
    let mut response = (StatusCode::CREATED, Json(created)).into_response();
    response.headers_mut().insert("lectern-asset-id", asset);
    Ok(private(response))
}

async fn sign(
    State(state): State<IngestState>,
    caller: Caller,
    Path((id, number)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let upload = find_open(&state, caller, &id).await?;
    let signed = parts::sign(&state, &upload, &[parts::number(&number)?]).await?;
    Ok(private(Json(signed.into_iter().next()).into_response()))
}

#[derive(Deserialize)]
struct Several {
    #[serde(rename = "partNumbers", default)]
    part_numbers: String,
}

async fn sign_several(
    State(state): State<IngestState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(several): Query<Several>,
) -> Result<Response, Problem> {
    let upload = find_open(&state, caller, &id).await?;
    let numbers = parts::numbers(&several.part_numbers)?;
    let signed = parts::sign(&state, &upload, &numbers).await?;
    Ok(private(Json(parts::batch(&numbers, signed)).into_response()))
}

async fn list(
    State(state): State<IngestState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let upload = find_open(&state, caller, &id).await?;
    Ok(private(Json(parts::list(&state, &upload).await?).into_response()))
}

async fn complete(
    State(state): State<IngestState>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let told = read(body).await?;
    let upload = find(&state, caller, &id).await?;
    let _hold = state.locks.hold(upload.id, Claim::Resume).await.ok_or_else(locked)?;
    // It may have ended while another request was waited for.
    let upload = find(&state, caller, &id).await?;
    Ok(private(Json(complete::complete(&state, &upload, told).await?).into_response()))
}

async fn abort(
    State(state): State<IngestState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let upload = find(&state, caller, &id).await?;
    let _hold = state.locks.hold(upload.id, Claim::Resume).await.ok_or_else(locked)?;
    let upload = find(&state, caller, &id).await?;
    if upload.state == UploadState::Finished {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "upload_finished",
            format!("this upload is finished; delete the asset {} instead", upload.asset),
        ));
    }
    ending::abandon(&state, &upload, UploadState::Terminated).await.map_err(Problem::internal)?;
    Ok(private(Json(serde_json::json!({})).into_response()))
}

async fn find(state: &IngestState, caller: Caller, id: &str) -> Result<Upload, Problem> {
    store(state)?;
    access::find(state, caller, upload_id(id)?, Protocol::S3Multipart).await
}

/// An upload that still takes parts.
async fn find_open(state: &IngestState, caller: Caller, id: &str) -> Result<Upload, Problem> {
    let upload = find(state, caller, id).await?;
    if upload.state == UploadState::Finished {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "upload_finished",
            "this upload is finished; it takes no more parts",
        ));
    }
    Ok(upload)
}

/// The object store's multipart uploads, where it has such.
fn store(state: &IngestState) -> Result<&dyn Multipart, Problem> {
    state.objects.multipart().ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no_direct_uploads",
            "this server keeps its objects in a folder, which browsers cannot send to; upload by tus at /uploads",
        )
    })
}

/// A JSON body of bounded size.
async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let bytes = axum::body::to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "payload_too_large",
            format!("expected a body of at most {MAX_BODY_BYTES} bytes"),
        )
    })?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::invalid(format!("body: {error}")))
}

/// Presigned URLs must not stay in any cache.
fn private(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// 503: the object store did not answer as it should; what came is kept.
fn unavailable(error: &ObjectsError) -> Problem {
    tracing::error!(%error, "the object store did not do what a direct upload needs");
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "storage_unavailable",
        "the object store does not answer at the moment; what came is kept, try again",
    )
    .retry_after(5)
}

fn locked() -> Problem {
    Problem::new(
        StatusCode::LOCKED,
        "upload_locked",
        "another request is ending this upload; ask again in a moment",
    )
    .retry_after(2)
}
