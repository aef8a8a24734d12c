//! More than two channels into stereo, by the coefficients of Recommendation ITU-R BS.775: the centre and the surrounds at
//! -3 dB, nothing of the effects channel. `audioconvert` of GStreamer 1.22 by itself mixes the effects in at full level and
//! the voice, which is in the centre, far below.

use std::f32::consts::FRAC_1_SQRT_2;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_audio::{AudioChannelPosition as Position, AudioInfo};

/// Makes an `audioconvert` that puts out stereo mix as above whatever comes in.
pub(super) fn downmix(convert: &gst::Element) {
    let Some(pad) = convert.static_pad("sink") else { return };
    let convert = convert.downgrade();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view())
            && let Some(convert) = convert.upgrade()
        {
            let info = AudioInfo::from_caps(event.caps()).ok();
            let unsaid = info.as_ref().map_or(0, AudioInfo::channels) as usize;
            let unsaid = vec![Position::None; unsaid];
            let positions = info.as_ref().map(|info| info.positions().unwrap_or(&unsaid));
            let rows = positions.and_then(matrix).unwrap_or_default();
            // An empty matrix is the element's own choice, which is right for one and two channels.
            convert.set_property("mix-matrix", gst::Array::new(rows.into_iter().map(gst::Array::new)));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Weights of the channels in (columns) for left and right (rows), together at most 1 so that nothing clips. None where
/// there is nothing to mix down, or a channel of unknown place.
fn matrix(positions: &[Position]) -> Option<[Vec<f32>; 2]> {
    if positions.len() <= 2 {
        return None;
    }
    let assumed;
    let positions = if positions.iter().all(|position| *position == Position::None) {
        assumed = usual(positions.len());
        &assumed
    } else {
        positions
    };
    let weights = positions.iter().map(|position| weight(*position)).collect::<Option<Vec<_>>>()?;
    let left: f32 = weights.iter().map(|(left, _)| left).sum();
    let right: f32 = weights.iter().map(|(_, right)| right).sum();
    let most = left.max(right);
    (most > 0.0).then(|| {
        [
            weights.iter().map(|(left, _)| left / most).collect(),
            weights.iter().map(|(_, right)| right / most).collect(),
        ]
    })
}

/// Where channels are of which nobody says where (many files with uncompressed sound): in the order of WAVE files. More than
/// eight are as good as the same one.
fn usual(channels: usize) -> Vec<Position> {
    use Position::{
        FrontCenter, FrontLeft, FrontRight, Lfe1, RearCenter, RearLeft, RearRight, SideLeft, SideRight,
    };
    let order: &[Position] = match channels {
        3 => &[FrontLeft, FrontRight, FrontCenter],
        4 => &[FrontLeft, FrontRight, RearLeft, RearRight],
        5 => &[FrontLeft, FrontRight, FrontCenter, RearLeft, RearRight],
        6 => &[FrontLeft, FrontRight, FrontCenter, Lfe1, RearLeft, RearRight],
        7 => &[FrontLeft, FrontRight, FrontCenter, Lfe1, RearCenter, SideLeft, SideRight],
        8 => &[FrontLeft, FrontRight, FrontCenter, Lfe1, RearLeft, RearRight, SideLeft, SideRight],
        _ => return vec![FrontCenter; channels],
    };
    order.to_vec()
}

/// What of a channel goes to the left and to the right.
fn weight(position: Position) -> Option<(f32, f32)> {
    Some(match position {
        Position::FrontLeft | Position::FrontLeftOfCenter => (1.0, 0.0),
        Position::FrontRight | Position::FrontRightOfCenter => (0.0, 1.0),
        Position::FrontCenter => (FRAC_1_SQRT_2, FRAC_1_SQRT_2),
        Position::RearLeft | Position::SideLeft => (FRAC_1_SQRT_2, 0.0),
        Position::RearRight | Position::SideRight => (0.0, FRAC_1_SQRT_2),
        // A surround at -3 dB, to both sides at -3 dB again.
        Position::RearCenter => (0.5, 0.5),
        Position::Lfe1 | Position::Lfe2 => (0.0, 0.0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surround_is_mixed_as_recommended() {
        use Position::{FrontCenter, FrontLeft, FrontRight, Lfe1, RearLeft, RearRight};
        let [left, right] = matrix(&[FrontLeft, FrontRight, FrontCenter, Lfe1, RearLeft, RearRight]).unwrap();
        let full = 1.0 / (1.0 + 2.0 * FRAC_1_SQRT_2);
        let less = FRAC_1_SQRT_2 * full;
        let near = |got: &[f32], expected: [f32; 6]| {
            assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}");
        };
        near(&left, [full, 0.0, less, 0.0, less, 0.0]);
        near(&right, [0.0, full, less, 0.0, 0.0, less]);
    }

    #[test]
    fn what_is_not_surround_is_left_alone() {
        assert_eq!(matrix(&[Position::Mono]), None);
        assert_eq!(matrix(&[Position::FrontLeft, Position::FrontRight]), None);
        assert_eq!(matrix(&[Position::Lfe1; 3]), None);
    }

    #[test]
    fn channels_of_unsaid_place_are_in_the_usual_order() {
        use Position::{FrontCenter, FrontLeft, FrontRight, Lfe1, RearLeft, RearRight};
        let said = matrix(&[FrontLeft, FrontRight, FrontCenter, Lfe1, RearLeft, RearRight]);
        assert_eq!(matrix(&[Position::None; 6]), said);
        let many = matrix(&[Position::None; 12]).unwrap();
        assert!(many.iter().flatten().all(|weight| (weight - 1.0 / 12.0).abs() < 1e-6), "{many:?}");
    }
}
