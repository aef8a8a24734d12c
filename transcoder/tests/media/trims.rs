//! Between an in and an out point: exactly those frames, that sound and those texts, where they were.

use std::path::{Path, PathBuf};

use lectern_domain::{
    captions::{SourceTexts, TEXTS},
    failure::FailureCode,
    plan::PlanSettings,
    trim::Trim,
};

use crate::{
    child::{Made, make_part, probe_part},
    fixtures::{ffmpeg, made, numbered, tone},
    oracle,
};

/// Beeps at full seconds, each higher than the one before: 600 Hz, 800 Hz, ….
const BEEPS: &str =
    "-f lavfi -i aevalsrc='if(lt(mod(t,1),0.1),0.8*sin(2*PI*(600+200*floor(t))*t),0)':s=48000:d=12";
const RATE: f64 = 25.0;

fn settings() -> PlanSettings {
    PlanSettings { segment_ms: 2_000, span_ms: 2_000, ..PlanSettings::default() }
}

/// When each frame begins and which number it has, from the beginning of the file.
fn seen(path: &Path, begins: f64) -> Vec<(f64, u32)> {
    let (frames, numbers) = (oracle::frames(path), oracle::numbers(path));
    assert_eq!(frames.len(), numbers.len());
    frames.iter().map(|frame| frame.seconds - begins).zip(numbers).collect()
}

/// When each beep sets in and how high it is, as the second that it belongs to.
fn heard(path: &Path) -> Vec<(f64, i32)> {
    let samples = oracle::samples(path);
    let mut found = Vec::new();
    let mut quiet_since = -48_000_i64;
    for (at, sample) in samples.iter().enumerate() {
        if sample.abs() > 0.3 {
            if at as i64 - quiet_since > 4_800 {
                // Its pitch, by how often it rises through zero in 80 ms.
                let beep = &samples[at..samples.len().min(at + 3_840)];
                let rises = beep.windows(2).filter(|pair| pair[0] <= 0.0 && pair[1] > 0.0).count();
                let pitch = rises as f64 * 48_000.0 / beep.len() as f64;
                found.push((at as f64 / 48_000.0, ((pitch - 600.0) / 200.0).round() as i32));
            }
            quiet_since = at as i64;
        }
    }
    found
}

/// What an instructor sees of a source and hears, by another decoder.
struct Source {
    frames: Vec<(f64, u32)>,
    beeps: Vec<(f64, i32)>,
    ends: f64,
}

impl Source {
    fn new(path: &Path) -> Self {
        // Opus has its first packet before zero, of which nothing is heard.
        let begins: f64 = oracle::container_field(path, "start_time").parse().unwrap();
        let frames = seen(path, begins.max(0.0));
        let ends = frames.last().unwrap().0 + 1.0 / RATE;
        Self { frames, beeps: heard(path), ends }
    }
}

fn segments_end(made: &Made, name: &str) -> f64 {
    let track = made.outputs.iter().rfind(|track| track.name == name).unwrap();
    let last = track.segments.last().unwrap();
    (last.start_ticks + last.duration_ticks) as f64 / f64::from(track.timescale)
}

/// Holds what was made of a part against the source.
fn check(what: &str, source: &Source, part: &Made, in_s: f64, out_s: Option<f64>) {
    let end = out_s.unwrap_or(source.ends).min(source.ends);
    for rung in part.rungs() {
        let frames = seen(&part.join(&rung), 0.0);
        // The one that is on the screen at the in point, and those that begin until the out point. A millisecond is none.
        let first = source.frames.iter().rposition(|(at, _)| *at < in_s + 0.001).unwrap_or(0);
        let expected: Vec<(f64, u32)> = source.frames[first..]
            .iter()
            .take_while(|(at, _)| *at < end - 0.000_9)
            .map(|(at, number)| ((at - in_s).max(0.0), *number))
            .collect();
        let numbers = |frames: &[(f64, u32)]| frames.iter().map(|frame| frame.1).collect::<Vec<_>>();
        assert_eq!(numbers(&frames), numbers(&expected), "{what} {rung}");
        for (at, (ours, asked)) in frames.iter().zip(&expected).enumerate() {
            assert!((ours.0 - asked.0).abs() < 0.002, "{what} {rung}: frame {at} at {ours:?}, not {asked:?}");
        }
        let length = segments_end(part, &rung);
        assert!((length - (end - in_s)).abs() < 0.002, "{what} {rung}: {length} s of {}", end - in_s);
    }
    // Of a beep that is cut in the middle nobody says when it sets in.
    let within = |beeps: Vec<(f64, i32)>| {
        beeps.into_iter().filter(|(at, _)| *at > 0.12 && *at < end - in_s - 0.1).collect::<Vec<_>>()
    };
    let asked = within(source.beeps.iter().map(|(at, pitch)| (at - in_s, *pitch)).collect());
    let got = within(heard(&part.join("audio-0")));
    assert_eq!(got.len(), asked.len(), "{what}: {got:?} for {asked:?}");
    for (ours, asked) in got.iter().zip(&asked) {
        assert!((ours.0 - asked.0).abs() < 0.020 && ours.1 == asked.1, "{what}: beep {ours:?} for {asked:?}");
    }
    assert!(asked.len() >= 3, "{what}: too little is heard to tell");
    if out_s.is_some_and(|out| out < source.ends) {
        let length = segments_end(part, "audio-0");
        // Whole units of 1024 samples.
        assert!((0.0..0.024).contains(&(length - (end - in_s))), "{what}: {length} s of sound");
        let sound = oracle::samples(&part.join("audio-0"));
        let beyond = sound.iter().skip(((end - in_s + 0.002) * 48_000.0) as usize);
        assert!(beyond.clone().all(|sample| sample.abs() < 0.1), "{what}: sound after the out point");
    }
}

