//! A look at a file's outline before any demuxer sees it: is an MP4 complete?

use std::io::{Read, Seek, SeekFrom};

use super::{file::SourceFile, lpcm};

/// What the top level of an MP4 or MOV file says about its completeness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outline {
    /// Not an ISO base media file.
    Other,
    /// Has its index, and everything the outline announces is there.
    Complete,
    /// In fragments, each with an index of its own; plays as far as it goes.
    Fragmented,
    /// Ends before its index (`moov`).
    IndexMissing,
    /// Has its index but ends within the media data (`mdat`).
    DataMissing,
}

/// Boxes that a file of this family starts with.
const FIRST: [&[u8; 4]; 7] = [b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"];
/// Boxes looked at before giving up: a fragmented recording has thousands, and is complete as soon as it has `moov`.
const MAX_BOXES: usize = 10_000;

/// Reads the outline (ISO/IEC 14496-12 4.2: 32-bit size and type, 64-bit size when the first is 1, to the end when 0).
pub(super) fn outline(file: &SourceFile) -> std::io::Result<Outline> {
    let length = file.size()?;
    let mut file = file.open()?;
    let (mut at, mut index, mut fragmented, mut short) = (0u64, false, false, false);
    for count in 0..MAX_BOXES {
        if at >= length {
            break;
        }
        file.seek(SeekFrom::Start(at))?;
        let mut header = [0u8; 16];
        let got = read_some(&mut *file, &mut header)?;
        if got < 8 {
            if count == 0 {
                return Ok(Outline::Other);
            }
            break;
        }
        let kind = [header[4], header[5], header[6], header[7]];
        if count == 0 && !FIRST.iter().any(|first| **first == kind) {
            return Ok(Outline::Other);
        }
        if !kind.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ' || *byte == 0xa9) {
            // Rubbish after the last box; a demuxer ignores it.
            break;
        }
        let size = match u32::from_be_bytes([header[0], header[1], header[2], header[3]]) {
            0 => length - at,
            1 if got == 16 => u64::from_be_bytes(header[8..].try_into().unwrap_or_default()),
            size => u64::from(size),
        };
        if size < 8 {
            break;
        }
        let whole = at.checked_add(size).is_some_and(|end| end <= length);
        match &kind {
            b"moov" if whole => index = true,
            b"moof" => fragmented = true,
            b"mdat" if !whole => short = true,
            _ => {}
        }
        if index && fragmented {
            // Nothing that follows changes this, and a long recording has thousands of fragments.
            return Ok(Outline::Fragmented);
        }
        at = at.saturating_add(size);
    }
    Ok(match (index, fragmented, short) {
        (false, _, _) => Outline::IndexMissing,
        (true, true, _) => Outline::Fragmented,
        (true, false, true) => Outline::DataMissing,
        (true, false, false) => Outline::Complete,
    })
}

/// Boxes looked at among the children of one: a track has a dozen.
const MAX_CHILDREN: usize = 1_000;

/// The display matrix of the first video track (ISO/IEC 14496-12 8.3.2), its upper left part in whole numbers; none without one.
pub(super) fn display_matrix(file: &SourceFile) -> std::io::Result<Option<[i16; 4]>> {
    let length = file.size()?;
    let mut file = file.open()?;
    let file = &mut *file;
    for index in children(file, 0, length, *b"moov")? {
        for track in children(file, index.0, index.1, *b"trak")? {
            let mut picture = false;
            for media in children(file, track.0, track.1, *b"mdia")? {
                for handler in children(file, media.0, media.1, *b"hdlr")? {
                    picture |= read_at::<12>(file, handler.0)?.is_some_and(|body| body[8..] == *b"vide");
                }
            }
            let Some(header) =
                children(file, track.0, track.1, *b"tkhd")?.first().copied().filter(|_| picture)
            else {
                continue;
            };
            // Version 1 has longer times.
            let longer = read_at::<1>(file, header.0)?.is_some_and(|version| version[0] == 1);
            let Some(matrix) = read_at::<20>(file, header.0 + if longer { 52 } else { 40 })? else {
                return Ok(None);
            };
            return Ok(Some([0, 4, 12, 16].map(|at| i16::from_be_bytes([matrix[at], matrix[at + 1]]))));
        }
    }
    Ok(None)
}

