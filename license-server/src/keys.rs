//! `GET /keys/{kid}`: sixteen bytes, or the reason why not.

use std::{str::FromStr as _, time::Instant};

use axum::{
    extract::{Path, RawQuery, State},
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use lectern_domain::{
    decision::Refusal,
    ids::Kid,
    keys::{AssetSecret, ContentKey, secret_context},
};
use lectern_platform::http::bearer;
use lectern_store::playback::{SessionChange, SessionFacts};
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::{
    LicenseState,
    decision::{Ask, Client, Stop, seen, unavailable},
    token::Kind,
};

pub(crate) async fn key(
    State(state): State<LicenseState>,
    Path(kid): Path<String>,
    RawQuery(query): RawQuery,
    client: Client,
    parts: Parts,
) -> Response {
    let began = Instant::now();
    let mut ask = Ask::new(&state, "key", client);
    let token = match bearer(&parts) {
        Some(token) => Some(token.to_owned()),
        None => query.and_then(|query| {
            form_urlencoded::parse(query.as_bytes())
                .find_map(|(name, value)| (name == "token").then(|| value.into_owned()))
        }),
    };
    let outcome = open(&state, &mut ask, token.as_deref(), &kid).await;
    let (answer, reason) = ask.settle(&state, outcome).await;
    let granted = if answer.is_ok() { "true" } else { "false" };
    metrics::counter!("lectern_key_decisions_total", "granted" => granted, "reason" => reason).increment(1);
    metrics::histogram!("lectern_key_request_seconds").record(began.elapsed());
    match answer {
        Ok(key) => respond(&key),
        Err(problem) => problem.into_response(),
    }
}

async fn open(
    state: &LicenseState,
    ask: &mut Ask,
    token: Option<&str>,
    kid: &str,
) -> Result<(ContentKey, Option<SessionChange>), Stop> {
    let kid = Kid::from_str(kid).ok();
    ask.row.kid = kid;
    let claims = ask.token(state, token, &[Kind::Playback, Kind::Native])?;
    let kid = kid.filter(|kid| claims.covers(*kid)).ok_or(Refusal::WrongKey)?;
    let found = ask.session(state, &claims, Some(kid)).await?;
    let key = content_key(state, &found).await?;
    Ok((key, seen(state, claims.session, &found, ask.now)))
}

async fn content_key(state: &LicenseState, found: &SessionFacts) -> Result<ContentKey, Stop> {
    let name = found.key.ok_or(Refusal::WrongKey)?;
    let wrapped = found.wrapped_secret.as_deref().ok_or(Refusal::AssetNotPlayable)?;
    let broken = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, asset = %found.asset, "an asset secret could not be unwrapped");
        Stop::Broken(unavailable(), Some("vault_unavailable"))
    };
    let secret =
        state.vault.unwrap(&secret_context(found.asset), wrapped).await.map_err(|error| broken(&error))?;
    let bytes = <[u8; 32]>::try_from(secret.as_slice())
        .map_err(|_| broken(&format_args!("expected 32 bytes, got {}", secret.len())))?;
    Ok(AssetSecret::from_bytes(bytes).content_key(name.kid, name.period, name.class))
}

fn respond(key: &ContentKey) -> Response {
    // Wiped when the last reader of the body is done with it.
    let body = Bytes::from_owner(Zeroizing::new(*key.expose()));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