fn plain() -> PathBuf {
    ffmpeg(&format!("{} {BEEPS} {X264} -g 47 -c:a aac", numbered(25, 12.0)), "mp4")
}

const X264: &str = "-c:v libx264 -preset veryfast -bf 3 -pix_fmt yuv420p";

#[test]
fn exactly_the_part_is_seen_and_heard() {
    let both = format!("{} {BEEPS}", numbered(25, 12.0));
    let plain = plain();
    let late =
        |maps: &str| ffmpeg(&format!("-itsoffset 1.3 -i {0} -i {0} {maps} -c copy", plain.display()), "mp4");
    let open = "-c:v libx264 -preset veryfast -x264-params open-gop=1:keyint=50:min-keyint=50:bframes=3 -pix_fmt yuv420p";
    let table = [
        // B pictures and the encoder's delay of the sound: both make an edit list.
        ("MP4", plain.clone()),
        // On a frame: within one, ffmpeg moves the picture and not the sound.
        ("an edit list that cuts", ffmpeg(&format!("-ss 1.48 -i {} -c copy", plain.display()), "mp4")),
        ("the sound begins late", late("-map 1:v -map 0:a")),
        ("the picture begins late", late("-map 0:v -map 1:a")),
        ("Matroska", ffmpeg(&format!("{both} {X264} -g 47 -c:a libopus"), "mkv")),
        ("a recording without a length", ffmpeg(&format!("{both} {X264} -g 47 -c:a libopus -live 1"), "mkv")),
        ("MPEG-TS", ffmpeg(&format!("{both} {X264} -g 47 -c:a aac"), "ts")),
        (
            "fragments",
            ffmpeg(
                &format!("{both} {X264} -g 47 -c:a flac -strict -2 -movflags frag_keyframe+delay_moov"),
                "mp4",
            ),
        ),
        ("open GOPs", ffmpeg(&format!("{both} {open} -c:a libmp3lame"), "mp4")),
        (
            "one keyframe",
            ffmpeg(&format!("{both} {X264} -g 9999 -keyint_min 9999 -sc_threshold 0 -c:a aac"), "mp4"),
        ),
        ("44.1 kHz, PCM", ffmpeg(&format!("{both} {X264} -g 47 -c:a pcm_s16le -ar 44100"), "mov")),
        ("AVI with MP3", ffmpeg(&format!("{both} -c:v mpeg4 -q:v 3 -g 47 -c:a libmp3lame"), "avi")),
    ];
    for (at, (what, path)) in table.into_iter().enumerate() {
        let source = Source::new(&path);
        // Off the grid and off keyframes, to the end, on a frame to the millisecond, from the beginning, past the end.
        let points = [
            (3_333, Some(8_777)),
            (5_021, None),
            (4_040, Some(8_120)),
            (0, Some(7_010)),
            (6_500, Some(3_600_000)),
        ];
        for (in_ms, out_ms) in points.into_iter().take(if at == 0 { 5 } else { 2 }) {
            let trim = Trim::new(Some(in_ms), out_ms).unwrap();
            let part = make_part(&path, trim, &settings()).unwrap_or_else(|code| panic!("{what}: {code:?}"));
            let what = format!("{what}, {in_ms} to {out_ms:?}");
            let least = if part.info.seekable { 2 } else { 1 };
            assert!(part.plan.video.as_ref().unwrap().spans.len() >= least, "{what}");
            check(&what, &source, &part, in_ms as f64 / 1e3, out_ms.map(|out| out as f64 / 1e3));
        }
    }
}

