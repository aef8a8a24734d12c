//! Accounts, courses, lessons, enrollments, progress and the state of assets over HTTP, as `docs/api.md` describes them.
//!
//! A request goes through three steps, each in one place: extractors refuse what cannot be read (`extract`), `input`
//! refuses what must not be stored, and a handler finds the thing *as this caller may see it* (`visible`, `owned`)
//! before it does anything. What a caller may not know of is 404, what they may see but not change is 403.
//!
//! What may not enter: SQL (in `store`), rules of the pipeline (in `domain` and `store::pipeline`), uploads, keys and
//! manifests (their own crates), cookies. Passwords and tokens never reach a log or an error.
//!
//! To add a route: a handler in the module of its noun, a line in `routes`, a row in `tests/http/matrix.rs` that says who may
//! call it (without it the test fails), a line in `docs/api.md`.
//!
//! Serve it with connection information (`into_make_service_with_connect_info::<SocketAddr>()`): the limits on signing
//! in and registering count by the client's address.

mod accounts;
pub mod admin;
mod asset_events;
mod assets;
mod auth;
mod captions;
mod chapters;
mod conditional;
mod courses;
mod enrollments;
mod extract;
mod input;
mod lessons;
mod paging;
mod passwords;
mod progress;
mod routes;
mod sessions;
mod settings;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
    http::{HeaderValue, Method, StatusCode, header},
    routing::any,
};
use lectern_platform::{
    clock::Clock, events::AssetNews, http::Problem, rate_limit::RateLimit, shutdown::Shutdown,
    tokens::AccessTokens, worker::Wakeups,
};
use lectern_store::Db;
use tower_http::set_header::SetResponseHeaderLayer;

pub use accounts::{CreateUserError, create_user};
pub use settings::{ApiSettings, PasswordCost};

use passwords::Passwords;

/// Bytes a body may have: a lesson's longest text, in the most wordy JSON that still makes sense.
const BODY_LIMIT: usize = 2 * 1024 * 1024;

/// The times in which full buckets of attempts refill.
const LOGIN_WINDOW: Duration = Duration::from_mins(5);
const REGISTRATION_WINDOW: Duration = Duration::from_hours(1);

/// What the API needs from the process around it.
#[derive(Debug, Clone)]
pub struct Doors {
    /// The database, migrated.
    pub db: Db,
    /// Makes and checks access tokens.
    pub tokens: AccessTokens,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Tells who follows an asset that it changed.
    pub news: AssetNews,
    /// Tells workers of new jobs.
    pub wakeups: Wakeups,
    /// Ends event streams when the server is about to stop.
    pub shutdown: Shutdown,
}

/// Everything a handler can reach. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiState {
    db: Db,
    tokens: AccessTokens,
    clock: Arc<dyn Clock>,
    news: AssetNews,
    wakeups: Wakeups,
    shutdown: Shutdown,
    settings: Arc<ApiSettings>,
    passwords: Passwords,
    login_limit: Arc<RateLimit>,
    registration_limit: Arc<RateLimit>,
}

impl ApiState {
    /// The state of one server.
    pub fn new(doors: Doors, settings: ApiSettings) -> Self {
        let Doors { db, tokens, clock, news, wakeups, shutdown } = doors;
        let passwords = Passwords::new(settings.password_cost);
        let limit = |attempts, window| Arc::new(RateLimit::new(clock.clone(), attempts, window));
        let login_limit = limit(settings.login_attempts, LOGIN_WINDOW);
        let registration_limit = limit(settings.registrations, REGISTRATION_WINDOW);
        let settings = Arc::new(settings);
        Self {
            db,
            tokens,
            clock,
            news,
            wakeups,
            shutdown,
            settings,
            passwords,
            login_limit,
            registration_limit,
        }
    }
}

impl FromRef<ApiState> for AccessTokens {
    fn from_ref(state: &ApiState) -> Self {
        state.tokens.clone()
    }
}

/// The API's routes: `/api/v1/…` and `/.well-known/jwks.json`. Answers for everything under `/api` that no merged router
/// knows; has no fallback of its own, so that it can be merged with others.
pub fn router(state: ApiState) -> Router {
    let unknown = || async { Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such route") };
    routes::table()
        .into_iter()
        .fold(Router::new(), |router, route| router.route(route.path, route.handler))
        .route("/api", any(unknown))
        .route("/api/", any(unknown))
        .route("/api/{*unknown}", any(unknown))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        // Answers differ by caller and from moment to moment.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .with_state(state)
}

/// Method and path of every route, for the test of who may do what.
#[doc(hidden)]
pub fn route_list() -> Vec<(Method, &'static str)> {
    routes::table().into_iter().map(|route| (route.method, route.path)).collect()
}
