//! Courses and lessons: their closed vocabularies.

use serde::{Deserialize, Serialize};

/// Whether learners see a course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublishedStatus {
    /// Only its instructor and admins see it.
    Draft,
    /// Everybody sees it; enrolled learners play it.
    Published,
}

impl PublishedStatus {
    /// The name in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Draft, Self::Published].into_iter().find(|status| status.as_str() == text)
    }
}

/// What a lesson consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LessonType {
    /// An asset to play (picture and sound, or sound alone).
    Video,
    /// Text to read.
    Text,
}

impl LessonType {
    /// The name in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Text => "text",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Video, Self::Text].into_iter().find(|kind| kind.as_str() == text)
    }
}
