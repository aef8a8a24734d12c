//! Scaling of decoded pictures (I420) to the sizes of a ladder.
//!
//! The filter widens with the ratio, so nothing aliases. `videoscale` of GStreamer 1.22 keeps six bits of each filter
//! weight, which makes every rung below the source measurably worse, the more the further down.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    ops::Range,
    sync::Arc,
};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use pic_scale::{
    BufferStore, ImageSize, ImageStore, ImageStoreMut, Resampling, ResamplingFunction, ThreadingPolicy,
};

use super::{MediaFailure, still::Area};

/// Planes of an I420 picture.
const PLANES: u32 = 3;

/// Scaling a larger part than this of a picture by itself, in percent, is not worth while.
const MOST: usize = 70;

/// Makes pictures of one size.
pub(super) struct Scaler {
    to: gst_video::VideoInfo,
    /// Frames are megabytes each: fresh memory for every one would cost as much as scaling it.
    pool: gst_video::VideoBufferPool,
    filter: pic_scale::Scaler,
    /// How planes of each size are scaled, to which size. There are few: bands come in steps.
    plans: HashMap<[usize; 4], Arc<Resampling<u8, 1>>>,
    /// What the filter writes between its two directions: megabytes that would be mapped and cleared anew for every plane.
    between: Vec<u8>,
}

impl Scaler {
    /// A scaler to `to`, whose format is I420.
    pub(super) fn new(to: gst_video::VideoInfo) -> Result<Self, MediaFailure> {
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&to.to_caps()?), to.size() as u32, 0, 0);
        pool.set_config(config)?;
        pool.set_active(true)?;
        // Sharper than the cubic that others scale with: it takes more bits at the same CRF, and shown at full size the picture
        // is closer to the source than those bits would buy otherwise.
        let mut filter = pic_scale::Scaler::new(ResamplingFunction::Lanczos3);
        // The encoders have the other cores.
        filter.set_threading_policy(ThreadingPolicy::Single);
        Ok(Self { to, pool, filter, plans: HashMap::new(), between: Vec::new() })
    }

    /// What comes out.
    pub(super) fn info(&self) -> &gst_video::VideoInfo {
        &self.to
    }

    /// `buffer`, a picture as `from` describes it, in this scaler's size; the same memory when it has that size.
    pub(super) fn scale(
        &mut self,
        buffer: &gst::Buffer,
        from: &gst_video::VideoInfo,
    ) -> Result<gst::Buffer, MediaFailure> {
        Ok(self.scale_again(buffer, from, None, None)?.0)
    }

    /// The same of a picture that outside of `changed` is as the one before it, which became `before`. Also where what comes out is not
    /// as `before`.
    pub(super) fn scale_again(
        &mut self,
        buffer: &gst::Buffer,
        from: &gst_video::VideoInfo,
        before: Option<&gst::Buffer>,
        changed: Option<Area>,
    ) -> Result<(gst::Buffer, Option<Area>), MediaFailure> {
        if (from.width(), from.height()) == (self.to.width(), self.to.height()) {
            return Ok((buffer.clone(), changed));
        }
        let source = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, from)?;
        let mut scaled = self.pool.acquire_buffer(None).map_err(MediaFailure::internal)?;
        scaled.make_mut().set_pts(buffer.pts());
        let mut target = gst_video::VideoFrameRef::from_buffer_ref_writable(scaled.make_mut(), &self.to)?;
        let part = before.zip(changed.and_then(|changed| Part::of(&changed, from, &self.to)));
        for plane in 0..PLANES {
            let from = View::of(&source, plane)?;
            let (width, height) = (target.comp_width(plane) as usize, target.comp_height(plane) as usize);
            let stride = target.plane_stride()[plane as usize] as usize;
            let into = target.plane_data_mut(plane)?;
            let Some((before, part)) = &part else {
                self.resample(&from, into, stride, (width, height))?;
                continue;
            };
            let before = gst_video::VideoFrameRef::from_buffer_ref_readable(before, &self.to)?;
            copy(into, stride, &View::of(&before, plane)?);
            let Part { rows, columns } = if plane == 0 { part.luma() } else { part.clone() };
            let (width, height) = (columns.into.len(), rows.into.len());
            let mut made = vec![0; width * height];
            self.resample(&from.part(&rows.from, &columns.from), &mut made, width, (width, height))?;
            let (top, left) =
                (rows.changed.start - rows.into.start, columns.changed.start - columns.into.start);
            for (at, row) in rows.changed.zip(made.chunks_exact(width).skip(top)) {
                let row = &row[left..][..columns.changed.len()];
                into[at * stride + columns.changed.start..][..row.len()].copy_from_slice(row);
            }
        }
        drop((target, source));
        let changed = part
            .map(|(_, part)| part.luma())
            .map(|Part { rows, columns }| Area { rows: rows.changed, columns: columns.changed });
        Ok((scaled, changed))
    }

    fn resample(
        &mut self,
        from: &View<'_>,
        into: &mut [u8],
        stride: usize,
        (width, height): (usize, usize),
    ) -> Result<(), MediaFailure> {
        let plan = match self.plans.entry([from.width, from.height, width, height]) {
            Entry::Occupied(plan) => plan.into_mut(),
            Entry::Vacant(place) => {
                let plan = self
                    .filter
                    .plan_planar_resampling(
                        ImageSize::new(from.width, from.height),
                        ImageSize::new(width, height),
                    )
                    .map_err(MediaFailure::internal)?;
                place.insert(plan)
            }
        };
        let from = ImageStore {
            buffer: Cow::Borrowed(from.data),
            channels: 1,
            width: from.width,
            height: from.height,
            // Rows may be padded.
            stride: from.stride,
            bit_depth: 8,
        };
        let buffer = BufferStore::Borrowed(into);
        let mut into = ImageStoreMut { buffer, channels: 1, width, height, stride, bit_depth: 8 };
        let needed = plan.scratch_size();
        if self.between.len() < needed {
            self.between.resize(needed, 0);
        }
        plan.resample_with_scratch(&from, &mut into, &mut self.between[..needed])
            .map_err(MediaFailure::internal)
    }
}

