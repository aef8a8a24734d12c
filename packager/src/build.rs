//! Building a package: clear segments in, encrypted segments and manifests out, each object read back and checked.
//!
//! The same function serves the package job of a server and `lectern encode`.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::StreamExt as _;
use lectern_domain::{
    keys::{AssetSecret, ContentKey, KeyName},
    media::{Rendition, TranscodeOutput},
};
use lectern_platform::objects::{Objects, ObjectsError};

use crate::{
    aes128,
    check::{CheckError, check_segment},
    cmaf::{CmafError, InitSegment},
    layout::{LayoutError, PackageKeys, PackageLayout, SegmentLayout, TrackLayout},
    manifests::Growing,
};

/// Segments that are on their way at a time. A disk that is asked to keep each, or a bucket, takes its time, and not more for several.
const WRITTEN_AT_ONCE: usize = 4;

/// Why a package could not be built. Nothing of it is visible to players then: no pointer has moved.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The object store; another attempt may succeed.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// Something that was stored is gone.
    #[error("expected an object at {0}, got nothing")]
    Missing(String),
    /// The parts do not make a whole.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// An init segment is not what the packager can publish.
    #[error("{name}: {source}")]
    Init {
        /// Which.
        name: String,
        /// Why.
        source: CmafError,
    },
    /// Two jobs made init segments for one track that do not fit each other.
    #[error("{name}: spans differ in {what}")]
    Spans {
        /// Which track.
        name: String,
        /// In what.
        what: &'static str,
    },
    /// A written segment, read back, is not what its playlist says.
    #[error("{name}: {source}")]
    Check {
        /// Which.
        name: String,
        /// Why.
        source: CheckError,
    },
}

/// What to build, from where to where.
#[derive(Debug)]
pub struct Build<'a> {
    /// Where everything lies.
    pub objects: &'a dyn Objects,
    /// Results of the transcode jobs: spans in order, then audio tracks.
    pub outputs: &'a [TranscodeOutput],
    /// For each of these, the prefix under which its files lie.
    pub sources: &'a [String],
    /// The prefix of the package.
    pub target: &'a str,
    /// Key names and the secret they are derived from; absent for clear segments.
    pub keys: Option<(PackageKeys, &'a AssetSecret)>,
    /// Segments that an earlier build of this package wrote and checked, by the track's name. They stay as they are.
    pub done: &'a BTreeMap<String, u32>,
    /// Which playlists to write.
    pub playlists: Playlists<'a>,
}

/// The playlists that a build writes.
#[derive(Debug, Clone, Copy)]
pub enum Playlists<'a> {
    /// Of a whole package.
    Whole,
    /// Of what there is so far.
    Growing(&'a Growing),
    /// Of a whole package, and the last form of those that grew while it was made.
    Grown(&'a Growing),
}

/// What was built.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// What the package offers.
    pub renditions: Vec<Rendition>,
    /// Duration of the longest track.
    pub duration_ms: u64,
    /// Media segments in it.
    pub segments: usize,
}

