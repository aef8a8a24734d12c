//! Bytes that lie: every one of them is an error or a truthful answer, none a panic, a hang or a flood of memory.

use std::{sync::LazyLock, time::Instant};

use lectern_packager::cmaf::{CmafError, InitSegment, MediaSegment};
use proptest::prelude::*;

use crate::clip::Clip;

/// Init and first segment of a small video and of audio.
static REAL: LazyLock<Vec<(Vec<u8>, Vec<u8>)>> = LazyLock::new(|| {
    [Clip::video("90p", "160x90"), Clip::audio("audio-0")]
        .iter()
        .map(|clip| (clip.init(), clip.segments().remove(0)))
        .collect()
});

fn boxed(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes(), &kind[..], body].concat()
}

/// Where the box of a kind begins.
fn find(bytes: &[u8], kind: [u8; 4]) -> usize {
    bytes.windows(4).position(|window| window == kind).expect("the box is there") - 4
}

#[test]
fn truncated_anywhere_is_an_error() {
    for (init_bytes, segment) in &*REAL {
        let init = InitSegment::read(init_bytes).expect("init segment");
        for end in 0..init_bytes.len() {
            assert!(InitSegment::read(&init_bytes[..end]).is_err(), "init cut at {end}");
        }
        for end in 0..segment.len() {
            assert!(MediaSegment::read(&segment[..end], &init).is_err(), "segment cut at {end}");
        }
    }
}

#[test]
fn nested_without_end_is_refused_with_a_flat_stack() {
    let mut nest = Vec::new();
    for depth in (1..=200_000u32).rev() {
        nest.extend((depth * 8).to_be_bytes());
        nest.extend(b"moov");
    }
    let (init, _) = &REAL[0];
    let ftyp = &init[..find(init, *b"moov")];
    assert_eq!(InitSegment::read(&[ftyp, &nest].concat()), Err(CmafError::Missing("trak")));
    // Nested where mp4-atom would descend: inside the sample entry.
    let avcc = find(init, *b"avcC");
    let deep = [&init[..avcc], &nest, &init[avcc..]].concat();
    assert!(InitSegment::read(&deep).is_err());
}

#[test]
fn four_billion_samples_in_eight_bytes_end_at_once() {
    let (init_bytes, _) = &REAL[1];
    let init = InitSegment::read(init_bytes).expect("init segment");
    let tfhd = boxed(*b"tfhd", &[&[0, 2, 0, 0], &init.track_id.to_be_bytes()[..]].concat());
    let tfdt = boxed(*b"tfdt", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for count in [u32::MAX, 1 << 30, 2] {
        for flags in [[0u8, 0, 0, 0], [0, 0, 3, 0]] {
            let trun = boxed(*b"trun", &[&flags[..], &count.to_be_bytes()].concat());
            let traf = boxed(*b"traf", &[&tfhd[..], &tfdt, &trun].concat());
            let segment = [boxed(*b"moof", &traf), boxed(*b"mdat", b"x")].concat();
            let start = Instant::now();
            assert!(MediaSegment::read(&segment, &init).is_err());
            assert!(start.elapsed().as_secs_f64() < 0.1);
        }
    }
}

#[test]
fn encrypted_doubled_and_missing_boxes_say_what_is_wrong() {
    let (init, segment) = &REAL[0];
    let replaced = |from: &[u8; 4], to: &[u8; 4]| {
        let mut bytes = init.clone();
        let at = find(&bytes, *from) + 4;
        bytes[at..at + 4].copy_from_slice(to);
        InitSegment::read(&bytes).expect_err("a changed init segment").to_string()
    };
    let table = [
        (replaced(b"avc1", b"encv"), "got encv"),
        (replaced(b"avcC", b"hvcC"), "a avcC box, got none"),
        (replaced(b"trex", b"free"), "a trex box, got none"),
        (replaced(b"mdhd", b"free"), "a mdhd box, got none"),
        (replaced(b"trak", b"free"), "a trak box, got none"),
    ];
    for (got, expected) in table {
        assert!(got.contains(expected), "expected {expected:?} in {got:?}");
    }
    let moov = find(init, *b"moov");
    let twice = [&init[..], &init[moov..]].concat();
    assert_eq!(InitSegment::read(&twice), Err(CmafError::Several("moov")));
    let good = InitSegment::read(init).expect("init segment");
    let moof = find(segment, *b"moof");
    let mdat = find(segment, *b"mdat");
    for bad in [&segment[..moof], &segment[..mdat], &segment[mdat..]] {
        assert!(matches!(MediaSegment::read(bad, &good), Err(CmafError::Missing(_))));
    }
    // The same fragment again starts at a time that has passed.
    let again = [&segment[..], &segment[moof..]].concat();
    assert!(MediaSegment::read(&again, &good).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// Some bytes of the headers are replaced, a piece is cut out or doubled.
    #[test]
    fn changed_bytes_never_panic(
        which in 0usize..2,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        piece in any::<(prop::sample::Index, prop::sample::Index)>(),
        double in any::<Option<bool>>(),
    ) {
        let (init_bytes, segment) = &REAL[which];
        let good = InitSegment::read(init_bytes).expect("init segment");
        let headers = segment.len().min(find(segment, *b"mdat") + 64);
        for (bytes, reach) in [(init_bytes, init_bytes.len()), (segment, headers)] {
            let mut changed = bytes.clone();
            for (at, value) in &changes {
                changed[at.index(reach)] = *value;
            }
            let (a, b) = (piece.0.index(reach), piece.1.index(reach));
            let range = a.min(b)..a.max(b);
            match double {
                None => {}
                Some(true) => { let copy = changed[range.clone()].to_vec(); changed.splice(range.start..range.start, copy); }
                Some(false) => { changed.drain(range); }
            }
            if let Ok(init) = InitSegment::read(&changed) {
                let _ = MediaSegment::read(segment, &init);
            }
            if let Ok(read) = MediaSegment::read(&changed, &good) {
                prop_assert_eq!(read.bytes, changed.len() as u64);
                prop_assert!(read.samples > 0 && u64::from(read.samples) <= read.bytes);
            }
        }
    }

    #[test]
    fn noise_is_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let good = InitSegment::read(&REAL[0].0).expect("init segment");
        prop_assert!(InitSegment::read(&bytes).is_err());
        prop_assert!(MediaSegment::read(&bytes, &good).is_err());
    }
}
