//! `filesrc` for a source that is fetched a range at a time: seekable, pulled from, of a known size.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_base as gst_base;

use crate::ranges::held::Ranges;

glib::wrapper! {
    /// The element.
    pub(crate) struct RangeSrc(ObjectSubclass<imp::RangeSrc>)
        @extends gst_base::BaseSrc, gst::Element, gst::Object;
}

impl RangeSrc {
    pub(super) fn new(ranges: Arc<Ranges>) -> Self {
        use gst::subclass::prelude::*;
        let source: Self = glib::Object::new();
        // A new object has none yet.
        let _ = source.imp().ranges.set(ranges);
        source
    }
}

mod imp {
    use std::sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicBool, Ordering},
    };

    use gstreamer as gst;
    use gstreamer::glib;
    use gstreamer::subclass::prelude::*;
    use gstreamer_base as gst_base;
    use gstreamer_base::subclass::prelude::*;

    use crate::ranges::held::Ranges;

    #[derive(Default)]
    pub(crate) struct RangeSrc {
        pub(super) ranges: OnceLock<Arc<Ranges>>,
        /// Set while the graph stops or seeks: nobody wants what is being waited for.
        unwanted: AtomicBool,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for RangeSrc {
        const NAME: &'static str = "LecternRangeSrc";
        type Type = super::RangeSrc;
        type ParentType = gst_base::BaseSrc;
    }

    impl ObjectImpl for RangeSrc {}
    impl GstObjectImpl for RangeSrc {}

    impl ElementImpl for RangeSrc {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Fetched source",
                    "Source/File",
                    "Reads a source that is fetched a range at a time",
                    "Lectern",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let any = gst::Caps::new_any();
                gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, &any)
                    .into_iter()
                    .collect()
            });
            &TEMPLATES
        }
    }

    impl BaseSrcImpl for RangeSrc {
        fn start(&self) -> Result<(), gst::ErrorMessage> {
            Ok(())
        }

        fn stop(&self) -> Result<(), gst::ErrorMessage> {
            Ok(())
        }

        fn is_seekable(&self) -> bool {
            true
        }

        fn size(&self) -> Option<u64> {
            self.ranges.get().map(|ranges| ranges.size())
        }

        fn fill(
            &self,
            offset: u64,
            length: u32,
            buffer: &mut gst::BufferRef,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            let ranges = self.ranges.get().ok_or(gst::FlowError::Error)?;
            let read = {
                let mut map = buffer.map_writable().map_err(|_| gst::FlowError::Error)?;
                let wanted = map.len().min(length as usize);
                ranges.read_at(offset, &mut map[..wanted], &self.unwanted)
            };
            match read {
                Ok(0) if length > 0 => Err(gst::FlowError::Eos),
                Ok(read) => {
                    buffer.set_size(read);
                    buffer.set_offset(offset);
                    buffer.set_offset_end(offset + read as u64);
                    Ok(gst::FlowSuccess::Ok)
                }
                Err(_) if self.unwanted.load(Ordering::Acquire) => Err(gst::FlowError::Flushing),
                Err(error) => {
                    gst::element_imp_error!(self, gst::ResourceError::Read, ["{error}"]);
                    Err(gst::FlowError::Error)
                }
            }
        }

        fn unlock(&self) -> Result<(), gst::ErrorMessage> {
            self.unwanted.store(true, Ordering::Release);
            if let Some(ranges) = self.ranges.get() {
                ranges.wake();
            }
            Ok(())
        }

        fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
            self.unwanted.store(false, Ordering::Release);
            Ok(())
        }
    }
}
