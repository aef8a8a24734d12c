//! H.264 pictures whose bits have been seen before, while nothing changed. Pure.
//!
//! What an encoder writes for a picture that stands repeats after a while, bit for bit beside the counters in its headers. The same bits
//! after pictures that show the same show the same again; what is new takes others.

use std::collections::HashSet;

use h264_reader::{
    Context,
    avcc::AvcDecoderConfigurationRecord,
    nal::{
        NalHeader, UnitType,
        pps::PicParameterSet,
        slice::{
            DecRefPicMarking, FieldPic, MemoryManagementControlOperation, PredWeightTable, SliceFamily,
            SliceHeader,
        },
        sps::{FrameMbsFlags, SeqParameterSet},
    },
    rbsp::{BitRead as _, BitReader, decode_nal},
};

/// Pictures that are remembered at most.
const MOST: usize = 256;

/// Remembers the pictures of one stream.
#[derive(Debug, Default)]
pub(super) struct Familiar {
    context: Context,
    seen: HashSet<Vec<u8>>,
}

/// A picture that is predicted from others in the plainest way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    /// Whether others refer to it.
    pub(super) reference: bool,
    /// Pictures that may be referred to at a time: after so many in a row that show the same, all of them do.
    pub(super) references: u32,
    /// What it says beside its counters: for each slice its kind, where it begins, its quantiser, its data.
    says: Vec<u8>,
}

impl Familiar {
    /// Headers that come before the stream (`avcC`).
    pub(super) fn read_headers(&mut self, avcc: &[u8]) {
        let Ok(record) = AvcDecoderConfigurationRecord::try_from(avcc) else { return };
        if let Ok(context) = record.create_context() {
            self.context = context;
        }
    }

    /// Reads an access unit, given its NAL units; headers in it are kept for those that follow. None for what is not plain.
    pub(super) fn read<'a>(&mut self, units: impl Iterator<Item = &'a [u8]>) -> Option<Picture> {
        let mut picture: Option<Picture> = None;
        for unit in units {
            let header = NalHeader::new(*unit.first()?).ok()?;
            match header.nal_unit_type() {
                UnitType::SeqParameterSet => {
                    let rbsp = decode_nal(unit).ok()?;
                    self.context.put_seq_param_set(SeqParameterSet::from_bits(BitReader::new(&*rbsp)).ok()?);
                }
                UnitType::PicParameterSet => {
                    let rbsp = decode_nal(unit).ok()?;
                    let set = PicParameterSet::from_bits(&self.context, BitReader::new(&*rbsp)).ok()?;
                    self.context.put_pic_param_set(set);
                }
                UnitType::SliceLayerWithoutPartitioningNonIdr => {
                    let slice = self.slice(header, unit)?;
                    match &mut picture {
                        Some(picture) => picture.says.extend(slice.says),
                        None => picture = Some(slice),
                    }
                }
                UnitType::SEI | UnitType::AccessUnitDelimiter | UnitType::FillerData => {}
                _ => return None,
            }
        }
        picture
    }

    fn slice(&self, header: NalHeader, unit: &[u8]) -> Option<Picture> {
        let rbsp = decode_nal(unit).ok()?;
        let mut bits = BitReader::new(&*rbsp);
        let (slice, sps, pps) = SliceHeader::from_bits(&self.context, &mut bits, header, None).ok()?;
        let kind = match slice.slice_type.family {
            SliceFamily::P => b'P',
            SliceFamily::B => b'B',
            _ => return None,
        };
        let plain = slice.field_pic == FieldPic::Frame
            && sps.frame_mbs_flags == FrameMbsFlags::Frames
            && slice.redundant_pic_cnt.unwrap_or(0) == 0
            && slice.pred_weight_table.as_ref().is_none_or(no_weights)
            && slice.dec_ref_pic_marking.as_ref().is_none_or(only_forgets);
        if !plain {
            return None;
        }
        let mut says = vec![kind, slice.cabac_init_idc.unwrap_or(3) as u8];
        says.extend(slice.first_mb_in_slice.to_be_bytes());
        says.extend(slice.slice_qp_delta.to_be_bytes());
        while pps.entropy_coding_mode_flag && !bits.byte_aligned() {
            bits.read_bit("cabac_alignment_one_bit").ok()?;
        }
        // Without CABAC the data goes on within a byte, in one place or another.
        let data = says.len();
        while let Ok(bit) = bits.read_bit("slice_data") {
            says.push(u8::from(bit));
        }
        says.truncate(says.iter().rposition(|bit| *bit == 1).map_or(0, |last| last + 1).max(data));
        Some(Picture { reference: header.nal_ref_idc() > 0, references: sps.max_num_ref_frames, says })
    }

    /// Whether a picture has been seen since the last change.
    pub(super) fn knows(&self, picture: &Picture) -> bool {
        self.seen.contains(&picture.says)
    }

    /// Remembers a picture with which nothing changed.
    pub(super) fn remember(&mut self, picture: Picture) {
        if self.seen.len() < MOST {
            self.seen.insert(picture.says);
        }
    }

    /// Something changed.
    pub(super) fn forget(&mut self) {
        self.seen.clear();
    }
}

fn no_weights(table: &PredWeightTable) -> bool {
    let luma = table.luma_weights.iter().chain(&table.luma_weights_l1).all(Option::is_none);
    luma && table.chroma_weights.iter().chain(&table.chroma_weights_l1).all(Vec::is_empty)
}

/// Whether a picture does no more to the list of references than to drop older ones: one that is kept for long may come back.
fn only_forgets(marking: &DecRefPicMarking) -> bool {
    match marking {
        DecRefPicMarking::SlidingWindow => true,
        DecRefPicMarking::Idr { .. } => false,
        DecRefPicMarking::Adaptive(operations) => operations.iter().all(|operation| {
            matches!(operation, MemoryManagementControlOperation::ShortTermUnusedForRef { .. })
        }),
    }
}
