//! Where a decoder enters a stream after a seek, and whether the pictures from there on are whole.
//!
//! Containers mark sync samples that are not IDR pictures (open GOPs, gradual refresh). `avdec_h264` of GStreamer 1.22
//! rejects such a picture when it is the first one, because frame numbers have a gap before it, and everything that
//! refers to it comes out broken until the next sync sample. Whoever enters there must enter one sync sample earlier.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::decode::Times;

/// The first access unit that a decoder got after it was started or flushed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// When it is presented.
    pub(super) times: Times,
    /// Whether decoding may begin with it.
    pub(super) whole: bool,
}

/// An entry as the streaming thread writes it.
pub(super) type SharedEntry = Arc<Mutex<Option<Entry>>>;

/// Notes the entry of what flows into `decoder`.
pub(super) fn watch(decoder: &gst::Element) -> SharedEntry {
    let entry = SharedEntry::default();
    let Some(pad) = decoder.static_pad("sink") else { return entry };
    let shared = Arc::clone(&entry);
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_FLUSH, move |pad, info| {
        let mut entry = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if info.event().is_some() {
            *entry = None;
        } else if entry.is_none()
            && let Some(buffer) = info.buffer()
        {
            *entry = read(pad, buffer);
        }
        gst::PadProbeReturn::Ok
    });
    entry
}

fn read(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<Entry> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let times = Times::of(buffer.pts()?, event.segment().downcast_ref::<gst::ClockTime>()?)?;
    let caps = pad.current_caps()?;
    let structure = caps.structure(0)?;
    if structure.name() != "video/x-h264" {
        return Some(Entry { times, whole: true });
    }
    let map = buffer.map_readable().ok()?;
    let whole = has_idr(h264_units(structure, &map));
    Some(Entry { times, whole })
}

/// Whether one of the NAL units is a slice of an IDR picture (ITU-T H.264 table 7-1).
pub(super) fn has_idr<'a>(mut units: impl Iterator<Item = &'a [u8]>) -> bool {
    units.any(|unit| unit[0] & 0x1f == 5)
}

/// The NAL units of an H.264 access unit, in the form that its caps say. None is empty.
pub(super) fn h264_units<'a>(
    caps: &gst::StructureRef,
    unit: &'a [u8],
) -> Box<dyn Iterator<Item = &'a [u8]> + 'a> {
    if caps.get::<&str>("stream-format").is_ok_and(|format| format == "byte-stream") {
        return Box::new(start_codes(unit));
    }
    let codec_data = caps.get::<gst::Buffer>("codec_data").ok();
    let header = codec_data.as_ref().and_then(|data| data.map_readable().ok());
    // ISO/IEC 14496-15 5.3.3.1.2: lengthSizeMinusOne.
    let size =
        header.as_ref().and_then(|data| data.get(4).copied()).map_or(4, |byte| usize::from(byte & 3) + 1);
    Box::new(lengths(unit, size))
}

/// NAL units that follow start codes (ITU-T H.264 annex B).
fn start_codes(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let begin = |from: usize| {
        let found = data.get(from..)?.windows(3).position(|window| window == [0, 0, 1])?;
        Some(from + found + 3)
    };
    let mut at = begin(0);
    std::iter::from_fn(move || {
        let from = at?;
        at = begin(from);
        let unit = &data[from..at.map_or(data.len(), |next| next - 3)];
        // Zeros before a start code belong to it.
        Some(&unit[..unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)])
    })
    .filter(|unit| !unit.is_empty())
}

/// NAL units that follow their lengths, of `size` bytes each.
fn lengths(mut data: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (prefix, rest) = data.split_at_checked(size)?;
        let length = prefix.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
        let (unit, rest) = rest.split_at_checked(length)?;
        data = rest;
        Some(unit).filter(|unit| !unit.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idr_pictures_are_found_in_both_forms() {
        let (sps, idr, other): (&[u8], &[u8], &[u8]) = (&[0x67, 1], &[0x65, 2, 3], &[0x41, 9]);
        let prefixed = |units: &[&[u8]]| {
            units
                .iter()
                .flat_map(|unit| [&(unit.len() as u32).to_be_bytes()[..], unit].concat())
                .collect::<Vec<u8>>()
        };
        let coded = |units: &[&[u8]]| {
            units.iter().flat_map(|unit| [&[0, 0, 1][..], unit].concat()).collect::<Vec<u8>>()
        };
        assert!(has_idr(lengths(&prefixed(&[sps, idr]), 4)));
        assert!(!has_idr(lengths(&prefixed(&[sps, other]), 4)));
        assert!(has_idr(start_codes(&coded(&[sps, idr]))));
        assert!(!has_idr(start_codes(&coded(&[sps, other]))));
    }

    #[test]
    fn units_are_whole_in_both_forms() {
        let units: Vec<&[u8]> =
            start_codes(&[9, 0, 0, 0, 1, 0x67, 1, 0, 0, 0, 0, 1, 0x65, 0, 2, 0, 0, 1]).collect();
        assert_eq!(units, [&[0x67, 1][..], &[0x65, 0, 2]]);
        let units: Vec<&[u8]> = lengths(&[0, 2, 0x67, 1, 0, 1, 0x65], 2).collect();
        assert_eq!(units, [&[0x67, 1][..], &[0x65]]);
    }

    #[test]
    fn lengths_that_lie_end_the_search() {
        assert!(!has_idr(lengths(&[0xff, 0xff, 0xff, 0xff, 0x65], 4)));
        assert!(!has_idr(lengths(&[0, 0], 4)));
        assert!(!has_idr(lengths(&[0, 0, 0, 0, 0, 0, 0, 1, 0x65], 4)), "an empty unit ends it");
        assert!(!has_idr(start_codes(&[0, 0, 1])));
    }
}
