//! Players and decoders of others, looking at what the server publishes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use hls_m3u8::{MasterPlaylist, MediaPlaylist, tags::VariantStream};
use serde_json::Value;
use url::Url;

use super::{Client, Server, files_under, run};

/// What ffmpeg decodes of an HLS address, through the key server: for each picture height its number of frames, and
/// the number of decoded audio frames under 0.
pub fn decoded_by_ffmpeg(url: &str) -> BTreeMap<u64, u64> {
    let found = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-allowed_extensions",
            "ALL",
            "-count_frames",
            "-show_entries",
            "stream=codec_type,height,nb_read_frames",
            "-of",
            "json",
            url,
        ],
    );
    let found: Value = serde_json::from_str(&found).unwrap();
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0);
    found["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| (number(&stream["height"]), number(&stream["nb_read_frames"])))
        .collect()
}

/// Frames of a file's picture, decoded by ffmpeg; 0 without a picture.
pub fn frames_of(file: &Path) -> u64 {
    let path = file.display().to_string();
    let arguments =
        "-v error -select_streams v:0 -count_frames -show_entries stream=nb_read_frames -of csv=p=0";
    let mut all: Vec<&str> = arguments.split_whitespace().collect();
    all.push(&path);
    // In a transport stream the track is listed under its program too.
    let answer = run("ffprobe", &all);
    answer.lines().next().map_or(0, |line| line.trim_end_matches(',').parse().unwrap_or(0))
}

/// Starts a playback session of a lesson; the multivariant playlist for players that cannot set headers.
pub async fn native_url(learner: &Client, lesson: &str) -> String {
    let path = format!("/api/v1/lessons/{lesson}/playback");
    let playback = learner.post(&path, serde_json::json!({})).await.unwrap();
    learner.absolute(playback["hls_native_url"].as_str().unwrap())
}

/// Checks the package that lies in the object store of an asset: one version; each segment of the playlists there
/// once, numbered without a gap; and no file that no playlist names. The number of segments.
pub fn whole_package(server: &Server, asset: &str) -> usize {
    whole_package_in(&server.data, asset)
}

/// The same of a data folder.
pub fn whole_package_in(data: &Path, asset: &str) -> usize {
    let folder = format!("objects/packages/{asset}");
    // Stills are named by no playlist, and playlists that grew by none that is given out now.
    let named = |name: &String| !name.contains("/stills/") && !name.ends_with(".growing.m3u8");
    let files: BTreeSet<String> = files_under(&data.join(&folder)).into_iter().filter(named).collect();
    let versions: BTreeSet<&str> = files.iter().filter_map(|name| name.split('/').next()).collect();
    assert_eq!(versions.len(), 1, "one version is published and nothing else is left: {versions:?}");
    let version = versions.into_iter().next().unwrap();
    let root = data.join(&folder).join(version);
    let mut named = BTreeSet::new();
    let mut name = |path: String| assert!(named.insert(format!("{version}/{path}")), "{path} is named twice");
    let base = Url::parse("http://package/").unwrap();
    let multivariant = "multivariant.m3u8".to_owned();
    let text = read(&root, &multivariant);
    name(multivariant);
    let playlist = MasterPlaylist::try_from(text.as_str()).unwrap();
    let variants = playlist.variant_streams.iter().map(|variant| match variant {
        VariantStream::ExtXStreamInf { uri, .. } | VariantStream::ExtXIFrame { uri, .. } => uri.to_string(),
    });
    let audio = playlist.media.iter().filter_map(|media| media.uri().map(ToString::to_string));
    let mut segments = 0;
    let media: BTreeSet<String> = variants.chain(audio).collect();
    assert!(!media.is_empty());
    for media in media {
        let text = read(&root, &media);
        let at = base.join(&media).unwrap();
        let relative = |uri: &str| at.join(uri).unwrap().path().trim_start_matches('/').to_owned();
        let playlist = MediaPlaylist::try_from(text.as_str()).unwrap();
        assert!(playlist.has_end_list, "{media} is not complete");
        name(media);
        let mut maps = BTreeSet::new();
        for segment in playlist.segments.values() {
            maps.extend(segment.map.as_ref().map(|map| relative(map.uri())));
            name(relative(segment.uri()));
            segments += 1;
        }
        maps.into_iter().for_each(&mut name);
    }
    assert_eq!(files, named, "what is stored and what the playlists name");
    segments
}

fn read(root: &Path, name: &str) -> String {
    std::fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
