//! The browser application, built into the program, and the headers it is served under.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use lectern_platform::http::Problem;
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Dist;

/// Everything from this server and nothing else. The player's media and stills are blob URLs, hls.js begins text tracks as empty `data:`
/// ones, and the player's elements bring `<style>` into their shadow roots and `style=` with it: nothing else needs
/// `'unsafe-inline'`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src-elem 'self' 'unsafe-inline'; \
     style-src-attr 'none'; img-src 'self' blob:; font-src 'self'; connect-src 'self'; media-src 'self' blob: data:; \
     worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Whether the application was there when this program was built.
pub(crate) fn is_built() -> bool {
    Dist::get("index.html").is_some()
}

/// Paths that belong to programs: unknown ones are answered with a problem document, not with the application.
const PROGRAM_PATHS: [&str; 6] = ["/api/", "/uploads", "/keys/", "/media/", "/playback/", "/.well-known/"];

/// Answers every path that no route took: a file of the application, or its front page for one of its own paths.
pub(crate) async fn fallback(method: axum::http::Method, uri: Uri) -> Response {
    let path = uri.path();
    if PROGRAM_PATHS.iter().any(|prefix| path.starts_with(prefix)) || path == "/api" {
        return Problem::not_found("route").into_response();
    }
    if method != axum::http::Method::GET && method != axum::http::Method::HEAD {
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "pages are read with GET")
            .into_response();
    }
    let name = path.trim_start_matches('/');
    if let Some(file) = Dist::get(name).filter(|_| !name.is_empty()) {
        // Vite puts a hash of the content into the names below assets/.
        let cache =
            if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
        return page(StatusCode::OK, name, cache, file.data.into_owned());
    }
    if name.starts_with("assets/") {
        return Problem::not_found("file").into_response();
    }
    match Dist::get("index.html") {
        Some(index) => page(StatusCode::OK, "index.html", "no-cache", index.data.into_owned()),
        None => Problem::new(
            StatusCode::NOT_FOUND,
            "no_web",
            "this program was built without the browser application; run npm ci and npm run build in web/ first",
        )
        .into_response(),
    }
}

fn page(status: StatusCode, name: &str, cache: &'static str, body: Vec<u8>) -> Response {
    let mut response = (status, Body::from(body)).into_response();
    let headers = response.headers_mut();
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    let kind = if kind.type_() == mime_guess::mime::TEXT {
        format!("{kind}; charset=utf-8")
    } else {
        kind.to_string()
    };
    if let Ok(kind) = HeaderValue::from_str(&kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
