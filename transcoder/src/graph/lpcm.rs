//! Uncompressed sound in MOV that is described in the second version of a sound description (`lpcm`; QuickTime File Format
//! Specification, "Sound Sample Description (Version 2)"): by every program above 65,535 samples a second, which the first version
//! cannot say, by Apple's at any rate. `qtdemux` of GStreamer 1.22 gives all of it the time zero, and in one file of two ends it after
//! its first block. So it is read in the words of the first version.
//!
//! Of samples of 32 bits and more it does not look at which byte comes first.

use gstreamer as gst;

/// Bytes of the description that are looked at, from its size on.
pub(super) const LENGTH: usize = 72;
/// The highest rate that the first version can say. It stands for the first track whose rate is higher, the one below it for the
/// second, and so on; no sound has such a rate.
const HIGHEST: u16 = u16::MAX;

/// Of the flags: samples are floating numbers, the highest byte comes first, samples lie side by side.
const FLOATING: u32 = 1;
const HIGHEST_FIRST: u32 = 2;
const PACKED: u32 = 8;
/// Of the flags: one channel after the other.
const APART: u32 = 32;

/// What is to be said of sound by others than `qtdemux`.
#[derive(Debug, Default)]
pub(super) struct Sound {
    /// Rates of tracks that are said to have what stands for them.
    pub(super) rates: Vec<u32>,
    /// Whether the lowest byte of long samples comes first. No file is known whose tracks differ.
    pub(super) lowest_first: bool,
}

impl Sound {
    /// Whether nothing is to be said.
    pub(super) const fn is_right(&self) -> bool {
        self.rates.is_empty() && !self.lowest_first
    }

    /// Says it.
    pub(super) fn mend(&self, caps: &mut gst::StructureRef) {
        if let Ok(said) = caps.get::<i32>("rate") {
            caps.set("rate", true_rate(said.max(0) as u32, &self.rates) as i32);
        }
        let format = caps.get::<&str>("format").unwrap_or_default();
        let other = LONG.into_iter().find(|(highest_first, _)| *highest_first == format);
        if let Some((_, lowest_first)) = other.filter(|_| self.lowest_first) {
            caps.set("format", lowest_first);
        }
    }
}

/// Formats of long samples, with the highest byte first and with the lowest.
const LONG: [(&str, &str); 3] = [("S32BE", "S32LE"), ("F32BE", "F32LE"), ("F64BE", "F64LE")];

/// Whether a description is one of long samples, which say in a box of their own which byte comes first.
pub(super) fn is_long(entry: &[u8; LENGTH]) -> bool {
    [*b"in32", *b"fl32", *b"fl64"].iter().any(|name| *name == entry[4..8]) && entry[16..18] == [0, 1]
}

/// A description in other words.
pub(super) struct Described {
    /// As it is written, without its size.
    pub(super) words: [u8; LENGTH - 4],
    /// The rate, if it is said by what stands for it.
    pub(super) rate: Option<u32>,
    /// Whether its samples are long and their lowest byte comes first.
    pub(super) lowest_first: bool,
}

