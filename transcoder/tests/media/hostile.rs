//! Sources that cannot be made into anything: each ends with its code, quickly.

use std::path::{Path, PathBuf};

use lectern_domain::{failure::FailureCode, plan::PlanSettings};

use crate::{
    child::{make, probe},
    fixtures::{H264, changed, ffmpeg, made, picture, plain},
};

fn written(name: &str, extension: &str, bytes: &[u8]) -> PathBuf {
    made(name, extension, |path| std::fs::write(path, bytes).unwrap())
}

/// Bytes that repeat never, the same in every run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// Gives every JPEG in the file a declared size of 20 000 × 20 000 (ISO/IEC 10918-1 B.2.2).
fn declare_huge(mut bytes: Vec<u8>) -> Vec<u8> {
    for at in 0..bytes.len().saturating_sub(9) {
        if bytes[at..at + 4] == [0xff, 0xc0, 0x00, 0x11] {
            bytes[at + 5..at + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
        }
    }
    bytes
}

#[test]
fn each_ends_with_its_code() {
    let film = plain();
    let without_index = |bytes: Vec<u8>| {
        let at = bytes.windows(4).position(|kind| kind == b"moov").unwrap();
        let size = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
        [&bytes[..at - 4], &bytes[at - 4 + size..]].concat()
    };
    let motion_jpeg = ffmpeg(&format!("{} -c:v mjpeg -q:v 5", picture("320x240", 10, 1.0)), "avi");
    let high = "-color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc";
    let ten = "-c:v libx265 -preset ultrafast -x265-params log-level=error -pix_fmt yuv420p10le";
    let table: Vec<(&str, PathBuf, FailureCode)> = vec![
        ("no bytes", written("empty", "mp4", b""), FailureCode::SourceEmpty),
        ("words", written("words", "mp4", b"a text, called a film by its name"), FailureCode::SourceNotMedia),
        ("four bytes", written("four", "mp4", b"RIFF"), FailureCode::SourceNotMedia),
        ("noise", written("noise", "mkv", &noise(200_000)), FailureCode::SourceNotMedia),
        ("no index", changed("no index", &film, "mp4", without_index), FailureCode::SourceTruncated),
        (
            "cut within the index",
            changed("cut index", &film, "mp4", |bytes| bytes[..500].to_vec()),
            FailureCode::SourceTruncated,
        ),
        (
            "cut within the data",
            changed("cut data", &film, "mp4", |bytes| bytes[..bytes.len() / 2].to_vec()),
            FailureCode::SourceCorrupt,
        ),
        (
            "a picture too wide",
            ffmpeg(&format!("{} {H264}", picture("9000x64", 5, 0.4)), "mp4"),
            FailureCode::SourceDimensions,
        ),
        (
            "a decompression bomb",
            changed("bomb of 20000", &motion_jpeg, "avi", declare_huge),
            FailureCode::SourceDimensions,
        ),
        (
            "high dynamic range",
            ffmpeg(&format!("{} {ten} {high}", picture("320x180", 10, 0.5)), "mp4"),
            FailureCode::SourceHdrUnsupported,
        ),
    ];
    for (what, path, expected) in table {
        let result = make(&path, &PlanSettings::default());
        assert_eq!(result.err(), Some(expected), "{what}: {}", path.display());
    }
}

#[test]
fn damage_in_the_middle_is_noticed() {
    let damaged = changed("damaged", &plain(), "mp4", |mut bytes| {
        let (from, to) = (bytes.len() / 2, bytes.len() - 2_000);
        bytes[from..to].copy_from_slice(&noise(to - from));
        bytes
    });
    assert!(probe(&damaged).is_ok(), "its beginning is in order");
    assert_eq!(make(&damaged, &PlanSettings::default()).err(), Some(FailureCode::SourceCorrupt));
}

#[test]
fn a_codec_nobody_has_is_named() {
    // The sample entry's name is what a demuxer goes by.
    let strange = changed("strange", &plain(), "mp4", |mut bytes| {
        for name in [b"avc1", b"mp4a"] {
            let last = bytes.windows(4).rposition(|kind| kind == name);
            let entry = bytes.windows(4).position(|kind| kind == b"stsd").unwrap();
            for at in entry..=last.unwrap_or(entry) {
                if &bytes[at..at + 4] == name {
                    bytes[at..at + 4].copy_from_slice(b"zzzz");
                }
            }
        }
        bytes
    });
    let code = probe(&strange).unwrap_err();
    assert!(matches!(code, FailureCode::SourceCodecUnsupported | FailureCode::SourceNoTracks), "{code:?}");
}

#[test]
fn a_missing_file_is_ours() {
    assert_eq!(probe(Path::new("/nonexistent/film.mp4")), Err(FailureCode::Internal));
}
