//! Spans made by separate jobs fit together as if one job had made them.

use lectern_domain::plan::PlanSettings;

use crate::{
    child::{Made, make},
    fixtures::{H264, ffmpeg, picture, tone},
    oracle,
};

fn cut(span_ms: u32) -> PlanSettings {
    PlanSettings { segment_ms: 2_000, span_ms, ..PlanSettings::default() }
}

fn frames(made: &Made, rung: &str) -> Vec<oracle::Frame> {
    oracle::frames(&made.join(rung))
}

#[test]
fn cutting_elsewhere_gives_the_same_frames() {
    let picture = picture("480x270", 30, 8.0);
    let tone = tone(8.0);
    // Keyframes that never fall on the grid, open GOPs, and a variable frame rate; all with reordering.
    let off_grid = "-c:v libx264 -preset veryfast -bf 3 -g 47 -pix_fmt yuv420p -c:a aac";
    let open = "-c:v libx264 -preset veryfast -x264-params open-gop=1:keyint=50:min-keyint=50:bframes=3 -pix_fmt yuv420p -c:a aac";
    let vfr = "-vf select='not(mod(n,3))+gt(n,90)' -vsync vfr -c:v libx264 -preset veryfast -bf 3 -g 60 -pix_fmt yuv420p -c:a aac";
    let hevc = "-c:v libx265 -preset ultrafast -x265-params open-gop=1:keyint=50:min-keyint=50:bframes=3:log-level=error \
                -pix_fmt yuv420p -tag:v hvc1";
    let sources = [
        ("keyframes off the grid", ffmpeg(&format!("{picture} {tone} {off_grid}"), "mp4")),
        ("open GOPs", ffmpeg(&format!("{picture} {tone} {open}"), "mp4")),
        ("variable frame rate", ffmpeg(&format!("{picture} {tone} {vfr}"), "mp4")),
        ("HEVC with open GOPs", ffmpeg(&format!("{picture} {hevc}"), "mp4")),
        ("Matroska", ffmpeg(&format!("{picture} {tone} {off_grid}"), "mkv")),
        ("MPEG-TS", ffmpeg(&format!("{picture} {tone} {off_grid}"), "ts")),
        ("MPEG-TS with open GOPs", ffmpeg(&format!("{picture} {tone} {open}"), "ts")),
        ("AVI", ffmpeg(&format!("{picture} {tone} -c:v mpeg4 -q:v 3 -g 47 -c:a libmp3lame"), "avi")),
        ("MPEG-2", ffmpeg(&format!("{picture} -c:v mpeg2video -q:v 3 -bf 2 -g 47"), "mpg")),
        ("a recording without a length", ffmpeg(&format!("{picture} {tone} {off_grid} -live 1"), "mkv")),
        ("intra only", ffmpeg(&format!("{picture} {H264} -g 1"), "mp4")),
    ];
    for (what, source) in sources {
        let whole = make(&source, &cut(60_000)).unwrap();
        assert_eq!(whole.plan.video.as_ref().unwrap().spans.len(), 1);
        // A segment each, also where spans are four times as long.
        let parts = make(&source, &cut(500)).unwrap();
        assert!(parts.plan.video.as_ref().unwrap().spans.len() >= 3, "{what}");
        for rung in whole.rungs() {
            assert_eq!(frames(&whole, &rung), frames(&parts, &rung), "{what} {rung}");
            assert_eq!(whole.grid(&rung), parts.grid(&rung), "{what} {rung}");
            let alike = oracle::ssim(&parts.join(&rung), &whole.join(&rung), "null");
            assert!(alike > 0.97, "{what} {rung}: {alike}");
            // The last span's, which has overwritten those of the spans before it.
            let init = format!("{rung}-init.mp4");
            let read = |made: &Made| std::fs::read(made.folder.path().join(&init)).unwrap();
            assert_eq!(read(&whole), read(&parts), "{what} {rung}: init segments differ");
        }
    }
}

#[test]
fn segments_follow_each_other_without_gaps() {
    let source = ffmpeg(&format!("{} {H264} -g 30", picture("320x180", 30, 9.0)), "mp4");
    let made = make(&source, &cut(4_000)).unwrap();
    for name in made.rungs() {
        let grid = made.grid(&name);
        assert_eq!(grid.iter().map(|segment| segment.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4][..grid.len()]);
        assert!(grid.windows(2).all(|pair| pair[0].1 + pair[0].2 == pair[1].1), "{grid:?}");
        assert_eq!(grid.iter().map(|segment| segment.3).sum::<u32>(), 270);
        let end = grid.last().map(|last| last.1 + last.2).unwrap();
        assert_eq!(end, 9 * u64::from(made.outputs[0].timescale));
    }
}

#[test]
fn a_still_that_outlasts_segments_leaves_their_indexes_out() {
    // Frames at 0 to 1 s, then one every 7 s: whole segments, and whole spans, in which no frame begins.
    let still = "-vf select='lt(t,1)+not(mod(n,70))' -vsync vfr";
    let source = ffmpeg(&format!("{} {still} {H264}", picture("320x180", 10, 22.0)), "mp4");
    let expected: Vec<f64> = oracle::frames(&source).iter().map(|frame| frame.seconds).collect();
    let made = make(&source, &cut(2_000)).unwrap();
    let rung = &made.rungs()[0];
    let times: Vec<f64> = frames(&made, rung).iter().map(|frame| frame.seconds).collect();
    assert_eq!(times, expected);
    let grid = made.grid(rung);
    assert!(grid.windows(2).all(|pair| pair[0].1 + pair[0].2 == pair[1].1), "{grid:?}");
    assert_eq!(grid.iter().map(|segment| segment.0).collect::<Vec<_>>(), [0, 3, 7, 10]);
}
