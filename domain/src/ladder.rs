//! Ladder planning: which rungs an asset gets. Never above the source, aspect ratio kept, even sides.

use serde::{Deserialize, Serialize};

use crate::source::VideoTrack;

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

/// Box, quality and ceiling of the standard rungs, best first. A picture fits a box when its long side is at most
/// `short * 16 / 9` and its short side at most `short`.
const BOXES: [(u32, f32, u64); 4] =
    [(1080, 22.0, 6_000_000), (720, 22.0, 3_500_000), (480, 22.0, 1_800_000), (360, 22.0, 1_000_000)];

/// The ladder for a video track, best rung first. Empty only for a picture without area.
pub fn plan_ladder(track: &VideoTrack) -> Vec<Rung> {
    let (width, height) = track.display_size();
    if width == 0 || height == 0 {
        return Vec::new();
    }
    let mut rungs: Vec<Rung> = Vec::new();
    for (short, crf, max_bps) in BOXES {
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
        }
    }

    fn sizes(track: &VideoTrack) -> Vec<(u32, u32)> {
        plan_ladder(track).iter().map(|rung| (rung.width, rung.height)).collect()
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
                let rungs = plan_ladder(&track(width, height));
                assert!(!rungs.is_empty());
                for (at, rung) in rungs.iter().enumerate() {
                    assert!(rung.width % 2 == 0 && rung.height % 2 == 0);
                    assert!(rung.width <= width.max(2) && rung.height <= height.max(2));
                    assert!(rungs[at + 1..].iter().all(|other| other.name != rung.name));
                }
            }
        }
    }
}
