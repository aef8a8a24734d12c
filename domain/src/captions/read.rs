//! Reading SubRip (as `libavformat` and VLC take it) and WebVTT (W3C WebVTT, 6.1).

use super::{CaptionError, Cue, MAX_CUES, decode, markup};

/// The cues of a SubRip or WebVTT file, by the time at which they begin. They may overlap.
pub fn read(bytes: &[u8]) -> Result<Vec<Cue>, CaptionError> {
    let text = decode::text(bytes)?;
    let lines: Vec<&str> = text.split('\n').map(|line| line.trim_end_matches(' ')).collect();
    if lines.iter().all(|line| line.trim().is_empty()) {
        return Err(CaptionError::whole("expected SubRip or WebVTT, got an empty file"));
    }
    let is_webvtt =
        lines[0].strip_prefix("WEBVTT").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
    let mut cues = if is_webvtt { webvtt(&lines)? } else { subrip(&lines)? };
    if cues.is_empty() {
        return Err(CaptionError::whole("expected at least one caption, got none"));
    }
    // Stable: those that begin together keep their order.
    cues.sort_by_key(|cue| cue.start_ms);
    Ok(cues)
}

fn webvtt(lines: &[&str]) -> Result<Vec<Cue>, CaptionError> {
    let mut cues = Vec::new();
    // The header ends with the first empty line; a cue may also come right behind the first.
    let header = lines.iter().position(|line| line.trim().is_empty()).unwrap_or(lines.len());
    let mut at = if lines[1..header.max(1)].iter().any(|line| line.contains("-->")) { 1 } else { header };
    while at < lines.len() {
        if lines[at].trim().is_empty() {
            at += 1;
            continue;
        }
        let end = block_end(lines, at);
        let block = &lines[at..end];
        let word = block[0].split([' ', '\t']).next().unwrap_or_default();
        let timing = if block[0].contains("-->") {
            Some(0)
        } else {
            // Comments, style sheets and regions have no times; neither has a block of anything else, which is no cue.
            let aside = matches!(word, "NOTE" | "STYLE" | "REGION");
            (!aside && block.get(1).is_some_and(|line| line.contains("-->"))).then_some(1)
        };
        if let Some(timing) = timing {
            push(&mut cues, at + timing, block[timing], &block[timing + 1..], settings)?;
        }
        at = end;
    }
    Ok(cues)
}

fn subrip(lines: &[&str]) -> Result<Vec<Cue>, CaptionError> {
    let mut cues = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if lines[at].trim().is_empty() {
            at += 1;
            continue;
        }
        let number = lines[at].trim();
        let counted = !number.contains("-->");
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if counted && !is_number {
            let got: String = number.chars().take(40).collect();
            let first = cues.is_empty();
            return Err(CaptionError::at(
                at + 1,
                if first {
                    format!(
                        "expected \"WEBVTT\" or the number of a caption, got {got:?}: this is neither WebVTT nor SubRip"
                    )
                } else {
                    format!("expected the number of a caption, got {got:?}")
                },
            ));
        }
        let timing = at + usize::from(counted);
        let Some(line) = lines.get(timing).filter(|line| line.contains("-->")) else {
            let got: String = lines.get(timing).unwrap_or(&"").chars().take(40).collect();
            return Err(expected_times(timing + 1, &got));
        };
        let end = block_end(lines, timing);
        // Placement by pixels, which some files have behind the times, has no meaning in another picture.
        push(&mut cues, timing, line, &lines[timing + 1..end], |_| String::new())?;
        at = end;
    }
    Ok(cues)
}

/// Where the block that begins at a line ends: at the next empty line.
fn block_end(lines: &[&str], at: usize) -> usize {
    lines[at..].iter().position(|line| line.trim().is_empty()).map_or(lines.len(), |length| at + length)
}

fn push(
    cues: &mut Vec<Cue>,
    line: usize,
    timing: &str,
    text: &[&str],
    settings: fn(&str) -> String,
) -> Result<(), CaptionError> {
    let number = line + 1;
    let wrong = || expected_times(number, &timing.chars().take(60).collect::<String>());
    let (start, rest) = timing.split_once("-->").ok_or_else(wrong)?;
    let rest = rest.trim_start();
    let (end, rest) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    let (start_ms, end_ms) = time(start.trim()).zip(time(end)).ok_or_else(wrong)?;
    if end_ms <= start_ms {
        return Err(CaptionError::at(
            number,
            format!("expected a caption that ends after it begins, got {}", timing.trim()),
        ));
    }
    if cues.len() == MAX_CUES {
        return Err(CaptionError::at(number, format!("expected at most {MAX_CUES} captions, got more")));
    }
    let text = markup::cue_text(text.iter().copied());
    // A caption without text shows nothing.
    if !text.is_empty() {
        cues.push(Cue { start_ms, end_ms, settings: settings(rest), text });
    }
    Ok(())
}

