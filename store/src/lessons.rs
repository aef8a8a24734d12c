//! Lessons.

use crate::statement::statements;

statements! {}
