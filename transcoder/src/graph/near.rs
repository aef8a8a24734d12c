//! Sound from the in point on: opened a little before it, so that the decoder has come to itself by then, however long the recording
//! is before.

use lectern_domain::{plan::SECOND_NS, source::SourceInfo};

use super::{
    MediaFailure,
    decode::{Decoding, Enter, presented},
};

/// How long before the in point decoding begins, nanoseconds: codecs of sound overlap their blocks, and MP3 borrows bits from the ones
/// before.
const LEAD_NS: u64 = SECOND_NS;

/// Opens a sound with `open` so that nothing of the asset's timeline is missed. `open` gets where its decoder enters.
///
/// A container that can be sought in is; of others everything before is read but not decoded. Where neither leads to before the in
/// point (the sound begins after it, or packets have no times) it is decoded from its beginning.
pub(super) fn open_near(
    source: &SourceInfo,
    open: impl Fn(Option<Enter>) -> Result<Decoding, MediaFailure>,
) -> Result<Decoding, MediaFailure> {
    if !source.begins_inside() {
        return open(None);
    }
    let at = source.start_ns.saturating_sub(LEAD_NS);
    let in_time = |decoding: &Decoding| {
        let first = decoding.peek().and_then(|sample| presented(&sample, &source.container));
        first.is_some_and(|time| time <= source.start_ns as i64)
    };
    if source.seekable {
        let decoding = open(None)?;
        if decoding.seek(at)? && in_time(&decoding) {
            return Ok(decoding);
        }
    }
    let enter = Enter { container: source.container.clone(), at: at as i64 };
    // A decoder that got nothing, because the sound ends before, reports damage.
    if let Ok(decoding) = open(Some(enter))
        && in_time(&decoding)
    {
        return Ok(decoding);
    }
    open(None)
}

/// Samples of a buffer that lie on the asset's timeline, where the buffer begins at sample `place` of it and has `have`.
pub(super) fn samples_within(place: i64, have: usize, end: Option<i64>) -> std::ops::Range<usize> {
    let until = |at: i64| usize::try_from(at.saturating_sub(place)).unwrap_or(0).min(have);
    until(0)..end.map_or(have, until).max(until(0))
}

#[cfg(test)]
mod tests {
    use super::samples_within;

    #[test]
    fn samples_of_the_part() {
        for (place, have, end, expected) in [
            (0, 100, None, 0..100),
            (-100, 100, None, 100..100),
            (-30, 100, None, 30..100),
            (-30, 100, Some(50), 30..80),
            (40, 100, Some(50), 0..10),
            (50, 100, Some(50), 0..0),
            (-300, 100, Some(50), 100..100),
            (i64::MIN, 100, Some(50), 100..100),
        ] {
            assert_eq!(samples_within(place, have, end), expected, "{have} from {place} to {end:?}");
        }
    }
}
