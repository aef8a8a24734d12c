//! From a file to decoded buffers: `filesrc ! parsebin`, the wanted track's decoder, an `appsink`.
//!
//! Only the wanted track is decoded; the others end at the demuxer. Nothing here waits without an end.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use lectern_domain::{failure::FailureCode, plan::picture_is_acceptable};

use super::{
    MediaFailure, Running, STALL, beat, colour,
    disposable::Skim,
    element,
    entry::{self, Entry, SharedEntry},
    faac,
    file::SourceFile,
    patience::Patience,
    pulse,
    repeat::Repeats,
};

/// How often a wait looks at the bus.
const POLL: Duration = Duration::from_millis(100);
/// Undecodable pictures in a row before the source counts as damaged. Single ones are concealed by the decoder.
const MAX_CONSECUTIVE_ERRORS: i32 = 50;

/// The kinds of track that are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Video,
    Audio,
}

/// The kind of a parsed stream; none for cover art, text and data.
pub(super) fn kind_of(caps: &gst::CapsRef) -> Option<Kind> {
    let structure = caps.structure(0)?;
    let name = structure.name().as_str();
    let rate = structure.get::<gst::Fraction>("framerate").ok();
    if name.starts_with("audio/") {
        Some(Kind::Audio)
    } else if name.starts_with("video/") {
        Some(Kind::Video)
    } else if matches!(name, "image/jpeg" | "image/png") && rate.is_some_and(|rate| rate.numer() > 0) {
        // A film of JPEG or PNG pictures has a rate; a picture on the cover has none.
        Some(Kind::Video)
    } else {
        None
    }
}

/// Streams that a demuxer knows by their container's name only, and what their decoders call them: `DNxHR` in MOV.
const OTHER_NAMES: [(&str, &str); 1] = [("video/x-gst-fourcc-AVdh", "video/x-dnxhd")];

/// What decoders call a stream, if it is something else.
fn other_name(caps: &gst::CapsRef) -> Option<&'static str> {
    let name = caps.structure(0)?.name();
    OTHER_NAMES.into_iter().find(|(told, _)| name == *told).map(|(_, meant)| meant)
}

/// A decoder for a parsed stream, best rank first, software only: a sandboxed child has no devices.
pub(super) fn decoder_for(caps: &gst::Caps) -> Option<gst::ElementFactory> {
    let renamed = other_name(caps).map(|name| gst::Caps::builder(name).build());
    let caps = renamed.as_ref().unwrap_or(caps);
    let software: Vec<gst::ElementFactory> =
        gst::ElementFactory::factories_with_type(gst::ElementFactoryType::DECODER, gst::Rank::MARGINAL)
            .into_iter()
            .filter(|factory| !factory.metadata("klass").is_some_and(|class| class.contains("Hardware")))
            .collect();
    let best = |fits: &dyn Fn(&gst::ElementFactory) -> bool| {
        software
            .iter()
            .filter(|factory| fits(factory))
            .max_by_key(|factory| gst::prelude::PluginFeatureExtManual::rank(*factory))
            .cloned()
    };
    // First one that takes the stream as it is: a decoder for VP9 with transparency also overlaps with plain VP9. A
    // parser that has not seen data yet offers several forms, of which a decoder need not take all.
    best(&|factory| factory.can_sink_all_caps(caps))
        .or_else(|| best(&|factory| factory.can_sink_any_caps(caps)))
}

#[derive(Debug, Default)]
struct Opening {
    /// Kinds of the streams found so far, in the container's order.
    found: Vec<Kind>,
    linked: bool,
    complete: bool,
    failure: Option<MediaFailure>,
    /// Where the decoder has entered the stream.
    entry: Option<SharedEntry>,
}

/// An open source that decodes one track.
pub(super) struct Decoding {
    pub(super) pipeline: Running,
    sink: gst_app::AppSink,
    opening: Arc<Mutex<Opening>>,
    skim: Skim,
    /// What is known of the times of its pictures; of sound, time tells nothing twice.
    pictures: Option<Mutex<Pictures>>,
}

/// The pictures of a video track in their order.
#[derive(Debug, Default)]
struct Pictures {
    repeats: Repeats,
    /// The one that went last.
    last: Option<gst::Sample>,
    /// One that was decoded, to go after those that were left out before it.
    ahead: Option<gst::Sample>,
}

