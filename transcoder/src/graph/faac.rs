//! AAC made by libfaac names its maker in the first access unit. libavcodec's decoder looks for the name and then swallows
//! that unit's sound, the encoder's delay, by itself. The demuxer has taken the delay off the timeline already where the
//! file says so, and `avdec_aac` of GStreamer 1.22 gives the next unit's sound the first one's time: everything is heard
//! 21 ms early. So the name is made unreadable.

use std::sync::atomic::{AtomicU32, Ordering};

use gstreamer as gst;
use gstreamer::prelude::*;

/// What libavcodec looks for: a version follows.
const NAME: u64 = u64::from_be_bytes(*b"libfaac ");
/// Access units that are looked at. libfaac writes its name once, early.
const UNITS: u32 = 16;

/// Hides the maker's name from the decoder of a stream.
pub(super) fn hide_name(decoder: &gst::Element, stream: &gst::Caps) {
    let is_aac = stream.structure(0).is_some_and(|stream| {
        stream.name() == "audio/mpeg" && stream.get::<i32>("mpegversion").is_ok_and(|version| version != 1)
    });
    let Some(pad) = decoder.static_pad("sink").filter(|_| is_aac) else { return };
    let seen = AtomicU32::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if seen.fetch_add(1, Ordering::Relaxed) == UNITS {
            return gst::PadProbeReturn::Remove;
        }
        if let Some(buffer) = info.buffer_mut()
            && let Some(bit) = buffer.map_readable().ok().and_then(|unit| find(&unit))
            && let Ok(mut unit) = buffer.make_mut().map_writable()
        {
            unit[bit / 8] ^= 0x80 >> (bit % 8);
        }
        gst::PadProbeReturn::Ok
    });
}

/// The last bit of the name. Elements of an access unit begin at any bit (ISO/IEC 14496-3 4.4.2.1).
fn find(unit: &[u8]) -> Option<usize> {
    let mut last = 0u64;
    (0..unit.len() * 8).find(|bit| {
        last = last << 1 | u64::from(unit[bit / 8] >> (7 - bit % 8) & 1);
        last == NAME
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_at_any_bit() {
        for shift in 0..8 {
            let mut unit = vec![0u8; 40];
            for (at, byte) in b"libfaac 1.28".iter().enumerate() {
                let bits = u16::from(*byte) << (8 - shift);
                unit[5 + at] |= (bits >> 8) as u8;
                unit[6 + at] |= bits as u8;
            }
            assert_eq!(find(&unit), Some((5 + 8) * 8 + shift - 1));
        }
        assert_eq!(find(b"Lavc59.37.100"), None);
        assert_eq!(find(b""), None);
    }
}
