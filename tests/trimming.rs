//! A recording of which a part is the lesson, through the real server: what learners get begins at the in point and ends at the out
//! point, picture, sound, chapters, captions and stills alike, by ffmpeg and by what the API says.

mod harness;

use std::{path::Path, path::PathBuf, process::Command, time::Duration};

use harness::{
    LECTERN, Server, course_and_lesson, draw::ffmpeg, eventually, measure, person, run, settled, watch,
};
use serde_json::{Value, json};

/// Colours of the slides as red, green and blue; the second comes at 15 s, the third at 27 s.
const SLIDES: [[u8; 3]; 3] = [[0x1f, 0x3a, 0x5f], [0x2e, 0x5e, 0x4e], [0x8a, 0x3b, 0x2a]];
/// Milliseconds of the recording.
const IN: u64 = 4_010;
const OUT: u64 = 36_500;

/// Forty seconds of slides, a beep with each new one, texts.
fn recording(folder: &Path) -> PathBuf {
    let words = folder.join("words.srt");
    std::fs::write(
        &words,
        "1\n00:00:01,000 --> 00:00:02,000\nbefore\n\n2\n00:00:03,000 --> 00:00:05,000\nacross the in point\n\n\
         3\n00:00:20,000 --> 00:00:21,000\nwithin\n\n4\n00:00:36,000 --> 00:00:39,000\nacross the out point\n\n\
         5\n00:00:39,200 --> 00:00:39,900\nafter\n",
    )
    .unwrap();
    let colour = |slide: usize| hex::encode(SLIDES[slide]);
    let arguments = format!(
        "-f lavfi -i color=0x{}:s=640x360:r=25,drawbox=color=0x{}:t=fill:enable='between(t,15,26.99)',\
         drawbox=color=0x{}:t=fill:enable='gte(t,27)',\
         drawtext=text='Slide%{{pts\\:hms}}':fontsize=24:fontcolor=white:x=40:y=40 \
         -f lavfi -i aevalsrc='0.8*sin(2*PI*1000*t)*(between(t,15,15.1)+between(t,27,27.1))':s=48000 -i {} \
         -map 0:v -map 1:a -map 2:s -t 40 -c:v libx264 -preset ultrafast -bf 2 -g 250 -pix_fmt yuv420p -colorspace bt709 \
         -color_primaries bt709 -color_trc bt709 -vf scale=out_color_matrix=bt709 -c:a aac -c:s mov_text \
         -metadata:s:s:0 language=eng",
        colour(0),
        colour(1),
        colour(2),
        words.display()
    );
    ffmpeg(folder, "recording.mp4", &arguments)
}

/// When each picture begins and the colour of its middle, by ffmpeg.
fn middles(address: &str) -> Vec<(f64, [u8; 3])> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-allowed_extensions", "ALL", "-i", address, "-map", "0:v:0"])
        .args(["-vf", "crop=2:2:iw/2:ih/2,scale=1:1:in_color_matrix=bt709", "-vsync", "passthrough"])
        .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .output()
        .unwrap();
    let frames = measure::Decoded::new(address).frames.remove(&360).unwrap();
    let (colours, _) = output.stdout.as_chunks();
    assert_eq!(colours.len(), frames.len());
    frames.iter().map(|frame| frame.time).zip(colours.iter().copied()).collect()
}

/// When the first picture with a slide's colour comes, seconds. From there on all have it until another one's comes.
fn comes(middles: &[(f64, [u8; 3])], slide: usize) -> f64 {
    let shown = |colour: &[u8; 3]| is_slide(colour, slide);
    let first = middles.iter().position(|(_, colour)| shown(colour)).unwrap();
    let after = middles.iter().rposition(|(_, colour)| shown(colour)).unwrap();
    assert!(middles[first..=after].iter().all(|(_, colour)| shown(colour)), "{middles:?}");
    middles[first].0
}

fn is_slide(pixel: &[u8], slide: usize) -> bool {
    pixel.iter().zip(SLIDES[slide]).all(|(got, expected)| got.abs_diff(expected) <= 12)
}

