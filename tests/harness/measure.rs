//! What a player would see and hear, measured with ffmpeg: when each frame is shown, how near it is to the source's,
//! when something flashes, when something sounds.

use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::Value;

use super::run;

/// Samples a second of [`Decoded::sound`]: fine enough to place a sound to an eighth of a millisecond.
const SAMPLE_RATE: f64 = 8_000.0;
/// How much sound is compared at a time, and how far it is looked for to either side, seconds.
const WINDOW_S: f64 = 2.0;
const REACH_S: f64 = 0.2;

/// A decoded frame.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// When it is shown, seconds.
    pub time: f64,
    /// Whether decoding can begin with it.
    pub key: bool,
}

/// What a file or playlist comes to when it is decoded.
pub struct Decoded {
    /// Where it is, for ffmpeg.
    pub address: String,
    /// Every frame of every video stream, by the picture's height.
    pub frames: BTreeMap<u64, Vec<Frame>>,
    /// The first audio track mixed down to one channel, with silence where a player would play none: the sample of
    /// this number sounds at this number over the sample rate, seconds.
    pub sound: Vec<f32>,
}

impl Decoded {
    /// Decodes all of it.
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), frames: frames(address), sound: sound(address) }
    }
}

fn frames(address: &str) -> BTreeMap<u64, Vec<Frame>> {
    let mut arguments: Vec<&str> =
        "-v error -select_streams v -show_entries stream=index,height:frame=stream_index,pts_time,key_frame -of json"
            .split_whitespace()
            .collect();
    arguments.extend(playlist_options(address));
    arguments.push(address);
    let found: Value = serde_json::from_str(&run("ffprobe", &arguments)).unwrap();
    let mut frames: BTreeMap<u64, Vec<Frame>> = BTreeMap::new();
    let streams = found["streams"].as_array().unwrap();
    for frame in found["frames"].as_array().unwrap() {
        let stream = streams.iter().find(|stream| stream["index"] == frame["stream_index"]).unwrap();
        let time = frame["pts_time"].as_str().expect("every frame has a time").parse().unwrap();
        let frames = frames.entry(stream["height"].as_u64().unwrap()).or_default();
        frames.push(Frame { time, key: frame["key_frame"] == 1 });
    }
    frames
}

/// The mean SSIM over all frames and planes of a rendition against the source, which ffmpeg scales to its size
/// (bicubic). Frames are paired by number.
pub fn ssim(rendition: &Path, source: &Path, width: u64, height: u64) -> f64 {
    let graph = format!(
        "[0:v]settb=1/1000,setpts=N[made];[1:v]scale={width}:{height}:flags=bicubic,settb=1/1000,setpts=N[asked];\
         [made][asked]ssim=shortest=1"
    );
    let arguments = ["-i", text(rendition), "-i", text(source), "-lavfi", &graph, "-an", "-f", "null", "-"];
    let said = ffmpeg(&playlist_options(text(rendition)), &arguments).1;
    let line = said.lines().rev().find(|line| line.contains("SSIM")).unwrap_or_else(|| panic!("{said}"));
    line.split("All:").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

/// The times of the frames that are nearly white, in the video stream of this number.
pub fn flashes(address: &str, stream: usize) -> Vec<f64> {
    let map = format!("0:v:{stream}");
    let filter =
        "scale=32:18:flags=area,format=yuv420p,signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-";
    let arguments = ["-i", address, "-map", &map, "-vf", filter, "-vsync", "passthrough", "-f", "null", "-"];
    let said = String::from_utf8(ffmpeg(&playlist_options(address), &arguments).0).unwrap();
    let mut lines = said.lines();
    let mut found = Vec::new();
    // Two lines a frame: its time, then its mean luma.
    while let (Some(frame), Some(value)) = (lines.next(), lines.next()) {
        let time: f64 = frame.split("pts_time:").nth(1).unwrap().trim().parse().unwrap();
        let luma: f64 = value.split('=').nth(1).unwrap().parse().unwrap();
        if luma > 200.0 {
            found.push(time);
        }
    }
    found
}

/// Where sound ends, seconds.
pub fn end(sound: &[f32]) -> f64 {
    sound.len() as f64 / SAMPLE_RATE
}

/// The sound of an address as in [`Decoded::sound`].
pub fn sound(address: &str) -> Vec<f32> {
    let filter = format!(
        "aformat=channel_layouts=stereo,aformat=channel_layouts=mono,aresample={SAMPLE_RATE}:async=1:first_pts=0"
    );
    let arguments = ["-i", address, "-map", "0:a:0", "-af", &filter, "-f", "f32le", "-"];
    let bytes = ffmpeg(&playlist_options(address), &arguments).0;
    bytes.as_chunks().0.iter().map(|sample| f32::from_le_bytes(*sample)).collect()
}

/// How much later than in `source` the sound around a time is heard in `made`, seconds, by cross-correlation.
pub fn shift(source: &[f32], made: &[f32], at_s: f64) -> f64 {
    let (from, length) = ((at_s * SAMPLE_RATE) as usize, (WINDOW_S * SAMPLE_RATE) as usize);
    let reach = (REACH_S * SAMPLE_RATE) as usize;
    let asked = &source[from..from + length];
    let silent = asked.iter().all(|sample| sample.abs() < 0.01);
    assert!(!silent, "the source is silent at {at_s} s");
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let energy = product(asked, asked);
    let like = |start: usize| {
        let window = &made[start..start + length];
        product(asked, window) / (energy * product(window, window)).sqrt().max(f32::MIN_POSITIVE)
    };
    let starts = from - reach..=from + reach;
    let (best, likeness) =
        starts.map(|start| (start, like(start))).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert!(likeness > 0.9, "what sounds at {at_s} s is not what the source has there: {likeness}");
    (best as f64 - from as f64) / SAMPLE_RATE
}

/// When the beep begins that is the loudest near a time, seconds.
pub fn onset(sound: &[f32], near_s: f64) -> f64 {
    onset_within(sound, near_s, REACH_S)
}

/// The same no further away than `reach_s`.
pub fn onset_within(sound: &[f32], near_s: f64, reach_s: f64) -> f64 {
    let from = ((near_s - reach_s) * SAMPLE_RATE) as usize;
    let to = ((near_s + reach_s) * SAMPLE_RATE) as usize;
    let window = &sound[from.min(sound.len())..to.min(sound.len())];
    let peak = window.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
    assert!(peak > 0.1, "nothing sounds at {near_s} s");
    let first = window.iter().position(|sample| sample.abs() > peak / 2.0).unwrap();
    (from + first) as f64 / SAMPLE_RATE
}

/// ffmpeg with the times of the input kept, as a player keeps them. What it writes and what it says.
fn ffmpeg(input: &[&str], arguments: &[&str]) -> (Vec<u8>, String) {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-nostats", "-copyts"])
        .args(input)
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ffmpeg {arguments:?}: {}\n{said}", output.status);
    (output.stdout, said)
}

/// ffmpeg 5 knows no segments that are called `.m4s`.
fn playlist_options(address: &str) -> Vec<&'static str> {
    if address.contains(".m3u8") { vec!["-allowed_extensions", "ALL"] } else { Vec::new() }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
