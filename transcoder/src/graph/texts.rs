//! Text tracks of a source, whole: demultiplexed, not decoded, and handed over as text with times. `lectern_domain::captions`
//! makes captions of them.

use std::{
    fs::File,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gstreamer as gst;
use gstreamer::prelude::*;
use lectern_domain::{
    captions::{MAX_CUES, MAX_FILE_BYTES, MOST_TEXTS, SourceText, SourceTexts, TEXTS},
    plan::SECOND_NS,
    source::{SourceInfo, TextTrack},
    trim::texts_within,
};

use super::{
    MediaFailure, Running, STALL, beat, decode::time_of, file::SourceFile, patience::Patience, pulse,
};

/// How often a wait looks at the bus.
const POLL: Duration = Duration::from_millis(100);

/// How far apart packets of the same time lie in a container, nanoseconds: so far past the out point every text before it has come.
const OVERLAP_NS: u64 = 10 * SECOND_NS;

/// Kinds of text that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Text with tags in the manner of HTML: SubRip, timed text of MP4, WebVTT.
    Tagged,
    /// Plain text.
    Plain,
    /// (Advanced) SubStation Alpha events.
    Ssa,
}

fn form_of(caps: &gst::CapsRef) -> Option<Form> {
    let structure = caps.structure(0)?;
    match structure.name().as_str() {
        "text/x-raw" if structure.get::<&str>("format").is_ok_and(|format| format == "utf8") => {
            Some(Form::Plain)
        }
        "text/x-raw" | "application/x-subtitle-vtt" | "text/vtt" => Some(Form::Tagged),
        "application/x-ssa" | "application/x-ass" => Some(Form::Ssa),
        _ => None,
    }
}

/// Whether a parsed stream is text that can be made captions, and what it is.
pub(super) fn text_track(
    caps: &gst::CapsRef,
    language: Option<String>,
    title: Option<String>,
) -> Option<TextTrack> {
    form_of(caps)?;
    let codec = caps.structure(0)?.name().to_string();
    Some(TextTrack { codec, language, title })
}

/// Writes the text tracks of a source into `folder`, if it has some.
pub(crate) fn extract_texts(
    file: &SourceFile,
    source: &SourceInfo,
    folder: &Path,
) -> Result<(), MediaFailure> {
    if source.texts.is_empty() {
        return Ok(());
    }
    let found = read(file, source)?;
    let tracks: Vec<SourceTexts> = source
        .texts
        .iter()
        .zip(found)
        .map(|(track, texts)| SourceTexts {
            language: track.language.clone(),
            title: track.title.clone(),
            texts: match source.trim {
                None => texts,
                Some(trim) => texts_within(texts, trim),
            },
        })
        .collect();
    serde_json::to_writer(File::create(folder.join(TEXTS))?, &tracks).map_err(MediaFailure::internal)
}

/// Where the source begins on its container's timeline, and where on that nothing is read any more; nanoseconds.
fn bounds(source: &SourceInfo) -> (i64, i64) {
    let trim = source.trim.unwrap_or_default();
    let end = source.out_point_ns().map(|end| source.start_ns.saturating_add(end + OVERLAP_NS));
    let start = source.start_ns.saturating_sub(trim.in_ms * 1_000_000);
    (start as i64, end.map_or(i64::MAX, |end| end as i64))
}

