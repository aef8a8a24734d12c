//! What a source is: container, tracks, codecs, sizes, times. Parses first, and lets a decoder loose on one frame only
//! after the declared size has been accepted.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use lectern_domain::{
    captions::MOST_TEXTS,
    failure::FailureCode,
    plan::picture_is_acceptable,
    source::{AudioTrack, Orientation, Ratio, SourceInfo, TextTrack, VideoTrack},
    trim::Trim,
};

use super::{
    MediaFailure, Running, STALL, beat,
    container::{Outline, display_matrix, outline},
    decode::{Chain, Decoding, Kind, Times, decoder_for, kind_of, presented, time_of},
    file::SourceFile,
    patience::Patience,
    samples,
    span::raw_video,
    texts::text_track,
};

/// Video packets whose times are looked at, to tell a constant frame rate from a variable one.
const LOOKED_AT: usize = 240;
/// Packets that are looked at before what has been found counts as all: FLV names a stream with its first packet.
const LEAST_PACKETS: usize = 400;
/// Packets after which a track that has sent nothing is taken to begin later than this matters.
const MAX_PACKETS: usize = 4_000;
/// Packets at the end of the look whose neighbours in presentation order may not have come yet.
const REORDERED: usize = 16;

/// One stream as its parser describes it.
struct Stream {
    pad: gst::Pad,
    kind: Option<Kind>,
    /// Times of its first packets.
    times: Vec<Times>,
    /// Packets that came without a time.
    untimed: usize,
    /// Where the last of its packets so far ends.
    end: Option<Times>,
}

#[derive(Default)]
struct Parsing {
    streams: Vec<Stream>,
    /// Packets of all streams. `parsebin` lets the first one through when it has shown every stream; it never says that
    /// there are no more pads.
    packets: usize,
    /// What the demuxer said of the duration when the first packet came. The one for Matroska corrects itself while it
    /// reads: later it depends on how far it has come.
    first_said: Option<u64>,
}

/// Examines a source, or the part of it between two points.
pub(crate) fn probe(file: &SourceFile, trim: Option<Trim>) -> Result<SourceInfo, MediaFailure> {
    if file.size()? == 0 {
        return Err(MediaFailure::new(FailureCode::SourceEmpty, "expected bytes, found none"));
    }
    let outline = outline(file)?;
    match outline {
        Outline::IndexMissing => {
            return Err(MediaFailure::new(FailureCode::SourceTruncated, "an MP4 without a complete moov"));
        }
        Outline::DataMissing => {
            return Err(MediaFailure::new(FailureCode::SourceCorrupt, "an MP4 that ends within its mdat"));
        }
        Outline::Other | Outline::Complete | Outline::Fragmented => {}
    }
    let parsed = parse(file)?;
    // A file can look like media at its start and yet hold no stream that anything understands.
    if parsed.video.is_none() && parsed.audio.is_empty() {
        // A picture, still or animated, has no demuxer here.
        let picture = parsed.container.starts_with("image/");
        let code = if picture { FailureCode::SourceCodecUnsupported } else { FailureCode::SourceNoTracks };
        return Err(MediaFailure::new(code, format!("no stream in {}", parsed.container)));
    }
    let mut start = parsed.audio.iter().map(|found| found.start).min();
    let (mut video, mut video_begins) = (None, 0);
    if let Some(mut found) = parsed.video {
        // The one of the eight orientations that `qtdemux` of GStreamer 1.22 does not know.
        if found.orientation == Orientation::Upright && display_matrix(file)? == Some([0, -1, -1, 0]) {
            found.orientation = Orientation::FlipRotate270;
        }
        let (track, first) = first_frame(file, &found, &parsed.container)?;
        start = Some(start.map_or(first, |start| start.min(first)));
        video_begins = first;
        video = Some(track);
    }
    let start_ns = start.unwrap_or(0).max(0) as u64;
    let decodable: Vec<AudioTrack> =
        parsed.audio.iter().filter(|found| found.decodable).map(|found| found.track.clone()).collect();
    if decodable.is_empty() && !parsed.audio.is_empty() {
        let codecs: Vec<&str> = parsed.audio.iter().map(|found| found.track.codec.as_str()).collect();
        return Err(MediaFailure::new(
            FailureCode::SourceCodecUnsupported,
            format!("no installed decoder for the sound: {codecs:?}"),
        ));
    }
    let seekable = match parsed.container.as_str() {
        // A fragmented file may have no index to seek by.
        "video/quicktime" => outline != Outline::Fragmented,
        "video/x-matroska" | "video/webm" => true,
        _ => false,
    };
    let source = SourceInfo {
        duration_ns: parsed.length.map(|length| match (length, parsed.container.as_str()) {
            (Length::EndsAt(end), _) => end.saturating_sub(start_ns),
            // Counted from the zero of its timeline; elsewhere it is the length of what is there.
            (Length::Declared(length), "video/quicktime" | "video/x-matroska" | "video/webm") => {
                length.saturating_sub(start_ns)
            }
            (Length::Declared(length), _) => length,
        }),
        container: parsed.container,
        start_ns,
        seekable,
        video,
        audio: decodable,
        texts: parsed.texts,
        trim: None,
    };
    let whole_ns = source.duration_ns;
    let outside = |code| MediaFailure::new(code, format!("{trim:?} of a source of {whole_ns:?} ns"));
    let mut source = source.trimmed(trim).map_err(outside)?;
    if source.out_point_ns().is_some_and(|end| video_begins >= source.start_ns.saturating_add(end) as i64) {
        // All there is of the part is its sound.
        source.video = None;
        if source.audio.is_empty() {
            return Err(outside(FailureCode::TrimOutsideSource));
        }
    }
    // Only the plan's shape depends on it: a source that cannot be looked into is taken to move.
    let complexity = samples::look(file, &source).unwrap_or_default();
    if let Some(track) = &mut source.video {
        track.complexity = complexity;
    }
    Ok(source)
}

