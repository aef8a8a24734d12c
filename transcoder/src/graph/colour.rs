//! Whether a picture's code values fill the full range. `qtdemux` of GStreamer 1.22 does not read that from an MP4's `colr`
//! box, says limited, and is believed over the stream itself: the picture comes out too dark in the shadows and too light
//! elsewhere. So the decoder is not told what the container says of colour, and what it finds out about the range
//! counts.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video::{VideoColorRange, VideoColorimetry};

/// Takes the range of colours from the decoder, the rest from the stream's caps, where they say anything.
pub(super) fn trust_range(decoder: &gst::Element, stream: &gst::Caps) {
    let told = stream.structure(0).and_then(|structure| structure.get::<&str>("colorimetry").ok());
    let Some(told) = told.and_then(|told| told.parse::<VideoColorimetry>().ok()) else { return };
    let (Some(sink), Some(src)) = (decoder.static_pad("sink"), decoder.static_pad("src")) else { return };
    replace_caps(&sink, |structure| structure.remove_field("colorimetry"));
    replace_caps(&src, move |structure| {
        let found = structure.get::<&str>("colorimetry").ok().and_then(|found| found.parse().ok());
        let full = [Some(told), found]
            .into_iter()
            .flatten()
            .any(|colours: VideoColorimetry| colours.range() == VideoColorRange::Range0_255);
        let range = if full { VideoColorRange::Range0_255 } else { told.range() };
        let whole = VideoColorimetry::new(range, told.matrix(), told.transfer(), told.primaries());
        structure.set("colorimetry", whole.to_string());
    });
}

/// Changes what is said of every stream that goes through a pad.
pub(super) fn replace_caps(pad: &gst::Pad, change: impl Fn(&mut gst::StructureRef) + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view()) {
            let mut caps = event.caps_owned();
            if let Some(structure) = caps.make_mut().structure_mut(0) {
                change(structure);
            }
            let event = gst::event::Caps::builder(&caps).seqnum(event.seqnum()).build();
            info.data = Some(gst::PadProbeData::Event(event));
        }
        gst::PadProbeReturn::Ok
    });
}
