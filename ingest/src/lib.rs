//! Uploads and probing.
