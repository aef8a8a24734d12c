//! Building a package: clear segments in, encrypted segments and manifests out, each object read back and checked.
//!
//! The same function serves the package job of a server and `lectern encode`.

use bytes::Bytes;
use lectern_domain::{
    keys::{AssetSecret, ContentKey, KeyName},
    media::{Rendition, TranscodeOutput},
};
use lectern_platform::objects::{Objects, ObjectsError};

use crate::{
    aes128,
    check::{CheckError, check_segment},
    cmaf::{CmafError, InitSegment},
    layout::{LayoutError, PackageKeys, PackageLayout, TrackLayout},
};

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
}

/// What was built.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// What the package offers.
    pub renditions: Vec<Rendition>,
    /// Duration of the longest track.
    pub duration_ms: u64,
    /// Media segments written or found written.
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
            let init = self.write_init(track).await?;
            let key = track.key.as_ref().and_then(|name| self.content_key(name));
            let mut previous = None;
            for segment in &track.segments {
                let name = format!("{}{}", self.target, segment.object);
                if self.objects.size(&name).await? != Some(segment.object_bytes) {
                    let source = format!("{}{}", self.sources[segment.source.output], segment.source.file);
                    let mut bytes = Vec::from(self.read(&source).await?);
                    if let Some(key) = &key {
                        let iv = aes128::segment_iv(key, &track.name, segment.index);
                        aes128::encrypt_in_place(key, &iv, &mut bytes);
                    }
                    self.objects.put(&name, Bytes::from(bytes)).await?;
                }
                let mut written = Vec::from(self.read(&name).await?);
                let checked =
                    check_segment(track, segment, &init, key.as_ref(), previous.as_ref(), &mut written)
                        .map_err(|source| BuildError::Check { name, source })?;
                previous = Some(checked);
                done += 1;
                progress(done as f64 / total as f64);
            }
            inits.push(init);
        }
        let manifests = layout.manifests(&inits, |name| {
            self.content_key(name).expect("a layout with key names was made from a secret")
        })?;
        for (name, text) in &manifests.playlists {
            self.objects.put(&format!("{}{name}", self.target), Bytes::from(text.clone())).await?;
        }
        let duration_us =
            layout.tracks.iter().map(|track| track.segments.iter().map(|s| s.duration_us).sum::<u64>()).max();
        Ok(Built {
            renditions: manifests.renditions,
            duration_ms: duration_us.unwrap_or(0) / 1_000,
            segments: done,
        })
    }

    fn content_key(&self, name: &KeyName) -> Option<ContentKey> {
        self.keys.map(|(_, secret)| secret.content_key(name.kid, name.period, name.class))
    }

    async fn read(&self, key: &str) -> Result<Bytes, BuildError> {
        self.objects.get(key).await?.ok_or_else(|| BuildError::Missing(key.to_owned()))
    }

    /// Publishes a track's first init segment, after seeing that every span's segments can be read with it.
    async fn write_init(&self, track: &TrackLayout) -> Result<InitSegment, BuildError> {
        let mut published: Option<(InitSegment, Bytes)> = None;
        for source in &track.init_sources {
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
