//! Courses.

use crate::statement::statements;

statements! {}
