//! Holds what transcode jobs reported against the plan that they worked from: pure.
//!
//! A report may leave things out that the source does not have: a span after the source's end, a segment of the grid in which
//! no frame begins (then the frame before it lasts longer, which [`crate::layout`] sees in the times), a track without
//! data. It may not have anything that was not planned.

use std::collections::BTreeMap;

use lectern_domain::{
    growth::Grown,
    media::{SegmentOutput, TrackKind, TrackOutput, TranscodeOutput},
    plan::{AudioPlan, SECOND_NS, Span, TranscodePlan, VideoPlan},
};

use crate::layout::{TOLERANCE_US, ticks_to_us};

/// Reports that are not of what was planned. Publishing them would show learners another lesson, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the reports do not match the plan: {part}: {reason}")]
pub struct NotPlanned {
    part: String,
    reason: String,
}

/// Which of a plan's jobs a report is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Position among the plan's spans.
    Span(u32),
    /// Position among the plan's audio tracks.
    Audio(u32),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Span(at) => write!(f, "span {at}"),
            Self::Audio(at) => write!(f, "audio {at}"),
        }
    }
}

/// What there is of a part of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// Of which.
    pub part: Part,
    /// Its segments so far, from its beginning.
    pub output: TranscodeOutput,
    /// The prefix under which its files lie.
    pub source: String,
    /// Whether that is all of it.
    pub whole: bool,
}

/// What one job told at different times, as one report. What does not follow what came before is left out, and all after it.
pub fn joined(parts: Vec<TranscodeOutput>) -> TranscodeOutput {
    let mut all: Vec<TrackOutput> = Vec::new();
    for track in parts.into_iter().flat_map(|part| part.tracks) {
        match all.iter_mut().find(|known| known.name == track.name) {
            None if track.segments.first().is_none_or(|first| first.index == 0) => all.push(track),
            None => {}
            Some(known) => {
                let next = known.segments.len() as u32;
                if track.segments.first().is_some_and(|first| first.index == next) {
                    known.segments.extend(track.segments);
                }
            }
        }
    }
    TranscodeOutput { tracks: all }
}

/// Of what there is, what can be published: spans up to the first that is not whole, and of every sound what it has. Nothing while
/// there is a sound of which nothing is known.
pub fn beginning(made: Vec<Made>) -> Vec<Made> {
    let unknown =
        |made: &Made| matches!(made.part, Part::Audio(_)) && !made.whole && made.output.tracks.is_empty();
    if made.iter().any(unknown) {
        return Vec::new();
    }
    let mut missing = false;
    let there = |made: &Made| match made.part {
        Part::Span(_) => {
            missing |= !made.whole;
            !missing
        }
        Part::Audio(_) => true,
    };
    made.into_iter().filter(there).collect()
}

/// How far what can be published reaches, and its longest segment in microseconds. A sound that has ended holds nobody up.
pub fn reach(made: &[Made]) -> (Grown, u64) {
    let mut segments: BTreeMap<String, u32> = BTreeMap::new();
    let mut until_us: BTreeMap<&str, u64> = BTreeMap::new();
    let mut longest_us = 0;
    for (made, track) in
        made.iter().flat_map(|made| made.output.tracks.iter().map(move |track| (made, track)))
    {
        *segments.entry(track.name.clone()).or_default() += track.segments.len() as u32;
        let end = |segment: &SegmentOutput| {
            ticks_to_us(segment.start_ticks + segment.duration_ticks, track.timescale)
        };
        if let (Some(last), false) =
            (track.segments.last(), matches!(made.part, Part::Audio(_)) && made.whole)
        {
            until_us.insert(&track.name, end(last));
        }
        let longest = track.segments.iter().map(|segment| segment.duration_ticks).max().unwrap_or(0);
        longest_us = ticks_to_us(longest, track.timescale).max(longest_us);
    }
    let until_ms = until_us.into_values().min().unwrap_or(0) / 1_000;
    (Grown { segments, until_ms }, longest_us)
}

/// Whether what can be published goes further than what has been: no track is shorter, and together they last longer.
pub fn goes_on(reach: &Grown, before: &Grown) -> bool {
    let count = |name: &str| reach.segments.get(name).copied().unwrap_or(0);
    reach.until_ms > before.until_ms
        && before.segments.iter().all(|(name, segments)| count(name) >= *segments)
}

/// Every part of a plan in the order of packaging: spans, then audio tracks.
pub fn parts(plan: &TranscodePlan) -> Vec<Part> {
    let spans = plan.video.as_ref().map_or(0, |video| video.spans.len()) as u32;
    (0..spans).map(Part::Span).chain((0..plan.audio.len() as u32).map(Part::Audio)).collect()
}

/// Checks that there is one report for each of [`parts`], in their order, and that each has what was planned for it.
pub fn check(plan: &TranscodePlan, reports: &[TranscodeOutput]) -> Result<(), NotPlanned> {
    let parts = parts(plan);
    if parts.len() != reports.len() {
        return Err(NotPlanned {
            part: "all of them".into(),
            reason: format!("expected {} reports, got {}", parts.len(), reports.len()),
        });
    }
    for (part, report) in parts.iter().zip(reports) {
        check_part(plan, *part, report)?;
    }
    let spans = plan.video.as_ref().map_or(0, |video| video.spans.len());
    if spans > 0 && reports[..spans].iter().all(|report| report.tracks.is_empty()) {
        let reason = "video was planned and no span has a segment".into();
        return Err(NotPlanned { part: "every span".into(), reason });
    }
    Ok(())
}

