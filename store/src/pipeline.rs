//! pipeline.

use crate::statement::statements;

statements! {}
