//! Packages and the names of their content keys.

use crate::statement::statements;

statements! {}
