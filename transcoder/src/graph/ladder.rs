//! All rungs at once: one raw frame in, one access unit per rung out.
//!
//! ```text
//! scale (top rung)  -> x264 -> segments -> cmafmux
//!   scale (next rung) -> x264 -> …
//! ```
//!
//! Every encoder has a thread of its own. Each rung is scaled from the one above it, which costs a fraction of
//! scaling each from the source.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use lectern_domain::{
    ladder::Rung,
    media::{TrackKind, TrackOutput},
    source::Ratio,
};
use lectern_x264::AccessUnit;

use super::{
    MediaFailure, Running, STALL,
    cadence::Content,
    encode::{self, Frame},
    measure,
    mux::{self, Muxing},
    retime::decode_times,
    scale::Scaler,
    skip::SkipPictures,
    still::Area,
};

/// Raw frames that wait before each encoder. Encoders hold a lookahead of their own.
const QUEUED_FRAMES: usize = 4;

/// How often a wait looks at the time.
const POLL: Duration = Duration::from_millis(100);

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
    end: Option<u64>,
}

/// One rung's encoded side.
struct Segments {
    muxing: Muxing,
    grid: Arc<Mutex<Grid>>,
    caps: gst::Caps,
    /// Access units of the segment being collected, with their presentation ticks, in decode order.
    pending: Vec<(u64, gst::Buffer)>,
}

/// One rung: scaled pictures in, segments out.
struct Step {
    rung: Rung,
    scaler: Scaler,
    /// The encoder ends when this is gone.
    frames: Option<SyncSender<Frame>>,
    encoding: Option<JoinHandle<Result<Muxing, MediaFailure>>>,
    /// The picture that went last.
    last: Option<gst::Buffer>,
}

