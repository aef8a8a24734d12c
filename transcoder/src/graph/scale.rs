//! Scaling of decoded pictures (I420) to the sizes of a ladder.
//!
//! The filter widens with the ratio, so nothing aliases. `videoscale` of GStreamer 1.22 keeps six bits of each filter
//! weight, which makes every rung below the source measurably worse, the more the further down.

use std::{borrow::Cow, sync::Arc};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use pic_scale::{
    BufferStore, ImageSize, ImageStore, ImageStoreMut, Resampling, ResamplingFunction, ThreadingPolicy,
};

use super::MediaFailure;

/// Planes of an I420 picture.
const PLANES: usize = 3;

/// Makes pictures of one size.
pub(super) struct Scaler {
    to: gst_video::VideoInfo,
    /// Frames are megabytes each: fresh memory for every one would cost as much as scaling it.
    pool: gst_video::VideoBufferPool,
    /// For pictures of the size that came last; none yet, or nothing to scale.
    plans: Option<Plans>,
}

/// How each plane is scaled.
struct Plans {
    from: (u32, u32),
    planes: [Arc<Resampling<u8, 1>>; PLANES],
}

impl Scaler {
    /// A scaler to `to`, whose format is I420.
    pub(super) fn new(to: gst_video::VideoInfo) -> Result<Self, MediaFailure> {
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&to.to_caps()?), to.size() as u32, 0, 0);
        pool.set_config(config)?;
        pool.set_active(true)?;
        Ok(Self { to, pool, plans: None })
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
        let size = (from.width(), from.height());
        if size == (self.to.width(), self.to.height()) {
            return Ok(buffer.clone());
        }
        let plans = match self.plans.take().filter(|plans| plans.from == size) {
            Some(plans) => plans,
            None => Plans::new(from, &self.to)?,
        };
        let source = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, from)?;
        let mut scaled = self.pool.acquire_buffer(None).map_err(MediaFailure::internal)?;
        scaled.make_mut().set_pts(buffer.pts());
        let mut target = gst_video::VideoFrameRef::from_buffer_ref_writable(scaled.make_mut(), &self.to)?;
        for (plane, plan) in (0..).zip(&plans.planes) {
            let from = ImageStore {
                buffer: Cow::Borrowed(source.plane_data(plane)?),
                channels: 1,
                width: source.comp_width(plane) as usize,
                height: source.comp_height(plane) as usize,
                // Rows may be padded.
                stride: source.plane_stride()[plane as usize] as usize,
                bit_depth: 8,
            };
            let (width, height) = (target.comp_width(plane) as usize, target.comp_height(plane) as usize);
            let stride = target.plane_stride()[plane as usize] as usize;
            let mut into = ImageStoreMut {
                buffer: BufferStore::Borrowed(target.plane_data_mut(plane)?),
                channels: 1,
                width,
                height,
                stride,
                bit_depth: 8,
            };
            plan.resample(&from, &mut into).map_err(MediaFailure::internal)?;
        }
        drop(target);
        self.plans = Some(plans);
        Ok(scaled)
    }
}

impl Plans {
    fn new(from: &gst_video::VideoInfo, to: &gst_video::VideoInfo) -> Result<Self, MediaFailure> {
        // Sharper than the cubic that others scale with: it takes more bits at the same CRF, and shown at full size the picture
        // is closer to the source than those bits would buy otherwise.
        let mut scaler = pic_scale::Scaler::new(ResamplingFunction::Lanczos3);
        // The encoders have the other cores.
        scaler.set_threading_policy(ThreadingPolicy::Single);
        let size = |info: &gst_video::VideoInfo, plane: u8| {
            ImageSize::new(info.comp_width(plane) as usize, info.comp_height(plane) as usize)
        };
        let plan = |plane: u8| {
            scaler.plan_planar_resampling(size(from, plane), size(to, plane)).map_err(MediaFailure::internal)
        };
        Ok(Self { from: (from.width(), from.height()), planes: [plan(0)?, plan(1)?, plan(2)?] })
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // An active pool keeps its buffers; nothing is lost if it refuses to give them back.
        let _ = self.pool.set_active(false);
    }
}
