//! Waveforms: the least and the greatest sample of each stretch of a sound, which players draw along the time line.
//!
//! They are written as `audiowaveform` data of version 2 (BBC), eight bits and one channel: a header of 24 bytes, then a least
//! and a greatest value for each point, little-endian. peaks.js and others read it. The channels of a sound become one that has
//! the extremes of all: the mean would show nothing where one channel is the other one upside down.

/// Name of the file, among those of an audio job and of a package.
pub const FILE: &str = "waveform.dat";

/// Points that a waveform has at most, so that no lecture is too long for a page: four for each pixel of a wide screen.
pub const MOST_POINTS: usize = 8_192;

/// Points for a second, until there would be more than [`MOST_POINTS`].
const POINTS_PER_S: u32 = 10;

const HEADER_BYTES: usize = 24;
const VERSION: u32 = 2;
/// The flag for values of eight bits.
const EIGHT_BITS: u32 = 1;

/// Bytes that the largest waveform has.
pub const MOST_BYTES: u64 = (HEADER_BYTES + 2 * MOST_POINTS) as u64;

/// A waveform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waveform {
    /// Samples per second of the sound.
    pub sample_rate: u32,
    /// Samples that each point stands for; the last one may stand for fewer.
    pub samples_per_point: u32,
    /// Least and greatest value of each point, -128 to 127.
    pub points: Vec<(i8, i8)>,
}

impl Waveform {
    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = self.points.len() as u32;
        let header = [VERSION, EIGHT_BITS, self.sample_rate, self.samples_per_point, count, 1];
        let mut bytes: Vec<u8> = header.into_iter().flat_map(u32::to_le_bytes).collect();
        bytes.extend(self.points.iter().flat_map(|(least, greatest)| [*least as u8, *greatest as u8]));
        bytes
    }

    /// Reads a file that this module wrote, or says what is wrong with another.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (header, values) = bytes
            .split_at_checked(HEADER_BYTES)
            .ok_or_else(|| format!("expected a header of {HEADER_BYTES} bytes, got {} bytes", bytes.len()))?;
        let field = |at: usize| {
            header[at * 4..at * 4 + 4].iter().rev().fold(0u32, |value, byte| value << 8 | u32::from(*byte))
        };
        let kind = (field(0), field(1), field(5));
        if kind != (VERSION, EIGHT_BITS, 1) {
            return Err(format!("expected version 2, eight bits and one channel, got {kind:?}"));
        }
        let (sample_rate, samples_per_point, count) = (field(2), field(3), field(4) as usize);
        if sample_rate == 0 || samples_per_point == 0 {
            return Err(format!("{samples_per_point} samples a point of {sample_rate} a second"));
        }
        if !(1..=MOST_POINTS).contains(&count) || values.len() != 2 * count {
            return Err(format!(
                "expected {count} points of {MOST_POINTS} at most, got {} bytes",
                values.len()
            ));
        }
        let points = values.chunks_exact(2).map(|pair| (pair[0] as i8, pair[1] as i8)).collect();
        Ok(Self { sample_rate, samples_per_point, points })
    }
}

/// Makes a waveform of samples as they come. What it holds does not depend on how many there are: when there are
/// [`MOST_POINTS`], each two become one.
#[derive(Debug, Clone)]
pub struct Peaks {
    sample_rate: u32,
    channels: u32,
    samples_per_point: u32,
    points: Vec<(i8, i8)>,
    /// Of the point that is being made: values, the least, the greatest.
    values: u64,
    least: f32,
    greatest: f32,
}

impl Peaks {
    /// Of a sound with so many samples per second and channels.
    pub fn new(sample_rate: u32, channels: u32) -> Self {
        Self {
            sample_rate,
            channels: channels.max(1),
            samples_per_point: (sample_rate / POINTS_PER_S).max(1),
            points: Vec::new(),
            values: 0,
            least: f32::INFINITY,
            greatest: f32::NEG_INFINITY,
        }
    }

    /// Takes the next values, those of all channels of a sample after each other. Full scale is -1 to 1.
    pub fn push(&mut self, values: impl IntoIterator<Item = f32>) {
        for value in values {
            self.least = self.least.min(value);
            self.greatest = self.greatest.max(value);
            self.values += 1;
            if self.values == u64::from(self.samples_per_point) * u64::from(self.channels) {
                self.point();
            }
        }
    }

    fn point(&mut self) {
        if self.points.len() == MOST_POINTS {
            let join = |pair: &[(i8, i8)]| (pair[0].0.min(pair[1].0), pair[0].1.max(pair[1].1));
            self.points = self.points.chunks_exact(2).map(join).collect();
            self.samples_per_point *= 2;
            // What is being made is half a point now, and goes on.
            return;
        }
        // Of values that are no numbers there is neither.
        let heard = self.least <= self.greatest;
        self.points.push(if heard { (level(self.least), level(self.greatest)) } else { (0, 0) });
        (self.values, self.least, self.greatest) = (0, f32::INFINITY, f32::NEG_INFINITY);
    }