/// A plane of a picture.
struct View<'a> {
    data: &'a [u8],
    stride: usize,
    width: usize,
    height: usize,
}

impl<'a> View<'a> {
    fn of(frame: &'a gst_video::VideoFrameRef<&gst::BufferRef>, plane: u32) -> Result<Self, MediaFailure> {
        Ok(Self {
            data: frame.plane_data(plane)?,
            stride: frame.plane_stride()[plane as usize] as usize,
            width: frame.comp_width(plane) as usize,
            height: frame.comp_height(plane) as usize,
        })
    }

    fn part(&self, rows: &Range<usize>, columns: &Range<usize>) -> Self {
        let data = &self.data[rows.start * self.stride + columns.start..];
        Self { data, stride: self.stride, width: columns.len(), height: rows.len() }
    }
}

fn copy(into: &mut [u8], stride: usize, from: &View<'_>) {
    if stride == from.stride {
        let length = into.len().min(from.data.len());
        into[..length].copy_from_slice(&from.data[..length]);
        return;
    }
    for (into, from) in into.chunks_mut(stride).zip(from.data.chunks(from.stride)).take(from.height) {
        let length = into.len().min(from.len());
        into[..length].copy_from_slice(&from[..length]);
    }
}

/// A part of the chroma planes of a picture that is scaled apart from the rest.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    rows: Band,
    columns: Band,
}

impl Part {
    /// What is to be scaled where `changed` has changed, in luma samples. None: the whole.
    fn of(changed: &Area, from: &gst_video::VideoInfo, to: &gst_video::VideoInfo) -> Option<Self> {
        let rows = Band::of(&changed.rows, from.height() as usize, to.height() as usize)?;
        let columns = Band::of(&changed.columns, from.width() as usize, to.width() as usize)?;
        (rows.from.len() * columns.from.len() * 100
            <= from.height() as usize * from.width() as usize / 4 * MOST)
            .then_some(Self { rows, columns })
    }

    /// The same for the luma plane.
    fn luma(&self) -> Self {
        Self { rows: self.rows.luma(), columns: self.columns.luma() }
    }
}

/// Rows or columns of a plane that are scaled apart from the others, so that they become what they are in the whole.
#[derive(Debug, Clone, PartialEq)]
struct Band {
    /// What is scaled, between two that lie on the same place before and after.
    from: Range<usize>,
    /// What it becomes. The outer ones lack what lies beyond.
    into: Range<usize>,
    /// Those of them that anything that has changed bears on.
    changed: Range<usize>,
}

impl Band {
    /// Radius of the filter, in rows of the smaller picture (Lanczos of three lobes).
    const RADIUS: usize = 3;
    /// Bands begin and end in steps of so many chroma rows of the source, or a few more: each size of them needs weights of its own.
    const STEP: usize = 8;

    /// For the chroma planes of I420 pictures of `length` rows that are scaled to `to` rows, of which `changed` have changed. None:
    /// they have no middle in common. Columns are meant by rows as well.
    fn of(changed: &Range<usize>, length: usize, to: usize) -> Option<Self> {
        if !length.is_multiple_of(2) || !to.is_multiple_of(2) || length == 0 || to == 0 {
            return None;
        }
        let (length, to) = (length / 2, to / 2);
        let common = gcd(length, to);
        // So many rows before become so many after, in step with each other.
        let (p, q) = (length / common, to / common);
        let radius = Self::RADIUS * p.div_ceil(q) + 2;
        let (start, end) = (changed.start / 2, changed.end.div_ceil(2));
        let changed = (start.saturating_sub(radius) * q / p)..((end + radius) * q).div_ceil(p).min(to);
        let step = p * Self::STEP.div_ceil(p);
        let first = (changed.start * p / q).saturating_sub(radius) / step * step;
        let last = (((changed.end * p).div_ceil(q) + radius).div_ceil(step) * step).min(length);
        let from = first..last;
        Some(Self { into: from.start * q / p..from.end * q / p, from, changed })
    }

