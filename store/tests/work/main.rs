//! Jobs and the pipeline on both engines: leases and their fence, failures and crashes, the way of an asset, deletion.

mod captions;
mod chapters;
mod deletion;
mod failures;
mod growth;
mod leases;
mod pipeline;
mod turns;
mod uploads;
mod world;
