//! Tables of reports: those that make a package, and each way in which they do not.

use lectern_domain::{Timestamp, source::Ratio};

use super::*;

/// A track of segments of `(start, duration, samples)` numbered from `first`.
fn track(name: &str, timescale: u32, first: u32, segments: &[(u64, u64, u32)]) -> TrackOutput {
    let kind = if name.starts_with("audio") {
        TrackKind::Audio { sample_rate: 48_000, channels: 2, language: None }
    } else {
        TrackKind::Video { width: 1280, height: 720, frame_rate: Ratio::new(24, 1) }
    };
    let segments = segments
        .iter()
        .zip(first..)
        .map(|((start_ticks, duration_ticks, samples), index)| SegmentOutput {
            index,
            file: format!("{name}-{index}.m4s"),
            start_ticks: *start_ticks,
            duration_ticks: *duration_ticks,
            samples: *samples,
            bytes: 1_000,
        })
        .collect();
    TrackOutput { name: name.into(), kind, init: format!("{name}-init.mp4"), timescale, segments }
}

fn report(tracks: impl Into<Vec<TrackOutput>>) -> TranscodeOutput {
    TranscodeOutput { tracks: tracks.into() }
}

fn keys() -> PackageKeys {
    let kid = |n| Kid::generate(Timestamp::UNIX_EPOCH, &[n; 10]);
    PackageKeys::new(kid(1), kid(2))
}

const FOUR: (u64, u64, u32) = (0, 4_000, 96);
const NEXT: (u64, u64, u32) = (4_000, 4_000, 96);
const TAIL: (u64, u64, u32) = (8_000, 1_500, 36);

#[test]
fn spans_and_audio_become_one_package() {
    let outputs = [
        report([
            track("720p", 1_000, 0, &[FOUR, NEXT]),
            track("360p", 500, 0, &[(0, 2_000, 96), (2_000, 2_000, 96)]),
        ]),
        report([track("720p", 1_000, 2, &[TAIL]), track("360p", 500, 2, &[(4_000, 750, 36)])]),
        report([]),
        report([track("audio-0", 48_000, 0, &[(0, 192_512, 188), (192_512, 263_168, 257)])]),
    ];
    let layout = PackageLayout::new(&outputs, Some(keys())).expect("good reports");
    assert_eq!(
        layout.objects(),
        [
            "720p/init.mp4",
            "720p/seg-00000.m4s",
            "720p/seg-00001.m4s",
            "720p/seg-00002.m4s",
            "720p.m3u8",
            "360p/init.mp4",
            "360p/seg-00000.m4s",
            "360p/seg-00001.m4s",
            "360p/seg-00002.m4s",
            "360p.m3u8",
            "audio-0/init.mp4",
            "audio-0/seg-00000.m4s",
            "audio-0/seg-00001.m4s",
            "audio-0.m3u8",
            "multivariant.m3u8",
        ]
    );
    // Audio's 5.48 s decide for all.
    assert_eq!(layout.target_duration_s, 5);
    let [best, _, audio] = layout.tracks.as_slice() else { panic!("three tracks") };
    assert_eq!((best.key, audio.key), (Some(keys().video), Some(keys().audio)));
    assert_eq!(best.segments[2].source, SourceFile { output: 1, file: "720p-2.m4s".into() });
    assert_eq!(best.init_sources.len(), 2);
    assert_eq!((best.segments[0].clear_bytes, best.segments[0].object_bytes), (1_000, 1_008));
    let clear = PackageLayout::new(&outputs, None).expect("good reports");
    assert_eq!((clear.tracks[0].key, clear.tracks[0].segments[0].object_bytes), (None, 1_000));
}

