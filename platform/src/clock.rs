//! Time and fresh ids, behind a trait so that tests set the time.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use lectern_domain::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now, in UTC, to the microsecond (what both database engines keep).
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let now = Timestamp::now_utc();
        now.replace_nanosecond(now.nanosecond() / 1_000 * 1_000).unwrap_or(now)
    }
}

/// A clock that stands still until told.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `seconds` after the Unix epoch.
    pub fn at(seconds: i64) -> Self {
        Self(Arc::new(AtomicI64::new(seconds * 1_000_000)))
    }

    /// Moves it.
    pub fn advance(&self, by: std::time::Duration) {
        self.0.fetch_add(by.as_micros() as i64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_timestamp_nanos(i128::from(self.0.load(Ordering::SeqCst)) * 1_000)
            .expect("a test's time is within range")
    }
}

/// Bytes from the system's cryptographic generator.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    rand::random()
}

/// A new id: `new_id(clock, AssetId::generate)`.
pub fn new_id<T>(clock: &dyn Clock, generate: fn(Timestamp, &[u8; 10]) -> T) -> T {
    generate(clock.now(), &random_bytes())
}
