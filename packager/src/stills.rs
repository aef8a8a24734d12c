//! Stills of a package: the pictures that the spans kept, put together into a poster, one sheet of a storyboard and one of the
//! chapters, and sealed. Nothing is decoded here: pictures come as they were shown, and leave as JPEG.
//!
//! The waveform of the default sound goes with them: its audio job has made it, and here it is looked at and sealed.
//!
//! Stills are content. They lie beside the segments, encrypted under a key of their own, which no player gets: the license
//! server opens them for whoever may play the lesson (docs/adr/0014).

use bytes::Bytes;
use image::{ExtendedColorType, ImageEncoder as _, codecs::jpeg::JpegEncoder};
use lectern_domain::{
    ids::{AssetId, PackageId},
    keys::{AssetSecret, secret_context},
    media::{TrackKind, TranscodeOutput},
    stills::{
        self, CHAPTER_SIDE, Chosen, PICTURES, PackageStills, Picture, REPORT, SHEETS, Sheet, SpanStills,
        TILE_SIDE,
    },
    storage_key,
    waveform::{self, Waveform},
};
use lectern_platform::{
    objects::{Objects, ObjectsError},
    seal::Seal,
};
use lectern_store::{
    assets::Asset,
    chapters::{self, Chapter},
    pipeline::JobFailure,
};

use crate::jobs::{PackagerJobs, internal, unavailable};

/// Columns of a sheet.
const COLUMNS: u32 = 10;
/// Quality of a JPEG, of a hundred.
const QUALITY: u8 = 80;
/// Bytes that a span's report may have. It comes from a process that has read the source.
const MOST_REPORT_BYTES: u64 = 1 << 20;

/// Why there are no stills.
#[derive(Debug, thiserror::Error)]
enum NoStills {
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    #[error("{0}")]
    Report(String),
}

impl PackagerJobs {
    /// Makes what stills there can be for a package that is being built, and keeps its waveform. `sources` are where the files of
    /// the jobs lie that reported `outputs`.
    ///
    /// A lecture is worth as much without them: only a store that does not answer is a failure.
    pub(crate) async fn add_stills(
        &self,
        asset: &Asset,
        package: PackageId,
        outputs: &[TranscodeOutput],
        sources: &[String],
    ) -> Result<(), JobFailure> {
        let Some(wrapped) = asset.wrapped_secret.as_deref() else { return Ok(()) };
        let bytes = self.vault.unwrap(&secret_context(asset.id), wrapped).await.map_err(unavailable)?;
        let bytes: [u8; 32] =
            bytes.as_slice().try_into().map_err(|_| internal("expected an asset secret of 32 bytes"))?;
        let seal = Seal::new(&AssetSecret::from_bytes(bytes).stills_key(package));
        let made = make(self.objects.as_ref(), asset.id, package, sources, &seal).await;
        let made = there(made, asset, package, "no stills")?;
        let sound = default_sound(outputs, sources);
        let waveform = keep_waveform(self.objects.as_ref(), asset.id, package, sound, &seal).await;
        let waveform = there(waveform, asset, package, "no waveform")?.is_some();
        if made.is_none() && !waveform {
            return Ok(());
        }
        let Made { stills, chapters } = made.unwrap_or_default();
        let found = chapters::Found { stills: PackageStills { waveform, ..stills }, chapters };
        chapters::keep_found(&self.db, package, &found).await.map_err(unavailable)
    }
}

/// What could be made; where nothing could be, the log says why.
fn there<T>(
    made: Result<Option<T>, NoStills>,
    asset: &Asset,
    package: PackageId,
    without: &str,
) -> Result<Option<T>, JobFailure> {
    match made {
        Ok(made) => Ok(made),
        Err(NoStills::Objects(error)) => Err(unavailable(error)),
        Err(NoStills::Report(detail)) => {
            tracing::warn!(asset = %asset.id, %package, detail, "{without}");
            Ok(None)
        }
    }
}