struct FoundVideo {
    caps: gst::Caps,
    orientation: Orientation,
    frame_rate: Ratio,
}

struct FoundAudio {
    track: AudioTrack,
    decodable: bool,
    /// Time of the first packet on the container's timeline.
    start: i64,
}

/// How long a source is, nanoseconds.
enum Length {
    /// As its demuxer says.
    Declared(u64),
    /// It was read to its end, which is there on its timeline.
    EndsAt(u64),
}

struct Parsed {
    container: String,
    length: Option<Length>,
    video: Option<FoundVideo>,
    audio: Vec<FoundAudio>,
    texts: Vec<TextTrack>,
}

/// Demultiplexes and parses the beginning without decoding anything.
fn parse(file: &SourceFile) -> Result<Parsed, MediaFailure> {
    let pipeline = gst::Pipeline::new();
    let source = file.element()?;
    let parsebin = super::element("parsebin")?;
    pipeline.add_many([&source, &parsebin])?;
    source.link(&parsebin)?;
    let parsing = Arc::new(Mutex::new(Parsing::default()));
    let (shared, weak) = (Arc::clone(&parsing), pipeline.downgrade());
    parsebin.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        watch(&pipeline, pad, &shared);
    });
    let running = Running(pipeline);
    if running.0.set_state(gst::State::Playing).is_err() {
        return Err(running
            .error()
            .unwrap_or_else(|| MediaFailure::internal("the parsing graph does not start")));
    }
    let bus = running.0.bus().ok_or_else(|| MediaFailure::internal("a pipeline without a bus"))?;
    let mut patience = Patience::new(STALL);
    let (mut ended, mut packets) = (false, 0);
    // A recording that was written as it came (a browser's WebM) says nowhere how long it is: it is read to its end.
    let mut said = None;
    let container = || {
        let typefind = parsebin.downcast_ref::<gst::Bin>().and_then(|bin| bin.by_name("typefind"));
        typefind
            .and_then(|typefind| typefind.property::<Option<gst::Caps>>("caps"))
            .and_then(|caps| caps.structure(0).map(|structure| structure.name().to_string()))
            .unwrap_or_default()
    };
    let duration = || match container().as_str() {
        "video/x-matroska" | "video/webm" => {
            parsing.lock().unwrap_or_else(PoisonError::into_inner).first_said
        }
        _ => asked(running.0.query_duration()),
    };
    loop {
        let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
        if let Some(message) = bus.timed_pop_filtered(gst::ClockTime::from_mseconds(5), &kinds) {
            match message.view() {
                gst::MessageView::Error(error) => return Err(super::from_bus(error)),
                _ => ended = true,
            }
        }
        let seen = parsing.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = seen.packets > LEAST_PACKETS
            && seen.streams.iter().all(|stream| {
                let wanted = if stream.kind == Some(Kind::Video) { LOOKED_AT } else { 1 };
                stream.kind.is_none() || stream.times.len() >= wanted
            });
        let enough = ready || seen.packets > MAX_PACKETS;
        if seen.packets > packets {
            packets = seen.packets;
            patience.renew();
        }
        drop(seen);
        if ended || enough && *said.get_or_insert_with(|| duration().is_some()) {
            break;
        }
        if patience.is_over() {
            return Err(MediaFailure::new(
                FailureCode::SourceTimeLimit,
                format!("the outline was not complete after {} s", STALL.as_secs()),
            ));
        }
    }
    let (container, declared) = (container(), duration());
    let seen = parsing.lock().unwrap_or_else(PoisonError::into_inner);
    let ends = seen.streams.iter().filter(|stream| stream.kind.is_some()).filter_map(|stream| stream.end);
    let end = ends.map(|end| end.on(&container).max(0) as u64).max().filter(|_| ended);
    let length = match (declared, end) {
        (Some(declared), _) if said != Some(false) => Some(Length::Declared(declared)),
        (_, Some(end)) => Some(Length::EndsAt(end)),
        (declared, None) => declared.map(Length::Declared),
    };
    let (mut video, mut audio, mut texts) = (None, Vec::new(), Vec::new());
    for stream in &seen.streams {
        let Some(caps) = stream.pad.current_caps() else { continue };
        match stream.kind {
            Some(Kind::Video) if video.is_none() => {
                video = Some(found_video(stream, caps, &container, ended));
            }
            Some(Kind::Audio) => audio.push(found_audio(stream, &caps, &container, audio.len() as u32)),
            None => {
                texts.extend(text_track(&caps, told(&stream.pad, language_of), told(&stream.pad, title_of)));
            }
            Some(Kind::Video) => {}
        }
    }
    drop(seen);
    texts.truncate(MOST_TEXTS);
    Ok(Parsed { container, length, video, audio, texts })
}

