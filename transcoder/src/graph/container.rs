//! A look at a file's outline before any demuxer sees it: is an MP4 complete?

use std::io::{Read, Seek, SeekFrom};

use super::file::SourceFile;

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
