//! Accounts: what each role may do.

use serde::{Deserialize, Serialize};

/// What an account is for. Rights grow downwards: an admin may do what an instructor may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Enrolls and plays.
    Student,
    /// Also makes courses and uploads to them.
    Instructor,
    /// Also sees and changes everything.
    Admin,
}

impl Role {
    /// The role's name in the database, in tokens and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Student => "student",
            Self::Instructor => "instructor",
            Self::Admin => "admin",
        }
    }

    /// Reads a role's name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Student, Self::Instructor, Self::Admin].into_iter().find(|role| role.as_str() == text)
    }
}
