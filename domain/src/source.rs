//! What probing a source found: the facts that planning needs, as measured by the sandboxed child.

use serde::{Deserialize, Serialize};

use crate::trim::Trim;

/// Everything known about a source after probing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceInfo {
    /// The container's media type, e.g. `video/quicktime`, `video/x-matroska`.
    pub container: String,
    /// Duration as the container declares it, in nanoseconds; absent when it declares none.
    pub duration_ns: Option<u64>,
    /// Where the asset's timeline begins on the container's own, nanoseconds: with the earliest track, or at the in point.
    /// `duration_ns` is counted from there.
    #[serde(default)]
    pub start_ns: u64,
    /// Whether a seek lands on the sync sample at or before the asked time. When false every span reads the source
    /// from its beginning and decodes from a little before its own.
    pub seekable: bool,
    /// The video track to encode. Cover art does not count.
    pub video: Option<VideoTrack>,
    /// Audio tracks in the container's order.
    pub audio: Vec<AudioTrack>,
    /// Text tracks in the container's order.
    #[serde(default)]
    pub texts: Vec<TextTrack>,
    /// The part of it that is the lesson; absent: all of it. `start_ns` and `duration_ns` are those of the part. Left out where there
    /// is none, so that a process of the version before reads what it wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trim: Option<Trim>,
}

/// One video track of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoTrack {
    /// Codec as a caps media type, e.g. `video/x-h264`.
    pub codec: String,
    /// Coded width in pixels, before rotation.
    pub width: u32,
    /// Coded height in pixels, before rotation.
    pub height: u32,
    /// Pixel aspect ratio, width over height.
    pub pixel_aspect: Ratio,
    /// Nominal frames per second; `0/1` when the container declares a variable rate.
    pub frame_rate: Ratio,
    /// Rotation and mirroring to apply for display.
    pub orientation: Orientation,
    /// Whether frames hold two fields.
    pub interlaced: bool,
    /// Bits per sample.
    pub bit_depth: u32,
    /// Colour as `matrix:transfer:primaries` names, e.g. `bt709`.
    pub colorimetry: String,
    /// Whether the transfer function is PQ or HLG.
    pub hdr: bool,
    /// What samples of it show; absent when none could be taken.
    #[serde(default)]
    pub complexity: Option<Complexity>,
}

/// How much moves in a video track and how much detail it has, by samples of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Complexity {
    /// Pairs of successive frames that were compared.
    pub pairs: u32,
    /// Pairs that show the same.
    pub still: u32,
    /// Pairs of which more than a sixteenth differs.
    pub moving: u32,
    /// Short side of the smallest standard size, pixels, that every sampled frame can be scaled to and back without a visible
    /// difference; absent when none below the track's own size keeps everything.
    pub detail: Option<u32>,
}

impl Complexity {
    /// Whether it is slides or a screen rather than film: in nine of ten pairs most of the picture stands.
    pub const fn is_calm(self) -> bool {
        self.pairs > 0 && self.moving * 10 <= self.pairs
    }
}

impl VideoTrack {
    /// Whether samples of it say that most of the picture stands most of the time.
    pub fn is_calm(&self) -> bool {
        self.complexity.is_some_and(Complexity::is_calm)
    }

    /// Width and height as a viewer sees them, in square pixels, after rotation.
    pub fn display_size(&self) -> (u32, u32) {
        let aspect = self.pixel_aspect.as_f64().clamp(0.05, 20.0);
        // Anamorphic sources keep their larger sampling: the short dimension is stretched, none is squeezed.
        let (width, height) = if aspect >= 1.0 {
            ((f64::from(self.width) * aspect).round() as u32, self.height)
        } else {
            (self.width, (f64::from(self.height) / aspect).round() as u32)
        };
        if self.orientation.swaps_sides() { (height, width) } else { (width, height) }
    }
}

/// One audio track of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioTrack {
    /// Position among the container's audio tracks.
    pub index: u32,
    /// Codec as a caps media type, e.g. `audio/mpeg`.
    pub codec: String,
    /// Samples per second.
    pub sample_rate: u32,
    /// Number of channels.
    pub channels: u32,
    /// BCP 47 or ISO 639 language, when declared.
    pub language: Option<String>,
}

/// One text track of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextTrack {
    /// Form as a caps media type, e.g. `text/x-raw`.
    pub codec: String,
    /// BCP 47 or ISO 639 language, when declared.
    pub language: Option<String>,
    /// Title, when declared.
    pub title: Option<String>,
}

/// A rational number; `0/1` means unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ratio {
    /// Numerator.
    pub num: u32,
    /// Denominator, never 0.
    pub den: u32,
}

impl Ratio {
    /// `num / den`.
    pub const fn new(num: u32, den: u32) -> Self {
        Self { num, den: if den == 0 { 1 } else { den } }
    }

    /// The value as a float.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den.max(1))
    }
}

/// The eight ways a picture can lie (EXIF/QuickTime display matrix), named by what must be done to show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orientation {
    /// As coded.
    #[default]
    Upright,
    /// Rotate 90° clockwise.
    Rotate90,
    /// Rotate 180°.
    Rotate180,
    /// Rotate 270° clockwise.
    Rotate270,
    /// Mirror left and right.
    FlipHorizontal,
    /// Rotate 90° clockwise, then mirror left and right.
    FlipRotate90,
    /// Mirror top and bottom.
    FlipVertical,
    /// Rotate 270° clockwise, then mirror left and right.
    FlipRotate270,
}

impl Orientation {
    /// Whether width and height trade places.
    pub const fn swaps_sides(self) -> bool {
        matches!(self, Self::Rotate90 | Self::Rotate270 | Self::FlipRotate90 | Self::FlipRotate270)
    }
}