/// How the wanted track is treated between its decoder and the sink.
pub(super) struct Chain {
    /// Threads of a video decoder; 0 lets it choose.
    pub(super) threads: i32,
    /// Whether frames lie in memory row by row without padding. `deinterlace` of GStreamer 1.22 reads others askew.
    pub(super) unpadded: bool,
    /// Elements after the decoder, in order.
    pub(super) after: Vec<gst::Element>,
    /// What the sink accepts.
    pub(super) caps: gst::Caps,
    /// Where the decoder enters the stream, for a source that cannot be sought in.
    pub(super) enter: Option<Enter>,
}

/// Where a decoder enters a stream that is read from its beginning: at the first sync sample at or after a time. What
/// comes before is read but not decoded, which costs a hundredth.
#[derive(Debug, Clone)]
pub(super) struct Enter {
    /// The container, which decides what a timestamp means.
    pub(super) container: String,
    /// On the container's timeline, nanoseconds.
    pub(super) at: i64,
}

impl Decoding {
    /// Opens `file` and waits until the wanted track's first buffer is there or the source turns out to have none.
    pub(super) fn open(
        file: &SourceFile,
        kind: Kind,
        index: u32,
        chain: &Chain,
    ) -> Result<Self, MediaFailure> {
        let pipeline = gst::Pipeline::new();
        let (source, sound) = file.mended()?;
        let parse = element("parsebin")?;
        let sink = gst_app::AppSink::builder()
            .caps(&chain.caps)
            .sync(false)
            .max_buffers(2)
            .wait_on_eos(false)
            .build();
        sink.set_property("qos", false);
        if kind == Kind::Video && !chain.unpadded {
            accept_padding(&sink);
        }
        // The head is what the decoder links to: the first element after it, or the sink itself.
        let mut elements = chain.after.clone();
        elements.push(sink.clone().upcast());
        pipeline.add_many([&source, &parse])?;
        pipeline.add_many(&elements)?;
        gst::Element::link_many([&source, &parse])?;
        gst::Element::link_many(&elements)?;
        if let Some(pad) = elements[0].static_pad("sink").filter(|_| kind == Kind::Audio && !sound.is_right())
        {
            colour::replace_caps(&pad, move |structure| sound.mend(structure));
        }
        let (head, threads, unpadded) = (elements[0].clone(), chain.threads, chain.unpadded);
        let enter = chain.enter.clone();
        let skim = Skim::default();
        let skimming = skim.clone();

        let opening = Arc::new(Mutex::new(Opening::default()));
        let shared = Arc::clone(&opening);
        let weak = pipeline.downgrade();
        parse.connect_pad_added(move |_, pad| {
            let Some(pipeline) = weak.upgrade() else { return };
            let caps = pad.current_caps();
            let Some(pad_kind) = kind_of(caps.as_ref().unwrap_or(&pad.query_caps(None))) else { return };
            let mut opening = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let position = opening.found.iter().filter(|found| **found == pad_kind).count();
            opening.found.push(pad_kind);
            if pad_kind != kind || position != index as usize || opening.linked {
                drop(opening);
                drain_if_interleaved(&pipeline, pad);
                return;
            }
            opening.linked = true;
            drop(opening);
            let (shared, head, enter) = (Arc::clone(&shared), head.clone(), enter.clone());
            let skimming = skimming.clone();
            let join = move |pad: &gst::Pad, caps: &gst::Caps| {
                let joined = decoder(caps, threads, unpadded, &shared)
                    .inspect(|decoder| decoder.iter().for_each(|decoder| skimming.watch(decoder)))
                    .and_then(|decoder| link(&pipeline, pad, decoder.as_ref(), &head, enter.as_ref()));
                let mut opening = shared.lock().unwrap_or_else(PoisonError::into_inner);
                match joined {
                    Ok(entry) => opening.entry = entry,
                    Err(failure) => opening.failure = Some(failure),
                }
            };
            match caps {
                Some(caps) => join(pad, &caps),
                None => when_known(pad, join),
            }
        });
        let shared = Arc::clone(&opening);
        parse.connect_no_more_pads(move |_| {
            shared.lock().unwrap_or_else(PoisonError::into_inner).complete = true;
        });

        let pictures = (kind == Kind::Video).then(Mutex::default);
        let decoding = Self { pipeline: Running(pipeline), sink, opening, skim, pictures };
        decoding.pipeline.0.set_state(gst::State::Paused).map_err(|_| {
            decoding
                .pipeline
                .error()
                .unwrap_or_else(|| MediaFailure::internal("the decoding graph does not start"))
        })?;
        let (mut patience, mut seen) = (Patience::new(STALL), pulse());
        loop {
            if seen != pulse() {
                // Far into a source that is read from its beginning.
                seen = pulse();
                patience.renew();
            }
            if let Some(failure) = decoding.error() {
                return Err(failure);
            }
            {
                let opening = decoding.opening.lock().unwrap_or_else(PoisonError::into_inner);
                if opening.complete && !opening.linked {
                    return Err(MediaFailure::new(
                        FailureCode::SourceNoTracks,
                        format!("expected {kind:?} track {index}, found {:?}", opening.found),
                    ));
                }
            }
            let (result, state, _) = decoding.pipeline.0.state(gst::ClockTime::from_mseconds(20));
            if result.is_ok() && state == gst::State::Paused {
                return Ok(decoding);
            }
            if patience.is_over() {
                return Err(MediaFailure::new(
                    FailureCode::SourceTimeLimit,
                    format!("no decoded data within {} s of opening", STALL.as_secs()),
                ));
            }
        }
    }