/// Where the files of the default sound lie: the first that there is.
fn default_sound<'a>(outputs: &[TranscodeOutput], sources: &'a [String]) -> Option<&'a str> {
    let is_sound = |output: &TranscodeOutput| {
        output.tracks.iter().any(|track| matches!(track.kind, TrackKind::Audio { .. }))
    };
    outputs.iter().zip(sources).find(|(output, _)| is_sound(output)).map(|(_, source)| source.as_str())
}

/// Seals the waveform that a sound's job made. `None`: it made none, as jobs of earlier versions.
async fn keep_waveform(
    objects: &dyn Objects,
    asset: AssetId,
    package: PackageId,
    sound: Option<&str>,
    seal: &Seal,
) -> Result<Option<()>, NoStills> {
    let Some(sound) = sound else { return Ok(None) };
    let key = format!("{sound}{}", waveform::FILE);
    let Some(size) = objects.size(&key).await? else { return Ok(None) };
    if size > waveform::MOST_BYTES {
        let most = waveform::MOST_BYTES;
        return Err(NoStills::Report(format!("{key} has {size} bytes, expected {most} at most")));
    }
    let Some(bytes) = objects.get(&key).await? else { return Ok(None) };
    Waveform::from_bytes(&bytes).map_err(|reason| NoStills::Report(format!("{key}: {reason}")))?;
    let kept = storage_key::still(asset, package, waveform::FILE);
    objects.put(&kept, Bytes::from(seal.seal(&kept, &bytes))).await?;
    Ok(Some(()))
}

#[derive(Default)]
struct Made {
    stills: PackageStills,
    chapters: Vec<Chapter>,
}

/// What a span kept, and where its pictures are.
struct Kept {
    reports: Vec<SpanStills>,
    pictures: Vec<String>,
}

async fn make(
    objects: &dyn Objects,
    asset: AssetId,
    package: PackageId,
    sources: &[String],
    seal: &Seal,
) -> Result<Option<Made>, NoStills> {
    let kept = read(objects, sources).await?;
    let Some(last) = kept.reports.last() else { return Ok(None) };
    let duration_ms = last.last.at_ms;
    let store = async |name: &str, jpeg: Vec<u8>| {
        let key = storage_key::still(asset, package, name);
        objects.put(&key, Bytes::from(seal.seal(&key, &jpeg))).await
    };
    let mut made = PackageStills::default();

    if let Some(poster) = stills::poster(&kept.reports) {
        let pixels = pixels(objects, &kept, poster).await?;
        store(SHEETS.poster, jpeg(&pixels, poster.picture.width, poster.picture.height)?).await?;
        made.poster = true;
    }
    let tiles = stills::storyboard(&kept.reports);
    if let Some((sheet, jpeg)) = sheet(objects, &kept, &tiles, TILE_SIDE).await? {
        store(SHEETS.storyboard, jpeg).await?;
        made.storyboard = Some((sheet, kept.reports[0].interval_ms));
    }
    let found = stills::chapters(&kept.reports, duration_ms);
    let tiles: Vec<Chosen> = found.iter().map(|chapter| chapter.still).collect();
    if let Some((sheet, jpeg)) = sheet(objects, &kept, &tiles, CHAPTER_SIDE).await? {
        store(SHEETS.chapters, jpeg).await?;
        made.chapters = Some(sheet);
    }
    let chapter = |(tile, found): (usize, &stills::FoundChapter)| Chapter {
        start_ms: found.start_ms,
        title: String::new(),
        tile: made.chapters.map(|_| tile as u32),
    };
    let chapters = found.iter().enumerate().map(chapter).collect();
    Ok(Some(Made { stills: made, chapters }))
}

