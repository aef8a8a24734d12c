//! Media work: probing sources, making the rungs of a span, making an audio track. GStreamer does it, in a child
//! process that locks itself in before it looks at a source.
//!
//! - [`child::run`] is the parent's side: it starts the program again as a child, hands it one [`child::Request`],
//!   and turns whatever happens to that process into a [`child::Reply`] or a [`child::ChildError`].
//! - [`child::main`] is the child's side, behind the hidden subcommand `media-child`.
//! - `graph` is what the child does: plain synchronous functions from a path and a plan to files.
//! - `sandbox` is what the child does to itself first.
//! - `ranges` brings a source that lies elsewhere to the child, as far as the child reads it.
//!
//! What may not enter the child: databases, queues, object stores, keys. To it a source is a path, a result is files in a folder and
//! a value that describes them. The parent never touches GStreamer.
//!
//! To add a kind of media work: a function in `graph`, a variant of [`child::Request`] and of [`child::Reply`], its
//! arm in `child::serve`, and a test that decodes what it made.

pub mod child;
mod graph;
pub mod jobs;
mod ranges;
pub mod sample;
mod sandbox;

/// The hidden subcommand under which a program that links this crate must call [`child::main`].
pub const CHILD_SUBCOMMAND: &str = "media-child";
