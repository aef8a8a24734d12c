//! Frame rates, edit lists, starts, gaps, durations.

use super::source::{H264, Source, beep, card, file, made};
use crate::harness::draw::ffmpeg;

/// AAC beside [`H264`].
fn usual(rate: &str) -> String {
    format!("{} {} {H264} -c:a aac", card(rate, 2.0), beep(48_000, 2.0))
}

/// Frames at the times that `expression` gives, in ticks of `scale` a second.
fn at_times(scale: u32, expression: &str, rest: &str) -> String {
    let card = card("25", 2.0);
    format!(
        "{card},settb=1/{scale},setpts='{expression}' {} -vsync passthrough -enc_time_base:v 1/{scale} {rest}",
        beep(48_000, 2.0)
    )
}

/// Picture and sound of a file with times of its own for each.
fn apart(
    from: &'static str,
    picture_s: f64,
    sound_s: f64,
) -> impl Fn(&std::path::Path, &str) -> std::path::PathBuf {
    move |folder, name| {
        let end = name.rsplit('.').next().unwrap();
        let before = ffmpeg(
            folder,
            &format!("before {name}.{end}"),
            &format!("{} {from}", usual("25").replace(" -c:a aac", "")),
        );
        let before = before.display().to_string().replace(' ', "\u{a0}");
        let path = folder.join(name);
        let arguments = format!(
            "-v error -y -itsoffset {picture_s} -i {before} -itsoffset {sound_s} -i {before} -map 0:v -map 1:a -c copy"
        );
        let mut all: Vec<String> = arguments.split(' ').map(|part| part.replace('\u{a0}', " ")).collect();
        all.push(path.display().to_string());
        crate::harness::run("ffmpeg", &all.iter().map(String::as_str).collect::<Vec<_>>());
        path
    }
}

/// Two seconds, of which so much at the beginning is before zero.
fn before_zero(seconds: f64, rest: &str) -> String {
    format!("{} {rest} -output_ts_offset -{seconds} -avoid_negative_ts disabled", usual("25"))
}

/// Three seconds, flash and beep after two; of the sound no packets between 0.5 s and 1.5 s.
fn without_a_second(samples: f64, codec: &str) -> String {
    let (from, to) = ((0.5 * 48_000.0 / samples).ceil(), (1.5 * 48_000.0 / samples).floor());
    format!(
        "{},tpad=start_duration=1:start_mode=clone {} -af adelay=1000:all=1 {H264} {codec} -bsf:a \
         noise=drop='between(n,{from},{to})'",
        card("25", 2.0),
        beep(48_000, 2.0)
    )
}