impl Build<'_> {
    /// Builds the package. `progress` hears from 0 to 1.
    ///
    /// A repeated build writes the same bytes to the same names; objects that are there whole are not written again.
    pub async fn run(&self, progress: impl Fn(f64) + Send + Sync) -> Result<Built, BuildError> {
        let layout = PackageLayout::new(self.outputs, self.keys.map(|(names, _)| names))?;
        let total = layout.tracks.iter().map(|track| track.segments.len()).sum::<usize>().max(1);
        let mut inits = Vec::new();
        let mut done = 0;
        for track in &layout.tracks {
            let there = self.done.get(&track.name).copied().unwrap_or(0) as usize;
            let init = self.write_init(track, there).await?;
            let key = track.key.as_ref().and_then(|name| self.content_key(name));
            let key = key.as_ref();
            let mut previous = None;
            // The last of those that are there is read once more: what follows must go on from it.
            let first = there.saturating_sub(1);
            let mut writing = Vec::new();
            for (at, segment) in track.segments.iter().enumerate().skip(first) {
                writing.push(self.write_segment(track, segment, key, at < there));
            }
            let mut written =
                futures::stream::iter(writing).buffered(WRITTEN_AT_ONCE).zip(futures::stream::iter(first..));
            while let Some((written, at)) = written.next().await {
                let (segment, name, bytes) = written?;
                let mut bytes = Vec::from(bytes);
                let checked = check_segment(track, segment, &init, key, previous.as_ref(), &mut bytes)
                    .map_err(|source| BuildError::Check { name, source })?;
                previous = Some(checked);
                progress((done + at + 1) as f64 / total as f64);
            }
            drop(written);
            done += track.segments.len();
            inits.push(init);
        }
        let renditions = self.write_playlists(&layout, &inits).await?;
        let duration_us =
            layout.tracks.iter().map(|track| track.segments.iter().map(|s| s.duration_us).sum::<u64>()).max();
        Ok(Built { renditions, duration_ms: duration_us.unwrap_or(0) / 1_000, segments: done })
    }

    /// Writes a segment that is not there yet, and reads what is there then: its name and its bytes.
    async fn write_segment<'s>(
        &self,
        track: &TrackLayout,
        segment: &'s SegmentLayout,
        key: Option<&ContentKey>,
        there: bool,
    ) -> Result<(&'s SegmentLayout, String, Bytes), BuildError> {
        let name = format!("{}{}", self.target, segment.object);
        if !there && self.objects.size(&name).await? != Some(segment.object_bytes) {
            let source = format!("{}{}", self.sources[segment.source.output], segment.source.file);
            let mut bytes = Vec::from(self.read(&source).await?);
            if let Some(key) = key {
                let iv = aes128::segment_iv(key, &track.name, segment.index);
                aes128::encrypt_in_place(key, &iv, &mut bytes);
            }
            self.objects.put(&name, Bytes::from(bytes)).await?;
        }
        let written = self.read(&name).await?;
        Ok((segment, name, written))
    }

    async fn write_playlists(
        &self,
        layout: &PackageLayout,
        inits: &[InitSegment],
    ) -> Result<Vec<Rendition>, BuildError> {
        let key =
            |name: &KeyName| self.content_key(name).expect("a layout with key names was made from a secret");
        let (whole, growing) = match self.playlists {
            Playlists::Whole => (true, None),
            Playlists::Growing(growing) => (false, Some((growing, false))),
            Playlists::Grown(growing) => (true, Some((growing, true))),
        };
        let whole = whole.then(|| layout.manifests(inits, key)).transpose()?;
        let growing =
            growing.map(|(of, ended)| layout.growing_manifests(inits, key, of, ended)).transpose()?;
        // Whoever plays from a growing playlist learns of its end before others begin with the whole one.
        for (name, text) in growing.iter().chain(&whole).flat_map(|manifests| &manifests.playlists) {
            self.objects.put(&format!("{}{name}", self.target), Bytes::from(text.clone())).await?;
        }
        Ok(whole.or(growing).map_or_else(Vec::new, |manifests| manifests.renditions))
    }

    fn content_key(&self, name: &KeyName) -> Option<ContentKey> {
        self.keys.map(|(_, secret)| secret.content_key(name.kid, name.period, name.class))
    }

    async fn read(&self, key: &str) -> Result<Bytes, BuildError> {
        self.objects.get(key).await?.ok_or_else(|| BuildError::Missing(key.to_owned()))
    }

    /// Publishes a track's first init segment, after seeing that every span's segments can be read with it. Of spans whose
    /// segments are among the first `there` that was seen before.
    async fn write_init(&self, track: &TrackLayout, there: usize) -> Result<InitSegment, BuildError> {
        let mut published: Option<(InitSegment, Bytes)> = None;
        let next = track.segments.get(there).map_or(usize::MAX, |segment| segment.source.output);
        let sources = track.init_sources.iter().enumerate();
        for (_, source) in sources.filter(|(at, source)| *at == 0 || source.output >= next) {
            let name = format!("{}{}", self.sources[source.output], source.file);
            let bytes = self.read(&name).await?;
            let init = InitSegment::read(&bytes).map_err(|source| BuildError::Init { name, source })?;
            match &published {
                None => published = Some((init, bytes)),
                Some((first, _)) => {
                    first.fits(&init).map_err(|what| BuildError::Spans { name: track.name.clone(), what })?;
                }
            }
        }
        let (init, bytes) = published.ok_or(LayoutError::Empty)?;
        self.objects.put(&format!("{}{}", self.target, track.init), bytes).await?;
        Ok(init)
    }
}
