//! Jobs.

use crate::statement::statements;

statements! {}
