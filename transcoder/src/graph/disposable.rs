//! Packets that need not be decoded while a picture stands still.
//!
//! An encoder spends half of the frames of a still picture on non-reference pictures that say "as before". No other picture needs
//! them, and decoding one costs as much as decoding any: a copy of the whole picture. What such a packet can hold beside its headers
//! is bounded by its size, but it may say "as the next one": so it is left out only when the pictures that it can refer to say
//! nothing new either.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::{beat, entry::h264_units};

/// Bytes of a slice's headers and of the container of its NAL units.
const HEADERS: u64 = 24;
/// Pixels of a picture for each byte that says nothing: CABAC codes some fifteen skipped macroblocks in one bit (ITU-T H.264 9.3.1.2).
const PIXELS_PER_BYTE: u64 = 128 * 256;

/// Reference pictures in a row that must have said nothing: a picture refers to the ones before and after it, and between them to
/// one in the middle.
const QUIET: u32 = 3;

/// Whether packets are to be left out that hold nothing new. Shared with the streaming thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Skim(Arc<AtomicBool>);

impl Skim {
    pub(super) fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }

    /// Lets this decide over what flows into `decoder`.
    pub(super) fn watch(&self, decoder: &gst::Element) {
        let Some(pad) = decoder.static_pad("sink") else { return };
        let on = Arc::clone(&self.0);
        let quiet = AtomicU32::new(0);
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if !on.load(Ordering::Relaxed) {
                quiet.store(0, Ordering::Relaxed);
                return gst::PadProbeReturn::Ok;
            }
            let says = info.buffer().map_or(Says::Something, |buffer| Says::of(pad, buffer));
            let (left_out, now) = says.after(quiet.load(Ordering::Relaxed));
            quiet.store(now, Ordering::Relaxed);
            if left_out {
                beat();
                return gst::PadProbeReturn::Drop;
            }
            gst::PadProbeReturn::Ok
        });
    }
}

/// What a packet can say, by its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// Something.
    Something,
    /// That a picture is as others, and no picture refers to it.
    Nothing,
    /// The same of a picture that others refer to.
    NothingToOthers,
}

impl Says {
    /// Whether a packet is left out after so many quiet reference pictures in a row, and how many those are then.
    const fn after(self, quiet: u32) -> (bool, u32) {
        match self {
            Self::Something => (false, 0),
            Self::Nothing => (quiet >= QUIET, quiet),
            Self::NothingToOthers => (false, quiet.saturating_add(1)),
        }
    }

    fn of(pad: &gst::Pad, buffer: &gst::BufferRef) -> Self {
        let Some(caps) = pad.current_caps() else { return Self::Something };
        let Some(structure) = caps.structure(0).filter(|structure| structure.name() == "video/x-h264") else {
            return Self::Something;
        };
        let side = |name: &str| structure.get::<i32>(name).map_or(0, |side| side.max(0) as u64);
        let room = HEADERS + side("width") * side("height") / PIXELS_PER_BYTE;
        // Reference pictures are decoded whatever they say: they may take a little more.
        if buffer.size() as u64 > 2 * room {
            return Self::Something;
        }
        let Ok(map) = buffer.map_readable() else { return Self::Something };
        match is_disposable(h264_units(structure, &map)) {
            true if buffer.size() as u64 <= room => Self::Nothing,
            true => Self::Something,
            false => Self::NothingToOthers,
        }
    }
}

/// Whether no picture refers to this one: it has slices, and `nal_ref_idc` is 0 in all of them (ITU-T H.264 7.4.1).
fn is_disposable(mut headers: impl Iterator<Item = u8>) -> bool {
    let mut slices = 0;
    let all = headers.all(|header| {
        let slice = matches!(header & 0x1f, 1..=5);
        slices += u32::from(slice);
        !slice || header & 0x60 == 0
    });
    all && slices > 0
}

#[cfg(test)]
mod tests {
    use super::{
        Says::{self, Nothing, NothingToOthers, Something},
        is_disposable,
    };

    fn left_out(packets: &[Says]) -> Vec<bool> {
        let mut quiet = 0;
        let decide = |says: &Says| {
            let (left_out, now) = says.after(quiet);
            quiet = now;
            left_out
        };
        packets.iter().map(decide).collect()
    }

    #[test]
    fn nothing_is_left_out_that_may_be_as_a_new_picture() {
        let (o, r, n) = (Something, NothingToOthers, Nothing);
        // Decoding order: a reference picture, one in the middle, two to which none refers.
        assert_eq!(
            left_out(&[r, r, n, n, r, r, n, n]),
            [false, false, false, false, false, false, true, true]
        );
        assert_eq!(
            left_out(&[r, r, r, n, o, n, r, r, n, r, n])[3..],
            [true, false, false, false, false, false, false, true]
        );
    }

    #[test]
    fn only_pictures_that_none_refers_to_are_disposable() {
        let table: [(&[u8], bool); 6] = [
            (&[0x01], true),
            (&[0x09, 0x06, 0x01, 0x01], true),
            (&[0x41], false),
            (&[0x01, 0x21], false),
            (&[0x65], false),
            (&[0x06], false),
        ];
        for (headers, expected) in table {
            assert_eq!(is_disposable(headers.iter().copied()), expected, "{headers:02x?}");
        }
    }
}
