//! A whole package on disk: checked, judged by playlist parsers, decrypted and decoded by ffmpeg to the same frames.

use std::{fs, path::Path};

use lectern_domain::{
    Timestamp,
    ids::Kid,
    keys::{AssetSecret, ContentKey, KeyName},
    media::TranscodeOutput,
};
use lectern_packager::{
    aes128,
    check::{CheckError, check_segment},
    cmaf::InitSegment,
    layout::{PackageKeys, PackageLayout, TrackLayout},
    manifests::{Manifests, key_uri},
};
use tempfile::TempDir;

use crate::clip::{Clip, run};

/// A package in a folder, with what it was made from.
struct Package {
    dir: TempDir,
    clips: Vec<Clip>,
    layout: PackageLayout,
    inits: Vec<InitSegment>,
    manifests: Manifests,
}

fn content_key(name: &KeyName) -> ContentKey {
    AssetSecret::from_bytes([7; 32]).content_key(name.kid, name.period, name.class)
}

fn kid(n: u8) -> Kid {
    Kid::generate(Timestamp::UNIX_EPOCH, &[n; 10])
}

/// The reports of jobs that each made two segments of every rung, and of one that made the audio.
fn reports(clips: &[Clip]) -> Vec<TranscodeOutput> {
    let whole: Vec<_> = clips.iter().map(Clip::report).collect();
    let (audio, video): (Vec<_>, Vec<_>) =
        whole.into_iter().partition(|track| track.name.starts_with("audio"));
    let spans = video.iter().map(|track| track.segments.len().div_ceil(2)).max().unwrap_or(0);
    let mut reports: Vec<TranscodeOutput> = (0..spans)
        .map(|span| {
            let mut tracks = video.clone();
            for track in &mut tracks {
                track.segments = track.segments.drain(..).skip(span * 2).take(2).collect();
            }
            TranscodeOutput { tracks }
        })
        .collect();
    reports.extend(audio.into_iter().map(|track| TranscodeOutput { tracks: vec![track] }));
    reports
}

/// What the package job will do, on a folder.
fn package(clips: Vec<Clip>, keys: Option<PackageKeys>) -> Package {
    let layout = PackageLayout::new(&reports(&clips), keys).expect("good reports");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut inits = Vec::new();
    for track in &layout.tracks {
        let clip = clips.iter().find(|clip| clip.name == track.name).expect("the clip");
        fs::create_dir(dir.path().join(&track.name)).expect("a folder");
        let init = InitSegment::read(&clip.init()).expect("init segment");
        fs::write(dir.path().join(&track.init), clip.init()).expect("written");
        let key = track.key.map(|name| content_key(&name));
        let mut previous = None;
        for segment in &track.segments {
            let mut bytes = fs::read(clip.path(&segment.source.file)).expect("clear segment");
            if let Some(key) = &key {
                let iv = aes128::segment_iv(key, &track.name, segment.index);
                aes128::encrypt_in_place(key, &iv, &mut bytes);
            }
            fs::write(dir.path().join(&segment.object), &bytes).expect("written");
            let checked = check_segment(track, segment, &init, key.as_ref(), previous.as_ref(), &mut bytes);
            previous = Some(checked.expect("a segment to publish"));
        }
        inits.push(init);
    }
    let manifests = layout.manifests(&inits, content_key).expect("good inits");
    for (name, text) in &manifests.playlists {
        fs::write(dir.path().join(name), text).expect("written");
    }
    Package { dir, clips, layout, inits, manifests }
}

fn film() -> Package {
    let clips = vec![Clip::video("180p", "320x180"), Clip::video("90p", "160x90"), Clip::audio("audio-0")];
    package(clips, Some(PackageKeys::new(kid(1), kid(2))))
}

/// Puts keys next to the playlists and points the playlists at them.
fn serve_keys(package: &Package, keys: &[(Kid, ContentKey)]) {
    for (name, text) in &package.manifests.playlists {
        let local = keys
            .iter()
            .fold(text.clone(), |text, (kid, _)| text.replace(&key_uri(*kid), &format!("{kid}.key")));
        fs::write(package.dir.path().join(name), local).expect("written");
    }
    for (kid, key) in keys {
        fs::write(package.dir.path().join(format!("{kid}.key")), key.expose()).expect("written");
    }
}

