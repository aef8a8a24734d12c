//! libx264 (H.264, ISO/IEC 14496-10), called directly: one picture in, one access unit out.
//!
//! GStreamer's `x264enc` holds every picture that goes in until its access unit comes out, knows only whole quantisers, and cannot say
//! which macroblocks of a picture are as they were. Here live the calls and what makes them safe. What pictures are encoded with, and
//! everything about time, lies with whoever calls.
//!
//! x264 is under the GPL: see the README for what that means for who ships a program that is linked with it.

use std::{
    ffi::{CStr, CString, c_char, c_int},
    fmt,
    marker::{PhantomData, PhantomPinned},
    ptr::{self, NonNull},
};

/// Side of a macroblock in luma samples.
pub const MACROBLOCK: usize = 16;

#[repr(C)]
struct Raw {
    _data: [u8; 0],
    _not_send_by_itself: PhantomData<(*mut u8, PhantomPinned)>,
}

#[repr(C)]
struct RawPicture {
    planes: [*const u8; 3],
    strides: [c_int; 3],
    time: i64,
    keyframe: c_int,
    constant: *const u8,
}

#[repr(C)]
struct RawUnit {
    data: *const u8,
    size: usize,
    time: i64,
    keyframe: c_int,
}

impl RawUnit {
    const EMPTY: Self = Self { data: ptr::null(), size: 0, time: 0, keyframe: 0 };
}

unsafe extern "C" {
    fn lectern_x264_open(
        width: c_int,
        height: c_int,
        timescale: u32,
        constant: c_int,
        preset: *const c_char,
        options: usize,
        names: *const *const c_char,
        values: *const *const c_char,
    ) -> *mut Raw;
    fn lectern_x264_error(encoder: *const Raw) -> *const c_char;
    fn lectern_x264_close(encoder: *mut Raw);
    fn lectern_x264_headers(encoder: *mut Raw, sequence: *mut RawUnit, picture: *mut RawUnit) -> c_int;
    fn lectern_x264_encode(encoder: *mut Raw, picture: *const RawPicture, unit: *mut RawUnit) -> c_int;
    fn lectern_x264_delayed(encoder: *mut Raw) -> c_int;
}

/// What x264 refused, in its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, into: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(into, "x264: {}", self.0)
    }
}

impl std::error::Error for Error {}

/// How pictures are encoded.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// Width and height in samples, both even.
    pub size: (u32, u32),
    /// Units of time in a second.
    pub timescale: u32,
    /// Whether pictures may say which of their macroblocks are as they were.
    pub constant: bool,
    /// `ultrafast` to `placebo`.
    pub preset: &'a str,
    /// What differs from the preset, by the names of x264's command line.
    pub options: &'a [(&'a str, String)],
}

/// A picture: I420, 8 bits.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// Luma and both chroma planes.
    pub planes: [&'a [u8]; 3],
    /// Bytes from one row of each to the next.
    pub strides: [usize; 3],
    /// When it is shown, in units of the timescale; later than the one before it.
    pub time: i64,
    /// Whether a closed group of pictures begins with it (an IDR picture).
    pub keyframe: bool,
    /// For each macroblock, row by row, whether every sample is as in the picture that went before. Such a macroblock is skipped if
    /// what is on the screen there is at least as good as it would become. None: nothing is known.
    pub constant: Option<&'a [bool]>,
}

/// The access unit of one picture.
#[derive(Debug, PartialEq, Eq)]
pub struct AccessUnit<'a> {
    /// NAL units, each after its length in four bytes (ISO/IEC 14496-15 5.3.4.2).
    pub data: &'a [u8],
    /// When its picture is shown.
    pub time: i64,
    /// Whether it is an IDR picture.
    pub keyframe: bool,
}

/// An encoder of pictures of one size.
pub struct Encoder {
    raw: NonNull<Raw>,
    size: (usize, usize),
}

