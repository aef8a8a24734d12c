//! Pictures that stand: what is left undecoded and what is written without an encoder shows what the source shows, when it shows it.

use std::path::{Path, PathBuf};

use lectern_domain::plan::PlanSettings;

use crate::{
    child::make,
    fixtures::{changed, ffmpeg, tone},
    oracle,
};

const SECONDS: f64 = 16.0;
const RATE: f64 = 30.0;
/// When what appears, and a part of the picture that is darker from then on: another slide, a letter on it, a letter beside that.
const CHANGES: [(f64, &str); 3] =
    [(3.1, "crop=600:120:20:200"), (5.5, "crop=12:16:100:100"), (11.9, "crop=12:16:120:100")];

fn slides(encoder: &str, extension: &str) -> PathBuf {
    let boxes = CHANGES.map(|(at, part)| {
        let sides: Vec<&str> = part.trim_start_matches("crop=").split(':').collect();
        let [width, height, x, y] = sides[..] else { panic!("{part}") };
        format!("drawbox=x={x}:y={y}:w={width}:h={height}:color=0x303030:t=fill:enable='gte(t,{at})'")
    });
    let picture = format!(
        "-f lavfi -i color=0xe8e4d8:s=640x360:r=30:d={SECONDS},drawgrid=w=80:h=45:c=0x8899aa,{}",
        boxes.join(",")
    );
    ffmpeg(&format!("{picture} {} -pix_fmt yuv420p {encoder} -c:a aac", tone(SECONDS)), extension)
}

/// Times at which each of the changes is first seen.
fn seen(path: &Path) -> Vec<f64> {
    let frames = oracle::frames(path);
    let first = |(_, part): &(f64, &str)| {
        let brightness = oracle::brightness_of(path, part);
        assert_eq!(brightness.len(), frames.len(), "{}", path.display());
        let dark = brightness.iter().position(|level| *level < 100);
        dark.map_or(f64::INFINITY, |at| frames[at].seconds - frames[0].seconds)
    };
    CHANGES.iter().map(first).collect()
}

#[test]
fn whatever_changes_on_a_slide_is_shown_when_it_changes() {
    let sources = [
        (
            "long groups",
            slides("-c:v libx264 -preset veryfast -g 400 -keyint_min 400 -sc_threshold 0", "mp4"),
        ),
        ("short groups", slides("-c:v libx264 -preset veryfast -crf 20 -g 60", "mkv")),
        ("without CABAC", slides("-c:v libx264 -profile:v baseline -preset medium -g 90", "mp4")),
        ("headers in the stream", slides("-c:v libx264 -preset medium -g 120", "ts")),
        ("slices", slides("-c:v libx264 -preset fast -g 150 -x264-params slices=4", "mp4")),
        (
            "another codec",
            slides("-c:v libx265 -preset ultrafast -x265-params log-level=error -tag:v hvc1", "mp4"),
        ),
    ];
    for (what, source) in sources {
        for preset in ["veryfast", "ultrafast"] {
            let settings = PlanSettings {
                segment_ms: 2_000,
                span_ms: 4_000,
                preset: preset.into(),
                ..PlanSettings::default()
            };
            let made = make(&source, &settings).unwrap();
            assert!(made.plan.video.as_ref().unwrap().skip_pictures, "{what}");
            for rung in made.rungs() {
                let joined = made.join(&rung);
                assert_eq!(oracle::complaints(&joined), "", "{what} {preset} {rung}");
                let frames = oracle::frames(&joined);
                let times: Vec<f64> = frames.iter().map(|frame| frame.seconds).collect();
                assert!(
                    times.windows(2).all(|pair| pair[1] - pair[0] < 0.145),
                    "{what} {preset} {rung}: {times:?}"
                );
                assert!(frames.len() < 200, "{what} {preset} {rung}: {} frames", frames.len());
                let grid = made.grid(&rung);
                let end = grid.last().map(|last| last.1 + last.2).unwrap() as f64;
                let off = end / f64::from(made.outputs[0].timescale) - SECONDS;
                assert!(off.abs() < 1.5 / RATE, "{what} {preset} {rung}: ends {off} s late");
                for ((at, part), seen) in CHANGES.iter().zip(seen(&joined)) {
                    // A picture to which none refers may be left out with the change that it brings.
                    let late = seen - at;
                    assert!(
                        (-0.5 / RATE..4.5 / RATE).contains(&late),
                        "{what} {preset} {rung} {part}: {late} s"
                    );
                }
            }
        }
    }
}

#[test]
fn what_an_edit_list_cuts_off_is_not_shown_again() {
    let whole = slides("-c:v libx264 -preset veryfast -g 400", "mp4");
    // The video's list comes first; the duration of its edit is in thousandths (ISO/IEC 14496-12 8.6.6).
    let source = changed("nine seconds", &whole, "mp4", |mut bytes| {
        let at = bytes.windows(4).position(|name| name == b"elst").unwrap() + 12;
        assert_eq!(bytes[at..at + 4], 16_000u32.to_be_bytes());
        bytes[at..at + 4].copy_from_slice(&9_000u32.to_be_bytes());
        bytes
    });
    let end = |keep_all_frames| {
        let made = make(&source, &PlanSettings { keep_all_frames, ..PlanSettings::default() }).unwrap();
        let last = *made.grid(&made.rungs()[0]).last().unwrap();
        (last.1 + last.2) as f64 / f64::from(made.outputs[0].timescale)
    };
    assert!((end(true) - 9.0).abs() < 0.1, "{}", end(true));
    assert!((end(false) - end(true)).abs() < 0.001, "{} and {}", end(false), end(true));
}

#[test]
fn a_slow_fade_is_followed() {
    let picture = "-f lavfi -i color=0xc8c8c8:s=640x360:r=30:d=12,fade=t=out:st=1:d=40";
    let source =
        ffmpeg(&format!("{picture} -pix_fmt yuv420p -c:v libx264 -preset veryfast -crf 12 -g 400"), "mp4");
    let settings = PlanSettings { segment_ms: 4_000, ..PlanSettings::default() };
    let made = make(&source, &settings).unwrap();
    let expected: Vec<(f64, u8)> =
        oracle::frames(&source).iter().map(|frame| frame.seconds).zip(oracle::brightness(&source)).collect();
    let joined = made.join(&made.rungs()[0]);
    let shown: Vec<(f64, u8)> =
        oracle::frames(&joined).iter().map(|frame| frame.seconds).zip(oracle::brightness(&joined)).collect();
    assert!(expected[0].1 - expected.last().unwrap().1 > 40, "{expected:?}");
    for (at, level) in expected {
        let on_screen = shown.iter().rev().find(|(time, _)| *time <= at + 0.001).unwrap().1;
        // Less than three levels are not told apart, and x264 skips what is not worth a coefficient.
        assert!(on_screen.abs_diff(level) <= 10, "at {at} s {on_screen} for {level}");
    }
}
