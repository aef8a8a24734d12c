//! One audio track, whole: decode, downmix, resample, AAC-LC, segments on the nominal grid. Whole, because an AAC
//! encoder carries state from frame to frame and a seam would be heard.
//!
//! Sound is placed by counting samples from the asset's zero. A late start and a gap become silence, sound before zero
//! or twice is left out, so that the count and the clock never differ by more than [`TOLERANCE_MS`]. At the out point it ends.
//!
//! The encoder delays the sound by one frame of 1024 samples. Leaving out its first access unit, which holds only that
//! delay, puts every sample back in its place without an edit list (ISO/IEC 23000-19 7.5.13 wants none in `cmf2`).
//!
//! What goes to the encoder is what the waveform shows: as loud as it will be heard, with the silence that was put in.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use lectern_domain::{
    failure::FailureCode,
    media::{SegmentOutput, TrackKind, TrackOutput, TranscodeOutput},
    plan::{AudioPlan, SECOND_NS},
    source::SourceInfo,
    waveform::{self, Peaks},
};

use super::{
    MediaFailure, OnProgress, Running, STALL,
    decode::{Chain, Decoding, Enter, Kind, presented},
    downmix::downmix,
    element,
    file::SourceFile,
    loudness, measure,
    mux::{self, AccessUnit, Muxing},
    near::{open_near, samples_within},
    timeline,
};

/// Samples in an access unit of AAC-LC (ISO/IEC 14496-3).
const UNIT: u64 = 1024;
/// How far the sample count may drift from the source's clock before it is corrected, milliseconds. Half of what the
/// ear allows against the picture.
const TOLERANCE_MS: u64 = 10;
/// Longest silence put into a gap when the source declares no duration.
const MAX_GAP_NS: u64 = 3_600 * SECOND_NS;
/// How often a wait looks at the time.
const POLL: Duration = Duration::from_millis(100);
/// Segments that are told of together, and the least time between that: each time costs the parent a transaction.
const TELL_OF: usize = 4;
const TELL_EVERY: Duration = Duration::from_secs(2);
/// Share of the work that measuring the loudness is.
const MEASURED_SHARE: f64 = 0.4;
/// Bytes of one sample of one channel.
pub(super) const SAMPLE_BYTES: usize = 4;

/// Makes one audio track into `folder`. `made` hears of segments that are whole while others are still being made.
pub(crate) fn transcode_audio(
    file: &SourceFile,
    source: &SourceInfo,
    plan: &AudioPlan,
    folder: &Path,
    progress: OnProgress<'_>,
    made: &mut dyn FnMut(TrackOutput),
) -> Result<TranscodeOutput, MediaFailure> {
    let share = |done: f64| done / source.duration_ns.unwrap_or(0).max(1) as f64;
    let (gain, measured) = match plan.loudness_lufs {
        None => (None, 0.0),
        Some(target) => {
            let heard = |ns| progress(MEASURED_SHARE * share(ns).min(1.0));
            let decoding = open(file, source, plan, None)?;
            (Some(loudness::gain(&decoding, source, plan, target, heard)?), MEASURED_SHARE)
        }
    };
    let decoding = open(file, source, plan, gain)?;
    let rate = u64::from(plan.sample_rate);
    let frame = SAMPLE_BYTES * plan.channels as usize;
    let tolerance = (rate * TOLERANCE_MS / 1_000) as i64;
    let limit_ns = source.duration_ns.map_or(MAX_GAP_NS, |duration| duration + SECOND_NS);
    let limit =
        i64::try_from(u128::from(limit_ns) * u128::from(rate) / u128::from(SECOND_NS)).unwrap_or(i64::MAX);
    let end = out_point(source, plan);

    let mut encoding: Option<Encoding> = None;
    let mut written = 0u64;
    while let Some(sample) = decoding.next()? {
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps()) else { continue };
        let mut have = buffer.size() / frame;
        let place = place_of(&sample, source, plan);
        if place.is_some_and(|place| samples_within(place, have, None).is_empty()) {
            continue;
        }
        if encoding.is_none() {
            encoding = Some(Encoding::start(plan, caps, folder)?);
        }
        let Some(encoder) = encoding.as_mut() else { continue };
        let mut skip = 0;
        if let Some(place) = place {
            let place = place.min(end.unwrap_or(i64::MAX));
            let off = place - written as i64;
            let first = written == 0;
            if off < 0 && (first || -off > tolerance) {
                skip = (-off as usize).min(have);
                have -= skip;
            } else if off > 0 && (first || off > tolerance) && place <= limit {
                encoder.silence(&mut written, off as u64, frame)?;
            }
        }
        have = end.map_or(have, |end| samples_within(written as i64, have, Some(end)).len());
        if have == 0 {
            if end.is_some_and(|end| written as i64 >= end) {
                break;
            }
            continue;
        }
        let part = buffer
            .copy_region(gst::BufferCopyFlags::MEMORY, skip * frame..(skip + have) * frame)
            .map_err(MediaFailure::internal)?;
        encoder.push(&mut written, part, have as u64)?;
        if let Some(track) = encoder.news(plan)? {
            made(track);
        }
        progress(measured + (1.0 - measured) * share(written as f64 / rate as f64 * 1e9));
    }
    drop(decoding);
    let Some(encoding) = encoding else {
        // Another track may have something to show or to play; without one there would be an empty package.
        if source.video.is_none() && source.audio.len() <= 1 {
            return Err(MediaFailure::new(
                FailureCode::SourceCorrupt,
                "expected sound, none could be decoded",
            ));
        }
        return Ok(TranscodeOutput::default());
    };
    let (track, peaks) = encoding.finish(plan)?;
    if let Some(waveform) = peaks.finish() {
        std::fs::write(folder.join(waveform::FILE), waveform.to_bytes())?;
    }
    progress(1.0);
    Ok(TranscodeOutput { tracks: vec![track] })
}

