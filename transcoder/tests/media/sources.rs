//! What people upload: every frame comes out once, at its time, in every rung.

use std::path::PathBuf;

use lectern_domain::{
    plan::PlanSettings,
    source::{Orientation, Ratio},
};

use crate::{
    child::{Made, make, probe},
    fixtures::{H264, ffmpeg, picture, plain, tone},
    oracle,
};

/// The rule for every source with a picture: each frame that `FFmpeg` decodes from the source comes out once, in every
/// rung, at its time. Where the timeline begins is a matter of the container, up to a few frames; `sync` measures it.
fn check(what: &str, source: &std::path::Path, made: &Made) {
    let expected: Vec<f64> = oracle::frames(source).iter().map(|frame| frame.seconds).collect();
    let mut keys = None;
    for rung in made.rungs() {
        let path = made.join(&rung);
        let frames = oracle::frames(&path);
        assert_eq!(frames.len(), expected.len(), "{what} {rung}: number of frames");
        let begins = frames[0].seconds;
        assert!(begins < 0.1, "{what} {rung}: begins at {begins}");
        for (at, (frame, source)) in frames.iter().zip(&expected).enumerate() {
            let wanted = source - expected[0] + begins;
            assert!(
                (frame.seconds - wanted).abs() < 0.0012,
                "{what} {rung}: frame {at} at {} instead of {wanted}",
                frame.seconds
            );
        }
        assert_eq!(oracle::complaints(&path), "", "{what} {rung}");
        assert_eq!(oracle::field(&path, "v", "profile"), "High");
        assert_eq!(oracle::field(&path, "v", "color_space"), "bt709");
        let at: Vec<f64> = frames.iter().filter(|frame| frame.key).map(|frame| frame.seconds).collect();
        let keys = keys.get_or_insert_with(|| at.clone());
        assert_eq!(*keys, at, "{what} {rung}: keyframes differ between rungs");
        assert_eq!(at.len(), made.grid(&rung).len(), "{what} {rung}: one keyframe for each segment");
        assert_eq!(
            made.grid(&rung),
            made.grid(&made.rungs()[0]),
            "{what} {rung}: segments differ between rungs"
        );
    }
}

fn small(rate: u32, seconds: f64) -> String {
    picture("320x180", rate, seconds)
}

#[test]
fn formats_keep_their_cadence() {
    let quick = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8";
    let vfr = "-vf select='not(mod(n,3))+gt(n,90)' -vsync vfr";
    let table: Vec<(&str, PathBuf)> = vec![
        ("H.264 and AAC in MP4", plain()),
        ("no sound", ffmpeg(&format!("{} {H264}", small(25, 4.0)), "mp4")),
        ("one frame", ffmpeg(&format!("{} {H264}", small(25, 0.04)), "mp4")),
        ("a fifth of a second", ffmpeg(&format!("{} {} {H264} -c:a aac", small(25, 0.2), tone(0.2)), "mp4")),
        (
            "17×13",
            ffmpeg(
                &format!(
                    "{} -vf crop=17:13,noise=alls=90:allf=t -c:v libx264 -pix_fmt yuv444p",
                    picture("34x26", 25, 1.0)
                ),
                "mp4",
            ),
        ),
        ("8000×100", ffmpeg(&format!("{} {H264}", picture("8000x100", 10, 0.5)), "mp4")),
        ("variable frame rate", ffmpeg(&format!("{} {vfr} {H264}", small(30, 6.0)), "mp4")),
        (
            "29.97",
            ffmpeg(&format!("-f lavfi -i testsrc2=size=320x180:rate=30000/1001:duration=5 {H264}"), "mp4"),
        ),
        ("10-bit 4:2:2", ffmpeg(&format!("{} -c:v libx264 -pix_fmt yuv422p10le", small(25, 1.0)), "mp4")),
        (
            "VP9 and Opus in WebM",
            ffmpeg(&format!("{} {} {quick} -c:a libopus", small(30, 5.0), tone(5.0)), "webm"),
        ),
        ("H.264 and AAC in MKV", ffmpeg(&format!("{} {} {H264} -c:a aac", small(30, 5.0), tone(5.0)), "mkv")),
        ("MPEG-TS", ffmpeg(&format!("{} {} {H264} -c:a aac", small(25, 5.0), tone(5.0)), "ts")),
        ("ProRes", ffmpeg(&format!("{} -c:v prores_ks", small(25, 1.0)), "mov")),
        (
            "MPEG-4 and MP3 in AVI",
            ffmpeg(&format!("{} {} -c:v mpeg4 -c:a libmp3lame", small(25, 5.0), tone(5.0)), "avi"),
        ),
    ];
    for (what, source) in table {
        let made = make(&source, &PlanSettings::default()).unwrap_or_else(|code| panic!("{what}: {code:?}"));
        check(what, &source, &made);
    }
}

