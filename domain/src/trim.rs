//! In and out points: which part of a source is the lesson. What is cut off is neither decoded nor published.
//!
//! Both are milliseconds of the source's own time, which begins where its earliest track does; that is also what a player shows of an
//! asset that is not trimmed. The asset's timeline begins at the in point.

use serde::{Deserialize, Serialize};

use crate::{
    captions::{SourceText, shown_until},
    failure::FailureCode,
    source::SourceInfo,
};

/// The shortest part that is made, milliseconds.
pub const LEAST_PART_MS: u64 = 1_000;
/// Points lie before this, milliseconds: a week, longer than any recording.
pub const LAST_POINT_MS: u64 = 7 * 24 * 3_600_000;
/// How near to a point a frame may begin and be taken to begin at it, milliseconds. Points are whole milliseconds and frames are not:
/// the last of the slide before would flash up otherwise.
pub const FRAME_TOLERANCE_MS: u64 = 1;

/// In point and out point of an asset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trim {
    /// Where the lesson begins, milliseconds of the source.
    #[serde(default)]
    pub in_ms: u64,
    /// Where it ends, milliseconds of the source; absent: where the source does.
    #[serde(default)]
    pub out_ms: Option<u64>,
}

/// What the metadata of an upload calls the points.
pub const IN_POINT: &str = "trim_in_ms";
/// See [`IN_POINT`].
pub const OUT_POINT: &str = "trim_out_ms";

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Where the lesson begins.
    In,
    /// Where it ends.
    Out,
}

/// Points that can be those of no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct TrimError {
    /// Which is wrong.
    pub point: Point,
    /// What was expected and what came.
    pub reason: String,
}

impl TrimError {
    /// The same for who calls the points so.
    pub fn named(&self, in_point: &str, out_point: &str) -> String {
        let name = match self.point {
            Point::In => in_point,
            Point::Out => out_point,
        };
        format!("{name}: {}", self.reason)
    }

    fn not_a_time(point: Point, got: &str) -> Self {
        let got: String = got.chars().take(40).collect();
        let reason =
            format!("expected whole milliseconds of the source from 0 to {LAST_POINT_MS}, got {got:?}");
        Self { point, reason }
    }
}

impl Trim {
    /// Checks points as far as that goes without the source. None: nothing is cut off.
    pub fn new(in_ms: Option<u64>, out_ms: Option<u64>) -> Result<Option<Self>, TrimError> {
        for (point, ms) in [(Point::In, in_ms), (Point::Out, out_ms)] {
            if let Some(ms) = ms.filter(|ms| *ms > LAST_POINT_MS) {
                return Err(TrimError::not_a_time(point, &ms.to_string()));
            }
        }
        let trim = Self { in_ms: in_ms.unwrap_or(0), out_ms };
        if let Some(out_ms) = out_ms.filter(|out_ms| *out_ms < trim.in_ms + LEAST_PART_MS) {
            let reason = format!(
                "expected at least {LEAST_PART_MS} ms after the in point, which is at {} ms, got {out_ms}",
                trim.in_ms
            );
            return Err(TrimError { point: Point::Out, reason });
        }
        Ok((trim != Self::default()).then_some(trim))
    }

    /// Reads points as they come in metadata: decimal numbers, an empty one for none.
    pub fn parse(in_ms: Option<&str>, out_ms: Option<&str>) -> Result<Option<Self>, TrimError> {
        let point = |point, text: Option<&str>| match text.map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => match text.parse() {
                // Not what `parse` takes besides: a sign.
                Ok(ms) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Some(ms)),
                _ => Err(TrimError::not_a_time(point, text)),
            },
        };
        Self::new(point(Point::In, in_ms)?, point(Point::Out, out_ms)?)
    }

    /// Where the part ends on the asset's timeline at the latest, nanoseconds.
    pub fn end_ns(self) -> Option<u64> {
        self.out_ms.map(|out| ns(out.saturating_sub(self.in_ms)))
    }
}

const fn ns(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
}

impl SourceInfo {
    /// The same source with the timeline of a part of it: `start_ns` and `duration_ns` become those of the part.
    ///
    /// An out point after the end is no mistake worth an upload: what is there is all that was asked for. An in point is.
    pub fn trimmed(mut self, trim: Option<Trim>) -> Result<Self, FailureCode> {
        let Some(trim) = trim else { return Ok(self) };
        let rest = self.duration_ns.map(|whole| whole.saturating_sub(ns(trim.in_ms)));
        if rest.is_some_and(|rest| rest < ns(LEAST_PART_MS)) {
            return Err(FailureCode::TrimOutsideSource);
        }
        self.duration_ns = match (rest, trim.end_ns()) {
            (Some(rest), Some(end)) => Some(rest.min(end)),
            (rest, end) => rest.or(end),
        };
        self.start_ns = self.start_ns.saturating_add(ns(trim.in_ms));
        self.trim = Some(trim);
        Ok(self)
    }

