//! All rungs at once: one raw frame in, one access unit per rung out.
//!
//! ```text
//! scale (top rung)  -> appsrc ! x264enc ! appsink -> segments -> cmafmux
//!   scale (next rung) -> appsrc ! x264enc ! …
//! ```
//!
//! Each rung is scaled from the one above it, which costs a fraction of scaling each from the source.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use lectern_domain::{
    failure::FailureCode,
    ladder::Rung,
    media::{TrackKind, TrackOutput},
    source::Ratio,
};

use super::{
    MediaFailure, Running, STALL, beat,
    cadence::Content,
    element, measure,
    mux::{self, AccessUnit, Muxing},
    retime::decode_times,
    scale::Scaler,
    skip::SkipPictures,
    still::Area,
    timeline,
};

/// Raw frames that wait before each encoder. Encoders hold a lookahead of their own.
const QUEUED_FRAMES: u64 = 2;

/// How often a wait looks at the time.
const POLL: Duration = Duration::from_millis(100);

/// x264's own value for keyframes only where asked (`X264_KEYINT_MAX_INFINITE`).
const KEYINT_INFINITE: u32 = 1 << 30;

/// What every picture is when it enters the ladder, besides I420.
pub(super) const COLORIMETRY: &str = "bt709";

/// What is common to the rungs of one span.
pub(super) struct Settings<'a> {
    pub(super) rungs: &'a [Rung],
    pub(super) preset: &'a str,
    /// Quantiser below which calm pictures are not encoded.
    pub(super) calm_quantiser: u32,
    /// Whether pictures that are shown again are written as skip pictures, which takes a stream without B pictures.
    pub(super) skip_pictures: bool,
    pub(super) frame_rate: Ratio,
    pub(super) timescale: u32,
    pub(super) folder: &'a Path,
}

/// Where segments begin and the span ends, in ticks. Written by the frame loop before the frame is pushed, read when
/// the encoded frame comes out.
#[derive(Debug, Default)]
struct Grid {
    starts: BTreeMap<u64, u32>,
    /// Where pictures are shown again that are not encoded again.
    again: BTreeSet<u64>,
    end: u64,
}

/// One rung's encoded side.
struct RungState {
    muxing: Muxing,
    timescale: u32,
    grid: Arc<Mutex<Grid>>,
    caps: Option<gst::Caps>,
    /// Access units of the segment being collected, with their presentation ticks, in decode order.
    pending: Vec<(u64, gst::Buffer)>,
    failure: Option<MediaFailure>,
}

/// One rung: scaled pictures in, segments out.
struct Step {
    rung: Rung,
    scaler: Scaler,
    source: gst_app::AppSrc,
    /// The picture that went last.
    last: Option<gst::Buffer>,
    state: Arc<Mutex<RungState>>,
}

/// The running ladder.
pub(super) struct Ladder {
    pipeline: Running,
    /// Format of the pictures that come in, with the caps that it was read from.
    format: Option<(gst::Caps, gst_video::VideoInfo)>,
    frame_rate: Ratio,
    timescale: u32,
    skip_pictures: bool,
    grid: Arc<Mutex<Grid>>,
    steps: Vec<Step>,
}

