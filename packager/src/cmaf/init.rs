//! CMAF init segments (ISO/IEC 23000-19, clause 7.3.1): one track, its clock, its codec.

use mp4_atom::{Avcc, Elst, Esds, Mdhd, Mvhd, Tkhd, Trex};

use super::{
    CmafError,
    boxes::{along, boxes, leaf, only, optional},
};

/// What an init segment says about its track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitSegment {
    /// Number of the track, which every fragment repeats.
    pub track_id: u32,
    /// Ticks per second of every time in the track, never 0.
    pub timescale: u32,
    /// RFC 6381 codec string, from the parameter sets.
    pub codec: String,
    /// Picture or sound.
    pub media: InitMedia,
    /// What to subtract from a composition time to get its presentation time, ticks (edit list, ISO/IEC 14496-12,
    /// clause 8.6.6).
    pub edit_ticks: i64,
    /// Size of the whole init segment.
    pub bytes: u64,
    /// Defaults for samples whose fragment says nothing.
    pub(super) defaults: Defaults,
    /// The sample description as it stands, parameter sets included.
    sample_description: Vec<u8>,
}

/// Kind and properties of a track as its sample entry gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitMedia {
    /// H.264.
    Video {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes of the length before each NAL unit: 1, 2 or 4.
        nal_length_bytes: u8,
    },
    /// AAC.
    Audio {
        /// Samples per second.
        sample_rate: u32,
        /// Channels.
        channels: u32,
    },
}

/// Sample defaults of `trex` (ISO/IEC 14496-12, clause 8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Defaults {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

impl InitSegment {
    /// Reads an init segment.
    pub fn read(bytes: &[u8]) -> Result<Self, CmafError> {
        only(bytes, "ftyp")?;
        let moov = only(bytes, "moov")?.body;
        let trak = only(moov, "trak")?.body;
        let track_id = leaf::<Tkhd>(along(trak, &["tkhd"])?, "tkhd")?.track_id;
        let timescale = leaf::<Mdhd>(along(trak, &["mdia", "mdhd"])?, "mdhd")?.timescale;
        if timescale == 0 {
            return Err(malformed("mdhd", "a timescale of 0"));
        }
        let trex: Trex = leaf(along(moov, &["mvex", "trex"])?, "trex")?;
        if trex.track_id != track_id {
            return Err(malformed("trex", format!("track {}, expected {track_id}", trex.track_id)));
        }
        let sample_description = along(trak, &["mdia", "minf", "stbl", "stsd"])?;
        let (codec, media) = sample_entry(sample_description)?;
        Ok(Self {
            track_id,
            timescale,
            codec,
            media,
            edit_ticks: edit_ticks(moov, trak, timescale)?,
            bytes: bytes.len() as u64,
            defaults: Defaults {
                duration: trex.default_sample_duration,
                size: trex.default_sample_size,
                flags: trex.default_sample_flags,
            },
            sample_description: sample_description.to_vec(),
        })
    }

    /// Whether media segments made for `other` play behind this init segment: same clock, same parameter sets, same
    /// defaults. Dates and durations in the two may differ. On failure, what differs.
    ///
    /// Spans are encoded apart, each with an init segment of its own; only one of them is published.
    pub fn fits(&self, other: &Self) -> Result<(), &'static str> {
        let same = [
            ("track number", self.track_id == other.track_id),
            ("timescale", self.timescale == other.timescale),
            ("codec", self.codec == other.codec),
            ("picture size or channels", self.media == other.media),
            ("edit list", self.edit_ticks == other.edit_ticks),
            ("sample defaults", self.defaults == other.defaults),
            ("parameter sets", self.sample_description == other.sample_description),
        ];
        same.iter().find(|(_, same)| !same).map_or(Ok(()), |(what, _)| Err(*what))
    }

    /// An init segment that no bytes were read for, for tests of what is made from it.
    #[cfg(test)]
    pub(crate) fn of(codec: &str, timescale: u32, media: InitMedia) -> Self {
        Self {
            track_id: 1,
            timescale,
            codec: codec.into(),
            media,
            edit_ticks: 0,
            bytes: 800,
            defaults: Defaults { duration: 0, size: 0, flags: 0 },
            sample_description: Vec::new(),
        }
    }
}

fn malformed(kind: &'static str, reason: impl Into<String>) -> CmafError {
    CmafError::Malformed { kind, reason: reason.into() }
}

/// Version and flags, then the number of entries.
const STSD_HEADER: usize = 8;
/// Fixed fields of `VisualSampleEntry` and of version 0 `AudioSampleEntry` (ISO/IEC 14496-12, clause 12), in bytes.
const VISUAL_ENTRY: usize = 78;
const AUDIO_ENTRY: usize = 28;

