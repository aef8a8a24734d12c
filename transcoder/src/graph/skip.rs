//! Pictures that show the one before them again, written without an encoder. Pure.
//!
//! Such a picture is one P slice all of whose macroblocks are skipped (ITU-T H.264 7.3.4): each is predicted from the same place of the
//! picture before, and nothing is added. A decoder copies; x264 would look at every macroblock to find that out. Encoded pictures that come
//! after it count on from it, so their `frame_num` is written anew.
//!
//! This holds for streams in which every picture refers to the one before it and to no other, and is shown in the order in which it is
//! decoded: x264's with `bframes=0` and `ref=1`. Their picture order count follows from `frame_num` (type 2, 8.2.1.3).

use std::io::{self, Write as _};

use h264_reader::{
    Context,
    avcc::AvcDecoderConfigurationRecord,
    nal::{
        UnitType,
        pps::PicParameterSet,
        sps::{FrameMbsFlags, PicOrderCntType, SeqParameterSet},
    },
    rbsp::{BitRead as _, BitReader, BitWrite, BitWriter, ByteWriter, decode_nal},
};

use super::cabac;

/// Bytes of the length before each NAL unit (ISO/IEC 14496-15 5.3.3.1).
const LENGTH: usize = 4;
/// Header of a slice that is no IDR picture's and others refer to (7.4.1): `nal_ref_idc` 2, type 1.
const REFERENCE_SLICE: u8 = 0x41;
/// P, in a picture that has no other slices (table 7-6).
const ALL_P: u32 = 5;
/// Quantiser with which a skipped macroblock is likeliest to begin with (9.3.1.1): of the bits of these pictures there is no other use.
const QUANTISER: i32 = 51;

/// What cannot be done with a stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum SkipError {
    #[error("expected an avcC with one SPS and one PPS: {0}")]
    Headers(String),
    #[error("expected pictures that are shown as they are decoded, each with one reference: {0}")]
    Structure(&'static str),
    #[error("an access unit that does not fit its headers: {0}")]
    Unit(String),
}

/// Writes skip pictures for one stream.
#[derive(Debug)]
pub(super) struct SkipPictures {
    sps: SeqParameterSet,
    pps: PicParameterSet,
    /// Slice data, from the first byte after the header.
    data: Vec<u8>,
}

impl SkipPictures {
    /// For the stream that an `avcC` describes.
    pub(super) fn new(avcc: &[u8]) -> Result<Self, SkipError> {
        let headers = |error: &dyn std::fmt::Debug| SkipError::Headers(format!("{error:?}"));
        let record = AvcDecoderConfigurationRecord::try_from(avcc).map_err(|error| headers(&error))?;
        if usize::from(record.length_size_minus_one()) + 1 != LENGTH {
            return Err(SkipError::Headers("lengths of another size".into()));
        }
        let context: Context = record.create_context().map_err(|error| headers(&error))?;
        let (sps, pps) = context.sps().next().zip(context.pps().next()).ok_or_else(|| headers(&"none"))?;
        let refused = [
            (sps.pic_order_cnt != PicOrderCntType::TypeTwo, "another picture order"),
            (sps.max_num_ref_frames != 1, "more references"),
            (sps.frame_mbs_flags != FrameMbsFlags::Frames, "fields"),
            (pps.slice_groups.is_some(), "slice groups"),
            (pps.redundant_pic_cnt_present_flag, "redundant pictures"),
        ];
        if let Some((_, why)) = refused.iter().find(|(refused, _)| *refused) {
            return Err(SkipError::Structure(why));
        }
        let macroblocks = sps.pic_width_in_mbs() * sps.pic_height_in_map_units();
        let data =
            if pps.entropy_coding_mode_flag { cabac::skipped(macroblocks, QUANTISER) } else { Vec::new() };
        Ok(Self { sps: sps.clone(), pps: pps.clone(), data })
    }

    /// The access unit of a picture that repeats the one before it, `number` pictures after an IDR picture.
    pub(super) fn again(&self, number: usize) -> Result<Vec<u8>, SkipError> {
        let mut nal = Vec::with_capacity(2 * self.data.len() + 16);
        nal.push(REFERENCE_SLICE);
        self.write(number, &mut nal).map_err(|error| SkipError::Unit(error.to_string()))?;
        let mut unit = Vec::with_capacity(LENGTH + nal.len());
        unit.extend((nal.len() as u32).to_be_bytes());
        unit.extend(nal);
        Ok(unit)
    }

