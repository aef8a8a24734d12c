//! How loud a track is as a whole (ITU-R BS.1770, EBU R 128), and what makes it as loud as wished.

use ebur128::{EbuR128, Mode};
use gstreamer as gst;
use lectern_domain::{plan::AudioPlan, source::SourceInfo};

use super::{
    MediaFailure,
    audio::{SAMPLE_BYTES, out_point, place_of},
    decode::Decoding,
    near::samples_within,
};

/// True peak that nothing is made louder than, dBTP (EBU R 128).
const HIGHEST_PEAK_DB: f64 = -1.0;
/// The most that anything is made louder, dB. What is quieter than that is a room in which nobody speaks.
const MOST_DB: f64 = 20.0;

/// Listens to all of a track that is on the asset's timeline; the factor for its samples. `heard` is told how far that has come,
/// nanoseconds.
pub(super) fn gain(
    decoding: &Decoding,
    source: &SourceInfo,
    plan: &AudioPlan,
    target_lufs: i32,
    mut heard: impl FnMut(f64),
) -> Result<f64, MediaFailure> {
    let mut meter = EbuR128::new(plan.channels, plan.sample_rate, Mode::I | Mode::TRUE_PEAK)
        .map_err(MediaFailure::internal)?;
    let (mut samples, mut frames) = (Vec::new(), 0u64);
    let (channels, end) = (plan.channels as usize, out_point(source, plan));
    while let Some(sample) = decoding.next()? {
        let Some(buffer) = sample.buffer() else { continue };
        let bytes = buffer.map_readable()?;
        samples.clear();
        let (whole, _) = bytes.as_chunks::<SAMPLE_BYTES>();
        let place = place_of(&sample, source, plan);
        if place.zip(end).is_some_and(|(place, end)| place >= end) {
            break;
        }
        let have = whole.len() / channels;
        let within = place.map_or(0..have, |place| samples_within(place, have, end));
        samples.extend(
            whole[within.start * channels..within.end * channels]
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes)),
        );
        meter.add_frames_f32(&samples).map_err(MediaFailure::internal)?;
        frames += (samples.len() / channels) as u64;
        heard(frames as f64 * gst::ClockTime::SECOND.nseconds() as f64 / f64::from(plan.sample_rate));
    }
    let loudness = meter.loudness_global().map_err(MediaFailure::internal)?;
    let mut peak = 0.0f64;
    for channel in 0..plan.channels {
        peak = peak.max(meter.true_peak(channel).map_err(MediaFailure::internal)?);
    }
    Ok(factor(loudness, peak, f64::from(target_lufs)))
}

/// The factor that brings `loudness` (LUFS; minus infinity where nothing is heard) to `target`, without a `peak` (1 is full
/// scale) above [`HIGHEST_PEAK_DB`].
fn factor(loudness: f64, peak: f64, target: f64) -> f64 {
    if !loudness.is_finite() || !peak.is_finite() || peak <= 0.0 {
        return 1.0;
    }
    let room_db = HIGHEST_PEAK_DB - 20.0 * peak.log10();
    let wanted_db = target - loudness;
    // What has peaks above the highest already is not made quieter for it alone.
    let db = if wanted_db > 0.0 { wanted_db.min(room_db.max(0.0)).min(MOST_DB) } else { wanted_db };
    10f64.powf(db / 20.0)
}

#[cfg(test)]
mod tests {
    use super::factor;

    #[test]
    fn as_loud_as_wished_and_no_peak_is_cut() {
        let db = |loudness, peak_db: f64, target| {
            20.0 * factor(loudness, 10f64.powf(peak_db / 20.0), target).log10()
        };
        let table = [
            ("quieter", -10.0, -0.5, -16.0, -6.0),
            ("louder", -24.0, -14.0, -16.0, 8.0),
            ("as far as its peaks allow", -24.0, -5.0, -16.0, 4.0),
            ("no room at all", -24.0, 0.0, -16.0, 0.0),
            ("hardly anything is heard", -60.0, -50.0, -16.0, 20.0),
            ("as it should be", -16.0, -3.0, -16.0, 0.0),
            ("silence", f64::NEG_INFINITY, -90.0, -16.0, 0.0),
        ];
        for (what, loudness, peak, target, expected) in table {
            assert!(
                (db(loudness, peak, target) - expected).abs() < 1e-9,
                "{what}: {}",
                db(loudness, peak, target)
            );
        }
        assert!((factor(-30.0, 0.0, -16.0) - 1.0).abs() < 1e-9, "no sample at all");
    }
}
