//! What transcoding made: tracks cut into segments, as reported by the child and stored as a job's result. The
//! packager works from these values and from the bytes they name.

use serde::{Deserialize, Serialize};

use crate::source::Ratio;

/// One encoded track, or the part of it that one span made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackOutput {
    /// Rung name (`720p`) or audio name (`audio-0`).
    pub name: String,
    /// What the track carries.
    pub kind: TrackKind,
    /// File name of the init segment, relative to the job's output folder.
    pub init: String,
    /// Ticks per second of the times below.
    pub timescale: u32,
    /// Media segments in order.
    pub segments: Vec<SegmentOutput>,
}

/// Kind and properties of an encoded track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TrackKind {
    /// H.264 video.
    Video {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Nominal frames per second; `0/1` when variable.
        frame_rate: Ratio,
    },
    /// AAC-LC audio.
    Audio {
        /// Samples per second.
        sample_rate: u32,
        /// Channels.
        channels: u32,
        /// Language when declared.
        language: Option<String>,
    },
}

/// One clear CMAF segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentOutput {
    /// Position in the whole track, from 0, equal in every rendition of the asset.
    pub index: u32,
    /// File name, relative to the job's output folder.
    pub file: String,
    /// Presentation time of the first sample, ticks.
    pub start_ticks: u64,
    /// Sum of the sample durations, ticks.
    pub duration_ticks: u64,
    /// Number of samples.
    pub samples: u32,
    /// Size in bytes.
    pub bytes: u64,
}

/// What a span or audio job hands to the packager.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TranscodeOutput {
    /// One entry per rung (span job) or one entry (audio job). Empty when the source ended before the span.
    pub tracks: Vec<TrackOutput>,
}

/// One published rendition, as the API shows it and as the playlists announce it. Measured, not planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rendition {
    /// Rung name (`720p`) or audio name (`audio-0`).
    pub name: String,
    /// Picture or sound.
    pub kind: RenditionKind,
    /// Width in pixels; absent for audio.
    pub width: Option<u32>,
    /// Height in pixels; absent for audio.
    pub height: Option<u32>,
    /// Frames per second; absent for audio and where the rate varies.
    pub frame_rate: Option<f64>,
    /// Size of all its published files but the playlist.
    pub bytes: u64,
    /// Peak segment bit rate, bits per second (RFC 8216bis, 4.4.6.2), of this rendition alone.
    pub bandwidth: u64,
    /// Average segment bit rate, bits per second, of this rendition alone.
    pub average_bandwidth: u64,
    /// RFC 6381 codec string, e.g. `avc1.64001f`.
    pub codecs: String,
}

/// What a rendition carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RenditionKind {
    /// Picture.
    Video,
    /// Sound.
    Audio,
}
