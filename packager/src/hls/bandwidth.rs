//! Measured bit rates of a media playlist (RFC 8216bis, 4.4.6.2 and clause 1 of its terms).

/// Size and duration of one segment as it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentRate {
    /// Size in bytes, padding included.
    pub bytes: u64,
    /// Duration in microseconds.
    pub duration_us: u64,
}

/// The peak segment bit rate, bits per second: the largest rate of any run of segments that lasts between 0.5 and
/// 1.5 target durations. An asset too short for any such run is taken whole.
pub fn peak_bps(segments: &[SegmentRate], target_duration_s: u64) -> u64 {
    let (shortest, longest) = (target_duration_s * 500_000, target_duration_s * 1_500_000);
    let mut peak = None;
    for first in 0..segments.len() {
        let mut run = SegmentRate { bytes: 0, duration_us: 0 };
        for segment in &segments[first..] {
            run.bytes += segment.bytes;
            run.duration_us += segment.duration_us;
            if run.duration_us > longest {
                break;
            }
            if run.duration_us >= shortest {
                peak = peak.max(Some(bps(run)));
            }
        }
    }
    peak.unwrap_or_else(|| average_bps(segments))
}

/// The average segment bit rate, bits per second: all bytes over the whole duration.
pub fn average_bps(segments: &[SegmentRate]) -> u64 {
    bps(SegmentRate {
        bytes: segments.iter().map(|segment| segment.bytes).sum(),
        duration_us: segments.iter().map(|segment| segment.duration_us).sum(),
    })
}

/// Rounded up: a promise of how much is enough must not be below the truth.
fn bps(run: SegmentRate) -> u64 {
    let rate = (u128::from(run.bytes) * 8_000_000).div_ceil(u128::from(run.duration_us.max(1)));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(list: &[(u64, u64)]) -> Vec<SegmentRate> {
        list.iter().map(|(bytes, ms)| SegmentRate { bytes: *bytes, duration_us: ms * 1000 }).collect()
    }

    #[test]
    fn peaks_and_averages() {
        // (segments as bytes and milliseconds, target duration, peak, average)
        type Case<'a> = (&'a [(u64, u64)], u64, u64, u64);
        let table: &[Case<'_>] = &[
            // One segment is its own peak.
            (&[(1000, 4000)], 4, 2000, 2000),
            // The richest of several.
            (&[(1000, 4000), (3000, 4000), (2000, 4000)], 4, 6000, 4000),
            // A sliver of 0.5 s at 16 kbit/s is too short to count alone; with its neighbour it does.
            (&[(1000, 4000), (1000, 500)], 4, 3556, 3556),
            // Two short ones are a run of their own, and one of them is long enough alone.
            (&[(100, 1000), (4000, 2000), (100, 2000)], 4, 16_000, 6720),
            // 0.2 s in all: shorter than any run.
            (&[(100, 200)], 1, 4000, 4000),
            // Rounded up.
            (&[(1, 3000)], 3, 3, 3),
            (&[], 1, 0, 0),
        ];
        for (list, target, peak, average) in table {
            let list_of = segments(list);
            assert_eq!((peak_bps(&list_of, *target), average_bps(&list_of)), (*peak, *average), "{list:?}");
        }
    }
}