    /// Moves to the sync sample at or before `stream_ns`. False when the source cannot.
    pub(super) fn seek(&self, stream_ns: u64) -> Result<bool, MediaFailure> {
        if let Some(pictures) = &self.pictures {
            *pictures.lock().unwrap_or_else(PoisonError::into_inner) = Pictures::default();
        }
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
        if self.pipeline.0.seek_simple(flags, gst::ClockTime::from_nseconds(stream_ns)).is_err() {
            return Ok(false);
        }
        let patience = Patience::new(STALL);
        loop {
            if let Some(failure) = self.error() {
                return Err(failure);
            }
            let (result, _, _) = self.pipeline.0.state(gst::ClockTime::from_mseconds(20));
            if result.is_ok() {
                return Ok(true);
            }
            if patience.is_over() {
                return Err(MediaFailure::new(FailureCode::SourceTimeLimit, "seeking did not end"));
            }
        }
    }

    /// What comes first once data flows, if anything does. Only until then.
    pub(super) fn peek(&self) -> Option<gst::Sample> {
        self.sink.try_pull_preroll(gst::ClockTime::ZERO)
    }

    /// Lets data flow.
    pub(super) fn play(&self) -> Result<(), MediaFailure> {
        self.pipeline
            .0
            .set_state(gst::State::Playing)
            .map(|_| ())
            .map_err(|_| self.error().unwrap_or_else(|| MediaFailure::internal("the decoding graph stops")))
    }

    /// From now on leaves packets undecoded that hold nothing new, or no longer ([`super::disposable`]).
    pub(super) fn skim(&self, on: bool) {
        self.skim.set(on);
    }

