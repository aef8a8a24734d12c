//! What a player sees and hears of a package, by ffmpeg, held against its line of the matrix.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use super::source::{Expected, Frames, Plays, QUARTERS, Source};
use crate::harness::{files_under, measure, program, run};

/// Times are the same when they differ by less: rounding to a timescale, not a frame.
const SAME_S: f64 = 0.0015;
/// A picture and its sound may be this far apart.
const IN_SYNC_S: f64 = 0.02;
/// How far from its flash a beep is looked for.
const REACH_S: f64 = 0.5;
/// Sound may end so much earlier than in its source, or later: encoders work in blocks.
const SOUND_LOST_S: f64 = 0.015;
const SOUND_ADDED_S: f64 = 0.06;
/// A package plays as long as its source, up to the last frame of either track.
const SAME_LENGTH_S: f64 = 0.1;

/// A sentence is longer than that.
const SENTENCES: usize = 30;

/// Makes a line's file, encodes it and looks at what came. The reason if it is not what is expected.
pub(crate) fn check(source: &Source, folder: &Path) -> Result<(), String> {
    let file = source.make(folder);
    let out = folder.join(format!("package of {}", source.name));
    let output = encode(&file, &out, &source.options, &source.expected);
    let said = String::from_utf8_lossy(&output.stderr);
    match (&source.expected, output.status.success()) {
        (Expected::Plays(plays), true) => {
            let told: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
            plays_as_expected(plays, &file, &out.join("multivariant.m3u8"), &told)
        }
        (Expected::Plays(_), false) => Err(format!("does not play: {}", said.trim())),
        (Expected::Refused(code), true) => Err(format!("plays, instead of being refused with {code}")),
        (Expected::Refused(code), false) => refused(code, &said, &out),
    }
}

fn encode(file: &Path, out: &Path, options: &[&str], expected: &Expected) -> Output {
    let mut command = Command::new(program());
    command.arg("encode").arg(file).arg("--out").arg(out).args(["--json", "--preset", "ultrafast"]);
    if !matches!(expected, Expected::Plays(Plays { frames: Frames::Fewer(_), .. })) {
        command.arg("--keep-all-frames");
    }
    command.args(options).output().unwrap()
}

/// A code, a sentence, and nothing left.
fn refused(code: &str, said: &str, out: &Path) -> Result<(), String> {
    let sentence = said.strip_prefix(&format!("lectern: {code}: ")).ok_or(format!("{code}: {said}"))?;
    hold(sentence.len() > SENTENCES, || format!("no sentence: {said}"))?;
    let left = files_under(out);
    hold(left.is_empty(), || format!("left behind: {left:?}"))
}

fn hold(condition: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(otherwise()) }
}

fn plays_as_expected(plays: &Plays, file: &Path, package: &Path, told: &Value) -> Result<(), String> {
    let (asked, made) = (text(file), text(package));
    tracks(plays, made)?;
    frames(plays, asked, made, told)?;
    if let (Some(quarters), true) = (plays.quarters, plays.frames != Frames::None) {
        colours(plays, quarters, made)?;
    }
    let seconds = told["duration_ms"].as_f64().unwrap_or(0.0) / 1e3;
    hold((seconds - plays.seconds).abs() < SAME_LENGTH_S, || {
        format!("plays {seconds} s, expected {}", plays.seconds)
    })?;
    if plays.sound.is_empty() {
        return Ok(());
    }
    if plays.frames == Frames::None {
        return heard(&measure::sound(made));
    }
    let (found, source) = (after_flash(made)?, after_flash(asked)?);
    // How far they are apart in the source is the source's affair.
    let expected = plays.apart.unwrap_or(source.beep);
    hold((found.beep - expected).abs() < IN_SYNC_S, || {
        format!("beep {} s after flash, expected {expected}", found.beep)
    })?;
    // Of a damaged one every reader makes something else. The last block of a codec may go on after the end.
    let source_ends = source.end - source.beep + expected;
    let least = source_ends.min(plays.seconds - found.flash) - SOUND_LOST_S;
    let right = least..source_ends + SOUND_ADDED_S;
    let whole = matches!(plays.frames, Frames::All(_) | Frames::Fewer(_));
    hold(!whole || right.contains(&found.end), || {
        format!("sound ends {} s after flash, expected {right:?}", found.end)
    })
}

