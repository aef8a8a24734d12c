//! Stills of a span, from the pictures that it has decoded anyhow: tiles for the storyboard, what the picture changed to after it
//! stood, a candidate for the poster. `lectern_domain::stills` says what becomes of them.
//!
//! Every picture that does not repeat the one before it costs a look at a few thousand of its samples; a few of them are scaled.

use std::{fs::File, io::Write as _, path::Path};

use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use lectern_domain::stills::{
    CHAPTER_SIDE, Change, Edge, MEANINGFUL, PICTURES, POSTER_BEFORE_MS, POSTER_SIDE, Picture, REPORT,
    SIGNATURE, Signature, SpanStills, TILE_SIDE, fit, interval_ms,
};

use super::MediaFailure;

/// After this long without another change, the new picture is complete: what slid or faded in has come to rest, milliseconds.
const SETTLED_MS: u64 = 500;
/// How often what the picture is held against follows it, milliseconds: what drifts is no change.
const FOLLOW_MS: u64 = 1_000;
/// Changes that one span reports.
const MOST_CHANGES: usize = 16;
/// Samples that are looked at in each cell of a signature, in each direction.
const LOOKS: usize = 8;
/// The first pictures of a recording are often blank or half faded in, milliseconds.
const WARM_UP_MS: u64 = 500;

/// What is collected of one span.
pub(super) struct Stills {
    file: File,
    written: u64,
    interval_ms: u64,
    wants_poster: bool,
    tiles: Vec<(u32, Picture)>,
    next_tile: u32,
    changes: Vec<Change>,
    opening: Option<Picture>,
    first: Option<Edge>,
    poster: Option<(Picture, f64)>,
    watch: Option<Watch>,
    /// Stills cannot be made of these pictures; the span goes on without.
    failed: bool,
}

/// What the picture is held against.
struct Watch {
    reference: Signature,
    followed_ms: u64,
    /// Since when it has stood.
    since_ms: u64,
    since_start: bool,
    /// The last change still waits for its picture.
    unsettled: bool,
    now_ms: u64,
    now: Signature,
}

impl Stills {
    /// For a span that begins at `start_ms`; its files go into `folder`.
    pub(super) fn new(folder: &Path, start_ms: u64, duration_ms: u64) -> Result<Self, MediaFailure> {
        Ok(Self {
            file: File::create(folder.join(PICTURES))?,
            written: 0,
            interval_ms: interval_ms(duration_ms),
            wants_poster: start_ms < POSTER_BEFORE_MS,
            tiles: Vec::new(),
            next_tile: start_ms.div_ceil(interval_ms(duration_ms)) as u32,
            changes: Vec::new(),
            opening: None,
            first: None,
            poster: None,
            watch: None,
            failed: false,
        })
    }

    /// Looks at a picture of the span. `repeats`: it shows what the one before showed.
    pub(super) fn see(&mut self, sample: &gst::Sample, ms: u64, repeats: bool) {
        if !self.failed
            && let Err(error) = self.look(sample, ms, repeats)
        {
            // Nobody should lose a lecture for its stills.
            eprintln!("no stills of this span: {error}");
            self.failed = true;
        }
    }

    fn look(&mut self, sample: &gst::Sample, ms: u64, repeats: bool) -> Result<(), MediaFailure> {
        let place = (ms / self.interval_ms) as u32;
        if place >= self.next_tile {
            self.next_tile = place + 1;
            let picture = self.scaled(sample, TILE_SIDE)?;
            self.tiles.push((place, picture));
        }
        let Some(mut watch) = self.watch.take() else {
            let signature = signature(sample)?;
            self.opening = Some(self.scaled(sample, CHAPTER_SIDE)?);
            self.first = Some(Edge { at_ms: ms, signature: signature.clone() });
            self.consider_poster(sample, &signature, ms)?;
            self.watch = Some(Watch {
                reference: signature.clone(),
                followed_ms: ms,
                since_ms: ms,
                since_start: true,
                unsettled: false,
                now_ms: ms,
                now: signature,
            });
            return Ok(());
        };
        if !repeats {
            watch.now = signature(sample)?;
        }
        watch.now_ms = ms;
        if watch.reference.differs(&watch.now) {
            let stood_ms = ms.saturating_sub(watch.since_ms);
            if stood_ms >= SETTLED_MS && self.changes.len() < MOST_CHANGES {
                let picture = self.scaled(sample, CHAPTER_SIDE)?;
                self.changes.push(Change { at_ms: ms, stood_ms, since_start: watch.since_start, picture });
                watch.unsettled = true;
            }
            watch.reference.clone_from(&watch.now);
            (watch.followed_ms, watch.since_ms, watch.since_start) = (ms, ms, false);
        } else if ms >= watch.followed_ms + FOLLOW_MS {
            watch.reference.clone_from(&watch.now);
            watch.followed_ms = ms;
        }
        if ms >= watch.since_ms + SETTLED_MS {
            if std::mem::take(&mut watch.unsettled)
                && let Some(at) = self.changes.len().checked_sub(1)
            {
                // In the place of the one taken in the middle of the change.
                self.changes[at].picture = self.scaled(sample, CHAPTER_SIDE)?;
            }
            if !repeats || self.poster.is_none_or(|(_, contrast)| contrast <= 0.0) {
                let signature = watch.now.clone();
                self.consider_poster(sample, &signature, ms)?;
            }
        }
        self.watch = Some(watch);
        Ok(())
    }

