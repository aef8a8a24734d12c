//! The child's side: which blocks are there, and how to get those that are not.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{BLOCK, KEPT, MAX_FETCH, blocks};
use crate::graph::patience;

/// How often a wait looks whether it is still wanted.
const POLL: Duration = Duration::from_millis(50);

/// What the child says to its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Bytes that it waits for.
    Need(Range<u64>),
    /// Bytes that it will not read again without asking.
    Release(Range<u64>),
}

/// The source as far as it is there.
pub(crate) struct Ranges {
    file: File,
    size: u64,
    ask: Box<dyn Fn(&Ask) + Send + Sync>,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Blocks that are in the file, each with the time of its last reading.
    held: BTreeMap<u64, u64>,
    /// Counts readings.
    now: u64,
    /// Whether an answer is on its way. There is one question at a time: demuxers read from one thread at a time, and what
    /// one reader asked for is often what the next would ask for.
    asked: bool,
}

impl Ranges {
    /// A source of `size` bytes whose parts appear in `file` once they have been asked for.
    pub(crate) fn new(file: File, size: u64, ask: impl Fn(&Ask) + Send + Sync + 'static) -> Self {
        Self { file, size, ask: Box::new(ask), state: Mutex::default(), arrived: Condvar::new() }
    }

    /// Length of the whole source.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Reads from `offset` until `buffer` is full or the source ends; how much that was. Waits for what is not there, until
    /// `unwanted` is set ([`io::ErrorKind::Interrupted`]).
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8], unwanted: &AtomicBool) -> io::Result<usize> {
        let end = offset.saturating_add(buffer.len() as u64).min(self.size);
        let mut at = offset;
        while at < end {
            let mut state = self.hold(at..end, unwanted)?;
            let from = at;
            while at < end && state.touch(at / BLOCK) {
                at = ((at / BLOCK + 1) * BLOCK).min(end);
            }
            // Under the lock, so that nobody releases what is being read.
            let part = (from - offset) as usize..(at - offset) as usize;
            self.file.read_exact_at(&mut buffer[part], from)?;
        }
        Ok(end.saturating_sub(offset) as usize)
    }

    /// The parent says that a range is in the file.
    pub(crate) fn arrived(&self, range: &Range<u64>) {
        let mut state = self.lock();
        let now = state.now;
        state.held.extend(blocks(range).map(|block| (block, now)));
        state.asked = false;
        drop(state);
        self.arrived.notify_all();
    }

    /// Wakes who waits, to look at `unwanted` again.
    pub(crate) fn wake(&self) {
        self.arrived.notify_all();
    }

    /// Waits until the first byte of `wanted` is there.
    fn hold(&self, wanted: Range<u64>, unwanted: &AtomicBool) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        loop {
            if state.held.contains_key(&(wanted.start / BLOCK)) {
                return Ok(state);
            }
            if unwanted.load(Ordering::Acquire) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if state.asked {
                let _waiting = patience::waiting();
                (state, _) = self.arrived.wait_timeout(state, POLL).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.asked = true;
            let released = state.make_room();
            // Not under the lock: the parent's answer must get through even when the pipe to it is full.
            drop(state);
            for blocks in released {
                (self.ask)(&Ask::Release(super::bytes(&blocks, self.size)));
            }
            let end = wanted.end.min(wanted.start + MAX_FETCH);
            (self.ask)(&Ask::Need(wanted.start..end));
            state = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes that a block is read; whether it is there.
    fn touch(&mut self, block: u64) -> bool {
        self.now += 1;
        let now = self.now;
        self.held.get_mut(&block).map(|read| *read = now).is_some()
    }

    /// Forgets what was not read for the longest time when the next fetch might not fit: a quarter at once, since finding
    /// it looks at every block.
    fn make_room(&mut self) -> Vec<Range<u64>> {
        let (most, next) = ((KEPT / BLOCK) as usize, (MAX_FETCH / BLOCK) as usize);
        if self.held.len() + next <= most {
            return Vec::new();
        }
        let mut by_age: Vec<(u64, u64)> = self.held.iter().map(|(block, read)| (*read, *block)).collect();
        by_age.sort_unstable();
        by_age.truncate((self.held.len() + next).saturating_sub(most / 4 * 3));
        let mut old: Vec<u64> = by_age.into_iter().map(|(_, block)| block).collect();
        old.sort_unstable();
        let mut runs: Vec<Range<u64>> = Vec::new();
        for block in old {
            self.held.remove(&block);
            match runs.last_mut() {
                Some(run) if run.end == block => run.end += 1,
                _ => runs.push(block..block + 1),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock};

    use super::*;

    /// A source of which everything asked for arrives at once, and what was asked.
    fn answered(size: u64) -> (Arc<Ranges>, Arc<Mutex<Vec<Ask>>>) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        let (log, itself) = (Arc::new(Mutex::new(Vec::new())), Arc::new(OnceLock::<Arc<Ranges>>::new()));
        let (asked, answers) = (Arc::clone(&log), Arc::clone(&itself));
        let ranges = Ranges::new(file, size, move |ask| {
            asked.lock().unwrap().push(ask.clone());
            if let (Ask::Need(range), Some(ranges)) = (ask, answers.get()) {
                ranges.arrived(&super::super::bytes(&blocks(range), ranges.size));
            }
        });
        let ranges = Arc::new(ranges);
        itself.set(Arc::clone(&ranges)).ok().unwrap();
        (ranges, log)
    }

    static WANTED: AtomicBool = AtomicBool::new(false);

    #[test]
    fn what_is_there_is_not_asked_for_again() {
        let (ranges, log) = answered(1_000_000);
        let mut buffer = [0u8; 1_000];
        assert_eq!(ranges.read_at(10, &mut buffer, &WANTED).unwrap(), 1_000);
        assert_eq!(ranges.read_at(20, &mut buffer, &WANTED).unwrap(), 1_000);
        assert_eq!(*log.lock().unwrap(), [Ask::Need(10..1_010)]);
        // Past the end there is nothing, and nobody is asked.
        assert_eq!(ranges.read_at(999_500, &mut buffer, &WANTED).unwrap(), 500);
        assert_eq!(ranges.read_at(1_000_000, &mut buffer, &WANTED).unwrap(), 0);
        assert_eq!(ranges.read_at(u64::MAX - 5, &mut buffer, &WANTED).unwrap(), 0);
        assert_eq!(log.lock().unwrap().len(), 2);
    }

    #[test]
    fn a_long_reading_keeps_within_its_bound() {
        let size = 3 * KEPT;
        let (ranges, log) = answered(size);
        let mut buffer = vec![0u8; 1 << 20];
        let mut at = 0;
        while at < size {
            at += ranges.read_at(at, &mut buffer, &WANTED).unwrap() as u64;
            assert!(ranges.lock().held.len() as u64 * BLOCK <= KEPT);
            // The beginning is looked at all the time, and stays.
            assert_eq!(ranges.read_at(0, &mut [0u8; 8], &WANTED).unwrap(), 8);
        }
        let log = log.lock().unwrap();
        let length = |wanted: bool| -> u64 {
            log.iter()
                .map(|ask| match ask {
                    Ask::Need(range) if wanted => range.end - range.start,
                    Ask::Release(range) if !wanted => range.end - range.start,
                    _ => 0,
                })
                .sum()
        };
        assert_eq!(length(true), size, "everything was asked for once");
        assert!(length(false) >= size - KEPT, "{}", length(false));
    }

    #[test]
    fn many_readers_get_their_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let size = 40 * BLOCK + 77;
        let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        std::fs::write(file.path(), &bytes).unwrap();
        let (send, asked) = std::sync::mpsc::channel();
        let ranges = Arc::new(Ranges::new(file.reopen().unwrap(), size, move |ask| {
            let _ = send.send(ask.clone());
        }));
        let answers = Arc::clone(&ranges);
        std::thread::spawn(move || {
            while let Ok(Ask::Need(range)) = asked.recv() {
                std::thread::sleep(Duration::from_millis(1));
                answers.arrived(&range);
            }
        });
        std::thread::scope(|scope| {
            for reader in 0..8u64 {
                let (ranges, bytes) = (&ranges, &bytes);
                scope.spawn(move || {
                    for step in 0..200u64 {
                        let offset = (reader * 7_919 + step * 104_729) % size;
                        let mut buffer = vec![0u8; 100_000];
                        let read = ranges.read_at(offset, &mut buffer, &WANTED).unwrap();
                        assert_eq!(buffer[..read], bytes[offset as usize..offset as usize + read]);
                    }
                });
            }
        });
    }

    #[test]
    fn who_is_no_longer_wanted_waits_no_longer_and_the_wait_is_counted() {
        let file = tempfile::tempfile().unwrap();
        let ranges = Arc::new(Ranges::new(file, 1_000, |_| {}));
        let unwanted = Arc::new(AtomicBool::new(false));
        let before = patience::waited();
        let reader = {
            let (ranges, unwanted) = (Arc::clone(&ranges), Arc::clone(&unwanted));
            std::thread::spawn(move || ranges.read_at(0, &mut [0u8; 10], &unwanted).unwrap_err().kind())
        };
        std::thread::sleep(Duration::from_millis(150));
        unwanted.store(true, Ordering::Release);
        ranges.wake();
        assert_eq!(reader.join().unwrap(), io::ErrorKind::Interrupted);
        assert!(patience::waited() >= before + Duration::from_millis(100));
    }
}
