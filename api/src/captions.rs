//! `/assets/{asset_id}/captions`: upload, list, read back and remove captions. A change makes a new package version, which the
//! packager publishes; nothing is transcoded for it.

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequestParts, Path, State, rejection::BytesRejection},
    http::{StatusCode, header, request::Parts},
    response::IntoResponse,
};
use lectern_domain::{
    Timestamp,
    asset::AssetState,
    captions::{self as rules, CaptionKind, CaptionOrigin, MAX_FILE_BYTES, MAX_TRACKS, language_tag},
    ids::{AssetId, CaptionId},
};
use lectern_platform::{
    clock::new_id,
    http::{Caller, Problem},
};
use lectern_store::captions::{self, Caption, Kept, NewCaption};
use serde::{Deserialize, Serialize};

use crate::{
    ApiState,
    assets::owned,
    extract::{Params, PathId},
    input,
};

/// Captions as callers see them.
#[derive(Debug, Serialize)]
pub(crate) struct CaptionView {
    language: String,
    label: String,
    kind: CaptionKind,
    origin: CaptionOrigin,
    cues: u64,
    #[serde(with = "time::serde::rfc3339")]
    created_at: Timestamp,
}

impl From<Caption> for CaptionView {
    fn from(caption: Caption) -> Self {
        let Caption { language, label, kind, origin, cues, created_at, .. } = caption;
        Self { language, label, kind, origin, cues, created_at }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct CaptionList {
    items: Vec<CaptionView>,
    /// Whether players get exactly these.
    published: bool,
}

/// An asset's id and a language in a path.
#[derive(Debug)]
pub(crate) struct AssetLanguage(AssetId, String);

impl<S: Send + Sync> FromRequestParts<S> for AssetLanguage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((asset, language)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::invalid(rejection.body_text()))?;
        let asset = asset
            .parse()
            .map_err(|error: lectern_domain::ids::IdError| Problem::invalid(error.to_string()))?;
        let tag = language_tag(&language).ok_or_else(|| {
            let got: String = language.chars().take(40).collect();
            Problem::invalid(format!("language: expected a BCP 47 tag like en or pt-BR, got {got:?}"))
        })?;
        Ok(Self(asset, tag))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct About {
    label: Option<String>,
    kind: Option<CaptionKind>,
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(asset): PathId<AssetId>,
) -> Result<Json<CaptionList>, Problem> {
    crate::assets::visible(&state, caller, asset).await?;
    let found = captions::list(&state.db, asset).await?;
    let versions = captions::versions(&state.db, asset).await?;
    let published = versions.is_some_and(|versions| versions.wanted == versions.published);
    Ok(Json(CaptionList { items: found.into_iter().map(CaptionView::from).collect(), published }))
}

pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    AssetLanguage(asset, language): AssetLanguage,
) -> Result<impl IntoResponse, Problem> {
    owned(&state, caller, asset).await?;
    let missing = || Problem::not_found("captions");
    let caption = captions::find(&state.db, asset, &language).await?.ok_or_else(missing)?;
    let text = captions::webvtt(&state.db, caption.id).await?.ok_or_else(missing)?;
    Ok(([(header::CONTENT_TYPE, "text/vtt; charset=utf-8")], text))
}

pub(crate) async fn put(
    State(state): State<ApiState>,
    caller: Caller,
    AssetLanguage(asset, language): AssetLanguage,
    Params(about): Params<About>,
    file: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<CaptionView>), Problem> {
    if owned(&state, caller, asset).await?.state == AssetState::Deleted {
        return Err(Problem::not_found("asset"));
    }
    let label = match about.label {
        Some(label) => input::line("label", &label)?,
        None => language.clone(),
    };
    let file = file.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "payload_too_large",
            format!("expected a caption file of at most {MAX_FILE_BYTES} bytes"),
        ),
        _ => Problem::invalid(rejection.body_text()),
    })?;
    let cues = rules::read(&file)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "not_captions", error.to_string()))?;
    let now = state.clock.now();
    let new = NewCaption {
        id: new_id(state.clock.as_ref(), CaptionId::generate),
        language,
        label,
        kind: about.kind.unwrap_or(CaptionKind::Captions),
        origin: CaptionOrigin::Uploaded,
        cues: cues.len() as u64,
        webvtt: rules::webvtt(&cues),
    };
    let mut tx = state.db.begin().await?;
    let status = match captions::put(&mut tx, asset, &new, MAX_TRACKS as u64, now).await? {
        Kept::New => StatusCode::CREATED,
        Kept::Replaced => StatusCode::OK,
        Kept::TooMany => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "too_many_captions",
                format!("expected captions in at most {MAX_TRACKS} languages; remove one first"),
            ));
        }
    };
    tx.commit().await?;
    state.wakeups.wake();
    state.news.changed(asset);
    tracing::info!(%asset, user = %caller.user, language = new.language, cues = new.cues, "captions kept");
    let NewCaption { language, label, kind, origin, cues, .. } = new;
    Ok((status, Json(CaptionView { language, label, kind, origin, cues, created_at: now })))
}

pub(crate) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    AssetLanguage(asset, language): AssetLanguage,
) -> Result<StatusCode, Problem> {
    owned(&state, caller, asset).await?;
    let mut tx = state.db.begin().await?;
    if !captions::delete(&mut tx, asset, &language, state.clock.now()).await? {
        return Err(Problem::not_found("captions"));
    }
    tx.commit().await?;
    state.wakeups.wake();
    state.news.changed(asset);
    tracing::info!(%asset, user = %caller.user, language, "captions removed");
    Ok(StatusCode::NO_CONTENT)
}
