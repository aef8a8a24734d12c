//! A source that lies elsewhere, read a range at a time: a job for one minute does not download two hours.
//!
//! ```text
//! demuxer -> RangeSrc -> held::Ranges --need--> feed::Feed -> object store
//!                            ^ pread              | writes
//!                            +--- sparse file <---+ --have-->
//! ```
//!
//! The parent makes a sparse file as long as the source, which the child may read and nothing else. What the child
//! needs it asks for on its standard output; the parent fetches it, writes it into the file and says so on the child's
//! standard input. What the child no longer needs it releases, and the parent punches it out of the file. So neither
//! side holds more than a bound, whatever the source's length:
//!
//! | what | where | at most |
//! |---|---|---|
//! | source on local disk | the parent refuses more | [`MAX_RESIDENT`] = 256 MiB a job (an honest child keeps [`KEPT`] = 128 MiB) |
//! | bytes of a fetch in the parent's memory | `feed` | 1 MiB a job, and what the store's door holds |
//! | one fetch | `readahead` | 4 MiB |
//! | everything fetched for one job | the parent refuses more | four times the source and 64 MiB |
//!
//! Where the file system cannot punch holes (not ext4, XFS, btrfs or tmpfs), the file grows to what was read.

pub(crate) mod feed;
pub(crate) mod held;
mod readahead;

use std::ops::Range;

/// What is fetched, held and released: everything is counted in blocks of this size, from the start of the source.
pub(crate) const BLOCK: u64 = 64 << 10;
/// Most that is asked for, or fetched, at once.
pub(crate) const MAX_FETCH: u64 = 4 << 20;
/// What an honest child keeps before it releases what it has not read for the longest time.
pub(crate) const KEPT: u64 = 128 << 20;
/// What the parent puts up with.
pub(crate) const MAX_RESIDENT: u64 = 256 << 20;

/// The blocks that a range touches.
fn blocks(range: &Range<u64>) -> Range<u64> {
    range.start / BLOCK..range.end.div_ceil(BLOCK)
}

/// The bytes of a run of blocks in a source of `size` bytes.
fn bytes(blocks: &Range<u64>, size: u64) -> Range<u64> {
    blocks.start * BLOCK..(blocks.end * BLOCK).min(size)
}
