//! What is read of ffmpeg's CMAF is what ffprobe says of it.

use lectern_packager::cmaf::{CmafError, InitMedia, InitSegment, MediaSegment};

use crate::clip::{Clip, RATE, SECONDS, run};

/// Presentation times and key flags of all packets, as ffprobe reads them through the playlist.
fn packets(clip: &Clip) -> Vec<(f64, bool)> {
    let args = "-v error -show_entries packet=pts_time,flags -of csv=p=0 clear.m3u8";
    let args: Vec<&str> = args.split_whitespace().collect();
    let text = run("ffprobe", &args, clip.dir.path()).expect("ffprobe reads");
    // Lines that begin with something else are side data.
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            Some((fields[0].parse().ok()?, fields[1].starts_with('K')))
        })
        .collect()
}

#[test]
fn video_with_b_frames() {
    let clip = Clip::video("180p", "320x180");
    let init = InitSegment::read(&clip.init()).expect("init segment");
    assert_eq!(init.media, InitMedia::Video { width: 320, height: 180, nal_length_bytes: 4 });
    // ffprobe knows profile and level by itself: High (0x64), no constraint flags.
    let args = "-v error -show_entries stream=profile,level -of csv=p=0 clear.m3u8";
    let args: Vec<&str> = args.split_whitespace().collect();
    let told = run("ffprobe", &args, clip.dir.path()).expect("ffprobe reads");
    let level = told.lines().find_map(|line| line.strip_prefix("High,")).expect("High profile");
    let level: u8 = level.parse().expect("a level");
    assert_eq!(init.codec, format!("avc1.6400{level:02x}"));

    let packets = packets(&clip);
    assert_eq!(packets.len(), (SECONDS * RATE) as usize);
    let mut seen = 0;
    let mut decode_end = None;
    for bytes in clip.segments() {
        let segment = MediaSegment::read(&bytes, &init).expect("media segment");
        assert!(segment.starts_with_sync);
        assert_eq!(segment.bytes, bytes.len() as u64);
        assert!(decode_end.is_none_or(|end| end == segment.base_decode_ticks));
        decode_end = Some(segment.base_decode_ticks + segment.duration_ticks);
        let mine = &packets[seen..seen + segment.samples as usize];
        seen += mine.len();
        assert!(mine[0].1, "ffprobe sees no keyframe");
        let first = mine.iter().map(|packet| packet.0).fold(f64::INFINITY, f64::min);
        let start = segment.start_ticks as f64 / f64::from(init.timescale);
        assert!((start - first).abs() < 1e-3, "{start} and ffprobe's {first}");
        let seconds = segment.duration_ticks as f64 / f64::from(init.timescale);
        assert!((seconds - f64::from(segment.samples) / f64::from(RATE)).abs() < 1e-3);
    }
    assert_eq!(seen, packets.len());
}

#[test]
fn audio_with_priming() {
    let clip = Clip::audio("audio-0");
    let init = InitSegment::read(&clip.init()).expect("init segment");
    assert_eq!(init.codec, "mp4a.40.2");
    assert_eq!(init.media, InitMedia::Audio { sample_rate: 48_000, channels: 2 });
    let segments: Vec<MediaSegment> = clip
        .segments()
        .iter()
        .map(|bytes| MediaSegment::read(bytes, &init).expect("media segment"))
        .collect();
    let samples: u32 = segments.iter().map(|segment| segment.samples).sum();
    assert_eq!(samples as usize, packets(&clip).len());
    let ticks: u64 = segments.iter().map(|segment| segment.duration_ticks).sum();
    let seconds = ticks as f64 / f64::from(init.timescale);
    assert!((seconds - f64::from(SECONDS)).abs() < 0.05, "{seconds}");
    assert!(segments.iter().all(|segment| segment.starts_with_sync));
}

/// Init segments of spans differ in their dates, never in what decoders see.
#[test]
fn init_segments_fit_only_when_decoders_cannot_tell() {
    let small = InitSegment::read(&Clip::video("90p", "160x90").init()).expect("init segment");
    let again = InitSegment::read(&Clip::video("90p", "160x90").init()).expect("init segment");
    let large = InitSegment::read(&Clip::video("180p", "320x180").init()).expect("init segment");
    assert_eq!(small.fits(&again), Ok(()));
    assert!(small.fits(&large).is_err());
}

/// A segment that was cut in the middle of a group of pictures is marked by its flags; one whose flags lie is found
/// by its slices.
#[test]
fn a_keyframe_is_believed_only_if_it_is_one() {
    let clip = Clip::video("180p", "320x180");
    let init = InitSegment::read(&clip.init()).expect("init segment");
    let segment = clip.segments().remove(0);
    // The IDR slice of the first sample (NAL unit type 5) becomes another slice (type 1).
    let mut other = segment.clone();
    let mut at = segment.windows(4).position(|kind| kind == b"mdat").expect("mdat") + 4;
    while segment[at + 4] & 0x1f != 5 {
        let length: [u8; 4] = segment[at..at + 4].try_into().expect("four bytes");
        at += 4 + u32::from_be_bytes(length) as usize;
    }
    other[at + 4] = (segment[at + 4] & 0xe0) | 1;
    assert!(MediaSegment::read(&segment, &init).expect("media segment").starts_with_sync);
    assert!(!MediaSegment::read(&other, &init).expect("media segment").starts_with_sync);
}

#[test]
fn whole_files_are_not_init_segments_and_tracks_are_not_mixed() {
    let (video, audio) = (Clip::video("90p", "160x90"), Clip::audio("audio-0"));
    let init = InitSegment::read(&video.init()).expect("init segment");
    assert_eq!(InitSegment::read(&video.segments()[0]), Err(CmafError::Missing("ftyp")));
    assert_eq!(MediaSegment::read(&video.init(), &init), Err(CmafError::Missing("moof")));
    // Both have track 1, so only the flags and the bitstream tell them apart.
    let mixed = MediaSegment::read(&audio.segments()[0], &init);
    assert!(mixed.is_err() || mixed.is_ok_and(|segment| !segment.starts_with_sync));
}