    /// The same for the luma plane.
    fn luma(&self) -> Self {
        let twice = |rows: &Range<usize>| rows.start * 2..rows.end * 2;
        Self { from: twice(&self.from), into: twice(&self.into), changed: twice(&self.changed) }
    }
}

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // An active pool keeps its buffers; nothing is lost if it refuses to give them back.
        let _ = self.pool.set_active(false);
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    fn info(width: u32, height: u32) -> gst_video::VideoInfo {
        gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height).build().unwrap()
    }

    /// How many samples differ, and by how much at most.
    fn differences(one: &gst::Buffer, other: &gst::Buffer, info: &gst_video::VideoInfo) -> (usize, u8) {
        let frame = |buffer: &'_ gst::Buffer| {
            gst_video::VideoFrame::from_buffer_readable(buffer.clone(), info).unwrap()
        };
        let (one, other) = (frame(one), frame(other));
        let (mut count, mut most) = (0, 0);
        for plane in 0..PLANES {
            let (width, stride) =
                (one.comp_width(plane) as usize, one.plane_stride()[plane as usize] as usize);
            // Rows may be padded, with anything.
            let rows = |frame: &'_ gst_video::VideoFrame<_>| {
                let rows = frame.plane_data(plane).unwrap().chunks(stride);
                rows.flat_map(|row| row[..width.min(row.len())].to_vec()).collect::<Vec<u8>>()
            };
            for (one, other) in rows(&one).into_iter().zip(rows(&other)) {
                count += usize::from(one != other);
                most = most.max(one.abs_diff(other));
            }
        }
        (count, most)
    }

    #[test]
    fn a_part_that_is_scaled_again_is_as_in_the_whole() {
        gst::init().unwrap();
        let mut random = StdRng::seed_from_u64(7);
        let sizes = [(1920, 1080), (1280, 720), (852, 480), (640, 360), (606, 342)];
        for pair in sizes.windows(2) {
            let (from, to) = (info(pair[0].0, pair[0].1), info(pair[1].0, pair[1].1));
            let mut picture: Vec<u8> = (0..from.size()).map(|_| random.random()).collect();
            let mut scaler = Scaler::new(to.clone()).unwrap();
            let mut before = scaler.scale(&gst::Buffer::from_slice(picture.clone()), &from).unwrap();
            let (width, height) = (from.width() as usize, from.height() as usize);
            let areas = [
                (0..1, 0..width),
                (7..8, 8..9),
                (height / 2..height / 2 + 90, width / 3..width / 2),
                (height - 1..height, width - 1..width),
                (0..height / 3, 0..width / 4),
                (0..height, 0..width),
            ];
            for (rows, columns) in areas {
                for plane in 0..3 {
                    let each = if plane == 0 { 1 } else { 2 };
                    let (at, stride) = (from.offset()[plane], from.stride()[plane] as usize);
                    for row in rows.start / each..rows.end.div_ceil(each) {
                        let columns = columns.start / each..columns.end.div_ceil(each);
                        random.fill(&mut picture[at + row * stride..][columns]);
                    }
                }
                let buffer = gst::Buffer::from_slice(picture.clone());
                let area = Area { rows: rows.clone(), columns: columns.clone() };
                let (part, changed) = scaler.scale_again(&buffer, &from, Some(&before), Some(area)).unwrap();
                let whole = scaler.scale(&buffer, &from).unwrap();
                let (count, most) = differences(&part, &whole, &to);
                // Weights are computed from a position in the part.
                let what = format!("{pair:?} {rows:?} {columns:?}");
                assert!(most <= 1 && count * 1_000 < to.size(), "{what}: {count} samples, by {most}");
                if let Some(changed) = changed {
                    let stride = to.stride()[0] as usize;
                    let (one, other) = (before.map_readable().unwrap(), part.map_readable().unwrap());
                    for row in 0..to.height() as usize {
                        for column in 0..to.width() as usize {
                            let at = row * stride + column;
                            let inside = changed.rows.contains(&row) && changed.columns.contains(&column);
                            assert!(inside || one[at] == other[at], "{what}: {row} {column}");
                        }
                    }
                }
                before = part;
            }
        }
    }

    #[test]
    fn a_part_is_small_where_little_changes() {
        gst::init().unwrap();
        let band = Band::of(&(830..1046), 1080, 720).unwrap();
        assert_eq!((band.from.clone(), band.into.clone()), (396..540, 264..360));
        assert!(band.changed.start >= 264 + 4 && band.changed.len() < 90, "{band:?}");
        assert_eq!(Band::of(&(0..2), 1080, 606), Band::of(&(0..1), 1080, 606));
        assert_eq!(Band::of(&(0..2), 1081, 720), None, "no step in common with chroma");
        let all = Area { rows: 0..1080, columns: 0..1700 };
        assert_eq!(Part::of(&all, &info(1920, 1080), &info(1280, 720)), None, "nearly all of it");
        let strip = Area { rows: 0..100, columns: 0..100 };
        let strip = Part::of(&strip, &info(1280, 720), &info(852, 480)).unwrap();
        assert_eq!(strip.columns.from, 0..320, "half of it: 320 columns become 213");
    }
}
