//! Keys that sign tokens.

use crate::statement::statements;

statements! {}
