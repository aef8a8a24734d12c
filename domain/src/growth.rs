//! Assets that can be watched while they are being made: how far a package has grown, and when a learner may begin.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How far a package has grown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grown {
    /// Segments that are published of each track, by the track's name.
    pub segments: BTreeMap<String, u32>,
    /// Up to where every track is published, milliseconds.
    pub until_ms: u64,
}

/// What must be there before anybody begins, milliseconds: a player that has just begun must find more when it looks again, which it
/// does after about one segment.
pub const LEAST_MS: u64 = 16_000;

/// Share of the measured rate that is counted on. Other work may come, and what follows may be harder than the beginning.
const COUNTED_ON: f64 = 0.8;

/// Whether a learner can begin with what is there and will not catch up with what is being made.
///
/// `made_ms` of `duration_ms` are there, and making them took `elapsed_ms`. Where they come faster than they are watched the least
/// is enough. Otherwise the rest must be there by the time a viewer who begins now has watched everything.
pub fn may_begin(made_ms: u64, duration_ms: u64, elapsed_ms: u64) -> bool {
    if duration_ms == 0 || made_ms < LEAST_MS.min(duration_ms) {
        return false;
    }
    let rate = COUNTED_ON * made_ms as f64 / elapsed_ms.max(1) as f64;
    let left_ms = duration_ms.saturating_sub(made_ms) as f64;
    left_ms <= rate * duration_ms as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_begins_does_not_catch_up() {
        let table = [
            ("nothing is there", 0, 60_000, 1_000, false),
            ("too little, however fast", 12_000, 60_000, 100, false),
            ("slides: faster than they are watched", 24_000, 4 * 3_600_000, 2_000, true),
            ("just as fast as they are watched", 24_000, 60_000, 24_000, true),
            ("a little slower, and much to come", 24_000, 4 * 3_600_000, 30_000, false),
            ("half as fast: most of it must be there", 30_000, 60_000, 60_000, false),
            ("half as fast, and most of it is", 40_000, 60_000, 80_000, true),
            ("no duration is known", 60_000, 0, 1_000, false),
            ("all of a short one", 3_000, 3_000, 60_000, true),
            ("in no time", 16_000, 60_000, 0, true),
        ];
        for (what, made, duration, elapsed, expected) in table {
            assert_eq!(may_begin(made, duration, elapsed), expected, "{what}");
        }
    }

    #[test]
    fn a_viewer_at_the_measured_rate_never_waits() {
        for rate in [0.1f64, 0.4, 0.8, 1.1, 3.0] {
            let duration = 600_000.0f64;
            for made in (16..600).map(|s| f64::from(s) * 1_000.0) {
                if !may_begin(made as u64, duration as u64, (made / rate) as u64) {
                    continue;
                }
                for watched in (0..600).map(|s| f64::from(s) * 1_000.0) {
                    assert!((made + rate * watched).min(duration) >= watched, "{rate} {made} {watched}");
                }
                break;
            }
        }
    }
}
