//! The API as clients meet it: over a listening server, on both engines.

mod accounts;
mod assets;
mod captions;
mod courses;
mod hostile;
mod matrix;
mod progress;
mod support;
