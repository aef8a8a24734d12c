//! A small lecture, drawn and encoded on the spot: slides with text, a running clock, a tone for every slide. For the
//! demo and for `lectern doctor`. Trusted by construction, so it is made in the calling process.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::graph;

/// Seconds that a slide stands.
const SLIDE_SECONDS: u64 = 8;
const FRAMES_PER_SECOND: u64 = 25;

/// Title, background as ARGB and pitch of each slide.
const SLIDES: [(&str, u32, f64); 5] = [
    ("Welcome to Lectern", 0xff_1f_3a_5f, 262.0),
    ("1. An instructor uploads", 0xff_2e_5e_4e, 294.0),
    ("2. The lesson is transcoded", 0xff_6b_4f_1d, 330.0),
    ("3. Segments are encrypted", 0xff_5a_2a_4d, 349.0),
    ("4. Enrolled learners play", 0xff_24_49_6e, 392.0),
];

/// Writes an MP4 of `seconds` seconds (H.264 1280×720, AAC). Blocks until it is done.
pub fn write(path: &Path, seconds: u32) -> Result<(), String> {
    graph::init().map_err(|error| error.to_string())?;
    let frames = u64::from(seconds.max(1)) * FRAMES_PER_SECOND;
    let description = format!(
        "videotestsrc name=slides pattern=solid-color num-buffers={frames} \
           ! video/x-raw,width=1280,height=720,framerate={FRAMES_PER_SECOND}/1 \
           ! textoverlay name=title font-desc=\"Sans Bold 44\" valignment=center halignment=center \
           ! timeoverlay font-desc=\"Sans 22\" valignment=bottom halignment=right \
           ! videoconvert ! x264enc speed-preset=superfast pass=qual quantizer=20 key-int-max=100 \
           ! h264parse ! queue ! mux. \
         audiotestsrc name=tone num-buffers={frames} samplesperbuffer=1920 volume=0.1 \
           ! audio/x-raw,rate=48000,channels=1 ! audioconvert ! avenc_aac ! aacparse ! queue ! mux. \
         mp4mux name=mux faststart=true ! filesink name=file"
    );
    let pipeline = gst::parse::launch(&description)
        .map_err(|error| error.to_string())?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "expected a pipeline".to_owned())?;
    let by_name = |name: &str| pipeline.by_name(name).ok_or_else(|| format!("no element {name}"));
    by_name("file")?.set_property("location", path.to_string_lossy().as_ref());

    let (slides, title) = (by_name("slides")?, by_name("title")?);
    slides.set_property("foreground-color", SLIDES[0].1);
    turn_slides(&slides, move |slide| {
        title.set_property("text", SLIDES[slide].0);
    })?;
    let tone = by_name("tone")?;
    let pitch = tone.clone();
    turn_slides(&tone, move |slide| pitch.set_property("freq", SLIDES[slide].2))?;

    pipeline.set_state(gst::State::Playing).map_err(|_| "the sample's graph does not start".to_owned())?;
    let bus = pipeline.bus().ok_or("no bus")?;
    let limit = gst::ClockTime::try_from(Duration::from_mins(2)).map_err(|error| error.to_string())?;
    let end = bus.timed_pop_filtered(limit, &[gst::MessageType::Eos, gst::MessageType::Error]);
    let result = match end.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => Ok(()),
        Some(gst::MessageView::Error(error)) => Err(error.error().to_string()),
        _ => Err("it took longer than two minutes".to_owned()),
    };
    let _ = pipeline.set_state(gst::State::Null);
    result
}

/// Calls `turn` with the slide's number before the first buffer of each slide leaves `source`.
fn turn_slides(source: &gst::Element, turn: impl Fn(usize) + Send + Sync + 'static) -> Result<(), String> {
    let pad = source.static_pad("src").ok_or("no src pad")?;
    let colours = source.has_property("foreground-color").then(|| source.downgrade());
    let count = AtomicU64::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        // The source draws the next buffer after this one has left, so it is told one buffer early.
        let next = count.fetch_add(1, Ordering::Relaxed) + 1;
        let slide_at = |buffer: u64| (buffer / (SLIDE_SECONDS * FRAMES_PER_SECOND)) as usize % SLIDES.len();
        turn(slide_at(next - 1));
        if let Some(source) = colours.as_ref().and_then(gst::glib::WeakRef::upgrade) {
            source.set_property("foreground-color", SLIDES[slide_at(next)].1);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}
