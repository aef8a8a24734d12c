//! CMAF media segments (ISO/IEC 23000-19, clause 7.3.2): one or more `moof`+`mdat` pairs of one track.

use mp4_atom::{Tfdt, Tfhd, Trun};

use super::{
    CmafError, InitMedia, InitSegment,
    boxes::{along, boxes, leaf, optional},
};

/// What a media segment holds, in ticks of its init segment's timescale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaSegment {
    /// Decode time of the first sample (`tfdt`).
    pub base_decode_ticks: u64,
    /// Presentation time of the sample that is shown first, edit list applied. Negative for what is decoded but not
    /// presented, such as the priming of AAC.
    pub start_ticks: i64,
    /// Sum of the sample durations.
    pub duration_ticks: u64,
    /// Number of samples, at least 1.
    pub samples: u32,
    /// Whether decoding can begin here: the first sample is marked as a sync sample and, for H.264, is an IDR picture.
    pub starts_with_sync: bool,
    /// Size of the whole segment.
    pub bytes: u64,
}

/// `sample_is_non_sync_sample` (ISO/IEC 14496-12, clause 8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;

impl MediaSegment {
    /// Reads a clear media segment of the track that `init` describes. Every sample must lie inside the segment.
    pub fn read(bytes: &[u8], init: &InitSegment) -> Result<Self, CmafError> {
        let mut reader = Reader { bytes, init, found: None, next_decode_ticks: 0 };
        let mut moof = None;
        for item in boxes(bytes) {
            let item = item?;
            match &item.kind {
                b"moof" if moof.is_some() => return Err(CmafError::Missing("mdat")),
                b"moof" => moof = Some(item),
                b"mdat" => {
                    let moof = moof.take().ok_or(CmafError::Missing("moof"))?;
                    reader.fragment(moof.body, moof.at, item.body_at..item.end())?;
                }
                // styp, sidx, prft, emsg: they change nothing that is asked here.
                _ => {}
            }
        }
        if moof.is_some() {
            return Err(CmafError::Missing("mdat"));
        }
        reader.found.ok_or(CmafError::Missing("moof"))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    init: &'a InitSegment,
    found: Option<MediaSegment>,
    next_decode_ticks: u64,
}

impl Reader<'_> {
    /// One `moof` that begins at `moof_at`, with the `mdat` whose body lies at `data`.
    fn fragment(
        &mut self,
        moof: &[u8],
        moof_at: usize,
        data: std::ops::Range<usize>,
    ) -> Result<(), CmafError> {
        let traf = along(moof, &["traf"])?;
        let tfhd: Tfhd = leaf(along(traf, &["tfhd"])?, "tfhd")?;
        if tfhd.track_id != self.init.track_id {
            let reason = format!("track {}, expected {}", tfhd.track_id, self.init.track_id);
            return Err(malformed("tfhd", reason));
        }
        if tfhd.base_data_offset.is_some() {
            return Err(CmafError::Unsupported {
                expected: "sample positions from the beginning of the moof",
                got: "base-data-offset".into(),
            });
        }
        if optional(traf, "senc")?.is_some() {
            return Err(CmafError::Unsupported { expected: "clear samples", got: "senc".into() });
        }
        let tfdt: Tfdt = leaf(along(traf, &["tfdt"])?, "tfdt")?;
        let mut decode_ticks = tfdt.base_media_decode_time;
        if self.found.is_some() && decode_ticks != self.next_decode_ticks {
            let reason = format!("decode time {decode_ticks}, expected {}", self.next_decode_ticks);
            return Err(malformed("tfdt", reason));
        }
        let defaults = self.init.defaults;
        let default_duration = tfhd.default_sample_duration.unwrap_or(defaults.duration);
        let default_size = tfhd.default_sample_size.unwrap_or(defaults.size);
        let default_flags = tfhd.default_sample_flags.unwrap_or(defaults.flags);
        // Where a run without an offset of its own begins: behind the run before it.
        let mut position = moof_at;
        for item in boxes(traf) {
            let item = item?;
            if &item.kind != b"trun" {
                continue;
            }
            let trun: Trun = leaf(item.body, "trun")?;
            // A run that only counts its samples costs 8 bytes whatever it counts; no sample is empty, so there
            // cannot be more of them than bytes.
            if trun.samples.len() > data.len() {
                let reason = format!("{} samples in {} bytes", trun.samples.len(), data.len());
                return Err(malformed("trun", reason));
            }
            if let Some(offset) = trun.data_offset {
                position = usize::try_from(moof_at as i64 + i64::from(offset))
                    .map_err(|_| malformed("trun", format!("data offset {offset}")))?;
            }
            for sample in &trun.samples {
                let size = sample.size.unwrap_or(default_size) as usize;
                let end = position.saturating_add(size);
                if size == 0 || position < data.start || end > data.end {
                    let reason = format!("a sample at {position}..{end}, the mdat has {data:?}");
                    return Err(malformed("trun", reason));
                }
                let too_far = || malformed("trun", "times out of range");
                let start = i64::try_from(decode_ticks)
                    .ok()
                    .and_then(|ticks| ticks.checked_add(sample.cts.unwrap_or(0)))
                    .and_then(|ticks| ticks.checked_sub(self.init.edit_ticks))
                    .ok_or_else(too_far)?;
                let duration = u64::from(sample.duration.unwrap_or(default_duration));
                let found = match &mut self.found {
                    Some(found) => found,
                    empty => empty.insert(MediaSegment {
                        base_decode_ticks: decode_ticks,
                        start_ticks: start,
                        duration_ticks: 0,
                        samples: 0,
                        starts_with_sync: sample.flags.unwrap_or(default_flags) & NON_SYNC == 0
                            && is_random_access(&self.bytes[position..end], &self.init.media),
                        bytes: self.bytes.len() as u64,
                    }),
                };
                found.start_ticks = found.start_ticks.min(start);
                found.duration_ticks += duration;
                found.samples += 1;
                decode_ticks = decode_ticks.checked_add(duration).ok_or_else(too_far)?;
                position = end;
            }
        }
        self.next_decode_ticks = decode_ticks;
        Ok(())
    }
}

fn malformed(kind: &'static str, reason: impl Into<String>) -> CmafError {
    CmafError::Malformed { kind, reason: reason.into() }
}

/// Whether a decoder can begin with this sample. AAC: always. H.264: its first slice is of an IDR picture (NAL unit
/// type 5, ISO/IEC 14496-10, table 7-1).
fn is_random_access(mut sample: &[u8], media: &InitMedia) -> bool {
    let InitMedia::Video { nal_length_bytes, .. } = media else { return true };
    loop {
        let Some((length, rest)) = sample.split_at_checked(usize::from(*nal_length_bytes)) else {
            return false;
        };
        let length = length.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
        let Some((nal, rest)) = rest.split_at_checked(length) else { return false };
        match nal.first().map(|header| header & 0x1f) {
            Some(5) => return true,
            Some(1..=4) => return false,
            _ => sample = rest,
        }
    }
}