// SAFETY: x264 ties an encoder to no thread; nothing else holds the pointer.
unsafe impl Send for Encoder {}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, closed once.
        unsafe { lectern_x264_close(self.raw.as_ptr()) }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, into: &mut fmt::Formatter<'_>) -> fmt::Result {
        into.debug_struct("Encoder").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Encoder {
    /// An encoder for the High profile.
    pub fn open(settings: &Settings<'_>) -> Result<Self, Error> {
        let text = |text: &str| CString::new(text).map_err(|_| Error(format!("{text:?} has a zero in it")));
        let side = |side: u32| match c_int::try_from(side) {
            Ok(side) if side > 0 && side % 2 == 0 => Ok(side),
            _ => Err(Error(format!("expected an even number of samples, got {side}"))),
        };
        let (width, height) = (side(settings.size.0)?, side(settings.size.1)?);
        let preset = text(settings.preset)?;
        let names = settings.options.iter().map(|(name, _)| text(name)).collect::<Result<Vec<_>, _>>()?;
        let values = settings.options.iter().map(|(_, value)| text(value)).collect::<Result<Vec<_>, _>>()?;
        let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).collect::<Vec<_>>();
        // SAFETY: the texts outlive the call and there are as many names as values; the parameters are x264's own to check.
        let raw = unsafe {
            lectern_x264_open(
                width,
                height,
                settings.timescale,
                c_int::from(settings.constant),
                preset.as_ptr(),
                names.len(),
                pointers(&names).as_ptr(),
                pointers(&values).as_ptr(),
            )
        };
        let raw = NonNull::new(raw).ok_or_else(|| Error("out of memory".into()))?;
        let encoder = Self { raw, size: (settings.size.0 as usize, settings.size.1 as usize) };
        match encoder.complaint() {
            None => Ok(encoder),
            Some(error) => Err(error),
        }
    }

    /// What has gone wrong, if anything has.
    fn complaint(&self) -> Option<Error> {
        // SAFETY: a text that ends with a zero and lives as long as the encoder.
        let text = unsafe { CStr::from_ptr(lectern_x264_error(self.raw.as_ptr())) };
        (!text.is_empty()).then(|| Error(text.to_string_lossy().trim_end().to_owned()))
    }

    fn refused(&self) -> Error {
        self.complaint().unwrap_or_else(|| Error("it does not say why".into()))
    }

    /// Number of macroblocks of a picture.
    pub fn macroblocks(&self) -> usize {
        self.size.0.div_ceil(MACROBLOCK) * self.size.1.div_ceil(MACROBLOCK)
    }

    /// Sequence and picture parameter set (ISO/IEC 14496-10 7.3.2.1 and 7.3.2.2), each one NAL unit without its length.
    pub fn headers(&mut self) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let (mut sequence, mut picture) = (RawUnit::EMPTY, RawUnit::EMPTY);
        // SAFETY: both are for it to fill.
        if unsafe { lectern_x264_headers(self.raw.as_ptr(), &raw mut sequence, &raw mut picture) } < 0 {
            return Err(self.refused());
        }
        // SAFETY: they point into memory of x264's that stays until the next call.
        Ok(unsafe { (bytes(&sequence).to_vec(), bytes(&picture).to_vec()) })
    }

    /// Takes a picture, of which nothing is held when this returns. An access unit of this or an earlier picture, if one is ready.
    ///
    /// # Panics
    ///
    /// If planes are smaller than pictures of this size, or `constant` has not one entry for each macroblock.
    pub fn encode(&mut self, picture: &Picture<'_>) -> Result<Option<AccessUnit<'_>>, Error> {
        let (width, height) = self.size;
        let sizes = [(width, height), (width / 2, height / 2), (width / 2, height / 2)];
        for ((plane, stride), (width, height)) in picture.planes.iter().zip(picture.strides).zip(sizes) {
            let needed = stride * (height - 1) + width;
            assert!(stride >= width && plane.len() >= needed, "expected a plane of {width}x{height} samples");
        }
        if let Some(constant) = picture.constant {
            assert_eq!(constant.len(), self.macroblocks(), "expected one entry for each macroblock");
        }
        let raw = RawPicture {
            planes: picture.planes.map(<[u8]>::as_ptr),
            strides: picture.strides.map(|stride| c_int::try_from(stride).expect("a row fits into memory")),
            time: picture.time,
            keyframe: c_int::from(picture.keyframe),
            // A bool is a byte, 0 or 1.
            constant: picture.constant.map_or(ptr::null(), |constant| constant.as_ptr().cast()),
        };
        self.run(&raw const raw)
    }

    /// Access units of the pictures that are still delayed, one after the other; none when there are no more.
    pub fn flush(&mut self) -> Result<Option<AccessUnit<'_>>, Error> {
        loop {
            // SAFETY: the encoder is open.
            if unsafe { lectern_x264_delayed(self.raw.as_ptr()) } == 0 {
                return Ok(None);
            }
            let mut unit = RawUnit::EMPTY;
            // SAFETY: no picture is asked for.
            let size = unsafe { lectern_x264_encode(self.raw.as_ptr(), ptr::null(), &raw mut unit) };
            if size != 0 {
                return self.unit(size, &unit);
            }
        }
    }

    fn run(&mut self, picture: *const RawPicture) -> Result<Option<AccessUnit<'_>>, Error> {
        let mut unit = RawUnit::EMPTY;
        // SAFETY: planes and macroblocks are as many as the encoder reads, checked by whoever calls; x264 copies them.
        let size = unsafe { lectern_x264_encode(self.raw.as_ptr(), picture, &raw mut unit) };
        self.unit(size, &unit)
    }

    fn unit(&mut self, size: c_int, unit: &RawUnit) -> Result<Option<AccessUnit<'_>>, Error> {
        match size {
            ..0 => Err(self.refused()),
            0 => Ok(None),
            _ => {
                // SAFETY: points into memory of x264's that stays until the next call, which the borrow of the encoder excludes.
                let data = unsafe { bytes(unit) };
                Ok(Some(AccessUnit { data, time: unit.time, keyframe: unit.keyframe != 0 }))
            }
        }
    }
}

