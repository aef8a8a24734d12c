//! `GET /playback/{token}/{file}`: playlists and stills of one session, for players that cannot set headers.
//!
//! Their key URIs carry the session's native token, and nested playlists stay under it. The token outlives pauses (see
//! [`LicenseSettings::native_token_lifetime`](crate::LicenseSettings::native_token_lifetime)); a leaked one is good for
//! nothing once its session has ended or its learner has left, because every use asks.

use axum::{
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use lectern_domain::storage_key;
use lectern_platform::http::Problem;
use lectern_store::playback::{SessionChange, SessionFacts};

use crate::{
    LicenseState,
    decision::{Ask, Client, Stop, seen, unavailable},
    media::is_plain,
    playlist::{Target, is_playlist, rewrite_uris},
    stills,
    token::Kind,
};

pub(crate) async fn playlist(
    State(state): State<LicenseState>,
    Path((token, file)): Path<(String, String)>,
    client: Client,
) -> Response {
    let still = stills::is_still(&file);
    if !still && (!is_playlist(&file) || !is_plain(&file)) {
        return Problem::not_found("playlist").into_response();
    }
    let mut ask = Ask::new(&state, if still { stills::ACTION } else { "playlist" }, client);
    let outcome = allowed(&state, &mut ask, &token).await;
    match ask.settle(&state, outcome).await.0 {
        // The path is good for one session alone, and so is what a browser keeps of it.
        Ok(found) if still => {
            stills::respond(&state, found.asset, found.package, &file, "private, max-age=3600")
                .await
                .unwrap_or_else(Problem::into_response)
        }
        Ok(found) => respond(&state, &found, &token, &file).await.unwrap_or_else(Problem::into_response),
        Err(problem) => problem.into_response(),
    }
}

async fn allowed(
    state: &LicenseState,
    ask: &mut Ask,
    token: &str,
) -> Result<(SessionFacts, Option<SessionChange>), Stop> {
    let claims = ask.token(state, Some(token), &[Kind::Native])?;
    let found = ask.session(state, &claims, None).await?;
    let change = seen(state, claims.session, &found, ask.now);
    Ok((found, change))
}

async fn respond(
    state: &LicenseState,
    found: &SessionFacts,
    token: &str,
    file: &str,
) -> Result<Response, Problem> {
    let stored = format!("{}{file}", storage_key::package_prefix(found.asset, found.package));
    let stored = state.objects.get(&stored).await.map_err(|error| {
        tracing::error!(%error, asset = %found.asset, "a stored playlist could not be read");
        unavailable()
    })?;
    let stored = stored.ok_or_else(|| Problem::not_found("playlist"))?;
    let text = std::str::from_utf8(&stored).map_err(Problem::internal)?;
    let folder = format!("/media/{}/{}/", found.asset, found.package);
    let rewritten = rewrite_uris(text, &format!("{folder}{file}"), |target, path| match target {
        Target::Key if path.starts_with("/keys/") => state.settings.public(&format!("{path}?token={token}")),
        Target::Playlist if path.starts_with(&folder) => {
            state.settings.public(&format!("/playback/{token}/{}", &path[folder.len()..]))
        }
        _ => state.settings.public(path),
    });
    let mut response = rewritten.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.apple.mpegurl"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}
