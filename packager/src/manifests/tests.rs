//! Golden playlists: with picture and sound, sound alone, picture alone.

use lectern_domain::{
    Timestamp,
    keys::AssetSecret,
    media::{SegmentOutput, TrackOutput, TranscodeOutput},
};

use super::*;
use crate::layout::PackageKeys;

const TIMESCALE: u32 = 24_000;

fn track(name: &str, kind: TrackKind, bytes: [u64; 3]) -> TrackOutput {
    let durations = [96_000u64, 96_000, 30_000];
    let segments = (0..3usize)
        .map(|at| SegmentOutput {
            index: at as u32,
            file: format!("{name}-{at}.m4s"),
            start_ticks: durations[..at].iter().sum(),
            duration_ticks: durations[at],
            samples: 96,
            bytes: bytes[at] - 1,
        })
        .collect();
    TrackOutput { name: name.into(), kind, init: "init.mp4".into(), timescale: TIMESCALE, segments }
}

fn video(name: &str, width: u32, height: u32, rate: Ratio, bytes: [u64; 3]) -> TrackOutput {
    track(name, TrackKind::Video { width, height, frame_rate: rate }, bytes)
}

fn audio(name: &str, language: Option<&str>) -> TrackOutput {
    let kind = TrackKind::Audio { sample_rate: 48_000, channels: 2, language: language.map(str::to_owned) };
    track(name, kind, [64_000, 64_000, 16_000])
}

/// The package of these tracks, with the keys of a fixed secret.
fn package(tracks: Vec<TrackOutput>) -> Manifests {
    written(tracks, |layout, inits, secret| {
        layout.manifests(inits, |name| secret.content_key(name.kid, name.period, name.class))
    })
}

fn written(
    tracks: Vec<TrackOutput>,
    write: impl Fn(&PackageLayout, &[InitSegment], &AssetSecret) -> Result<Manifests, LayoutError>,
) -> Manifests {
    let inits: Vec<InitSegment> = tracks.iter().map(|track| init(&track.kind)).collect();
    let kid = |n| Kid::generate(Timestamp::UNIX_EPOCH, &[n; 10]);
    let layout = PackageLayout::new(&[TranscodeOutput { tracks }], Some(PackageKeys::new(kid(1), kid(2))))
        .expect("good reports");
    write(&layout, &inits, &AssetSecret::from_bytes([9; 32])).expect("good inits")
}

fn init(kind: &TrackKind) -> InitSegment {
    match *kind {
        TrackKind::Video { width, height, .. } => {
            let media = InitMedia::Video { width, height, nal_length_bytes: 4 };
            InitSegment::of(if height > 720 { "avc1.640028" } else { "avc1.64001f" }, TIMESCALE, media)
        }
        TrackKind::Audio { sample_rate, channels, .. } => {
            InitSegment::of("mp4a.40.2", TIMESCALE, InitMedia::Audio { sample_rate, channels })
        }
    }
}

fn text<'a>(manifests: &'a Manifests, name: &str) -> &'a str {
    &manifests.playlists.iter().find(|(file, _)| file == name).expect("playlist").1
}