/// A track so much shorter than what its file says is left out by `qtdemux`, which takes it for a preview.
const SHORTEST_SHARE: u64 = 5;

/// How long an MP4 is when nothing of it is edited away: the bytes that say so, and where they belong. None where it says no less.
///
/// `qtdemux` of GStreamer 1.22 compares the time within a track, which knows of no edits, with the file's length, which does.
/// So it stops too early by as much as is edited away at the beginning: by the encoder's delay in every file with AAC, and by up
/// to a group of pictures in one that was cut without encoding it.
fn unedited_length(file: &SourceFile) -> std::io::Result<Option<(u64, Vec<u8>)>> {
    let length = file.size()?;
    let mut file = file.open()?;
    let file = &mut *file;
    let Some(index) = children(file, 0, length, *b"moov")?.first().copied() else { return Ok(None) };
    let Some(header) = children(file, index.0, index.1, *b"mvhd")?.first().copied() else { return Ok(None) };
    let Some(movie) = said_length(file, header.0)? else { return Ok(None) };
    let mut tracks = Vec::new();
    for track in children(file, index.0, index.1, *b"trak")? {
        for media in children(file, track.0, track.1, *b"mdia")? {
            for header in children(file, media.0, media.1, *b"mdhd")? {
                let Some(track) = said_length(file, header.0)? else { continue };
                let ticks = u128::from(track.ticks) * u128::from(movie.timescale);
                tracks.push(ticks.div_ceil(u128::from(track.timescale)) as u64);
            }
        }
    }
    let Some(wanted) = longer(movie.ticks, &tracks) else { return Ok(None) };
    let bytes = wanted.to_be_bytes();
    Ok(Some((movie.at, bytes[8 - movie.size..].to_vec())))
}

/// What `qtdemux` must read in place of what an MP4 or MOV says.
#[derive(Debug, Default)]
pub(super) struct Mended {
    /// Bytes, and where they belong.
    pub(super) bytes: Vec<(u64, Vec<u8>)>,
    /// What others must read in place of what it says then.
    pub(super) sound: lpcm::Sound,
}

/// Finds what has to be said in another way.
pub(super) fn mended(file: &SourceFile) -> std::io::Result<Mended> {
    let bytes = unedited_length(file)?.into_iter().collect();
    let mut mended = Mended { bytes, sound: lpcm::Sound::default() };
    let length = file.size()?;
    let mut file = file.open()?;
    let file = &mut *file;
    let mut boxes = vec![(0, length)];
    for kind in [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"] {
        let mut within = Vec::new();
        for (from, to) in boxes {
            within.extend(children(file, from, to, *kind)?);
        }
        boxes = within;
    }
    for (body, end) in boxes {
        // Version, flags and the number of descriptions come first, and all but a handful of files have one.
        let at = body + 8;
        let entry = read_at::<{ lpcm::LENGTH }>(file, at)?.filter(|_| at + lpcm::LENGTH as u64 <= end);
        let Some(entry) = entry else { continue };
        if lpcm::is_long(&entry) {
            for wave in children(file, at + 52, end, *b"wave")? {
                for order in children(file, wave.0, wave.1, *b"enda")? {
                    mended.sound.lowest_first |= read_at::<2>(file, order.0)? == Some([0, 1]);
                }
            }
        }
        if let Some(described) = lpcm::describe(&entry, mended.sound.rates.len()) {
            mended.bytes.push((at + 4, described.words.to_vec()));
            mended.sound.rates.extend(described.rate);
            mended.sound.lowest_first |= described.lowest_first;
        }
    }
    Ok(mended)
}

/// A length that keeps every track and lets each play to its end; none if `said` is one.
fn longer(said: u64, tracks: &[u64]) -> Option<u64> {
    let kept = tracks.iter().filter(|track| track.saturating_mul(SHORTEST_SHARE) >= said);
    let most = kept.clone().min()?.saturating_mul(SHORTEST_SHARE);
    let wanted = (*kept.max()?).min(most);
    // The largest number of four bytes says that nothing is known.
    (said > 0 && wanted > said && wanted < u64::from(u32::MAX)).then_some(wanted)
}

