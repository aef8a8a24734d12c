//! Reads written segments back: what is reported is what is in the files.

use std::{
    fs::File,
    io::{BufReader, Seek, SeekFrom},
    path::Path,
};

use lectern_domain::media::SegmentOutput;
use mp4_atom::{Atom, Header, Moof, Moov, ReadAtom, ReadFrom};

use super::{MediaFailure, mux::Names};

/// Ticks per second of the track in an init segment.
pub(super) fn timescale(init: &Path) -> Result<u32, MediaFailure> {
    let mut found = None;
    each_box(init, &mut |header, reader| {
        if header.kind == Moov::KIND {
            let moov = Moov::read_atom(header, reader).map_err(broken(init))?;
            found = moov.trak.first().map(|trak| trak.mdia.mdhd.timescale);
            return Ok(true);
        }
        Ok(false)
    })?;
    found.ok_or_else(|| MediaFailure::internal(format!("{}: expected a track in moov", init.display())))
}

/// Times, samples and size of one segment file.
pub(super) fn segment(names: &Names, index: u32) -> Result<SegmentOutput, MediaFailure> {
    let file = names.segment(index);
    let path = names.folder.join(&file);
    let (mut start, mut duration, mut samples) = (None::<i64>, 0u64, 0u32);
    each_box(&path, &mut |header, reader| {
        if header.kind != Moof::KIND {
            return Ok(false);
        }
        let moof = Moof::read_atom(header, reader).map_err(broken(&path))?;
        for traf in &moof.traf {
            let mut decode = traf.tfdt.as_ref().map_or(0, |tfdt| tfdt.base_media_decode_time) as i64;
            let default = traf.tfhd.default_sample_duration.unwrap_or(0);
            for entry in traf.trun.iter().flat_map(|run| run.samples.iter()) {
                let shown = decode + entry.cts.unwrap_or(0);
                start = Some(start.map_or(shown, |start| start.min(shown)));
                let length = entry.duration.unwrap_or(default);
                decode += i64::from(length);
                duration += u64::from(length);
                samples += 1;
            }
        }
        Ok(true)
    })?;
    let start =
        start.ok_or_else(|| MediaFailure::internal(format!("{file}: expected samples, found none")))?;
    let bytes = std::fs::metadata(&path)?.len();
    Ok(SegmentOutput {
        index,
        file,
        start_ticks: start.max(0) as u64,
        duration_ticks: duration,
        samples,
        bytes,
    })
}

/// Looks at one box; says whether it has read the body.
type Visit<'a> = &'a mut dyn FnMut(&Header, &mut BufReader<File>) -> Result<bool, MediaFailure>;

/// Walks the top-level boxes.
fn each_box(path: &Path, visit: Visit<'_>) -> Result<(), MediaFailure> {
    let mut reader = BufReader::new(File::open(path)?);
    while let Some(header) = <Option<Header> as ReadFrom>::read_from(&mut reader).map_err(broken(path))? {
        if !visit(&header, &mut reader)? {
            match header.size {
                Some(size) => reader.seek(SeekFrom::Current(size as i64))?,
                None => reader.seek(SeekFrom::End(0))?,
            };
        }
    }
    Ok(())
}

fn broken(path: &Path) -> impl Fn(mp4_atom::Error) -> MediaFailure + '_ {
    move |error| MediaFailure::internal(format!("{}: {error}", path.display()))
}
