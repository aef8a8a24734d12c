//! The rules of Lectern as pure functions over values: ids, states and their transitions, ladder and span
//! planning, key derivation, the playback decision.
//!
//! What may not enter: I/O, async, clocks, global randomness. Time and random bytes are arguments, so that every
//! rule can be tested as a table. To add a rule: a module that opens with what it decides, a plain function, its
//! table of cases in the same file.

pub mod account;
pub mod asset;
pub mod captions;
pub mod cost;
pub mod course;
pub mod decision;
pub mod failure;
pub mod growth;
pub mod ids;
pub mod job;
pub mod keys;
pub mod ladder;
pub mod media;
pub mod plan;
pub mod source;
pub mod stills;
pub mod storage_key;
pub mod trim;
pub mod waveform;

/// A point in time, UTC. Stored with microsecond precision on both database engines.
pub type Timestamp = time::OffsetDateTime;
