//! Picture and sound stay together: a flash and a beep once a second, measured after decoding.

use std::path::Path;

use lectern_domain::plan::PlanSettings;

use crate::{child::make, fixtures::ffmpeg, oracle};

const FLASH: &str = "-f lavfi -i color=black:size=320x180:rate=25:duration=12,drawbox=color=white:t=fill:enable='lt(mod(t,1),0.2)'";
const BEEP: &str = "-f lavfi -i aevalsrc='if(lt(mod(t,1),0.2),sin(2*PI*1000*t),0)':s=48000:d=12";

/// When the picture turns white, seconds.
fn flashes(path: &Path) -> Vec<f64> {
    let (frames, light) = (oracle::frames(path), oracle::brightness(path));
    assert_eq!(frames.len(), light.len());
    (0..light.len())
        .filter(|at| light[*at] > 128 && (*at == 0 || light[at - 1] <= 128))
        .map(|at| frames[at].seconds)
        .collect()
}

/// When the sound sets in after a silence, seconds.
fn beeps(path: &Path) -> Vec<f64> {
    let samples = oracle::samples(path);
    let mut quiet_since = Some(-48_000_i64);
    let mut found = Vec::new();
    for (at, sample) in samples.iter().enumerate() {
        if sample.abs() > 0.3 {
            if quiet_since.is_some_and(|since| at as i64 - since > 4_800) {
                found.push(at as f64 / 48_000.0);
            }
            quiet_since = Some(at as i64);
        }
    }
    found
}

#[test]
fn flash_and_beep_stay_together() {
    let h264 = "-c:v libx264 -preset ultrafast -bf 2 -pix_fmt yuv420p";
    let both = format!("{FLASH} {BEEP}");
    let plain = ffmpeg(&format!("{both} {h264} -c:a aac"), "mp4");
    let late = |what: &str| {
        let maps = if what == "sound" { "-map 1:v -map 0:a" } else { "-map 0:v -map 1:a" };
        ffmpeg(&format!("-itsoffset 1.3 -i {0} -i {0} {maps} -c copy", plain.display()), "mp4")
    };
    let gap = "-af aselect='not(between(t,4.5,5.5))'";
    let table = [
        ("MP4", plain.clone()),
        ("Matroska with Opus", ffmpeg(&format!("{both} {h264} -c:a libopus"), "mkv")),
        ("MPEG-TS", ffmpeg(&format!("{both} {h264} -c:a aac"), "ts")),
        ("AVI with MP3", ffmpeg(&format!("{both} -c:v mpeg4 -c:a libmp3lame"), "avi")),
        ("44.1 kHz", ffmpeg(&format!("{both} {h264} -c:a aac -ar 44100"), "mp4")),
        ("the sound begins late", late("sound")),
        ("the picture begins late", late("picture")),
        ("a gap in the sound", ffmpeg(&format!("{both} {gap} {h264} -c:a pcm_s16le"), "mkv")),
    ];
    for (what, source) in table {
        // How far apart they are in the source is the source's affair; it must stay so.
        let begins: f64 = oracle::container_field(&source, "start_time").parse().unwrap();
        let seen: Vec<f64> = flashes(&source).iter().map(|flash| flash - begins).collect();
        let expected = apart(&seen, &beeps(&source));
        assert!(expected.len() >= 9, "{what}: {expected:?}");
        let settings = PlanSettings { span_ms: 4_000, ..PlanSettings::default() };
        let made = make(&source, &settings).unwrap_or_else(|code| panic!("{what}: {code:?}"));
        let measured = apart(&flashes(&made.join(&made.rungs()[0])), &beeps(&made.join("audio-0")));
        assert_eq!(measured.len(), expected.len(), "{what}: {measured:?} for {expected:?}");
        for (at, (ours, source)) in measured.iter().zip(&expected).enumerate() {
            assert!(
                (ours - source).abs() < 0.020,
                "{what}: pair {at} is {ours} s apart, {source} s in the source"
            );
        }
    }
}

/// How long after each flash its beep comes, for those that have one: the same number for all.
fn apart(flashes: &[f64], beeps: &[f64]) -> Vec<f64> {
    flashes
        .iter()
        .filter_map(|flash| beeps.iter().map(|beep| beep - flash).find(|apart| apart.abs() < 0.5))
        .collect()
}

/// Integrated loudness in LUFS and the true peak in dBTP, by ffmpeg's own meter.
fn loudness(path: &Path) -> (f64, f64) {
    let output = std::process::Command::new("ffmpeg")
        .args(["-nostats", "-i"])
        .arg(path)
        .args(["-map", "0:a:0", "-af", "ebur128=peak=true", "-f", "null", "-"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let summary = told.rsplit_once("Summary:").expect("a summary").1;
    let value = |name: &str| -> f64 {
        summary.split_once(name).unwrap().1.split_whitespace().next().unwrap().parse().unwrap()
    };
    (value("I:"), value("Peak:"))
}

#[test]
fn sound_is_as_loud_as_asked() {
    let speech = |gain: &str| {
        let noise =
            format!("anoisesrc=color=pink:amplitude=0.2:r=48000:d=20:seed=7,tremolo=f=3:d=0.7,volume={gain}");
        ffmpeg(&format!("-f lavfi -i {noise} -c:a pcm_s24le -ac 2"), "mov")
    };
    let peaky = ffmpeg(
        "-f lavfi -i anoisesrc=color=pink:amplitude=0.02:r=48000:d=20:seed=7 \
         -f lavfi -i aevalsrc='if(lt(mod(t,5),0.002),0.8*sin(2*PI*1000*t),0)':s=48000:d=20 \
         -filter_complex amix=inputs=2:normalize=0 -c:a pcm_s24le",
        "mov",
    );
    let of = |source: &Path, target| {
        let made = make(source, &PlanSettings { loudness_lufs: target, ..PlanSettings::default() }).unwrap();
        loudness(&made.join("audio-0"))
    };
    for gain in ["-3dB", "0dB", "9dB"] {
        let (before, _) = loudness(&speech(gain));
        let (as_it_is, _) = of(&speech(gain), None);
        assert!((before - as_it_is).abs() < 0.5, "{gain}: {before} LUFS became {as_it_is}");
        let (after, peak) = of(&speech(gain), Some(-16));
        assert!((after + 16.0).abs() < 0.5 && peak < 0.0, "{gain}: {after} LUFS, {peak} dBTP");
    }
    let (before, _) = loudness(&peaky);
    let (after, peak) = of(&peaky, Some(-16));
    assert!(
        after > before && after < -17.0 && peak < 0.0,
        "{before} LUFS became {after} with peaks of {peak} dBTP"
    );
}