/// The same for [`beginning`]: of the first spans, and of every audio track.
pub fn check_beginning(plan: &TranscodePlan, reports: &[TranscodeOutput]) -> Result<(), NotPlanned> {
    let (spans, audio) = reports.split_at(reports.len().saturating_sub(plan.audio.len()));
    let spans = spans.iter().zip((0..).map(Part::Span));
    let audio = audio.iter().zip((0..).map(Part::Audio));
    for (report, part) in spans.chain(audio) {
        check_part(plan, part, report)?;
    }
    Ok(())
}

fn check_part(plan: &TranscodePlan, part: Part, report: &TranscodeOutput) -> Result<(), NotPlanned> {
    let checked = match (part, &plan.video) {
        (Part::Span(at), Some(video)) => check_span(video, at as usize, report),
        (Part::Span(_), None) => Err("no video was planned".into()),
        (Part::Audio(at), _) => check_audio(&plan.audio[at as usize], report),
    };
    checked.map_err(|reason| NotPlanned { part: part.to_string(), reason })
}

fn check_span(plan: &VideoPlan, at: usize, report: &TranscodeOutput) -> Result<(), String> {
    if report.tracks.is_empty() {
        return Ok(());
    }
    let expected: Vec<&str> = plan.rungs.iter().map(|rung| rung.name.as_str()).collect();
    let got: Vec<&str> = report.tracks.iter().map(|track| track.name.as_str()).collect();
    if got != expected {
        return Err(format!("expected the rungs {expected:?}, got {got:?}"));
    }
    let span = &plan.spans[at];
    let next = plan.spans.get(at + 1);
    for (track, rung) in report.tracks.iter().zip(&plan.rungs) {
        let size = match track.kind {
            TrackKind::Video { width, height, .. } => (width, height),
            TrackKind::Audio { .. } => return Err(format!("{}: expected video, got audio", track.name)),
        };
        if size != (rung.width, rung.height) {
            let planned = (rung.width, rung.height);
            return Err(format!("{}: expected {planned:?} pixels, got {size:?}", track.name));
        }
        for segment in &track.segments {
            check_video_segment(plan, span, next, track, segment)
                .map_err(|reason| format!("{}: segment {}: {reason}", track.name, segment.index))?;
        }
    }
    Ok(())
}

fn check_video_segment(
    plan: &VideoPlan,
    span: &Span,
    next: Option<&Span>,
    track: &TrackOutput,
    segment: &SegmentOutput,
) -> Result<(), String> {
    let first = span.first_segment;
    if segment.index < first || next.is_some_and(|next| segment.index >= next.first_segment) {
        let until = next.map_or("the end".to_owned(), |next| format!("before {}", next.first_segment));
        return Err(format!("this span has segments from {first} to {until}"));
    }
    let at = segment.index as usize;
    let starts = &plan.segment_starts_ns;
    // Behind the planned grid the last segment's successors follow at the nominal length.
    let past = (segment.index as usize + 1).saturating_sub(starts.len()) as u64;
    let last = starts.last().copied().unwrap_or(0);
    let from = starts.get(at).copied().unwrap_or(last + past * plan.segment_ns);
    starts_within(track, segment, from, starts.get(at + 1).copied())
}

fn check_audio(plan: &AudioPlan, report: &TranscodeOutput) -> Result<(), String> {
    let track = match report.tracks.as_slice() {
        [] => return Ok(()),
        [track] => track,
        several => return Err(format!("expected one track, got {}", several.len())),
    };
    if track.name != plan.name {
        return Err(format!("expected the track {:?}, got {:?}", plan.name, track.name));
    }
    match &track.kind {
        TrackKind::Audio { sample_rate, channels, .. }
            if (*sample_rate, *channels) == (plan.sample_rate, plan.channels) => {}
        other => {
            return Err(format!(
                "expected {} channels at {} samples per second, got {other:?}",
                plan.channels, plan.sample_rate
            ));
        }
    }
    // Cut after whole samples, so that segments of an odd length begin a little before the nominal time.
    let samples = u128::from(plan.segment_ns) * u128::from(plan.sample_rate) / u128::from(SECOND_NS);
    let start_ns = |index: u32| {
        let ns = samples * u128::from(index) * u128::from(SECOND_NS) / u128::from(plan.sample_rate.max(1));
        u64::try_from(ns).unwrap_or(u64::MAX)
    };
    for (segment, expected) in track.segments.iter().zip(0..) {
        if segment.index != expected {
            return Err(format!("expected segment {expected}, got {}", segment.index));
        }
        starts_within(track, segment, start_ns(expected), Some(start_ns(expected + 1)))
            .map_err(|reason| format!("segment {}: {reason}", segment.index))?;
    }
    Ok(())
}

/// Whether a segment starts where the plan has it, to the rounding of ticks.
fn starts_within(
    track: &TrackOutput,
    segment: &SegmentOutput,
    from_ns: u64,
    before_ns: Option<u64>,
) -> Result<(), String> {
    let start_us = ticks_to_us(segment.start_ticks, track.timescale);
    let (from_us, before_us) = (from_ns / 1_000, before_ns.map(|before| before / 1_000));
    let early = start_us + TOLERANCE_US < from_us;
    // No tolerance: what starts at the next segment's time is the next segment.
    let late = before_us.is_some_and(|before| start_us >= before);
    if early || late {
        let until = before_us.map_or(String::new(), |before| format!(" and before {before}"));
        return Err(format!("expected it to start at {from_us}{until} µs, got {start_us} µs"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