/// The running ladder.
pub(super) struct Ladder {
    pipeline: Running,
    /// Format of the pictures that come in, with the caps that it was read from.
    format: Option<(gst::Caps, gst_video::VideoInfo)>,
    frame_rate: Ratio,
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
            let rate = gst::Fraction::new(settings.frame_rate.num as i32, settings.frame_rate.den as i32);
            let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, rung.width, rung.height)
                .par(gst::Fraction::new(1, 1))
                .fps(rate)
                .colorimetry(&COLORIMETRY.parse()?)
                .interlace_mode(gst_video::VideoInterlaceMode::Progressive)
                .build()?;
            let mut encoder = encode::encoder(settings, content, rung)?;
            let names = mux::names(settings.folder, &rung.name)?;
            let muxing = Muxing::new(&pipeline, names, settings.timescale, first_segment + 1)?;
            let mut segments = Segments {
                muxing,
                grid: Arc::clone(&grid),
                caps: encode::caps(&mut encoder, &info)?,
                pending: Vec::new(),
            };
            let (frames, waiting) = sync_channel(QUEUED_FRAMES);
            let pictures = info.clone();
            let encoding =
                std::thread::Builder::new().name(format!("x264 {}", rung.name)).spawn(move || {
                    encode::run(&mut encoder, &pictures, &waiting, |unit| segments.take(unit))?;
                    segments.end()
                })?;
            let scaler = Scaler::new(info)?;
            let (frames, encoding) = (Some(frames), Some(encoding));
            steps.push(Step { rung: rung.clone(), scaler, frames, encoding, last: None });
        }
        let mut ladder = Self {
            pipeline: Running(pipeline),
            format: None,
            frame_rate: settings.frame_rate,
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
        let keyframe = starts_segment.is_some();
        if let Some(index) = starts_segment {
            self.grid.lock().unwrap_or_else(PoisonError::into_inner).starts.insert(ticks, index);
        }
        let mut picture = buffer;
        for at in 0..self.steps.len() {
            let step = &mut self.steps[at];
            (picture, changed) = step.scaler.scale_again(&picture, &format, step.last.as_ref(), changed)?;
            format.clone_from(step.scaler.info());
            step.last = Some(picture.clone());
            let changed = changed.clone();
            self.send(at, Frame { picture: picture.clone(), ticks, keyframe, changed })?;
        }
        Ok(())
    }

    /// Gives a frame to the encoder of one rung.
    fn send(&mut self, at: usize, frame: Frame) -> Result<(), MediaFailure> {
        let sent = self.steps[at].frames.as_ref().is_some_and(|frames| frames.send(frame).is_ok());
        if sent {
            Ok(())
        } else {
            Err(self.error().unwrap_or_else(|| MediaFailure::internal("an encoder takes no more frames")))
        }
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
        for at in 0..self.steps.len() {
            let last = self.steps[at].last.clone();
            let picture = last.ok_or_else(|| MediaFailure::internal("nothing to show again"))?;
            self.send(at, Frame { picture, ticks, keyframe: false, changed: Some(Area::default()) })?;
        }
        Ok(())
    }

    /// Ends the span at `end` ticks, waits until everything is written and reports what is in the files.
    pub(super) fn finish(mut self, end: u64) -> Result<Vec<TrackOutput>, MediaFailure> {
        self.grid.lock().unwrap_or_else(PoisonError::into_inner).end = Some(end);
        for step in &mut self.steps {
            step.frames = None;
        }
        let mut written = Vec::new();
        for step in &mut self.steps {
            // Each gives a sign of life with every picture, and whoever runs the work watches those.
            written.extend(step.join()?);
        }
        let deadline = Instant::now() + STALL;
        while !self.pipeline.ended(POLL).map_err(ours)? {
            if Instant::now() > deadline {
                return Err(MediaFailure::internal("the muxers did not finish"));
            }
        }
        let mut tracks = Vec::new();
        for (Step { rung, .. }, muxing) in self.steps.iter().zip(written) {
            let names = muxing.names();
            let segments = muxing.finish()?;
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

    /// What went wrong in the graph, or in an encoder that has ended before it should.
    fn error(&mut self) -> Option<MediaFailure> {
        self.pipeline.error().map(ours).or_else(|| {
            let ended = |step: &&mut Step| step.encoding.as_ref().is_some_and(JoinHandle::is_finished);
            self.steps.iter_mut().find(|step| ended(step)).and_then(|step| step.join().err())
        })
    }
}

impl Step {
    /// Waits for the encoder. None if somebody has waited before.
    fn join(&mut self) -> Result<Option<Muxing>, MediaFailure> {
        let Some(encoding) = self.encoding.take() else { return Ok(None) };
        encoding.join().map_err(|_| MediaFailure::internal("an encoder's thread panicked"))?.map(Some)
    }
}

/// What goes wrong on this side is never the source's fault.
fn ours(failure: MediaFailure) -> MediaFailure {
    MediaFailure::internal(failure.detail)
}

impl Segments {
    fn take(&mut self, unit: &AccessUnit<'_>) -> Result<(), MediaFailure> {
        let ticks = unit.time as u64;
        if unit.keyframe {
            self.close(Some(ticks))?;
        }
        let mut buffer = gst::Buffer::from_mut_slice(unit.data.to_vec());
        if !unit.keyframe {
            buffer.make_mut().set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        self.pending.push((ticks, buffer));
        Ok(())
    }

    /// Sends the collected segment to the muxer. It ends where the next begins, or where the span does.
    fn close(&mut self, next: Option<u64>) -> Result<(), MediaFailure> {
        let pending = std::mem::take(&mut self.pending);
        let Some((start, _)) = pending.first() else { return Ok(()) };
        let grid = self.grid.lock().unwrap_or_else(PoisonError::into_inner);
        let index = grid.starts.get(start).copied();
        let end = next.or(grid.end).ok_or_else(|| MediaFailure::internal("a span that was given up"))?;
        let again: Vec<u64> = grid.again.range(*start..end).copied().collect();
        drop(grid);
        let Some(index) = index else {
            return Err(MediaFailure::internal(format!("a keyframe that nobody asked for, at tick {start}")));
        };
        let pending =
            if again.is_empty() { pending } else { with_skip_pictures(&self.caps, pending, &again)? };
        let pts: Vec<u64> = pending.iter().map(|(ticks, _)| *ticks).collect();
        let units = pending
            .into_iter()
            .zip(decode_times(&pts, end))
            .map(|((pts, buffer), time)| mux::AccessUnit {
                buffer,
                pts,
                dts: time.start,
                duration: time.duration,
            })
            .collect();
        self.muxing
            .segment(index, &self.caps, units)
            .map_err(|flow| MediaFailure::internal(format!("the muxer refuses a segment: {flow}")))
    }

    fn end(mut self) -> Result<Muxing, MediaFailure> {
        self.close(None)?;
        self.muxing.end();
        Ok(self.muxing)
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
