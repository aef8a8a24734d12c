//! Passwords: argon2id, off the async threads, a bounded number at once.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _},
};
use axum::http::StatusCode;
use lectern_platform::http::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::settings::PasswordCost;

/// Accepted length in bytes. The upper end only keeps a request from costing more than its share.
pub(crate) const LENGTH: std::ops::RangeInclusive<usize> = 10..=1_024;

/// Requests that may wait for their turn; more are sent away at once.
const QUEUE: usize = 128;

/// Hashes and checks passwords. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Passwords {
    cost: PasswordCost,
    /// Each hash takes a core and 19 MiB: as many at once as there are cores.
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new(cost: PasswordCost) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            cost,
            running: Arc::new(Semaphore::new(cores)),
            waiting: Arc::new(Semaphore::new(cores + QUEUE)),
        }
    }

    /// A PHC string with a fresh salt.
    pub(crate) async fn hash(&self, password: SecretString) -> Result<String, Problem> {
        let cost = self.cost;
        self.run(move || hash_now(cost, &password)).await?.map_err(Problem::internal)
    }

    /// Whether the password belongs to the hash. Without a hash the answer is no, after the same work: the time taken
    /// does not tell whether an account exists.
    pub(crate) async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, Problem> {
        let cost = self.cost;
        self.run(move || {
            let Some(hash) = hash else {
                // The outcome is of no interest, only the work.
                let _ = hash_now(cost, &password);
                return false;
            };
            Argon2::default().verify_password(password.expose_secret().as_bytes(), hash.as_str()).is_ok()
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let busy = |_| {
            Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "too many people are signing in at this moment; try again in a few seconds",
            )
            .retry_after(5)
        };
        let _place = Arc::clone(&self.waiting).try_acquire_owned().map_err(busy)?;
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(Problem::internal)?;
        // The turn ends with the work, not with a client that stopped waiting for it.
        tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(turn);
            outcome
        })
        .await
        .map_err(Problem::internal)
    }
}

fn hash_now(cost: PasswordCost, password: &SecretString) -> Result<String, argon2::password_hash::Error> {
    let params = Params::new(cost.memory_kib, cost.passes, 1, None)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password(password.expose_secret().as_bytes()).map(|hash| hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_says_its_parameters_and_opens_to_its_password_alone() {
        let passwords = Passwords::new(PasswordCost::default());
        let hash = passwords.hash("correct horse battery".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let again = passwords.hash("correct horse battery".into()).await.unwrap();
        assert_ne!(hash, again, "the salt is fresh");
        for (password, stored, expected) in [
            ("correct horse battery", Some(hash.clone()), true),
            ("correct horse batterz", Some(hash.clone()), false),
            ("", Some(hash), false),
            ("correct horse battery", Some("not a hash".into()), false),
            ("correct horse battery", None, false),
        ] {
            assert_eq!(passwords.verify(password.into(), stored).await.unwrap(), expected, "{password}");
        }
    }

    #[tokio::test]
    async fn an_unknown_account_takes_as_long_as_a_wrong_password() {
        let passwords = Passwords::new(PasswordCost::default());
        let hash = passwords.hash("correct horse battery".into()).await.unwrap();
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..5 {
            for (times, hash) in times.iter_mut().zip([Some(hash.clone()), None]) {
                let start = std::time::Instant::now();
                passwords.verify("wrong password".into(), hash).await.unwrap();
                times.push(start.elapsed());
            }
        }
        // The quickest of each: whatever else the machine does only adds.
        let [known, unknown] = times.map(|times| times.into_iter().min().unwrap().as_secs_f64());
        assert!((0.5..2.0).contains(&(unknown / known)), "known {known} s, unknown {unknown} s");
    }
}
