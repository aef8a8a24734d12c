//! How much of a picture differs from another. Pure.
//!
//! Pictures are compared in blocks of eight by eight samples, so that a small thing that moves on a still slide counts however
//! large the slide is. What a lossy codec does to a still picture stays below the tolerance, also where a keyframe begins it anew:
//! it shifts flat blocks by a level or two, and samples of text by more, in proportion to its contrast. A pointer, a blinking text cursor, a
//! hair line that is drawn, and noise of two levels in each picture do not (tests below).

use std::ops::Range;

/// Side of a block, samples.
const SIDE: usize = 8;
/// Sum of absolute differences that a flat block of two pictures that show the same may have: two and three quarters of a level
/// each.
const TOLERANCE: u16 = (SIDE * SIDE) as u16 * 11 / 4;
/// Share of a block's own contrast (the sum of its differences from its mean) that it may have besides.
const MASKED: u16 = 8;
/// More than any contrast masks.
const UNMASKED: u16 = TOLERANCE + (SIDE * SIDE) as u16 * 128 / MASKED;

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

    /// Sum of the differences of a block's samples from their mean.
    fn contrast(&self, block: usize, top: usize) -> u16 {
        let (left, bottom) = (block * SIDE, (top + SIDE).min(self.height));
        let samples = || (top..bottom).flat_map(|row| &self.row(row)[left..(left + SIDE).min(self.width)]);
        let sum: usize = samples().map(|sample| usize::from(*sample)).sum();
        let mean = (sum / samples().count().max(1)) as u8;
        samples().map(|sample| u16::from(sample.abs_diff(mean))).sum()
    }
}

/// A rectangle of samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
}

impl Area {
    /// The smallest that holds both.
    pub(super) fn with(self, other: Self) -> Self {
        if self.rows.is_empty() {
            return other;
        }
        if other.rows.is_empty() {
            return self;
        }
        let both =
            |one: Range<usize>, other: Range<usize>| one.start.min(other.start)..one.end.max(other.end);
        Self { rows: both(self.rows, other.rows), columns: both(self.columns, other.columns) }
    }
}

/// Where and how much a plane differs from another of the same size.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    /// The share of its blocks, 0 to 1, that show something else.
    pub(super) share: f64,
    /// Outside of it no sample differs, however little; all of the plane if not all was looked at.
    pub(super) area: Area,
}

/// How a plane differs from another of the same size. Ends where the share exceeds `enough`.
pub(super) fn changed(one: &Plane<'_>, other: &Plane<'_>, enough: f64) -> Difference {
    let mut sums = vec![0u16; one.width.div_ceil(SIDE)];
    let blocks = (sums.len() * one.height.div_ceil(SIDE)).max(1) as f64;
    let mut changed = 0;
    let mut area = Area::default();
    for top in (0..one.height).step_by(SIDE) {
        let mut differs = false;
        for row in top..(top + SIDE).min(one.height) {
            let (a, b) = (one.row(row), other.row(row));
            // Most rows of a still picture are equal, and nothing is faster than that.
            if a != b {
                add(&mut sums, a, b);
                differs = true;
                area = area.with(Area { rows: row..row + 1, columns: differing(a, b) });
            }
        }
        if differs {
            let suspects = sums.iter().enumerate().filter(|(_, sum)| **sum > TOLERANCE);
            changed += suspects
                .filter(|(block, sum)| {
                    // The smaller of both: what appears on a flat ground is not masked by itself.
                    **sum > UNMASKED
                        || **sum
                            > TOLERANCE + one.contrast(*block, top).min(other.contrast(*block, top)) / MASKED
                })
                .count();
            if f64::from(changed as u32) > enough * blocks {
                area = Area { rows: 0..one.height, columns: 0..one.width };
                break;
            }
            sums.fill(0);
        }
    }
    Difference { share: f64::from(changed as u32) / blocks, area }
}

/// Where two rows that differ do so, rounded to a few samples.
fn differing(a: &[u8], b: &[u8]) -> Range<usize> {
    const STEP: usize = 32;
    let mut chunks = a.chunks(STEP).zip(b.chunks(STEP));
    let first = chunks.position(|(a, b)| a != b).unwrap_or(0);
    let last = first + chunks.rposition(|(a, b)| a != b).map_or(0, |at| at + 1);
    first * STEP..((last + 1) * STEP).min(a.len())
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
        let difference = changed(&plane(&one), &plane(&other), 1.0);
        assert_eq!(difference, changed(&plane(&other), &plane(&one), 1.0));
        difference.share == 0.0
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
        assert!(touched(0, 0, WIDTH, HEIGHT, 2), "another quantiser, everywhere");
        assert!(touched(0, 40, WIDTH, 8, 9), "another quantiser, where there is text");
        assert!(touched(100, 100, 1, 1, 60), "one sample");
    }

    #[test]
    fn what_somebody_would_see_is_not() {
        assert!(!touched(0, 0, WIDTH, HEIGHT, 3), "a fade");
        assert!(!touched(320, 160, 12, 19, 80), "a pointer");
        assert!(!touched(321, 163, 2, 18, 90), "a text cursor");
        assert!(!touched(200, 220, 8, 1, 40), "the next part of a hair line");
        assert!(!touched(WIDTH - 4, HEIGHT - 5, 4, 5, 90), "the last corner, in a part of a block");
    }

    #[test]
    fn the_share_is_counted_in_blocks() {
        let (one, mut other) = (slide(), slide());
        for row in 0..120 {
            other[row * WIDTH..row * WIDTH + 320].fill(128);
        }
        // 40 of 81 blocks in 15 of 30 rows.
        let (one, other) = (plane(&one), plane(&other));
        let all = changed(&one, &other, 1.0);
        assert!((all.share - 600.0 / 2_430.0).abs() < 1e-9);
        assert_eq!(all.area, Area { rows: 0..120, columns: 0..320 });
        let seen = changed(&one, &other, 0.1);
        assert!(seen.share > 0.1 && seen.share < 0.12, "no more is looked at than is asked for: {seen:?}");
        assert_eq!(
            seen.area,
            Area { rows: 0..HEIGHT, columns: 0..WIDTH },
            "what was not looked at may differ"
        );
    }

    #[test]
    fn samples_count_that_differ_by_nothing_that_is_seen() {
        let (one, mut other) = (slide(), slide());
        let same = Difference { share: 0.0, area: Area::default() };
        assert_eq!(changed(&plane(&one), &plane(&other), 1.0), same);
        other[17 * WIDTH + 70] += 1;
        other[19 * WIDTH + 130] += 1;
        let area = Area { rows: 17..20, columns: 64..160 };
        assert_eq!(changed(&plane(&one), &plane(&other), 1.0), Difference { share: 0.0, area });
        other[17 * WIDTH + 630] += 1;
        other[WIDTH * HEIGHT - 1] += 1;
        let area = Area { rows: 17..HEIGHT, columns: 64..WIDTH };
        assert_eq!(changed(&plane(&one), &plane(&other), 1.0), Difference { share: 0.0, area });
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
        // Two levels in each picture are nearly three between two of them.
        assert!(!noisy(2.8));
        assert!(noisy(1.0), "less than one in each");
    }
}
