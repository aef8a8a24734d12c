//! `Upload-Metadata` (tus 1.0, Creation): parsed strictly, and the file name in it made fit to show.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Longest header value read, bytes.
const MAX_BYTES: usize = 8 * 1024;
/// Longest file name kept, bytes of UTF-8.
const MAX_NAME_BYTES: usize = 255;
/// A suffix up to this long is kept when a name is cut.
const MAX_SUFFIX_BYTES: usize = 16;

/// The pairs of an `Upload-Metadata` header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Metadata(Vec<(String, Vec<u8>)>);

impl Metadata {
    /// Reads a header value. The error is a sentence for the client.
    pub(crate) fn parse(header: &[u8]) -> Result<Self, String> {
        if header.len() > MAX_BYTES {
            return Err(format!("Upload-Metadata: expected at most {MAX_BYTES} bytes, got {}", header.len()));
        }
        let text = std::str::from_utf8(header)
            .ok()
            .filter(|text| text.is_ascii())
            .ok_or("Upload-Metadata: expected ASCII, got other bytes")?;
        let mut pairs: Vec<(String, Vec<u8>)> = Vec::new();
        if text.trim().is_empty() {
            return Ok(Self(pairs));
        }
        for pair in text.split(',').map(str::trim) {
            // A value may be empty, and then its space may be missing too.
            let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
            if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(format!("Upload-Metadata: expected a key before each value, got {key:?}"));
            }
            if pairs.iter().any(|(known, _)| known == key) {
                return Err(format!("Upload-Metadata: expected each key once, got {key} twice"));
            }
            let value = STANDARD
                .decode(value)
                .map_err(|_| format!("Upload-Metadata: expected the value of {key} in base64"))?;
            if value.contains(&0) {
                return Err(format!("Upload-Metadata: expected no NUL in the value of {key}"));
            }
            pairs.push((key.to_owned(), value));
        }
        Ok(Self(pairs))
    }

    /// A value as text.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>, String> {
        let Some((_, value)) = self.0.iter().find(|(known, _)| known == key) else { return Ok(None) };
        std::str::from_utf8(value)
            .map(Some)
            .map_err(|_| format!("Upload-Metadata: expected {key} as UTF-8 text, got other bytes"))
    }

    /// The file's name as it is shown: see [`shown_name`].
    pub(crate) fn filename(&self) -> Result<String, String> {
        Ok(shown_name(self.text("filename")?.unwrap_or_default()))
    }
}

/// The last part of a path, without characters that a page or a log could stumble over, at most 255 bytes with its
/// suffix kept. A name of nothing becomes `untitled`.
pub(crate) fn shown_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().filter(|c| !c.is_control() && !turns_text(*c)).collect();
    let plain = plain.trim();
    if plain.trim_matches('.').is_empty() {
        return "untitled".into();
    }
    if plain.len() <= MAX_NAME_BYTES {
        return plain.to_owned();
    }
    let suffix = plain.rfind('.').map_or("", |at| &plain[at..]);
    let suffix = if suffix.len() <= MAX_SUFFIX_BYTES { suffix } else { "" };
    let stem = &plain[..plain.floor_char_boundary(MAX_NAME_BYTES - suffix.len())];
    format!("{}{suffix}", stem.trim_end())
}

/// Characters that change the direction of text: they make `gpj.exe` look like `exe.jpg`.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(header: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        Metadata::parse(header.as_bytes()).map(|metadata| metadata.0)
    }

    #[test]
    fn well_formed() {
        let table: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("filename d29ybGQ=", &[("filename", "world")]),
            ("filename d29ybGQ=,empty", &[("filename", "world"), ("empty", "")]),
            ("empty ,filename d29ybGQ=", &[("empty", ""), ("filename", "world")]),
            ("a YQ==, b Yg==", &[("a", "a"), ("b", "b")]),
        ];
        for (header, expected) in table {
            let expected: Vec<_> =
                expected.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
            assert_eq!(pairs(header), Ok(expected), "{header}");
        }
    }

    #[test]
    fn malformed() {
        let long = format!("filename {}", STANDARD.encode(vec![b'a'; MAX_BYTES]));
        for header in [
            ",",
            "a YQ==,",
            "a YQ==,,b Yg==",
            "a YQ==,a Yg==",
            "a YQ==,a",
            "a Y",
            "a YQ",
            "a YQ=",
            "a YQ== Yg==",
            "a  YQ==",
            "a %%%%",
            "a AA==",
            "filename YQBi",
            "k\u{e9}y YQ==",
            &long,
        ] {
            assert!(pairs(header).is_err(), "{header}");
        }
        assert!(Metadata::parse(b"a \xff").is_err());
        let binary =
            Metadata::parse(format!("filename {}", STANDARD.encode([0xff, 0xfe])).as_bytes()).unwrap();
        assert!(binary.filename().is_err());
    }

    #[test]
    fn names_are_made_fit_to_show() {
        let long = "x".repeat(1_000_000);
        let table = [
            ("lecture.mp4", "lecture.mp4"),
            ("Vorlesung über Größen.mov", "Vorlesung über Größen.mov"),
            ("C:\\Users\\me\\lecture 1.mp4", "lecture 1.mp4"),
            ("../../etc/passwd", "passwd"),
            ("/", "untitled"),
            ("..", "untitled"),
            ("", "untitled"),
            (" \t\r\n ", "untitled"),
            ("a\r\nSet-Cookie: b\u{7f}\u{1b}[31m.mp4", "aSet-Cookie: b[31m.mp4"),
            ("exe.\u{202e}4pm.mp4", "exe.4pm.mp4"),
        ];
        for (given, expected) in table {
            assert_eq!(shown_name(given), expected, "{given:?}");
        }
        assert_eq!(shown_name(&format!("{long}.mp4")), format!("{}.mp4", "x".repeat(251)));
        assert_eq!(shown_name(&long).len(), 255);
        for start in 0..4 {
            let name = shown_name(&format!("{}{}.mp4", "x".repeat(start), "😀".repeat(300)));
            assert!((251..=255).contains(&name.len()), "{name}");
            assert_eq!(&name[name.len() - 4..], ".mp4");
        }
        assert!(shown_name(&format!("a.{long}")).len() <= 255);
    }
}
