//! Which field of an interlaced frame becomes the frame that is shown: the one that comes first.
//!
//! `deinterlace` of GStreamer 1.22, asked for the top fields of a source whose bottom fields come first, loses the time of
//! the first frame and puts out one frame too many at the end.

use std::sync::atomic::{AtomicBool, Ordering};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video::VideoBufferFlags;

/// Makes a `deinterlace` put out one frame for each that comes in, made of its first field.
pub(super) fn keep_first(deinterlace: &gst::Element) {
    deinterlace.set_property_from_str("fields", "top");
    let Some(pad) = deinterlace.static_pad("sink") else { return };
    let (element, top) = (deinterlace.downgrade(), AtomicBool::new(true));
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let top_first = match &info.data {
            Some(gst::PadProbeData::Event(event)) => of_all(event),
            Some(gst::PadProbeData::Buffer(buffer)) => of_one(buffer),
            _ => None,
        };
        if let Some(top_first) = top_first
            && top.swap(top_first, Ordering::Relaxed) != top_first
            && let Some(element) = element.upgrade()
        {
            element.set_property_from_str("fields", if top_first { "top" } else { "bottom" });
        }
        gst::PadProbeReturn::Ok
    });
}

/// Whether the top field comes first in every frame, if the stream says so.
fn of_all(event: &gst::Event) -> Option<bool> {
    let gst::EventView::Caps(event) = event.view() else { return None };
    let order = event.caps().structure(0)?.get::<&str>("field-order").ok()?;
    Some(order != "bottom-field-first")
}

/// The same of one frame; a progressive one among the others says nothing.
fn of_one(frame: &gst::BufferRef) -> Option<bool> {
    let flags = VideoBufferFlags::from_bits_truncate(frame.flags().bits());
    flags.contains(VideoBufferFlags::INTERLACED).then(|| flags.contains(VideoBufferFlags::TFF))
}
