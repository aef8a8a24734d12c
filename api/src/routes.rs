//! The one table of routes. The router is built from it, and the test of who may do what goes through it: a route added
//! here without its row there fails that test.

use axum::{
    http::Method,
    routing::{MethodFilter, MethodRouter, on},
};

use crate::{ApiState, admin, assets, auth, captions, chapters, courses, enrollments, lessons, progress};

/// A method, a path, and what answers there.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) handler: MethodRouter<ApiState>,
}

macro_rules! routes {
    ($($method:ident $path:literal => $handler:path;)*) => {
        vec![$(Route { method: Method::$method, path: $path, handler: on(MethodFilter::$method, $handler) }),*]
    };
}

/// Every route of the API.
pub(crate) fn table() -> Vec<Route> {
    routes! {
        GET    "/.well-known/jwks.json" => auth::jwks;
        POST   "/api/v1/auth/register" => auth::register;
        POST   "/api/v1/auth/login" => auth::login;
        POST   "/api/v1/auth/refresh" => auth::refresh;
        POST   "/api/v1/auth/logout" => auth::logout;
        GET    "/api/v1/auth/me" => auth::me;
        GET    "/api/v1/courses" => courses::list;
        POST   "/api/v1/courses" => courses::create;
        GET    "/api/v1/courses/{course_id}" => courses::get;
        PATCH  "/api/v1/courses/{course_id}" => courses::change;
        DELETE "/api/v1/courses/{course_id}" => courses::delete;
        GET    "/api/v1/courses/{course_id}/lessons" => lessons::list;
        POST   "/api/v1/courses/{course_id}/lessons" => lessons::create;
        GET    "/api/v1/lessons/{lesson_id}" => lessons::get;
        PATCH  "/api/v1/lessons/{lesson_id}" => lessons::change;
        DELETE "/api/v1/lessons/{lesson_id}" => lessons::delete;
        POST   "/api/v1/enrollments/{course_id}" => enrollments::enroll;
        DELETE "/api/v1/enrollments/{course_id}" => enrollments::leave;
        PUT    "/api/v1/progress/{lesson_id}" => progress::put;
        GET    "/api/v1/progress/{lesson_id}" => progress::get;
        GET    "/api/v1/users/{user_id}/progress" => progress::list;
        GET    "/api/v1/assets/{asset_id}" => assets::get;
        GET    "/api/v1/assets/{asset_id}/events" => assets::events;
        POST   "/api/v1/assets/{asset_id}/retry" => assets::retry;
        PUT    "/api/v1/assets/{asset_id}/trim" => assets::trim;
        DELETE "/api/v1/assets/{asset_id}" => assets::delete;
        GET    "/api/v1/assets/{asset_id}/captions" => captions::list;
        GET    "/api/v1/assets/{asset_id}/captions/{language}" => captions::get;
        PUT    "/api/v1/assets/{asset_id}/captions/{language}" => captions::put;
        DELETE "/api/v1/assets/{asset_id}/captions/{language}" => captions::delete;
        GET    "/api/v1/assets/{asset_id}/chapters" => chapters::list;
        PUT    "/api/v1/assets/{asset_id}/chapters" => chapters::put;
        GET    "/api/v1/admin/jobs" => admin::list_jobs;
        GET    "/api/v1/admin/jobs/{job_id}" => admin::get_job;
        POST   "/api/v1/admin/jobs/{job_id}/retry" => admin::retry_job;
        POST   "/api/v1/admin/jobs/{job_id}/cancel" => admin::cancel_job;
        GET    "/api/v1/admin/workers" => admin::list_workers;
        POST   "/api/v1/admin/workers/{process_id}/drain" => admin::drain_worker;
    }
}
