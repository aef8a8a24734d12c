//! The transcode plan of an asset: ladder, segment grid, spans, audio. Made once after probing and stored, so that
//! every job of the asset works from the same values whatever machine it runs on.

use serde::{Deserialize, Serialize};

use crate::{
    cost::{Cost, ladder_cost},
    failure::FailureCode,
    growth::LEAST_MS,
    ladder::{Ladder, Quality, Rung, plan_ladder},
    source::SourceInfo,
};

/// Nanoseconds in a second, the unit of plan times.
pub const SECOND_NS: u64 = 1_000_000_000;

/// What an operator may set about plans.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanSettings {
    /// Length of a segment, milliseconds.
    pub segment_ms: u32,
    /// Length a span aims at, milliseconds; rounded to whole segments.
    pub span_ms: u32,
    /// x264 preset name.
    pub preset: String,
    /// Longest source accepted, milliseconds.
    pub max_duration_ms: u64,
    /// Whether frames that repeat the one before are encoded too.
    pub keep_all_frames: bool,
    /// How close to the source rungs are kept.
    pub quality: Quality,
    /// How loud every sound shall be, LUFS (EBU R 128); none: as loud as it is.
    pub loudness_lufs: Option<i32>,
    /// Whether the first spans are short, so that what they make can be watched while the rest is being made.
    pub quick_start: bool,
}

impl Default for PlanSettings {
    fn default() -> Self {
        Self {
            segment_ms: 4_000,
            span_ms: 32_000,
            preset: "veryfast".into(),
            max_duration_ms: 12 * 3_600_000,
            keep_all_frames: false,
            quality: Quality::default(),
            loudness_lufs: None,
            quick_start: false,
        }
    }
}

/// Everything the transcode jobs of one asset need to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TranscodePlan {
    /// Declared duration of the source, nanoseconds; 0 when unknown.
    pub duration_ns: u64,
    /// Video, unless the source is audio only.
    pub video: Option<VideoPlan>,
    /// Audio tracks to encode.
    pub audio: Vec<AudioPlan>,
}

/// How the video track is encoded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VideoPlan {
    /// Ladder, best rung first.
    pub rungs: Vec<Rung>,
    /// x264 preset name.
    pub preset: String,
    /// Start of every cell of the segment grid on the asset's timeline, nanoseconds, ascending, first 0. A segment begins at or
    /// after its cell's start and before the next one's: with the first frame there while the picture moves. A cell may
    /// begin none; the segment before it lasts longer then. The last is open-ended.
    pub segment_starts_ns: Vec<u64>,
    /// Nominal segment length, nanoseconds: continues the grid where a source runs past its declared duration.
    pub segment_ns: u64,
    /// Spans, in order, covering every segment once.
    pub spans: Vec<Span>,
    /// Whether frames that repeat the one before are encoded too.
    #[serde(default)]
    pub keep_all_frames: bool,
    /// Quantiser below which pictures that stand are not encoded; 0 for no bound.
    #[serde(default)]
    pub calm_quantiser: u32,
    /// Whether frames that are shown again are written as pictures that skip everything, which takes a stream without B pictures: then
    /// they need no encoder. For a whole rendition, whose headers are the same in every segment.
    #[serde(default)]
    pub skip_pictures: bool,
    /// Why it is this ladder, for people, a sentence each.
    #[serde(default)]
    pub why: Vec<String>,
}

/// A run of whole segments that one transcode job makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Position among the asset's spans.
    pub index: u32,
    /// Index of the first segment.
    pub first_segment: u32,
    /// Start time, nanoseconds.
    pub start_ns: u64,
    /// End time, nanoseconds; absent for the last span, which runs to the end of the source.
    pub end_ns: Option<u64>,
}

/// How one audio track is encoded: whole, AAC-LC, stereo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioPlan {
    /// Position among the source's audio tracks.
    pub track: u32,
    /// Name in storage keys and playlists, e.g. `audio-0`.
    pub name: String,
    /// BCP 47 language when declared.
    pub language: Option<String>,
    /// Output samples per second.
    pub sample_rate: u32,
    /// Output channels (1 or 2).
    pub channels: u32,
    /// Bits per second.
    pub bps: u32,
    /// Segment length aimed at, nanoseconds.
    pub segment_ns: u64,
    /// Loudness of the whole track aimed at, LUFS (EBU R 128); none: as loud as it is.
    #[serde(default)]
    pub loudness_lufs: Option<i32>,
}

