//! `/auth`: register, sign in, refresh, sign out, who am I; and the public keys of access tokens.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode, header},
};
use lectern_domain::account::Role;
use lectern_platform::http::{Caller, Problem};
use lectern_store::accounts as store;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::{
    ApiState,
    accounts::{self, CreateUserError},
    extract::{Body, ClientAddress},
    input, passwords,
    sessions::{self, SessionView, UserView},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    email: String,
    #[serde(deserialize_with = "input::secret")]
    password: SecretString,
    name: String,
    role: Option<Role>,
}

pub(crate) async fn register(
    State(state): State<ApiState>,
    ClientAddress(client): ClientAddress,
    Body(given): Body<Registration>,
) -> Result<(StatusCode, Json<SessionView>), Problem> {
    let role = given.role.unwrap_or(Role::Student);
    match role {
        Role::Student => {}
        Role::Instructor if state.settings.open_instructor_registration => {}
        Role::Instructor => {
            return Err(Problem::forbidden(
                "instructors are registered by an operator here; ask for an account",
            ));
        }
        Role::Admin => return Err(Problem::invalid("role: expected student or instructor, got admin")),
    }
    // Also a bound on how many addresses can be asked about ("is there an account?") and on the hashes that this costs.
    state.registration_limit.check(client, "").map_err(|wait| {
        Problem::too_many_requests(
            "too many registrations from this network; wait a little and try again",
            wait,
        )
    })?;
    let made = accounts::create(
        &state.db,
        &*state.clock,
        &state.passwords,
        &given.email,
        &given.name,
        given.password,
        role,
    )
    .await;
    let user = made.map_err(|error| match error {
        CreateUserError::Invalid(detail) => Problem::invalid(detail),
        CreateUserError::EmailTaken => Problem::new(StatusCode::CONFLICT, "email_taken", error.to_string()),
        CreateUserError::Password(problem) => problem,
        CreateUserError::Store(error) => error.into(),
    })?;
    tracing::info!(user = %user.id, role = role.as_str(), "account registered");
    Ok((StatusCode::CREATED, Json(sessions::begin(&state, user).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    email: String,
    #[serde(deserialize_with = "input::secret")]
    password: SecretString,
}

pub(crate) async fn login(
    State(state): State<ApiState>,
    ClientAddress(client): ClientAddress,
    Body(given): Body<Login>,
) -> Result<Json<SessionView>, Problem> {
    if given.password.expose_secret().len() > *passwords::LENGTH.end() {
        return Err(Problem::invalid("password: longer than any password here"));
    }
    // An address that nobody can have registered is an unknown one like any other.
    let email = input::email(&given.email).unwrap_or_default();
    state.login_limit.check(client, &email).map_err(|wait| {
        Problem::too_many_requests("too many attempts to sign in; wait a little and try again", wait)
    })?;
    let found = store::credentials(&state.db, &email).await?;
    let (user, hash) = found.map(|found| (found.user, found.password_hash)).unzip();
    let right = state.passwords.verify(given.password, hash).await?;
    let Some(user) = user.filter(|_| right) else {
        metrics::counter!("lectern_logins_total", "outcome" => "refused").increment(1);
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "invalid_credentials",
            "the e-mail address or the password is not right",
        ));
    };
    if user.disabled_at.is_some() {
        return Err(sessions::disabled());
    }
    metrics::counter!("lectern_logins_total", "outcome" => "granted").increment(1);
    Ok(Json(sessions::begin(&state, user).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Held {
    #[serde(deserialize_with = "input::secret")]
    refresh_token: SecretString,
}

pub(crate) async fn refresh(
    State(state): State<ApiState>,
    Body(held): Body<Held>,
) -> Result<Json<SessionView>, Problem> {
    sessions::refresh(&state, &held.refresh_token).await.map(Json)
}

pub(crate) async fn logout(
    State(state): State<ApiState>,
    Body(held): Body<Held>,
) -> Result<StatusCode, Problem> {
    sessions::end(&state, &held.refresh_token).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn me(State(state): State<ApiState>, caller: Caller) -> Result<Json<UserView>, Problem> {
    let user = store::get(&state.db, caller.user).await?.ok_or_else(Problem::unauthenticated)?;
    if user.disabled_at.is_some() { Err(sessions::disabled()) } else { Ok(Json(user.into())) }
}

pub(crate) async fn jwks(
    State(state): State<ApiState>,
) -> ([(HeaderName, &'static str); 1], Json<serde_json::Value>) {
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(state.tokens.jwks()))
}