impl Ladder {
    /// Encoders for `content`, whose first segment has the index `first_segment`.
    pub(super) fn start(
        settings: &Settings<'_>,
        content: Content,
        first_segment: u32,
    ) -> Result<Self, MediaFailure> {
        let pipeline = gst::Pipeline::new();
        let grid = Arc::new(Mutex::new(Grid::default()));
        let mut steps = Vec::new();
        for rung in settings.rungs {
            // The rate goes into the stream's headers, which must be equal in every span: the probe's, not what a
            // decoder guesses.
            let rate = gst::Fraction::new(settings.frame_rate.num as i32, settings.frame_rate.den as i32);
            let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, rung.width, rung.height)
                .par(gst::Fraction::new(1, 1))
                .fps(rate)
                .colorimetry(&COLORIMETRY.parse()?)
                .interlace_mode(gst_video::VideoInterlaceMode::Progressive)
                .build()?;
            let source = gst_app::AppSrc::builder()
                .format(gst::Format::Time)
                .block(true)
                .max_buffers(QUEUED_FRAMES)
                .max_bytes(0)
                .caps(&info.to_caps()?)
                .build();
            let encoder = encoder(settings, content, rung)?;
            let output = gst_video::VideoCapsBuilder::for_encoding("video/x-h264")
                .field("profile", "high")
                .field("stream-format", "avc")
                .field("alignment", "au")
                .build();
            let sink = gst_app::AppSink::builder().caps(&output).sync(false).async_(false).build();
            pipeline.add_many([source.upcast_ref(), &encoder, sink.upcast_ref()])?;
            gst::Element::link_many([source.upcast_ref(), &encoder, sink.upcast_ref()])?;
            let names = mux::names(settings.folder, &rung.name)?;
            let muxing = Muxing::new(&pipeline, names, settings.timescale, first_segment + 1)?;
            let state = Arc::new(Mutex::new(RungState {
                muxing,
                timescale: settings.timescale,
                grid: Arc::clone(&grid),
                caps: None,
                pending: Vec::new(),
                failure: None,
            }));
            collect(&sink, &state);
            steps.push(Step { rung: rung.clone(), scaler: Scaler::new(info)?, source, last: None, state });
        }
        let ladder = Self {
            pipeline: Running(pipeline),
            format: None,
            frame_rate: settings.frame_rate,
            timescale: settings.timescale,
            skip_pictures: settings.skip_pictures,
            grid,
            steps,
        };
        ladder.pipeline.0.set_state(gst::State::Playing).map_err(|_| {
            ladder.error().unwrap_or_else(|| MediaFailure::internal("the encoding graph does not start"))
        })?;
        Ok(ladder)
    }

    /// Takes the next frame. `starts_segment` makes it a keyframe in every rung. Outside of `changed` it is as the one that was pushed
    /// before it, sample for sample. Blocks while the encoders are busy.
    pub(super) fn push(
        &mut self,
        sample: &gst::Sample,
        ticks: u64,
        starts_segment: Option<u32>,
        mut changed: Option<Area>,
    ) -> Result<(), MediaFailure> {
        if let Some(failure) = self.error() {
            return Err(failure);
        }
        let (Some(buffer), Some(caps)) = (sample.buffer_owned(), sample.caps()) else {
            return Err(MediaFailure::internal("a frame without data or caps"));
        };
        let mut format = match &self.format {
            Some((known, format)) if known.as_ref() == caps => format.clone(),
            _ => {
                let format = gst_video::VideoInfo::from_caps(caps)?;
                self.format = Some((caps.to_owned(), format.clone()));
                format
            }
        };
        let ns = gst::ClockTime::from_nseconds(timeline::to_ns(ticks, self.timescale));
        // The first frame is a keyframe by itself.
        let mut force = false;
        if let Some(index) = starts_segment {
            let mut grid = self.grid.lock().unwrap_or_else(PoisonError::into_inner);
            force = !grid.starts.is_empty();
            grid.starts.insert(ticks, index);
        }
        let mut picture = buffer;
        let times = picture.make_mut();
        times.set_pts(ns);
        times.set_dts(None);
        times.set_duration(None);
        for step in &mut self.steps {
            if force {
                let event = gst_video::DownstreamForceKeyUnitEvent::builder()
                    .timestamp(ns)
                    .stream_time(ns)
                    .running_time(ns)
                    .all_headers(false)
                    .build();
                step.source.send_event(event);
            }
            (picture, changed) = step.scaler.scale_again(&picture, &format, step.last.as_ref(), changed)?;
            format.clone_from(step.scaler.info());
            step.last = Some(picture.clone());
            if let Err(flow) = step.source.push_buffer(picture.clone()) {
                return Err(self.refused(flow));
            }
        }
        Ok(())
    }

    /// Shows the picture that was pushed last again, at a later tick: without its being encoded where that can be, and scaled already
    /// in any case.
    pub(super) fn push_again(&mut self, ticks: u64) -> Result<(), MediaFailure> {
        if let Some(failure) = self.error() {
            return Err(failure);
        }
        if self.skip_pictures {
            self.grid.lock().unwrap_or_else(PoisonError::into_inner).again.insert(ticks);
            return Ok(());
        }
        let ns = gst::ClockTime::from_nseconds(timeline::to_ns(ticks, self.timescale));
        for step in &mut self.steps {
            let mut picture =
                step.last.clone().ok_or_else(|| MediaFailure::internal("nothing to show again"))?;
            picture.make_mut().set_pts(ns);
            if let Err(flow) = step.source.push_buffer(picture) {
                return Err(self.refused(flow));
            }
        }
        Ok(())
    }

    fn refused(&self, flow: gst::FlowError) -> MediaFailure {
        self.error()
            .unwrap_or_else(|| MediaFailure::internal(format!("the encoding graph refuses a frame: {flow}")))
    }

    /// Ends the span at `end` ticks, waits until everything is written and reports what is in the files.
    pub(super) fn finish(self, end: u64) -> Result<Vec<TrackOutput>, MediaFailure> {
        self.grid.lock().unwrap_or_else(PoisonError::into_inner).end = end;
        for step in &self.steps {
            step.source.end_of_stream().map_err(MediaFailure::internal)?;
        }
        // The encoders still hold their lookahead, which at a slow preset takes a while.
        let deadline = Instant::now() + 4 * STALL;
        loop {
            if let Some(failure) = self.own_failure() {
                return Err(failure);
            }
            if self.pipeline.ended(POLL).map_err(ours)? {
                break;
            }
            if Instant::now() > deadline {
                return Err(MediaFailure::new(FailureCode::SourceTimeLimit, "the encoders did not finish"));
            }
        }
        let mut tracks = Vec::new();
        for Step { rung, state, .. } in &self.steps {
            let state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let names = state.muxing.names();
            let segments = state.muxing.finish()?;
            let init = names.init();
            tracks.push(TrackOutput {
                name: rung.name.clone(),
                kind: TrackKind::Video {
                    width: rung.width,
                    height: rung.height,
                    frame_rate: self.frame_rate,
                },
                timescale: measure::timescale(&names.folder.join(&init))?,
                init,
                segments: segments
                    .iter()
                    .map(|index| measure::segment(names, *index))
                    .collect::<Result<_, _>>()?,
            });
        }
        Ok(tracks)
    }

    fn error(&self) -> Option<MediaFailure> {
        self.own_failure().or_else(|| self.pipeline.error().map(ours))
    }

    /// What a rung found wrong with what its encoder gave it.
    fn own_failure(&self) -> Option<MediaFailure> {
        self.steps.iter().find_map(|step| {
            // A rung that is busy right now has not failed yet.
            step.state.try_lock().ok().and_then(|mut state| state.failure.take())
        })
    }
}

