//! Whether a picture repeats another. Pure.
//!
//! Pictures are compared in blocks of eight by eight samples, so that a small thing that moves on a still slide counts however
//! large the slide is. What a lossy codec does to a still picture, and the noise of eight-bit rounding, stay below the
//! tolerance; a pointer, a blinking text cursor, a hair line that is drawn, and the grain of any camera do not (tests below).

/// Side of a block, samples.
const SIDE: usize = 8;
/// Largest sum of absolute differences in a block of two pictures that show the same: one and a half levels each.
const TOLERANCE: u16 = (SIDE * SIDE) as u16 * 3 / 2;

/// One plane of a picture, eight bits each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plane<'a> {
    /// Rows from the top, `stride` apart.
    pub(super) data: &'a [u8],
    /// Bytes from one row to the next.
    pub(super) stride: usize,
    /// Samples in a row.
    pub(super) width: usize,
    /// Rows.
    pub(super) height: usize,
}

impl<'a> Plane<'a> {
    fn row(&self, row: usize) -> &'a [u8] {
        &self.data[row * self.stride..][..self.width]
    }
}

/// Whether two planes of the same size show the same. Ends with the first block that differs.
pub(super) fn repeats(one: &Plane<'_>, other: &Plane<'_>) -> bool {
    let mut sums = vec![0u16; one.width.div_ceil(SIDE)];
    for top in (0..one.height).step_by(SIDE) {
        let mut differs = false;
        for row in top..(top + SIDE).min(one.height) {
            let (a, b) = (one.row(row), other.row(row));
            // Most rows of a still picture are equal, and nothing is faster than that.
            if a != b {
                add(&mut sums, a, b);
                differs = true;
            }
        }
        if differs {
            if sums.iter().any(|sum| *sum > TOLERANCE) {
                return false;
            }
            sums.fill(0);
        }
    }
    true
}

/// Adds the differences of two rows to the sums of their blocks.
fn add(sums: &mut [u16], a: &[u8], b: &[u8]) {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<SIDE>(), b.as_chunks::<SIDE>());
    let difference =
        |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| u16::from(a.abs_diff(*b))).sum::<u16>();
    for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
        *sum += difference(a, b);
    }
    if let (Some(last), false) = (sums.last_mut(), a_rest.is_empty()) {
        *last += difference(a_rest, b_rest);
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    const WIDTH: usize = 644;
    const HEIGHT: usize = 237;

    fn plane(data: &[u8]) -> Plane<'_> {
        Plane { data, stride: WIDTH, width: WIDTH, height: HEIGHT }
    }

    /// A slide: light, with dark bars for text.
    fn slide() -> Vec<u8> {
        (0..WIDTH * HEIGHT).map(|at| if (at / WIDTH) % 40 < 12 && at % 7 < 4 { 35 } else { 220 }).collect()
    }

    fn same_with(change: impl FnOnce(&mut [u8])) -> bool {
        let (one, mut other) = (slide(), slide());
        change(&mut other);
        let same = repeats(&plane(&one), &plane(&other));
        assert_eq!(same, repeats(&plane(&other), &plane(&one)));
        same
    }

    /// A rectangle a little lighter or darker.
    fn touched(x: usize, y: usize, width: usize, height: usize, by: u8) -> bool {
        same_with(|picture| {
            for row in y..y + height {
                for sample in &mut picture[row * WIDTH + x..][..width] {
                    *sample = if *sample < 128 { *sample + by } else { *sample - by };
                }
            }
        })
    }

    #[test]
    fn what_a_codec_does_to_a_still_picture_is_the_same() {
        assert!(same_with(|_| {}));
        assert!(touched(0, 0, WIDTH, HEIGHT, 1), "another rounding of every sample");
        assert!(touched(100, 100, 1, 1, 60), "one sample");
    }

    #[test]
    fn what_somebody_would_see_is_not() {
        assert!(!touched(0, 0, WIDTH, HEIGHT, 2), "a fade");
        assert!(!touched(320, 160, 12, 19, 80), "a pointer");
        assert!(!touched(321, 163, 2, 18, 90), "a text cursor");
        assert!(!touched(200, 200, 8, 1, 40), "the next part of a hair line");
        assert!(!touched(WIDTH - 4, HEIGHT - 5, 4, 5, 90), "the last corner, in a part of a block");
    }

    /// Standard deviation of the noise between two pictures of the same thing.
    fn noisy(sigma: f64) -> bool {
        let mut random = StdRng::seed_from_u64(7);
        same_with(|picture| {
            for sample in picture.iter_mut() {
                // The sum of twelve even ones is as good as normal.
                let normal: f64 = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
                *sample = (f64::from(*sample) + normal * sigma).round().clamp(0.0, 255.0) as u8;
            }
        })
    }

    #[test]
    fn grain_is_kept() {
        // A camera in a lecture room has two levels and more in each picture, so nearly three between two of them.
        assert!(!noisy(2.8));
        assert!(!noisy(1.5));
        assert!(noisy(0.5), "no camera has so little");
    }
}