#[tokio::test(flavor = "multi_thread")]
async fn learners_get_the_part_between_the_points() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[("LECTERN__TRANSCODE__SPAN_MS", "8000")]).await;
    let instructor = person(&server, "ines", "instructor").await;
    let learner = person(&server, "lee", "student").await;
    let (course, lesson) = course_and_lesson(&instructor).await;
    learner.post(&format!("/api/v1/enrollments/{course}"), json!({})).await.unwrap();
    let file = recording(folder.path());
    for (points, says) in [
        ([("trim_in_ms", "-1"), ("trim_out_ms", "")], "trim_in_ms: expected whole milliseconds"),
        ([("trim_in_ms", "5000"), ("trim_out_ms", "4000")], "trim_out_ms: expected at least 1000 ms"),
    ] {
        let refused = instructor.upload_with(&lesson, &file, &points, |_| {}).await.unwrap_err().to_string();
        assert!(refused.contains("invalid_request") && refused.contains(says), "{refused}");
    }
    let points = [("trim_in_ms", IN.to_string()), ("trim_out_ms", OUT.to_string())];
    let points: Vec<(&str, &str)> = points.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let asset = instructor.upload_with(&lesson, &file, &points, |_| {}).await.unwrap();
    let found = settled(&instructor, &asset, Duration::from_mins(2)).await;
    assert_eq!(found["state"], "ready", "{found}");
    assert_eq!(found["trim"], json!({ "in_ms": IN, "out_ms": OUT }));
    let length = OUT - IN;
    // Sound comes in units of 21 ms.
    let duration_ms = found["duration_ms"].as_u64().unwrap();
    assert!((length..length + 25).contains(&duration_ms), "{found}");

    let url = watch::native_url(&learner, &lesson).await;
    let decoded = measure::Decoded::new(&url);
    for (height, frames) in &decoded.frames {
        assert!(frames[0].time.abs() < 0.001, "{height}: begins at {}", frames[0].time);
        let last = frames.last().unwrap().time;
        assert!(last < length as f64 / 1e3 && last > length as f64 / 1e3 - 0.2, "{height}: ends at {last}");
    }
    let middles = middles(&url);
    assert!(comes(&middles, 0).abs() < 0.001);
    let changes = [15_000 - IN, 27_000 - IN];
    for (slide, at) in changes.iter().enumerate() {
        let at = *at as f64 / 1e3;
        let seen = comes(&middles, slide + 1);
        assert!((seen - at).abs() < 0.002, "slide {} comes at {seen} s, not at {at} s", slide + 1);
        let heard = measure::onset_within(&decoded.sound, at, 0.3);
        assert!((heard - at).abs() < 0.020, "the beep of the change at {at} s is heard at {heard} s");
    }
    assert!(measure::end(&decoded.sound) < length as f64 / 1e3 + 0.025);

    let chapters = learner.get(&format!("/api/v1/assets/{asset}/chapters")).await.unwrap();
    let starts: Vec<u64> =
        chapters["items"].as_array().unwrap().iter().map(|one| one["start_ms"].as_u64().unwrap()).collect();
    assert_eq!(starts, [0, changes[0], changes[1]], "{chapters}");
    let path = format!("/api/v1/lessons/{lesson}/playback");
    let playback = learner.post(&path, json!({})).await.unwrap();
    assert_eq!(playback["duration_ms"], found["duration_ms"]);
    let storyboard =
        reqwest::get(learner.absolute(playback["storyboard_url"].as_str().unwrap())).await.unwrap();
    let storyboard = storyboard.text().await.unwrap();
    let tiles = storyboard.lines().filter(|line| line.starts_with("storyboard.jpg#")).count();
    assert_eq!(tiles, 17, "one every two seconds of the part: {storyboard}");

    // Texts of the source move with it, and uploaded ones count from the in point.
    let captions = format!("/api/v1/assets/{asset}/captions");
    let put = reqwest::Client::new().put(instructor.absolute(&format!("{captions}/de")));
    let put = put.bearer_auth(instructor.access_token()).body("WEBVTT\n\n00:00.500 --> 00:01.500\nHallo\n");
    assert_eq!(put.send().await.unwrap().status(), 201);
    eventually("the captions are published", Duration::from_secs(20), async || {
        instructor.get(&captions).await.unwrap()["published"] == true
    })
    .await;
    let text = async |language: &str| {
        let get = reqwest::Client::new().get(instructor.absolute(&format!("{captions}/{language}")));
        get.bearer_auth(instructor.access_token()).send().await.unwrap().text().await.unwrap()
    };
    let english = text("en").await;
    for cue in [
        "00:00:00.000 --> 00:00:00.990\nacross the in point",
        "00:00:15.990 --> 00:00:16.990\nwithin",
        "00:00:31.990 --> 00:00:32.490\nacross the out point",
    ] {
        assert!(english.contains(cue), "{cue:?} in {english}");
    }
    assert!(!english.contains("before") && !english.contains("after"), "{english}");
    assert!(text("de").await.contains("00:00:00.500 --> 00:00:01.500\nHallo"));

    an_in_point_after_the_end_is_corrected(&instructor, &course, &file).await;
}