/// A duration that says something, nanoseconds.
fn asked(length: Option<gst::ClockTime>) -> Option<u64> {
    length.map(gst::ClockTime::nseconds).filter(|length| *length > 0)
}

/// Ends a parsed stream in a sink and notes the times of its packets.
fn watch(pipeline: &gst::Pipeline, pad: &gst::Pad, parsing: &Arc<Mutex<Parsing>>) {
    let kind = pad.current_caps().or_else(|| Some(pad.query_caps(None))).and_then(|caps| kind_of(&caps));
    let mut seen = parsing.lock().unwrap_or_else(PoisonError::into_inner);
    let position = seen.streams.len();
    seen.streams.push(Stream { pad: pad.clone(), kind, times: Vec::new(), untimed: 0, end: None });
    drop(seen);
    let shared = Arc::clone(parsing);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let mut seen = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.packets == 0 {
            seen.first_said = asked(pad.query_duration());
        }
        seen.packets += 1;
        beat();
        let time = info.buffer().and_then(|buffer| time_of(pad, buffer));
        let lasts = info.buffer().and_then(|buffer| buffer.duration()).map_or(0, gst::ClockTime::nseconds);
        let stream = &mut seen.streams[position];
        if stream.times.len() < LOOKED_AT {
            stream.untimed += usize::from(time.is_none());
            stream.times.extend(time);
        }
        // Packets come in decode order: the last one need not be the latest.
        if let Some(end) = time.map(|time| time.after(lasts as i64))
            && stream.end.is_none_or(|before| before.on("") < end.on(""))
        {
            stream.end = Some(end);
        }
        gst::PadProbeReturn::Ok
    });
    let sink = gst::ElementFactory::make("fakesink").property("sync", false).property("async", false).build();
    if let Ok(sink) = sink
        && pipeline.add(&sink).is_ok()
        && let Some(into) = sink.static_pad("sink")
    {
        // A stream that cannot be linked sends nothing and is reported as it is.
        let _ = pad.link(&into);
        let _ = sink.sync_state_with_parent();
    }
}

