//! Playback sessions, the entitlement check behind every key, keys, per-session playlists, shared encrypted bytes.
//!
//! The five things that are decided (`session`, `key`, `heartbeat`, `playlist`, `still`) go the same way: gather the facts in one
//! statement, let `domain::decision` judge them, make the audit row durable, only then answer. What cannot be written
//! down is not given. Refusals of strangers are written down up to a limit for each address, and past it answered with 429.
//!
//! What may not enter: rules (they are in `domain`), SQL (in `store`), media parsing (this process holds keys), and
//! anything of an LMS but the entitlements table. Tokens and keys never reach a log or an error; whoever logs requests
//! passes their paths through [`redact_path`].
//!
//! To add something that is decided: a handler that calls [`decision`]'s steps in their order with an action name of its
//! own, a line in the table of `tests/decisions.rs`.

mod audit;
mod decision;
mod keys;
mod media;
mod native;
mod playlist;
mod redact;
mod sessions;
mod stills;
mod token;

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::FromRef,
    http::{HeaderName, HeaderValue, Method, header},
    routing::{delete, get, post},
};
use lectern_platform::{
    clock::Clock,
    http::Problem,
    objects::SharedObjects,
    rate_limit::RateLimit,
    tokens::{AccessTokens, Keyring},
    vault::Vault,
};
use lectern_store::Db;
use tower_http::{cors::CorsLayer, set_header::SetResponseHeaderLayer};
use url::Url;

pub use redact::redact_path;

/// The time in which a stranger's full bucket of refusals refills.
const STRANGERS_WINDOW: Duration = Duration::from_mins(10);

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct LicenseSettings {
    /// Where clients reach this server, when the URLs it hands out must be absolute.
    pub public_base_url: Option<Url>,
    /// How long a playback token lives; a heartbeat brings the next one.
    pub token_lifetime: Duration,
    /// A session that playback tokens have not used for this long has ended. Sessions viewed by native tokens are not
    /// subject to it: see [`native_token_lifetime`](Self::native_token_lifetime).
    pub session_idle: Duration,
    /// How long a native token lives beyond the duration of the asset. A player that cannot send headers asks once for
    /// each key, then perhaps for nothing until it changes rendition an hour later; it cannot renew and cannot be told
    /// from one that is gone. So its token lasts as long as a viewing with pauses may, and what ends it sooner is the
    /// end of the session or of the right to play, both asked for at every use.
    pub native_token_lifetime: Duration,
    /// Whether the last address in `X-Forwarded-For` is the client's. Only behind a proxy that always sets it.
    pub trust_forwarded_for: bool,
    /// Refusals that requests without a valid token from one client address may bring about within ten minutes; each is
    /// a row of the audit log. More are answered with 429 and not written down.
    pub stranger_refusals: NonZeroU32,
}

impl Default for LicenseSettings {
    fn default() -> Self {
        Self {
            public_base_url: None,
            token_lifetime: Duration::from_mins(5),
            session_idle: Duration::from_mins(15),
            native_token_lifetime: Duration::from_hours(6),
            trust_forwarded_for: false,
            stranger_refusals: NonZeroU32::new(300).expect("300 is not zero"),
        }
    }
}

impl LicenseSettings {
    /// A path of this server as clients should ask for it.
    pub(crate) fn public(&self, path: &str) -> String {
        match &self.public_base_url {
            None => path.to_owned(),
            Some(base) => format!("{}{path}", base.as_str().trim_end_matches('/')),
        }
    }
}

/// What the routes need. Cheap to clone.
#[derive(Clone)]
pub struct LicenseState {
    db: Db,
    vault: Arc<dyn Vault>,
    objects: SharedObjects,
    access: AccessTokens,
    playback: token::PlaybackTokens,
    clock: Arc<dyn Clock>,
    settings: Arc<LicenseSettings>,
    audit: audit::AuditLog,
    strangers: Arc<RateLimit>,
}

impl fmt::Debug for LicenseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LicenseState")
            .field("db", &self.db)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl FromRef<LicenseState> for AccessTokens {
    fn from_ref(state: &LicenseState) -> Self {
        state.access.clone()
    }
}

impl LicenseState {
    /// `playback` is a keyring of a purpose of its own, so that no other kind of token is ever taken for one of ours.
    /// Starts the task that writes the audit log, on the current runtime; it ends with the last clone of the state,
    /// after it has written what was given to it.
    pub fn new(
        db: Db,
        vault: Arc<dyn Vault>,
        objects: SharedObjects,
        access: AccessTokens,
        playback: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        settings: LicenseSettings,
    ) -> Self {
        let audit = audit::AuditLog::start(db.clone());
        let playback = token::PlaybackTokens::new(playback);
        let strangers = RateLimit::new(clock.clone(), settings.stranger_refusals, STRANGERS_WINDOW);
        let (settings, strangers) = (Arc::new(settings), Arc::new(strangers));
        Self { db, vault, objects, access, playback, clock, settings, audit, strangers }
    }
}

/// The routes of "Playback" in docs/api.md. Serve them with `into_make_service_with_connect_info::<SocketAddr>()`, or
/// put a `ConnectInfo<SocketAddr>` into the requests, for the audit log to name the client.
pub fn router(state: LicenseState) -> Router {
    Router::new()
        .route("/api/v1/lessons/{lesson_id}/playback", post(sessions::start))
        .route("/api/v1/lessons/{lesson_id}/stills/{file}", get(stills::of_lesson))
        .route("/api/v1/playback/{session_id}/heartbeat", post(sessions::heartbeat))
        .route("/api/v1/playback/{session_id}", delete(sessions::end))
        .route("/keys/{kid}", get(keys::key))
        .route("/playback/{token}/{*file}", get(native::playlist))
        .route("/media/{asset_id}/{package_id}/{*file}", get(media::file))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        // Whatever a handler does not say itself is not to be kept.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .layer(SetResponseHeaderLayer::overriding(
            HeaderName::from_static("x-content-type-options"),
            HeaderValue::from_static("nosniff"),
        ))
        .layer(cors())
        .with_state(state)
}

/// Players live on other origins. Nothing here reads a cookie, so every origin may ask.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(tower_http::cors::Any)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::RANGE,
            header::IF_RANGE,
            header::IF_NONE_MATCH,
        ])
        .expose_headers([
            header::ACCEPT_RANGES,
            header::CONTENT_LENGTH,
            header::CONTENT_RANGE,
            header::ETAG,
            header::RETRY_AFTER,
        ])
        .max_age(Duration::from_hours(24))
}
