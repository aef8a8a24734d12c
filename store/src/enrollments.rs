//! Enrollments, the entitlements they write, and learners' progress.

use crate::statement::statements;

statements! {}