/// How many tracks of what kind, size and colour the package has.
fn tracks(plays: &Plays, made: &str) -> Result<(), String> {
    let fields = "stream=codec_type,codec_name,width,height,channels,pix_fmt,color_space,color_transfer,color_primaries,\
         color_range,sample_aspect_ratio,field_order";
    let found = probed(made, &["-show_entries", fields])?;
    let streams = found["streams"].as_array().cloned().unwrap_or_default();
    let of = |kind: &str| {
        streams.iter().filter(|stream| stream["codec_type"] == kind).cloned().collect::<Vec<Value>>()
    };
    let channels: Vec<u64> = of("audio").iter().filter_map(|stream| stream["channels"].as_u64()).collect();
    let mut expected: Vec<u64> = plays.sound.iter().map(|channels| u64::from(*channels)).collect();
    let pictures = of("video");
    if !pictures.is_empty() {
        // The default sound is a variant of its own too, for whoever only listens.
        expected.extend(expected.first().copied());
    }
    hold(channels == expected, || format!("channels {channels:?}, expected {expected:?}"))?;
    hold(pictures.is_empty() == (plays.frames == Frames::None), || format!("pictures: {pictures:?}"))?;
    let Some(best) = pictures.iter().max_by_key(|stream| stream["height"].as_u64()) else { return Ok(()) };
    let size = (best["width"].as_u64().unwrap_or(0), best["height"].as_u64().unwrap_or(0));
    let expected = (u64::from(plays.size.0), u64::from(plays.size.1));
    hold(size == expected, || format!("{size:?} pixels, expected {expected:?}"))?;
    for (field, expected) in [
        ("pix_fmt", "yuv420p"),
        ("color_space", "bt709"),
        ("color_transfer", "bt709"),
        ("color_primaries", "bt709"),
        ("sample_aspect_ratio", "1:1"),
    ] {
        hold(best[field] == expected, || format!("{field} is {}, expected {expected}", best[field]))?;
    }
    let progressive = best["field_order"].is_null() || best["field_order"] == "progressive";
    hold(progressive, || format!("fields: {}", best["field_order"]))?;
    // Limited is what is meant where nothing is said.
    hold(best["color_range"] != "pc", || "full range".to_owned())
}

fn frames(plays: &Plays, asked: &str, made: &str, told: &Value) -> Result<(), String> {
    if plays.frames == Frames::None {
        return Ok(());
    }
    let (asked, made) = (times(asked)?, times(made)?);
    let reported = told["renditions"][0]["frames"].as_u64().unwrap_or(0) as usize;
    let count = made.len();
    hold(reported == count, || format!("{count} frames, {reported} reported"))?;
    hold(made.is_sorted_by(|a, b| a < b), || "times do not rise".to_owned())?;
    match plays.frames {
        Frames::All(expected) => {
            hold(count == expected, || format!("{count} frames, expected {expected}"))?;
            hold(asked.len() == expected, || format!("ffmpeg decodes {} frames of the source", asked.len()))?;
            for (at, (found, source)) in made.iter().zip(&asked).enumerate() {
                let (found, source) = (found - made[0], source - asked[0]);
                hold((found - source).abs() < SAME_S, || {
                    format!("frame {at} is shown {found} s after the first, {source} s in the source")
                })?;
            }
        }
        Frames::Between(least, most) => {
            hold((least..=most).contains(&count), || format!("{count} frames, expected {least} to {most}"))?;
            let (found, source) = (span(&made), span(&asked));
            hold((found - source).abs() < 0.5, || {
                format!("from first to last frame {found} s, {source} s in the source")
            })?;
        }
        Frames::Fewer(most) => {
            hold((1..=most).contains(&count), || format!("{count} frames, expected {most} at most"))?;
        }
        Frames::None => {}
    }
    Ok(())
}

fn span(times: &[f64]) -> f64 {
    times.last().unwrap_or(&0.0) - times.first().unwrap_or(&0.0)
}

