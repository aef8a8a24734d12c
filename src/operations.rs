//! What operators ask a running server: is it alive, is it ready, how is it doing. And the line each request leaves.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
    routing::get,
};
use lectern_domain::job::{JobKind, JobState};
use lectern_platform::{objects::SharedObjects, queue::SharedQueue, shutdown::Shutdown, vault::Vault};
use lectern_store::{Db, jobs};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tower_http::compression::{
    CompressionLayer,
    predicate::{NotForContentType, Predicate, SizeAbove},
};

/// What readiness depends on.
#[derive(Clone)]
pub(crate) struct Operations {
    pub(crate) db: Db,
    pub(crate) objects: SharedObjects,
    pub(crate) queue: SharedQueue,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) shutdown: Shutdown,
    pub(crate) metrics: PrometheusHandle,
}

/// Routes at the root that need no account.
pub(crate) fn router(operations: Operations) -> Router {
    Router::new()
        .route("/livez", get(|| async { no_store("alive".into_response()) }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render_metrics))
        .with_state(operations)
}

fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

async fn ready(State(operations): State<Operations>) -> Response {
    let within = Duration::from_secs(2);
    let database =
        tokio::time::timeout(within, operations.db.ping()).await.is_ok_and(|answer| answer.is_ok());
    let objects =
        tokio::time::timeout(within, operations.objects.check()).await.is_ok_and(|answer| answer.is_ok());
    // Told, but nobody waits for it: without a broker work goes on.
    let queue =
        tokio::time::timeout(within, operations.queue.check()).await.is_ok_and(|answer| answer.is_ok());
    let vault = match operations.vault.wrap("readiness", b"probe").await {
        Ok(wrapped) => operations.vault.unwrap("readiness", &wrapped).await.is_ok(),
        Err(_) => false,
    };
    let draining = operations.shutdown.soft().is_cancelled();
    let ready = database && objects && vault && !draining;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::json!({
        "ready": ready, "database": database, "objects": objects, "queue": queue, "vault": vault, "draining": draining,
    });
    no_store((status, Json(body)).into_response())
}

async fn render_metrics(State(operations): State<Operations>) -> Response {
    if let Ok(counts) = jobs::count_by_state(&operations.db).await {
        // Every combination, so that one that is no longer there falls to 0 instead of staying as it was.
        for (kind, state) in
            JobKind::ALL.into_iter().flat_map(|kind| JobState::ALL.map(|state| (kind, state)))
        {
            let (kind, state) = (kind.as_str(), state.as_str());
            let found = counts.iter().find(|(of, at, _)| of == kind && at == state);
            let total = found.map_or(0, |(.., total)| *total);
            metrics::gauge!("lectern_jobs", "kind" => kind, "state" => state).set(total as f64);
        }
    }
    operations.metrics.run_upkeep();
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    no_store((headers, operations.metrics.render()).into_response())
}

/// Logs a request when its answer begins: what, how it ended, how long it took. Segments and probes only at debug level.
pub(crate) async fn log_request(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    // Anybody can make methods up; each would be a time series.
    let counted = match method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    };
    let path = lectern_license_server::redact_path(
        request.uri().path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str),
    );
    let response = next.run(request).await;
    let status = response.status().as_u16();
    // Tenths are as fine as anybody reads.
    let ms = (started.elapsed().as_secs_f64() * 10_000.0).round() / 10.0;
    metrics::counter!("lectern_http_requests_total", "method" => counted, "status" => status.to_string())
        .increment(1);
    metrics::histogram!("lectern_http_request_seconds", "method" => counted).record(started.elapsed());
    let frequent = ["/media/", "/assets/", "/livez", "/readyz", "/metrics"]
        .iter()
        .any(|prefix| path.starts_with(prefix));
    if status >= 500 {
        tracing::warn!(%method, path, status, ms, "request");
    } else if frequent {
        tracing::debug!(%method, path, status, ms, "request");
    } else {
        tracing::info!(%method, path, status, ms, "request");
    }
    response
}

/// Compresses texts: pages, JSON, playlists. Media is as small as it gets, events must not wait in a buffer, and a key
/// must not share an answer with anything that its length could tell about.
pub(crate) fn compression() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new().compress_when(
        SizeAbove::new(1_024)
            .and(NotForContentType::const_new("video/"))
            .and(NotForContentType::const_new("audio/"))
            .and(NotForContentType::const_new("image/"))
            .and(NotForContentType::const_new("font/"))
            .and(NotForContentType::const_new("application/octet-stream"))
            .and(NotForContentType::SSE),
    )
}

/// Where durations are counted, seconds. One set for requests of a millisecond, one for jobs of minutes.
pub(crate) fn metrics_builder() -> Result<PrometheusBuilder, BuildError> {
    let quick = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
    let slow = [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0];
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("lectern_job_seconds".into()), &slow)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &quick)
}
