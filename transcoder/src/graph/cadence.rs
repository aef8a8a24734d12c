//! Which frames are encoded, and which of them begin a segment. Pure.
//!
//! While the picture moves every frame is kept as it came, and segments begin on the plan's grid. When it has stood still for a
//! while, one frame a second stands for all, and the segment goes on past the grid: keyframes are nearly all the bytes of a
//! slide. The frame with which it moves again begins a segment as soon as the grid allows one, which is once in each of its
//! cells, so that a slide change and the keyframe for it are one.

use lectern_domain::plan::VideoPlan;

use super::timeline;

/// How long a picture stands before it counts as still, milliseconds: longer than any cadence of film or animation repeats one.
const SETTLED_MS: i64 = 500;
/// Longest time from one kept frame to the next, milliseconds. Players and encoders do not expect more.
const LONGEST_SAMPLE_MS: i64 = 1_000;
/// Longest segment while nothing moves, milliseconds.
const LONGEST_SEGMENT_MS: i64 = 12_000;

/// A frame to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// The segment that it begins, if it begins one.
    pub(super) starts: Option<u32>,
}

/// Decides over one frame after the other.
#[derive(Debug)]
pub(super) struct Cadence<'a> {
    plan: &'a VideoPlan,
    scale: u32,
    now: Option<Now>,
}

#[derive(Debug, Clone, Copy)]
struct Now {
    /// Tick of the last frame, kept or not.
    frame: i64,
    /// Tick of the last frame that was kept.
    kept: i64,
    /// Tick of the last frame that did not repeat the one before it.
    moved: i64,
    /// The segment that is being filled, and the tick that it began with.
    segment: (u32, i64),
}

impl<'a> Cadence<'a> {
    pub(super) fn new(plan: &'a VideoPlan, scale: u32) -> Self {
        Self { plan, scale, now: None }
    }

    /// Takes a frame at a tick after the last one. `repeats` whether it shows what the last kept one shows. None: it is not
    /// encoded.
    pub(super) fn take(&mut self, ticks: i64, repeats: bool) -> Option<Kept> {
        let cell = timeline::segment_at(self.plan, ticks, self.scale);
        let Some(now) = &mut self.now else {
            self.now = Some(Now { frame: ticks, kept: ticks, moved: ticks, segment: (cell, ticks) });
            return Some(Kept { starts: Some(cell) });
        };
        let ms = |ms: i64| ms * i64::from(self.scale) / 1_000;
        // By the next frame, which will come about as long after this one as this one came after the last, it would be too late.
        let next = ticks + (ticks - now.frame);
        now.frame = ticks;
        let repeats = repeats && !self.plan.keep_all_frames;
        if !repeats {
            now.moved = ticks;
        }
        let still = repeats && ticks - now.moved >= ms(SETTLED_MS);
        let starts = cell != now.segment.0 && (!still || next - now.segment.1 > ms(LONGEST_SEGMENT_MS));
        if still && !starts && next - now.kept <= ms(LONGEST_SAMPLE_MS) {
            return None;
        }
        now.kept = ticks;
        if starts {
            now.segment = (cell, ticks);
        }
        Some(Kept { starts: starts.then_some(cell) })
    }
}

#[cfg(test)]
mod tests {
    use lectern_domain::plan::SECOND_NS;

    use super::*;

    const SCALE: u32 = 90_000;

    fn plan(seconds: u64, keep_all_frames: bool) -> VideoPlan {
        VideoPlan {
            rungs: Vec::new(),
            preset: String::new(),
            segment_starts_ns: (0..seconds / 4).map(|index| index * 4 * SECOND_NS).collect(),
            segment_ns: 4 * SECOND_NS,
            spans: Vec::new(),
            keep_all_frames,
        }
    }

    /// What is kept of a minute at 30 frames a second, as `(frame, segment that it begins)`.
    fn kept(plan: &VideoPlan, repeats: impl Fn(i64) -> bool) -> Vec<(i64, Option<u32>)> {
        let mut cadence = Cadence::new(plan, SCALE);
        (0..1_800)
            .filter_map(|frame| Some((frame, cadence.take(frame * 3_000, repeats(frame))?.starts)))
            .collect()
    }

    fn starts(kept: &[(i64, Option<u32>)]) -> Vec<(i64, u32)> {
        kept.iter().filter_map(|(frame, starts)| Some((*frame, (*starts)?))).collect()
    }

    #[test]
    fn what_moves_stays_as_it_is() {
        let plan = plan(60, false);
        let grid: Vec<_> = (0..15).map(|cell| (cell * 120, cell as u32)).collect();
        let all = kept(&plan, |_| false);
        assert_eq!((all.len(), starts(&all)), (1_800, grid.clone()));
        // Film on video (every fifth frame again), animation on threes, and the pause of a speaker without a face.
        for cadence in [[0, 0, 0, 0, 1], [0, 1, 1, 0, 1]] {
            assert_eq!(kept(&plan, |frame| cadence[frame as usize % 5] == 1), all);
        }
        assert_eq!(kept(&plan, |frame| frame % 15 != 0), all, "14 repeats are not yet half a second");
    }

    #[test]
    fn a_still_picture_is_one_frame_a_second_and_a_keyframe_every_twelve() {
        let plan = plan(60, false);
        let still = kept(&plan, |frame| frame > 0);
        assert_eq!(starts(&still), [(0, 0), (360, 3), (720, 6), (1080, 9), (1440, 12)]);
        assert!(still.windows(2).all(|pair| pair[1].0 - pair[0].0 <= 30), "{still:?}");
        assert!(still.len() < 15 + 60 + 5, "{}", still.len());
    }

    #[test]
    fn the_next_slide_begins_a_segment_where_it_comes() {
        let plan = plan(60, false);
        // Slides of 23 s: at frame 0, 690, 1380.
        let slides = kept(&plan, |frame| frame % 690 != 0);
        assert_eq!(starts(&slides), [(0, 0), (360, 3), (690, 5), (1050, 8), (1380, 11), (1740, 14)]);
        assert!(slides.len() < 3 * 15 + 60 + 6, "{}", slides.len());
        for change in [690, 1380] {
            assert!(slides.iter().any(|(frame, _)| *frame == change));
        }
    }

    #[test]
    fn a_cell_begins_one_segment_at_most() {
        let plan = plan(60, false);
        // A slide every 1.7 s.
        let fast = kept(&plan, |frame| frame % 51 != 0);
        let cells: Vec<u32> = starts(&fast).into_iter().map(|(_, cell)| cell).collect();
        assert!(cells.windows(2).all(|pair| pair[0] < pair[1]), "{cells:?}");
        for (frame, cell) in starts(&fast) {
            assert_eq!(frame / 120, i64::from(cell), "within its cell");
        }
    }

    #[test]
    fn everything_is_kept_on_request() {
        let plan = plan(60, true);
        assert_eq!(kept(&plan, |_| true), kept(&plan, |_| false));
    }
}
