//! Ticks: the times that are written to files. Pure.
//!
//! Every rung of an asset, in every span, counts in the same ticks, so that equal frames get equal times.

use lectern_domain::{
    plan::{SECOND_NS, VideoPlan},
    source::Ratio,
};

/// Ticks per second for a frame rate: 90 000 where that divides evenly, otherwise a multiple of the rate's numerator.
/// One tick is never longer than 0.1 ms.
pub(super) fn timescale(rate: Ratio) -> u32 {
    let (num, den) = (u64::from(rate.num), u64::from(rate.den));
    if num == 0 || (90_000 * den).is_multiple_of(num) || num > 1_000_000 {
        return 90_000;
    }
    (num * 10_000u64.div_ceil(num)) as u32
}

/// Nanoseconds to the nearest tick.
pub(super) fn to_ticks(ns: i64, timescale: u32) -> i64 {
    let scaled = i128::from(ns) * i128::from(timescale);
    let second = i128::from(SECOND_NS);
    (scaled + second / 2).div_euclid(second) as i64
}

/// Ticks to nanoseconds, rounded up: rounding these down again, as muxers do, gives the same tick.
pub(super) fn to_ns(ticks: u64, timescale: u32) -> u64 {
    (u128::from(ticks) * u128::from(SECOND_NS)).div_ceil(u128::from(timescale)) as u64
}

/// The segment that a frame at `ticks` belongs to: the last one that starts at or before it.
pub(super) fn segment_at(plan: &VideoPlan, ticks: i64, timescale: u32) -> u32 {
    let starts = &plan.segment_starts_ns;
    let after = starts.partition_point(|start| to_ticks(*start as i64, timescale) <= ticks);
    let index = after.saturating_sub(1);
    if index + 1 < starts.len() || plan.segment_ns == 0 {
        return index as u32;
    }
    // The grid goes on where a source runs past its declared duration. The planner lets a tail of under a quarter
    // of a segment join the last segment, so the continuation starts only after that.
    let last = starts.last().copied().unwrap_or(0);
    let past = ticks - to_ticks(last as i64, timescale);
    let segment = to_ticks(plan.segment_ns as i64, timescale).max(1);
    if past < segment + segment / 4 { index as u32 } else { index as u32 + (past / segment) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timescales_divide_the_frame_rate() {
        for (num, den, expected) in [
            (24, 1, 90_000),
            (25, 1, 90_000),
            (30, 1, 90_000),
            (60, 1, 90_000),
            (30_000, 1_001, 90_000),
            (24_000, 1_001, 24_000),
            (60_000, 1_001, 60_000),
            (7, 1, 10_003),
            (0, 1, 90_000),
        ] {
            let scale = timescale(Ratio::new(num, den));
            assert_eq!(scale, expected, "{num}/{den}");
            assert!(num == 0 || (u64::from(scale) * u64::from(den)).is_multiple_of(u64::from(num)));
        }
    }

    #[test]
    fn ticks_survive_the_way_through_nanoseconds() {
        for scale in [90_000, 24_000, 10_003, 48_000, 44_100] {
            for ticks in (0..5_000).chain([123_456_789, 3_888_000_000]) {
                let ns = to_ns(ticks, scale);
                assert_eq!(u128::from(ns) * u128::from(scale) / u128::from(SECOND_NS), u128::from(ticks));
                assert_eq!(to_ticks(ns as i64, scale), ticks as i64);
            }
        }
    }

    #[test]
    fn segments_are_half_open_and_go_on_past_the_plan() {
        let s = SECOND_NS;
        let plan =
            VideoPlan { segment_starts_ns: vec![0, 4 * s, 8 * s], segment_ns: 4 * s, ..VideoPlan::default() };
        for (ticks, expected) in [
            (-5, 0),
            (0, 0),
            (359_999, 0),
            (360_000, 1),
            (720_000, 2),
            (720_000 + 449_999, 2),
            (720_000 + 450_000, 3),
            (720_000 + 720_000, 4),
        ] {
            assert_eq!(segment_at(&plan, ticks, 90_000), expected, "{ticks}");
        }
    }
}