#[test]
fn sound_alone_works() {
    for (extension, codec) in
        [("m4a", "aac"), ("mp3", "libmp3lame"), ("wav", "pcm_s16le"), ("flac", "flac"), ("ogg", "libvorbis")]
    {
        let source = ffmpeg(&format!("{} -c:a {codec}", tone(5.0)), extension);
        let made =
            make(&source, &PlanSettings::default()).unwrap_or_else(|code| panic!("{extension}: {code:?}"));
        assert_eq!(made.names(), ["audio-0"]);
        let seconds = oracle::samples(&made.join("audio-0")).len() as f64 / 48_000.0;
        assert!((seconds - 5.0).abs() < 0.08, "{extension}: {seconds} s");
        assert_eq!(oracle::field(&made.join("audio-0"), "a", "codec_name"), "aac");
    }
}

#[test]
fn surround_becomes_stereo() {
    // One tone a channel: left, centre, effects.
    let tone = |hertz: u32| format!("0.4*sin(2*PI*{hertz}*t)");
    let (left, centre, effects) = (tone(440), tone(1_000), tone(60));
    let sound = format!("aevalsrc={left}|0|{centre}|{effects}|0|0:c=5.1:s=48000:d=4");
    let source = ffmpeg(&format!("-f lavfi -i {sound} {} -c:a aac -b:a 384k {H264}", small(25, 4.0)), "mp4");
    let made = make(&source, &PlanSettings::default()).unwrap();
    assert_eq!(made.info.audio[0].channels, 6);
    let path = made.join("audio-0");
    assert_eq!(oracle::field(&path, "a", "channels"), "2");
    let samples = oracle::stereo(&path);
    let amplitude = |side: usize, hertz: f64| {
        let channel = samples.iter().skip(2 * 48_000 + side).step_by(2).take(48_000);
        let (re, im) = channel.enumerate().fold((0.0, 0.0), |(re, im), (at, sample)| {
            let angle = std::f64::consts::TAU * hertz * at as f64 / 48_000.0;
            (re + f64::from(*sample) * angle.cos(), im + f64::from(*sample) * angle.sin())
        });
        2.0 * f64::hypot(re, im) / 48_000.0
    };
    // ITU-R BS.775 weights, together 1 on each side.
    let full = 0.4 / (1.0 + 2.0_f64.sqrt());
    for (side, hertz, expected) in [
        (0, 440.0, full),
        (1, 440.0, 0.0),
        (0, 1_000.0, full / 2.0_f64.sqrt()),
        (1, 1_000.0, full / 2.0_f64.sqrt()),
        (0, 60.0, 0.0),
        (1, 60.0, 0.0),
    ] {
        let got = amplitude(side, hertz);
        assert!((got - expected).abs() < 0.01, "side {side}, {hertz} Hz: {got}, expected {expected}");
    }
}

