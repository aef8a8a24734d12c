//! What comes out is what went in: every frame at its time, sound with its picture, keyframes together, no rung far
//! from the source. For a film clip and a lecture, by `lectern encode` and, encrypted, through the key server.

mod harness;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use harness::{
    LECTERN, Server, course_and_lesson, draw, installed, lesson, measure, person, run, settled, watch,
};
use hls_m3u8::MediaPlaylist;
use measure::{Decoded, Frame};
use serde_json::{Value, json};

const MULTIVARIANT: &str = "multivariant.m3u8";
/// Times are the same when they differ by less: rounding to a timescale, not a frame.
const SAME_S: f64 = 0.001;
/// A picture and its sound may be this far apart from how they are in the source.
const IN_SYNC_S: f64 = 0.02;
/// From where on speech and music are compared, seconds: start, middle, end.
const LISTEN_AT_S: [f64; 3] = [0.3, 14.0, 27.5];

#[test]
fn a_film_clip_keeps_its_frames_its_sync_and_its_quality() {
    let folder = tempfile::tempdir().unwrap();
    let clip = film_clip();
    let (out, renditions) = encode(&clip, folder.path());
    let (asked, made) = (decoded(&clip), decoded(&out.join(MULTIVARIANT)));
    frames_are_kept(&asked, &made, &[1080, 720, 480, 360]);
    sound_is_kept(&asked, &made);
    segments_begin_with_keyframes(&out, &renditions, &made);
    playlists_are_good(&out);
    for rendition in renditions {
        let name = rendition["name"].as_str().unwrap();
        let [width, height] = ["width", "height"].map(|side| rendition[side].as_u64().unwrap());
        let ssim = measure::ssim(&out.join(format!("{name}.m3u8")), &clip, width, height);
        println!("{name}: SSIM {ssim:.4}");
        assert!(ssim >= 0.95, "{name}: {ssim}");
    }
}