/// What the header of a file or a track says of its length.
struct SaidLength {
    timescale: u32,
    ticks: u64,
    /// Where the ticks are written, in so many bytes.
    at: u64,
    size: usize,
}

/// Reads the body of an `mvhd` or an `mdhd`, which begin alike (ISO/IEC 14496-12 8.2.2 and 8.4.2).
fn said_length(file: &mut (impl Read + Seek + ?Sized), body: u64) -> std::io::Result<Option<SaidLength>> {
    let Some(version) = read_at::<1>(file, body)? else { return Ok(None) };
    // Version 1 has longer times.
    let (times, size) = if version[0] == 1 { (16, 8) } else { (8, 4) };
    let at = body + 4 + times;
    let Some(timescale) = read_at::<4>(file, at)?.map(u32::from_be_bytes).filter(|scale| *scale > 0) else {
        return Ok(None);
    };
    let ticks = if size == 8 {
        read_at::<8>(file, at + 4)?.map(u64::from_be_bytes)
    } else {
        read_at::<4>(file, at + 4)?.map(|ticks| u32::from_be_bytes(ticks).into())
    };
    Ok(ticks.map(|ticks| SaidLength { timescale, ticks, at: at + 4, size }))
}

/// Where the bodies of boxes of a kind lie between two positions: begin and end.
fn children(
    file: &mut (impl Read + Seek + ?Sized),
    from: u64,
    to: u64,
    wanted: [u8; 4],
) -> std::io::Result<Vec<(u64, u64)>> {
    let (mut at, mut found) = (from, Vec::new());
    for _ in 0..MAX_CHILDREN {
        let Some(header) = read_at::<8>(file, at)?.filter(|_| at.saturating_add(8) <= to) else { break };
        let (size, body) = match u32::from_be_bytes([header[0], header[1], header[2], header[3]]) {
            0 => (to - at, 8),
            1 => (read_at::<8>(file, at + 8)?.map_or(0, u64::from_be_bytes), 16),
            size => (u64::from(size), 8),
        };
        let end = at.saturating_add(size).min(to);
        if end < at + body {
            break;
        }
        if header[4..] == wanted {
            found.push((at + body, end));
        }
        at = end;
    }
    Ok(found)
}

/// So many bytes from a position on; none where the file ends before.
fn read_at<const N: usize>(
    file: &mut (impl Read + Seek + ?Sized),
    at: u64,
) -> std::io::Result<Option<[u8; N]>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = [0; N];
    Ok((read_some(file, &mut bytes)? == N).then_some(bytes))
}

