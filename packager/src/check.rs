//! The check before publishing: each object, as it will be served, decrypted and read again and held against what the
//! playlist says of it.

use lectern_domain::keys::ContentKey;

use crate::{
    aes128::{self, segment_iv},
    cmaf::{CmafError, InitSegment, MediaSegment},
    layout::{SegmentLayout, TOLERANCE_US, TrackLayout, ticks_to_us},
};

/// Why a segment must not be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// It does not decrypt under the IV and key that the playlist names.
    #[error(transparent)]
    Decrypt(#[from] aes128::DecryptError),
    /// What comes out is no media segment of its track.
    #[error(transparent)]
    Cmaf(#[from] CmafError),
    /// It is one, but not the one that the playlist promises.
    #[error("expected {what} {expected}, got {got}")]
    Differs {
        /// What was compared.
        what: &'static str,
        /// As in the layout.
        expected: String,
        /// As in the bytes.
        got: String,
    },
    /// A player that seeks here could not begin to decode.
    #[error("expected a sync sample at the start, got another")]
    NoSyncSample,
}

/// Proves that `object` is what the playlist of `track` says of `segment`: decrypts with the IV written there (`key` is
/// absent for a clear package), reads it as a segment behind `init`, compares sizes, sample count, start and
/// duration, and wants a sync sample first and decode times that go on from `previous`.
///
/// Takes the bytes because it decrypts them where they stand; a caller gives the buffer it has just written.
pub fn check_segment(
    track: &TrackLayout,
    segment: &SegmentLayout,
    init: &InitSegment,
    key: Option<&ContentKey>,
    previous: Option<&MediaSegment>,
    object: &mut Vec<u8>,
) -> Result<MediaSegment, CheckError> {
    same("object bytes", segment.object_bytes, object.len() as u64)?;
    same("encryption", track.key.is_some(), key.is_some())?;
    if let Some(key) = key {
        aes128::decrypt_in_place(key, &segment_iv(key, &track.name, segment.index), object)?;
    }
    same("clear bytes", segment.clear_bytes, object.len() as u64)?;
    let found = MediaSegment::read(object, init)?;
    same("samples", segment.samples, found.samples)?;
    let start = i64::try_from(segment.start_ticks).unwrap_or(i64::MAX);
    close("start in ticks", track.timescale, start, found.start_ticks)?;
    let duration = |ticks| i64::try_from(ticks).unwrap_or(i64::MAX);
    let (expected, got) = (duration(segment.duration_ticks), duration(found.duration_ticks));
    close("duration in ticks", track.timescale, expected, got)?;
    if !found.starts_with_sync {
        return Err(CheckError::NoSyncSample);
    }
    match previous {
        Some(before) if found.base_decode_ticks <= before.base_decode_ticks => {
            let after = format!("after {}", before.base_decode_ticks);
            Err(differs("decode time in ticks", &after, &found.base_decode_ticks))
        }
        _ => Ok(found),
    }
}

fn same<T: PartialEq + Copy + ToString>(what: &'static str, expected: T, got: T) -> Result<(), CheckError> {
    if expected == got { Ok(()) } else { Err(differs(what, &expected, &got)) }
}

fn close(what: &'static str, timescale: u32, expected: i64, got: i64) -> Result<(), CheckError> {
    if ticks_to_us(expected.abs_diff(got), timescale) <= TOLERANCE_US {
        Ok(())
    } else {
        Err(differs(what, &expected, &got))
    }
}

fn differs(what: &'static str, expected: &impl ToString, got: &impl ToString) -> CheckError {
    CheckError::Differs { what, expected: expected.to_string(), got: got.to_string() }
}
