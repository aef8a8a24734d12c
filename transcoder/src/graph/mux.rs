//! Closed segments to CMAF files: `appsrc ! cmafmux ! appsink`, one init segment, one file per segment.

use std::{
    collections::VecDeque,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use mp4_atom::{Decode, Encode, FourCC, Moof, Styp, Tfdt, TrunEntry, TrunSamples};

use super::{MediaFailure, element, timeline};

/// One encoded access unit with the times it gets in the file, in ticks.
pub(super) struct AccessUnit {
    pub(super) buffer: gst::Buffer,
    pub(super) pts: u64,
    pub(super) dts: u64,
    pub(super) duration: u64,
}

/// Names of a track's files.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) folder: PathBuf,
    pub(super) track: String,
}

impl Names {
    pub(super) fn init(&self) -> String {
        format!("{}-init.mp4", self.track)
    }

    pub(super) fn segment(&self, index: u32) -> String {
        format!("{}-{index:05}.m4s", self.track)
    }
}

/// Times of one sample in ticks: decode, duration, presentation.
type SampleTime = (u64, u64, u64);

#[derive(Debug, Default)]
struct Written {
    /// Segments handed to the muxer whose bytes have not come out yet, with the times of their samples.
    waiting: VecDeque<(u32, Vec<SampleTime>)>,
    /// Indexes whose files are begun, in order.
    begun: Vec<u32>,
    file: Option<File>,
    failure: Option<MediaFailure>,
}

/// A track being written.
pub(super) struct Muxing {
    source: gst_app::AppSrc,
    timescale: u32,
    names: Names,
    written: Arc<Mutex<Written>>,
    first: bool,
}

impl Muxing {
    /// Adds the muxer to `pipeline`. `sequence` is the first fragment's number (ISO/IEC 14496-12 8.8.5).
    pub(super) fn new(
        pipeline: &gst::Pipeline,
        names: Names,
        timescale: u32,
        sequence: u32,
    ) -> Result<Self, MediaFailure> {
        let source = gst_app::AppSrc::builder().format(gst::Format::Time).build();
        source.set_max_bytes(0);
        let mux = element("cmafmux")?;
        mux.set_property("manual-split", true);
        mux.set_property("send-force-keyunit", false);
        mux.set_property_from_str("write-edts-mode", "never");
        mux.set_property("start-fragment-sequence-number", sequence);
        mux.set_property("movie-timescale", timescale);
        let sink = gst_app::AppSink::builder().sync(false).async_(false).build();
        let written = Arc::new(Mutex::new(Written::default()));
        let (shared, out) = (Arc::clone(&written), names.clone());
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let Some(buffer) = sample.buffer() else { return Ok(gst::FlowSuccess::Ok) };
                    let mut written = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    written.take(&out, buffer).map_err(|failure| {
                        written.failure.get_or_insert(failure);
                        gst::FlowError::Error
                    })?;
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        pipeline.add_many([source.upcast_ref(), &mux, sink.upcast_ref()])?;
        gst::Element::link_many([source.upcast_ref(), &mux, sink.upcast_ref()])?;
        for pad in mux.sink_pads() {
            pad.set_property("trak-timescale", timescale);
        }
        Ok(Self { source, timescale, names, written, first: true })
    }

    /// Hands one whole segment to the muxer.
    pub(super) fn segment(
        &mut self,
        index: u32,
        caps: &gst::Caps,
        units: Vec<AccessUnit>,
    ) -> Result<(), gst::FlowError> {
        if units.is_empty() {
            return Ok(());
        }
        let times = units.iter().map(|unit| (unit.dts, unit.duration, unit.pts)).collect();
        self.written.lock().unwrap_or_else(PoisonError::into_inner).waiting.push_back((index, times));
        if self.first {
            self.source.set_caps(Some(caps));
            self.first = false;
        } else {
            let split = gst::Structure::builder("FMP4MuxSplitNow").field("chunk", false).build();
            self.source.send_event(gst::event::CustomDownstream::new(split));
        }
        for unit in units {
            let mut buffer = unit.buffer;
            let ns = |ticks| timeline::to_ns(ticks, self.timescale);
            let times = buffer.make_mut();
            times.set_pts(gst::ClockTime::from_nseconds(ns(unit.pts)));
            times.set_dts(gst::ClockTime::from_nseconds(ns(unit.dts)));
            let end = ns(unit.dts + unit.duration);
            times.set_duration(gst::ClockTime::from_nseconds(end - ns(unit.dts)));
            self.source.push_buffer(buffer)?;
        }
        Ok(())
    }

    /// No more segments.
    pub(super) fn end(&self) {
        // Refused only when the graph is already stopping.
        let _ = self.source.end_of_stream();
    }

    /// After the end of the stream: the segments written, in order.
    pub(super) fn finish(&self) -> Result<Vec<u32>, MediaFailure> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = written.failure.take() {
            return Err(failure);
        }
        if !written.waiting.is_empty() {
            return Err(MediaFailure::internal(format!(
                "{}: {} segments went into the muxer and did not come out",
                self.names.track,
                written.waiting.len()
            )));
        }
        written.file = None;
        Ok(std::mem::take(&mut written.begun))
    }

    /// Before the end of the stream: the segments after the first `from` whose files are whole, in order.
    pub(super) fn whole(&self, from: usize) -> Vec<u32> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        // The last one that was begun may get more data.
        let whole = written.begun.len().saturating_sub(1);
        written.begun.get(from..whole).map_or_else(Vec::new, <[u32]>::to_vec)
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }
}

