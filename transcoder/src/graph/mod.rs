//! The media work itself: synchronous, from a source and a plan to files. Runs inside the sandboxed child.

mod audio;
mod cabac;
mod cadence;
mod colour;
mod container;
mod count;
mod decode;
mod disposable;
mod downmix;
mod encode;
mod entry;
mod faac;
mod familiar;
mod fields;
mod file;
mod ladder;
mod loudness;
mod lpcm;
mod measure;
mod mux;
mod near;
pub(crate) mod patience;
mod probe;
mod range_src;
mod repeat;
mod retime;
mod runs;
mod samples;
mod scale;
mod shown;
mod skip;
mod span;
mod still;
mod stills;
mod texts;
mod timeline;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use gstreamer as gst;
use gstreamer::prelude::*;
use lectern_domain::failure::FailureCode;

pub(crate) use audio::transcode_audio;
pub(crate) use count::count;
pub(crate) use file::SourceFile;
pub(crate) use probe::probe;
pub(crate) use span::transcode_span;
pub(crate) use texts::extract_texts;

/// Why media work ended without a result.
#[derive(Debug, thiserror::Error)]
#[error("{}: {detail}", code.as_str())]
pub(crate) struct MediaFailure {
    /// The reason the instructor sees.
    pub code: FailureCode,
    /// What happened, for the log.
    pub detail: String,
}

impl MediaFailure {
    pub(crate) fn new(code: FailureCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// Ours: a missing element, a full disk, a bug.
    pub(crate) fn internal(detail: impl std::fmt::Display) -> Self {
        Self::new(FailureCode::Internal, detail.to_string())
    }
}

impl From<gst::glib::BoolError> for MediaFailure {
    fn from(error: gst::glib::BoolError) -> Self {
        Self::internal(error)
    }
}

impl From<std::io::Error> for MediaFailure {
    fn from(error: std::io::Error) -> Self {
        Self::internal(error)
    }
}

/// How far the work has come, 0 to 1. Called from one thread, never backwards.
pub(crate) type OnProgress<'a> = &'a mut dyn FnMut(f64);

/// Counts signs of life: decoded and encoded buffers.
static PULSE: AtomicU64 = AtomicU64::new(0);

/// A buffer came through.
fn beat() {
    PULSE.fetch_add(1, Ordering::Relaxed);
}

/// Changes as long as the work advances. Some waits are GStreamer's own and know no end (a queue whose thread could not
/// be started, a state change that hangs); whoever runs the work must watch this.
pub(crate) fn pulse() -> u64 {
    PULSE.load(Ordering::Relaxed)
}

/// Without a frame, a packet or a written segment for this long, decoding is given up.
pub(crate) const STALL: Duration = Duration::from_mins(1);

/// Starts GStreamer and registers what is linked into the program. Must run before the sandbox closes: it reads, and
/// may write, the plugin registry.
pub(crate) fn init() -> Result<(), MediaFailure> {
    gst::init().map_err(MediaFailure::internal)?;
    gstfmp4::plugin_register_static()?;
    Ok(())
}

/// An element, or an error that names the missing plugin.
fn element(factory: &str) -> Result<gst::Element, MediaFailure> {
    gst::ElementFactory::make(factory).build().map_err(|_| {
        MediaFailure::internal(format!("expected the GStreamer element {factory}, it is not installed"))
    })
}

/// The failure that an error message on the bus stands for.
fn from_bus(error: &gst::message::Error) -> MediaFailure {
    let from = error.src().map(|src| src.name().to_string()).unwrap_or_default();
    let cause = error.error();
    let detail = format!("{from}: {cause} ({})", error.debug().unwrap_or_default());
    let code = if let Some(kind) = cause.kind::<gst::StreamError>() {
        match kind {
            gst::StreamError::TypeNotFound | gst::StreamError::WrongType => FailureCode::SourceNotMedia,
            gst::StreamError::CodecNotFound => FailureCode::SourceCodecUnsupported,
            _ => FailureCode::SourceCorrupt,
        }
    } else if let Some(kind) = cause.kind::<gst::CoreError>() {
        // Elements that cannot agree on a format were given one that nobody here handles.
        if matches!(kind, gst::CoreError::MissingPlugin | gst::CoreError::Negotiation) {
            FailureCode::SourceCodecUnsupported
        } else {
            FailureCode::Internal
        }
    } else if cause.is::<gst::LibraryError>() {
        // A decoder's library that gives up (`av1dec` with its first damaged frame) was given what is no such stream.
        FailureCode::SourceCorrupt
    } else {
        FailureCode::Internal
    };
    MediaFailure::new(code, detail)
}

/// Sets a pipeline to `NULL` when it goes out of scope, whichever way.
struct Running(gst::Pipeline);

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing to do about a pipeline that will not stop: the process ends soon after.
        let _ = self.0.set_state(gst::State::Null);
    }
}

impl Running {
    /// The first error on the bus, if one has come. Not for use once the end of the stream is on its way: a filtered pop
    /// throws everything else on the bus away, and the end is said only once.
    fn error(&self) -> Option<MediaFailure> {
        let bus = self.0.bus()?;
        bus.pop_filtered(&[gst::MessageType::Error]).and_then(|message| match message.view() {
            gst::MessageView::Error(error) => Some(from_bus(error)),
            _ => None,
        })
    }

    /// Waits as long as `wait` for the end of every stream; whether it has come.
    fn ended(&self, wait: Duration) -> Result<bool, MediaFailure> {
        let bus = self.0.bus().ok_or_else(|| MediaFailure::internal("a pipeline without a bus"))?;
        let wait = gst::ClockTime::from_nseconds(wait.as_nanos() as u64);
        match bus.timed_pop_filtered(wait, &[gst::MessageType::Eos, gst::MessageType::Error]) {
            None => Ok(false),
            Some(message) => match message.view() {
                gst::MessageView::Error(error) => Err(from_bus(error)),
                _ => Ok(true),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_end_nor_an_error_is_lost() {
        init().unwrap();
        let running = Running(gst::Pipeline::new());
        let bus = running.0.bus().unwrap();
        bus.set_flushing(false);
        let a_little = Duration::from_millis(20);
        assert!(!running.ended(a_little).unwrap());
        bus.post(gst::message::Eos::new()).unwrap();
        bus.post(gst::message::Error::new(gst::CoreError::Failed, "too late")).unwrap();
        assert!(running.ended(a_little).unwrap());
        running.ended(a_little).unwrap_err();
        assert!(!running.ended(a_little).unwrap());
    }
}