/// What goes wrong on this side is never the source's fault.
fn ours(failure: MediaFailure) -> MediaFailure {
    MediaFailure::internal(failure.detail)
}

/// x264 for one rung: capped CRF, keyframes only where asked, everything that affects the bits pinned.
fn encoder(settings: &Settings<'_>, content: Content, rung: &Rung) -> Result<gst::Element, MediaFailure> {
    let encoder = element("x264enc")?;
    encoder.set_property_from_str("speed-preset", settings.preset);
    // x264enc lets its properties win over the option string, so what has a property is set as one. With constant
    // quality, `bitrate` is the ceiling, in kbit/s, and the buffer is given in milliseconds at that rate.
    encoder.set_property_from_str("pass", "qual");
    encoder.set_property("quantizer", rung.crf.round().clamp(0.0, 50.0) as u32);
    encoder.set_property("bitrate", (rung.max_bps / 1_000).max(1) as u32);
    encoder.set_property(
        "vbv-buf-capacity",
        (rung.buffer_bits * 1_000 / rung.max_bps.max(1)).min(10_000) as u32,
    );
    encoder.set_property("key-int-max", KEYINT_INFINITE);
    // Rungs run side by side, the largest of them half of the work, and spans beside spans. A further thread of an encoder would hold
    // pictures of its own.
    encoder.set_property("threads", 1u32);
    // The lookahead runs in the encoder's own thread: a thread for it costs processor time and more frames in flight.
    encoder.set_property("sync-lookahead", 0);
    encoder.set_property("qos", false);
    let mut options = format!("crf={:.2}:scenecut=0:open-gop=0:force-cfr=0", rung.crf);
    if content == Content::Calm {
        encoder.set_property("qp-min", settings.calm_quantiser);
        // What a macroblock tree would find out is bounded above: it only costs time, memory and, where something small moves, a
        // fifth of the bytes.
        encoder.set_property("mb-tree", false);
        // What moves on a slide is small, and most of what an encoder does for it is done for the whole picture: refining motion to
        // quarters of a sample takes a fifth of its time and saves a hundredth of its bytes. Nothing fades as a whole.
        encoder.set_property("subme", 1u32);
        options += ":weightp=0";
        options += if settings.skip_pictures { ":rc-lookahead=0" } else { ":rc-lookahead=3" };
    }
    if settings.skip_pictures {
        encoder.set_property("bframes", 0u32);
        encoder.set_property("ref", 1u32);
    }
    encoder.set_property("option-string", options);
    Ok(encoder)
}