/// A screen recording that says something only when something changes: the picture at the in point is an older one.
#[test]
fn the_picture_at_the_in_point_is_the_one_that_stands_there() {
    let rare = "-vf select='not(mod(n,40))' -vsync vfr";
    for (what, path) in [
        ("MP4", ffmpeg(&format!("{} {BEEPS} {rare} {X264} -g 3 -c:a aac", numbered(25, 12.0)), "mp4")),
        ("Matroska", ffmpeg(&format!("{} {BEEPS} {rare} {X264} -g 3 -c:a aac", numbered(25, 12.0)), "mkv")),
    ] {
        let source = Source::new(&path);
        assert!(source.frames.len() <= 10);
        let trim = Trim::new(Some(2_900), Some(7_500)).unwrap();
        let part = make_part(&path, trim, &settings()).unwrap();
        check(what, &source, &part, 2.9, Some(7.5));
        let shown = seen(&part.join(&part.rungs()[0]), 0.0);
        assert_eq!(shown[0], (0.0, 40), "{what}: since 1.6 s");
    }
}

#[test]
fn points_that_leave_nothing_are_refused_before_anything_is_made() {
    let source = plain();
    let of = |in_ms, out_ms| probe_part(&source, Trim::new(Some(in_ms), out_ms).unwrap());
    for (in_ms, out_ms) in [(12_500, None), (11_500, None), (3_600_000, Some(7_200_000))] {
        assert_eq!(of(in_ms, out_ms), Err(FailureCode::TrimOutsideSource), "{in_ms} {out_ms:?}");
    }
    let last = of(10_900, Some(20_000)).unwrap();
    assert!(last.duration_ns.unwrap() < 1_200_000_000, "no longer than what is there: {last:?}");
    // The picture begins after the out point: what there is of the part is its sound.
    let late =
        ffmpeg(&format!("-itsoffset 3 -i {0} -i {0} -map 0:v -map 1:a -c copy", source.display()), "mp4");
    let sound = make_part(&late, Trim::new(Some(500), Some(2_500)).unwrap(), &settings()).unwrap();
    assert_eq!(sound.names(), ["audio-0"]);
    assert_eq!(heard(&sound.join("audio-0")).len(), 2);
}

/// Loudness is that of the part, however loud the rest is.
#[test]
fn the_rest_does_not_make_the_part_quieter() {
    let source = ffmpeg(
        "-f lavfi -i aevalsrc='(0.01+0.79*lt(t,6))*sin(2*PI*440*t)':s=48000:d=12 -c:a pcm_s16le",
        "wav",
    );
    let settings = PlanSettings { loudness_lufs: Some(-23), ..settings() };
    let peak = |trim| {
        let made = make_part(&source, trim, &settings).unwrap();
        let sound = oracle::samples(&made.join("audio-0"));
        sound[48_000..2 * 48_000].iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()))
    };
    let (loud, quiet) = (peak(None), peak(Trim::new(Some(6_500), Some(11_500)).unwrap()));
    // Twenty decibels louder, which is the most; with the loud half it would have become quieter.
    assert!((0.07..0.2).contains(&loud) && (0.08..0.12).contains(&quiet), "{loud} {quiet}");
}

#[test]
fn texts_move_and_are_cut_with_the_rest() {
    let words = made("captions for trims", "srt", |path| {
        let cue = |at: u32, from: &str, to: &str| format!("{at}\n00:00:{from} --> 00:00:{to}\ncue {at}\n\n");
        let all = [
            cue(1, "00,500", "02,000"),
            cue(2, "02,500", "03,500"),
            cue(3, "05,000", "06,000"),
            cue(4, "07,500", "09,000"),
            cue(5, "10,000", "11,000"),
        ];
        std::fs::write(path, all.concat()).unwrap();
    });
    let (picture, tone) = (numbered(25, 12.0), tone(12.0));
    for (what, codec, extension) in [("MP4", "mov_text", "mp4"), ("Matroska", "srt", "mkv")] {
        let arguments = format!(
            "{picture} {tone} -i {} -map 0 -map 1 -map 2 {X264} -c:a aac -c:s {codec}",
            words.display()
        );
        let source = ffmpeg(&arguments, extension);
        let part = make_part(&source, Trim::new(Some(3_000), Some(8_000)).unwrap(), &settings()).unwrap();
        let read = std::fs::read(part.folder.path().join(TEXTS)).unwrap();
        let tracks: Vec<SourceTexts> = serde_json::from_slice(&read).unwrap();
        assert_eq!(tracks.len(), 1, "{what}");
        let expected = [("cue 2", 0, 500), ("cue 3", 2_000, 3_000), ("cue 4", 4_500, 5_000)];
        assert_eq!(tracks[0].texts.len(), expected.len(), "{what}: {tracks:?}");
        for (text, (words, start, end)) in tracks[0].texts.iter().zip(expected) {
            let near = |got: u64, asked: u64| got.abs_diff(asked) <= 30;
            assert_eq!(text.text.trim(), words, "{what}");
            assert!(near(text.start_ms, start) && near(text.end_ms.unwrap(), end), "{what}: {text:?}");
        }
    }
}
