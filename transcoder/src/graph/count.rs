//! Decodes a track to its end and counts what comes out: the proof that a package plays.

use gstreamer as gst;

use super::{
    MediaFailure, OnProgress,
    decode::{Chain, Decoding, Kind, presented},
    file::SourceFile,
};

/// Decoded buffers of a file's first track (frames of video, blocks of sound) and how long they play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Buffers that the decoder gave.
    pub buffers: u64,
    /// From the first buffer's start to the last one's end, nanoseconds.
    pub duration_ns: u64,
}

/// Counts the first video track, or the first audio track of a file without picture.
pub(crate) fn count(file: &SourceFile, progress: OnProgress<'_>) -> Result<Counted, MediaFailure> {
    let (kind, caps) = match super::probe(file, None)?.video {
        Some(_) => (Kind::Video, "video/x-raw"),
        None => (Kind::Audio, "audio/x-raw"),
    };
    let counted = count_kind(file, kind, caps)?;
    progress(1.0);
    Ok(counted)
}

fn count_kind(file: &SourceFile, kind: Kind, caps: &str) -> Result<Counted, MediaFailure> {
    let chain = Chain {
        threads: 0,
        unpadded: false,
        after: Vec::new(),
        caps: gst::Caps::builder(caps).build(),
        enter: None,
    };
    let decoding = Decoding::open(file, kind, 0, &chain)?;
    decoding.play()?;
    let (mut buffers, mut first, mut end) = (0, i64::MAX, i64::MIN);
    while let Some(sample) = decoding.next()? {
        buffers += 1;
        if let Some(time) = presented(&sample, "") {
            let duration =
                sample.buffer().and_then(gst::BufferRef::duration).map_or(0, gst::ClockTime::nseconds);
            first = first.min(time);
            end = end.max(time + duration as i64);
        }
    }
    Ok(Counted { buffers, duration_ns: u64::try_from(end.saturating_sub(first)).unwrap_or(0) })
}
