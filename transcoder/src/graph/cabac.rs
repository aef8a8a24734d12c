//! Slices of skipped macroblocks in CABAC (ITU-T H.264 9.3). Pure.

use h264_reader::rbsp::{BitWrite as _, BitWriter};

/// m and n of `mb_skip_flag` in a P slice (table 9-13): context 11, of macroblocks whose neighbours are skipped too, `cabac_init_idc` 0.
const SKIP_FLAG: (i32, i32) = (23, 33);

/// `rangeTabLPS` (table 9-44).
#[rustfmt::skip]
const RANGE: [[u32; 4]; 63] = [
    [128, 176, 208, 240], [128, 167, 197, 227], [128, 158, 187, 216], [123, 150, 178, 205], [116, 142, 169, 195],
    [111, 135, 160, 185], [105, 128, 152, 175], [100, 122, 144, 166], [95, 116, 137, 158], [90, 110, 130, 150],
    [85, 104, 123, 142], [81, 99, 117, 135], [77, 94, 111, 128], [73, 89, 105, 122], [69, 85, 100, 116],
    [66, 80, 95, 110], [62, 76, 90, 104], [59, 72, 86, 99], [56, 69, 81, 94], [53, 65, 77, 89],
    [51, 62, 73, 85], [48, 59, 69, 80], [46, 56, 66, 76], [43, 53, 63, 72], [41, 50, 59, 69],
    [39, 48, 56, 65], [37, 45, 54, 62], [35, 43, 51, 59], [33, 41, 48, 56], [32, 39, 46, 53],
    [30, 37, 43, 50], [29, 35, 41, 48], [27, 33, 39, 45], [26, 31, 37, 43], [24, 30, 35, 41],
    [23, 28, 33, 39], [22, 27, 32, 37], [21, 26, 30, 35], [20, 24, 29, 33], [19, 23, 27, 31],
    [18, 22, 26, 30], [17, 21, 25, 28], [16, 20, 23, 27], [15, 19, 22, 25], [14, 18, 21, 24],
    [14, 17, 20, 23], [13, 16, 19, 22], [12, 15, 18, 21], [12, 14, 17, 20], [11, 14, 16, 19],
    [11, 13, 15, 18], [10, 12, 15, 17], [10, 12, 14, 16], [9, 11, 13, 15], [9, 11, 12, 14],
    [8, 10, 12, 14], [8, 9, 11, 13], [7, 9, 11, 12], [7, 9, 10, 12], [7, 8, 10, 11],
    [6, 8, 9, 11], [6, 7, 9, 10], [6, 7, 8, 9],
];
/// `transIdxLps` (table 9-45).
#[rustfmt::skip]
const AFTER_LEAST: [usize; 63] = [
    0, 0, 1, 2, 2, 4, 4, 5, 6, 7, 8, 9, 9, 11, 11, 12, 13, 13, 15, 15, 16, 16, 18, 18, 19, 19, 21, 21, 22, 22, 23, 24,
    24, 25, 26, 26, 27, 27, 28, 29, 29, 30, 30, 30, 31, 32, 32, 33, 33, 33, 34, 34, 35, 35, 35, 36, 36, 36, 37, 37, 37,
    38, 38,
];

/// Data of a P slice with `cabac_init_idc` 0 of so many skipped macroblocks, up to and with the stop bit. `quantiser` is `SliceQPY`.
pub(super) fn skipped(macroblocks: u32, quantiser: i32) -> Vec<u8> {
    let (m, n) = SKIP_FLAG;
    let state = (((m * quantiser.clamp(0, 51)) >> 4) + n).clamp(1, 126);
    let mut coder = Coder {
        low: 0,
        range: 510,
        outstanding: 0,
        first: true,
        probable: state > 63,
        state: if state > 63 { state - 64 } else { 63 - state } as usize,
        bits: BitWriter::new(Vec::new()),
    };
    for macroblock in 1..=macroblocks {
        coder.one();
        // `end_of_slice_flag` (9.3.4.5).
        coder.range -= 2;
        if macroblock < macroblocks {
            coder.renormalise();
        }
    }
    coder.finish()
}

struct Coder {
    low: u32,
    range: u32,
    outstanding: u32,
    first: bool,
    /// The more probable symbol, and how probable it is.
    probable: bool,
    state: usize,
    bits: BitWriter<Vec<u8>>,
}

impl Coder {
    /// Codes a flag that is set (9.3.4.2).
    fn one(&mut self) {
        let least = RANGE[self.state][(self.range >> 6 & 3) as usize];
        self.range -= least;
        if self.probable {
            self.state = (self.state + 1).min(62);
        } else {
            self.low += self.range;
            self.range = least;
            self.probable = self.state == 0;
            self.state = AFTER_LEAST[self.state];
        }
        self.renormalise();
    }

    /// 9.3.4.3.
    fn renormalise(&mut self) {
        while self.range < 256 {
            if self.low < 256 {
                self.put(false);
            } else if self.low >= 512 {
                self.low -= 512;
                self.put(true);
            } else {
                self.low -= 256;
                self.outstanding += 1;
            }
            self.range <<= 1;
            self.low <<= 1;
        }
    }

    /// 9.3.4.4.
    fn put(&mut self, bit: bool) {
        if !std::mem::take(&mut self.first) {
            self.write(bit);
        }
        for _ in 0..std::mem::take(&mut self.outstanding) {
            self.write(!bit);
        }
    }

    fn write(&mut self, bit: bool) {
        // Memory takes everything.
        let _ = self.bits.write_bit(bit);
    }

    /// The last `end_of_slice_flag`, and what is left (9.3.4.6). Its last bit is the stop bit of the RBSP.
    fn finish(mut self) -> Vec<u8> {
        self.low += self.range;
        self.range = 2;
        self.renormalise();
        self.put(self.low >> 9 & 1 == 1);
        self.write(self.low >> 8 & 1 == 1);
        let _ = self.bits.write_rbsp_trailing_bits();
        self.bits.into_writer()
    }
}
