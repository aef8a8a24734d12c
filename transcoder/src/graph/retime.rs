//! Decode times for one closed segment. Pure.
//!
//! An encoder that reorders frames puts decode times before presentation times, by an amount that depends on its
//! settings and, at a variable frame rate, on the frames. Here every segment gets its own decode times: its
//! presentation times in ascending order. So the first decode time is the earliest presentation time, decode times
//! rise strictly, sample durations add up to the segment's length, and composition offsets may be negative (ISO/IEC
//! 14496-12 `trun` version 1; CMAF brand `cmf2`, ISO/IEC 23000-19 7.7.2). No edit list is needed and segments made
//! by different jobs follow each other without a seam.

/// Decode time and duration of one sample, in ticks, in decode order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DecodeTime {
    pub(super) start: u64,
    pub(super) duration: u64,
}

/// Decode times for frames whose presentation times are `pts`, in decode order; `end` is where the segment ends.
pub(super) fn decode_times(pts: &[u64], end: u64) -> Vec<DecodeTime> {
    let mut sorted = pts.to_vec();
    sorted.sort_unstable();
    (0..sorted.len())
        .map(|at| {
            let next = sorted.get(at + 1).copied().unwrap_or(end);
            DecodeTime { start: sorted[at], duration: next.saturating_sub(sorted[at]).max(1) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_rise_and_fill_the_segment() {
        // I P B B P B B, variable frame rate.
        let pts = [100, 160, 120, 130, 300, 170, 200];
        let times = decode_times(&pts, 310);
        assert_eq!(times[0].start, 100);
        assert_eq!(times.iter().map(|time| time.duration).sum::<u64>(), 210);
        assert!(times.windows(2).all(|pair| pair[0].start + pair[0].duration == pair[1].start));
    }

    #[test]
    fn one_frame_and_none() {
        assert_eq!(decode_times(&[7], 10), [DecodeTime { start: 7, duration: 3 }]);
        assert_eq!(decode_times(&[7], 7), [DecodeTime { start: 7, duration: 1 }]);
        assert!(decode_times(&[], 7).is_empty());
    }
}