/// The texts of each text track, in the container's order, with times of the source: those seen at the in point may have come before it.
fn read(file: &SourceFile, source: &SourceInfo) -> Result<Vec<Vec<SourceText>>, MediaFailure> {
    let pipeline = gst::Pipeline::new();
    let (input, parse) = (file.mended()?.0, super::element("parsebin")?);
    pipeline.add_many([&input, &parse])?;
    input.link(&parse)?;
    let tracks: Arc<Mutex<Vec<Vec<SourceText>>>> = Arc::default();
    let (shared, weak) = (Arc::clone(&tracks), pipeline.downgrade());
    let container = source.container.clone();
    let (start_ns, end_ns) = bounds(source);
    let over = Arc::new(AtomicBool::new(false));
    let past_the_end = Arc::clone(&over);
    parse.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        let caps = pad.current_caps().or_else(|| Some(pad.query_caps(None)));
        let form = caps.as_deref().and_then(form_of);
        let sink =
            gst::ElementFactory::make("fakesink").property("sync", false).property("async", false).build();
        let Ok(sink) = sink else { return };
        if pipeline.add(&sink).is_err() {
            return;
        }
        let mut all = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let track = all.len();
        if form.is_some() && track < MOST_TEXTS {
            all.push(Vec::new());
        }
        drop(all);
        let (shared, container) = (Arc::clone(&shared), container.clone());
        let over = Arc::clone(&over);
        let form = form.filter(|_| track < MOST_TEXTS);
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            beat();
            let time = info.buffer().and_then(|buffer| time_of(pad, buffer));
            if time.is_some_and(|time| time.on(&container) > end_ns) {
                over.store(true, Ordering::Relaxed);
            }
            if let (Some(form), Some(buffer)) = (form, info.buffer())
                && let Some(text) = text_of(pad, buffer, form, &container, start_ns)
            {
                let mut all = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let bytes: usize = all[track].iter().map(|one| one.text.len()).sum();
                if all[track].len() < MAX_CUES && bytes + text.text.len() <= MAX_FILE_BYTES {
                    all[track].push(text);
                }
            }
            gst::PadProbeReturn::Ok
        });
        if let Some(into) = sink.static_pad("sink") {
            // A stream that cannot be linked sends nothing.
            let _ = pad.link(&into);
            let _ = sink.sync_state_with_parent();
        }
    });
    let running = Running(pipeline);
    if running.0.set_state(gst::State::Playing).is_err() {
        return Err(running
            .error()
            .unwrap_or_else(|| MediaFailure::internal("the text graph does not start")));
    }
    let (mut patience, mut seen) = (Patience::new(STALL), pulse());
    while !past_the_end.load(Ordering::Relaxed) && !running.ended(POLL)? {
        if seen != pulse() {
            seen = pulse();
            patience.renew();
        } else if patience.is_over() {
            return Err(MediaFailure::internal(format!("no packet for {} s", STALL.as_secs())));
        }
    }
    drop(running);
    let mut tracks = tracks.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *tracks))
}

fn text_of(
    pad: &gst::Pad,
    buffer: &gst::BufferRef,
    form: Form,
    container: &str,
    start_ns: i64,
) -> Option<SourceText> {
    let start_ns = time_of(pad, buffer)?.on(container) - start_ns;
    let end_ns = buffer.duration().map(|duration| start_ns + duration.nseconds() as i64);
    // Gaps are sent as texts of one space.
    let data = buffer.map_readable().ok()?;
    let text = String::from_utf8_lossy(&data);
    let text = text.trim_end_matches('\0').replace("\r\n", "\n");
    let text = match form {
        Form::Tagged => text,
        Form::Plain => text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
        Form::Ssa => ssa_text(&text),
    };
    let ms = |ns: i64| (ns.max(0) / 1_000_000) as u64;
    (!text.trim().is_empty()).then(|| SourceText { start_ms: ms(start_ns), end_ms: end_ns.map(ms), text })
}

/// The text of an event as Matroska stores it: eight fields and commas before it, `\N` between its lines, overrides in braces.
fn ssa_text(event: &str) -> String {
    let text = event.splitn(9, ',').nth(8).unwrap_or_default();
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}') else { break };
        out.push_str(&rest[..open]);
        rest = &rest[open + close + 1..];
    }
    out.push_str(rest);
    let out = out.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ");
    out.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_substation_alpha() {
        for (event, expected) in [
            ("0,0,Default,,0,0,0,,Hello, world", "Hello, world"),
            ("1,0,Default,Ada,0,0,0,,{\\i1}One{\\i0}\\Ntwo\\hthree", "One\ntwo three"),
            ("2,0,Default,,0,0,0,,a < b {open", "a &lt; b {open"),
            ("too,few", ""),
            ("", ""),
        ] {
            assert_eq!(ssa_text(event), expected, "{event}");
        }
    }
}
