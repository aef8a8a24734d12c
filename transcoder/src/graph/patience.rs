//! How long work may go without a sign of life. Time in which it waits for its source to be fetched does not count: that
//! is the store's affair, and the parent bounds it.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

#[derive(Debug)]
struct Waits {
    /// Threads that wait now.
    threads: u32,
    /// Since when at least one does.
    since: Option<Instant>,
    /// Waits that are over.
    past: Duration,
}

static WAITS: Mutex<Waits> = Mutex::new(Waits { threads: 0, since: None, past: Duration::ZERO });

/// A thread waits for the source until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting(());

/// The calling thread begins to wait for the source.
pub(crate) fn waiting() -> Waiting {
    let mut waits = WAITS.lock().unwrap_or_else(PoisonError::into_inner);
    waits.threads += 1;
    waits.since.get_or_insert_with(Instant::now);
    Waiting(())
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waits = WAITS.lock().unwrap_or_else(PoisonError::into_inner);
        waits.threads -= 1;
        if waits.threads == 0
            && let Some(since) = waits.since.take()
        {
            waits.past += since.elapsed();
        }
    }
}

/// How long this process has waited for its source.
pub(crate) fn waited() -> Duration {
    let waits = WAITS.lock().unwrap_or_else(PoisonError::into_inner);
    waits.past + waits.since.map_or(Duration::ZERO, |since| since.elapsed())
}

/// A bound on a time without a sign of life.
#[derive(Debug)]
pub(crate) struct Patience {
    bound: Duration,
    since: Instant,
    waited: Duration,
}

impl Patience {
    /// From now on.
    pub(crate) fn new(bound: Duration) -> Self {
        Self { bound, since: Instant::now(), waited: waited() }
    }

    /// There was a sign of life.
    pub(crate) fn renew(&mut self) {
        *self = Self::new(self.bound);
    }

    /// Whether it is at an end.
    pub(crate) fn is_over(&self) -> bool {
        self.since.elapsed().saturating_sub(waited().saturating_sub(self.waited)) > self.bound
    }
}
