//! One rung's encoder: how pictures are encoded, and the loop that makes access units of them.

use std::sync::mpsc::Receiver;

use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use lectern_domain::ladder::Rung;
use lectern_x264::{AccessUnit, Encoder, MACROBLOCK, Picture};

use super::{MediaFailure, beat, cadence::Content, ladder::Settings, still::Area};

/// A picture to encode.
pub(super) struct Frame {
    /// I420, in the rung's size.
    pub(super) picture: gst::Buffer,
    pub(super) ticks: u64,
    /// Whether a segment begins with it.
    pub(super) keyframe: bool,
    /// Outside of it every sample is as in the picture before, in luma samples. None: nothing is known.
    pub(super) changed: Option<Area>,
}

/// x264 for one rung: capped CRF, keyframes only where asked, everything that affects the bits pinned.
pub(super) fn encoder(
    settings: &Settings<'_>,
    content: Content,
    rung: &Rung,
) -> Result<Encoder, MediaFailure> {
    let kbit = |bits: u64| (bits / 1_000).max(1).to_string();
    let mut options = vec![
        ("crf", format!("{:.2}", rung.crf)),
        ("vbv-maxrate", kbit(rung.max_bps)),
        ("vbv-bufsize", kbit(rung.buffer_bits)),
        ("sar", "1:1".into()),
        ("colorprim", "bt709".into()),
        ("transfer", "bt709".into()),
        ("colormatrix", "bt709".into()),
        ("fullrange", "off".into()),
        ("keyint", "infinite".into()),
        ("scenecut", "0".into()),
        ("open-gop", "0".into()),
        // Rungs run side by side, the largest of them half of the work, and spans beside spans. A further thread of an encoder would hold
        // pictures of its own.
        ("threads", "1".into()),
        // The lookahead runs in the encoder's own thread: a thread for it costs processor time and more frames in flight.
        ("sync-lookahead", "0".into()),
    ];
    // The probe's, not what a decoder guesses: it bears on the headers, which must be equal in every span.
    let rate = settings.frame_rate;
    if rate.num > 0 && rate.den > 0 {
        options.push(("fps", format!("{}/{}", rate.num, rate.den)));
        options.push(("force-cfr", "1".into()));
    }
    if content == Content::Calm {
        options.push(("qpmin", settings.calm_quantiser.to_string()));
        // What a macroblock tree would find out is bounded above: it only costs time, memory and, where something small moves, a
        // fifth of the bytes.
        options.push(("mbtree", "0".into()));
        // What moves on a slide is small, and most of what an encoder does for it is done for the whole picture: refining motion to
        // quarters of a sample takes a fifth of its time and saves a hundredth of its bytes. Nothing fades as a whole.
        options.push(("subme", "1".into()));
        options.push(("weightp", "0".into()));
        options.push(("rc-lookahead", if settings.skip_pictures { "0" } else { "3" }.into()));
    }
    if settings.skip_pictures {
        options.push(("bframes", "0".into()));
        options.push(("ref", "1".into()));
    }
    Encoder::open(&lectern_x264::Settings {
        size: (rung.width, rung.height),
        timescale: settings.timescale,
        // Only of a picture whose reference is the one before it.
        constant: settings.skip_pictures,
        preset: settings.preset,
        options: &options,
    })
    .map_err(MediaFailure::internal)
}