pub(crate) fn lines() -> Vec<Source> {
    let phone = at_times(
        90_000,
        "N*3000+mod(N*N,7)*170",
        &format!("{H264} -bf 2 -video_track_timescale 90000 -c:a aac"),
    );
    let screen = "floor(N*40+mod(N*N*7,31))";
    vec![
        file("23.976.mp4", usual("24000/1001")).frames(48),
        file("29.97.mp4", usual("30000/1001")).frames(60),
        file("59.94.mp4", usual("60000/1001")).frames(120),
        file("50.mp4", usual("50")).frames(100),
        file("12.mp4", usual("12")).frames(24),
        file("120.mp4", usual("120")).frames(240),
        file("a phone's variable rate.mp4", phone).frames(50),
        file(
            "a screen recorder's thousandths.mp4",
            at_times(1_000, screen, &format!("{H264} -video_track_timescale 1000 -c:a aac")),
        ),
        file(
            "a browser's thousandths.webm",
            at_times(
                1_000,
                screen,
                "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 4M -qmax 10 -pix_fmt yuv420p -c:a libopus",
            ),
        )
        .off_by(3.0),
        file("one frame a second.mp4", format!("{} {H264} -c:a aac", card("1", 3.0)))
            .frames(3)
            .seconds(3.0)
            .mute(),
        file("repeated frames.mp4", usual("25")).by_default(50),
        file("a slide.mp4", format!("-f lavfi -i color=c=0x3c6090:s=320x180:r=30:d=4 {H264}"))
            .by_default(50)
            .other_colours()
            .seconds(4.0)
            .mute(),
        made("an edit list.mp4", |folder, name| {
            let whole = ffmpeg(folder, "uncut.mp4", &format!("{} -g 25 -bf 2", usual("25")));
            // From between two keyframes: what is before the cut is in the file and must not be shown.
            ffmpeg(folder, name, &format!("-ss 0.4 -i {} -c copy", whole.display()))
        })
        .frames(40)
        .seconds(1.6),
        made("cut at a keyframe.mp4", |folder, name| {
            let whole = ffmpeg(folder, "whole.mp4", &format!("{} -g 10", usual("25")));
            // The sound before the cut is in the file, from the keyframe on.
            ffmpeg(folder, name, &format!("-ss 0.72 -i {} -c copy", whole.display()))
        })
        .frames(32)
        .seconds(1.28),
        file("a start before zero.mp4", before_zero(0.4, "-g 10")).frames(40).seconds(1.6),
        file("a start before zero, reordered.mp4", before_zero(0.4, "-g 10 -bf 2")).frames(40).seconds(1.6),
        file("a start before zero.mov", before_zero(0.4, "-g 10 -c:a pcm_s16le")).frames(40).seconds(1.6),
        // Zero lies in the middle of a frame, which is shown for its other half. ffmpeg leaves it out and moves the others to zero,
        // and so the picture, but not the sound, 20 ms ahead of what the edit list says: without it (`-ignore_editlist 1`)
        // the flash is at 1.08 s and the beep at 1.0214 s, and 0.58 s and 0.5213 s is what it takes away.
        file("a start within a frame.mp4", before_zero(0.5, "-g 10 -bf 2"))
            .frames_between(38, 38)
            .seconds(1.5)
            .apart(0.0),
        made("late sound.mp4", apart("-c:a aac", 0.0, 0.3)).seconds(2.3),
        made("late sound.mkv", apart("-c:a aac", 0.0, 0.3)).seconds(2.3),
        made("late sound.ts", apart("-c:a aac", 0.0, 0.3)).seconds(2.3),
        made("late picture.mp4", apart("-c:a aac", 0.3, 0.0)),
        made("late picture.mkv", apart("-c:a aac", 0.3, 0.0)),
        made("late picture.ts", apart("-c:a aac", 0.3, 0.0)),
        file("a start far from zero.ts", format!("{} -output_ts_offset 4000", usual("25"))),
        file("a start far from zero.mkv", format!("{} -output_ts_offset 4000", usual("25"))),
        file("the clock wraps.ts", format!("{} -output_ts_offset 95442.7 -muxdelay 0", usual("25"))),
        file(
            "a gap in the sound.mkv",
            format!(
                "{} {} -af aselect='not(between(t,0.3,0.7))' {H264} -c:a pcm_s16le",
                card("25", 2.0),
                beep(48_000, 2.0)
            ),
        ),
        file(
            "a gap in the sound.ts",
            format!(
                "{} {} -af aselect='not(between(t,0.3,0.7))' {H264} -c:a mp2",
                card("25", 2.0),
                beep(48_000, 2.0)
            ),
        ),
        file("a second without sound.mp4", without_a_second(1_024.0, "-c:a aac")).frames(75).seconds(3.0),
        file("a second without sound.mkv", without_a_second(1_024.0, "-c:a aac")).frames(75).seconds(3.0),
        file("a second without sound.ts", without_a_second(1_152.0, "-c:a mp2")).frames(75).seconds(3.0),
        file("a second without sound, AAC.ts", without_a_second(1_024.0, "-c:a aac")).frames(75).seconds(3.0),
        file("sound ends early.mp4", format!("{} {} {H264} -c:a aac", card("25", 2.0), beep(48_000, 1.3))),
        file("picture ends early.mp4", format!("{} {} {H264} -c:a aac", card("25", 1.4), beep(48_000, 2.0)))
            .frames(35),
        made("ten hours.mp4", |folder, name| {
            let still = ffmpeg(
                folder,
                "still.mp4",
                &format!("-f lavfi -i color=c=0x3c6090:s=64x36:r=1/10:d=10 {H264}"),
            );
            // One picture every ten seconds, again and again.
            ffmpeg(folder, name, &format!("-stream_loop 3599 -i {} -c copy", still.display()))
        })
        .frames(3_600)
        .size(64, 36)
        .seconds(36_000.0)
        .other_colours()
        .mute()
        .with(&["--set", "transcode.span_ms=600000", "--set", "transcode.segment_ms=10000"]),
        made("thirteen hours.mp4", |folder, name| {
            let still =
                ffmpeg(folder, "another-still.mp4", &format!("-f lavfi -i color=s=64x36:r=1/10:d=10 {H264}"));
            ffmpeg(folder, name, &format!("-stream_loop 4679 -i {} -c copy", still.display()))
        })
        .refused("source_too_long"),
    ]
}
