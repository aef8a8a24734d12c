//! Which frames are encoded, and which of them begin a segment. Pure.
//!
//! While the picture moves every frame is kept as it came, and segments begin on the plan's grid. When it has stood still for a
//! while, about seven frames a second stand for all. A segment goes on past the grid while no more than a small part of the picture
//! moves: keyframes are nearly all the bytes of a slide. The frame with which more moves begins a segment as soon as the grid
//! allows one, which is once in each of its cells, so that a slide change and the keyframe for it are one.

use lectern_domain::plan::VideoPlan;

use super::timeline;

/// How long a picture of slides stands before it counts as still, milliseconds: longer than any cadence of animation repeats one (on
/// fours that is a sixth of a second).
const SETTLED_MS: i64 = 200;
/// The same of film, whose black and titles are nothing to save on.
const FILM_SETTLED_MS: i64 = 500;
/// Longest time from one kept frame to the next, milliseconds. Chromium takes two places for joined whose distance is up to twice the
/// longest sample, and shows what comes after a gap for what is in it; it assumes samples of 125 ms before it has seen any. Four
/// frames of thirty a second: of a source with B pictures that are left out, only every second one is there to be kept.
const LONGEST_SAMPLE_MS: i64 = 140;
/// Longest segment while little moves, milliseconds.
const LONGEST_SEGMENT_MS: i64 = 12_000;
/// A picture of which more than this share changes moves; less is something on it that does: a speaker's inset, a pointer.
pub(super) const MOVES: f64 = 1.0 / 16.0;
/// A still picture of which more than this share changes becomes another: the next slide, not the next line of it.
const NEXT: f64 = 1.0 / 64.0;

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
    settled: i64,
    now: Option<Now>,
}

#[derive(Debug, Clone, Copy)]
struct Now {
    /// Tick of the last frame, kept or not.
    frame: i64,
    /// Tick of the last frame that was kept.
    kept: i64,
    /// Tick of the last frame that did not repeat the one before it.
    changed: i64,
    /// Tick of the last frame with which more than a small part of the picture moved.
    moved: i64,
    /// The segment that is being filled, and the tick that it began with.
    segment: (u32, i64),
}

impl<'a> Cadence<'a> {
    /// For frames in ticks of a `scale`-th of a second; `film` as samples of the source say.
    pub(super) fn new(plan: &'a VideoPlan, scale: u32, film: bool) -> Self {
        let settled = if film { FILM_SETTLED_MS } else { SETTLED_MS };
        Self { plan, scale, settled: settled * i64::from(scale) / 1_000, now: None }
    }

    fn ticks(&self, ms: i64) -> i64 {
        ms * i64::from(self.scale) / 1_000
    }

    /// Whether nothing has changed for a while, up to the last frame.
    pub(super) fn is_still(&self) -> bool {
        self.now.is_some_and(|now| now.frame - now.changed >= self.settled)
    }

    /// Takes a frame at a tick after the last one. `changed` is the share of the picture that differs from the last kept one.
    /// None: it is not encoded.
    pub(super) fn take(&mut self, ticks: i64, changed: f64) -> Option<Kept> {
        let cell = timeline::segment_at(self.plan, ticks, self.scale);
        let (was_still, settled) = (self.is_still(), self.settled);
        let longest = (self.ticks(LONGEST_SEGMENT_MS), self.ticks(LONGEST_SAMPLE_MS));
        let Some(now) = &mut self.now else {
            let segment = (cell, ticks);
            self.now = Some(Now { frame: ticks, kept: ticks, changed: ticks, moved: ticks, segment });
            return Some(Kept { starts: Some(cell) });
        };
        // By the next frame, which will come about as long after this one as this one came after the last, it would be too late.
        let next = ticks + (ticks - now.frame);
        now.frame = ticks;
        if changed > 0.0 {
            now.changed = ticks;
        }
        if changed > MOVES || (was_still && changed > NEXT) {
            now.moved = ticks;
        }
        let still = ticks - now.changed >= settled;
        let calm = ticks - now.moved >= settled;
        let starts = cell != now.segment.0 && (!calm || next - now.segment.1 > longest.0);
        if still && !starts && next - now.kept <= longest.1 {
            return None;
        }
        now.kept = ticks;
        if starts {
            now.segment = (cell, ticks);
        }
        Some(Kept { starts: starts.then_some(cell) })
    }
}

/// How much happens in a run of segments, which decides how they are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Slides, screens: most of the picture stands.
    Calm,
    /// Film, cameras, scrolling.
    Moving,
}

/// Looks at the beginning of a segment to tell what it shows.
#[derive(Debug)]
pub(super) struct Look {
    begin: i64,
    window: i64,
    frames: u32,
    moving: u32,
}

impl Look {
    /// So many moving frames decide before the time is over. Frames are held until then.
    const SURE: u32 = 4;

    /// Begins with a segment's first frame, at tick `begin`.
    pub(super) fn new(begin: i64, scale: u32) -> Self {
        Self { begin, window: SETTLED_MS * i64::from(scale) / 1_000, frames: 0, moving: 0 }
    }

    /// Takes the next frame, as [`Cadence::take`] does. Whether that is enough to tell.
    pub(super) fn take(&mut self, ticks: i64, changed: f64) -> bool {
        self.frames += 1;
        self.moving += u32::from(changed > MOVES);
        self.moving >= Self::SURE || ticks - self.begin >= self.window
    }

    /// What it looks like so far.
    pub(super) fn content(&self) -> Content {
        if self.moving > 0 && self.moving * 3 >= self.frames { Content::Moving } else { Content::Calm }
    }
}

#[cfg(test)]
mod tests {
    use lectern_domain::plan::SECOND_NS;

    use super::*;