fn collect(sink: &gst_app::AppSink, state: &Arc<Mutex<RungState>>) {
    let (on_sample, on_end) = (Arc::clone(state), Arc::clone(state));
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                on_sample.lock().unwrap_or_else(PoisonError::into_inner).take(&sample)
            })
            .eos(move |_| {
                let mut state = on_end.lock().unwrap_or_else(PoisonError::into_inner);
                // A refusal leaves segments waiting, which finish() reports.
                let _ = state.close_segment(None);
                state.muxing.end();
            })
            .build(),
    );
}

impl RungState {
    fn take(&mut self, sample: &gst::Sample) -> Result<gst::FlowSuccess, gst::FlowError> {
        let ticks = sample
            .buffer()
            .and_then(gst::BufferRef::pts)
            .zip(sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>()))
            .and_then(|(pts, segment)| segment.to_running_time(pts))
            .map(|time| timeline::to_ticks(time.nseconds() as i64, self.timescale) as u64);
        let (Some(ticks), Some(buffer)) = (ticks, sample.buffer_owned()) else {
            self.failure = Some(MediaFailure::internal("an access unit without a time"));
            return Err(gst::FlowError::Error);
        };
        if !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
            self.close_segment(Some(ticks))?;
        }
        if self.caps.is_none() {
            self.caps = sample.caps().map(gst::CapsRef::to_owned);
        }
        beat();
        self.pending.push((ticks, buffer));
        Ok(gst::FlowSuccess::Ok)
    }

    /// Sends the collected segment to the muxer. It ends where the next begins, or where the span does.
    fn close_segment(&mut self, next: Option<u64>) -> Result<(), gst::FlowError> {
        let pending = std::mem::take(&mut self.pending);
        let Some((start, _)) = pending.first() else { return Ok(()) };
        let grid = self.grid.lock().unwrap_or_else(PoisonError::into_inner);
        let (index, end) = (grid.starts.get(start).copied(), next.unwrap_or(grid.end));
        let again: Vec<u64> = grid.again.range(*start..end).copied().collect();
        drop(grid);
        let Some(index) = index else {
            self.failure =
                Some(MediaFailure::internal(format!("a keyframe that nobody asked for, at tick {start}")));
            return Err(gst::FlowError::Error);
        };
        let caps = self.caps.clone().unwrap_or_else(gst::Caps::new_any);
        let pending = if again.is_empty() {
            pending
        } else {
            with_skip_pictures(&caps, pending, &again).map_err(|failure| {
                self.failure = Some(failure);
                gst::FlowError::Error
            })?
        };
        let pts: Vec<u64> = pending.iter().map(|(ticks, _)| *ticks).collect();
        let units = pending
            .into_iter()
            .zip(decode_times(&pts, end))
            .map(|((pts, buffer), time)| AccessUnit { buffer, pts, dts: time.start, duration: time.duration })
            .collect();
        self.muxing.segment(index, &caps, units)
    }
}

/// A segment's access units with skip pictures at the ticks `again` between them.
fn with_skip_pictures(
    caps: &gst::Caps,
    encoded: Vec<(u64, gst::Buffer)>,
    again: &[u64],
) -> Result<Vec<(u64, gst::Buffer)>, MediaFailure> {
    let headers = caps
        .structure(0)
        .and_then(|structure| structure.get::<gst::Buffer>("codec_data").ok())
        .ok_or_else(|| MediaFailure::internal("an encoder that does not say its headers"))?;
    let skip = SkipPictures::new(&headers.map_readable()?).map_err(MediaFailure::internal)?;
    let mut units = Vec::with_capacity(encoded.len() + again.len());
    let mut again = again.iter().copied().peekable();
    let mut encoded = encoded.into_iter().peekable();
    while let Some((ticks, mut buffer)) = encoded.next() {
        if !units.is_empty() {
            let unit = skip.numbered(&buffer.map_readable()?, units.len()).map_err(MediaFailure::internal)?;
            let mut numbered = gst::Buffer::from_mut_slice(unit);
            numbered.make_mut().set_flags(buffer.flags());
            buffer = numbered;
        }
        units.push((ticks, buffer));
        while let Some(ticks) = again.next_if(|ticks| encoded.peek().is_none_or(|(next, _)| ticks < next)) {
            let unit = skip.again(units.len()).map_err(MediaFailure::internal)?;
            let mut repeated = gst::Buffer::from_mut_slice(unit);
            repeated.make_mut().set_flags(gst::BufferFlags::DELTA_UNIT);
            units.push((ticks, repeated));
        }
    }
    Ok(units)
}
