//! The source as graphs read it: a file that is whole, or one that is fetched a range at a time.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::{MediaFailure, element, range_src::RangeSrc};
use crate::ranges::held::Ranges;

/// Where a source's bytes come from.
#[derive(Clone)]
pub(crate) enum SourceFile {
    /// A file on this machine.
    Whole(PathBuf),
    /// A file of which the parent fetches what is asked for.
    Fetched(Arc<Ranges>),
}

/// Reading at a position.
pub(super) trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

impl SourceFile {
    /// Bytes in all.
    pub(super) fn size(&self) -> io::Result<u64> {
        match self {
            Self::Whole(path) => std::fs::metadata(path).map(|metadata| metadata.len()),
            Self::Fetched(ranges) => Ok(ranges.size()),
        }
    }

    /// The element that a graph begins with. Both kinds are pulled from, at any position.
    pub(super) fn element(&self) -> Result<gst::Element, MediaFailure> {
        match self {
            Self::Whole(path) => {
                let source = element("filesrc")?;
                source.set_property("location", path.as_os_str().to_string_lossy().as_ref());
                Ok(source)
            }
            Self::Fetched(ranges) => Ok(RangeSrc::new(Arc::clone(ranges)).upcast()),
        }
    }

    /// For what is read without a graph.
    pub(super) fn open(&self) -> io::Result<Box<dyn ReadSeek + '_>> {
        match self {
            Self::Whole(path) => Ok(Box::new(File::open(path)?)),
            Self::Fetched(ranges) => Ok(Box::new(At { ranges, position: 0 })),
        }
    }
}

/// A position in a fetched source.
struct At<'a> {
    ranges: &'a Ranges,
    position: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.ranges.read_at(self.position, buffer, &AtomicBool::new(false))?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for At<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.ranges.size().checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
