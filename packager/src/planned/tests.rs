//! A plan of ten seconds in three spans with one audio track, what its jobs report, and every way to report another.

use lectern_domain::{
    plan::{PlanSettings, plan},
    source::{AudioTrack, Orientation, Ratio, SourceInfo, VideoTrack},
};

use super::*;

/// Two rungs; segments of two seconds, spans of four, which is four times the wish because nobody can seek in the source.
fn planned() -> TranscodePlan {
    let source = SourceInfo {
        container: "video/quicktime".into(),
        duration_ns: Some(10_000_000_000),
        start_ns: 0,
        seekable: false,
        video: Some(VideoTrack {
            codec: "video/x-h264".into(),
            width: 852,
            height: 480,
            pixel_aspect: Ratio::new(1, 1),
            frame_rate: Ratio::new(25, 1),
            orientation: Orientation::Upright,
            interlaced: false,
            bit_depth: 8,
            colorimetry: "bt709".into(),
            hdr: false,
            complexity: None,
        }),
        audio: vec![AudioTrack {
            index: 0,
            codec: "audio/mpeg".into(),
            sample_rate: 48_000,
            channels: 2,
            language: None,
        }],
        texts: Vec::new(),
        trim: None,
    };
    let settings = PlanSettings { segment_ms: 2_000, span_ms: 1_000, ..PlanSettings::default() };
    plan(&source, &settings).expect("a source that can be planned")
}

/// Makes a good case another.
type Change = fn(&mut TranscodePlan, &mut Vec<TranscodeOutput>);

fn segments(indexes: impl IntoIterator<Item = u32>, timescale: u32) -> Vec<SegmentOutput> {
    let two = u64::from(timescale) * 2;
    let segment = |index| SegmentOutput {
        index,
        file: format!("{index}.m4s"),
        start_ticks: u64::from(index) * two,
        duration_ticks: two,
        samples: 50,
        bytes: 1_000,
    };
    indexes.into_iter().map(segment).collect()
}

fn span(plan: &TranscodePlan, indexes: &[u32]) -> TranscodeOutput {
    let rungs = &plan.video.as_ref().expect("video").rungs;
    let track = |rung: &lectern_domain::ladder::Rung| TrackOutput {
        name: rung.name.clone(),
        kind: TrackKind::Video { width: rung.width, height: rung.height, frame_rate: Ratio::new(25, 1) },
        init: "init.mp4".into(),
        timescale: 90_000,
        segments: segments(indexes.iter().copied(), 90_000),
    };
    TranscodeOutput { tracks: rungs.iter().map(track).collect() }
}

fn audio() -> TranscodeOutput {
    let kind = TrackKind::Audio { sample_rate: 48_000, channels: 2, language: None };
    let mut segments = segments(0..5, 48_000);
    for segment in &mut segments {
        // Cut at the first access unit in it.
        segment.start_ticks = segment.start_ticks.next_multiple_of(1_024);
    }
    let track =
        TrackOutput { name: "audio-0".into(), kind, init: "init.mp4".into(), timescale: 48_000, segments };
    TranscodeOutput { tracks: vec![track] }
}

fn good() -> (TranscodePlan, Vec<TranscodeOutput>) {
    let plan = planned();
    let reports = vec![span(&plan, &[0, 1]), span(&plan, &[2, 3, 4]), audio()];
    (plan, reports)
}

#[test]
fn what_was_planned_passes_and_so_does_what_a_source_does_not_have() {
    let (plan, reports) = good();
    assert_eq!(parts(&plan), [Part::Span(0), Part::Span(1), Part::Audio(0)]);
    check(&plan, &reports).unwrap();
    let fine: [(&str, Change); 6] = [
        ("the source ends before a span", |_, reports| reports[1].tracks.clear()),
        ("its picture begins late", |_, reports| reports[0].tracks.clear()),
        ("its sound has no data", |_, reports| reports[2].tracks.clear()),
        ("it is longer than it declares", |plan, reports| reports[1] = span(plan, &[2, 3, 4, 5, 6, 7, 8])),
        ("a still lasts over a segment", |plan, reports| reports[1] = span(plan, &[2, 4])),
        ("ticks are rounded", |_, reports| {
            reports[1].tracks.iter_mut().for_each(|track| track.segments[0].start_ticks -= 1);
        }),
    ];
    for (what, change) in fine {
        let (mut plan, mut reports) = good();
        change(&mut plan, &mut reports);
        assert_eq!(check(&plan, &reports), Ok(()), "{what}");
    }
}

