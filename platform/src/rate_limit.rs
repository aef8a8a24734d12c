//! How often a client may ask for something that costs: a bucket for each client address, or for each pair of it and
//! whom it asks about, in bounded memory.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use governor::{
    Quota, RateLimiter, middleware::NoOpMiddleware, nanos::Nanos, state::keyed::HashMapStateStore,
};
use sha2::{Digest as _, Sha256};

use crate::clock::Clock;

/// Buckets remembered at once, some tens of bytes each. One is forgotten once it is full again, so that reaching this
/// takes very many different addresses within a window.
const MAX_BUCKETS: usize = 200_000;

type Key = [u8; 16];

#[derive(Debug, Clone)]
struct Time(Arc<dyn Clock>);

impl governor::clock::Clock for Time {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        u64::try_from(self.0.now().unix_timestamp_nanos()).unwrap_or(0).into()
    }
}

/// Counts what clients ask for.
pub struct RateLimit {
    time: Time,
    buckets: RateLimiter<Key, HashMapStateStore<Key>, Time, NoOpMiddleware<Nanos>>,
    max_buckets: usize,
}

impl std::fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimit").field("buckets", &self.buckets.len()).finish_non_exhaustive()
    }
}

impl RateLimit {
    /// Allows `attempts` at once and as many within each `window`, spread evenly.
    pub fn new(clock: Arc<dyn Clock>, attempts: NonZeroU32, window: Duration) -> Self {
        Self::bounded(clock, attempts, window, MAX_BUCKETS)
    }

    fn bounded(clock: Arc<dyn Clock>, attempts: NonZeroU32, window: Duration, max_buckets: usize) -> Self {
        let one = window / attempts.get();
        let quota = Quota::with_period(one).expect("the window is not zero").allow_burst(attempts);
        let time = Time(clock);
        let buckets = RateLimiter::new(quota, HashMapStateStore::default(), time.clone());
        Self { time, buckets, max_buckets }
    }

    /// Counts an attempt of a client, about `whom` (an e-mail address, or nobody in particular). When there were too many:
    /// how long to wait.
    pub fn check(&self, client: Option<IpAddr>, whom: &str) -> Result<(), Duration> {
        if self.buckets.len() >= self.max_buckets {
            self.buckets.retain_recent();
            if self.buckets.len() >= self.max_buckets {
                return Err(Duration::from_secs(30));
            }
        }
        self.buckets
            .check_key(&key(client, whom))
            .map_err(|until| until.wait_time_from(governor::clock::Clock::now(&self.time)))
    }
}

/// Hashed, so that a long e-mail address costs no more than a short one.
fn key(client: Option<IpAddr>, whom: &str) -> Key {
    let network = match client.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(v4)) => v4.to_ipv6_mapped(),
        // Who has one IPv6 address usually has the whole /64.
        Some(IpAddr::V6(v6)) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64),
        None => Ipv6Addr::UNSPECIFIED,
    };
    let digest = Sha256::new().chain_update(network.octets()).chain_update(whom).finalize();
    *digest.first_chunk().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const WINDOW: Duration = Duration::from_mins(5);

    fn limit(max_buckets: usize) -> (ManualClock, RateLimit) {
        let clock = ManualClock::at(1_000_000);
        let attempts = NonZeroU32::new(3).unwrap();
        let limit = RateLimit::bounded(Arc::new(clock.clone()), attempts, WINDOW, max_buckets);
        (clock, limit)
    }

    #[test]
    fn a_bucket_empties_for_its_key_and_refills_with_time() {
        let (clock, limit) = limit(100);
        for _ in 0..3 {
            limit.check("192.0.2.1".parse().ok(), "a@example.org").unwrap();
        }
        let wait = limit.check("192.0.2.1".parse().ok(), "a@example.org").unwrap_err();
        assert_eq!(wait.as_secs(), 100);
        limit.check("192.0.2.1".parse().ok(), "b@example.org").unwrap();
        limit.check("192.0.2.2".parse().ok(), "a@example.org").unwrap();
        clock.advance(wait);
        limit.check("192.0.2.1".parse().ok(), "a@example.org").unwrap();
        limit.check("192.0.2.1".parse().ok(), "a@example.org").unwrap_err();
    }

    #[test]
    fn a_whole_ipv6_network_is_one_client() {
        let (_clock, limit) = limit(100);
        for host in 1..=3 {
            limit.check(format!("2001:db8::{host}").parse().ok(), "a@example.org").unwrap();
        }
        limit.check("2001:db8::4".parse().ok(), "a@example.org").unwrap_err();
        limit.check("2001:db8:0:1::4".parse().ok(), "a@example.org").unwrap();
    }

    #[test]
    fn memory_is_bounded_and_freed_with_time() {
        let (clock, limit) = limit(50);
        let refused = (0..100).filter(|n| limit.check(None, &format!("{n}@example.org")).is_err()).count();
        assert_eq!(refused, 50);
        clock.advance(WINDOW);
        limit.check(None, "late@example.org").unwrap();
        assert_eq!(limit.buckets.len(), 1);
    }
}
