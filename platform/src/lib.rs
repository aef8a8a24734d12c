//! Doors to the outside, each a small trait with an embedded form (and later a distributed one), and what every
//! role shares around them: the worker loop, shutdown, telemetry, tokens, problem documents.
//!
//! What may not enter: rules (they are in `domain`), SQL (in `store`), anything that knows about media, playlists or
//! courses. A URL scheme chooses each backend; nothing outside this crate and `src` knows which it is.
//!
//! To add a form of a door: a module beside the embedded one, a line where the URL is read, and the door's conformance
//! suite in `tests/` run over it.

pub mod clock;
pub mod events;
pub mod http;
pub mod objects;
pub mod queue;
pub mod rate_limit;
pub mod registry;
pub mod relay;
pub mod seal;
pub mod shutdown;
pub mod sqs;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tokens;
pub mod vault;
pub mod worker;
