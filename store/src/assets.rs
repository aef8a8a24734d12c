//! Assets.

use crate::statement::statements;

statements! {}
