//! Captions: what an uploaded SubRip or WebVTT file says, and the WebVTT that learners get.
//!
//! Only what a viewer sees is kept: cues with their times, the settings that place them, and text in which nothing but
//! WebVTT's own tags is markup (W3C WebVTT, 4.2). Style sheets, regions, comments and other markup are left out; whatever else
//! looks like markup is text.

mod decode;
mod markup;
mod read;
mod source;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

pub use read::read;
pub(crate) use source::shown_until;
pub use source::{MOST_TEXTS, SourceText, SourceTexts, TEXTS, from_source, source_tag};

/// Bytes that an uploaded file may have.
pub const MAX_FILE_BYTES: usize = 2 * 1024 * 1024;
/// Cues that a file may have: one every second for five hours.
pub const MAX_CUES: usize = 18_000;
/// Languages that one asset may have captions in.
pub const MAX_TRACKS: usize = 40;

/// One caption and when it is on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// When it appears, milliseconds.
    pub start_ms: u64,
    /// When it goes, milliseconds; after the start.
    pub end_ms: u64,
    /// Where it stands: WebVTT cue settings without regions, or nothing.
    pub settings: String,
    /// WebVTT cue text, one or more lines, none of them empty.
    pub text: String,
}

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct CaptionError {
    /// Line in the file, from 1; absent where it is about the whole of it.
    pub line: Option<usize>,
    /// What was expected and what came.
    pub reason: String,
}

impl CaptionError {
    fn whole(reason: impl Into<String>) -> Self {
        Self { line: None, reason: reason.into() }
    }

    fn at(line: usize, reason: impl Into<String>) -> Self {
        Self { line: Some(line), reason: reason.into() }
    }
}

/// Who captions are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptionKind {
    /// For who does not hear: what is said, and what else is to be heard.
    Captions,
    /// For who does not know the language: what is said.
    Subtitles,
}

impl CaptionKind {
    /// The name in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Captions => "captions",
            Self::Subtitles => "subtitles",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Captions, Self::Subtitles].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Where captions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptionOrigin {
    /// Somebody uploaded them.
    Uploaded,
    /// They were a text track of the source.
    Source,
}

impl CaptionOrigin {
    /// The name in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Source => "source",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Uploaded, Self::Source].into_iter().find(|origin| origin.as_str() == text)
    }
}

/// A language tag (BCP 47, RFC 5646) with the usual case of its parts, if the text has the form of one that can name a language
/// (`und` where nobody knows it).
pub fn language_tag(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('-').collect();
    let primary = parts[0].to_ascii_lowercase();
    let named = (2..=3).contains(&primary.len())
        && primary.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !["mul", "zxx", "mis"].contains(&primary.as_str());
    let formed = text.len() <= 35
        && parts[1..].iter().all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
    if !named || !formed {
        return None;
    }
    // RFC 5646, 2.1.1: four letters are a script, two a region, unless they stand behind a singleton.
    let mut tag = primary;
    let mut after_singleton = false;
    for part in &parts[1..] {
        let lower = part.to_ascii_lowercase();
        tag.push('-');
        match part.len() {
            2 if !after_singleton => tag.push_str(&lower.to_ascii_uppercase()),
            4 if !after_singleton && part.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                tag.push_str(&lower[..1].to_ascii_uppercase());
                tag.push_str(&lower[1..]);
            }
            _ => tag.push_str(&lower),
        }
        after_singleton |= part.len() == 1;
    }
    Some(tag)
}

/// A WebVTT file of cues whose times are on the asset's timeline.
///
/// `X-TIMESTAMP-MAP` (RFC 8216bis, 3.1.4) says that the file's zero is the media's zero.
pub fn webvtt(cues: &[Cue]) -> String {
    let mut text = String::from("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n");
    for cue in cues {
        let space = if cue.settings.is_empty() { "" } else { " " };
        let (start, end) = (timestamp(cue.start_ms), timestamp(cue.end_ms));
        let _ = write!(text, "\n{start} --> {end}{space}{}\n{}\n", cue.settings, cue.text);
    }
    text
}

/// A WebVTT timestamp (W3C WebVTT, 4.1): at least two digits of hours.
pub fn timestamp(ms: u64) -> String {
    let (s, ms) = (ms / 1_000, ms % 1_000);
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3_600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_tags() {
        for (given, expected) in [
            ("en", Some("en")),
            ("EN", Some("en")),
            ("en-us", Some("en-US")),
            ("ger", Some("ger")),
            ("zh-hant-tw", Some("zh-Hant-TW")),
            ("sr-LATN", Some("sr-Latn")),
            ("es-419", Some("es-419")),
            ("de-x-ab", Some("de-x-ab")),
            ("und", Some("und")),
            ("zxx", None),
            ("", None),
            ("e", None),
            ("english", None),
            ("en_US", None),
            ("en-", None),
            ("en--us", None),
            ("../etc", None),
            ("en-123456789", None),
            ("en-aaaaaaaa-bbbbbbbb-cccccccc-dddddddd", None),
        ] {
            assert_eq!(language_tag(given).as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn a_file_as_players_get_it() {
        let cue = |start_ms, settings: &str, text: &str| Cue {
            start_ms,
            end_ms: start_ms + 1_500,
            settings: settings.into(),
            text: text.into(),
        };
        let cues = [cue(0, "", "Hello"), cue(360_000_000, "line:0", "<i>two</i>\nlines")];
        assert_eq!(
            webvtt(&cues),
            "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n\
             00:00:00.000 --> 00:00:01.500\nHello\n\n\
             100:00:00.000 --> 100:00:01.500 line:0\n<i>two</i>\nlines\n"
        );
        // What is written reads back the same.
        assert_eq!(read(webvtt(&cues).as_bytes()).unwrap(), cues);
    }
}
