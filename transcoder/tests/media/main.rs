//! The media child on real files: drawn with `ffmpeg`, transcoded by the child, judged by decoding with `ffmpeg`.
//!
//! `fixtures` draws sources, `child` runs the child as the product does, `oracle` measures. To add a format: a line in
//! `sources`; a way to break: a line in `hostile`.

mod child;
mod cost;
mod fixtures;
mod hostile;
mod liars;
mod oracle;
mod prison;
mod ranges;
mod sandbox;
mod slides;
mod sources;
mod spans;
mod store;
mod sync;
mod trims;
mod waveform;