    /// What there was. `None` without a sample.
    pub fn finish(mut self) -> Option<Waveform> {
        if self.values > 0 {
            self.point();
            // Two points may just have become one, and then the last is still being made.
            if self.values > 0 {
                self.point();
            }
        }
        let Self { sample_rate, samples_per_point, points, .. } = self;
        (!points.is_empty()).then_some(Waveform { sample_rate, samples_per_point, points })
    }
}

/// A value as eight bits; what is louder than full scale is full scale.
fn level(value: f32) -> i8 {
    (value * 128.0).round() as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waveform(rate: u32, channels: u32, values: impl IntoIterator<Item = f32>) -> Waveform {
        let mut peaks = Peaks::new(rate, channels);
        peaks.push(values);
        peaks.finish().unwrap()
    }

    #[test]
    fn a_point_has_the_extremes_of_its_samples_in_every_channel() {
        // Two samples a point: the left channel, and the right one upside down.
        let found = waveform(20, 2, [0.5, -0.5, 0.25, -0.25, 1.0, -1.0, 0.0, 0.0, -0.125, 0.125]);
        assert_eq!((found.sample_rate, found.samples_per_point), (20, 2));
        assert_eq!(found.points, [(-64, 64), (-128, 127), (-16, 16)]);
        assert_eq!(waveform(20, 1, [f32::NAN, 0.1, 7.0, -7.0]).points, [(13, 13), (-128, 127)]);
        assert_eq!(waveform(20, 1, [f32::NAN]).points, [(0, 0)]);
        assert_eq!(Peaks::new(48_000, 2).finish(), None);
    }

    #[test]
    fn the_file_is_as_its_format_says() {
        let made =
            Waveform { sample_rate: 48_000, samples_per_point: 4_800, points: vec![(-1, 2), (-128, 127)] };
        let bytes = made.to_bytes();
        let header = [2, 0, 0, 0, 1, 0, 0, 0, 0x80, 0xbb, 0, 0, 0xc0, 0x12, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(bytes[..24], header);
        assert_eq!(bytes[24..], [0xff, 2, 0x80, 0x7f]);
        assert_eq!(Waveform::from_bytes(&bytes), Ok(made));
    }

    #[test]
    fn other_files_are_refused() {
        let good = Waveform { sample_rate: 8, samples_per_point: 1, points: vec![(0, 0); 3] }.to_bytes();
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let mut long = good.clone();
        long.push(0);
        let many = Waveform { sample_rate: 8, samples_per_point: 1, points: vec![(0, 0); MOST_POINTS + 1] };
        let table = [
            Vec::new(),
            good[..23].to_vec(),
            good[..29].to_vec(),
            long,
            with(0, 1),
            with(4, 0),
            with(8, 0),
            with(12, 0),
            with(16, 4),
            with(19, 0xff),
            with(20, 2),
            many.to_bytes(),
        ];
        for (at, bytes) in table.iter().enumerate() {
            assert!(Waveform::from_bytes(bytes).is_err(), "{at}");
        }
        let none = Waveform { sample_rate: 8, samples_per_point: 1, points: Vec::new() };
        assert!(Waveform::from_bytes(&none.to_bytes()).is_err());
    }

    #[test]
    fn long_sounds_have_no_more_points_than_short_ones() {
        // Ten samples a second, so that each sample begins as a point of its own.
        for length in [1, MOST_POINTS - 1, MOST_POINTS, MOST_POINTS + 1, MOST_POINTS + 2, 5 * MOST_POINTS + 3]
        {
            let value = |at: usize| (at % 127) as f32 / 128.0;
            let found = waveform(10, 1, (0..length).map(value));
            let per_point = found.samples_per_point as usize;
            assert_eq!(found.points.len(), length.div_ceil(per_point), "{length} samples");
            assert!(found.points.len() <= MOST_POINTS && per_point.is_power_of_two(), "{length} samples");
            assert!(per_point == 1 || found.points.len() > MOST_POINTS / 2, "{length} samples");
            assert!(found.to_bytes().len() as u64 <= MOST_BYTES);
            for (at, point) in found.points.iter().enumerate() {
                let samples = (at * per_point..((at + 1) * per_point).min(length)).map(|at| (at % 127) as i8);
                let expected = (samples.clone().min().unwrap(), samples.max().unwrap());
                assert_eq!(*point, expected, "point {at} of {length} samples");
            }
        }
    }
}
