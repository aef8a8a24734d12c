//! From bytes to lines: encodings that caption files come in, and the ends of their lines.

use super::{CaptionError, MAX_FILE_BYTES};

/// The text of a file with `\n` at the end of each line. UTF-8 and UTF-16, with or without a byte order mark.
pub(super) fn text(bytes: &[u8]) -> Result<String, CaptionError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(CaptionError::whole(format!(
            "expected at most {MAX_FILE_BYTES} bytes, got {}",
            bytes.len()
        )));
    }
    let text = match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest)?,
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        // Without a mark, what begins both formats is in ASCII: the other half of its first characters is zero.
        [first, 0, _, 0, ..] if *first != 0 => utf16(bytes, u16::from_le_bytes)?,
        [0, first, 0, _, ..] if *first != 0 => utf16(bytes, u16::from_be_bytes)?,
        _ => utf8(bytes)?,
    };
    // W3C WebVTT, 4: NUL is replaced, the three ends of lines are one.
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{FFFD}");
    if let Some(line) = text.lines().position(|line| line.chars().any(binary)) {
        return Err(CaptionError::at(line + 1, "expected text, got control characters"));
    }
    Ok(text)
}

/// Characters that no text has.
fn binary(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\u{c}' | '\u{85}')
}

fn utf8(bytes: &[u8]) -> Result<String, CaptionError> {
    String::from_utf8(bytes.to_vec()).map_err(|error| {
        let good = &bytes[..error.utf8_error().valid_up_to()];
        let line = good.split(|byte| *byte == b'\n').count();
        CaptionError::at(line, "expected UTF-8, got another encoding; save the file as UTF-8")
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, CaptionError> {
    let (units, rest) = bytes.as_chunks::<2>();
    let mut text = String::new();
    let mut line = 1;
    for c in char::decode_utf16(units.iter().map(|bytes| unit(*bytes))) {
        let c = c.map_err(|_| CaptionError::at(line, "expected UTF-16, got half a character"))?;
        line += usize::from(c == '\n');
        text.push(c);
    }
    if !rest.is_empty() {
        return Err(CaptionError::at(line, "expected UTF-16, got an odd number of bytes: it is cut off"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn encodings_and_ends_of_lines() {
        let expected = "WEBVTT\n\nGrüße 😀\n";
        let windows = expected.replace('\n', "\r\n");
        for text_in in [expected, &windows, &expected.replace('\n', "\r")] {
            let marked = format!("\u{FEFF}{text_in}");
            for bytes in [
                text_in.as_bytes().to_vec(),
                marked.as_bytes().to_vec(),
                wide(text_in, u16::to_le_bytes),
                wide(text_in, u16::to_be_bytes),
                wide(&marked, u16::to_le_bytes),
                wide(&marked, u16::to_be_bytes),
            ] {
                assert_eq!(text(&bytes).unwrap(), expected, "{bytes:?}");
            }
        }
        assert_eq!(text(b"").unwrap(), "");
        assert_eq!(text(b"a\0b").unwrap(), "a\u{FFFD}b");
    }

    #[test]
    fn what_is_no_text() {
        for (bytes, line, part) in [
            (&b"1\n00:00:01,000 --> 00:00:02,000\nGr\xfc\xdfe\n"[..], Some(3), "save the file as UTF-8"),
            (b"\xff\xfeW\0E\0B", Some(1), "odd number of bytes"),
            (b"\xff\xfe\x00\xd8a\0", Some(1), "half a character"),
            (b"ok\n\x1b[31m", Some(2), "control characters"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Some(1), "expected UTF-8"),
        ] {
            let error = text(bytes).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.reason.contains(part), "{error}");
        }
        let error = text(&vec![b'a'; MAX_FILE_BYTES + 1]).unwrap_err();
        assert!(error.to_string().starts_with("expected at most 2097152 bytes"), "{error}");
    }
}