#[test]
fn sound_cut_after_whole_samples_does_not_drift_away_from_the_plan() {
    let (mut plan, mut reports) = good();
    plan.audio[0].segment_ns = 3_999_000_000;
    plan.audio[0].sample_rate = 44_100;
    let track = &mut reports[2].tracks[0];
    track.kind = TrackKind::Audio { sample_rate: 44_100, channels: 2, language: None };
    track.timescale = 44_100;
    track.segments = segments(0..10_800, 44_100);
    for segment in &mut track.segments {
        // 3.999 s are 176 355.9 samples.
        segment.start_ticks = (u64::from(segment.index) * 176_355).next_multiple_of(1_024);
    }
    check(&plan, &reports).unwrap();
}

#[test]
fn anything_else_is_refused_and_named() {
    let table: [(Change, &str); 20] = [
        (|_, reports| drop(reports.pop()), "all of them: expected 3 reports, got 2"),
        (|_, reports| reports.push(audio()), "expected 3 reports, got 4"),
        (
            |_, reports| reports.swap(0, 1),
            "span 0: 480p: segment 2: this span has segments from 0 to before 2",
        ),
        (
            |_, reports| reports.swap(1, 2),
            "span 1: expected the rungs [\"480p\", \"360p\"], got [\"audio-0\"]",
        ),
        (
            |_, reports| reports[..2].iter_mut().for_each(|report| report.tracks.clear()),
            "no span has a segment",
        ),
        // Rungs.
        (
            |_, reports| drop(reports[0].tracks.pop()),
            "span 0: expected the rungs [\"480p\", \"360p\"], got [\"480p\"]",
        ),
        (|_, reports| reports[0].tracks.swap(0, 1), "got [\"360p\", \"480p\"]"),
        (|_, reports| reports[0].tracks[1].name = "240p".into(), "got [\"480p\", \"240p\"]"),
        (
            |_, reports| {
                let twice = reports[0].tracks[0].clone();
                reports[0].tracks.push(twice);
            },
            "got [\"480p\", \"360p\", \"480p\"]",
        ),
        (
            |_, reports| {
                let rate = Ratio::new(25, 1);
                reports[0].tracks[1].kind = TrackKind::Video { width: 852, height: 480, frame_rate: rate };
            },
            "span 0: 360p: expected (638, 360) pixels, got (852, 480)",
        ),
        (
            |_, reports| reports[0].tracks[0].kind = audio().tracks[0].kind.clone(),
            "expected video, got audio",
        ),
        // Segments.
        (
            |plan, reports| reports[0] = span(plan, &[0, 1, 2]),
            "span 0: 480p: segment 2: this span has segments",
        ),
        (
            |plan, reports| reports[1] = span(plan, &[1, 2, 3, 4]),
            "span 1: 480p: segment 1: this span has segments from 2",
        ),
        (
            |_, reports| reports[1].tracks[1].segments[1].start_ticks += 2 * 90_000,
            "span 1: 360p: segment 3: expected it to start at 6000000 and before 8000000 µs, got 8000000 µs",
        ),
        (
            |_, reports| reports[1].tracks[1].segments[2].start_ticks -= 90_000,
            "span 1: 360p: segment 4: expected it to start at 8000000 µs, got 7000000 µs",
        ),
        (
            |_, reports| reports[1].tracks[0].timescale = 45_000,
            "span 1: 480p: segment 2: expected it to start",
        ),
        // Sound.
        (
            |_, reports| reports[2].tracks[0].name = "audio-1".into(),
            "audio 0: expected the track \"audio-0\"",
        ),
        (
            |plan, _| plan.audio[0].channels = 1,
            "audio 0: expected 1 channels at 48000 samples per second, got Audio",
        ),
        (|_, reports| drop(reports[2].tracks[0].segments.remove(1)), "audio 0: expected segment 1, got 2"),
        (
            |_, reports| reports[2].tracks[0].segments[3].start_ticks += 96_000,
            "audio 0: segment 3: expected it to start at 6000000 and before 8000000",
        ),
    ];
    for (change, expected) in table {
        let (mut plan, mut reports) = good();
        change(&mut plan, &mut reports);
        let refused = check(&plan, &reports).expect_err(expected).to_string();
        assert!(refused.contains(expected), "expected {expected:?} in {refused:?}");
    }
}