/// Says a description of the second version in the words of the first; `before` is how many tracks with higher rates there are
/// before. None for another description, and for one that the first version has no words for.
pub(super) fn describe(entry: &[u8; LENGTH], before: usize) -> Option<Described> {
    let number = |at: usize| u32::from_be_bytes(entry[at..at + 4].try_into().unwrap_or_default());
    if entry[4..8] != *b"lpcm" || entry[16..18] != [0, 2] {
        return None;
    }
    let rate = f64::from_be_bytes(entry[40..48].try_into().unwrap_or_default()).round();
    let (channels, bits, flags, packet, frames) =
        (number(48), number(56), number(60), number(64), number(68));
    let name = match (flags & FLOATING, bits) {
        (0, 16) if flags & HIGHEST_FIRST == 0 => b"sowt",
        (0, 16) => b"twos",
        (0, 24) => b"in24",
        (0, 32) => b"in32",
        (1, 32) => b"fl32",
        (1, 64) => b"fl64",
        _ => return None,
    };
    let whole = flags & PACKED != 0 && flags & APART == 0 && frames == 1;
    if !whole
        || !(1..=64).contains(&channels)
        || u64::from(packet) != u64::from(channels) * u64::from(bits) / 8
        || !(1.0..1e6).contains(&rate)
    {
        return None;
    }
    let high = rate >= f64::from(HIGHEST - 255);
    let said = if high { HIGHEST - u16::from(u8::try_from(before).ok()?) } else { rate as u16 };
    let mut words = [0; LENGTH - 4];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        words[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(name);
    // Reserved, and where the data is.
    put(&entry[8..16]);
    // Version, revision, vendor.
    put(&[0, 1, 0, 0, 0, 0, 0, 0]);
    put(&(channels as u16).to_be_bytes());
    put(&[0, 16, 0, 0, 0, 0]);
    put(&said.to_be_bytes());
    put(&[0, 0]);
    // Samples in a packet, bytes of one of a channel, bytes of one of all, bytes of one that is coded.
    for number in [1, bits / 8, packet, 2] {
        put(&number.to_be_bytes());
    }
    // What is left holds which byte comes first.
    put(&20u32.to_be_bytes());
    put(b"wave");
    put(&12u32.to_be_bytes());
    put(b"enda");
    put(&[0, u8::from(flags & HIGHEST_FIRST == 0), 0, 0]);
    let lowest_first = bits > 24 && flags & HIGHEST_FIRST == 0;
    Some(Described { words, rate: high.then_some(rate as u32), lowest_first })
}

/// The rate that a rate stands for, which is itself where none does.
fn true_rate(said: u32, rates: &[u32]) -> u32 {
    let place = u32::from(HIGHEST).checked_sub(said).and_then(|place| rates.get(place as usize));
    place.copied().unwrap_or(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(rate: f64, channels: u32, bits: u32, flags: u32) -> [u8; LENGTH] {
        let mut entry = [0; LENGTH];
        entry[4..8].copy_from_slice(b"lpcm");
        entry[15] = 1;
        entry[16..18].copy_from_slice(&[0, 2]);
        entry[40..48].copy_from_slice(&rate.to_be_bytes());
        for (at, number) in [(48, channels), (56, bits), (60, flags), (64, channels * bits / 8), (68, 1)] {
            entry[at..at + 4].copy_from_slice(&number.to_be_bytes());
        }
        entry
    }

    #[test]
    fn the_first_version_says_the_same() {
        for (bits, flags, name, lowest_first) in [
            (16, 12, b"sowt", 1),
            (16, 14, b"twos", 0),
            (24, 12, b"in24", 1),
            (24, 14, b"in24", 0),
            (32, 12, b"in32", 1),
            (32, 9, b"fl32", 1),
            (64, 11, b"fl64", 0),
        ] {
            let said = describe(&entry(44_100.0, 2, bits, flags), 0).unwrap();
            assert_eq!(said.rate, None);
            assert_eq!(&said.words[..4], name);
            assert_eq!(&said.words[4..12], &entry(0.0, 2, bits, flags)[8..16]);
            assert_eq!(said.words[20..22], [0, 2], "channels");
            assert_eq!(said.words[28..32], (44_100u32 << 16).to_be_bytes());
            assert_eq!(said.words[40..44], (2 * bits / 8).to_be_bytes());
            assert_eq!(&said.words[60..66], [b'e', b'n', b'd', b'a', 0, lowest_first]);
        }
    }

    #[test]
    fn a_rate_that_is_too_high_is_said_by_another() {
        let rates: Vec<u32> = [192_000.0, 96_000.0]
            .into_iter()
            .enumerate()
            .map(|(before, rate)| {
                let said = describe(&entry(rate, 1, 24, 12), before).unwrap();
                assert_eq!(said.words[28..30], (HIGHEST - before as u16).to_be_bytes());
                said.rate.unwrap()
            })
            .collect();
        assert_eq!(
            [65_535, 65_534, 65_533, 48_000].map(|said| true_rate(said, &rates)),
            [192_000, 96_000, 65_533, 48_000]
        );
    }

    #[test]
    fn long_samples_are_said_to_begin_with_their_lowest_byte() {
        gst::init().unwrap();
        assert!(describe(&entry(48_000.0, 2, 32, 9), 0).unwrap().lowest_first);
        assert!(!describe(&entry(48_000.0, 2, 32, 11), 0).unwrap().lowest_first);
        assert!(!describe(&entry(48_000.0, 2, 24, 12), 0).unwrap().lowest_first, "said in words");
        let mended = |format: &str, rate: i32, sound: &Sound| {
            let mut caps =
                gst::Structure::builder("audio/x-raw").field("format", format).field("rate", rate).build();
            sound.mend(&mut caps);
            (caps.get::<String>("format").unwrap(), caps.get::<i32>("rate").unwrap())
        };
        let sound = Sound { rates: vec![192_000], lowest_first: true };
        assert_eq!(mended("F32BE", 65_535, &sound), ("F32LE".to_owned(), 192_000));
        assert_eq!(mended("S24BE", 48_000, &sound), ("S24BE".to_owned(), 48_000));
        assert_eq!(mended("F32BE", 65_535, &Sound::default()), ("F32BE".to_owned(), 65_535));
    }

    #[test]
    fn what_it_has_no_words_for_stays() {
        assert!(describe(&entry(48_000.0, 2, 20, 12), 0).is_none(), "twenty bits");
        assert!(describe(&entry(48_000.0, 2, 16, 4), 0).is_none(), "padded");
        assert!(describe(&entry(48_000.0, 2, 16, PACKED | APART), 0).is_none());
        assert!(describe(&entry(f64::NAN, 2, 16, 12), 0).is_none());
        assert!(describe(&entry(48_000.0, 65, 16, 12), 0).is_none());
        let mut many = entry(48_000.0, 64, 16, 12);
        many[56..60].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(describe(&many, 0).is_none());
        assert!(describe(&entry(192_000.0, 2, 16, 12), 256).is_none());
        let mut other = entry(48_000.0, 2, 16, 12);
        other[17] = 1;
        assert!(describe(&other, 0).is_none());
    }
}