/// What the encoder makes, as muxers want to know it (ISO/IEC 14496-15 5.3.3.1.2).
pub(super) fn caps(encoder: &mut Encoder, info: &gst_video::VideoInfo) -> Result<gst::Caps, MediaFailure> {
    let (sequence, picture) = encoder.headers().map_err(MediaFailure::internal)?;
    let mut record = vec![1, sequence[1], sequence[2], sequence[3], 0xfc | 3, 0xe0 | 1];
    record.extend((sequence.len() as u16).to_be_bytes());
    record.extend_from_slice(&sequence);
    record.push(1);
    record.extend((picture.len() as u16).to_be_bytes());
    record.extend_from_slice(&picture);
    Ok(gst_video::VideoCapsBuilder::for_encoding("video/x-h264")
        .field("codec_data", gst::Buffer::from_mut_slice(record))
        .field("stream-format", "avc")
        .field("alignment", "au")
        .field("profile", "high")
        .field("level", level(sequence[3]))
        .width(info.width() as i32)
        .height(info.height() as i32)
        .framerate(info.fps())
        .pixel_aspect_ratio(info.par())
        .field("colorimetry", info.colorimetry().to_string())
        .build())
}

/// A level as caps name it, from `level_idc` (ISO/IEC 14496-10 7.4.2.1.1).
fn level(idc: u8) -> String {
    match (idc / 10, idc % 10) {
        (whole, 0) => whole.to_string(),
        (whole, part) => format!("{whole}.{part}"),
    }
}

/// Encodes pictures as they come, until nobody can send any more. `collect` gets the access units in decode order.
pub(super) fn run(
    encoder: &mut Encoder,
    info: &gst_video::VideoInfo,
    frames: &Receiver<Frame>,
    mut collect: impl FnMut(&AccessUnit<'_>) -> Result<(), MediaFailure>,
) -> Result<(), MediaFailure> {
    for Frame { picture, ticks, keyframe, changed } in frames {
        let picture = gst_video::VideoFrameRef::from_buffer_ref_readable(&picture, info)?;
        let constant = changed.filter(|_| !keyframe).map(|changed| constant(&changed, info));
        let unit = encoder
            .encode(&Picture {
                planes: [picture.plane_data(0)?, picture.plane_data(1)?, picture.plane_data(2)?],
                strides: [0, 1, 2].map(|plane| picture.plane_stride()[plane] as usize),
                time: ticks as i64,
                keyframe,
                constant: constant.as_deref(),
            })
            .map_err(MediaFailure::internal)?;
        beat();
        if let Some(unit) = unit {
            collect(&unit)?;
        }
    }
    while let Some(unit) = encoder.flush().map_err(MediaFailure::internal)? {
        beat();
        collect(&unit)?;
    }
    Ok(())
}

/// Which macroblocks lie outside of `changed`.
fn constant(changed: &Area, info: &gst_video::VideoInfo) -> Vec<bool> {
    let blocks = |range: &std::ops::Range<usize>| range.start / MACROBLOCK..range.end.div_ceil(MACROBLOCK);
    let (rows, columns) = (blocks(&changed.rows), blocks(&changed.columns));
    let (width, height) =
        ((info.width() as usize).div_ceil(MACROBLOCK), (info.height() as usize).div_ceil(MACROBLOCK));
    (0..height)
        .flat_map(|row| (0..width).map(move |column| (row, column)))
        .map(|(row, column)| !(rows.contains(&row) && columns.contains(&column)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macroblocks_that_a_change_touches_are_not_constant() {
        gst::init().unwrap();
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, 70, 40).build().unwrap();
        let touched = |rows, columns| {
            let constant = constant(&Area { rows, columns }, &info);
            assert_eq!(constant.len(), 5 * 3);
            (0..15).filter(|at| !constant[*at]).collect::<Vec<_>>()
        };
        assert_eq!(touched(0..0, 0..0), Vec::<usize>::new());
        assert_eq!(touched(0..1, 0..1), [0]);
        assert_eq!(touched(15..17, 16..32), [1, 6]);
        assert_eq!(touched(39..40, 63..70), [13, 14]);
        assert_eq!(touched(0..40, 0..70), (0..15).collect::<Vec<_>>());
    }

    #[test]
    fn levels_are_named_as_in_caps() {
        assert_eq!([level(10), level(31), level(40), level(52)], ["1", "3.1", "4", "5.2"]);
    }
}