async fn an_in_point_after_the_end_is_corrected(instructor: &harness::Client, course: &str, file: &Path) {
    let lesson = harness::lesson(instructor, course, "The end").await;
    let asset = instructor.upload_with(&lesson, file, &[("trim_in_ms", "40000")], |_| {}).await.unwrap();
    let failed = settled(instructor, &asset, Duration::from_mins(1)).await;
    assert_eq!(failed["state"], "failed", "{failed}");
    assert_eq!(failed["failure"]["code"], "trim_outside_source", "{failed}");
    assert_eq!(failed["failure"]["retryable"], true, "{failed}");
    let put = reqwest::Client::new().put(instructor.absolute(&format!("/api/v1/assets/{asset}/trim")));
    let put = put.bearer_auth(instructor.access_token()).json(&json!({ "in_ms": 30_000, "out_ms": 90_000 }));
    assert_eq!(put.send().await.unwrap().status(), 200);
    instructor.post(&format!("/api/v1/assets/{asset}/retry"), json!({})).await.unwrap();
    let ready = settled(instructor, &asset, Duration::from_mins(1)).await;
    assert_eq!(ready["state"], "ready", "{ready}");
    // An out point after the end is the end.
    assert!((10_000..10_050).contains(&ready["duration_ms"].as_u64().unwrap()), "{ready}");
}

#[test]
fn the_command_line_takes_points() {
    let folder = tempfile::tempdir().unwrap();
    let file = recording(folder.path());
    let out = folder.path().join("out");
    let (file, into) = (file.to_str().unwrap(), out.to_str().unwrap());
    let points = ["--trim-in", "4010", "--trim-out", "16500"];
    let all = [&["encode", file, "--out", into, "--json"][..], &points].concat();
    let made: Value = serde_json::from_str(&run(LECTERN, &all)).unwrap();
    assert!((12_490..12_515).contains(&made["duration_ms"].as_u64().unwrap()), "{made}");
    let middles = middles(out.join("multivariant.m3u8").to_str().unwrap());
    assert!(comes(&middles, 0).abs() < 0.001 && (comes(&middles, 1) - 10.99).abs() < 0.002, "{middles:?}");

    let other = folder.path().join("other");
    for (points, says) in [
        (
            ["--trim-in", "5000", "--trim-out", "5500"],
            "--trim-out: expected at least 1000 ms after the in point",
        ),
        (["--trim-in", "39500", "--trim-out", "3600000"], "trim_outside_source"),
        (["--trim-in", "0", "--trim-out", "604800001"], "--trim-out: expected whole milliseconds"),
        (["--trim-in", "-5", "--trim-out", "5500"], "--trim-in"),
    ] {
        let output = Command::new(LECTERN)
            .args(["encode", file, "--out", other.to_str().unwrap()])
            .args(points)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(says), "{points:?}: {said}");
        assert!(!other.exists(), "{points:?} left something");
    }
}