/// Where decoded sound belongs on the asset's timeline, samples.
pub(super) fn place_of(sample: &gst::Sample, source: &SourceInfo, plan: &AudioPlan) -> Option<i64> {
    let time = presented(sample, &source.container)?;
    Some(timeline::to_ticks(time - source.start_ns as i64, plan.sample_rate))
}

/// Where the asset's timeline ends although the source may go on, samples.
pub(super) fn out_point(source: &SourceInfo, plan: &AudioPlan) -> Option<i64> {
    source.out_point_ns().map(|end| timeline::to_ticks(end as i64, plan.sample_rate))
}

/// Begins to decode a track from the asset's zero into what its encoder takes, `gain` times as loud.
fn open(
    file: &SourceFile,
    source: &SourceInfo,
    plan: &AudioPlan,
    gain: Option<f64>,
) -> Result<Decoding, MediaFailure> {
    let decoding =
        open_near(source, |enter| Decoding::open(file, Kind::Audio, plan.track, &chain(plan, gain, enter)?))?;
    decoding.play()?;
    Ok(decoding)
}

fn chain(plan: &AudioPlan, gain: Option<f64>, enter: Option<Enter>) -> Result<Chain, MediaFailure> {
    let raw = gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("layout", "interleaved")
        .field("rate", plan.sample_rate as i32)
        .field("channels", plan.channels as i32)
        .build();
    let convert = element("audioconvert")?;
    downmix(&convert);
    let mut after = vec![convert, element("audioresample")?];
    if let Some(gain) = gain {
        let volume = element("volume")?;
        volume.set_property("volume", gain);
        after.push(volume);
    }
    Ok(Chain { threads: 1, unpadded: false, after, caps: raw, enter })
}

/// Access units on their way into segments.
struct Units {
    muxing: Muxing,
    caps: Option<gst::Caps>,
    /// Samples in a nominal segment.
    segment: u64,
    /// Access units seen, the encoder's delay among them.
    seen: u64,
    /// The segment being collected.
    open: Vec<AccessUnit>,
    /// The whole segment before it, held back because a short tail joins it.
    held: Option<(u32, Vec<AccessUnit>)>,
    next_index: u32,
}