    /// Where the decoder has entered the stream since it was opened or last sought; none for streams that need no
    /// decoder.
    pub(super) fn entry(&self) -> Option<Entry> {
        let opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = opening.entry.as_ref()?;
        *entry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next decoded buffer, or none at the end of the source.
    pub(super) fn next(&self) -> Result<Option<gst::Sample>, MediaFailure> {
        let Some(pictures) = &self.pictures else { return self.pull() };
        let mut pictures = pictures.lock().unwrap_or_else(PoisonError::into_inner);
        let decoded = match pictures.ahead.take() {
            Some(sample) => Some(sample),
            None => pictures.repeats.next(|| self.pull())?,
        };
        if let Some(last) = &pictures.last {
            let time = |sample: &gst::Sample| sample.buffer().and_then(gst::BufferRef::pts);
            let shown = time(last);
            while let Some(again) = self.skim.take_before(decoded.as_ref().and_then(time)) {
                if shown.is_none_or(|shown| again > shown)
                    && let Some(sample) = shown_at(last, again)
                {
                    pictures.ahead = decoded;
                    pictures.last = Some(sample.clone());
                    return Ok(Some(sample));
                }
            }
        }
        pictures.last.clone_from(&decoded);
        Ok(decoded)
    }

    fn pull(&self) -> Result<Option<gst::Sample>, MediaFailure> {
        let patience = Patience::new(STALL);
        loop {
            if let Some(sample) =
                self.sink.try_pull_sample(gst::ClockTime::from_nseconds(POLL.as_nanos() as u64))
            {
                beat();
                return Ok(Some(sample));
            }
            if let Some(failure) = self.error() {
                return Err(failure);
            }
            if self.sink.is_eos() {
                return Ok(None);
            }
            if patience.is_over() {
                return Err(MediaFailure::new(
                    FailureCode::SourceTimeLimit,
                    format!("no decoded data for {} s", STALL.as_secs()),
                ));
            }
        }
    }
}

impl Decoding {
    /// The first thing that went wrong. A graph for decoding that does not fit together was given a stream that its
    /// decoder cannot handle.
    fn error(&self) -> Option<MediaFailure> {
        let own = self.opening.lock().unwrap_or_else(PoisonError::into_inner).failure.take();
        own.or_else(|| self.pipeline.error())
    }
}

/// The same picture at another time.
fn shown_at(sample: &gst::Sample, time: gst::ClockTime) -> Option<gst::Sample> {
    let mut buffer = sample.buffer_owned()?;
    buffer.make_mut().set_pts(time);
    let mut sample = sample.clone();
    sample.make_mut().set_buffer(Some(&buffer));
    Some(sample)
}

/// Takes what comes of a track that is not wanted, where its demuxer would end with it: the one for FLV of GStreamer 1.22
/// gives up when its first track goes nowhere and the next one has not begun. Others leave out what nobody takes, which is
/// less to read.
fn drain_if_interleaved(pipeline: &gst::Pipeline, pad: &gst::Pad) {
    let demuxers = pipeline.iterate_recurse().into_iter().flatten().filter_map(|element| element.factory());
    if demuxers.into_iter().any(|factory| factory.name() == "flvdemux") {
        pad.add_probe(gst::PadProbeType::BUFFER, |_, _| {
            beat();
            gst::PadProbeReturn::Drop
        });
    }
}

/// Calls `join` with what a stream is as soon as its parser says so. Before, a parser for a family of streams (AC-3 and
/// E-AC-3) names all of them, and no decoder takes them all.
fn when_known(pad: &gst::Pad, join: impl Fn(&gst::Pad, &gst::Caps) + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        if let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view()) {
            join(pad, &event.caps_owned());
            return gst::PadProbeReturn::Remove;
        }
        gst::PadProbeReturn::Ok
    });
}

/// Lets a decoder hand over its own memory, whose rows are padded. It copies every picture otherwise.
fn accept_padding(sink: &gst_app::AppSink) {
    let Some(pad) = sink.static_pad("sink") else { return };
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM | gst::PadProbeType::PUSH, |_, info| {
        match info.query_mut().map(gst::QueryRef::view_mut) {
            Some(gst::QueryViewMut::Allocation(query)) => {
                query.add_allocation_meta::<gst_video::VideoMeta>(None);
                gst::PadProbeReturn::Handled
            }
            _ => gst::PadProbeReturn::Ok,
        }
    });
}

/// Refuses pictures whose declared size is not acceptable before there is memory for them. A container may declare a
/// small picture and the stream a huge one, at its beginning or later.
fn watch_size(decoder: &gst::Element, opening: &Arc<Mutex<Opening>>) {
    let Some(pad) = decoder.static_pad("src") else { return };
    let opening = Arc::clone(opening);
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view()) else {
            return gst::PadProbeReturn::Ok;
        };
        let side = |field: &str| {
            event
                .caps()
                .structure(0)
                .and_then(|structure| structure.get::<i32>(field).ok())
                .map(|side| side.max(0) as u32)
        };
        match (side("width"), side("height")) {
            (Some(width), Some(height)) if !picture_is_acceptable(width, height) => {
                let failure = MediaFailure::new(
                    FailureCode::SourceDimensions,
                    format!("{width}x{height} pixels in the stream"),
                );
                opening.lock().unwrap_or_else(PoisonError::into_inner).failure.get_or_insert(failure);
                gst::PadProbeReturn::Drop
            }
            _ => gst::PadProbeReturn::Ok,
        }
    });
}

/// When a sample is presented on its container's timeline, nanoseconds; negative before the container's zero, none
/// without a timestamp.
pub(super) fn presented(sample: &gst::Sample, container: &str) -> Option<i64> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let times = Times::of(sample.buffer()?.pts()?, segment)?;
    Some(times.on(container))
}

/// The two readings of a timestamp.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// As written in the container.
    written: i64,
    /// As the demuxer places it, which honours edit lists.
    placed: i64,
}

impl Times {
    pub(super) fn of(pts: gst::ClockTime, segment: &gst::FormattedSegment<gst::ClockTime>) -> Option<Self> {
        Some(Self { written: pts.nseconds() as i64, placed: signed_ns(segment.to_stream_time_full(pts)?) })
    }

    /// The same so much later, nanoseconds.
    pub(super) fn after(self, ns: i64) -> Self {
        Self { written: self.written + ns, placed: self.placed + ns }
    }