    /// Takes a picture for the poster if it shows clearly more than the one there is, until one shows something.
    fn consider_poster(
        &mut self,
        sample: &gst::Sample,
        seen: &Signature,
        ms: u64,
    ) -> Result<(), MediaFailure> {
        let contrast = seen.contrast();
        let better = match self.poster {
            None => true,
            Some((_, best)) => best < MEANINGFUL && contrast > best.mul_add(1.5, 1.0),
        };
        if !self.wants_poster || !better || ms < WARM_UP_MS && self.poster.is_some() {
            return Ok(());
        }
        // What comes in the first moment counts for nothing against what comes later.
        let contrast = if ms < WARM_UP_MS { 0.0 } else { contrast };
        self.poster = Some((self.scaled(sample, POSTER_SIDE)?, contrast));
        Ok(())
    }

    /// Writes a picture in the size that fits.
    fn scaled(&mut self, sample: &gst::Sample, side: u32) -> Result<Picture, MediaFailure> {
        let (buffer, from) = picture_of(sample)?;
        let pixels = from.par();
        let shape = u64::from(from.width()) * pixels.numer().max(1) as u64 / pixels.denom().max(1) as u64;
        let (width, height) = fit(shape.min(u64::from(u32::MAX)) as u32, from.height(), side);
        // The converter refuses what it takes for another rate or another order of fields.
        let to = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, width, height)
            .fps(from.fps())
            .interlace_mode(from.interlace_mode())
            .build()?;
        let converter = gst_video::VideoConverter::new(&from, &to, None)?;
        let mut scaled = gst::Buffer::with_size(to.size())?;
        {
            let source = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &from)?;
            let target = scaled.make_mut();
            let mut target = gst_video::VideoFrameRef::from_buffer_ref_writable(target, &to)?;
            converter.frame_ref(&source, &mut target);
        }
        let offset = self.written;
        let data = scaled.map_readable()?;
        self.file.write_all(&data)?;
        self.written += data.len() as u64;
        Ok(Picture { offset, width, height })
    }

    /// Writes the report, unless there is nothing to report.
    pub(super) fn finish(self, folder: &Path) -> Result<(), MediaFailure> {
        let (Some(watch), Some(opening), Some(first), false) =
            (self.watch, self.opening, self.first, self.failed)
        else {
            return Ok(());
        };
        let report = SpanStills {
            interval_ms: self.interval_ms,
            tiles: self.tiles,
            changes: self.changes,
            opening,
            first,
            stood_ms: watch.now_ms.saturating_sub(watch.since_ms),
            last: Edge { at_ms: watch.now_ms, signature: watch.now },
            poster: self.poster,
        };
        serde_json::to_writer(File::create(folder.join(REPORT))?, &report).map_err(MediaFailure::internal)
    }
}

fn picture_of(sample: &gst::Sample) -> Result<(&gst::BufferRef, gst_video::VideoInfo), MediaFailure> {
    let missing = || MediaFailure::internal("a frame without data or caps");
    let info = gst_video::VideoInfo::from_caps(sample.caps().ok_or_else(missing)?)?;
    Ok((sample.buffer().ok_or_else(missing)?, info))
}

/// The mean brightness of each cell, from some of its samples.
fn signature(sample: &gst::Sample) -> Result<Signature, MediaFailure> {
    let (buffer, info) = picture_of(sample)?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info)?;
    let stride = frame.plane_stride()[0] as usize;
    Ok(levels(frame.plane_data(0)?, stride, frame.width() as usize, frame.height() as usize))
}

