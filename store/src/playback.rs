//! Playback sessions, the facts of the playback decision, the audit log.

use crate::statement::statements;

statements! {}
