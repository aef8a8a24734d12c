//! How much to fetch for a miss: little for one that comes out of nowhere, ever more for one that goes on where
//! another fetch ended. A demuxer reads at several places by turns (picture and sound of an MP4), so several are remembered.

use super::{BLOCK, MAX_FETCH};

/// Blocks for a miss that continues nothing: an index entry, a header, the target of a seek.
const FIRST: u64 = (256 << 10) / BLOCK;
const MOST: u64 = MAX_FETCH / BLOCK;
/// Places remembered.
const PLACES: usize = 8;
/// Blocks that a reader may skip and still count as reading on: it leaves out tracks that nobody wants.
const SKIPPED: u64 = 4;

/// The readers seen so far.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    /// The block after the last fetch, and its size; the one used last comes last.
    places: Vec<(u64, u64)>,
}

impl ReadAhead {
    /// Blocks worth fetching from `block` on.
    pub(super) fn blocks(&self, block: u64) -> u64 {
        self.place(block).map_or(FIRST, |at| (self.places[at].1 * 2).min(MOST))
    }

    /// `count` blocks were fetched from `block` on.
    pub(super) fn fetched(&mut self, block: u64, count: u64) {
        let size = match self.place(block) {
            // A fetch cut short by what is there already does not make the reader less steady.
            Some(at) => (self.places.remove(at).1 * 2).min(MOST),
            None => FIRST.max(count).min(MOST),
        };
        if self.places.len() == PLACES {
            self.places.remove(0);
        }
        self.places.push((block + count, size));
    }

    fn place(&self, block: u64) -> Option<usize> {
        self.places.iter().rposition(|(next, _)| (*next..=next + SKIPPED).contains(&block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes of the fetches for misses at these blocks, each where the reader stands.
    fn sizes(ahead: &mut ReadAhead, mut block: u64, count: usize) -> Vec<u64> {
        (0..count)
            .map(|_| {
                let size = ahead.blocks(block);
                ahead.fetched(block, size);
                block += size;
                size
            })
            .collect()
    }

    #[test]
    fn it_grows_for_a_steady_reader_and_stays_small_for_jumps() {
        let mut ahead = ReadAhead::default();
        assert_eq!(sizes(&mut ahead, 0, 6), [4, 8, 16, 32, 64, 64]);
        for jump in 1..100 {
            assert_eq!(ahead.blocks(jump * 10_000), FIRST);
            ahead.fetched(jump * 10_000, FIRST);
        }
        assert!(ahead.places.len() <= PLACES);
    }

    #[test]
    fn two_readers_by_turns_are_two_steady_readers() {
        let mut ahead = ReadAhead::default();
        let (mut one, mut other) = (0, 1_000_000);
        let mut last = (0, 0);
        for _ in 0..6 {
            last = (ahead.blocks(one), ahead.blocks(other));
            ahead.fetched(one, last.0);
            ahead.fetched(other, last.1);
            (one, other) = (one + last.0, other + last.1);
        }
        assert_eq!(last, (MOST, MOST));
    }
}
