//! Reading CMAF (ISO/IEC 23000-19): what the packager needs to know of init segments and media segments, from their
//! bytes alone.
//!
//! Containers are walked along known paths, never recursively, and leaf boxes are read by `mp4-atom`: nothing that a
//! file claims about its sizes or its nesting can exhaust stack or memory. To read another codec: an arm in
//! [`init`]'s sample entry, with the RFC 6381 string from the real parameter sets.

mod boxes;
pub mod init;
pub mod segment;

pub use init::{InitMedia, InitSegment};
pub use segment::MediaSegment;

/// Why bytes are not the CMAF that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CmafError {
    /// A box that does not fit where it stands.
    #[error("expected a box of at most {left} bytes at byte {at}, got one that says {size}")]
    BoxSize {
        /// Where the box begins, from the beginning of what surrounds it.
        at: usize,
        /// The size it declares.
        size: u64,
        /// The bytes that are there.
        left: usize,
    },
    /// Fewer bytes than a box header where a box should begin.
    #[error("expected a box header at byte {at}, got {left} bytes")]
    BoxHeader {
        /// Where.
        at: usize,
        /// The bytes that are there.
        left: usize,
    },
    /// A required box is not there.
    #[error("expected a {0} box, got none")]
    Missing(&'static str),
    /// A box that may be there once is there again.
    #[error("expected one {0} box, got several")]
    Several(&'static str),
    /// A box whose content cannot be.
    #[error("expected a valid {kind} box: {reason}")]
    Malformed {
        /// The box.
        kind: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Valid, but nothing that the transcoder makes and players of `aes-128` play.
    #[error("expected {expected}, got {got}")]
    Unsupported {
        /// What the packager can use.
        expected: &'static str,
        /// What is there.
        got: String,
    },
}
