//! Captions from a text track of the source, as the media child hands them over.

use serde::{Deserialize, Serialize};

use super::{Cue, MAX_CUES, MAX_FILE_BYTES, language_tag, markup};

/// Name of the file with a source's text tracks among the files of the job that read them: JSON, `[SourceTexts]`.
pub const TEXTS: &str = "texts.json";
/// Text tracks of a source that are taken.
pub const MOST_TEXTS: usize = 16;
/// How long a text without a duration is shown, unless another comes, milliseconds.
const SHOWN_MS: u64 = 5_000;

/// One text track of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceTexts {
    /// Language as the container declares it.
    pub language: Option<String>,
    /// Title as the container declares it.
    pub title: Option<String>,
    /// What it shows.
    pub texts: Vec<SourceText>,
}

/// A text of a source and when it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceText {
    /// When it appears, milliseconds on the asset's timeline.
    pub start_ms: u64,
    /// When it goes; absent where the container does not say.
    pub end_ms: Option<u64>,
    /// Text, perhaps with tags; lines end with `\n`.
    pub text: String,
}

/// The captions of a text track. Empty if there is nothing in it to show.
pub fn from_source(mut texts: Vec<SourceText>) -> Vec<Cue> {
    texts.sort_by_key(|text| text.start_ms);
    let mut bytes = 0;
    let untils = shown_until(&texts);
    let mut cues = Vec::new();
    for (text, end_ms) in texts.into_iter().zip(untils) {
        let shown = markup::cue_text(text.text.lines());
        bytes += shown.len();
        if bytes > MAX_FILE_BYTES || cues.len() == MAX_CUES {
            break;
        }
        if !shown.is_empty() {
            cues.push(Cue { start_ms: text.start_ms, end_ms, settings: String::new(), text: shown });
        }
    }
    cues
}

/// When each of some texts goes, milliseconds; they are in the order in which they appear.
pub(crate) fn shown_until(texts: &[SourceText]) -> Vec<u64> {
    let starts: Vec<u64> = texts.iter().map(|text| text.start_ms).collect();
    let until = |(at, text): (usize, &SourceText)| {
        let next = starts[at..].iter().copied().find(|start| *start > text.start_ms);
        let until = next.unwrap_or(u64::MAX).min(text.start_ms.saturating_add(SHOWN_MS));
        text.end_ms.filter(|end| *end > text.start_ms).unwrap_or(until)
    };
    texts.iter().enumerate().map(until).collect()
}

/// The tag that captions of a source are kept under: its language, `und` if it has none, and a number where another track has
/// the same (RFC 5646, 2.2.7: private use).
pub fn source_tag(language: Option<&str>, taken: &[String]) -> String {
    let plain = language.and_then(language_tag).unwrap_or_else(|| "und".to_owned());
    let numbered = (2..).map(|number| format!("{plain}-x-{number}"));
    std::iter::once(plain.clone()).chain(numbered).find(|tag| !taken.contains(tag)).unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(start_ms: u64, end_ms: Option<u64>, text: &str) -> SourceText {
        SourceText { start_ms, end_ms, text: text.into() }
    }

    #[test]
    fn texts_become_captions() {
        let cues = from_source(vec![
            text(3_000, None, "until the next"),
            text(1_000, Some(2_500), "<span foreground=\"red\">red</span> &amp; <b>bold</b>\nline"),
            text(4_000, None, "for a while"),
            text(5_000_000, Some(4_999_999), "ends before it begins"),
            text(6_000, Some(7_000), "<script>"),
        ]);
        let plain: Vec<(u64, u64, &str)> =
            cues.iter().map(|cue| (cue.start_ms, cue.end_ms, cue.text.as_str())).collect();
        assert_eq!(
            plain,
            [
                (1_000, 2_500, "red &amp; <b>bold</b>\nline"),
                (3_000, 4_000, "until the next"),
                (4_000, 6_000, "for a while"),
                (5_000_000, 5_005_000, "ends before it begins"),
            ]
        );
        assert_eq!(from_source(Vec::new()), []);
        let many = (0..MAX_CUES as u64 + 5).map(|at| text(at, None, "x")).collect();
        assert_eq!(from_source(many).len(), MAX_CUES);
        let long = "x".repeat(MAX_FILE_BYTES / 2);
        assert_eq!(from_source((0..9).map(|at| text(at, None, &long)).collect()).len(), 2);
    }

    #[test]
    fn every_track_has_a_tag_of_its_own() {
        let mut taken = Vec::new();
        for (language, expected) in [
            (Some("EN"), "en"),
            (Some("en"), "en-x-2"),
            (None, "und"),
            (Some("??"), "und-x-2"),
            (Some("en"), "en-x-3"),
        ] {
            let tag = source_tag(language, &taken);
            assert_eq!(tag, expected);
            taken.push(tag);
        }
    }
}