fn right_keys(package: &Package) -> Vec<(Kid, ContentKey)> {
    package
        .layout
        .tracks
        .iter()
        .filter_map(|track| track.key)
        .map(|name| (name.kid, content_key(&name)))
        .collect()
}

/// MD5 of every decoded frame of one kind of stream, in order.
fn frames(dir: &Path, playlist: &str, stream: &str) -> Result<Vec<String>, String> {
    let args =
        ["-v", "error", "-xerror", "-allowed_extensions", "ALL", "-protocol_whitelist", "file,crypto,data"];
    let out = ["-i", playlist, "-map", stream, "-f", "framemd5", "-"];
    let text = run("ffmpeg", &[&args[..], &out].concat(), dir)?;
    // Times are relative to the stream that begins first, which a rendition alone does not know: hashes only.
    let frames = text.lines().filter(|line| !line.starts_with('#'));
    Ok(frames.filter_map(|line| line.rsplit(", ").next()).map(str::to_owned).collect())
}

/// Holds playlists against parsers of others; fails where they are not installed.
fn judge(dir: &Path, files: &[&str]) {
    let players = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/players");
    assert!(
        players.join("node_modules").exists(),
        "tests/players/node_modules is missing: run `make test`, which installs it"
    );
    let script = players.join("check-playlist.mjs");
    let args: Vec<&str> =
        [script.to_str().expect("UTF-8")].into_iter().chain(files.iter().copied()).collect();
    run("node", &args, dir).expect("good playlists");
}