struct Encoding {
    pipeline: Running,
    source: gst_app::AppSrc,
    units: Arc<Mutex<Units>>,
    peaks: Peaks,
    rate: u64,
    /// Segments that were told of. Their files may be gone.
    told: Vec<SegmentOutput>,
    told_at: Option<Instant>,
}

impl Encoding {
    fn start(plan: &AudioPlan, caps: &gst::CapsRef, folder: &Path) -> Result<Self, MediaFailure> {
        let pipeline = gst::Pipeline::new();
        let source =
            gst_app::AppSrc::builder().format(gst::Format::Time).caps(&caps.to_owned()).block(true).build();
        source.set_max_bytes(1 << 18);
        let convert = element("audioconvert")?;
        let encoder = element("avenc_aac")?;
        encoder.set_property("bitrate", plan.bps as i32);
        // On unless told otherwise, and then every band is coded as middle and side, the side so coarsely that what is on
        // one channel alone comes out on both.
        encoder.set_property("aac-ms", false);
        let output =
            gst::Caps::builder("audio/mpeg").field("mpegversion", 4).field("stream-format", "raw").build();
        let sink = gst_app::AppSink::builder().caps(&output).sync(false).async_(false).build();
        pipeline.add_many([source.upcast_ref(), &convert, &encoder, sink.upcast_ref()])?;
        gst::Element::link_many([source.upcast_ref(), &convert, &encoder, sink.upcast_ref()])?;
        let muxing = Muxing::new(&pipeline, mux::names(folder, &plan.name)?, plan.sample_rate, 1)?;
        let rate = u64::from(plan.sample_rate);
        let units = Arc::new(Mutex::new(Units {
            muxing,
            caps: None,
            segment: (u128::from(plan.segment_ns) * u128::from(rate) / u128::from(SECOND_NS)).max(1) as u64,
            seen: 0,
            open: Vec::new(),
            held: None,
            next_index: 0,
        }));
        let (on_sample, on_end) = (Arc::clone(&units), Arc::clone(&units));
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    on_sample.lock().unwrap_or_else(PoisonError::into_inner).take(&sample)
                })
                .eos(move |_| {
                    // A refusal leaves segments waiting, which finish() reports.
                    let _ = on_end.lock().unwrap_or_else(PoisonError::into_inner).end();
                })
                .build(),
        );
        let encoding = Self {
            pipeline: Running(pipeline),
            source,
            units,
            peaks: Peaks::new(plan.sample_rate, plan.channels),
            rate,
            told: Vec::new(),
            told_at: None,
        };
        encoding.pipeline.0.set_state(gst::State::Playing).map_err(|_| {
            encoding.error().unwrap_or_else(|| MediaFailure::internal("the audio graph does not start"))
        })?;
        Ok(encoding)
    }

    fn push(&mut self, written: &mut u64, mut buffer: gst::Buffer, samples: u64) -> Result<(), MediaFailure> {
        let data = buffer.map_readable().map_err(MediaFailure::internal)?;
        let (values, _) = data.as_chunks::<SAMPLE_BYTES>();
        self.peaks.push(values.iter().map(|value| f32::from_le_bytes(*value)));
        drop(data);
        let at = |samples: u64| gst::ClockTime::from_nseconds(timeline::to_ns(samples, self.rate as u32));
        let times = buffer.make_mut();
        times.set_pts(at(*written));
        times.set_duration(at(*written + samples) - at(*written));
        *written += samples;
        self.source.push_buffer(buffer).map(|_| ()).map_err(|flow| {
            self.error()
                .unwrap_or_else(|| MediaFailure::internal(format!("the audio graph refuses data: {flow}")))
        })
    }

    fn silence(&mut self, written: &mut u64, samples: u64, frame: usize) -> Result<(), MediaFailure> {
        let mut left = samples;
        while left > 0 {
            let part = left.min(self.rate);
            self.push(written, gst::Buffer::from_mut_slice(vec![0u8; part as usize * frame]), part)?;
            left -= part;
        }
        Ok(())
    }

    fn finish(mut self, plan: &AudioPlan) -> Result<(TrackOutput, Peaks), MediaFailure> {
        self.source.end_of_stream().map_err(MediaFailure::internal)?;
        let deadline = Instant::now() + STALL;
        // What goes wrong while encoding is never the source's fault.
        while !self.pipeline.ended(POLL).map_err(|failure| MediaFailure::internal(failure.detail))? {
            if Instant::now() > deadline {
                return Err(MediaFailure::new(
                    FailureCode::SourceTimeLimit,
                    "the audio encoder did not finish",
                ));
            }
        }
        let units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        let segments = units.muxing.finish()?;
        let mut all = std::mem::take(&mut self.told);
        let rest = measured(units.muxing.names(), &segments[all.len()..])?;
        all.extend(rest);
        let track = track_of(units.muxing.names(), plan, all);
        drop(units);
        Ok((track, self.peaks))
    }

    /// The segments that are whole and were not told of, when it is time to tell.
    fn news(&mut self, plan: &AudioPlan) -> Result<Option<TrackOutput>, MediaFailure> {
        if self.told_at.is_some_and(|at| at.elapsed() < TELL_EVERY) {
            return Ok(None);
        }
        let units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = units.muxing.whole(self.told.len());
        if whole.len() < TELL_OF {
            return Ok(None);
        }
        let whole = measured(units.muxing.names(), &whole)?;
        self.told.extend(whole.iter().cloned());
        self.told_at = Some(Instant::now());
        Ok(Some(track_of(units.muxing.names(), plan, whole)))
    }

    /// What goes wrong while encoding is never the source's fault.
    fn error(&self) -> Option<MediaFailure> {
        self.pipeline.error().map(|failure| MediaFailure::internal(failure.detail))
    }
}