/// When each frame of the first picture track is shown, seconds; cover art is none.
fn times(address: &str) -> Result<Vec<f64>, String> {
    let found = probed(
        address,
        &["-select_streams", "V:0", "-show_entries", "frame=pts_time,best_effort_timestamp_time"],
    )?;
    let time = |frame: &Value| {
        let written = frame["pts_time"].as_str().or_else(|| frame["best_effort_timestamp_time"].as_str());
        written.and_then(|time| time.parse().ok())
    };
    let mut times: Vec<f64> = found["frames"].as_array().into_iter().flatten().filter_map(time).collect();
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// Whether each quarter of the first frame has the colour that belongs there.
fn colours(plays: &Plays, quarters: [usize; 4], made: &str) -> Result<(), String> {
    let (width, height) = (plays.size.0 as usize, plays.size.1 as usize);
    let mut arguments = playlist_options(made);
    arguments.extend(["-v", "error", "-i", made, "-map", "0:v:0", "-frames:v", "1", "-f", "rawvideo", "-"]);
    let picture = Command::new("ffmpeg").args(arguments).output().map_err(|error| error.to_string())?.stdout;
    hold(picture.len() == width * height * 3 / 2, || format!("{} bytes of picture", picture.len()))?;
    let planes = [(0, 1), (width * height, 2), (width * height * 5 / 4, 2)];
    for (place, quarter) in quarters.into_iter().enumerate() {
        let (x, y) = (width / 4 + place % 2 * width / 2, height / 4 + place / 2 * height / 2);
        let expected = limited_bt709(QUARTERS[quarter]);
        for ((from, step), expected) in planes.into_iter().zip(expected) {
            let found = mean(&picture[from..], width / step, x / step, y / step);
            hold((found - expected).abs() <= plays.off_by, || {
                format!("quarter {place}: {found:.1} instead of {expected:.1} (off by {})", plays.off_by)
            })?;
        }
    }
    Ok(())
}

/// Mean of eight by eight samples around a place.
fn mean(plane: &[u8], stride: usize, x: usize, y: usize) -> f64 {
    let rows = (y - 4..y + 4).flat_map(|row| &plane[row * stride + x - 4..][..8]);
    rows.map(|sample| f64::from(*sample)).sum::<f64>() / 64.0
}

/// Luma and both differences as Recommendation ITU-R BT.709 codes them in eight bits.
fn limited_bt709(rgb: [u8; 3]) -> [f64; 3] {
    let [red, green, blue] = rgb.map(|value| f64::from(value) / 255.0);
    let luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    [16.0 + 219.0 * luma, 128.0 + 224.0 * (blue - luma) / 1.8556, 128.0 + 224.0 * (red - luma) / 1.5748]
}

/// The beep comes after a second. Without a picture there is nothing to be early or late for, and what an encoder put before the
/// first sample may be heard.
fn heard(sound: &[f32]) -> Result<(), String> {
    let onset = measure::onset(sound, 1.0);
    hold((onset - 1.0).abs() < 0.05, || format!("the beep begins at {onset} s"))
}

/// When the flash comes, and how long after it the beep and the end of the sound, seconds.
struct AfterFlash {
    flash: f64,
    beep: f64,
    end: f64,
}

fn after_flash(address: &str) -> Result<AfterFlash, String> {
    let flash = *measure::flashes(address, 0).first().ok_or_else(|| format!("no flash in {address}"))?;
    let sound = measure::sound(address);
    let beep = measure::onset_within(&sound, flash, REACH_S) - flash;
    Ok(AfterFlash { flash, beep, end: measure::end(&sound) - flash })
}

fn probed(address: &str, arguments: &[&str]) -> Result<Value, String> {
    let mut all = vec!["-v", "error", "-of", "json"];
    all.extend(playlist_options(address));
    all.extend(arguments);
    all.push(address);
    serde_json::from_str(&run("ffprobe", &all)).map_err(|error| error.to_string())
}

/// ffmpeg 5 knows no segments that are called `.m4s`.
fn playlist_options(address: &str) -> Vec<&'static str> {
    if address.contains(".m3u8") { vec!["-allowed_extensions", "ALL"] } else { Vec::new() }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
