//! How much of a decoded picture (I420) differs from the one that is on the screen.

use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::{
    MediaFailure,
    cadence::MOVES,
    still::{self, Plane},
};

/// The last frame that was kept: what is on the screen.
#[derive(Default)]
pub(super) struct Shown(Option<(gst::Sample, gst_video::VideoInfo)>);

impl Shown {
    pub(super) fn keep(&mut self, sample: gst::Sample) {
        let same = self.0.take().filter(|(shown, _)| shown.caps() == sample.caps()).map(|(_, info)| info);
        let read = || gst_video::VideoInfo::from_caps(sample.caps()?).ok();
        self.0 = same.or_else(read).map(|info| (sample, info));
    }

    /// The share of a frame, 0 to 1, that shows something else; more than [`MOVES`] is not told apart.
    pub(super) fn changed(&self, sample: &gst::Sample) -> Result<f64, MediaFailure> {
        let Some((shown, info)) = self.0.as_ref().filter(|(shown, _)| shown.caps() == sample.caps()) else {
            return Ok(1.0);
        };
        let (Some(one), Some(other)) = (shown.buffer(), sample.buffer()) else { return Ok(1.0) };
        differing((one, info), (other, info), MOVES)
    }
}

/// The largest share of a plane of one picture (I420), 0 to 1, that differs in another of the same size. Ends where it exceeds
/// `enough`.
pub(super) fn differing(
    (one, one_info): (&gst::BufferRef, &gst_video::VideoInfo),
    (other, other_info): (&gst::BufferRef, &gst_video::VideoInfo),
    enough: f64,
) -> Result<f64, MediaFailure> {
    let one = gst_video::VideoFrameRef::from_buffer_ref_readable(one, one_info)?;
    let other = gst_video::VideoFrameRef::from_buffer_ref_readable(other, other_info)?;
    let mut most = 0.0f64;
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
        most = most.max(still::changed(&one, &other, enough));
        if most > enough {
            break;
        }
    }
    Ok(most)
}
