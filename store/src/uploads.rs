//! Uploads.

use crate::statement::statements;

statements! {}
