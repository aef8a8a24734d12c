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

use super::MediaFailure;

/// Planes of an I420 picture.
const PLANES: u32 = 3;

/// Makes pictures of one size.
pub(super) struct Scaler {
    to: gst_video::VideoInfo,
    /// Frames are megabytes each: fresh memory for every one would cost as much as scaling it.
    pool: gst_video::VideoBufferPool,
    filter: pic_scale::Scaler,
    /// How planes of each size are scaled, to which size. There are few: bands come in steps.
    plans: HashMap<[usize; 4], Arc<Resampling<u8, 1>>>,
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
        Ok(Self { to, pool, filter, plans: HashMap::new() })
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

    /// The same of a picture that outside of `rows` is as the one before it, which became `before`. Also the rows outside of which
    /// what comes out is as `before`.
    pub(super) fn scale_again(
        &mut self,
        buffer: &gst::Buffer,
        from: &gst_video::VideoInfo,
        before: Option<&gst::Buffer>,
        rows: Option<Range<usize>>,
    ) -> Result<(gst::Buffer, Option<Range<usize>>), MediaFailure> {
        if (from.width(), from.height()) == (self.to.width(), self.to.height()) {
            return Ok((buffer.clone(), rows));
        }
        let source = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, from)?;
        let mut scaled = self.pool.acquire_buffer(None).map_err(MediaFailure::internal)?;
        scaled.make_mut().set_pts(buffer.pts());
        let mut target = gst_video::VideoFrameRef::from_buffer_ref_writable(scaled.make_mut(), &self.to)?;
        let band = rows.and_then(|rows| Band::of(&rows, from.height() as usize, self.to.height() as usize));
        let before = match (before, &band) {
            (Some(before), Some(_)) => {
                Some(gst_video::VideoFrameRef::from_buffer_ref_readable(before, &self.to)?)
            }
            _ => None,
        };
        for plane in 0..PLANES {
            let from = View::of(&source, plane)?;
            let (width, height) = (target.comp_width(plane) as usize, target.comp_height(plane) as usize);
            let stride = target.plane_stride()[plane as usize] as usize;
            let into = target.plane_data_mut(plane)?;
            match (&before, &band) {
                (Some(before), Some(band)) => {
                    let band = if plane == 0 { band.luma() } else { band.clone() };
                    let before = View::of(before, plane)?;
                    copy_rows(into, stride, &before, 0..band.changed.start);
                    copy_rows(into, stride, &before, band.changed.end..height);
                    let mut part = vec![0; band.into.len() * width];
                    self.resample(&from.rows(&band.from), &mut part, width, (width, band.into.len()))?;
                    let skipped = band.changed.start - band.into.start;
                    for (at, row) in band.changed.clone().zip(part.chunks_exact(width).skip(skipped)) {
                        into[at * stride..][..width].copy_from_slice(row);
                    }
                }
                _ => self.resample(&from, into, stride, (width, height))?,
            }
        }
        drop((target, source));
        let rows = before.and(band).map(|band| band.luma().changed);
        Ok((scaled, rows))
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
        plan.resample(&from, &mut into).map_err(MediaFailure::internal)
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

    fn rows(&self, rows: &Range<usize>) -> Self {
        Self { data: &self.data[rows.start * self.stride..], height: rows.len(), ..*self }
    }
}

fn copy_rows(into: &mut [u8], stride: usize, from: &View<'_>, rows: Range<usize>) {
    if stride == from.stride {
        let rows = rows.start * stride..(rows.end * stride).min(from.data.len());
        into[rows.clone()].copy_from_slice(&from.data[rows]);
        return;
    }
    for row in rows {
        into[row * stride..][..from.width].copy_from_slice(&from.data[row * from.stride..][..from.width]);
    }
}

