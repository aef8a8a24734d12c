//! Stills and what players make of them: poster, storyboard, chapters, and beside them the waveform of the sound. Decided like
//! playback, because they show what it shows.
//!
//! | route | for | token |
//! |---|---|---|
//! | `GET /api/v1/lessons/{lesson_id}/stills/{file}` | pages, before there is a session | access token |
//! | `GET /playback/{token}/{file}` | players: a WebVTT file and the pictures that it names | native token in the path |
//!
//! Pictures and waveform lie sealed beside the segments and are opened here, in memory, for each answer.

use std::str::FromStr as _;

use axum::{
    extract::{FromRequestParts as _, Path, State},
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use lectern_domain::{
    decision::{Refusal, may_play},
    ids::{AssetId, LessonId, PackageId},
    keys::{AssetSecret, secret_context},
    stills::{SHEETS, chapters_webvtt, storyboard_webvtt},
    storage_key, waveform,
};
use lectern_platform::{
    http::{Caller, Problem, bearer},
    seal::Seal,
};
use lectern_store::{assets, chapters, playback};

use crate::{
    LicenseState,
    decision::{Ask, Client, Stop, unavailable},
};

/// The action of these decisions in the audit log.
pub(crate) const ACTION: &str = "still";

pub(crate) const STORYBOARD: &str = "storyboard.vtt";
pub(crate) const CHAPTERS: &str = "chapters.vtt";

/// Whether a file of this name is made here.
pub(crate) fn is_still(file: &str) -> bool {
    [SHEETS.poster, SHEETS.storyboard, SHEETS.chapters, STORYBOARD, CHAPTERS, waveform::FILE].contains(&file)
}

pub(crate) async fn of_lesson(
    State(state): State<LicenseState>,
    Path((lesson, file)): Path<(String, String)>,
    client: Client,
    mut parts: Parts,
) -> Response {
    let Ok(lesson) = LessonId::from_str(&lesson) else { return Problem::not_found("lesson").into_response() };
    if !is_still(&file) {
        return Problem::not_found("still").into_response();
    }
    let mut ask = Ask::new(&state, ACTION, client);
    ask.row.lesson = Some(lesson);
    let outcome = match Caller::from_request_parts(&mut parts, &state).await {
        Ok(caller) => allowed(&state, &mut ask, caller, lesson).await,
        Err(_) if bearer(&parts).is_none() => Err(Stop::SignedOut(Refusal::TokenMissing)),
        Err(_) => Err(Stop::SignedOut(Refusal::TokenInvalid)),
    };
    match ask.settle(&state, outcome.map(|found| (found, None))).await.0 {
        Ok((asset, package)) => {
            respond(&state, asset, package, &file, "no-store").await.unwrap_or_else(Problem::into_response)
        }
        Err(problem) => problem.into_response(),
    }
}

async fn allowed(
    state: &LicenseState,
    ask: &mut Ask,
    caller: Caller,
    lesson: LessonId,
) -> Result<(AssetId, PackageId), Stop> {
    ask.row.user = Some(caller.user);
    let found = playback::lesson_facts(&state.db, lesson, caller.user, ask.now).await?;
    let found = found.ok_or_else(|| Stop::Broken(Problem::not_found("lesson"), None))?;
    ask.row.asset = found.asset;
    may_play(&found.facts, ask.now)?;
    found.asset.zip(found.package).ok_or_else(|| Refusal::AssetNotPlayable.into())
}

/// A file of a package for whoever may have it; `cache` says how long it may be kept.
pub(crate) async fn respond(
    state: &LicenseState,
    asset: AssetId,
    package: PackageId,
    file: &str,
    cache: &'static str,
) -> Result<Response, Problem> {
    let broken = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, %asset, file, "a still could not be read");
        unavailable()
    };
    let missing = || Problem::not_found("still");
    let found = assets::find(&state.db, asset).await.map_err(|error| broken(&error))?.ok_or_else(missing)?;
    let duration_ms = found.duration_ms.unwrap_or(0);
    let (kind, body) = if file == CHAPTERS {
        let chapters = chapters::list(&state.db, package).await.map_err(|error| broken(&error))?;
        if chapters.is_empty() {
            return Err(missing());
        }
        let named: Vec<(u64, &str)> =
            chapters.iter().map(|chapter| (chapter.start_ms, chapter.title.as_str())).collect();
        ("text/vtt; charset=utf-8", chapters_webvtt(&named, duration_ms).into_bytes())
    } else {
        let stills = chapters::stills(&state.db, package).await.map_err(|error| broken(&error))?;
        let (base, stills) = stills.ok_or_else(missing)?;
        if file == STORYBOARD {
            let (sheet, interval_ms) = stills.storyboard.ok_or_else(missing)?;
            ("text/vtt; charset=utf-8", storyboard_webvtt(&sheet, interval_ms, duration_ms).into_bytes())
        } else {
            let wrapped = found.wrapped_secret.as_deref().ok_or_else(missing)?;
            let key = storage_key::still(asset, base, file);
            let sealed =
                state.objects.get(&key).await.map_err(|error| broken(&error))?.ok_or_else(missing)?;
            let secret = state.vault.unwrap(&secret_context(asset), wrapped).await;
            let secret = secret.map_err(|error| broken(&error))?;
            let bytes = <[u8; 32]>::try_from(secret.as_slice())
                .map_err(|_| broken(&format_args!("expected 32 bytes, got {}", secret.len())))?;
            let seal = Seal::new(&AssetSecret::from_bytes(bytes).stills_key(base));
            let opened = seal.open(&key, &sealed).ok_or_else(|| broken(&"it does not open"))?;
            let kind = if file == waveform::FILE { "application/octet-stream" } else { "image/jpeg" };
            (kind, opened.to_vec())
        }
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    Ok(response)
}
