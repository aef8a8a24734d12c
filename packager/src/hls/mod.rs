//! HLS playlists (RFC 8216bis): small values in, text out.
//!
//! The tags with attribute lists are written by `hls_m3u8`; the order of the lines is ours, because the playlists of
//! that crate put every KEY before its MAP (which would say that init segments are encrypted), let the order of
//! several KEYs vary from run to run and work the VERSION out by themselves. To add a tag: a field in one of the
//! two playlists, a line where it belongs, a golden text in the tests.

pub mod bandwidth;
mod media;
mod multivariant;

pub use media::{Extent, MediaPlaylist, PlaylistSegment, SegmentKey};
pub use multivariant::{AudioRendition, MultivariantPlaylist, Variant};

/// EXT-X-VERSION: the lowest that allows what is used, an EXT-X-MAP for ordinary segments (RFC 8216bis, clause 8).
const VERSION: u8 = 6;

/// The target duration in seconds of segments that last this many microseconds: the longest, rounded to the nearest
/// second (RFC 8216bis, 4.4.3.1), at least 1 because players poll and buffer in multiples of it.
pub fn target_duration_s(durations_us: impl IntoIterator<Item = u64>) -> u64 {
    durations_us.into_iter().map(|us| (us + 500_000) / 1_000_000).max().unwrap_or(0).max(1)
}

/// Text that may stand in a quoted string (RFC 8216bis, 4.2): no quotation mark, no control character.
pub(crate) fn quotable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '"' => '\'',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_durations_are_rounded_and_never_zero() {
        let table: &[(&[u64], u64)] = &[
            (&[], 1),
            (&[40_000], 1),
            (&[499_999], 1),
            (&[1_500_000], 2),
            (&[4_000_000, 4_499_999], 4),
            (&[4_000_000, 4_500_000], 5),
        ];
        for (durations, expected) in table {
            assert_eq!(target_duration_s(durations.iter().copied()), *expected, "{durations:?}");
        }
    }
}
