//! Ladder planning: which rungs an asset gets. Never above the source, aspect ratio kept, even sides.

use serde::{Deserialize, Serialize};

use crate::source::{Complexity, VideoTrack};

/// One planned encoding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// Shown in quality menus and used in storage keys, e.g. `720p`. Unique within a ladder.
    pub name: String,
    /// Output width in pixels, even.
    pub width: u32,
    /// Output height in pixels, even.
    pub height: u32,
    /// Constant rate factor of x264 (0 to 51, lower is better).
    pub crf: f32,
    /// Ceiling of the rate over the buffer below, bits per second.
    pub max_bps: u64,
    /// Size of the decoder buffer model, bits.
    pub buffer_bits: u64,
}

/// How close to the source every rung is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Fewer bytes, softer film.
    Economy,
    /// For lessons on any screen.
    #[default]
    Balanced,
    /// For film that is looked at closely.
    High,
}

impl Quality {
    /// The quality of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Economy, Self::Balanced, Self::High].into_iter().find(|quality| quality.as_str() == text)
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Economy => "economy",
            Self::Balanced => "balanced",
            Self::High => "high",
        }
    }

    /// Constant rate factor of x264.
    const fn crf(self) -> f32 {
        match self {
            Self::Economy => 25.0,
            Self::Balanced => 22.0,
            Self::High => 19.0,
        }
    }

    /// Quantiser below which calm pictures are not encoded. One that stands is referred to by all that follow, and x264 would
    /// spend on it what they save, down to a quantiser of 3, where nobody sees the difference any more.
    pub const fn calm_quantiser(self) -> u32 {
        match self {
            Self::Economy => 31,
            Self::Balanced => 28,
            Self::High => 24,
        }
    }
}

/// Box and ceiling of the standard rungs, best first. A picture fits a box when its long side is at most
/// `short * 16 / 9` and its short side at most `short`.
const BOXES: [(u32, u64); 4] = [(1080, 6_000_000), (720, 3_500_000), (480, 1_800_000), (360, 1_000_000)];

/// A ladder, and why it is this one.
#[derive(Debug, Clone, PartialEq)]
pub struct Ladder {
    /// Best rung first. Empty only for a picture without area.
    pub rungs: Vec<Rung>,
    /// For people, a sentence each.
    pub why: Vec<String>,
}

/// The ladder for a video track. Rungs that buy nothing are left out: those with more pixels than the picture has detail.
pub fn plan_ladder(track: &VideoTrack, quality: Quality) -> Ladder {
    let mut rungs = standard_rungs(track, quality);
    let mut why = vec![format!(
        "Constant quality, {}: CRF {} under a ceiling for each rung.",
        quality.as_str(),
        quality.crf()
    )];
    let Some(complexity) = track.complexity else {
        why.push(
            "The picture could not be sampled: it is taken for film, and every standard size is made.".into(),
        );
        return Ladder { rungs, why };
    };
    let standard = rungs.len();
    let enough = complexity.detail.unwrap_or(u32::MAX);
    while rungs.len() > 1 && rungs[1].width.min(rungs[1].height) >= enough {
        rungs.remove(0);
    }
    if rungs.len() < standard {
        why.push(format!("Scaled to {enough} lines and back the picture is the same: no rung has more."));
    }
    let Complexity { pairs, still, moving, .. } = complexity;
    let shows = if complexity.is_calm() { "slides or a screen" } else { "film" };
    why.push(format!(
        "Of {pairs} pairs of frames that were sampled {still} show the same and {moving} move: {shows}."
    ));
    Ladder { rungs, why }
}

/// Sizes that a track is encoded in when nothing is left out, width and height, best first.
pub fn standard_sizes(track: &VideoTrack) -> Vec<(u32, u32)> {
    standard_rungs(track, Quality::default()).iter().map(|rung| (rung.width, rung.height)).collect()
}

fn standard_rungs(track: &VideoTrack, quality: Quality) -> Vec<Rung> {
    let (width, height) = track.display_size();
    if width == 0 || height == 0 {
        return Vec::new();
    }
    let mut rungs: Vec<Rung> = Vec::new();
    let crf = quality.crf();
    for (short, max_bps) in BOXES {
        let scale = fit(width, height, short);
        // A box larger than the source would repeat the rung of the next box that holds it.
        let last = short == BOXES[BOXES.len() - 1].0;
        let next_fits = BOXES.iter().any(|next| next.0 < short && fit(width, height, next.0) >= 1.0);
        if scale >= 1.0 && next_fits && !last {
            continue;
        }
        let (w, h) = (even(f64::from(width) * scale.min(1.0)), even(f64::from(height) * scale.min(1.0)));
        if rungs.iter().any(|rung| rung.width == w && rung.height == h) {
            continue;
        }
        let frames = (track.frame_rate.as_f64() / 30.0).clamp(1.0, 2.0);
        let max_bps = (max_bps as f64 * frames.sqrt()) as u64;
        let name = unique_name(&rungs, w.min(h));
        rungs.push(Rung { name, width: w, height: h, crf, max_bps, buffer_bits: max_bps * 2 });
    }
    rungs
}

