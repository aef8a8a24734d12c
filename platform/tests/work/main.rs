//! The worker loop over a real jobs table, on both engines.

mod attempts;
mod broker;
mod shutdown;
mod slots;
mod world;
