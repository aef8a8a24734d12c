//! Packets that need not be decoded while a picture stands still.
//!
//! An encoder spends nearly all frames of a still picture on ones that say "as before", and decoding such a one costs as much as decoding
//! any: a copy of the whole picture. Those to which no other picture refers are left out when they come. Those that others refer to
//! are held, once their bits are familiar ([`super::familiar`]), until the next IDR picture shows that nobody needed them, and decoded all
//! the same when something else comes before. The times of what is left out are kept: each shows the picture before it again.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::{
    beat,
    entry::{h264_units, has_idr},
    familiar::Familiar,
};

/// Bytes of a slice's headers and of the container of its NAL units.
const HEADERS: u64 = 24;
/// Pixels of a picture for each byte that says nothing: CABAC codes some fifteen skipped macroblocks in one bit (ITU-T H.264 9.3.1.2).
const PIXELS_PER_BYTE: u64 = 128 * 256;

/// Reference pictures in a row that must have said nothing: a picture refers to the ones before and after it, and between them to
/// one in the middle.
const QUIET: u32 = 3;
/// Packets that are held at most: a stream may have no further IDR picture.
const MOST_HELD: usize = 1_000;

/// Leaves out packets that hold nothing new. Shared with the streaming thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Skim(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    on: AtomicBool,
    /// Whether what comes is what was held.
    releasing: AtomicBool,
    stream: Mutex<Stream>,
    left_out: Mutex<BTreeSet<gst::ClockTime>>,
}

#[derive(Debug, Default)]
struct Stream {
    caps: Option<gst::Caps>,
    familiar: Familiar,
    /// Reference pictures in a row that said nothing by their size.
    quiet: u32,
    /// Reference pictures in a row whose bits were familiar.
    known: u32,
    held: Vec<gst::Buffer>,
}

/// What becomes of a packet.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It is decoded, after those that are held.
    Decoded,
    /// It is decoded, and those that are held are not.
    Fresh,
    /// It is not decoded.
    LeftOut,
    /// That is not yet known.
    Held,
}

impl Skim {
    pub(super) fn set(&self, on: bool) {
        self.0.on.store(on, Ordering::Relaxed);
    }

    /// Takes the first time before another, or before the end, at which the picture that was shown last is shown again.
    pub(super) fn take_before(&self, time: Option<gst::ClockTime>) -> Option<gst::ClockTime> {
        let mut left_out = self.0.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        let first = left_out.first().copied().filter(|first| time.is_none_or(|time| *first < time))?;
        left_out.remove(&first);
        Some(first)
    }

    /// Lets this decide over what flows into `decoder`.
    pub(super) fn watch(&self, decoder: &gst::Element) {
        let Some(pad) = decoder.static_pad("sink") else { return };
        let shared = Arc::clone(&self.0);
        let what =
            gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::EVENT_FLUSH;
        pad.add_probe(what, move |pad, info| {
            if let Some(event) = info.event() {
                match event.view() {
                    gst::EventView::FlushStart(_) | gst::EventView::FlushStop(_) => shared.forget(),
                    // What is left shows the picture that is there until the end.
                    gst::EventView::Eos(_) => shared.leave_out_held(pad),
                    _ if event.is_serialized() => shared.release(pad),
                    _ => {}
                }
                return gst::PadProbeReturn::Ok;
            }
            let Some(buffer) = info.buffer().filter(|_| !shared.releasing.load(Ordering::Relaxed)) else {
                return gst::PadProbeReturn::Ok;
            };
            match shared.decide(pad, buffer) {
                Fate::Decoded => {
                    shared.release(pad);
                    gst::PadProbeReturn::Ok
                }
                Fate::Fresh => {
                    shared.leave_out_held(pad);
                    gst::PadProbeReturn::Ok
                }
                Fate::LeftOut => {
                    shared.leave_out(pad, buffer);
                    gst::PadProbeReturn::Drop
                }
                Fate::Held => {
                    shared.stream().held.push(buffer.to_owned());
                    beat();
                    gst::PadProbeReturn::Drop
                }
            }
        });
    }
}