fn fit(width: u32, height: u32, short: u32) -> f64 {
    let long = f64::from(short) * 16.0 / 9.0;
    (long / f64::from(width.max(height))).min(f64::from(short) / f64::from(width.min(height)))
}

/// The nearest even number, at least 2, never above the even number at or below the value plus half a pixel.
fn even(value: f64) -> u32 {
    (((value + 0.01) * 0.5).floor() as u32 * 2).max(2)
}

fn unique_name(taken: &[Rung], short: u32) -> String {
    let plain = format!("{short}p");
    if taken.iter().all(|rung| rung.name != plain) { plain } else { format!("{short}p-{}", taken.len() + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Orientation, Ratio};

    fn track(width: u32, height: u32) -> VideoTrack {
        VideoTrack {
            codec: "video/x-h264".into(),
            width,
            height,
            pixel_aspect: Ratio::new(1, 1),
            frame_rate: Ratio::new(30, 1),
            orientation: Orientation::Upright,
            interlaced: false,
            bit_depth: 8,
            colorimetry: "bt709".into(),
            hdr: false,
            complexity: None,
        }
    }

    fn sizes(track: &VideoTrack) -> Vec<(u32, u32)> {
        standard_sizes(track)
    }

    #[test]
    fn ladders_for_the_shapes_people_upload() {
        type Case<'a> = (u32, u32, &'a [(u32, u32)]);
        let table: &[Case<'_>] = &[
            (1920, 1080, &[(1920, 1080), (1280, 720), (852, 480), (640, 360)]),
            (3840, 2160, &[(1920, 1080), (1280, 720), (852, 480), (640, 360)]),
            (1280, 720, &[(1280, 720), (852, 480), (640, 360)]),
            (1080, 1920, &[(1080, 1920), (720, 1280), (480, 852), (360, 640)]),
            (1920, 800, &[(1920, 800), (1280, 532), (852, 354), (640, 266)]),
            (1000, 700, &[(1000, 700), (684, 480), (514, 360)]),
            (640, 360, &[(640, 360)]),
            (320, 240, &[(320, 240)]),
            (17, 13, &[(16, 12)]),
            (8000, 100, &[(1920, 24), (1280, 16), (852, 10), (640, 8)]),
            (1, 1, &[(2, 2)]),
        ];
        for (width, height, expected) in table {
            assert_eq!(sizes(&track(*width, *height)), *expected, "{width}x{height}");
        }
    }

    #[test]
    fn rotation_and_pixel_aspect_shape_the_picture() {
        let phone = VideoTrack { orientation: Orientation::Rotate90, ..track(1920, 1080) };
        assert_eq!(sizes(&phone)[0], (1080, 1920));
        let dv = VideoTrack { pixel_aspect: Ratio::new(16, 11), ..track(704, 576) };
        assert_eq!(sizes(&dv)[0], (1024, 576));
    }

    #[test]
    fn names_are_unique_and_never_above_the_source() {
        for width in (2..4000).step_by(97) {
            for height in (2..4000).step_by(89) {
                let rungs = plan_ladder(&track(width, height), Quality::default()).rungs;
                assert!(!rungs.is_empty());
                for (at, rung) in rungs.iter().enumerate() {
                    assert!(rung.width % 2 == 0 && rung.height % 2 == 0);
                    assert!(rung.width <= width.max(2) && rung.height <= height.max(2));
                    assert!(rungs[at + 1..].iter().all(|other| other.name != rung.name));
                }
            }
        }
    }

    fn with(complexity: Complexity) -> Vec<String> {
        let track = VideoTrack { complexity: Some(complexity), ..track(1920, 1080) };
        plan_ladder(&track, Quality::default()).rungs.into_iter().map(|rung| rung.name).collect()
    }

    #[test]
    fn rungs_that_buy_nothing_are_left_out() {
        let film = Complexity { pairs: 120, still: 0, moving: 118, detail: None };
        assert_eq!(with(film), ["1080p", "720p", "480p", "360p"]);
        assert_eq!(with(Complexity { detail: Some(720), ..film }), ["720p", "480p", "360p"]);
        assert_eq!(with(Complexity { detail: Some(360), ..film }), ["360p"]);
    }
}