#[test]
fn film_with_two_languages() {
    let ntsc = Ratio::new(24_000, 1_001);
    let manifests = package(vec![
        video("1080p", 1920, 1080, ntsc, [4_000_000, 2_000_000, 500_000]),
        video("720p", 1280, 720, ntsc, [900_000, 800_000, 200_000]),
        video("360p", 640, 360, ntsc, [300_000, 200_000, 100_000]),
        audio("audio-0", Some("en")),
        audio("audio-1", Some("und")),
    ]);
    assert_eq!(
        text(&manifests, "multivariant.m3u8"),
        "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,URI=\"audio-0.m3u8\",GROUP-ID=\"audio\",LANGUAGE=\"en\",NAME=\"en\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\"
#EXT-X-MEDIA:TYPE=AUDIO,URI=\"audio-1.m3u8\",GROUP-ID=\"audio\",NAME=\"Audio\",AUTOSELECT=YES,CHANNELS=\"2\"
#EXT-X-STREAM-INF:BANDWIDTH=1928000,AVERAGE-BANDWIDTH=1767785,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=23.976,AUDIO=\"audio\"
720p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=8128000,AVERAGE-BANDWIDTH=5746163,CODECS=\"avc1.640028,mp4a.40.2\",RESOLUTION=1920x1080,FRAME-RATE=23.976,AUDIO=\"audio\"
1080p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=728000,AVERAGE-BANDWIDTH=643460,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=23.976,AUDIO=\"audio\"
360p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=128000,AVERAGE-BANDWIDTH=124541,CODECS=\"mp4a.40.2\",AUDIO=\"audio\"
audio-0.m3u8
"
    );
    assert_eq!(
        text(&manifests, "360p.m3u8").lines().filter(|line| !line.contains("KEY")).collect::<Vec<_>>(),
        [
            "#EXTM3U",
            "#EXT-X-VERSION:6",
            "#EXT-X-TARGETDURATION:4",
            "#EXT-X-MEDIA-SEQUENCE:0",
            "#EXT-X-PLAYLIST-TYPE:VOD",
            "#EXT-X-INDEPENDENT-SEGMENTS",
            "#EXT-X-MAP:URI=\"360p/init.mp4\"",
            "#EXTINF:4.000000,",
            "360p/seg-00000.m4s",
            "#EXTINF:4.000000,",
            "360p/seg-00001.m4s",
            "#EXTINF:1.250000,",
            "360p/seg-00002.m4s",
            "#EXT-X-ENDLIST",
        ]
    );
    let keys: Vec<&str> = manifests
        .playlists
        .iter()
        .flat_map(|(_, text)| text.lines())
        .filter(|line| line.starts_with("#EXT-X-KEY:METHOD=AES-128,URI=\"/keys/kid_"))
        .collect();
    assert_eq!(keys.len(), 15);
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 15, "an IV is used twice");
    let api = serde_json::to_value(&manifests.renditions).expect("serialises");
    assert_eq!(
        api[0],
        serde_json::json!({"name": "1080p", "kind": "video", "width": 1920, "height": 1080,
            "frame_rate": 23.976, "bytes": 6_500_800, "bandwidth": 8_000_000,
            "average_bandwidth": 5_621_622, "codecs": "avc1.640028"})
    );
    assert_eq!(
        api[3],
        serde_json::json!({"name": "audio-0", "kind": "audio", "width": null, "height": null,
            "frame_rate": null, "bytes": 144_800, "bandwidth": 128_000,
            "average_bandwidth": 124_541, "codecs": "mp4a.40.2"})
    );
}

#[test]
fn sound_alone() {
    assert_eq!(
        text(&package(vec![audio("audio-0", Some("en"))]), "multivariant.m3u8"),
        "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=128000,AVERAGE-BANDWIDTH=124541,CODECS=\"mp4a.40.2\"
audio-0.m3u8
"
    );
    assert_eq!(
        text(
            &package(vec![audio("audio-0", Some("a\"\nb")), audio("audio-1", Some("de")), audio("audio-2", Some("de"))]),
            "multivariant.m3u8"
        ),
        "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"Audio\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\"
#EXT-X-MEDIA:TYPE=AUDIO,URI=\"audio-1.m3u8\",GROUP-ID=\"audio\",LANGUAGE=\"de\",NAME=\"de\",AUTOSELECT=YES,CHANNELS=\"2\"
#EXT-X-MEDIA:TYPE=AUDIO,URI=\"audio-2.m3u8\",GROUP-ID=\"audio\",LANGUAGE=\"de\",NAME=\"de 2\",AUTOSELECT=YES,CHANNELS=\"2\"
#EXT-X-STREAM-INF:BANDWIDTH=128000,AVERAGE-BANDWIDTH=124541,CODECS=\"mp4a.40.2\",AUDIO=\"audio\"
audio-0.m3u8
"
    );
}

#[test]
fn picture_alone_of_varying_rate() {
    let rate = Ratio::new(0, 1);
    // All rungs above the starting rate: the lowest comes first.
    let manifests = package(vec![
        video("1080p", 1920, 1080, rate, [4_000_000, 2_000_000, 500_000]),
        video("720p", 1280, 720, rate, [3_000_000, 1_000_000, 400_000]),
    ]);
    assert_eq!(
        text(&manifests, "multivariant.m3u8"),
        "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=6000000,AVERAGE-BANDWIDTH=3805406,CODECS=\"avc1.64001f\",RESOLUTION=1280x720
720p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=8000000,AVERAGE-BANDWIDTH=5621622,CODECS=\"avc1.640028\",RESOLUTION=1920x1080
1080p.m3u8
"
    );
}

