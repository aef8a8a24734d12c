//! How often one may try to sign in: a bucket for each pair of client address and e-mail address, in bounded memory.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use axum::http::StatusCode;
use governor::{
    Quota, RateLimiter, middleware::NoOpMiddleware, nanos::Nanos, state::keyed::HashMapStateStore,
};
use lectern_platform::{clock::Clock, http::Problem};
use sha2::{Digest as _, Sha256};

/// The time in which a full bucket of attempts refills.
pub(crate) const WINDOW: Duration = Duration::from_mins(5);

/// Pairs remembered at once, some tens of bytes each. A pair is forgotten once its bucket is full again, so that reaching this
/// takes thousands of different addresses a second.
const MAX_PAIRS: usize = 200_000;

type Pair = [u8; 16];

#[derive(Debug, Clone)]
struct Time(Arc<dyn Clock>);

impl governor::clock::Clock for Time {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        u64::try_from(self.0.now().unix_timestamp_nanos()).unwrap_or(0).into()
    }
}

/// Counts sign-in attempts.
pub(crate) struct LoginLimit {
    time: Time,
    buckets: RateLimiter<Pair, HashMapStateStore<Pair>, Time, NoOpMiddleware<Nanos>>,
    max_pairs: usize,
}

impl std::fmt::Debug for LoginLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginLimit").field("pairs", &self.buckets.len()).finish_non_exhaustive()
    }
}

impl LoginLimit {
    pub(crate) fn new(clock: Arc<dyn Clock>, attempts: NonZeroU32) -> Self {
        Self::bounded(clock, attempts, MAX_PAIRS)
    }

    fn bounded(clock: Arc<dyn Clock>, attempts: NonZeroU32, max_pairs: usize) -> Self {
        let one = WINDOW / attempts.get();
        let quota = Quota::with_period(one).expect("the window is not zero").allow_burst(attempts);
        let time = Time(clock);
        let buckets = RateLimiter::new(quota, HashMapStateStore::default(), time.clone());
        Self { time, buckets, max_pairs }
    }

    /// Counts an attempt; 429 when there were too many.
    pub(crate) fn check(&self, client: Option<IpAddr>, email: &str) -> Result<(), Problem> {
        let too_many = |wait: Duration| {
            let detail = "too many attempts to sign in; wait a little and try again";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
                .retry_after(wait.as_secs() + 1)
        };
        if self.buckets.len() >= self.max_pairs {
            self.buckets.retain_recent();
            if self.buckets.len() >= self.max_pairs {
                return Err(too_many(Duration::from_secs(30)));
            }
        }
        self.buckets
            .check_key(&pair(client, email))
            .map_err(|until| too_many(until.wait_time_from(governor::clock::Clock::now(&self.time))))
    }
}

/// Hashed, so that a long e-mail address costs no more than a short one.
fn pair(client: Option<IpAddr>, email: &str) -> Pair {
    let network = match client.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(v4)) => v4.to_ipv6_mapped(),
        // Who has one IPv6 address usually has the whole /64.
        Some(IpAddr::V6(v6)) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64),
        None => Ipv6Addr::UNSPECIFIED,
    };
    let digest = Sha256::new().chain_update(network.octets()).chain_update(email).finalize();
    *digest.first_chunk().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use lectern_platform::clock::ManualClock;

    use super::*;

    fn limit(max_pairs: usize) -> (ManualClock, LoginLimit) {
        let clock = ManualClock::at(1_000_000);
        let attempts = NonZeroU32::new(3).unwrap();
        let limit = LoginLimit::bounded(Arc::new(clock.clone()), attempts, max_pairs);
        (clock, limit)
    }

    #[test]
    fn a_bucket_empties_for_its_pair_and_refills_with_time() {
        let (clock, limit) = limit(100);
        for _ in 0..3 {
            limit.check("192.0.2.1".parse().ok(), "a@example.org").unwrap();
        }
        let problem = limit.check("192.0.2.1".parse().ok(), "a@example.org").unwrap_err();
        let wait = problem.retry_after.unwrap();
        assert!((100..=101).contains(&wait), "{wait}");
        limit.check("192.0.2.1".parse().ok(), "b@example.org").unwrap();
        limit.check("192.0.2.2".parse().ok(), "a@example.org").unwrap();
        clock.advance(Duration::from_secs(wait));
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
