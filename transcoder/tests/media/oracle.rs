//! What `ffmpeg` says about a file.

use std::{path::Path, process::Command};

/// One decoded frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame {
    pub(crate) seconds: f64,
    pub(crate) key: bool,
}

fn output(program: &str, arguments: &[&str], path: &Path) -> std::process::Output {
    let output = Command::new(program).args(arguments).arg(path).output().expect("ffmpeg is installed");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The decoded frames of the first video track.
pub(crate) fn frames(path: &Path) -> Vec<Frame> {
    let arguments =
        ["-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts_time,key_frame", "-of", "json"];
    let json: serde_json::Value =
        serde_json::from_slice(&output("ffprobe", &arguments, path).stdout).unwrap();
    json["frames"]
        .as_array()
        .unwrap()
        .iter()
        .map(|frame| Frame {
            seconds: frame["pts_time"].as_str().unwrap_or("nan").parse().unwrap(),
            key: frame["key_frame"] == 1,
        })
        .collect()
}

/// One field of the first stream of a kind (`v` or `a`).
pub(crate) fn field(path: &Path, kind: &str, field: &str) -> String {
    let (stream, entry) = (format!("{kind}:0"), format!("stream={field}"));
    let arguments = ["-v", "error", "-select_streams", &stream, "-show_entries", &entry, "-of", "csv=p=0"];
    String::from_utf8_lossy(&output("ffprobe", &arguments, path).stdout)
        .trim()
        .trim_end_matches(',')
        .to_owned()
}

/// One field of the container.
pub(crate) fn container_field(path: &Path, field: &str) -> String {
    let entry = format!("format={field}");
    let arguments = ["-v", "error", "-show_entries", &entry, "-of", "csv=p=0"];
    String::from_utf8_lossy(&output("ffprobe", &arguments, path).stdout).trim().to_owned()
}

/// Decoding messages; empty when the file is in order.
pub(crate) fn complaints(path: &Path) -> String {
    let output = output("ffprobe", &["-v", "warning", "-show_frames"], path);
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Sound as samples of one channel at 48 kHz, counted from the container's start: silence before a late start.
pub(crate) fn samples(path: &Path) -> Vec<f32> {
    sound(path, "1")
}

/// The same of two channels, by turns.
pub(crate) fn stereo(path: &Path) -> Vec<f32> {
    sound(path, "2")
}

fn sound(path: &Path, channels: &str) -> Vec<f32> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args([
            "-map",
            "0:a:0",
            "-af",
            "aresample=48000:async=1:first_pts=0",
            "-ac",
            channels,
            "-f",
            "f32le",
            "-",
        ])
        .output()
        .expect("ffmpeg is installed");
    output.stdout.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

/// Mean brightness of each frame, 0 to 255.
pub(crate) fn brightness(path: &Path) -> Vec<u8> {
    brightness_of(path, "null")
}

/// Mean brightness of each frame after a filter, 0 to 255.
pub(crate) fn brightness_of(path: &Path, filter: &str) -> Vec<u8> {
    let filter = format!("{filter},scale=1:1:flags=area");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0:v:0", "-vf", &filter, "-pix_fmt", "gray", "-vsync", "passthrough"])
        .args(["-f", "rawvideo", "-"])
        .output()
        .expect("ffmpeg is installed");
    output.stdout
}

/// Structural similarity of `made` to `source` after `filter`, frame by frame, all planes.
pub(crate) fn ssim(made: &Path, source: &Path, filter: &str) -> f64 {
    let graph = format!("[1:v]{filter},setpts=PTS-STARTPTS[r];[0:v]setpts=PTS-STARTPTS[m];[m][r]ssim");
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-i"])
        .arg(made)
        .arg("-i")
        .arg(source)
        .args(["-filter_complex", &graph, "-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let all = text.rsplit_once("All:").unwrap_or_else(|| panic!("no result: {text}")).1;
    all.split_whitespace().next().unwrap().parse().unwrap()
}

/// The numbers that [`crate::fixtures::numbered`] has drawn into the frames of a file.
pub(crate) fn numbers(path: &Path) -> Vec<u32> {
    let bits = crate::fixtures::NUMBER_BITS as usize;
    let filter = format!("scale={bits}:1:flags=area");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0:v:0", "-vf", &filter, "-pix_fmt", "gray", "-vsync", "passthrough"])
        .args(["-f", "rawvideo", "-"])
        .output()
        .expect("ffmpeg is installed");
    let number = |cells: &[u8]| {
        cells.iter().enumerate().map(|(bit, level)| u32::from(*level > 128) << bit).sum::<u32>()
    };
    output.stdout.chunks_exact(bits).map(number).collect()
}