#[test]
fn sound_alone_is_never_what_players_begin_with_where_there_is_a_picture() {
    let rate = Ratio::new(24, 1);
    // All rungs above the starting rate; the sound is far below.
    let manifests = package(vec![
        video("1080p", 1920, 1080, rate, [4_000_000, 2_000_000, 500_000]),
        video("720p", 1280, 720, rate, [3_000_000, 1_000_000, 400_000]),
        audio("audio-0", None),
    ]);
    let top = text(&manifests, "multivariant.m3u8");
    let uris: Vec<&str> = top.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(uris, ["720p.m3u8", "1080p.m3u8", "audio-0.m3u8"], "{top}");
}

#[test]
fn an_init_segment_of_another_track_is_refused() {
    let tracks = vec![video("720p", 1280, 720, Ratio::new(24, 1), [9_000, 9_000, 9_000])];
    let layout = PackageLayout::new(&[TranscodeOutput { tracks }], None).expect("good reports");
    let key = |_: &KeyName| unreachable!("a clear package has no keys");
    let media = InitMedia::Video { width: 640, height: 360, nal_length_bytes: 4 };
    for init in [
        InitSegment::of("avc1.64001f", TIMESCALE, media.clone()),
        InitSegment::of(
            "avc1.64001f",
            90_000,
            InitMedia::Video { width: 1280, height: 720, nal_length_bytes: 4 },
        ),
        InitSegment::of("mp4a.40.2", TIMESCALE, InitMedia::Audio { sample_rate: 48_000, channels: 2 }),
    ] {
        assert!(layout.manifests(&[init], key).is_err());
    }
    assert!(layout.manifests(&[], key).is_err());
}

#[test]
fn playlists_of_what_is_being_made() {
    let growing = Growing { target_duration_s: 12, ceilings_bps: [("720p".to_owned(), 5_000_000)].into() };
    let of = |segments: usize, ended| {
        let rate = Ratio::new(24, 1);
        let mut tracks =
            vec![video("720p", 1280, 720, rate, [900_000, 800_000, 200_000]), audio("audio-0", None)];
        for track in &mut tracks {
            track.segments.truncate(segments);
        }
        written(tracks, |layout, inits, secret| {
            let key = |name: &KeyName| secret.content_key(name.kid, name.period, name.class);
            layout.growing_manifests(inits, key, &growing, ended)
        })
    };
    let (one, two, all) = (of(1, false), of(2, false), of(3, true));
    assert_eq!(
        one.playlists.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["720p.growing.m3u8", "audio-0.growing.m3u8", "multivariant.growing.m3u8"]
    );
    let top = text(&one, "multivariant.growing.m3u8");
    // What the encoder may come to need is announced, and what it needs on average as far as it is known.
    assert!(top.contains("BANDWIDTH=5128000,AVERAGE-BANDWIDTH=1928000"), "{top}");
    assert!(top.contains("URI=\"audio-0.growing.m3u8\"") && top.contains("\n720p.growing.m3u8\n"), "{top}");
    let alone = "#EXT-X-STREAM-INF:BANDWIDTH=128000,AVERAGE-BANDWIDTH=128000,CODECS=\"mp4a.40.2\",AUDIO=\"audio\"\naudio-0.growing.m3u8\n";
    assert!(top.ends_with(alone), "{top}");
    for name in ["720p.growing.m3u8", "audio-0.growing.m3u8"] {
        let (one, two, all) = (text(&one, name), text(&two, name), text(&all, name));
        assert!(one.contains("#EXT-X-TARGETDURATION:12\n") && !one.contains("ENDLIST"), "{one}");
        assert!(two.starts_with(one) && all.starts_with(two), "it only gets longer: {all}");
        assert!(all.ends_with("#EXT-X-ENDLIST\n"));
    }
}

#[test]
fn what_is_known_of_a_plan_beforehand() {
    use lectern_domain::plan::VideoPlan;
    let rung = lectern_domain::ladder::Rung {
        name: "720p".into(),
        width: 1280,
        height: 720,
        crf: 22.0,
        max_bps: 3_000_000,
        buffer_bits: 6_000_000,
    };
    let video = VideoPlan { rungs: vec![rung], segment_ns: 4 * SECOND_NS, ..VideoPlan::default() };
    let plan = |keep_all_frames| TranscodePlan {
        duration_ns: 60 * SECOND_NS,
        video: Some(VideoPlan { keep_all_frames, ..video.clone() }),
        audio: Vec::new(),
    };
    let of = Growing::of(&plan(false));
    assert_eq!((of.target_duration_s, of.ceilings_bps["720p"]), (12, 4_500_000));
    assert_eq!(Growing::of(&plan(true)).target_duration_s, 5, "a short tail joins the last segment");
}
