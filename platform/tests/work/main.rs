//! The worker loop over a real jobs table, on both engines.

mod attempts;
mod shutdown;
mod slots;
mod world;