    /// Slice header (7.3.3) and data of a skip picture.
    fn write(&self, number: usize, nal: &mut Vec<u8>) -> io::Result<()> {
        let mut bits = BitWriter::new(ByteWriter::new(nal));
        bits.write_ue(0)?;
        bits.write_ue(ALL_P)?;
        bits.write_ue(self.pps.pic_parameter_set_id.id().into())?;
        bits.write_var(self.sps.log2_max_frame_num().into(), self.frame_num(number))?;
        let further = self.pps.num_ref_idx_l0_default_active_minus1 > 0;
        bits.write_bit(further)?;
        if further {
            bits.write_ue(0)?;
        }
        // References in their own order.
        bits.write_bit(false)?;
        if self.pps.weighted_pred_flag {
            // Denominators of weights, of which there are none: not for luma, not for chroma.
            bits.write_ue(0)?;
            bits.write_ue(0)?;
            bits.write_bit(false)?;
            bits.write_bit(false)?;
        }
        // The oldest reference goes.
        bits.write_bit(false)?;
        let cabac = self.pps.entropy_coding_mode_flag;
        if cabac {
            bits.write_ue(0)?;
        }
        bits.write_se(QUANTISER - 26 - self.pps.pic_init_qp_minus26)?;
        if self.pps.deblocking_filter_control_present_flag {
            // What was filtered is not filtered again.
            bits.write_ue(1)?;
        }
        if !cabac {
            bits.write_ue(self.sps.pic_width_in_mbs() * self.sps.pic_height_in_map_units())?;
            return bits.write_rbsp_trailing_bits();
        }
        // `cabac_alignment_one_bit`.
        while bits.writer().is_none() {
            bits.write_bit(true)?;
        }
        bits.into_writer().write_all(&self.data)
    }

    /// An encoded access unit as the picture `number` pictures after an IDR picture.
    pub(super) fn numbered(&self, unit: &[u8], number: usize) -> Result<Vec<u8>, SkipError> {
        let wrong = |why: String| SkipError::Unit(why);
        let mut out = Vec::with_capacity(unit.len() + LENGTH);
        let mut rest = unit;
        while !rest.is_empty() {
            let (length, after) =
                rest.split_first_chunk::<LENGTH>().ok_or_else(|| wrong("no length".into()))?;
            let length = u32::from_be_bytes(*length) as usize;
            let (nal, after) = after.split_at_checked(length).ok_or_else(|| wrong("too short".into()))?;
            rest = after;
            let header = *nal.first().ok_or_else(|| wrong("an empty NAL unit".into()))?;
            if UnitType::for_id(header & 0x1f).ok() != Some(UnitType::SliceLayerWithoutPartitioningNonIdr) {
                out.extend((length as u32).to_be_bytes());
                out.extend_from_slice(nal);
                continue;
            }
            let mut slice = decode_nal(nal).map_err(|error| wrong(error.to_string()))?.into_owned();
            let at = frame_num_at(&slice).map_err(|error| wrong(format!("{error:?}")))?;
            set_bits(&mut slice, at, self.sps.log2_max_frame_num().into(), self.frame_num(number));
            let mut numbered = vec![header];
            ByteWriter::new(&mut numbered).write_all(&slice).map_err(|error| wrong(error.to_string()))?;
            out.extend((numbered.len() as u32).to_be_bytes());
            out.extend(numbered);
        }
        Ok(out)
    }

    fn frame_num(&self, number: usize) -> u32 {
        number as u32 & ((1 << self.sps.log2_max_frame_num()) - 1)
    }
}

/// Where `frame_num` lies in a slice header, in bits: after three numbers of their own lengths.
fn frame_num_at(slice: &[u8]) -> Result<u32, h264_reader::rbsp::BitReaderError> {
    let mut bits = BitReader::new(slice);
    let mut at = 0;
    for name in ["first_mb_in_slice", "slice_type", "pic_parameter_set_id"] {
        // As many zeros before the number's own bits as come after the first of these (9.1).
        at += 2 * (bits.read_ue(name)? + 1).ilog2() + 1;
    }
    Ok(at)
}

fn set_bits(bytes: &mut [u8], at: u32, width: u32, value: u32) {
    for bit in 0..width {
        let (place, one) = (at + bit, value >> (width - 1 - bit) & 1);
        if let Some(byte) = bytes.get_mut(place as usize / 8) {
            let shift = 7 - place % 8;
            *byte = *byte & !(1 << shift) | (one as u8) << shift;
        }
    }
}

#[cfg(test)]
mod tests {
    use gstreamer as gst;
    use gstreamer::prelude::*;
    use gstreamer_app as gst_app;

    use super::*;