fn playlists(package: &Package) -> Vec<&str> {
    package.manifests.playlists.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn every_rendition_plays_to_the_frames_of_the_source() {
    let package = film();
    judge(package.dir.path(), &playlists(&package));
    serve_keys(&package, &right_keys(&package));
    for clip in &package.clips {
        let stream = if clip.name.starts_with("audio") { "0:a" } else { "0:v" };
        let clear = frames(clip.dir.path(), "clear.m3u8", stream).expect("ffmpeg plays the source");
        assert!(clear.len() > 100);
        let played = frames(package.dir.path(), &format!("{}.m3u8", clip.name), stream);
        assert!(played.expect("ffmpeg plays the package") == clear, "{} has other frames", clip.name);
    }
    // Through the multivariant playlist: the best variant is the first program.
    let clear = frames(package.clips[0].dir.path(), "clear.m3u8", "0:v").expect("ffmpeg plays the source");
    let played = frames(package.dir.path(), "multivariant.m3u8", "0:v:0").expect("ffmpeg plays the package");
    assert!(played == clear, "other frames");
    let clear = frames(package.clips[2].dir.path(), "clear.m3u8", "0:a").expect("ffmpeg plays the source");
    // Beside the picture, and as the variant for whoever only listens.
    for stream in ["0:a:0", "0:a:1"] {
        let played =
            frames(package.dir.path(), "multivariant.m3u8", stream).expect("ffmpeg plays the package");
        assert!(played == clear, "{stream} has other frames");
    }
}

#[test]
fn nothing_is_readable_without_the_right_key() {
    let package = film();
    // Video opened with the audio key and the other way round.
    let mut swapped = right_keys(&package);
    let audio = swapped.last().expect("keys").1.clone();
    let video = swapped[0].1.clone();
    swapped = vec![(kid(1), audio.clone()), (kid(2), video)];
    serve_keys(&package, &swapped);
    for clip in &package.clips {
        let stream = if clip.name.starts_with("audio") { "0:a" } else { "0:v" };
        let played = frames(package.dir.path(), &format!("{}.m3u8", clip.name), stream);
        assert!(played.as_ref().map_or(true, Vec::is_empty), "{} plays: {played:?}", clip.name);
    }
    for (track, init) in package.layout.tracks.iter().zip(&package.inits) {
        for segment in &track.segments {
            let object = fs::read(package.dir.path().join(&segment.object)).expect("object");
            // Not one box is recognisable, and no two segments begin alike.
            assert!(!object.windows(4).any(|kind| kind == b"moof" || kind == b"mdat"));
            let wrong = check_segment(
                track,
                segment,
                init,
                Some(&ContentKey::from_bytes([0; 16])),
                None,
                &mut object.clone(),
            );
            assert!(wrong.is_err());
        }
    }
    let mut starts: Vec<Vec<u8>> = package
        .layout
        .tracks
        .iter()
        .flat_map(|track| &track.segments)
        .map(|segment| fs::read(package.dir.path().join(&segment.object)).expect("object")[..16].to_vec())
        .collect();
    let all = starts.len();
    starts.sort();
    starts.dedup();
    assert_eq!(starts.len(), all);
}

#[test]
fn the_check_finds_each_way_to_be_wrong() {
    let package = film();
    let (track, init) = (&package.layout.tracks[0], &package.inits[0]);
    let key = content_key(&track.key.expect("encrypted"));
    let object = |at: usize| fs::read(package.dir.path().join(&track.segments[at].object)).expect("object");
    let check = |track: &TrackLayout, at: usize, key: Option<&ContentKey>, mut bytes: Vec<u8>| {
        check_segment(track, &track.segments[at], init, key, None, &mut bytes)
    };
    let first = check(track, 0, Some(&key), object(0)).expect("good");
    let differs = |result: Result<_, CheckError>, expected: &str| match result {
        Err(CheckError::Differs { what, .. }) => assert_eq!(what, expected),
        other => panic!("expected another {expected}, got {other:?}"),
    };
    differs(check(track, 0, Some(&key), object(0)[16..].to_vec()), "object bytes");
    differs(check(track, 0, None, object(0)), "encryption");
    // A segment in the place of another, as large: it decrypts under no other IV into the right boxes.
    let mut elsewhere = track.clone();
    elsewhere.segments[1].object_bytes = track.segments[0].object_bytes;
    elsewhere.segments[1].clear_bytes = track.segments[0].clear_bytes;
    assert!(check(&elsewhere, 1, Some(&key), object(0)).is_err());
    // A cipher text changed in one bit of its first block.
    let mut bent = object(0);
    bent[0] ^= 1;
    assert!(check(track, 0, Some(&key), bent).is_err());
    let change = |change: fn(&mut TrackLayout), expected: &str| {
        let mut other = track.clone();
        change(&mut other);
        differs(check(&other, 0, Some(&key), object(0)), expected);
    };
    change(|track| track.segments[0].clear_bytes -= 1, "clear bytes");
    change(|track| track.segments[0].samples += 1, "samples");
    change(|track| track.segments[0].start_ticks += 512, "start in ticks");
    change(|track| track.segments[0].duration_ticks -= 512, "duration in ticks");
    let after_itself =
        check_segment(track, &track.segments[0], init, Some(&key), Some(&first), &mut object(0));
    differs(after_itself, "decode time in ticks");
    assert!(check_segment(track, &track.segments[1], init, Some(&key), Some(&first), &mut object(1)).is_ok());
}

#[test]
fn sound_alone_picture_alone_and_clear_packages_play() {
    let keys = || Some(PackageKeys::new(kid(1), kid(2)));
    let sound = package(vec![Clip::audio("audio-0")], keys());
    let picture = package(vec![Clip::video("90p", "160x90")], keys());
    let clear = package(vec![Clip::video("90p", "160x90"), Clip::audio("audio-0")], None);
    let (video, audio) = ("0:v:0", "0:a:0");
    for (package, streams) in [(sound, vec![audio]), (picture, vec![video]), (clear, vec![video, audio])] {
        judge(package.dir.path(), &playlists(&package));
        serve_keys(&package, &right_keys(&package));
        for (stream, clip) in streams.into_iter().zip(&package.clips) {
            let source = frames(clip.dir.path(), "clear.m3u8", stream).expect("ffmpeg plays the source");
            let played = frames(package.dir.path(), "multivariant.m3u8", stream);
            assert!(played.expect("ffmpeg plays the package") == source, "{} has other frames", clip.name);
        }
    }
}
