//! The license server as its clients meet it: a listening server, both engines, a small package on disk.

mod decisions;
mod faults;
mod media;
mod native;
mod stills;
mod tokens;
mod world;
