//! Decode times for one closed segment. Pure.
//!
//! An encoder that reorders frames puts decode times before presentation times, by an amount that depends on its
//! settings and, at a variable frame rate, on the frames; the first would be negative. Here every segment gets its own
//! decode times, within its own presentation time: the first frame is decoded when it is shown, the next ones closely
//! after it, until the reordering depth is gained, and from there each frame at the time an earlier one is shown; but none so early
//! that its sample, whose duration is the step to the next decode time, would last beyond the segment from where it is shown. So
//! decode times rise strictly, no frame is decoded after it is shown, sample durations add up to the segment's length,
//! no edit list is needed, and segments made by different jobs follow each other without a seam, nor one over the other: browsers
//! place what follows after the sample that ends last. (Negative composition offsets would do the same, but `FFmpeg` shows such
//! tracks late by the largest of them, and so apart from the sound.)

/// Decode time and duration of one sample, in ticks, in decode order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DecodeTime {
    pub(super) start: u64,
    pub(super) duration: u64,
}

/// Decode times for frames whose presentation times are `pts`, in decode order; `end` is where the segment ends.
pub(super) fn decode_times(pts: &[u64], end: u64) -> Vec<DecodeTime> {
    let mut shown = pts.to_vec();
    shown.sort_unstable();
    let Some(begin) = shown.first().copied() else { return Vec::new() };
    // The depth: how many places a frame is decoded after its place in presentation order, at most.
    let depth = pts
        .iter()
        .enumerate()
        .map(|(at, time)| at - at.min(shown.partition_point(|other| other < time)))
        .max();
    let depth = depth.unwrap_or(0);
    let second = shown.get(1).copied().unwrap_or(end);
    let mut starts: Vec<u64> = Vec::with_capacity(shown.len());
    for at in 0..shown.len() {
        let wanted = if at <= depth {
            begin + (second - begin) * at as u64 / (depth as u64 + 1)
        } else {
            shown[at - depth]
        };
        let least = starts.last().map_or(begin, |before| before + 1);
        starts.push(wanted.max(least));
    }
    let mut next = end;
    for (start, pts) in starts.iter_mut().zip(pts).rev() {
        *start = (*start).max(next.saturating_sub(end.saturating_sub(*pts)));
        next = *start;
    }
    (0..starts.len())
        .map(|at| {
            let next = starts.get(at + 1).copied().unwrap_or(end);
            DecodeTime { start: starts[at], duration: next.saturating_sub(starts[at]).max(1) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pts: &[u64], end: u64) -> Vec<u64> {
        let times = decode_times(pts, end);
        assert_eq!(times[0].start, *pts.iter().min().unwrap());
        assert_eq!(times.iter().map(|time| time.duration).sum::<u64>(), end - times[0].start);
        assert!(times.windows(2).all(|pair| pair[0].start + pair[0].duration == pair[1].start));
        assert!(times.iter().zip(pts).all(|(time, pts)| time.start <= *pts));
        assert!(times.iter().zip(pts).all(|(time, pts)| pts + time.duration <= end), "{times:?} for {pts:?}");
        times.iter().map(|time| time.start).collect()
    }

    #[test]
    fn without_reordering_decode_times_are_presentation_times() {
        assert_eq!(check(&[100, 110, 125, 130], 140), [100, 110, 125, 130]);
    }

    #[test]
    fn times_rise_fill_the_segment_and_precede_presentation() {
        // I P B b b: a pyramid, depth 2.
        assert_eq!(check(&[0, 40, 20, 10, 30, 80, 60, 50, 70], 90), [0, 3, 6, 10, 20, 30, 40, 50, 70]);
        // Variable frame rate.
        check(&[100, 160, 120, 130, 300, 170, 200], 310);
        // One picture a second, reordered, and many at the end.
        check(&[0, 3_000, 1_000, 2_000, 5_000, 4_000, 5_200, 5_050, 5_100], 5_210);
    }

    #[test]
    fn one_frame_and_none() {
        assert_eq!(decode_times(&[7], 10), [DecodeTime { start: 7, duration: 3 }]);
        assert_eq!(decode_times(&[7], 7), [DecodeTime { start: 7, duration: 1 }]);
        assert!(decode_times(&[], 7).is_empty());
    }

    #[test]
    fn frames_a_tick_apart_still_rise() {
        let times = decode_times(&[0, 3, 1, 2], 4);
        assert!(times.windows(2).all(|pair| pair[0].start < pair[1].start));
    }
}