/// Some segments, from their files.
fn measured(names: &mux::Names, segments: &[u32]) -> Result<Vec<SegmentOutput>, MediaFailure> {
    segments.iter().map(|index| measure::segment(names, *index)).collect()
}

fn track_of(names: &mux::Names, plan: &AudioPlan, segments: Vec<SegmentOutput>) -> TrackOutput {
    TrackOutput {
        name: plan.name.clone(),
        kind: TrackKind::Audio {
            sample_rate: plan.sample_rate,
            channels: plan.channels,
            language: plan.language.clone(),
        },
        // The muxer was told to use it, and the packager looks at the init segment.
        timescale: plan.sample_rate,
        init: names.init(),
        segments,
    }
}

impl Units {
    fn take(&mut self, sample: &gst::Sample) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.caps.is_none() {
            self.caps = sample.caps().map(gst::CapsRef::to_owned);
        }
        self.seen += 1;
        if self.seen == 1 {
            return Ok(gst::FlowSuccess::Ok);
        }
        let Some(mut buffer) = sample.buffer_owned() else { return Ok(gst::FlowSuccess::Ok) };
        // Every access unit can be decoded by itself as far as a file is concerned.
        buffer.make_mut().unset_flags(gst::BufferFlags::DELTA_UNIT | gst::BufferFlags::DISCONT);
        let start = (self.seen - 2) * UNIT;
        if start >= u64::from(self.next_index + 1) * self.segment {
            self.close()?;
        }
        self.open.push(AccessUnit { buffer, pts: start, dts: start, duration: UNIT });
        Ok(gst::FlowSuccess::Ok)
    }

    /// The open segment is whole; the one before it can go.
    fn close(&mut self) -> Result<(), gst::FlowError> {
        self.send_held()?;
        self.held = Some((self.next_index, std::mem::take(&mut self.open)));
        self.next_index += 1;
        Ok(())
    }

    fn send_held(&mut self) -> Result<(), gst::FlowError> {
        let Some((index, units)) = self.held.take() else { return Ok(()) };
        let caps = self.caps.clone().unwrap_or_else(gst::Caps::new_any);
        self.muxing.segment(index, &caps, units)
    }

    fn end(&mut self) -> Result<(), gst::FlowError> {
        let short = (self.open.len() as u64 * UNIT) < self.segment / 4;
        match &mut self.held {
            Some((_, units)) if short => units.append(&mut self.open),
            _ => self.close()?,
        }
        let sent = self.send_held();
        self.muxing.end();
        sent
    }
}
