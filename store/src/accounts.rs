//! Accounts and their refresh tokens.

use crate::statement::statements;

statements! {}