fn found_video(stream: &Stream, caps: gst::Caps, container: &str, ended: bool) -> FoundVideo {
    let mut orientation = Orientation::Upright;
    each_tag(&stream.pad, |tags| {
        if let Some(method) = gst_video::VideoOrientationMethod::from_tag(tags) {
            orientation = upright_by(method);
        }
    });
    let declared = caps
        .structure(0)
        .and_then(|structure| structure.get::<gst::Fraction>("framerate").ok())
        .filter(|rate| rate.numer() > 0 && rate.denom() > 0)
        .map(|rate| Ratio::new(rate.numer() as u32, rate.denom() as u32));
    let mut times: Vec<i64> = stream.times.iter().map(|time| time.on(container)).collect();
    times.sort_unstable();
    let settled = if ended { times.len() } else { times.len().saturating_sub(REORDERED) };
    // Containers that time keyframes only (AVI) have a constant rate by design.
    let measurable = if stream.untimed == 0 { settled } else { 0 };
    let frame_rate = frame_rate(declared, &times[..measurable]);
    FoundVideo { caps, orientation, frame_rate }
}

/// The frame rate, or `0/1` if the distances between frames differ by more than a container's rounding to
/// milliseconds explains. `times` ascend, nanoseconds.
fn frame_rate(declared: Option<Ratio>, times: &[i64]) -> Ratio {
    const ROUNDING: f64 = 1_100_000.0;
    let variable = Ratio::new(0, 1);
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return declared.unwrap_or(variable);
    };
    if times.len() < 3 {
        return declared.unwrap_or(variable);
    }
    let steady =
        |step: f64| times.windows(2).all(|pair| ((pair[1] - pair[0]) as f64 - step).abs() < ROUNDING);
    if let Some(rate) = declared
        && steady(1e9 / rate.as_f64())
    {
        return rate;
    }
    let mean = (last - first) as f64 / (times.len() - 1) as f64;
    if mean > 0.0 && steady(mean) {
        let guessed = gst_video::guess_framerate(gst::ClockTime::from_nseconds(mean.round() as u64));
        if let Some(rate) = guessed {
            return Ratio::new(rate.numer() as u32, rate.denom() as u32);
        }
    }
    variable
}

fn found_audio(stream: &Stream, caps: &gst::Caps, container: &str, index: u32) -> FoundAudio {
    let structure = caps.structure(0);
    let number =
        |field: &str| structure.and_then(|structure| structure.get::<i32>(field).ok()).unwrap_or(0).max(0);
    let language = language_of(&stream.pad);
    let codec = structure.map(|structure| structure.name().to_string()).unwrap_or_default();
    let raw = codec == "audio/x-raw";
    FoundAudio {
        track: AudioTrack {
            index,
            codec,
            sample_rate: number("rate") as u32,
            channels: (number("channels") as u32).max(1),
            language,
        },
        decodable: raw || decoder_for(caps).is_some(),
        start: stream.times.first().map_or(i64::MAX, |time| time.on(container)),
    }
}

/// What a text stream says of itself. The parser of SubStation Alpha keeps that to itself: it is asked for what it was told.
fn told(pad: &gst::Pad, ask: fn(&gst::Pad) -> Option<String>) -> Option<String> {
    let parser = || pad.downcast_ref::<gst::GhostPad>()?.target()?.parent_element()?.static_pad("sink");
    ask(pad).or_else(|| ask(&parser()?))
}

fn language_of(pad: &gst::Pad) -> Option<String> {
    let mut language = None;
    each_tag(pad, |tags| {
        let code = tags.get::<gst::tags::LanguageCode>().map(|code| code.get().to_owned());
        language = code.filter(|code| code != "und").or(language.take());
    });
    language
}

fn title_of(pad: &gst::Pad) -> Option<String> {
    let mut title = None;
    each_tag(pad, |tags| {
        title = tags.get::<gst::tags::Title>().map(|text| text.get().to_owned()).or(title.take());
    });
    title
}

fn each_tag(pad: &gst::Pad, mut visit: impl FnMut(&gst::TagListRef)) {
    pad.sticky_events_foreach(|event| {
        if let gst::EventView::Tag(event) = event.view() {
            visit(event.tag());
        }
        std::ops::ControlFlow::Continue(gst::EventForeachAction::Keep)
    });
}