    /// What comes out of a pipeline whose last element is a sink of this name.
    fn pulled(pipeline: &str, feed: Option<(&gst::Caps, Vec<Vec<u8>>)>) -> Vec<gst::Sample> {
        gst::init().unwrap();
        let pipeline = gst::parse::launch(pipeline).unwrap().downcast::<gst::Pipeline>().unwrap();
        let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        if let Some((caps, units)) = feed {
            let source = pipeline.by_name("in").unwrap().downcast::<gst_app::AppSrc>().unwrap();
            source.set_caps(Some(caps));
            for (at, unit) in units.into_iter().enumerate() {
                let mut buffer = gst::Buffer::from_mut_slice(unit);
                buffer.make_mut().set_pts(gst::ClockTime::from_mseconds(40 * at as u64));
                source.push_buffer(buffer).unwrap();
            }
            source.end_of_stream().unwrap();
        }
        let samples = std::iter::from_fn(|| sink.pull_sample().ok()).collect();
        pipeline.set_state(gst::State::Null).unwrap();
        samples
    }

    fn bytes(sample: &gst::Sample) -> Vec<u8> {
        sample.buffer().unwrap().map_readable().unwrap().to_vec()
    }

    fn decoded(caps: &gst::Caps, units: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let pipeline = "appsrc name=in format=time max-bytes=0 ! avdec_h264 max-errors=0 ! videoconvert \
                        ! video/x-raw,format=I420 ! appsink name=out sync=false";
        pulled(pipeline, Some((caps, units))).iter().map(bytes).collect()
    }

    /// Access units of a ball that bounces, from an IDR picture on.
    fn encoded(preset: &str, more: &str) -> (gst::Caps, Vec<Vec<u8>>) {
        let samples = pulled(
            &format!(
                "videotestsrc pattern=ball num-buffers=6 ! video/x-raw,format=I420,width=208,height=118,framerate=25/1 \
                 ! x264enc speed-preset={preset} threads=1 {more} \
                 ! video/x-h264,profile=high,stream-format=avc,alignment=au ! appsink name=out sync=false"
            ),
            None,
        );
        (samples[0].caps_owned().unwrap(), samples.iter().map(bytes).collect())
    }

    fn headers(caps: &gst::Caps) -> Vec<u8> {
        let headers = caps.structure(0).unwrap().get::<gst::Buffer>("codec_data").unwrap();
        headers.map_readable().unwrap().to_vec()
    }

    #[test]
    fn a_decoder_shows_the_picture_before_again_and_goes_on_from_it() {
        // With CABAC and weights, without either.
        for preset in ["veryfast", "ultrafast"] {
            let (caps, units) = encoded(preset, "bframes=0 ref=1 option-string=scenecut=0");
            let plain = decoded(&caps, units.clone());
            assert_eq!(plain.len(), 6);
            assert!(plain.windows(2).all(|pair| pair[0] != pair[1]), "it moves");
            let skip = SkipPictures::new(&headers(&caps)).unwrap();
            // More than the counter of pictures counts to.
            let repeats = [3, 0, 40, 1, 0, 2];
            let (mut with, mut expected) = (Vec::new(), Vec::new());
            for ((unit, picture), repeats) in units.iter().zip(&plain).zip(repeats) {
                with.push(if with.is_empty() {
                    unit.clone()
                } else {
                    skip.numbered(unit, with.len()).unwrap()
                });
                expected.push(picture);
                for _ in 0..repeats {
                    with.push(skip.again(with.len()).unwrap());
                    expected.push(picture);
                }
            }
            let shown = decoded(&caps, with);
            assert_eq!(shown.len(), expected.len(), "{preset}");
            let first = shown.iter().zip(expected).position(|(shown, expected)| shown != expected);
            assert_eq!(first, None, "{preset}: the first picture that differs");
        }
    }

    #[test]
    fn other_streams_are_refused() {
        for more in ["bframes=2", "bframes=0 ref=3"] {
            let (caps, _) = encoded("medium", more);
            let refused = SkipPictures::new(&headers(&caps)).unwrap_err().to_string();
            assert!(
                refused.starts_with("expected pictures that are shown as they are decoded"),
                "{more}: {refused}"
            );
        }
        assert!(matches!(SkipPictures::new(&[1, 2, 3]), Err(SkipError::Headers(_))));
        let (caps, units) = encoded("veryfast", "bframes=0 ref=1");
        let skip = SkipPictures::new(&headers(&caps)).unwrap();
        assert!(matches!(skip.numbered(&units[1][..9], 1), Err(SkipError::Unit(_))), "cut off");
    }
}