/// The reports of the spans that have one.
async fn read(objects: &dyn Objects, sources: &[String]) -> Result<Kept, NoStills> {
    let mut kept = Kept { reports: Vec::new(), pictures: Vec::new() };
    for source in sources {
        let key = format!("{source}{REPORT}");
        match objects.size(&key).await? {
            None => continue,
            Some(bytes) if bytes > MOST_REPORT_BYTES => {
                return Err(NoStills::Report(format!(
                    "{key} has {bytes} bytes, expected {MOST_REPORT_BYTES} at most"
                )));
            }
            Some(_) => {}
        }
        let Some(bytes) = objects.get(&key).await? else { continue };
        let report =
            serde_json::from_slice(&bytes).map_err(|error| NoStills::Report(format!("{key}: {error}")))?;
        kept.reports.push(report);
        kept.pictures.push(format!("{source}{PICTURES}"));
    }
    Ok(kept)
}

/// The pixels of a picture: RGB.
async fn pixels(objects: &dyn Objects, kept: &Kept, chosen: Chosen) -> Result<Vec<u8>, NoStills> {
    let Picture { offset, .. } = chosen.picture;
    let key = &kept.pictures[chosen.span];
    let wrong = |what: &str| NoStills::Report(format!("{key}: {what} at {offset}"));
    let bytes = chosen.picture.bytes().ok_or_else(|| wrong("a picture of no size that there is"))?;
    let end = offset.checked_add(bytes).ok_or_else(|| wrong("a picture past the end"))?;
    if objects.size(key).await?.is_none_or(|size| size < end) {
        return Err(wrong("a picture past the end"));
    }
    let part = objects.open(key, Some(offset..end)).await?.ok_or_else(|| wrong("no picture"))?;
    let mut pixels = Vec::with_capacity(bytes as usize);
    let mut stream = part.stream;
    while let Some(more) = futures::StreamExt::next(&mut stream).await {
        let more = more.map_err(|error| NoStills::Report(format!("{key}: {error}")))?;
        pixels.extend_from_slice(&more);
    }
    if pixels.len() as u64 != bytes {
        return Err(wrong("a picture that is cut off"));
    }
    Ok(pixels)
}

/// Pictures side by side, and their JPEG. `None` where there is no picture.
async fn sheet(
    objects: &dyn Objects,
    kept: &Kept,
    tiles: &[Chosen],
    side: u32,
) -> Result<Option<(Sheet, Vec<u8>)>, NoStills> {
    let Some(first) = tiles.first() else { return Ok(None) };
    let Picture { width, height, .. } = first.picture;
    let fits = (1..=side).contains(&width) && (1..=side).contains(&height);
    if !fits || tiles.iter().any(|tile| (tile.picture.width, tile.picture.height) != (width, height)) {
        return Err(NoStills::Report("pictures of one sheet have different sizes".into()));
    }
    let sheet = Sheet { columns: COLUMNS.min(tiles.len() as u32), width, height, count: tiles.len() as u32 };
    let (total_width, total_height) = sheet.size();
    let row = width as usize * 3;
    let mut all = vec![0; total_width as usize * total_height as usize * 3];
    let mut before: Option<(Chosen, Vec<u8>)> = None;
    for (at, tile) in tiles.iter().enumerate() {
        let picture = match before.take() {
            Some((chosen, picture)) if chosen == *tile => picture,
            _ => pixels(objects, kept, *tile).await?,
        };
        let (x, y) = sheet.place(at as u32);
        for (line, pixels) in picture.chunks_exact(row).enumerate() {
            let start = ((y as usize + line) * total_width as usize + x as usize) * 3;
            all[start..start + row].copy_from_slice(pixels);
        }
        before = Some((*tile, picture));
    }
    Ok(Some((sheet, jpeg(&all, total_width, total_height)?)))
}

fn jpeg(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, NoStills> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .write_image(pixels, width, height, ExtendedColorType::Rgb8)
        .map_err(|error| {
            NoStills::Report(format!("{width}x{height} pixels do not become a JPEG: {error}"))
        })?;
    Ok(jpeg)
}