#[test]
fn what_does_not_fit_together_says_so() {
    let video = |first, segments: &[(u64, u64, u32)]| track("720p", 1_000, first, segments);
    let other_kind = TrackOutput { kind: track("audio-0", 1, 0, &[]).kind, ..video(1, &[NEXT]) };
    let low = |segments: &[(u64, u64, u32)]| track("360p", 1_000, 0, segments);
    let table: Vec<(Vec<TranscodeOutput>, &str)> = vec![
        (vec![], "at least one track"),
        (vec![report([])], "at least one track"),
        (vec![report([video(0, &[])])], "at least one track"),
        (vec![report([video(0, &[FOUR]), low(&[])])], "track 360p: expected a segment, got none"),
        // Numbers.
        (
            vec![report([video(0, &[FOUR])]), report([video(0, &[FOUR])])],
            "expected segment 1 or later, got 0 in report 1",
        ),
        (
            vec![report([video(1, &[NEXT])]), report([video(0, &[FOUR])])],
            "expected segment 2 or later, got 0 in report 1",
        ),
        (vec![report([video(100_000, &[FOUR])])], "expected segment 0 or later, got 100000"),
        (
            vec![report([video(0, &[FOUR])]), report([video(2, &[TAIL])])],
            "gap of 4000 ticks: segment 0 ends at 4000, segment 2 starts at 8000",
        ),
        (vec![report([video(0, &[FOUR]), video(0, &[FOUR])])], "twice in report 0"),
        // Times.
        (vec![report([video(0, &[FOUR, (4_042, 4_000, 96)])])], "gap of 42 ticks: segment 0 ends at 4000"),
        (vec![report([video(0, &[FOUR, (3_958, 4_000, 96)])])], "overlap of 42 ticks"),
        (vec![report([video(0, &[(0, 0, 96)])])], "segment 0 has 96 samples, 0 ticks"),
        (vec![report([video(0, &[(0, 4_000, 0)])])], "segment 0 has 0 samples"),
        (vec![report([video(0, &[(u64::MAX, 4_000, 96)])])], "segment 0 has 96 samples"),
        (vec![report([video(0, &[(0, u64::MAX, 96), NEXT])])], "segment 0 has 96 samples"),
        // Kinds.
        (vec![report([video(0, &[FOUR])]), report([other_kind])], "earlier ones Video"),
        (vec![report([track("720p", 0, 0, &[FOUR])])], "expected a timescale, got 0"),
        // Grid.
        (
            vec![report([video(0, &[FOUR, NEXT]), low(&[FOUR])])],
            "track 360p: expected 2 segments as in 720p, got 1",
        ),
        (
            vec![report([video(0, &[FOUR, NEXT]), low(&[(0, 4_001, 96), (4_001, 3_999, 96)])])],
            "track 360p: segment 0 has 96 frames",
        ),
        (vec![report([video(0, &[FOUR]), low(&[(0, 4_000, 95)])])], "in 720p segment 0 has 96 frames"),
        (vec![report([video(1, &[FOUR]), low(&[FOUR])])], "in 720p segment 1 has 96 frames"),
        // Names.
        (vec![report([track("", 1, 0, &[FOUR])])], "got \"\""),
        (vec![report([track("../x", 1, 0, &[FOUR])])], "got \"../x\""),
        (vec![report([track("multivariant", 1, 0, &[FOUR])])], "got \"multivariant\""),
        (vec![report([track("A", 1, 0, &[FOUR])])], "got \"A\""),
    ];
    for (outputs, expected) in table {
        let error = PackageLayout::new(&outputs, Some(keys())).expect_err(expected).to_string();
        assert!(error.contains(expected), "expected {expected:?} in {error:?}");
    }
}

/// Recordings of a screen hold pictures that last longer than a segment.
#[test]
fn a_number_is_left_out_where_no_frame_begins() {
    let long = |name, timescale: u64| {
        let outer = track(name, timescale as u32, 0, &[(0, 12 * timescale, 1)]);
        [report([outer]), report([track(name, timescale as u32, 3, &[(12 * timescale, 4 * timescale, 96)])])]
    };
    let layout = PackageLayout::new(&long("720p", 1_000), None).expect("good reports");
    let segments: Vec<(u32, &str, u64)> =
        layout.tracks[0].segments.iter().map(|s| (s.index, s.object.as_str(), s.duration_us)).collect();
    assert_eq!(segments, [(0, "720p/seg-00000.m4s", 12_000_000), (3, "720p/seg-00003.m4s", 4_000_000)]);
    assert_eq!(layout.target_duration_s, 12);
}

/// Rounding of one tick between spans is no gap; the playlist goes by start times.
#[test]
fn rounding_is_tolerated_and_never_adds_up() {
    // 30000/1001 frames a second in a clock that cannot express them, for three hours.
    let starts: Vec<u64> = (0..2_700u64).map(|at| at * 120 * 90_000 * 1_001 / 30_000).collect();
    let segments: Vec<(u64, u64, u32)> = starts.iter().map(|start| (*start, 360_360, 120)).collect();
    let odd: Vec<(u64, u64, u32)> = starts.iter().map(|start| (*start * 7 / 90, 28_028, 120)).collect();
    for (timescale, segments) in [(90_000, segments), (7_000, odd)] {
        let layout = PackageLayout::new(&[report([track("720p", timescale, 0, &segments)])], None);
        let track = &layout.expect("good reports").tracks[0];
        let sum: u64 = track.segments.iter().map(|segment| segment.duration_us).sum();
        let last = track.segments.last().expect("segments");
        let real = ticks_to_us(last.start_ticks + last.duration_ticks, timescale);
        assert_eq!(sum, real);
    }
}
