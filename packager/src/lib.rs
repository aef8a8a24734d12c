//! The packager: from clear CMAF segments to encrypted ones, their playlists, and the proof that they belong together.
//!
//! ```text
//! plan ── planned ──┐
//! reports of the transcode jobs ── layout ──> objects to write ── aes128 ──> check ──> published
//!                init segments ── cmaf ──┘└── manifests ──> hls ──> playlists, renditions
//! ```
//!
//! What may not enter: encoding or decoding of samples (stills come as pixels and leave as JPEG), SQL, knowledge of who may play. Formats are pure functions over
//! bytes and values; the job that reads and writes objects stands alone at the edge. To add a protection scheme: a
//! module beside [`aes128`], an arm where [`layout`] gives tracks their keys, a check that undoes it. To add a
//! manifest format: a module beside [`hls`], written by [`manifests`]. Captions come later than segments: [`texts`] makes of a
//! published package another version that has them, without touching a segment.

pub mod aes128;
pub mod build;
pub mod check;
pub mod cmaf;
pub mod hls;
pub mod jobs;
pub mod layout;
pub mod manifests;
pub mod planned;
pub mod stills;
pub mod texts;
