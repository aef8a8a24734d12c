//! Playback sessions: begin one, keep it alive, end it.

use std::{str::FromStr as _, time::Duration};

use axum::{
    Json,
    extract::{FromRequestParts as _, Path, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
};
use lectern_domain::{
    Timestamp,
    decision::{Refusal, may_play},
    ids::{LessonId, SessionId},
    stills::SHEETS,
    storage_key::{GROWING_MULTIVARIANT, MULTIVARIANT},
    waveform,
};
use lectern_platform::http::{Caller, Problem, bearer};
use lectern_store::{
    chapters,
    playback::{self, NewSession, SessionChange},
};
use serde::Serialize;

use crate::{
    LicenseState,
    decision::{Ask, Client, Stop, new_session, refused, unavailable},
    stills,
    token::{Claims, Kind, Scope},
};

/// A session as its player needs it.
#[derive(Serialize)]
struct Started {
    session_id: SessionId,
    token: String,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: Timestamp,
    hls_url: String,
    hls_native_url: String,
    poster_url: Option<String>,
    storyboard_url: Option<String>,
    chapters_url: Option<String>,
    waveform_url: Option<String>,
    dash_url: Option<String>,
    drm: Option<String>,
    duration_ms: Option<u64>,
    /// Whether the playlists still get longer, up to about that duration.
    growing: bool,
    heartbeat_url: String,
    position_ms: u64,
}

/// A fresh token.
#[derive(Serialize)]
struct Renewed {
    token: String,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: Timestamp,
}

/// `POST /api/v1/lessons/{lesson_id}/playback`
pub(crate) async fn start(
    State(state): State<LicenseState>,
    Path(lesson): Path<String>,
    client: Client,
    mut parts: Parts,
) -> Response {
    let Ok(lesson) = LessonId::from_str(&lesson) else { return Problem::not_found("lesson").into_response() };
    let mut ask = Ask::new(&state, "session", client);
    ask.row.lesson = Some(lesson);
    let outcome = match Caller::from_request_parts(&mut parts, &state).await {
        Ok(caller) => begin(&state, &mut ask, caller, lesson).await,
        Err(_) if bearer(&parts).is_none() => Err(Stop::SignedOut(Refusal::TokenMissing)),
        Err(_) => Err(Stop::SignedOut(Refusal::TokenInvalid)),
    };
    match ask.settle(&state, outcome).await.0 {
        Ok(started) => (StatusCode::CREATED, Json(started)).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn begin(
    state: &LicenseState,
    ask: &mut Ask,
    caller: Caller,
    lesson: LessonId,
) -> Result<(Started, Option<SessionChange>), Stop> {
    ask.row.user = Some(caller.user);
    let found = playback::lesson_facts(&state.db, lesson, caller.user, ask.now).await?;
    // No lesson, nothing to decide about and nothing to write down.
    let found = found.ok_or_else(|| Stop::Broken(Problem::not_found("lesson"), None))?;
    ask.row.asset = found.asset;
    may_play(&found.facts, ask.now)?;
    let (Some(asset), Some(package)) = (found.asset, found.package) else {
        return Err(Refusal::AssetNotPlayable.into());
    };
    let session = new_session(state);
    ask.row.session = Some(session);
    let scope = Scope { user: caller.user, asset, kids: found.kids };
    let settings = &state.settings;
    let (token, expires_at) = state.playback.playback(session, scope, ask.now, settings.token_lifetime);
    let duration = Duration::from_millis(found.duration_ms.unwrap_or(0));
    let native = state.playback.native(session, ask.now, settings.native_token_lifetime + duration);
    let made = chapters::stills(&state.db, package).await?.map(|(_, made)| made);
    let chaptered = !chapters::list(&state.db, package).await?.is_empty();
    let of_session = |file: &str| settings.public(&format!("/playback/{native}/{file}"));
    let playlist = if found.growing { GROWING_MULTIVARIANT } else { MULTIVARIANT };
    let started = Started {
        session_id: session,
        token,
        expires_at,
        hls_url: settings.public(&format!("/media/{asset}/{package}/{playlist}")),
        hls_native_url: of_session(playlist),
        poster_url: made.filter(|made| made.poster).map(|_| of_session(SHEETS.poster)),
        storyboard_url: made.and_then(|made| made.storyboard).map(|_| of_session(stills::STORYBOARD)),
        chapters_url: chaptered.then(|| of_session(stills::CHAPTERS)),
        waveform_url: made.filter(|made| made.waveform).map(|_| of_session(waveform::FILE)),
        dash_url: None,
        drm: None,
        duration_ms: found.duration_ms,
        growing: found.growing,
        heartbeat_url: settings.public(&format!("/api/v1/playback/{session}/heartbeat")),
        position_ms: found.position_ms,
    };
    let new = NewSession { id: session, user: caller.user, lesson, asset, package };
    Ok((started, Some(SessionChange::Begin(new))))
}

/// `POST /api/v1/playback/{session_id}/heartbeat`. The body's position is for the player's convenience; progress has a
/// route of its own, so the body is not read.
pub(crate) async fn heartbeat(
    State(state): State<LicenseState>,
    Path(session): Path<String>,
    client: Client,
    parts: Parts,
) -> Response {
    let mut ask = Ask::new(&state, "heartbeat", client);
    let outcome = renew(&state, &mut ask, bearer(&parts), &session).await;
    match ask.settle(&state, outcome).await.0 {
        Ok(renewed) => Json(renewed).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn renew(
    state: &LicenseState,
    ask: &mut Ask,
    token: Option<&str>,
    session: &str,
) -> Result<(Renewed, Option<SessionChange>), Stop> {
    let claims = ask.token(state, token, &[Kind::Playback])?;
    speaks_for(&claims, session)?;
    ask.session(state, &claims, None).await?;
    let scope = claims.scope.ok_or(Refusal::TokenInvalid)?;
    let (token, expires_at) =
        state.playback.playback(claims.session, scope, ask.now, state.settings.token_lifetime);
    Ok((Renewed { token, expires_at }, Some(SessionChange::Seen(claims.session))))
}

/// `DELETE /api/v1/playback/{session_id}`. Ending twice is fine.
pub(crate) async fn end(
    State(state): State<LicenseState>,
    Path(session): Path<String>,
    parts: Parts,
) -> Result<StatusCode, Problem> {
    let now = state.clock.now();
    let claims = state.playback.check(bearer(&parts), &[Kind::Playback], now).map_err(refused)?;
    speaks_for(&claims, &session).map_err(refused)?;
    playback::end_session(&state.db, claims.session, now).await.map_err(|error| {
        tracing::error!(%error, session = %claims.session, "a session could not be ended");
        unavailable()
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// A token is good for its own session only.
fn speaks_for(claims: &Claims, session: &str) -> Result<(), Refusal> {
    let named = SessionId::from_str(session).map_err(|_| Refusal::TokenInvalid)?;
    if named == claims.session { Ok(()) } else { Err(Refusal::TokenInvalid) }
}