fn levels(luma: &[u8], stride: usize, width: usize, height: usize) -> Signature {
    let (columns, rows) = SIGNATURE;
    // The middle of the nth of all the places that are looked at.
    let at = |n: usize, of: usize, length: usize| (2 * n + 1) * length / (2 * of);
    let mut levels = vec![0; columns * rows];
    for (cell, level) in levels.iter_mut().enumerate() {
        let (column, row) = (cell % columns, cell / columns);
        let mut sum = 0;
        for look in 0..LOOKS * LOOKS {
            let x = at(column * LOOKS + look % LOOKS, columns * LOOKS, width);
            let y = at(row * LOOKS + look / LOOKS, rows * LOOKS, height);
            sum += usize::from(luma.get(y * stride + x).copied().unwrap_or(0));
        }
        *level = (sum / (LOOKS * LOOKS)) as u8;
    }
    Signature(levels)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: u32 = 320;
    const HEIGHT: u32 = 180;

    /// A picture of one level with a lighter band below a row.
    fn sample(level: u8, row: usize) -> gst::Sample {
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, WIDTH, HEIGHT)
            .colorimetry(&super::super::ladder::COLORIMETRY.parse().unwrap())
            .fps(gst::Fraction::new(25, 1))
            .build()
            .unwrap();
        let mut data = vec![128; info.size()];
        for (at, luma) in data[..(WIDTH * HEIGHT) as usize].iter_mut().enumerate() {
            *luma = if at / WIDTH as usize >= row { 235 } else { level };
        }
        gst::Sample::builder()
            .buffer(&gst::Buffer::from_mut_slice(data))
            .caps(&info.to_caps().unwrap())
            .build()
    }

    /// Shows pictures at 25 frames a second, each until a time in milliseconds, and reads the report.
    fn report(shown: &[(u64, u8, usize)], start_ms: u64) -> (SpanStills, Vec<u8>) {
        gst::init().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut stills = Stills::new(folder.path(), start_ms, 20_000).unwrap();
        let mut ms = start_ms;
        for (until, level, row) in shown {
            let picture = sample(*level, *row);
            let mut repeats = false;
            while ms < *until {
                stills.see(&picture, ms, repeats);
                repeats = true;
                ms += 40;
            }
        }
        stills.finish(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join(REPORT)).unwrap();
        (serde_json::from_str(&text).unwrap(), std::fs::read(folder.path().join(PICTURES)).unwrap())
    }

    #[test]
    fn slides_with_a_fade_between_them() {
        // A slide, 200 ms of a fade in five steps, another slide.
        let mut shown = vec![(6_000, 40, 90)];
        shown.extend((1..5).map(|step| (6_000 + u64::from(step) * 40, 40 + step * 30, 90)));
        shown.push((10_000, 190, 90));
        let (report, pictures) = report(&shown, 0);
        let [change] = report.changes.as_slice() else { panic!("{:?}", report.changes) };
        assert_eq!((change.at_ms, change.stood_ms, change.since_start), (6_000, 6_000, true));
        assert_eq!(report.stood_ms, 9_960 - 6_160);
        // Of what it faded to, not of the middle.
        let at = change.picture.offset as usize;
        let level = i32::from(pictures[at]);
        // BT.709, 16 to 235: full range.
        assert!((level - (190 - 16) * 255 / 219).abs() <= 3, "{level}");
        assert_eq!(report.tiles.iter().map(|tile| tile.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!((report.tiles[0].1.width, report.tiles[0].1.height), (160, 90));
        let bytes: u64 = report.tiles[0].1.bytes().unwrap();
        assert!(bytes == 160 * 90 * 3 && pictures.len() as u64 > 5 * bytes);
    }

    #[test]
    fn tiles_belong_to_the_span_in_which_their_time_is() {
        let places = |start| {
            let (report, _) = report(&[(start + 5_000, 40, 90)], start);
            report.tiles.iter().map(|tile| tile.0).collect::<Vec<_>>()
        };
        assert_eq!(places(4_000), [2, 3, 4]);
        assert_eq!(places(4_040), [3, 4], "the span before has the tile at 4 s");
    }

    #[test]
    fn the_poster_waits_until_there_is_something_to_see() {
        let (report_of, _) = report(&[(3_000, 16, 200), (6_000, 40, 90), (8_000, 40, 20)], 0);
        let (poster, contrast) = report_of.poster.unwrap();
        assert!(contrast > MEANINGFUL, "{contrast}");
        assert_eq!((poster.width, poster.height), (320, 180), "not larger than it is");
        let (black, _) = report(&[(3_000, 16, 200)], 0);
        assert!(black.poster.unwrap().1 < 1.0);
        let (late, _) = report(&[(63_000, 40, 90)], 60_000);
        assert!(late.poster.is_none());
    }

    #[test]
    fn signatures_do_not_depend_on_padding_or_size() {
        let plain = |width: usize, stride: usize, height: usize| -> Vec<u8> {
            (0..stride * height).map(|at| if at % stride < width / 2 { 40 } else { 200 }).collect()
        };
        let one = levels(&plain(640, 640, 360), 640, 640, 360);
        for (width, stride, height) in [(640, 704, 360), (1920, 1920, 1080), (34, 34, 20)] {
            let other = levels(&plain(width, stride, height), stride, width, height);
            assert!(!one.differs(&other), "{width}x{height}");
        }
        // Smaller than there are cells: nothing is read outside.
        levels(&[1, 2, 3, 4], 2, 2, 2);
        levels(&[], 0, 0, 0);
    }
}
