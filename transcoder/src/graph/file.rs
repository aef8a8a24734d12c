//! The source as graphs read it: a file that is whole, or one that is fetched a range at a time.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::{
    MediaFailure,
    container::{Mended, mended},
    element,
    lpcm::Sound,
    range_src::RangeSrc,
};
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

    /// The same for a graph that plays all there is, and what must be said of its sound ([`Mended`]).
    pub(super) fn mended(&self) -> Result<(gst::Element, Sound), MediaFailure> {
        let (source, Mended { bytes, sound }) = (self.element()?, mended(self)?);
        if let Some(pad) = source.static_pad("src").filter(|_| !bytes.is_empty()) {
            pad.add_probe(gst::PadProbeType::PULL | gst::PadProbeType::BUFFER, move |_, info| {
                let from = info.offset;
                if let Some(buffer) = info.buffer_mut() {
                    for (at, bytes) in &bytes {
                        write_over(buffer, from, *at, bytes);
                    }
                }
                gst::PadProbeReturn::Ok
            });
        }
        Ok((source, sound))
    }

    /// For what is read without a graph.
    pub(super) fn open(&self) -> io::Result<Box<dyn ReadSeek + '_>> {
        match self {
            Self::Whole(path) => Ok(Box::new(File::open(path)?)),
            Self::Fetched(ranges) => Ok(Box::new(At { ranges, position: 0 })),
        }
    }
}

/// Writes those of `bytes`, which belong at a position of a file, that fall into what was read from another one on.
fn write_over(buffer: &mut gst::Buffer, from: u64, at: u64, bytes: &[u8]) {
    let end = from + buffer.size() as u64;
    if at >= end || at + bytes.len() as u64 <= from {
        return;
    }
    let Ok(mut map) = buffer.make_mut().map_writable() else { return };
    for (place, byte) in (at..).zip(bytes) {
        if (from..end).contains(&place) {
            map[(place - from) as usize] = *byte;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_over_may_lie_across_a_border() {
        gst::init().unwrap();
        let read = |from: u64, size: usize| {
            let mut buffer = gst::Buffer::from_mut_slice(vec![0u8; size]);
            write_over(&mut buffer, from, 10, &[1, 2, 3, 4]);
            buffer.map_readable().unwrap().to_vec()
        };
        assert_eq!(read(8, 8), [0, 0, 1, 2, 3, 4, 0, 0]);
        assert_eq!(read(8, 4), [0, 0, 1, 2]);
        assert_eq!(read(12, 4), [3, 4, 0, 0]);
        assert_eq!(read(11, 2), [2, 3]);
        assert_eq!(read(0, 10), [0; 10]);
        assert_eq!(read(14, 3), [0; 3]);
    }
}