/// Processor time that a span may take by its estimate, milliseconds: two minutes on one core of the machine that the
/// estimate was fitted on and with the hardest picture. A span may be half as long again (the last one), a core half as
/// fast: that is six minutes.
const SPAN_CPU_MS: f64 = 120_000.0;
/// How much longer spans are when each is read from the source's beginning: fewer read the same again.
const UNSEEKABLE_FACTOR: f64 = 4.0;

/// How much longer spans are of what is calm. A span begins with a keyframe that its content does not ask for, and keyframes
/// are nearly all that slides cost.
const CALM_FACTOR: f64 = 2.0;

/// Longest segment, nanoseconds: so far one goes on while the picture stands.
pub const LONGEST_SEGMENT_NS: u64 = 12 * SECOND_NS;

/// Length of the first two spans where playing is to begin soon, nanoseconds: with the first it can. Each span after them is twice
/// as long as the one before, up to the usual length.
const HEAD_NS: u64 = LEAST_MS * 1_000_000;

/// Pixels a side and pixels in all that a decoder is let loose on.
const MAX_SIDE: u32 = 8_192;
const MAX_PIXELS: u64 = 36_000_000;

/// Whether a decoder is let loose on a picture of this size.
pub fn picture_is_acceptable(width: u32, height: u32) -> bool {
    (1..=MAX_SIDE).contains(&width)
        && (1..=MAX_SIDE).contains(&height)
        && u64::from(width) * u64::from(height) <= MAX_PIXELS
}

/// Turns what was found into what will be made, or says why nothing can be.
pub fn plan(source: &SourceInfo, settings: &PlanSettings) -> Result<TranscodePlan, FailureCode> {
    if source.video.is_none() && source.audio.is_empty() {
        return Err(FailureCode::SourceNoTracks);
    }
    let duration_ns = source.duration_ns.unwrap_or(0);
    if duration_ns > settings.max_duration_ms.saturating_mul(1_000_000) {
        return Err(FailureCode::SourceTooLong);
    }
    let segment_ns = u64::from(settings.segment_ms.max(1_000)) * 1_000_000;
    let video = match &source.video {
        None => None,
        Some(track) => {
            if !picture_is_acceptable(track.width, track.height) {
                return Err(FailureCode::SourceDimensions);
            }
            if track.hdr {
                return Err(FailureCode::SourceHdrUnsupported);
            }
            let segment_starts_ns = segment_grid(duration_ns, segment_ns);
            let Ladder { rungs, why } = plan_ladder(track, settings.quality);
            let cost = ladder_cost(track, &rungs, &settings.preset, 1.0);
            let calm = track.is_calm();
            let per_span = per_span(&cost, source.seekable, calm, segment_ns, settings);
            // A source that is read from its beginning for every span gains nothing by more of them.
            let head = if settings.quick_start && source.seekable { HEAD_NS.div_ceil(segment_ns) } else { 0 };
            let spans = spans(&segment_starts_ns, per_span, source.seekable && !calm, head as usize);
            Some(VideoPlan {
                rungs,
                preset: settings.preset.clone(),
                segment_starts_ns,
                segment_ns,
                spans,
                keep_all_frames: settings.keep_all_frames,
                calm_quantiser: settings.quality.calm_quantiser(),
                skip_pictures: calm && !settings.keep_all_frames,
                why,
            })
        }
    };
    let audio = source
        .audio
        .iter()
        .map(|track| AudioPlan {
            track: track.index,
            name: format!("audio-{}", track.index),
            language: track.language.clone(),
            // AAC-LC in every browser: 44.1 or 48 kHz. The 44.1 kHz family keeps its own clock.
            sample_rate: if track.sample_rate % 11_025 == 0 { 44_100 } else { 48_000 },
            channels: track.channels.clamp(1, 2),
            bps: if track.channels <= 1 { 96_000 } else { 128_000 },
            segment_ns,
            loudness_lufs: settings.loudness_lufs,
        })
        .collect();
    Ok(TranscodePlan { duration_ns, video, audio })
}

/// Segment starts for a duration. A tail under a quarter of a segment joins the segment before it.
fn segment_grid(duration_ns: u64, segment_ns: u64) -> Vec<u64> {
    let whole = duration_ns / segment_ns;
    let tail = duration_ns % segment_ns;
    let count = if whole > 0 && tail < segment_ns / 4 { whole } else { whole + 1 };
    (0..count).map(|index| index * segment_ns).collect()
}