    /// Whether the source has something before the asset's timeline begins.
    pub fn begins_inside(&self) -> bool {
        self.trim.is_some_and(|trim| trim.in_ms > 0)
    }

    /// Where the asset's timeline ends although the source may go on, nanoseconds.
    pub fn out_point_ns(&self) -> Option<u64> {
        self.trim.and_then(Trim::end_ns)
    }
}

/// Of the texts of a track, with times of the source, those that are seen between the points, with times of the asset. One that is on
/// the screen at a point is cut there.
pub fn texts_within(mut texts: Vec<SourceText>, trim: Trim) -> Vec<SourceText> {
    texts.sort_by_key(|text| text.start_ms);
    let untils = shown_until(&texts);
    let last = trim.out_ms.unwrap_or(u64::MAX);
    texts
        .into_iter()
        .zip(untils)
        .filter(|(text, until)| *until > trim.in_ms && text.start_ms < last)
        .map(|(text, until)| SourceText {
            start_ms: text.start_ms.saturating_sub(trim.in_ms),
            end_ms: Some(until.min(last) - trim.in_ms),
            text: text.text,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{PlanSettings, SECOND_NS, plan};

    fn source(seconds: Option<u64>, start_s: u64) -> SourceInfo {
        SourceInfo {
            container: "video/quicktime".into(),
            duration_ns: seconds.map(|seconds| seconds * SECOND_NS),
            start_ns: start_s * SECOND_NS,
            seekable: true,
            video: None,
            audio: vec![crate::source::AudioTrack {
                index: 0,
                codec: "audio/mpeg".into(),
                sample_rate: 48_000,
                channels: 2,
                language: None,
            }],
            texts: Vec::new(),
            trim: None,
        }
    }

    #[test]
    fn points_are_checked_before_there_is_a_source() {
        let table = [
            (None, None, Ok(None)),
            (Some(0), None, Ok(None)),
            (Some(5), None, Ok(Some(Trim { in_ms: 5, out_ms: None }))),
            (None, Some(1_000), Ok(Some(Trim { in_ms: 0, out_ms: Some(1_000) }))),
            (Some(LAST_POINT_MS), None, Ok(Some(Trim { in_ms: LAST_POINT_MS, out_ms: None }))),
            (
                None,
                Some(999),
                Err("out: expected at least 1000 ms after the in point, which is at 0 ms, got 999"),
            ),
            (
                Some(4_000),
                Some(4_999),
                Err("out: expected at least 1000 ms after the in point, which is at 4000 ms, got 4999"),
            ),
            (Some(5_000), Some(4_000), Err("out: ")),
            (
                Some(LAST_POINT_MS + 1),
                None,
                Err("in: expected whole milliseconds of the source from 0 to 604800000, got \"604800001\""),
            ),
            (None, Some(u64::MAX), Err("out: expected whole milliseconds")),
        ];
        for (begin, end, expected) in table {
            match (Trim::new(begin, end), expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{begin:?} {end:?}"),
                (Err(error), Err(says)) => assert!(error.named("in", "out").starts_with(says), "{error}"),
                other => panic!("{begin:?} {end:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn points_are_read_strictly() {
        let some = |in_ms, out_ms| Ok(Some(Trim { in_ms, out_ms }));
        for (begin, end, expected) in [
            (None, None, Ok(None)),
            (Some(""), Some(" "), Ok(None)),
            (Some("240000"), None, some(240_000, None)),
            (Some(" 7 "), Some("9000"), some(7, Some(9_000))),
        ] {
            assert_eq!(Trim::parse(begin, end), expected, "{begin:?} {end:?}");
        }
        for bad in ["-1", "+1", "1.5", "4:00", "1e3", "nan", "99999999999999999999999", "0x10", "١"] {
            let error = Trim::parse(Some(bad), None).unwrap_err();
            assert_eq!(error.point, Point::In);
            assert!(error.reason.starts_with("expected whole milliseconds of the source"), "{error}");
        }
        let long = Trim::parse(None, Some(&"9".repeat(100_000))).unwrap_err().to_string();
        assert!(long.len() < 200, "{long}");
    }

    #[test]
    fn a_part_has_a_timeline_of_its_own() {
        let of = |seconds, in_ms, out_ms| {
            source(seconds, 3)
                .trimmed(Some(Trim { in_ms, out_ms }))
                .map(|part| (part.start_ns, part.duration_ns, part.begins_inside(), part.out_point_ns()))
        };
        let s = SECOND_NS;
        assert_eq!(of(Some(60), 5_500, None), Ok((8 * s + s / 2, Some(54 * s + s / 2), true, None)));
        assert_eq!(of(Some(60), 0, Some(20_000)), Ok((3 * s, Some(20 * s), false, Some(20 * s))));
        assert_eq!(of(Some(60), 10_000, Some(20_000)), Ok((13 * s, Some(10 * s), true, Some(10 * s))));
        // An out point after the end asks for all there is, and holds where there is more than was declared.
        assert_eq!(of(Some(60), 10_000, Some(90_000)), Ok((13 * s, Some(50 * s), true, Some(80 * s))));
        assert_eq!(of(None, 10_000, Some(90_000)), Ok((13 * s, Some(80 * s), true, Some(80 * s))));
        assert_eq!(of(None, 10_000, None), Ok((13 * s, None, true, None)));
        for (seconds, in_ms, out_ms) in
            [(60, 60_000, None), (60, 59_001, None), (60, 90_000, Some(95_000)), (0, 5, None)]
        {
            assert_eq!(
                of(Some(seconds), in_ms, out_ms),
                Err(FailureCode::TrimOutsideSource),
                "{seconds} {in_ms}"
            );
        }
        assert!(of(Some(60), 59_000, None).is_ok());
        assert_eq!(source(Some(60), 3).trimmed(None), Ok(source(Some(60), 3)));
    }

    /// A source and a plan of the version before, which knew no points, still read; and that version reads these.
    #[test]
    fn what_was_stored_before_still_reads() {
        let mut stored = serde_json::to_value(source(Some(60), 0)).unwrap();
        assert!(stored.as_object_mut().unwrap().remove("trim").is_none(), "not written where there is none");
        assert_eq!(serde_json::from_value::<SourceInfo>(stored).unwrap(), source(Some(60), 0));
        let part = source(Some(60), 0).trimmed(Some(Trim { in_ms: 5, out_ms: Some(9_000) })).unwrap();
        let stored = serde_json::to_value(&part).unwrap();
        assert_eq!(stored["trim"], serde_json::json!({"in_ms": 5, "out_ms": 9_000}));
        assert_eq!(serde_json::from_value::<SourceInfo>(stored).unwrap(), part);
    }

    #[test]
    fn a_long_recording_is_taken_if_the_part_is_short() {
        let long = source(Some(20 * 3_600), 0);
        let settings = PlanSettings::default();
        assert_eq!(plan(&long, &settings), Err(FailureCode::SourceTooLong));
        let part = long.trimmed(Some(Trim { in_ms: 3_600_000, out_ms: Some(7_200_000) })).unwrap();
        assert_eq!(plan(&part, &settings).unwrap().duration_ns, 3_600 * SECOND_NS);
    }

    fn text(start_ms: u64, end_ms: Option<u64>, text: &str) -> SourceText {
        SourceText { start_ms, end_ms, text: text.into() }
    }

    #[test]
    fn texts_are_moved_and_cut() {
        let texts = vec![
            text(8_500, Some(9_500), "across the out point"),
            text(0, Some(2_000), "before"),
            text(1_000, Some(3_000), "across the in point"),
            text(1_500, None, "until the next"),
            text(2_500, None, "until the one after"),
            text(5_000, Some(6_000), "within"),
            text(9_000, Some(9_100), "at the out point"),
            text(20_000, None, "after"),
        ];
        let within = texts_within(texts, Trim { in_ms: 2_000, out_ms: Some(9_000) });
        let plain: Vec<(u64, Option<u64>, &str)> =
            within.iter().map(|text| (text.start_ms, text.end_ms, text.text.as_str())).collect();
        assert_eq!(
            plain,
            [
                (0, Some(1_000), "across the in point"),
                (0, Some(500), "until the next"),
                (500, Some(3_000), "until the one after"),
                (3_000, Some(4_000), "within"),
                (6_500, Some(7_000), "across the out point"),
            ]
        );
    }

    /// Whatever the points are: at each moment of the part the same texts are seen as at that moment of the source.
    #[test]
    fn no_moment_shows_other_texts_than_the_source() {
        let mut random = 7u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for _ in 0..500 {
            let texts: Vec<SourceText> = (0..next(12))
                .map(|at| {
                    let start = next(40) * 100;
                    let end = (next(3) > 0).then(|| start + 100 + next(10) * 100);
                    text(start, end, &at.to_string())
                })
                .collect();
            let in_ms = next(30) * 100;
            let trim = Trim { in_ms, out_ms: (next(2) > 0).then(|| in_ms + 1_000 + next(20) * 100) };
            let all = texts_within(texts.clone(), Trim::default());
            let part = texts_within(texts, trim);
            let seen = |texts: &[SourceText], at: u64| {
                let mut seen: Vec<String> = texts
                    .iter()
                    .filter(|text| text.start_ms <= at && text.end_ms.is_none_or(|end| at < end))
                    .map(|text| text.text.clone())
                    .collect();
                seen.sort();
                seen
            };
            for at in (in_ms..trim.out_ms.unwrap_or(12_000)).step_by(50) {
                assert_eq!(seen(&part, at - in_ms), seen(&all, at), "{trim:?} at {at}");
            }
            let length = trim.out_ms.map(|out| out - in_ms);
            assert!(part.iter().all(|text| length.is_none_or(|length| text.end_ms.unwrap() <= length)));
        }
    }
}
