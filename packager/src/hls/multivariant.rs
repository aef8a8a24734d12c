//! Multivariant playlists (RFC 8216bis, 4.4.6): the rungs to choose from and the audio that goes with them.

use std::fmt;

use hls_m3u8::{
    tags::{ExtXMedia, VariantStream},
    types::{Channels, Codecs, MediaType, StreamData, UFloat},
};

use super::{VERSION, quotable};

/// The GROUP-ID of the audio renditions.
const AUDIO_GROUP: &str = "audio";

/// The most that a first variant may need, bits per second, unless all need more: what Apple's authoring
/// specification has players on Wi-Fi begin with.
const START_BPS: u64 = 2_000_000;

/// A multivariant playlist. `Display` gives its text, with the variant to begin with first.
#[derive(Debug, Clone, PartialEq)]
pub struct MultivariantPlaylist {
    /// Variants in any order.
    pub variants: Vec<Variant>,
    /// Audio renditions that every variant can be played with, the default one first. Empty when the variants
    /// have all there is in their own playlists.
    pub audio: Vec<AudioRendition>,
}

/// One variant stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Its media playlist.
    pub uri: String,
    /// Peak bit rate with the richest audio, bits per second.
    pub bandwidth: u64,
    /// Average bit rate with the richest audio, bits per second.
    pub average_bandwidth: u64,
    /// What it may come to need while it is still being made, bits per second; announced where that is more.
    pub ceiling_bps: u64,
    /// RFC 6381 codecs of the variant and its audio.
    pub codecs: Vec<String>,
    /// Width and height in pixels; absent without picture.
    pub resolution: Option<(u32, u32)>,
    /// Frames per second; absent when it varies or without picture.
    pub frame_rate: Option<f64>,
}

/// One audio rendition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioRendition {
    /// Shown in menus, unique.
    pub name: String,
    /// BCP 47 language when known.
    pub language: Option<String>,
    /// Channels.
    pub channels: u32,
    /// Its media playlist; absent when it is the variant's own.
    pub uri: Option<String>,
}

impl fmt::Display for MultivariantPlaylist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "#EXTM3U")?;
        writeln!(f, "#EXT-X-VERSION:{VERSION}")?;
        writeln!(f, "#EXT-X-INDEPENDENT-SEGMENTS")?;
        for (at, rendition) in self.audio.iter().enumerate() {
            writeln!(f, "{}", media_tag(rendition, at == 0).map_err(|_| fmt::Error)?)?;
        }
        for variant in in_start_order(&self.variants) {
            writeln!(f, "{}", stream_tag(variant, !self.audio.is_empty()))?;
        }
        Ok(())
    }
}

/// Best first, but before all the best that needs no more than [`START_BPS`]: players begin with the first variant
/// until they have measured the network. Of the rates, the measured ones count, so that slides start sharp.
fn in_start_order(variants: &[Variant]) -> Vec<&Variant> {
    let mut ordered: Vec<&Variant> = variants.iter().collect();
    // Stable, so that equals keep the order they came in.
    ordered.sort_by_key(|variant| std::cmp::Reverse((variant.resolution, variant.bandwidth)));
    // Sound alone comes last, and nobody begins with it where there is a picture.
    let pictures = ordered.iter().take_while(|variant| variant.resolution.is_some()).count();
    let first = if pictures > 0 { &ordered[..pictures] } else { &ordered[..] };
    let fits = first.iter().position(|variant| variant.bandwidth <= START_BPS);
    let lowest = first.iter().enumerate().min_by_key(|(_, variant)| variant.bandwidth).map(|(at, _)| at);
    if let Some(start) = fits.or(lowest) {
        ordered[..=start].rotate_right(1);
    }
    ordered
}

fn media_tag(rendition: &AudioRendition, default: bool) -> hls_m3u8::Result<ExtXMedia<'static>> {
    let mut tag = ExtXMedia::builder();
    tag.media_type(MediaType::Audio)
        .group_id(AUDIO_GROUP)
        .name(quotable(&rendition.name))
        .is_default(default)
        .is_autoselect(true)
        .channels(Channels::new(u64::from(rendition.channels)));
    if let Some(language) = &rendition.language {
        tag.language(quotable(language));
    }
    if let Some(uri) = &rendition.uri {
        tag.uri(uri.clone());
    }
    tag.build()
}

fn stream_tag(variant: &Variant, with_audio: bool) -> VariantStream<'static> {
    let mut data = StreamData::new(variant.bandwidth.max(variant.ceiling_bps));
    data.set_average_bandwidth(Some(variant.average_bandwidth));
    data.set_codecs(Some(Codecs::from(variant.codecs.clone())));
    data.set_resolution(variant.resolution.map(|(width, height)| (width as usize, height as usize)));
    VariantStream::ExtXStreamInf {
        uri: variant.uri.clone().into(),
        // Infinite and negative rates do not exist; if one came it would be left out.
        frame_rate: variant.frame_rate.and_then(|rate| UFloat::try_from(rate as f32).ok()),
        audio: with_audio.then(|| AUDIO_GROUP.into()),
        subtitles: None,
        closed_captions: None,
        stream_data: data,
    }
}