/// The correction that a display matrix asks for.
fn upright_by(method: gst_video::VideoOrientationMethod) -> Orientation {
    use gst_video::VideoOrientationMethod as Method;
    match method {
        Method::_90r => Orientation::Rotate90,
        Method::_180 => Orientation::Rotate180,
        Method::_90l => Orientation::Rotate270,
        Method::Horiz => Orientation::FlipHorizontal,
        Method::Vert => Orientation::FlipVertical,
        Method::UlLr => Orientation::FlipRotate90,
        Method::UrLl => Orientation::FlipRotate270,
        _ => Orientation::Upright,
    }
}

/// Decodes one frame, after its declared size has been accepted, and describes the track by it. Also returns the
/// frame's time on the container's timeline.
fn first_frame(
    file: &SourceFile,
    found: &FoundVideo,
    container: &str,
) -> Result<(VideoTrack, i64), MediaFailure> {
    let structure = found.caps.structure(0).ok_or_else(|| MediaFailure::internal("a stream without caps"))?;
    let side = |field: &str| structure.get::<i32>(field).unwrap_or(0).max(0) as u32;
    accept(side("width"), side("height"))?;
    let chain = Chain { threads: 1, unpadded: false, after: Vec::new(), caps: raw_video(), enter: None };
    let decoding = Decoding::open(file, Kind::Video, 0, &chain)?;
    decoding.play()?;
    let Some(sample) = decoding.next()? else {
        return Err(MediaFailure::new(FailureCode::SourceCorrupt, "expected frames, none could be decoded"));
    };
    let info = sample
        .caps()
        .and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok())
        .ok_or_else(|| MediaFailure::internal("a decoded frame without a description"))?;
    accept(info.width(), info.height())?;
    let flagged = sample.buffer().is_some_and(|buffer| {
        gst_video::VideoBufferFlags::from_bits_truncate(buffer.flags().bits())
            .contains(gst_video::VideoBufferFlags::INTERLACED)
    });
    let interlaced = match info.interlace_mode() {
        gst_video::VideoInterlaceMode::Progressive => false,
        gst_video::VideoInterlaceMode::Mixed => flagged,
        _ => true,
    };
    let colorimetry = info.colorimetry();
    let hdr = matches!(
        colorimetry.transfer(),
        gst_video::VideoTransferFunction::Smpte2084 | gst_video::VideoTransferFunction::AribStdB67
    );
    let aspect = info.par();
    let track = VideoTrack {
        codec: structure.name().to_string(),
        width: info.width(),
        height: info.height(),
        pixel_aspect: Ratio::new(aspect.numer().max(1) as u32, aspect.denom().max(1) as u32),
        frame_rate: found.frame_rate,
        orientation: found.orientation,
        interlaced,
        bit_depth: info.format_info().depth().first().copied().unwrap_or(8),
        colorimetry: colorimetry.to_string(),
        hdr,
        complexity: None,
    };
    Ok((track, presented(&sample, container).unwrap_or(0)))
}

fn accept(width: u32, height: u32) -> Result<(), MediaFailure> {
    if picture_is_acceptable(width, height) {
        return Ok(());
    }
    Err(MediaFailure::new(FailureCode::SourceDimensions, format!("{width}x{height} pixels declared")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_rates_constant_and_variable() {
        let at = |step: f64, count: usize| (0..count).map(|n| (n as f64 * step) as i64).collect::<Vec<_>>();
        let rate = |num, den| Some(Ratio::new(num, den));
        assert_eq!(frame_rate(rate(24, 1), &at(1e9 / 24.0, 100)), Ratio::new(24, 1));
        // Matroska rounds to milliseconds.
        let rounded: Vec<i64> = at(1e9 / 60.0, 100).iter().map(|time| time / 1_000_000 * 1_000_000).collect();
        assert_eq!(frame_rate(rate(60, 1), &rounded), Ratio::new(60, 1));
        // A demuxer that declares nothing or nonsense for steady frames.
        assert_eq!(frame_rate(None, &at(40e6, 100)), Ratio::new(25, 1));
        assert_eq!(frame_rate(rate(90_000, 1), &at(40e6, 100)), Ratio::new(25, 1));
        let jumpy: Vec<i64> = (0..100).map(|n| n * 33_000_000 + (n % 7) * 4_000_000).collect();
        assert_eq!(frame_rate(rate(30, 1), &jumpy), Ratio::new(0, 1));
        assert_eq!(frame_rate(rate(30, 1), &[0]), Ratio::new(30, 1));
        assert_eq!(frame_rate(None, &[]), Ratio::new(0, 1));
    }
}
