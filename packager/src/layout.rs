//! The layout of a package: from what the transcode jobs report to the list of objects to write, or the reason why
//! their parts do not make one whole.

use lectern_domain::{
    ids::Kid,
    keys::{KeyName, TrackClass},
    media::{SegmentOutput, TrackKind, TrackOutput, TranscodeOutput},
    storage_key::MULTIVARIANT,
};

use crate::{aes128, hls};

/// Two times that differ by no more than this are the same: rounding to a timescale, not a frame.
pub(crate) const TOLERANCE_US: u64 = 1_000;

/// The keys of a package: one for every rung, one for every audio track, so that sound can be opened without picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackageKeys {
    /// For video tracks.
    pub video: KeyName,
    /// For audio tracks.
    pub audio: KeyName,
}

impl PackageKeys {
    /// Names both keys, in the first key period.
    pub const fn new(video: Kid, audio: Kid) -> Self {
        Self {
            video: KeyName { kid: video, class: TrackClass::Video, period: 0 },
            audio: KeyName { kid: audio, class: TrackClass::Audio, period: 0 },
        }
    }
}

/// A whole package, before any of its bytes are read.
#[derive(Debug, Clone, PartialEq)]
pub struct PackageLayout {
    /// Video tracks in the order of the jobs' reports (best rung first), then audio tracks.
    pub tracks: Vec<TrackLayout>,
    /// Target duration of every playlist, seconds.
    pub target_duration_s: u64,
}

/// One track of a package.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackLayout {
    /// Rung or audio name, e.g. `720p`.
    pub name: String,
    /// What the track carries.
    pub kind: TrackKind,
    /// Ticks per second.
    pub timescale: u32,
    /// What opens its segments; absent when they stay clear.
    pub key: Option<KeyName>,
    /// Name of its init segment within the package.
    pub init: String,
    /// The init segments that jobs made for this track, one per report. The first is published; the others must
    /// [fit](crate::cmaf::InitSegment::fits) it.
    pub init_sources: Vec<SourceFile>,
    /// Name of its media playlist within the package.
    pub playlist: String,
    /// Segments in order.
    pub segments: Vec<SegmentLayout>,
}

/// One segment of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentLayout {
    /// Number on the grid that every rung shares, from 0, rising.
    pub index: u32,
    /// Name within the package.
    pub object: String,
    /// Where its clear bytes are.
    pub source: SourceFile,
    /// Presentation time of the first sample, ticks.
    pub start_ticks: u64,
    /// Sum of the sample durations, ticks.
    pub duration_ticks: u64,
    /// Number of samples.
    pub samples: u32,
    /// Size before encryption.
    pub clear_bytes: u64,
    /// Size as published.
    pub object_bytes: u64,
    /// Duration in the playlist, microseconds: to where the next segment starts, so that the sum does not drift.
    pub duration_us: u64,
}

/// A file that a transcode job made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Position of the job's report among the reports that were given.
    pub output: usize,
    /// File name, relative to that job's output folder.
    pub file: String,
}

