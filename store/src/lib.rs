//! Every SQL statement of Lectern, and both sets of migrations.
//!
//! Each statement is written once, in the module of its table, and runs on SQLite and on PostgreSQL through the small
//! facade in [`db`], [`value`] and [`row`]. Where the engines differ, two texts stand next to each other.
//!
//! What may not enter: rules (they are in `domain`), HTTP, the object store, clocks (a function that needs the time
//! takes `now`), randomness (ids come as arguments).
//!
//! To add a statement: a line in the `statements!` block of its module, a function that runs it, a test in
//! `tests/work`. The block registers the text, so that a test prepares it on both engines. To add a table: the next
//! migration number in both folders under `migrations/`.

mod db;
mod error;
mod row;
mod statement;
mod value;

pub mod accounts;
pub mod assets;
pub mod captions;
pub mod chapters;
pub mod courses;
pub mod enrollments;
pub mod jobs;
pub mod lessons;
pub mod outbox;
pub mod packages;
pub mod pipeline;
pub mod playback;
pub mod processes;
pub mod signing_keys;
#[cfg(feature = "testing")]
pub mod testing;
pub mod upload_parts;
pub mod uploads;

pub use db::{Db, Engine, Tx};
pub use error::Error;

/// Every registered statement, for the test that prepares them all.
#[doc(hidden)]
pub fn statements() -> Vec<statement::Statement> {
    [
        accounts::STATEMENTS,
        assets::STATEMENTS,
        captions::STATEMENTS,
        chapters::STATEMENTS,
        courses::STATEMENTS,
        enrollments::STATEMENTS,
        jobs::STATEMENTS,
        lessons::STATEMENTS,
        outbox::STATEMENTS,
        packages::STATEMENTS,
        pipeline::STATEMENTS,
        playback::STATEMENTS,
        processes::STATEMENTS,
        signing_keys::STATEMENTS,
        upload_parts::STATEMENTS,
        uploads::STATEMENTS,
    ]
    .concat()
}