/// Segments in a span: as many as the settings say, more of what is hardly any work, fewer where a job would take too long, never
/// less than one.
fn per_span(cost: &Cost, seekable: bool, calm: bool, segment_ns: u64, settings: &PlanSettings) -> usize {
    let affordable_ns = SPAN_CPU_MS / cost.cpu_ms_per_s.max(1.0) * SECOND_NS as f64;
    let wanted_ns = f64::from(settings.span_ms) * 1e6;
    let factor = if seekable { 1.0 } else { UNSEEKABLE_FACTOR } * if calm { CALM_FACTOR } else { 1.0 };
    ((affordable_ns.min(wanted_ns) * factor) as u64 / segment_ns).max(1) as usize
}

/// Cuts a grid into spans of at most `per_span` segments, and a half more for the last when they are equal.
///
/// Where spans cost nothing but themselves (`taper`) the last ones get shorter and shorter, a quarter of what is left each: guided
/// self-scheduling (Polychronopoulos and Kuck, 1987). Workers on one asset then end together, however many they are.
/// With a `head` the first two have so many segments, and those after them grow.
fn spans(starts: &[u64], per_span: usize, taper: bool, head: usize) -> Vec<Span> {
    let per_span = per_span.min(starts.len()).max(1);
    let (mut firsts, mut next) = (Vec::new(), 0);
    let mut length = head;
    while (1..per_span).contains(&length) && next + length < starts.len() {
        firsts.push(next);
        next += length;
        if firsts.len() > 1 {
            length *= 2;
        }
    }
    let rest = starts.len() - next;
    if taper && rest > per_span {
        while next < starts.len() {
            firsts.push(next);
            let left = starts.len() - next;
            next += if left > 3 * per_span { per_span } else { left.div_ceil(4) };
        }
    } else {
        let count = (rest / per_span + usize::from(rest % per_span > per_span / 2)).max(1);
        firsts.extend((0..count).map(|index| next + index * rest / count));
    }
    (0..firsts.len())
        .map(|index| Span {
            index: index as u32,
            first_segment: firsts[index] as u32,
            start_ns: starts[firsts[index]],
            end_ns: firsts.get(index + 1).map(|next| starts[*next]),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_covers_the_duration_and_leaves_no_sliver() {
        let s = SECOND_NS;
        let table: &[(u64, &[u64])] = &[
            (0, &[0]),
            (s / 5, &[0]),
            (4 * s, &[0]),
            (4 * s + 1, &[0]),
            (5 * s, &[0, 4 * s]),
            (30 * s, &[0, 4 * s, 8 * s, 12 * s, 16 * s, 20 * s, 24 * s, 28 * s]),
        ];
        for (duration, expected) in table {
            assert_eq!(segment_grid(*duration, 4 * s), *expected, "{duration}");
        }
    }

    fn source(width: u32, height: u32, rate: u32, seekable: bool) -> SourceInfo {
        SourceInfo {
            container: "video/quicktime".into(),
            duration_ns: Some(7_200 * SECOND_NS),
            start_ns: 0,
            seekable,
            video: Some(crate::source::VideoTrack {
                codec: "video/x-h264".into(),
                width,
                height,
                pixel_aspect: crate::source::Ratio::new(1, 1),
                frame_rate: crate::source::Ratio::new(rate, 1),
                orientation: crate::source::Orientation::Upright,
                interlaced: false,
                bit_depth: 8,
                colorimetry: "bt709".into(),
                hdr: false,
                complexity: None,
            }),
            audio: Vec::new(),
            texts: Vec::new(),
            trim: None,
        }
    }

    #[test]
    fn spans_are_as_long_as_they_can_be_done() {
        let table = [
            (1280, 720, 30, "veryfast", true, 8),
            (1920, 1080, 30, "veryfast", true, 8),
            (1920, 1080, 60, "veryfast", true, 4),
            (3840, 2160, 30, "veryfast", true, 4),
            (3840, 2160, 60, "veryfast", true, 2),
            (3840, 2160, 60, "slow", true, 1),
            (1920, 1080, 30, "slow", true, 2),
            (1920, 1080, 30, "veryfast", false, 32),
        ];
        for (width, height, rate, preset, seekable, segments) in table {
            let settings = PlanSettings { preset: preset.into(), ..PlanSettings::default() };
            let source = source(width, height, rate, seekable);
            let video = plan(&source, &settings).unwrap().video.unwrap();
            let length = video.spans[1].first_segment;
            assert_eq!(length, segments, "{width}x{height} at {rate}, {preset}, seekable {seekable}");
            // The bound on a job: what the estimate says of the longest span.
            let cost = crate::cost::span_cost(source.video.as_ref().unwrap(), &video, 1.0);
            let longest = f64::from(length.max(1)) * 4.0;
            assert!(cost.cpu_ms_per_s * longest <= 600_000.0, "{width}x{height} at {rate}, {preset}");
        }
    }

    #[test]
    fn spans_of_slides_are_few_and_equal() {
        let lengths_of = |seconds: u64, motion| {
            let mut source = source(1920, 1080, 30, true);
            source.duration_ns = Some(seconds * SECOND_NS);
            source.video.as_mut().unwrap().complexity = motion;
            let video = plan(&source, &PlanSettings::default()).unwrap().video.unwrap();
            lengths(&video.spans, video.segment_starts_ns.len() as u64)
        };
        let pairs =
            |still, moving| Some(crate::source::Complexity { pairs: 120, still, moving, detail: None });
        assert_eq!(lengths_of(120, pairs(114, 4)), [15, 15]);
        assert_eq!(lengths_of(120, pairs(0, 0)), [15, 15], "something small moves all the time");
        assert_eq!(lengths_of(3_600, pairs(114, 4)).len(), 56);
        let film = lengths_of(120, None);
        assert_eq!((film[0], lengths_of(120, pairs(20, 90))), (8, film));
    }

    fn lengths(spans: &[Span], segments: u64) -> Vec<usize> {
        let ends = spans.iter().skip(1).map(|span| span.first_segment).chain([segments as u32]);
        spans.iter().zip(ends).map(|(span, end)| (end - span.first_segment) as usize).collect()
    }

    #[test]
    fn spans_cover_every_segment_once() {
        for (segments, taper) in (1..100u64).flat_map(|segments| [(segments, false), (segments, true)]) {
            let starts: Vec<u64> = (0..segments).map(|index| index * 4 * SECOND_NS).collect();
            for per_span in [1, 2, 3, 8, usize::MAX] {
                let spans = spans(&starts, per_span, taper, 0);
                assert_eq!(spans[0].start_ns, 0);
                assert_eq!(spans.last().and_then(|span| span.end_ns), None);
                for pair in spans.windows(2) {
                    assert_eq!(pair[0].end_ns, Some(pair[1].start_ns));
                    assert_eq!(pair[1].start_ns, starts[pair[1].first_segment as usize]);
                    assert!(pair[1].first_segment > pair[0].first_segment);
                }
                let lengths = lengths(&spans, segments);
                let most = *lengths.iter().max().unwrap();
                if taper {
                    assert!(most <= per_span && lengths.is_sorted_by(|a, b| a >= b), "{lengths:?}");
                } else {
                    assert!(most - lengths.iter().min().unwrap() <= 1, "{lengths:?}");
                    assert!(most <= per_span.saturating_add(per_span / 2), "{lengths:?}");
                }
            }
        }
    }

    #[test]
    fn the_first_spans_are_short_where_playing_is_to_begin_soon() {
        let lengths = |segments: u64, per_span, taper| {
            let starts: Vec<u64> = (0..segments).map(|index| index * 4 * SECOND_NS).collect();
            lengths(&spans(&starts, per_span, taper, 3), segments)
        };
        assert_eq!(lengths(100, 16, false), [3, 3, 6, 12, 15, 15, 15, 15, 16]);
        assert_eq!(lengths(60, 8, true)[..4], [3, 3, 6, 8]);
        assert_eq!(lengths(5, 16, false), [3, 2]);
        assert_eq!(lengths(3, 16, false), [3], "nothing follows");
        assert_eq!(lengths(9, 2, false), [2, 2, 2, 3], "all are short");
        for segments in 1..200 {
            assert_eq!(lengths(segments, 8, true).iter().sum::<usize>() as u64, segments);
            assert_eq!(lengths(segments, 16, false).iter().sum::<usize>() as u64, segments);
        }
    }

    #[test]
    fn workers_on_one_asset_end_together() {
        for segments in [30u64, 75, 450, 1_800] {
            let starts: Vec<u64> = (0..segments).map(|index| index * 4 * SECOND_NS).collect();
            let lengths = lengths(&spans(&starts, 8, true, 0), segments);
            for workers in 2..5 {
                // Each takes the next span when it has done its last.
                let mut busy_until = vec![0; workers];
                for length in &lengths {
                    *busy_until.iter_mut().min().unwrap() += length;
                }
                let last = *busy_until.iter().max().unwrap();
                let even = (segments as usize).div_ceil(workers);
                assert!(
                    last <= even + 1,
                    "{segments} segments, {workers} workers: {last} for {even}, {lengths:?}"
                );
            }
        }
    }
}
