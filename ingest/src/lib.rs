//! Uploads: the tus 1.0 server that takes an instructor's file and hands it to the pipeline; and where objects are in a
//! bucket, uploads that browsers send there themselves (`direct`).
//!
//! An upload by tus is a row (`store::uploads`) and bytes, which are kept in one of two forms (`kept`):
//!
//! - Objects on a disk: a part file. Its length is the offset, so there is no second truth that a crash could bring out of
//!   step: what was written before the crash counts, what was acknowledged was synced before it was acknowledged. A
//!   complete part file is moved to the object store.
//! - Objects in a bucket: parts of a multipart upload of the source, and what is too small for one as a tail beside them.
//!   The rows of `store::upload_parts` are the offset: what was recorded counts, what was acknowledged was recorded
//!   before. Joining the parts makes the source.
//!
//! Then one transaction finishes the upload and queues the probe job. [`sweep`] mends whatever a crash left between those
//! steps.
//!
//! Who wants bytes: one request at a time in a process ([`locks`] says which one); between processes, which share uploads
//! only where objects are in a bucket, whoever takes the upload last.
//!
//! What may not enter: media (a source is bytes here), SQL (it is in `store`), the rules of courses.
//!
//! To add a tus extension: a module under `tus/`, its name in [`tus::EXTENSIONS`], its request headers in the CORS list
//! beside it, rows in the tables of `tests/protocol.rs`.

mod access;
mod announce;
mod direct;
mod ending;
mod kept;
pub mod locks;
mod metadata;
mod multipart;
mod part;
mod receive;
pub mod s3_events;
mod state;
mod sweep;
mod transfer;
pub mod tus;

pub use state::{IngestParts, IngestSettings, IngestState};
pub use sweep::{Swept, sweep};

/// Every route of uploads: see [`tus::router`] about limits around it.
pub fn router(state: IngestState) -> axum::Router {
    tus::router(state.clone()).merge(direct::router(state))
}