    const SCALE: u32 = 90_000;

    fn plan(seconds: u64) -> VideoPlan {
        VideoPlan {
            segment_starts_ns: (0..seconds / 4).map(|index| index * 4 * SECOND_NS).collect(),
            segment_ns: 4 * SECOND_NS,
            ..VideoPlan::default()
        }
    }

    /// What is kept of a minute at 30 frames a second, as `(frame, segment that it begins)`.
    fn kept(plan: &VideoPlan, repeats: impl Fn(i64) -> bool) -> Vec<(i64, Option<u32>)> {
        let mut cadence = Cadence::new(plan, SCALE, false);
        (0..1_800)
            .filter_map(|frame| {
                Some((frame, cadence.take(frame * 3_000, if repeats(frame) { 0.0 } else { 0.5 })?.starts))
            })
            .collect()
    }

    fn starts(kept: &[(i64, Option<u32>)]) -> Vec<(i64, u32)> {
        kept.iter().filter_map(|(frame, starts)| Some((*frame, (*starts)?))).collect()
    }

    #[test]
    fn what_moves_stays_as_it_is() {
        let plan = plan(60);
        let grid: Vec<_> = (0..15).map(|cell| (cell * 120, cell as u32)).collect();
        let all = kept(&plan, |_| false);
        assert_eq!((all.len(), starts(&all)), (1_800, grid.clone()));
        // Film on video (every fifth frame again), animation on threes, and the pause of a speaker without a face.
        for cadence in [[0, 0, 0, 0, 1], [0, 1, 1, 0, 1]] {
            assert_eq!(kept(&plan, |frame| cadence[frame as usize % 5] == 1), all);
        }
        assert_eq!(kept(&plan, |frame| frame % 6 != 0), all, "5 repeats are not yet 0.2 s");
    }

    #[test]
    fn a_still_picture_is_seven_frames_a_second_and_a_keyframe_every_twelve() {
        let plan = plan(60);
        let still = kept(&plan, |frame| frame > 0);
        assert_eq!(starts(&still), [(0, 0), (360, 3), (720, 6), (1080, 9), (1440, 12)]);
        assert!(still.windows(2).all(|pair| pair[1].0 - pair[0].0 <= 4), "{still:?}");
        assert!(still.len() < 9 + 450 + 5, "{}", still.len());
    }

    #[test]
    fn the_next_slide_begins_a_segment_where_it_comes() {
        let plan = plan(60);
        // Slides of 23 s: at frame 0, 690, 1380.
        let slides = kept(&plan, |frame| frame % 690 != 0);
        assert_eq!(starts(&slides), [(0, 0), (360, 3), (690, 5), (1050, 8), (1380, 11), (1740, 14)]);
        assert!(slides.len() < 3 * 9 + 450 + 6, "{}", slides.len());
        for change in [690, 1380] {
            assert!(slides.iter().any(|(frame, _)| *frame == change));
        }
    }

    #[test]
    fn a_cell_begins_one_segment_at_most() {
        let plan = plan(60);
        // A slide every 1.7 s.
        let fast = kept(&plan, |frame| frame % 51 != 0);
        let cells: Vec<u32> = starts(&fast).into_iter().map(|(_, cell)| cell).collect();
        assert!(cells.windows(2).all(|pair| pair[0] < pair[1]), "{cells:?}");
        for (frame, cell) in starts(&fast) {
            assert_eq!(frame / 120, i64::from(cell), "within its cell");
        }
    }

    #[test]
    fn what_moves_on_a_slide_makes_no_segments() {
        let plan = plan(60);
        let run = |change: &dyn Fn(i64) -> f64| {
            let mut cadence = Cadence::new(&plan, SCALE, false);
            let kept = (0..1_800)
                .filter_map(|frame| Some((frame, cadence.take(frame * 3_000, change(frame))?.starts)));
            kept.collect::<Vec<_>>()
        };
        let speaker = run(&|_| 0.04);
        assert_eq!(speaker.len(), 1_800, "every frame of it");
        assert_eq!(starts(&speaker), [(0, 0), (360, 3), (720, 6), (1080, 9), (1440, 12)]);
        // Beside the speaker a slide changes at 23 s.
        let slide = run(&|frame| if frame == 690 { 0.3 } else { 0.04 });
        assert_eq!(starts(&slide)[..3], [(0, 0), (360, 3), (690, 5)]);
        // A line more on a still slide is no other slide.
        let line = run(&|frame| if frame == 690 { 0.01 } else { 0.0 });
        assert_eq!(starts(&line)[..3], [(0, 0), (360, 3), (720, 6)]);
        assert!(line.iter().any(|(frame, _)| *frame == 690));
    }

    fn look(changes: &[f64]) -> (Content, usize) {
        let mut look = Look::new(0, SCALE);
        for (at, changed) in changes.iter().enumerate() {
            if look.take((at as i64 + 1) * 3_000, *changed) {
                return (look.content(), at + 1);
            }
        }
        (look.content(), changes.len())
    }

    #[test]
    fn a_fifth_of_a_second_tells_what_stands_from_what_moves() {
        assert_eq!(look(&[0.0; 30]), (Content::Calm, 6));
        assert_eq!(look(&[0.04; 30]), (Content::Calm, 6), "a small inset");
        assert_eq!(look(&[0.9; 30]), (Content::Moving, 4));
        assert_eq!(look(&[0.9, 0.0, 0.0, 0.9, 0.0, 0.0]), (Content::Moving, 6), "animation on threes");
        assert_eq!(look(&[0.9, 0.0, 0.0, 0.0, 0.0, 0.0]), (Content::Calm, 6), "one slide after another");
        assert_eq!(look(&[]).0, Content::Calm, "a single frame");
    }
}
