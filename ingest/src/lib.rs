//! Uploads: the tus 1.0 server that takes an instructor's file and hands it to the pipeline.
//!
//! An upload is a row (`store::uploads`) and a part file. The part file's length is the offset, so there is no second
//! truth that a crash could bring out of step: what was written before the crash counts, what was acknowledged was
//! synced before it was acknowledged. A complete part file is moved to the object store, then one transaction finishes
//! the upload and queues the probe job. [`sweep`] mends whatever a crash left between those steps.
//!
//! Who wants bytes: one request at a time ([`locks`] says which one).
//!
//! What may not enter: media (a source is bytes here), SQL (it is in `store`), the rules of courses.
//!
//! To add a tus extension: a module under `tus/`, its name in [`tus::EXTENSIONS`], its request headers in the CORS list
//! beside it, rows in the tables of `tests/protocol.rs`.

mod ending;
pub mod locks;
mod metadata;
mod part;
mod receive;
mod state;
mod sweep;
mod transfer;
pub mod tus;

pub use state::{IngestParts, IngestSettings, IngestState};
pub use sweep::{Swept, sweep};
pub use tus::router;