/// Why reports do not make a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// No job reported a segment.
    #[error("expected at least one track with a segment, got none")]
    Empty,
    /// A name that cannot stand in a storage key, or that another file has.
    #[error("expected a track name of a-z, 0-9 and -, not \"multivariant\", got {0:?}")]
    Name(String),
    /// A track is not whole.
    #[error("track {track}: {reason}")]
    Track {
        /// The track.
        track: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl PackageLayout {
    /// Puts together the reports of an asset's jobs: spans in order, then audio tracks. Reports without tracks (a span
    /// that begins after the end of the source) are skipped.
    ///
    /// Checks that the numbers of every track rise, that each segment starts where the one before it ends, and that the
    /// video tracks have the same grid, to the frame. A number may be left out: no frame begins in that segment of the
    /// grid, and the one before it lasts longer. That nothing else is missing shows in the times.
    pub fn new(outputs: &[TranscodeOutput], keys: Option<PackageKeys>) -> Result<Self, LayoutError> {
        let mut tracks: Vec<TrackLayout> = Vec::new();
        for (output, report) in outputs.iter().enumerate() {
            for (at, track) in report.tracks.iter().enumerate() {
                if report.tracks[..at].iter().any(|other| other.name == track.name) {
                    return Err(wrong(track, format!("twice in report {output}")));
                }
                add(&mut tracks, output, track, keys)?;
            }
        }
        if tracks.iter().all(|track| track.segments.is_empty()) {
            return Err(LayoutError::Empty);
        }
        for track in &mut tracks {
            check_line(track).map_err(|reason| LayoutError::Track { track: track.name.clone(), reason })?;
            set_durations(track);
        }
        tracks.sort_by_key(|track| matches!(track.kind, TrackKind::Audio { .. }));
        check_grid(&tracks)?;
        let durations = tracks.iter().flat_map(|track| &track.segments).map(|segment| segment.duration_us);
        let target_duration_s = hls::target_duration_s(durations);
        Ok(Self { tracks, target_duration_s })
    }

    /// Names of everything to write, in an order in which no playlist comes before what it names.
    pub fn objects(&self) -> Vec<&str> {
        let media = self.tracks.iter().flat_map(|track| {
            let segments = track.segments.iter().map(|segment| segment.object.as_str());
            std::iter::once(track.init.as_str()).chain(segments).chain([track.playlist.as_str()])
        });
        media.chain([MULTIVARIANT]).collect()
    }
}

fn wrong(track: &TrackOutput, reason: String) -> LayoutError {
    LayoutError::Track { track: track.name.clone(), reason }
}

/// Appends one job's part of a track to what earlier jobs made of it.
fn add(
    tracks: &mut Vec<TrackLayout>,
    output: usize,
    part: &TrackOutput,
    keys: Option<PackageKeys>,
) -> Result<(), LayoutError> {
    let file = |file: &str| SourceFile { output, file: file.to_owned() };
    let at = tracks.iter().position(|track| track.name == part.name).unwrap_or(tracks.len());
    if at == tracks.len() {
        tracks.push(empty_track(part, keys)?);
    }
    let track = &mut tracks[at];
    if track.kind != part.kind || track.timescale != part.timescale {
        let reason = format!(
            "report {output} has {:?} at {} ticks per second, earlier ones {:?} at {}",
            part.kind, part.timescale, track.kind, track.timescale
        );
        return Err(wrong(part, reason));
    }
    track.init_sources.push(file(&part.init));
    for segment in &part.segments {
        let least = track.segments.last().map_or(0, |before| before.index + 1);
        if segment.index < least || segment.index >= MOST_SEGMENTS {
            let reason =
                format!("expected segment {least} or later, got {} in report {output}", segment.index);
            return Err(wrong(part, reason));
        }
        check_segment_values(segment).map_err(|reason| wrong(part, reason))?;
        track.segments.push(SegmentLayout {
            index: segment.index,
            object: format!("{}/seg-{:05}.m4s", track.name, segment.index),
            source: file(&segment.file),
            start_ticks: segment.start_ticks,
            duration_ticks: segment.duration_ticks,
            samples: segment.samples,
            clear_bytes: segment.bytes,
            object_bytes: match track.key {
                Some(_) => aes128::encrypted_bytes(segment.bytes),
                None => segment.bytes,
            },
            duration_us: 0,
        });
    }
    Ok(())
}

fn empty_track(part: &TrackOutput, keys: Option<PackageKeys>) -> Result<TrackLayout, LayoutError> {
    let name = &part.name;
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(legal) || name == "multivariant" {
        return Err(LayoutError::Name(name.chars().take(64).collect()));
    }
    if part.timescale == 0 {
        return Err(wrong(part, "expected a timescale, got 0".into()));
    }
    Ok(TrackLayout {
        name: name.clone(),
        kind: part.kind.clone(),
        timescale: part.timescale,
        key: keys.map(|keys| match part.kind {
            TrackKind::Video { .. } => keys.video,
            TrackKind::Audio { .. } => keys.audio,
        }),
        init: format!("{name}/init.mp4"),
        init_sources: Vec::new(),
        playlist: format!("{name}.m3u8"),
        segments: Vec::new(),
    })
}

/// Segments that no asset has: names keep their width, numbers do not overflow.
const MOST_SEGMENTS: u32 = 100_000;

/// Times and sizes that nothing real exceeds, so that sums of them do not overflow.
const MOST: u64 = 1 << 56;

fn check_segment_values(segment: &SegmentOutput) -> Result<(), String> {
    let positive = segment.duration_ticks > 0 && segment.samples > 0 && segment.bytes > 0;
    let sane = segment.start_ticks < MOST && segment.duration_ticks < MOST && segment.bytes < MOST;
    if positive && sane {
        return Ok(());
    }
    Err(format!(
        "segment {} has {} samples, {} ticks from {}, {} bytes",
        segment.index, segment.samples, segment.duration_ticks, segment.start_ticks, segment.bytes
    ))
}

/// Microseconds of some ticks, rounded to the nearest.
pub(crate) fn ticks_to_us(ticks: u64, timescale: u32) -> u64 {
    let timescale = u128::from(timescale.max(1));
    let us = (u128::from(ticks) * 1_000_000 + timescale / 2) / timescale;
    u64::try_from(us).unwrap_or(u64::MAX)
}

fn check_line(track: &TrackLayout) -> Result<(), String> {
    if track.segments.is_empty() {
        return Err("expected a segment, got none".into());
    }
    for pair in track.segments.windows(2) {
        let end = pair[0].start_ticks + pair[0].duration_ticks;
        let start = pair[1].start_ticks;
        if ticks_to_us(end.abs_diff(start), track.timescale) > TOLERANCE_US {
            let what = if start > end { "gap" } else { "overlap" };
            return Err(format!(
                "{what} of {} ticks: segment {} ends at {end}, segment {} starts at {start}, {} ticks per second",
                end.abs_diff(start),
                pair[0].index,
                pair[1].index,
                track.timescale
            ));
        }
    }
    Ok(())
}

/// Durations in microseconds between rounded start times: each is off by at most half a microsecond, and so is the
/// sum of all of them.
fn set_durations(track: &mut TrackLayout) {
    let us = |ticks| ticks_to_us(ticks, track.timescale);
    let end = track.segments.last().map(|last| last.start_ticks + last.duration_ticks);
    let mut ends: Vec<u64> = track.segments.iter().skip(1).map(|segment| us(segment.start_ticks)).collect();
    ends.extend(end.map(us));
    for (segment, end) in track.segments.iter_mut().zip(ends) {
        segment.duration_us = end.saturating_sub(us(segment.start_ticks));
    }
}

/// Every video track must be cut at the same frames as the first.
fn check_grid(tracks: &[TrackLayout]) -> Result<(), LayoutError> {
    let mut video = tracks.iter().filter(|track| matches!(track.kind, TrackKind::Video { .. }));
    let Some(first) = video.next() else { return Ok(()) };
    for track in video {
        let differs = |reason| Err(LayoutError::Track { track: track.name.clone(), reason });
        if track.segments.len() != first.segments.len() {
            return differs(format!(
                "expected {} segments as in {}, got {}",
                first.segments.len(),
                first.name,
                track.segments.len()
            ));
        }
        for (ours, theirs) in track.segments.iter().zip(&first.segments) {
            let at = |ticks: u64, other: &TrackLayout| u128::from(ticks) * u128::from(other.timescale);
            let same = ours.index == theirs.index
                && at(ours.start_ticks, first) == at(theirs.start_ticks, track)
                && at(ours.duration_ticks, first) == at(theirs.duration_ticks, track)
                && ours.samples == theirs.samples;
            if !same {
                return differs(format!(
                    "segment {} has {} frames, {} ticks from {} of {} per second; in {} segment {} has {} frames, {} from {} of {}",
                    ours.index,
                    ours.samples,
                    ours.duration_ticks,
                    ours.start_ticks,
                    track.timescale,
                    first.name,
                    theirs.index,
                    theirs.samples,
                    theirs.duration_ticks,
                    theirs.start_ticks,
                    first.timescale
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