    /// The one that holds for a container. Matroska has no edit lists, and `matroskademux` of GStreamer 1.22 places its
    /// first packet at zero and the next ones as they are written.
    pub(super) fn on(self, container: &str) -> i64 {
        match container {
            "video/x-matroska" | "video/webm" | "audio/x-matroska" | "audio/webm" => self.written,
            _ => self.placed,
        }
    }
}

/// A signed clock time as nanoseconds.
fn signed_ns(time: gst::Signed<gst::ClockTime>) -> i64 {
    match time {
        gst::Signed::Positive(time) => time.nseconds() as i64,
        gst::Signed::Negative(time) => -(time.nseconds() as i64),
    }
}

/// The decoder for a stream, set up; none for a stream that is not compressed.
fn decoder(
    caps: &gst::Caps,
    threads: i32,
    unpadded: bool,
    opening: &Arc<Mutex<Opening>>,
) -> Result<Option<gst::Element>, MediaFailure> {
    if caps.structure(0).is_some_and(|structure| structure.name().ends_with("/x-raw")) {
        return Ok(None);
    }
    let factory = decoder_for(caps).ok_or_else(|| {
        MediaFailure::new(FailureCode::SourceCodecUnsupported, format!("no installed decoder: {caps}"))
    })?;
    let decoder = factory.create().build()?;
    if decoder.has_property("max-threads") {
        decoder.set_property("max-threads", threads);
    }
    if decoder.has_property("max-errors") {
        decoder.set_property("max-errors", MAX_CONSECUTIVE_ERRORS);
    }
    // A damaged picture keeps its place in the cadence; leaving it out would shift nothing but hide the damage.
    if decoder.has_property("output-corrupt") {
        decoder.set_property("output-corrupt", true);
    }
    if unpadded && decoder.has_property("direct-rendering") {
        decoder.set_property("direct-rendering", false);
    }
    if let (Some(name), Some(sink)) = (other_name(caps), decoder.static_pad("sink")) {
        colour::replace_caps(&sink, move |structure| structure.set_name(name));
    }
    colour::trust_range(&decoder, caps);
    watch_size(&decoder, opening);
    faac::hide_name(&decoder, caps);
    Ok(Some(decoder))
}

/// Keeps packets from a decoder until it may enter.
fn leave_out_before(decoder: &gst::Element, enter: &Enter) {
    let Some(pad) = decoder.static_pad("sink") else { return };
    let enter = enter.clone();
    let entered = AtomicBool::new(false);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if entered.load(Ordering::Relaxed) {
            return gst::PadProbeReturn::Ok;
        }
        beat();
        let Some(buffer) = info.buffer() else { return gst::PadProbeReturn::Ok };
        let sync = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let time = sync.then(|| time_of(pad, buffer)).flatten();
        if time.is_some_and(|times| times.on(&enter.container) >= enter.at) {
            entered.store(true, Ordering::Relaxed);
            return gst::PadProbeReturn::Ok;
        }
        gst::PadProbeReturn::Drop
    });
}

/// When a packet on a pad is presented.
pub(super) fn time_of(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<Times> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    Times::of(buffer.pts()?, event.segment().downcast_ref::<gst::ClockTime>()?)
}

fn link(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    decoder: Option<&gst::Element>,
    head: &gst::Element,
    enter: Option<&Enter>,
) -> Result<Option<SharedEntry>, MediaFailure> {
    let first = decoder.unwrap_or(head);
    if let Some(decoder) = decoder {
        pipeline.add(decoder)?;
        decoder.link(head)?;
    }
    if let (Some(decoder), Some(enter)) = (decoder, enter) {
        leave_out_before(decoder, enter);
    }
    let entry = decoder.map(entry::watch);
    let into =
        first.static_pad("sink").ok_or_else(|| MediaFailure::internal("an element without a sink pad"))?;
    // What the decoder takes has been looked at; a stream may yet go by another name here.
    let unchecked = pad.current_caps().is_some_and(|caps| other_name(&caps).is_some());
    let check = if unchecked { gst::PadLinkCheck::HIERARCHY } else { gst::PadLinkCheck::DEFAULT };
    pad.link_full(&into, check).map_err(|error| {
        MediaFailure::new(
            FailureCode::SourceCodecUnsupported,
            format!("{} refuses the stream ({error})", first.name()),
        )
    })?;
    if let Some(decoder) = decoder {
        decoder.sync_state_with_parent()?;
    }
    Ok(entry)
}