#[test]
fn the_beginning_of_what_there_is() {
    let plan = planned();
    let part = |part, output, whole| Made { part, output, source: String::new(), whole };
    let some_sound = |segments: usize| {
        let mut output = audio();
        output.tracks[0].segments.truncate(segments);
        output
    };
    let of = |second_whole, sound: TranscodeOutput, sound_whole| {
        vec![
            part(Part::Span(0), span(&plan, &[0, 1]), true),
            part(
                Part::Span(1),
                if second_whole { span(&plan, &[2, 3]) } else { TranscodeOutput::default() },
                second_whole,
            ),
            part(Part::Span(2), span(&plan, &[4]), true),
            part(Part::Audio(0), sound, sound_whole),
        ]
    };
    let parts = |made: &[Made]| made.iter().map(|made| made.part).collect::<Vec<_>>();

    let first = beginning(of(false, some_sound(2), false));
    assert_eq!(
        parts(&first),
        [Part::Span(0), Part::Audio(0)],
        "a span that comes after one that is missing is left out"
    );
    let outputs: Vec<_> = first.iter().map(|made| made.output.clone()).collect();
    check_beginning(&plan, &outputs).expect("it is of the plan");
    let (short, longest_us) = reach(&first);
    assert_eq!((short.until_ms, longest_us), (4_000, 2_000_000));
    assert_eq!(short.segments.values().copied().collect::<Vec<_>>(), [2, 2, 2], "two rungs and a sound");
    assert!(goes_on(&short, &Grown::default()) && !goes_on(&short, &short));

    let all = reach(&beginning(of(true, some_sound(5), false))).0;
    assert_eq!(all.until_ms, 10_000);
    assert!(goes_on(&all, &short));
    // Another attempt at the sound has not come as far yet: what is published stays as it is.
    let again = reach(&beginning(of(true, some_sound(1), false))).0;
    assert!(!goes_on(&again, &short));
    assert!(
        beginning(of(true, TranscodeOutput::default(), false)).is_empty(),
        "nothing is known of the sound"
    );
    // Sound that ends before the picture holds nobody up; a source may have none at all.
    assert_eq!(reach(&beginning(of(true, some_sound(1), true))).0.until_ms, 10_000);
    assert_eq!(reach(&beginning(of(true, TranscodeOutput::default(), true))).0.until_ms, 10_000);
}

#[test]
fn what_is_told_at_different_times_is_one_report() {
    let part = |range: std::ops::Range<usize>| {
        let mut output = audio();
        output.tracks[0].segments = output.tracks[0].segments[range].to_vec();
        output
    };
    assert_eq!(joined(vec![part(0..2), part(2..5)]), audio());
    assert_eq!(joined(Vec::new()), TranscodeOutput::default());
    assert_eq!(joined(vec![part(0..2), part(3..5)]), part(0..2), "one that is missing ends it");
    assert_eq!(joined(vec![part(0..2), part(0..2)]), part(0..2), "twice is once");
    assert_eq!(joined(vec![part(1..2)]), TranscodeOutput::default());
}
