//! What an operator may set about the API.

use std::{num::NonZeroU32, time::Duration};

/// The API's settings, with defaults that are right for production.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Whether anybody may register as an instructor. Otherwise only `lectern admin create-user` makes one.
    pub open_instructor_registration: bool,
    /// Whether the last address in `X-Forwarded-For` is the client's. Only behind a proxy that always sets it: anybody
    /// else could write what they like there and so escape the limits.
    pub trust_forwarded_for: bool,
    /// How long a refresh token can be used; each use starts it anew.
    pub refresh_lifetime: Duration,
    /// Sign-in attempts for one e-mail address from one client address, per five minutes.
    pub login_attempts: NonZeroU32,
    /// Registrations from one client address, per hour. A class behind one address registers within minutes.
    pub registrations: NonZeroU32,
    /// How hard a password is to guess from its hash.
    pub password_cost: PasswordCost,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            open_instructor_registration: true,
            trust_forwarded_for: false,
            refresh_lifetime: Duration::from_hours(30 * 24),
            login_attempts: NonZeroU32::new(15).expect("15 is not zero"),
            registrations: NonZeroU32::new(300).expect("300 is not zero"),
            password_cost: PasswordCost::default(),
        }
    }
}

/// argon2id parameters, one lane.
#[derive(Debug, Clone, Copy)]
pub struct PasswordCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for PasswordCost {
    /// The first choice of the OWASP password storage guide: 19 MiB, two passes.
    fn default() -> Self {
        Self { memory_kib: 19_456, passes: 2 }
    }
}
