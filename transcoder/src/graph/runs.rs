//! One ladder after another: each run of segments with the same content has encoders that are set for it.
//!
//! The first frames of a segment of slides are held until they tell what it shows: a fifth of a second at most, a few frames when it moves.

use gstreamer as gst;
use lectern_domain::media::TrackOutput;

use super::{
    MediaFailure,
    cadence::{Content, Kept, Look},
    ladder::{Ladder, Settings},
    shown::Changed,
};

/// A kept frame that waits for what its segment turns out to show.
struct Held {
    sample: gst::Sample,
    ticks: u64,
    starts: Option<u32>,
    /// Where it differs from the picture that was encoded last.
    changed: Changed,
}

impl Held {
    /// Whether that picture is shown again in its place.
    fn is_repeat(&self) -> bool {
        self.changed.share == 0.0 && self.starts.is_none()
    }
}

fn push(ladder: &mut Ladder, held: &Held) -> Result<(), MediaFailure> {
    if held.is_repeat() {
        return ladder.push_again(held.ticks);
    }
    ladder.push(&held.sample, held.ticks, held.starts, held.changed.area.clone())
}

/// The rungs of one span.
pub(super) struct Runs<'a> {
    settings: Settings<'a>,
    /// Whether samples of the source say that it is film.
    film: bool,
    ladder: Option<(Content, Ladder)>,
    /// The segment that has just begun.
    undecided: Option<(Look, Vec<Held>)>,
    /// What earlier ladders have made.
    made: Vec<TrackOutput>,
}

impl<'a> Runs<'a> {
    pub(super) fn new(settings: Settings<'a>, film: bool) -> Self {
        Self { settings, film, ladder: None, undecided: None, made: Vec::new() }
    }

    /// Takes the next frame, which differs by `changed` from the one that was encoded last. `kept` is what the cadence says of it.
    /// Whether it is encoded itself.
    pub(super) fn take(
        &mut self,
        sample: &gst::Sample,
        ticks: u64,
        changed: Changed,
        kept: Option<Kept>,
    ) -> Result<bool, MediaFailure> {
        let share = changed.share;
        let held = kept.map(|kept| Held { sample: sample.clone(), ticks, starts: kept.starts, changed });
        let encoded = held.as_ref().is_some_and(|held| !held.is_repeat());
        if let Some(held) = held {
            if held.starts.is_some() {
                self.decide()?;
                if self.film {
                    // Whoever cuts to a slide may cut back: only what stood before is taken to go on standing.
                    let content = if share == 0.0 { Content::Calm } else { Content::Moving };
                    self.encode(content, &[held])?;
                    return Ok(true);
                }
                let look = Look::new(ticks as i64, self.settings.timescale);
                self.undecided = Some((look, vec![held]));
                return Ok(true);
            }
            match (&mut self.undecided, &mut self.ladder) {
                (Some((_, waiting)), _) => waiting.push(held),
                (None, Some((_, ladder))) => push(ladder, &held)?,
                (None, None) => return Err(MediaFailure::internal("a span that begins without a segment")),
            }
        }
        if self.undecided.as_mut().is_some_and(|(look, _)| look.take(ticks as i64, share)) {
            self.decide()?;
        }
        Ok(encoded)
    }

    /// Gives the frames that are held to encoders for what they look like.
    fn decide(&mut self) -> Result<(), MediaFailure> {
        let Some((look, held)) = self.undecided.take() else { return Ok(()) };
        self.encode(look.content(), &held)
    }

    /// Gives a segment's first frames to encoders for what it shows.
    fn encode(&mut self, content: Content, held: &[Held]) -> Result<(), MediaFailure> {
        let Some((begin, first)) = held.first().and_then(|first| Some((first.ticks, first.starts?))) else {
            return Ok(());
        };
        if self.ladder.as_ref().is_none_or(|(current, _)| *current != content) {
            self.end_run(begin)?;
            self.ladder = Some((content, Ladder::start(&self.settings, content, first)?));
        }
        let Some((_, ladder)) = &mut self.ladder else { return Ok(()) };
        held.iter().try_for_each(|held| push(ladder, held))
    }

    /// Ends the current ladder at a tick and keeps what it has made.
    fn end_run(&mut self, end: u64) -> Result<(), MediaFailure> {
        let Some((_, ladder)) = self.ladder.take() else { return Ok(()) };
        let tracks = ladder.finish(end)?;
        if self.made.is_empty() {
            self.made = tracks;
            return Ok(());
        }
        for (made, track) in self.made.iter_mut().zip(tracks) {
            made.segments.extend(track.segments);
        }
        Ok(())
    }

    /// Ends the span at a tick. The tracks, best rung first.
    pub(super) fn finish(mut self, end: u64) -> Result<Vec<TrackOutput>, MediaFailure> {
        self.decide()?;
        self.end_run(end)?;
        Ok(self.made)
    }
}