fn expected_times(line: usize, got: &str) -> CaptionError {
    CaptionError::at(line, format!("expected times like 00:01:02.500 --> 00:01:04.000, got {got:?}"))
}

/// A time of either format in milliseconds: hours may be absent or have more than two digits, the fraction may begin with a
/// comma and have one to three digits.
pub(super) fn time(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once(['.', ','])?;
    let digits = |text: &str, most: usize| {
        let fits = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if fits { text.parse::<u64>().ok() } else { None }
    };
    let ms = digits(fraction, 3)? * [100, 10, 1][fraction.len() - 1];
    let mut parts = whole.rsplit(':');
    let seconds = digits(parts.next()?, 2).filter(|seconds| *seconds < 60)?;
    let minutes = digits(parts.next()?, 2).filter(|minutes| *minutes < 60)?;
    let hours = match parts.next() {
        Some(hours) => digits(hours, 4)?,
        None => 0,
    };
    parts.next().is_none().then_some(((hours * 60 + minutes) * 60 + seconds) * 1_000 + ms)
}

/// The settings of a WebVTT cue that are well formed (W3C WebVTT, 4.1), without regions, which are not kept.
fn settings(text: &str) -> String {
    let percentage = |text: &str| {
        let number = text.strip_suffix('%').unwrap_or("");
        number.len() <= 8
            && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && number.parse::<f64>().is_ok_and(|number| (0.0..=100.0).contains(&number))
    };
    let aligned = |value: &str, words: &[&str], number: &dyn Fn(&str) -> bool| {
        let (first, alignment) = value.split_once(',').unwrap_or((value, words[0]));
        number(first) && words.contains(&alignment)
    };
    let line = |value: &str| percentage(value) || value.len() <= 6 && value.parse::<i32>().is_ok();
    let good = |setting: &&str| match setting.split_once(':') {
        Some(("vertical", value)) => ["rl", "lr"].contains(&value),
        Some(("line", value)) => aligned(value, &["start", "center", "end"], &line),
        Some(("position", value)) => aligned(value, &["center", "line-left", "line-right"], &percentage),
        Some(("size", value)) => percentage(value),
        Some(("align", value)) => ["start", "center", "end", "left", "right"].contains(&value),
        _ => false,
    };
    text.split_whitespace().filter(good).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cues(text: &str) -> Vec<(u64, u64, String)> {
        let cues = read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
        cues.into_iter().map(|cue| (cue.start_ms, cue.end_ms, cue.text)).collect()
    }

    fn cue(start: u64, end: u64, text: &str) -> (u64, u64, String) {
        (start, end, text.to_owned())
    }

    #[test]
    fn times() {
        for (text, expected) in [
            ("00:00:00.000", Some(0)),
            ("00:00:01,5", Some(1_500)),
            ("01:02.34", Some(62_340)),
            ("1:02:03.004", Some(3_723_004)),
            ("100:00:00.000", Some(360_000_000)),
            ("9999:59:59.999", Some(35_999_999_999)),
            ("99999:00:00.000", None),
            ("00:60.000", None),
            ("60:00.000", None),
            ("00:00", None),
            ("00:00:01", None),
            ("00:00:01.", None),
            ("00:00:01.0000", None),
            ("-1:00:00.000", None),
            ("a:00:00.000", None),
            ("1:2:3:4.000", None),
            ("٠٠:٠٠.000", None),
            (".5", None),
            ("", None),
        ] {
            assert_eq!(time(text), expected, "{text}");
        }
    }

    #[test]
    fn subrip_files() {
        let whole = "1\n00:00:01,000 --> 00:00:02,000\nOne\n\n2\n00:00:03,000 --> 00:00:04,500\nTwo\nlines\n";
        let expected = [cue(1_000, 2_000, "One"), cue(3_000, 4_500, "Two\nlines")];
        assert_eq!(cues(whole), expected);
        // As they come: without a last line's end, with pixels, counted wrongly or not at all, with empty lines and spaces.
        assert_eq!(cues(whole.trim_end()), expected);
        assert_eq!(cues(&whole.replace("02,000", "02,000  X1:10 X2:20 Y1:1 Y2:2")), expected);
        assert_eq!(cues(&whole.replace("2\n00:00:03", "17\n00:00:03")), expected);
        assert_eq!(
            cues(&whole.replace("1\n00:00:01", "00:00:01").replace("2\n00:00:03", "00:00:03")),
            expected
        );
        assert_eq!(cues(&format!("\n\n{}\n\n", whole.replace("\n\n", "\n \n\n"))), expected);
        assert_eq!(cues(&whole.replace(',', ".")), expected);
        // Cut off behind the times: nothing to show.
        assert_eq!(cues(&whole[..whole.find("Two").unwrap()]), [cue(1_000, 2_000, "One")]);
    }

    #[test]
    fn webvtt_files() {
        let whole = "WEBVTT - a title\nKind: captions\n\nNOTE\nnobody reads --> this\n\nSTYLE\n::cue { color: red }\n\n\
            REGION\nid:fred\n\nintro\n00:01.000 --> 00:02.000 align:start region:fred line:0 position:9999% bogus\nOne\n\n\
            00:03.000 --> 00:04.500\nTwo\nlines\n";
        assert_eq!(cues(whole), [cue(1_000, 2_000, "One"), cue(3_000, 4_500, "Two\nlines")]);
        assert_eq!(read(whole.as_bytes()).unwrap()[0].settings, "align:start line:0");
        assert_eq!(cues("WEBVTT\n00:01.000 --> 00:02.000\nAt once"), [cue(1_000, 2_000, "At once")]);
        assert_eq!(cues("WEBVTT\tx\n\n00:01.000\t-->\t00:02.000\tline:1\nTabs"), [cue(1_000, 2_000, "Tabs")]);
    }

    #[test]
    fn settings_that_are_kept() {
        for (given, kept) in [
            ("vertical:rl line:-1 position:10%,line-left size:35% align:end", true),
            ("line:50%,center position:5.5%", true),
            ("vertical:up", false),
            ("line:1e9", false),
            ("size:101%", false),
            ("size:-1%", false),
            ("position:NaN%", false),
            ("align:\"x\"", false),
        ] {
            assert_eq!(settings(given), if kept { given } else { "" });
        }
    }

    #[test]
    fn order_and_overlap() {
        let text = "WEBVTT\n\n00:05.000 --> 00:09.000\nlate\n\n00:01.000 --> 00:06.000\nearly\n\n\
            00:01.000 --> 00:02.000\nwith it\n\n120:00:00.000 --> 120:00:01.000\nfar\n";
        assert_eq!(
            cues(text),
            [
                cue(1_000, 6_000, "early"),
                cue(1_000, 2_000, "with it"),
                cue(5_000, 9_000, "late"),
                cue(432_000_000, 432_001_000, "far")
            ]
        );
    }

    #[test]
    fn what_is_not_a_caption_file() {
        for (text, line, part) in [
            ("", None, "an empty file"),
            (" \r\n\n", None, "an empty file"),
            ("WEBVTT\n\nNOTE nothing\n", None, "at least one caption"),
            ("<!doctype html>\n<html>", Some(1), "neither WebVTT nor SubRip"),
            ("{\"captions\": []}", Some(1), "neither WebVTT nor SubRip"),
            ("WEBVTTx\n\n00:01.000 --> 00:02.000\nx", Some(1), "neither WebVTT nor SubRip"),
            ("[Script Info]\nTitle: x", Some(1), "neither WebVTT nor SubRip"),
            ("1", Some(2), "expected times like"),
            ("1\nno times\n", Some(2), "got \"no times\""),
            ("1\n00:00:01,000 --> 00:00:0", Some(2), "expected times like"),
            ("1\n00:00:01,000 --> 00:00:02,000\nA\n\nB\n", Some(5), "the number of a caption, got \"B\""),
            ("1\n00:00:02,000 --> 00:00:01,000\nA\n", Some(2), "ends after it begins"),
            ("1\n00:00:02,000 --> 00:00:02,000\nA\n", Some(2), "ends after it begins"),
            ("WEBVTT\n\nid\n00:01.000 --> x\nA\n", Some(4), "expected times like"),
            ("WEBVTT\n\n--> 00:01.000\nA\n", Some(3), "expected times like"),
        ] {
            let error = read(text.as_bytes()).expect_err(text);
            assert_eq!(error.line, line, "{error}");
            assert!(error.reason.contains(part), "{error}");
        }
    }

    #[test]
    fn the_most_there_may_be() {
        fn clock(s: usize) -> String {
            format!("{:02}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
        }
        let many = |count: usize| {
            let cue = |at: usize| format!("{}.000 --> {}.500\nx\n\n", clock(at), clock(at));
            format!("WEBVTT\n\n{}", (0..count).map(cue).collect::<String>())
        };
        assert_eq!(cues(&many(MAX_CUES)).len(), MAX_CUES);
        let error = read(many(MAX_CUES + 1).as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("line {}: expected at most 18000 captions, got more", 3 + 3 * MAX_CUES)
        );
    }
}
