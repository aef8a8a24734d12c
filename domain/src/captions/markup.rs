//! The text of a cue: WebVTT's own tags stay, other tags go, everything else is text.

use std::fmt::Write as _;

use super::timestamp;

/// Tags of WebVTT cue text (W3C WebVTT, 4.2.2) that may have classes.
const TAGS: [&str; 8] = ["b", "i", "u", "c", "v", "lang", "ruby", "rt"];
/// Characters of a tag, so that a stray `<` does not swallow a caption.
const LONGEST_TAG: usize = 200;

/// Safe cue text: lines without empty ones, tags of WebVTT only, everything else escaped.
pub(super) fn cue_text<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut rest = text.as_str();
    while let Some(at) = rest.find(['<', '>', '&', '{']) {
        out.push_str(&rest[..at]);
        let here = &rest[at..];
        let taken = match here.as_bytes()[0] {
            b'<' => tag(here, &mut out),
            b'&' => reference(here, &mut out),
            // Placement in the manner of SubStation Alpha, which SubRip files carry: {\an8}.
            b'{' => here.starts_with("{\\").then(|| here.find('}')).flatten().map(|end| end + 1),
            _ => None,
        };
        let taken = taken.unwrap_or_else(|| {
            out.push_str(match here.as_bytes()[0] {
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'&' => "&amp;",
                _ => "{",
            });
            1
        });
        rest = &here[taken..];
    }
    out.push_str(rest);
    let lines: Vec<&str> = out.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

/// Writes what a tag at the beginning of `text` becomes. How long it is; none if there is no tag.
fn tag(text: &str, out: &mut String) -> Option<usize> {
    let end = text.bytes().take(LONGEST_TAG).position(|byte| byte == b'>')?;
    let inner = &text[1..end];
    if inner.contains(['<', '\n']) {
        return None;
    }
    let begins = |c: char| c.is_ascii_alphabetic() || c == '!';
    if let Some(ms) = super::read::time(inner) {
        let _ = write!(out, "<{}>", timestamp(ms));
    } else if let Some(name) = inner.strip_prefix('/') {
        let name = name.trim().to_ascii_lowercase();
        if TAGS.contains(&name.as_str()) {
            let _ = write!(out, "</{name}>");
        } else if !name.starts_with(begins) {
            return None;
        }
    } else if inner.starts_with(begins) {
        let (head, annotation) = inner.split_once([' ', '\t']).unwrap_or((inner, ""));
        let mut parts = head.split('.');
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        if TAGS.contains(&name.as_str()) {
            let plain = |class: &&str| {
                !class.is_empty() && class.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
            };
            out.push('<');
            out.push_str(&name);
            for class in parts.filter(plain) {
                out.push('.');
                out.push_str(class);
            }
            // Only these two have one: who speaks, and in which language.
            let annotation = annotation.trim();
            if matches!(name.as_str(), "v" | "lang") && !annotation.is_empty() {
                let annotation: String = annotation.chars().filter(|c| !"&<>\"'".contains(*c)).collect();
                let _ = write!(out, " {annotation}");
            }
            out.push('>');
        }
    } else {
        // "a < b and c > d" has no tag.
        return None;
    }
    Some(end + 1)
}

/// Writes a character reference at the beginning of `text`. How long it is; none if there is none.
fn reference(text: &str, out: &mut String) -> Option<usize> {
    let end = text.bytes().take(12).position(|byte| byte == b';')?;
    let name = &text[1..end];
    let digits = |text: &str, radix| u32::from_str_radix(text, radix).ok().and_then(char::from_u32);
    match name {
        "amp" | "lt" | "gt" | "lrm" | "rlm" | "nbsp" => {
            let _ = write!(out, "&{name};");
        }
        "quot" => out.push('"'),
        "apos" => out.push('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let hexadecimal = number.strip_prefix(['x', 'X']).and_then(|number| digits(number, 16));
            let c = hexadecimal.or_else(|| digits(number, 10)).filter(|c| !c.is_control())?;
            match c {
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '&' => out.push_str("&amp;"),
                c => out.push(c),
            }
        }
    }
    Some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tags_of_webvtt_are_markup() {
        for (given, expected) in [
            ("plain", "plain"),
            ("<b>bold</b> <I>slanted</I> <u>u</u>", "<b>bold</b> <i>slanted</i> <u>u</u>"),
            ("<v Ada Lovelace>Hello</v>", "<v Ada Lovelace>Hello</v>"),
            ("<v.first.loud Ada>Hi", "<v.first.loud Ada>Hi"),
            ("<lang en-GB>lift</lang>", "<lang en-GB>lift</lang>"),
            ("<ruby>漢<rt>kan</rt></ruby>", "<ruby>漢<rt>kan</rt></ruby>"),
            ("one <00:01:02.500>two", "one <00:01:02.500>two"),
            // No markup of others.
            ("<font color=\"red\">red</font>", "red"),
            ("<script>alert(1)</script>", "alert(1)"),
            ("<img src=x onerror=alert(1)>", ""),
            ("<c onclick=alert(1)>x</c>", "<c>x</c>"),
            ("<b onclick=alert(1)>x</b>", "<b>x</b>"),
            ("<v a<b>x", "&lt;v a<b>x"),
            ("<v \"a\" & 'b'>x", "<v a  b>x"),
            ("<!-- a comment -->x", "x"),
            ("</script>", ""),
            ("<scr<script>ipt>", "&lt;script&gt;"),
            ("{\\an8}above {x}", "above {x}"),
            ("{\\an8", "{\\an8"),
            // What only looks like it.
            ("a < b && b > c", "a &lt; b &amp;&amp; b &gt; c"),
            ("<3", "&lt;3"),
            ("if (x <y", "if (x &lt;y"),
            ("00:01 --> 00:02", "00:01 --&gt; 00:02"),
            (
                "AT&T &amp; co &lt;b&gt; &nbsp;&copy; &#65;&#x3c;&#0;",
                "AT&amp;T &amp; co &lt;b&gt; &nbsp;&amp;copy; A&lt;&amp;#0;",
            ),
            ("&quot;x&apos;", "\"x'"),
            ("<>", "&lt;&gt;"),
            ("  two \n\n lines ", "two\nlines"),
            ("ü<ä>", "ü&lt;ä&gt;"),
        ] {
            let safe = cue_text(given.lines());
            assert_eq!(safe, expected, "{given}");
            assert_eq!(cue_text(safe.lines()), safe, "what is safe stays as it is: {given}");
        }
    }

    #[test]
    fn a_stray_bracket_does_not_swallow_the_text() {
        let long = format!("<c {}> end", "x".repeat(500));
        assert!(cue_text(std::iter::once(long.as_str())).starts_with("&lt;c xxx"));
    }
}