#[test]
fn pictures_are_shown_upright() {
    let upright = ffmpeg(&format!("{} {H264}", picture("320x240", 25, 1.0)), "mp4");
    for (degrees, size) in [("90", "240,320"), ("180", "320,240"), ("270", "240,320")] {
        let source =
            ffmpeg(&format!("-i {} -c copy -metadata:s:v rotate={degrees}", upright.display()), "mp4");
        let made = make(&source, &PlanSettings::default()).unwrap();
        assert_ne!(made.info.video.as_ref().unwrap().orientation, Orientation::Upright);
        let path = made.join(&made.rungs()[0]);
        assert_eq!(oracle::field(&path, "v", "width,height"), size);
        // FFmpeg turns the source by itself; ours must look the same.
        let alike = oracle::ssim(&path, &source, "scale=in_color_matrix=bt601:out_color_matrix=bt709");
        assert!(alike > 0.93, "{degrees}°: {alike}");
        check(degrees, &source, &made);
    }
}

#[test]
fn interlaced_becomes_progressive_frame_by_frame() {
    let fields =
        "-vf tinterlace=interleave_top,setfield=tff -flags +ilme+ildct -c:v libx264 -x264-params tff=1";
    let source = ffmpeg(&format!("{} {fields} -pix_fmt yuv420p", picture("360x288", 50, 3.0)), "mp4");
    let made = make(&source, &PlanSettings::default()).unwrap();
    assert!(made.info.video.as_ref().unwrap().interlaced);
    check("interlaced", &source, &made);
    let alike = oracle::ssim(
        &made.join(&made.rungs()[0]),
        &source,
        "yadif,scale=in_color_matrix=bt601:out_color_matrix=bt709",
    );
    assert!(alike > 0.9, "{alike}");
}

#[test]
fn anamorphic_pictures_get_square_pixels() {
    let source = ffmpeg(&format!("{} -vf setsar=16/11 {H264}", picture("352x288", 25, 0.4)), "mp4");
    let made = make(&source, &PlanSettings::default()).unwrap();
    assert_eq!(made.info.video.as_ref().unwrap().pixel_aspect, Ratio::new(16, 11));
    let path = made.join(&made.rungs()[0]);
    assert_eq!(oracle::field(&path, "v", "width,height,sample_aspect_ratio"), "512,288,1:1");
}

#[test]
fn facts_of_a_film() {
    let info = probe(&ffmpeg(
        &format!(
            "{} {} {} {H264} -g 30 -c:a aac -map 0:v -map 1:a -map 2:a -metadata:s:a:0 language=deu \
             -metadata:s:a:1 language=fra",
            picture("1280x720", 30, 2.0),
            tone(2.0),
            tone(2.0)
        ),
        "mp4",
    ))
    .unwrap();
    let video = info.video.unwrap();
    assert_eq!((info.container.as_str(), info.seekable, info.start_ns), ("video/quicktime", true, 0));
    assert_eq!(info.duration_ns, Some(2_000_000_000));
    assert_eq!(
        (video.codec.as_str(), video.width, video.height, video.bit_depth),
        ("video/x-h264", 1280, 720, 8)
    );
    assert_eq!(video.frame_rate, Ratio::new(30, 1));
    assert!(!video.interlaced && !video.hdr);
    let languages: Vec<Option<&str>> = info.audio.iter().map(|track| track.language.as_deref()).collect();
    assert_eq!(languages, [Some("de"), Some("fr")]);
    assert!(info.audio.iter().all(|track| track.sample_rate == 44_100 && track.channels == 1));
}

#[test]
fn every_rung_looks_like_the_source() {
    let source = ffmpeg(
        "-f lavfi -i mandelbrot=size=1280x720:rate=24:end_scale=0.2 -t 3 -c:v libx264 -preset ultrafast -crf 12 -pix_fmt yuv420p",
        "mp4",
    );
    let made = make(&source, &PlanSettings::default()).unwrap();
    assert_eq!(made.rungs(), ["720p", "480p", "360p"]);
    for rung in &made.plan.video.as_ref().unwrap().rungs {
        let alike =
            oracle::ssim(&made.join(&rung.name), &source, &format!("scale={}:{}", rung.width, rung.height));
        assert!(alike >= 0.95, "{}: {alike}", rung.name);
    }
}