impl Written {
    /// Takes one buffer of the muxer: the init segment (DISCONT and HEADER), a fragment's header (HEADER), its data.
    fn take(&mut self, names: &Names, buffer: &gst::BufferRef) -> Result<(), MediaFailure> {
        let map = buffer.map_readable()?;
        let flags = buffer.flags();
        if flags.contains(gst::BufferFlags::HEADER | gst::BufferFlags::DISCONT) {
            let mut bytes = map.to_vec();
            clear_times(&mut bytes);
            std::fs::write(names.folder.join(names.init()), bytes)?;
            return Ok(());
        }
        if flags.contains(gst::BufferFlags::HEADER) {
            let (index, times) = self.waiting.pop_front().ok_or_else(|| {
                MediaFailure::internal(format!("{}: a fragment that nobody sent", names.track))
            })?;
            self.begun.push(index);
            let mut file = File::create(names.folder.join(names.segment(index)))?;
            file.write_all(&fragment_header(&map, &times).map_err(MediaFailure::internal)?)?;
            self.file = Some(file);
            return Ok(());
        }
        let file =
            self.file.as_mut().ok_or_else(|| MediaFailure::internal("media data before its header"))?;
        file.write_all(&map)?;
        Ok(())
    }
}

/// Zeroes the creation and modification times of `mvhd`, `tkhd` and `mdhd` (version 1), so that every span of a
/// rendition has the same init segment, byte for byte.
fn clear_times(bytes: &mut [u8]) {
    let mut at = 0;
    while at + 8 <= bytes.len() {
        let size = u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
        let end = (at + size).min(bytes.len());
        if size < 8 {
            return;
        }
        match &bytes[at + 4..at + 8] {
            b"moov" | b"trak" | b"mdia" => clear_times(&mut bytes[at + 8..end]),
            b"mvhd" | b"tkhd" | b"mdhd" if size >= 28 && bytes[at + 8] == 1 => {
                bytes[at + 12..at + 28].fill(0);
            }
            _ => {}
        }
        at = end;
    }
}

/// The muxer's fragment header (`styp`, `moof`, start of `mdat`) with our own sample times.
///
/// The muxer counts decode times from the first presentation time, which makes composition offsets negative; see
/// [`super::retime`]. It also marks the last segment it sees with the brand `lmsg`, which is the last of a span, not of
/// the presentation.
fn fragment_header(bytes: &[u8], times: &[SampleTime]) -> Result<Vec<u8>, mp4_atom::Error> {
    let mut rest = bytes;
    let mut styp = Styp::decode(&mut rest)?;
    styp.compatible_brands.retain(|brand| *brand != FourCC::new(b"lmsg"));
    let mut moof = Moof::decode(&mut rest)?;
    let unexpected = || mp4_atom::Error::InvalidSize;
    let [traf] = moof.traf.as_mut_slice() else { return Err(unexpected()) };
    let [trun] = traf.trun.as_mut_slice() else { return Err(unexpected()) };
    if trun.samples.len() != times.len() {
        return Err(unexpected());
    }
    let first = times.first().map_or(0, |time| time.0);
    // Sound needs no offsets and has one duration for all.
    let reordered = times.iter().any(|(dts, _, pts)| dts != pts);
    let even = times.windows(2).all(|pair| pair[0].1 == pair[1].1);
    traf.tfdt = Some(Tfdt { base_media_decode_time: first });
    traf.tfhd.default_sample_duration = times.first().filter(|_| even).map(|time| time.1 as u32);
    let entries = trun.samples.iter().zip(times).map(|(entry, (dts, duration, pts))| TrunEntry {
        duration: (!even).then_some(*duration as u32),
        cts: reordered.then_some(*pts as i64 - *dts as i64),
        ..entry
    });
    trun.samples = TrunSamples::from(entries.collect::<Vec<_>>());
    // The data begins after moof and the header of mdat; its place follows from moof's size, which is now another.
    trun.data_offset = Some(0);
    let mut measured = Vec::new();
    moof.encode(&mut measured)?;
    if let Some(trun) = moof.traf.first_mut().and_then(|traf| traf.trun.first_mut()) {
        trun.data_offset = Some((measured.len() + rest.len()) as i32);
    }
    let mut out = Vec::with_capacity(bytes.len() + 64);
    styp.encode(&mut out)?;
    moof.encode(&mut out)?;
    out.extend_from_slice(rest);
    Ok(out)
}

/// Where a job's files go, checked.
pub(super) fn names(folder: &Path, track: &str) -> Result<Names, MediaFailure> {
    let plain = !track.is_empty() && track.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !plain {
        return Err(MediaFailure::internal(format!("expected a plain track name, got {track:?}")));
    }
    Ok(Names { folder: folder.to_owned(), track: track.to_owned() })
}