fn sample_entry(stsd: &[u8]) -> Result<(String, InitMedia), CmafError> {
    let entries = stsd.get(STSD_HEADER..).ok_or_else(|| malformed("stsd", "no list of entries"))?;
    let mut entries = boxes(entries);
    let entry = entries.next().ok_or_else(|| malformed("stsd", "no entry"))??;
    if entries.next().is_some() {
        return Err(CmafError::Several("sample entry"));
    }
    match &entry.kind {
        b"avc1" => visual("avc1", entry.body),
        b"avc3" => visual("avc3", entry.body),
        b"mp4a" => audio(entry.body),
        other => Err(CmafError::Unsupported {
            expected: "a clear H.264 or AAC track (avc1, avc3, mp4a)",
            got: other.escape_ascii().to_string(),
        }),
    }
}

fn visual(kind: &'static str, entry: &[u8]) -> Result<(String, InitMedia), CmafError> {
    let (fixed, children) =
        entry.split_first_chunk::<VISUAL_ENTRY>().ok_or_else(|| malformed(kind, "too short"))?;
    let avcc: Avcc = leaf(only(children, "avcC")?.body, "avcC")?;
    // The sequence parameter set is what decoders obey; the copy of its first bytes in avcC must agree
    // (ISO/IEC 14496-15, clause 5.3.3.1.2).
    let sps = avcc.sequence_parameter_sets.first().ok_or_else(|| malformed("avcC", "no SPS"))?;
    let declared = [avcc.avc_profile_indication, avcc.profile_compatibility, avcc.avc_level_indication];
    match sps.get(1..4) {
        Some(real) if real == declared => {}
        Some(real) => {
            return Err(malformed(
                "avcC",
                format!("profile and level {declared:02x?}, the SPS has {real:02x?}"),
            ));
        }
        None => return Err(malformed("avcC", "an SPS of less than 4 bytes")),
    }
    let [profile, compatibility, level] = declared;
    let media = InitMedia::Video {
        width: u32::from(u16::from_be_bytes([fixed[24], fixed[25]])),
        height: u32::from(u16::from_be_bytes([fixed[26], fixed[27]])),
        nal_length_bytes: avcc.length_size,
    };
    // RFC 6381, clause 3.3.
    Ok((format!("{kind}.{profile:02x}{compatibility:02x}{level:02x}"), media))
}

fn audio(entry: &[u8]) -> Result<(String, InitMedia), CmafError> {
    let (fixed, children) =
        entry.split_first_chunk::<AUDIO_ENTRY>().ok_or_else(|| malformed("mp4a", "too short"))?;
    if fixed[8..10] != [0, 0] {
        return Err(malformed("mp4a", "a QuickTime sound description"));
    }
    let esds: Esds = leaf(only(children, "esds")?.body, "esds")?;
    let config = esds.es_desc.dec_config;
    let specific = config.dec_specific.ok_or_else(|| malformed("esds", "no AudioSpecificConfig"))?;
    if specific.raw.len() < 2 {
        return Err(malformed("esds", "an AudioSpecificConfig of less than 2 bytes"));
    }
    // Channel configuration 7 is 7.1 (ISO/IEC 14496-3, table 1.19); 0 leaves the layout to the bitstream.
    let channels = match specific.chan_conf {
        0 => u32::from(u16::from_be_bytes([fixed[16], fixed[17]])),
        7 => 8,
        count => u32::from(count),
    };
    let media =
        InitMedia::Audio { sample_rate: u32::from(u16::from_be_bytes([fixed[24], fixed[25]])), channels };
    Ok((format!("mp4a.{:02x}.{}", config.object_type_indication, specific.profile), media))
}

/// The one shift that an edit list of CMAF may express: optional empty edits, then the media from some time on.
fn edit_ticks(moov: &[u8], trak: &[u8], timescale: u32) -> Result<i64, CmafError> {
    let Some(edts) = optional(trak, "edts")? else { return Ok(0) };
    let list: Elst = leaf(only(edts.body, "elst")?.body, "elst")?;
    let movie_timescale = leaf::<Mvhd>(along(moov, &["mvhd"])?, "mvhd")?.timescale.max(1);
    let too_far = || malformed("elst", "times out of range");
    let (mut delay, mut from) = (0i64, None);
    for entry in &list.entries {
        match (entry.media_time, from) {
            (None, None) => {
                let ticks =
                    u128::from(entry.segment_duration) * u128::from(timescale) / u128::from(movie_timescale);
                delay = i64::try_from(ticks)
                    .ok()
                    .and_then(|ticks| delay.checked_add(ticks))
                    .ok_or_else(too_far)?;
            }
            (Some(time), None) => from = Some(i64::try_from(time).map_err(|_| too_far())?),
            _ => {
                return Err(CmafError::Unsupported {
                    expected: "an edit list that only shifts the track",
                    got: format!("{} edits", list.entries.len()),
                });
            }
        }
    }
    from.unwrap_or(0).checked_sub(delay).ok_or_else(too_far)
}
