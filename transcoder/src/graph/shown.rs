//! How much of a decoded picture (I420) differs from the one that is on the screen, and where.

use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::{
    MediaFailure,
    cadence::MOVES,
    still::{self, Area, Plane},
};

/// The last frame that was encoded: what is on the screen.
#[derive(Default)]
pub(super) struct Shown {
    picture: Option<(gst::Sample, gst_video::VideoInfo)>,
    /// The picture that was held against it last, and what came of that.
    seen: Option<(gst::Sample, Changed)>,
}

impl Shown {
    pub(super) fn keep(&mut self, sample: gst::Sample) {
        self.seen = None;
        let same =
            self.picture.take().filter(|(shown, _)| shown.caps() == sample.caps()).map(|(_, info)| info);
        let read = || gst_video::VideoInfo::from_caps(sample.caps()?).ok();
        self.picture = same.or_else(read).map(|info| (sample, info));
    }

    /// How a frame differs; a share of more than [`MOVES`] is not told apart.
    pub(super) fn changed(&mut self, sample: &gst::Sample) -> Result<Changed, MediaFailure> {
        // What was left undecoded comes as the picture before it, in the same memory.
        if let Some((_, changed)) =
            self.seen.as_ref().filter(|(seen, _)| memory(seen).is_some() && memory(seen) == memory(sample))
        {
            return Ok(changed.clone());
        }
        let changed = self.differs(sample)?;
        self.seen = Some((sample.clone(), changed.clone()));
        Ok(changed)
    }

    fn differs(&self, sample: &gst::Sample) -> Result<Changed, MediaFailure> {
        let Some((shown, info)) = self.picture.as_ref().filter(|(shown, _)| shown.caps() == sample.caps())
        else {
            return Ok(Changed::ALL);
        };
        let (Some(one), Some(other)) = (shown.buffer(), sample.buffer()) else { return Ok(Changed::ALL) };
        differing((one, info), (other, info), MOVES)
    }
}

/// Where the samples of a picture lie, while somebody holds it.
fn memory(sample: &gst::Sample) -> Option<*const gst::ffi::GstMemory> {
    sample.buffer().filter(|buffer| buffer.n_memory() > 0).map(|buffer| buffer.peek_memory(0).as_ptr())
}

/// What is different in a picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Changed {
    /// The largest share of a plane, 0 to 1, that shows something else.
    pub(super) share: f64,
    /// In luma samples the part of the picture outside of which every sample is the same; none: none is known to be.
    pub(super) area: Option<Area>,
}

impl Changed {
    /// Another picture.
    pub(super) const ALL: Self = Self { share: 1.0, area: None };
}

/// How one picture (I420) differs from another of the same size. Ends where the share exceeds `enough`.
pub(super) fn differing(
    (one, one_info): (&gst::BufferRef, &gst_video::VideoInfo),
    (other, other_info): (&gst::BufferRef, &gst_video::VideoInfo),
    enough: f64,
) -> Result<Changed, MediaFailure> {
    let one = gst_video::VideoFrameRef::from_buffer_ref_readable(one, one_info)?;
    let other = gst_video::VideoFrameRef::from_buffer_ref_readable(other, other_info)?;
    let mut most = Changed { share: 0.0, area: Some(Area::default()) };
    for plane in 0..one_info.n_planes() {
        let of = |frame: &'_ gst_video::VideoFrameRef<&gst::BufferRef>| {
            (
                frame.plane_stride()[plane as usize] as usize,
                frame.comp_width(plane) as usize,
                frame.comp_height(plane) as usize,
            )
        };
        let ((one_stride, width, height), (other_stride, ..)) = (of(&one), of(&other));
        let one = Plane { data: one.plane_data(plane)?, stride: one_stride, width, height };
        let other = Plane { data: other.plane_data(plane)?, stride: other_stride, width, height };
        let difference = still::changed(&one, &other, enough);
        most.share = most.share.max(difference.share);
        if most.share > enough {
            most.area = None;
            break;
        }
        // Chroma has half as many.
        let each = if plane == 0 { 1 } else { 2 };
        let Area { rows, columns } = difference.area;
        let area = Area {
            rows: rows.start * each..rows.end * each,
            columns: columns.start * each..columns.end * each,
        };
        most.area = most.area.map(|known| known.with(area));
    }
    Ok(most)
}