/// Rows of a plane that are scaled apart from the others, so that they become what they are in the whole.
#[derive(Debug, Clone, PartialEq)]
struct Band {
    /// Rows that are scaled, between two that lie on the same place before and after.
    from: Range<usize>,
    /// What they become. The outer ones lack what lies beyond.
    into: Range<usize>,
    /// Those of them that any of the changed rows bears on.
    changed: Range<usize>,
}

impl Band {
    /// Radius of the filter, in rows of the smaller picture (Lanczos of three lobes).
    const RADIUS: usize = 3;
    /// A larger band than this share of the picture, in percent, is not worth while.
    const MOST: usize = 70;
    /// Bands begin and end in steps of so many chroma rows of the source, or a few more.
    const STEP: usize = 8;

    /// For the chroma planes of I420 pictures of `height` rows that are scaled to `to` rows, of which `rows` have changed. None: scale
    /// the whole.
    fn of(rows: &Range<usize>, height: usize, to: usize) -> Option<Self> {
        if !height.is_multiple_of(2) || !to.is_multiple_of(2) || height == 0 || to == 0 {
            return None;
        }
        let (height, to) = (height / 2, to / 2);
        let common = gcd(height, to);
        // So many rows before become so many after, in step with each other.
        let (p, q) = (height / common, to / common);
        let radius = Self::RADIUS * p.div_ceil(q) + 2;
        let (start, end) = (rows.start / 2, rows.end.div_ceil(2));
        let changed = (start.saturating_sub(radius) * q / p)..((end + radius) * q).div_ceil(p).min(to);
        let step = p * Self::STEP.div_ceil(p);
        let first = (changed.start * p / q).saturating_sub(radius) / step * step;
        let last = (((changed.end * p).div_ceil(q) + radius).div_ceil(step) * step).min(height);
        let from = first..last;
        if from.len() * 100 > height * Self::MOST {
            return None;
        }
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
            let height = from.height() as usize;
            for rows in
                [0..1, 7..8, height / 2..height / 2 + 90, height - 1..height, 0..height / 3, 0..height]
            {
                for plane in 0..3 {
                    let each = if plane == 0 { 1 } else { 2 };
                    let (at, stride) = (from.offset()[plane], from.stride()[plane] as usize);
                    for row in rows.start / each..rows.end.div_ceil(each) {
                        random.fill(&mut picture[at + row * stride..][..stride]);
                    }
                }
                let buffer = gst::Buffer::from_slice(picture.clone());
                let (part, changed) =
                    scaler.scale_again(&buffer, &from, Some(&before), Some(rows.clone())).unwrap();
                let whole = scaler.scale(&buffer, &from).unwrap();
                let (count, most) = differences(&part, &whole, &to);
                // Weights are computed from a position in the band.
                assert!(
                    most <= 1 && count * 1_000 < to.size(),
                    "{pair:?} {rows:?}: {count} samples, by {most}"
                );
                if let Some(changed) = changed {
                    let stride = to.stride()[0] as usize;
                    let (one, other) = (before.map_readable().unwrap(), part.map_readable().unwrap());
                    let same = |rows: Range<usize>| {
                        one[rows.start * stride..rows.end * stride]
                            == other[rows.start * stride..rows.end * stride]
                    };
                    assert!(same(0..changed.start) && same(changed.end..to.height() as usize));
                }
                before = part;
            }
        }
    }

    #[test]
    fn a_band_is_small_where_little_changes() {
        let band = Band::of(&(830..1046), 1080, 720).unwrap();
        assert_eq!((band.from.clone(), band.into.clone()), (396..540, 264..360));
        assert!(band.changed.start >= 264 + 4 && band.changed.len() < 90, "{band:?}");
        assert_eq!(Band::of(&(0..900), 1080, 720), None, "nearly all of it");
        assert_eq!(Band::of(&(0..2), 1080, 606), Band::of(&(0..1), 1080, 606));
        assert_eq!(Band::of(&(0..2), 1081, 720), None, "no step in common with chroma");
    }
}