#[test]
fn a_lecture_keeps_its_frames_and_its_sync() {
    let folder = tempfile::tempdir().unwrap();
    let lecture = draw::lecture(folder.path(), "lecture.mp4");
    let (out, renditions) = encode(&lecture, folder.path());
    let (asked, made) = (decoded(&lecture), decoded(&out.join(MULTIVARIANT)));
    frames_are_kept(&asked, &made, &[720, 480, 360]);
    sound_is_kept(&asked, &made);
    beeps_sound_with_their_flashes(&asked, &made);
    segments_begin_with_keyframes(&out, &renditions, &made);
    playlists_are_good(&out);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_play_encrypted_through_the_key_server() {
    let folder = tempfile::tempdir().unwrap();
    // Quality is measured above; a quick preset gives as many frames.
    let server = Server::start(folder.path(), &[("LECTERN__TRANSCODE__PRESET", "ultrafast")]).await;
    let instructor = person(&server, "ines", "instructor").await;
    let learner = person(&server, "lee", "student").await;
    let (course, _) = course_and_lesson(&instructor).await;
    learner.post(&format!("/api/v1/enrollments/{course}"), json!({})).await.unwrap();
    let lecture = draw::lecture(folder.path(), "lecture.mp4");
    for (source, rungs) in [(&film_clip(), &[1080, 720, 480, 360][..]), (&lecture, &[720, 480, 360])] {
        let lesson = lesson(&instructor, &course, "Light").await;
        let asset = instructor.upload(&lesson, source, |_| {}).await.unwrap();
        let found = settled(&instructor, &asset, Duration::from_mins(5)).await;
        assert_eq!(found["state"], "ready", "{found}");
        let package = server.data.join("objects/packages").join(&asset);
        let package = std::fs::read_dir(package).unwrap().next().unwrap().unwrap().path();
        for rung in rungs {
            let text = std::fs::read_to_string(package.join(format!("{rung}p.m3u8"))).unwrap();
            assert!(text.contains("METHOD=AES-128"), "{text}");
        }
        playlists_are_good(&package);

        let url = watch::native_url(&learner, &lesson).await;
        let received = folder.path().join(&asset);
        std::fs::create_dir(&received).unwrap();
        for playlist in playlists(&package) {
            let name = playlist.file_name().unwrap().to_str().unwrap();
            let answer = reqwest::get(url.replace(MULTIVARIANT, name)).await.unwrap();
            assert_eq!(answer.status(), 200, "{name}");
            std::fs::write(received.join(name), answer.bytes().await.unwrap()).unwrap();
        }
        playlists_are_good(&received);
        let (asked, made) = (decoded(source), decoded(Path::new(&url)));
        frames_are_kept(&asked, &made, rungs);
        sound_is_kept(&asked, &made);
        if *source == lecture {
            beeps_sound_with_their_flashes(&asked, &made);
        }
    }
}

/// The measures above see sound that is late, by either of the two ways.
#[test]
fn late_sound_is_measured_as_late() {
    let folder = tempfile::tempdir().unwrap();
    let lecture = draw::lecture(folder.path(), "lecture.mp4");
    let path = lecture.display();
    let late = draw::ffmpeg(
        folder.path(),
        "late.mkv",
        &format!("-i {path} -itsoffset 0.040 -i {path} -map 0:v -map 1:a -c copy"),
    );
    let (asked, made) = (decoded(&lecture), decoded(&late));
    for at in LISTEN_AT_S {
        let shift = measure::shift(&asked.sound, &made.sound, at);
        assert!((shift - 0.04).abs() < 0.002, "{shift}");
    }
    for (asked, made) in beeps_after_flashes(&asked, 0).iter().zip(beeps_after_flashes(&made, 0)) {
        assert!((made - asked - 0.04).abs() < 0.002, "{made} s, {asked} s in the source");
    }
}

fn film_clip() -> PathBuf {
    run(installed("tests/clips/fetch.sh").to_str().unwrap(), &[]).trim().into()
}

fn decoded(address: &Path) -> Decoded {
    Decoded::new(address.to_str().unwrap())
}

/// `lectern encode` with the settings it has when nothing is said. The package's folder and what it says of each rung.
fn encode(source: &Path, folder: &Path) -> (PathBuf, Vec<Value>) {
    let out = folder.join("out");
    let made = run(LECTERN, &["encode", source.to_str().unwrap(), "--out", out.to_str().unwrap(), "--json"]);
    println!("{made}");
    let mut made: Value = serde_json::from_str(&made).unwrap();
    let Value::Array(renditions) = made["renditions"].take() else { panic!("{made}") };
    (out, renditions)
}

/// Each rung has the source's frames, each as long after the first as in the source; all rungs begin together and
/// have their keyframes together.
fn frames_are_kept(asked: &Decoded, made: &Decoded, rungs: &[u64]) {
    let asked = &asked.frames.values().next().unwrap();
    assert_eq!(made.frames.keys().collect::<BTreeSet<_>>(), rungs.iter().collect());
    let keyframes = |frames: &[Frame]| -> Vec<usize> {
        frames.iter().enumerate().filter(|(_, frame)| frame.key).map(|(at, _)| at).collect()
    };
    let best = &made.frames[&rungs[0]];
    println!("{} frames, keyframes {:?}", asked.len(), keyframes(best));
    for (height, frames) in &made.frames {
        assert_eq!(frames.len(), asked.len(), "frames of {height}p");
        for (at, (frame, asked_frame)) in frames.iter().zip(*asked).enumerate() {
            let (time, asked) = (frame.time - frames[0].time, asked_frame.time - asked[0].time);
            assert!(
                (time - asked).abs() < SAME_S,
                "{height}p: frame {at} is shown at {time} s, not {asked} s"
            );
        }
        assert_eq!(keyframes(frames), keyframes(best), "keyframes of {height}p");
        assert!((frames[0].time - best[0].time).abs() < SAME_S, "{height}p begins at another time");
    }
}

/// What is heard at start, middle and end is as late as what is seen, compared with the source.
fn sound_is_kept(asked: &Decoded, made: &Decoded) {
    let begins = |decoded: &Decoded| decoded.frames.values().next().unwrap()[0].time;
    // Rungs begin together and keep the source's distances, so that one frame's shift is everyone's.
    let picture = begins(made) - begins(asked);
    for at in LISTEN_AT_S {
        let offset = measure::shift(&asked.sound, &made.sound, at) - picture;
        println!("at {at} s the sound is {:.2} ms late", offset * 1e3);
        assert!(offset.abs() < IN_SYNC_S, "at {at} s the sound is {offset} s late");
    }
}

/// How long after each flash of a video stream its beep begins, seconds.
fn beeps_after_flashes(decoded: &Decoded, stream: usize) -> Vec<f64> {
    let flashes = measure::flashes(&decoded.address, stream);
    assert_eq!(flashes.len(), draw::FLASHES.len(), "{flashes:?}");
    flashes.into_iter().map(|flash| measure::onset(&decoded.sound, flash) - flash).collect()
}

/// Each flash is as far from its beep as in the source, in every rung.
fn beeps_sound_with_their_flashes(asked: &Decoded, made: &Decoded) {
    let expected = beeps_after_flashes(asked, 0);
    for stream in 0..made.frames.len() {
        let found = beeps_after_flashes(made, stream);
        println!("beeps after their flashes, s: {expected:?} in the source, {found:?} in stream {stream}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < IN_SYNC_S, "stream {stream}: {found} s, not {expected} s");
        }
    }
}

fn playlists(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "m3u8")).collect()
}

/// Parsers of others, one of them strict, take every playlist in a folder.
fn playlists_are_good(folder: &Path) {
    installed("tests/players/node_modules/hls-parser");
    let playlists = playlists(folder);
    assert!(
        playlists.iter().any(|path| path.ends_with(MULTIVARIANT)) && playlists.len() > 2,
        "{playlists:?}"
    );
    let checker = installed("tests/players/check-playlist.mjs");
    let arguments = std::iter::once(&checker).chain(&playlists).map(|path| path.to_str().unwrap());
    run("node", &arguments.collect::<Vec<_>>());
}

/// Each segment of the playlists begins with a keyframe, at the same time in every rung.
fn segments_begin_with_keyframes(package: &Path, renditions: &[Value], made: &Decoded) {
    let mut grids: BTreeMap<Vec<u64>, &str> = BTreeMap::new();
    for rendition in renditions {
        let name = rendition["name"].as_str().unwrap();
        let text = std::fs::read_to_string(package.join(format!("{name}.m3u8"))).unwrap();
        let playlist = MediaPlaylist::try_from(text.as_str()).unwrap();
        let frames = &made.frames[&rendition["height"].as_u64().unwrap()];
        let mut grid = Vec::new();
        let mut start = frames[0].time;
        for segment in playlist.segments.values() {
            let first = frames.iter().find(|frame| frame.time > start - SAME_S).unwrap();
            assert!(first.key && first.time < start + SAME_S, "{name}: at {start} s comes {first:?}");
            grid.push((start * 1e3).round() as u64);
            start += segment.duration.duration().as_secs_f64();
        }
        grids.insert(grid, name);
    }
    assert_eq!(grids.len(), 1, "segments begin at the same times in every rung: {grids:?}");
}
