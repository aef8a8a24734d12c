//! The waveform that an audio job leaves beside its segments.

use lectern_domain::{
    plan::PlanSettings,
    waveform::{self, Waveform},
};

use crate::{
    child::make,
    fixtures::{H264, ffmpeg, picture},
};

/// The waveform of a source, and how loud each of its points is.
fn waveform_of(source: &std::path::Path) -> (Waveform, Vec<i32>) {
    let made = make(source, &PlanSettings::default()).unwrap();
    let file = std::fs::read(made.folder.path().join(waveform::FILE)).unwrap();
    let found = Waveform::from_bytes(&file).unwrap();
    let peak = |(least, greatest): &(i8, i8)| i32::from(*greatest).max(-i32::from(*least));
    let peaks = found.points.iter().map(peak).collect();
    (found, peaks)
}

#[test]
fn it_is_loud_where_the_tone_is_and_as_long_as_the_sound() {
    // Two seconds of silence, three of a tone at half of full scale, one of silence.
    let tone = "0.5*sin(2*PI*440*t)*between(t\\,2\\,5)";
    let left = 0.5 / (1.0 + 2.0_f64.sqrt());
    let table = [
        ("mono", tone.to_owned(), "mono", 48_000, 0.5),
        ("stereo on one side", format!("0|{tone}"), "stereo", 44_100, 0.5),
        // The sides are the same upside down: their mean is silence.
        ("stereo out of phase", format!("{tone}|-{tone}"), "stereo", 48_000, 0.5),
        // ITU-R BS.775: the left of six channels is so much of the left of two.
        ("surround", format!("{tone}|0|0|0|0|0"), "5.1", 48_000, left),
    ];
    for (name, channels, layout, rate, amplitude) in table {
        let source = ffmpeg(&format!("-f lavfi -i aevalsrc={channels}:c={layout}:s={rate}:d=6"), "wav");
        let (found, peaks) = waveform_of(&source);
        assert_eq!((found.sample_rate, found.samples_per_point), (rate, rate / 10), "{name}");
        assert_eq!(peaks.len(), 60, "{name}");
        let expected = (amplitude * 128.0) as i32;
        for (at, peak) in peaks.into_iter().enumerate() {
            let right = if (20..50).contains(&at) { expected - 2..=expected + 2 } else { 0..=1 };
            assert!(right.contains(&peak), "{name}: {peak} at {at}, expected {right:?}");
        }
    }
}

#[test]
fn it_has_the_silence_before_a_late_sound_and_the_gain_that_is_heard() {
    let late = "-itsoffset 1 -f lavfi -i aevalsrc=0.05*sin(2*PI*1000*t):s=48000:d=8";
    let source = ffmpeg(&format!("{} {late} {H264} -c:a pcm_s16le", picture("320x180", 25, 9.0)), "mkv");
    let (_, peaks) = waveform_of(&source);
    assert_eq!(peaks.len(), 90);
    assert!(peaks[..10].iter().all(|peak| *peak == 0), "{peaks:?}");
    assert!(peaks[10..].iter().all(|peak| (5..=8).contains(peak)), "{peaks:?}");

    let made = make(&source, &PlanSettings { loudness_lufs: Some(-16), ..PlanSettings::default() }).unwrap();
    let file = std::fs::read(made.folder.path().join(waveform::FILE)).unwrap();
    let louder = Waveform::from_bytes(&file).unwrap();
    assert_eq!(louder.points.len(), 90);
    assert!(louder.points[15].1 > 2 * peaks[15] as i8, "{} after {}", louder.points[15].1, peaks[15]);
}