fn read_some(file: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read(&mut buffer[got..])? {
            0 => break,
            more => got += more,
        }
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atom(kind: &[u8], body: usize) -> Vec<u8> {
        let mut bytes = ((body + 8) as u32).to_be_bytes().to_vec();
        bytes.extend(kind);
        bytes.resize(body + 8, 0);
        bytes
    }

    fn of(bytes: &[u8]) -> Outline {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        outline(&SourceFile::Whole(path)).unwrap()
    }

    #[test]
    fn the_matrix_of_the_first_picture_is_found() {
        let boxed = |kind: &[u8], parts: &[Vec<u8>]| {
            let body = parts.concat();
            [&((body.len() + 8) as u32).to_be_bytes()[..], kind, &body].concat()
        };
        let track = |handler: &[u8], matrix: [i16; 4]| {
            let mut header = vec![0; 84];
            for (place, value) in [(0, 0), (1, 1), (3, 2), (4, 3)] {
                header[40 + place * 4..][..2].copy_from_slice(&matrix[value].to_be_bytes());
            }
            let handler = boxed(b"hdlr", &[vec![0; 8], handler.to_vec(), vec![0; 13]]);
            boxed(b"trak", &[boxed(b"tkhd", &[header]), boxed(b"mdia", &[handler])])
        };
        let matrix = |bytes: &[u8]| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            std::fs::write(&path, bytes).unwrap();
            display_matrix(&SourceFile::Whole(path)).unwrap()
        };
        let (sound, picture) = (track(b"soun", [1, 0, 0, 1]), track(b"vide", [0, -1, -1, 0]));
        let index = boxed(b"moov", &[sound.clone(), picture]);
        let whole = [atom(b"ftyp", 8), atom(b"mdat", 100), index].concat();
        assert_eq!(matrix(&whole), Some([0, -1, -1, 0]));
        assert_eq!(matrix(&boxed(b"moov", &[sound])), None);
        assert_eq!(matrix(b"no boxes at all, a text"), None);
        assert!(
            (0..whole.len()).all(|end| matrix(&whole[..end]).is_none_or(|found| found == [0, -1, -1, 0]))
        );
    }

    #[test]
    fn a_length_before_edits_is_found_and_keeps_short_tracks() {
        assert_eq!(longer(2_000, &[2_000, 2_022]), Some(2_022));
        assert_eq!(longer(300, &[3_600, 3_500]), Some(3_600), "most is edited away");
        assert_eq!(longer(2_000, &[2_000, 1_900]), None, "nothing is");
        assert_eq!(longer(2_000, &[2_022, 100]), Some(2_022), "a preview, left out before and after");
        assert_eq!(longer(300, &[3_600, 200]), Some(1_000), "a track that would be left out");
        assert_eq!(longer(0, &[2_000]), None, "in fragments");
        assert_eq!(longer(2_000, &[]), None);
        let header = |version: u8, timescale: u32, ticks: u64| {
            let times = if version == 1 { 16 } else { 8 };
            let ticks = &ticks.to_be_bytes()[if version == 1 { 0 } else { 4 }..];
            [&[version, 0, 0, 0][..], &vec![0; times], &timescale.to_be_bytes(), ticks].concat()
        };
        let boxed =
            |kind: &[u8], body: &[u8]| [&((body.len() + 8) as u32).to_be_bytes()[..], kind, body].concat();
        for version in [0, 1] {
            let media = boxed(b"mdhd", &header(version, 48_000, 97_024));
            let track = boxed(b"trak", &boxed(b"mdia", &media));
            let movie = boxed(b"mvhd", &header(version, 1_000, 2_000));
            let whole = [atom(b"ftyp", 8), boxed(b"moov", &[movie, track].concat())].concat();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            std::fs::write(&path, &whole).unwrap();
            let (at, bytes) = unedited_length(&SourceFile::Whole(path)).unwrap().unwrap();
            let mut told = whole.clone();
            told[at as usize..][..bytes.len()].copy_from_slice(&bytes);
            let differing: Vec<usize> = (0..whole.len()).filter(|at| told[*at] != whole[*at]).collect();
            assert_eq!(differing.len(), 1, "2000 and 2022 differ in their last byte");
            assert_eq!(told[differing[0]], 2_022u64.to_be_bytes()[7]);
        }
    }

    #[test]
    fn outlines() {
        let (ftyp, moov, mdat) = (atom(b"ftyp", 16), atom(b"moov", 100), atom(b"mdat", 1000));
        assert_eq!(of(&[ftyp.clone(), moov.clone(), mdat.clone()].concat()), Outline::Complete);
        assert_eq!(of(&[ftyp.clone(), mdat.clone(), moov.clone()].concat()), Outline::Complete);
        assert_eq!(of(&[ftyp.clone(), mdat.clone()].concat()), Outline::IndexMissing);
        assert_eq!(of(&[ftyp.clone(), mdat[..500].to_vec()].concat()), Outline::IndexMissing);
        assert_eq!(of(&[ftyp.clone(), mdat.clone(), moov[..50].to_vec()].concat()), Outline::IndexMissing);
        assert_eq!(of(&[ftyp.clone(), moov.clone(), mdat[..500].to_vec()].concat()), Outline::DataMissing);
        assert_eq!(of(&[ftyp, moov, atom(b"moof", 8), mdat[..500].to_vec()].concat()), Outline::Fragmented);
        assert_eq!(of(b"just some text that is not a film"), Outline::Other);
        assert_eq!(of(b"RIFF"), Outline::Other);
    }
}