/// # Safety
///
/// The unit must point to as many bytes as it says, for as long as `'a`.
unsafe fn bytes<'a>(unit: &RawUnit) -> &'a [u8] {
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(unit.data, unit.size) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (usize, usize) = (70, 40);

    fn open(constant: bool, options: &[(&str, String)]) -> Result<Encoder, Error> {
        let size = (SIZE.0 as u32, SIZE.1 as u32);
        Encoder::open(&Settings { size, timescale: 90_000, constant, preset: "veryfast", options })
    }

    fn options(list: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        list.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    }

    /// Something that is not like the one before, with `noise` of it.
    fn plane(width: usize, height: usize, number: usize, noise: usize) -> Vec<u8> {
        (0..width * height).map(|at| (at * (number * 7 + 13) % (noise + 1)) as u8 + 40).collect()
    }

    struct Drawn([Vec<u8>; 3]);

    impl Drawn {
        fn new(number: usize, noise: usize) -> Self {
            let (width, height) = SIZE;
            Self([
                plane(width, height, number, noise),
                plane(width / 2, height / 2, number, noise),
                plane(width / 2, height / 2, number, noise),
            ])
        }

        fn at(&self, time: i64) -> Picture<'_> {
            let [luma, blue, red] = &self.0;
            let strides = [SIZE.0, SIZE.0 / 2, SIZE.0 / 2];
            Picture { planes: [luma, blue, red], strides, time, keyframe: false, constant: None }
        }
    }

    /// Units of access units, by their lengths.
    fn units(mut data: &[u8]) -> Vec<u8> {
        let mut types = Vec::new();
        while !data.is_empty() {
            let length = u32::from_be_bytes(data[..4].try_into().unwrap()) as usize;
            types.push(data[4] & 31);
            data = &data[4 + length..];
        }
        types
    }

    #[test]
    fn every_picture_becomes_one_access_unit() {
        let mut encoder =
            open(false, &options(&[("threads", "1"), ("keyint", "infinite"), ("scenecut", "0")])).unwrap();
        let (sequence, picture) = encoder.headers().unwrap();
        assert_eq!((sequence[0] & 31, sequence[1], picture[0] & 31), (7, 100, 8), "High");
        let (mut times, mut keyframes) = (Vec::new(), Vec::new());
        let mut take = |unit: Option<AccessUnit<'_>>| {
            let Some(unit) = unit else { return false };
            assert!(matches!(units(unit.data).as_slice(), [1 | 5]), "no headers in between");
            times.push(unit.time);
            keyframes.extend(unit.keyframe.then_some(unit.time));
            true
        };
        for number in 0..30 {
            let drawn = Drawn::new(number, 90);
            let keyframe = number == 17;
            take(encoder.encode(&Picture { keyframe, ..drawn.at(number as i64 * 3_000) }).unwrap());
        }
        while take(encoder.flush().unwrap()) {}
        times.sort_unstable();
        assert_eq!(times, (0..30).map(|number| number * 3_000).collect::<Vec<_>>());
        assert_eq!(keyframes, [0, 17 * 3_000]);
    }

    #[test]
    fn what_is_said_to_be_constant_is_skipped() {
        let options = options(&[
            ("threads", "1"),
            ("bframes", "0"),
            ("ref", "1"),
            ("rc-lookahead", "0"),
            ("sync-lookahead", "0"),
            ("force-cfr", "1"),
            ("scenecut", "0"),
            // Nothing is skipped that would come to look better.
            ("qp", "30"),
            ("ipratio", "1"),
            ("weightp", "0"),
        ]);
        let mut encoder = open(true, &options).unwrap();
        let (one, other) = (Drawn::new(1, 90), Drawn::new(2, 90));
        let constant = vec![true; encoder.macroblocks()];
        encoder.encode(&one.at(0)).unwrap().unwrap();
        // A lie, to see that nobody looks.
        let skipped = encoder
            .encode(&Picture { constant: Some(&constant), ..other.at(1) })
            .unwrap()
            .unwrap()
            .data
            .len();
        let looked_at = encoder.encode(&Drawn::new(3, 90).at(2)).unwrap().unwrap().data.len();
        assert!(skipped < 40 && looked_at > 10 * skipped, "{skipped} {looked_at}");
    }

    #[test]
    fn what_x264_does_not_take_is_told() {
        let refused =
            |options: &[(&'static str, &str)]| open(false, &self::options(options)).unwrap_err().to_string();
        assert_eq!(refused(&[("crf", "much")]), "x264: option crf=much is not understood");
        assert_eq!(refused(&[("colour", "red")]), "x264: option colour=red is not understood");
        let size = |size| {
            Encoder::open(&Settings { size, timescale: 1, constant: false, preset: "veryfast", options: &[] })
        };
        assert!(size((0, 2)).unwrap_err().to_string().contains("even number"));
        assert!(size((17, 2)).unwrap_err().to_string().contains("even number"));
        size((200_000, 200_000)).unwrap_err();
        let preset = Settings { size: (64, 64), timescale: 1, constant: false, preset: "warp", options: &[] };
        assert_eq!(Encoder::open(&preset).unwrap_err().to_string(), "x264: there is no preset warp");
    }

    #[test]
    #[should_panic(expected = "expected a plane of 70x40 samples")]
    fn a_plane_that_is_too_small_is_not_read() {
        let mut encoder = open(false, &[]).unwrap();
        let drawn = Drawn::new(0, 9);
        let mut picture = drawn.at(0);
        picture.planes[0] = &picture.planes[0][1..];
        let _ = encoder.encode(&picture);
    }
}