impl Shared {
    fn stream(&self) -> std::sync::MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, pad: &gst::Pad, buffer: &gst::BufferRef) -> Fate {
        let mut stream = self.stream();
        let Some(caps) = pad.current_caps() else { return Fate::Decoded };
        let Some(structure) = caps.structure(0).filter(|structure| structure.name() == "video/x-h264") else {
            return Fate::Decoded;
        };
        let Ok(map) = buffer.map_readable() else { return Fate::Decoded };
        if stream.caps.as_ref() != Some(&caps) {
            stream.familiar = Familiar::default();
            let headers = structure.get::<gst::Buffer>("codec_data").ok();
            if let Some(headers) = headers.as_ref().and_then(|headers| headers.map_readable().ok()) {
                stream.familiar.read_headers(&headers);
            }
            stream.caps = Some(caps.clone());
        }
        if has_idr(h264_units(structure, &map)) {
            (stream.quiet, stream.known) = (0, 0);
            // Headers in the stream come with it.
            stream.familiar.read(h264_units(structure, &map));
            return Fate::Fresh;
        }
        // Of a packet that does not say when it is shown, only the decoder knows.
        if !self.on.load(Ordering::Relaxed) || buffer.pts().is_none() {
            (stream.quiet, stream.known) = (0, 0);
            stream.familiar.forget();
            return Fate::Decoded;
        }
        let side = |name: &str| structure.get::<i32>(name).map_or(0, |side| side.max(0) as u64);
        let room = HEADERS + side("width") * side("height") / PIXELS_PER_BYTE;
        let says = Says::of(map.size() as u64, room, h264_units(structure, &map));
        let picture = match says {
            Says::Something => None,
            Says::Nothing | Says::NothingToOthers => stream.familiar.read(h264_units(structure, &map)),
        };
        let known = picture.as_ref().is_some_and(|picture| stream.familiar.knows(picture));
        let all_known = known
            && stream.held.len() < MOST_HELD
            && picture.as_ref().is_some_and(|picture| stream.known >= picture.references.max(QUIET));
        let fate = fate(says, stream.quiet, all_known);
        stream.quiet = says.after(stream.quiet);
        stream.known = match says {
            // What nobody refers to changes nothing for others.
            Says::Nothing => stream.known,
            Says::NothingToOthers if known => stream.known.saturating_add(1),
            Says::NothingToOthers | Says::Something => 0,
        };
        if let Some(picture) = picture {
            stream.familiar.remember(picture);
        }
        fate
    }

    /// Keeps the time of a packet, if it would have been shown: what an edit list cuts off is decoded and not shown.
    fn leave_out(&self, pad: &gst::Pad, buffer: &gst::BufferRef) {
        let shown = |time| match pad.sticky_event::<gst::event::Segment>(0) {
            Some(event) => event.segment().downcast_ref::<gst::ClockTime>().is_none_or(|segment| {
                segment.stop().is_none_or(|stop| time < stop) && segment.to_running_time(time).is_some()
            }),
            None => true,
        };
        if let Some(time) = buffer.pts().filter(|time| shown(*time)) {
            self.left_out.lock().unwrap_or_else(PoisonError::into_inner).insert(time);
        }
        beat();
    }

    fn leave_out_held(&self, pad: &gst::Pad) {
        let held = std::mem::take(&mut self.stream().held);
        for buffer in &held {
            self.leave_out(pad, buffer);
        }
    }

    /// Gives the decoder what is held.
    fn release(&self, pad: &gst::Pad) {
        let held = std::mem::take(&mut self.stream().held);
        if held.is_empty() {
            return;
        }
        self.releasing.store(true, Ordering::Relaxed);
        for buffer in held {
            // What the decoder says to this, it says again to the packet that comes.
            if pad.chain(buffer).is_err() {
                break;
            }
        }
        self.releasing.store(false, Ordering::Relaxed);
    }

    fn forget(&self) {
        *self.stream() = Stream::default();
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What becomes of a packet after so many reference pictures in a row that said nothing by their size. `known`: it and all that it can refer
/// to have familiar bits.
const fn fate(says: Says, quiet: u32, known: bool) -> Fate {
    match says {
        Says::Nothing if quiet >= QUIET => Fate::LeftOut,
        Says::NothingToOthers if known => Fate::Held,
        _ => Fate::Decoded,
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
    /// How many quiet reference pictures there are in a row after a packet, of so many before it.
    const fn after(self, quiet: u32) -> u32 {
        match self {
            Self::Something => 0,
            Self::Nothing => quiet,
            Self::NothingToOthers => quiet.saturating_add(1),
        }
    }

    fn of<'a>(size: u64, room: u64, units: impl Iterator<Item = &'a [u8]>) -> Self {
        // Reference pictures are decoded whatever they say: they may take a little more.
        if size > 2 * room {
            return Self::Something;
        }
        match is_disposable(units) {
            true if size <= room => Self::Nothing,
            true => Self::Something,
            false => Self::NothingToOthers,
        }
    }
}

/// Whether no picture refers to this one: it has slices, and `nal_ref_idc` is 0 in all of them (ITU-T H.264 7.4.1).
fn is_disposable<'a>(mut units: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut slices = 0;
    let all = units.all(|unit| {
        let slice = matches!(unit[0] & 0x1f, 1..=5);
        slices += u32::from(slice);
        !slice || unit[0] & 0x60 == 0
    });
    all && slices > 0
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use gstreamer as gst;
    use gstreamer::prelude::*;

    use super::{
        Fate,
        Says::{self, Nothing, NothingToOthers, Something},
        Skim, fate, is_disposable,
    };

    /// Presentation times of what x264 makes of four seconds and what gets through to a decoder, in milliseconds and in order, and
    /// of what is left out. The pattern stands, or moves.
    fn through(pattern: &str) -> (Vec<u64>, Vec<u64>, Vec<u64>) {
        gst::init().unwrap();
        let pipeline = gst::parse::launch(&format!(
            "videotestsrc pattern={pattern} num-buffers=240 ! video/x-raw,format=I420,width=640,height=360,framerate=60/1 \
             ! x264enc speed-preset=veryfast bframes=2 key-int-max=120 threads=1 \
             ! video/x-h264,stream-format=avc,alignment=au ! identity name=before ! identity name=decoder ! fakesink sync=false"
        ))
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
        let times = |name: &str, side: &str| {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let into = Arc::clone(&seen);
            let pad = pipeline.by_name(name).unwrap().static_pad(side).unwrap();
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                into.lock().unwrap().push(info.buffer().unwrap().pts().unwrap().mseconds());
                gst::PadProbeReturn::Ok
            });
            seen
        };
        let (made, decoded) = (times("before", "sink"), times("decoder", "src"));
        let skim = Skim::default();
        skim.watch(&pipeline.by_name("decoder").unwrap());
        skim.set(true);
        pipeline.set_state(gst::State::Playing).unwrap();
        let ended = pipeline
            .bus()
            .unwrap()
            .timed_pop_filtered(
                gst::ClockTime::from_seconds(60),
                &[gst::MessageType::Eos, gst::MessageType::Error],
            )
            .unwrap();
        assert_eq!(ended.type_(), gst::MessageType::Eos);
        pipeline.set_state(gst::State::Null).unwrap();
        let left_out = std::iter::from_fn(|| skim.take_before(None)).map(gst::ClockTime::mseconds).collect();
        let take = |seen: Arc<Mutex<Vec<u64>>>| std::mem::take(&mut *seen.lock().unwrap());
        (take(made), take(decoded), left_out)
    }

    #[test]
    fn most_of_what_stands_is_not_decoded_and_every_time_is_kept() {
        let (made, decoded, left_out) = through("smpte75");
        assert_eq!(made.len(), 240);
        assert!(decoded.len() < 100, "{} of 240 were decoded", decoded.len());
        let order: Vec<u64> = made.iter().copied().filter(|time| decoded.contains(time)).collect();
        assert_eq!(decoded, order, "as they came");
        let mut all = [decoded, left_out].concat();
        all.sort_unstable();
        let mut expected = made;
        expected.sort_unstable();
        assert_eq!(all, expected);
    }

    #[test]
    fn all_of_what_moves_is_decoded() {
        let (made, decoded, left_out) = through("ball");
        assert_eq!((decoded, left_out), (made, Vec::new()));
    }

    fn left_out(packets: &[Says]) -> Vec<bool> {
        let mut quiet = 0;
        let decide = |says: &Says| {
            let left_out = fate(*says, quiet, false) == Fate::LeftOut;
            quiet = says.after(quiet);
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
    fn what_others_refer_to_is_held_where_all_is_known() {
        assert_eq!(fate(NothingToOthers, 9, true), Fate::Held);
        assert_eq!(fate(NothingToOthers, 9, false), Fate::Decoded);
        assert_eq!(fate(Something, 9, true), Fate::Decoded);
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
            assert_eq!(is_disposable(headers.chunks(1)), expected, "{headers:02x?}");
        }
    }
}
