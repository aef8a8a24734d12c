//! The manifests of a package and the renditions they announce: from a layout and the init segments that were read.

use std::collections::{BTreeMap, HashSet};

use lectern_domain::{
    ids::Kid,
    keys::{ContentKey, KeyName},
    media::{Rendition, RenditionKind, TrackKind},
    plan::{LONGEST_SEGMENT_NS, SECOND_NS, TranscodePlan},
    source::Ratio,
    storage_key::{GROWING_MULTIVARIANT, MULTIVARIANT, growing_playlist},
};

use crate::{
    aes128::segment_iv,
    cmaf::{InitMedia, InitSegment},
    hls::{
        AudioRendition, Extent, MediaPlaylist, MultivariantPlaylist, PlaylistSegment, SegmentKey, Variant,
        bandwidth::{SegmentRate, average_bps, peak_bps},
        target_duration_s,
    },
    layout::{LayoutError, PackageLayout, SegmentLayout, TrackLayout},
};

/// What a package says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifests {
    /// Name within the package and text, the multivariant playlist last.
    pub playlists: Vec<(String, String)>,
    /// One per track, as the API shows them.
    pub renditions: Vec<Rendition>,
}

/// Where a player asks for a content key: on the host that the playlist came from.
pub fn key_uri(kid: Kid) -> String {
    format!("/keys/{kid}")
}

/// What is known beforehand of a package that is being made, and must not change in its playlists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growing {
    /// Target duration of every playlist, seconds.
    pub target_duration_s: u64,
    /// What each rung may come to need, by its name, bits per second.
    pub ceilings_bps: BTreeMap<String, u64>,
}

impl Growing {
    /// Of a plan: the longest segment there can be, and what a rung's encoder may put into an ordinary one.
    pub fn of(plan: &TranscodePlan) -> Self {
        let video = plan.video.as_ref();
        let nominal_ns = video
            .map(|video| video.segment_ns)
            .into_iter()
            .chain(plan.audio.iter().map(|audio| audio.segment_ns));
        // A short tail joins the segment before it.
        let longest_ns = nominal_ns.max().unwrap_or(0) * 5 / 4;
        let grows = video.is_some_and(|video| !video.keep_all_frames);
        let longest_ns = if grows { longest_ns.max(LONGEST_SEGMENT_NS) } else { longest_ns };
        let ceiling = |segment_ns: u64, max_bps: u64, buffer_bits: u64| {
            max_bps + (u128::from(buffer_bits) * u128::from(SECOND_NS) / u128::from(segment_ns.max(1))) as u64
        };
        let rungs = video.into_iter().flat_map(|video| {
            video
                .rungs
                .iter()
                .map(|rung| (rung.name.clone(), ceiling(video.segment_ns, rung.max_bps, rung.buffer_bits)))
        });
        Self { target_duration_s: target_duration_s([longest_ns / 1_000]), ceilings_bps: rungs.collect() }
    }
}

impl PackageLayout {
    /// Writes the manifests. `inits` are the published init segments, in the order of the tracks; `content_key`
    /// derives the key of a name (IVs come from it, the key itself goes nowhere).
    pub fn manifests(
        &self,
        inits: &[InitSegment],
        content_key: impl Fn(&KeyName) -> ContentKey,
    ) -> Result<Manifests, LayoutError> {
        self.write(inits, content_key, Extent::Whole, self.target_duration_s, None)
    }

    /// The same of a package that is being made, or was until now: playlists of other names, of which each is what it was before
    /// and more at its end.
    pub fn growing_manifests(
        &self,
        inits: &[InitSegment],
        content_key: impl Fn(&KeyName) -> ContentKey,
        growing: &Growing,
        ended: bool,
    ) -> Result<Manifests, LayoutError> {
        let extent = Extent::Growing { ended };
        self.write(inits, content_key, extent, growing.target_duration_s, Some(&growing.ceilings_bps))
    }

    fn write(
        &self,
        inits: &[InitSegment],
        content_key: impl Fn(&KeyName) -> ContentKey,
        extent: Extent,
        target_duration_s: u64,
        ceilings_bps: Option<&BTreeMap<String, u64>>,
    ) -> Result<Manifests, LayoutError> {
        if inits.len() != self.tracks.len() {
            return Err(LayoutError::Empty);
        }
        let name = |track: &TrackLayout| match extent {
            Extent::Whole => track.playlist.clone(),
            Extent::Growing { .. } => growing_playlist(&track.name),
        };
        let mut renditions = Vec::new();
        let mut playlists = Vec::new();
        for (track, init) in self.tracks.iter().zip(inits) {
            check_init(track, init)
                .map_err(|reason| LayoutError::Track { track: track.name.clone(), reason })?;
            renditions.push(rendition(track, init, target_duration_s));
            let key = track.key.map(|name| (key_uri(name.kid), content_key(&name)));
            let segments = playlist_segments(track, key.as_ref());
            let playlist =
                MediaPlaylist { extent, target_duration_s, init_uri: track.init.clone(), segments };
            playlists.push((name(track), playlist.to_string()));
        }
        let multivariant = multivariant(&self.tracks, &renditions, name, ceilings_bps).to_string();
        let multivariant_name = match extent {
            Extent::Whole => MULTIVARIANT,
            Extent::Growing { .. } => GROWING_MULTIVARIANT,
        };
        playlists.push((multivariant_name.to_owned(), multivariant));
        Ok(Manifests { playlists, renditions })
    }
}

/// Whether an init segment is of the track that the jobs reported.
fn check_init(track: &TrackLayout, init: &InitSegment) -> Result<(), String> {
    let same = init.timescale == track.timescale
        && match (&track.kind, &init.media) {
            (TrackKind::Video { width, height, .. }, InitMedia::Video { width: w, height: h, .. }) => {
                (width, height) == (w, h)
            }
            (
                TrackKind::Audio { sample_rate, channels, .. },
                InitMedia::Audio { sample_rate: rate, channels: count },
            ) => (sample_rate, channels) == (rate, count),
            _ => false,
        };
    if same {
        return Ok(());
    }
    Err(format!(
        "expected {:?} at {} ticks per second, the init segment has {:?} at {}",
        track.kind, track.timescale, init.media, init.timescale
    ))
}

fn rendition(track: &TrackLayout, init: &InitSegment, target_duration_s: u64) -> Rendition {
    let rates: Vec<SegmentRate> = track
        .segments
        .iter()
        .map(|segment| SegmentRate { bytes: segment.object_bytes, duration_us: segment.duration_us })
        .collect();
    let (kind, width, height, frame_rate) = match track.kind {
        TrackKind::Video { width, height, frame_rate } => {
            (RenditionKind::Video, Some(width), Some(height), known_rate(frame_rate))
        }
        TrackKind::Audio { .. } => (RenditionKind::Audio, None, None, None),
    };
    Rendition {
        name: track.name.clone(),
        kind,
        width,
        height,
        frame_rate,
        bytes: init.bytes + rates.iter().map(|rate| rate.bytes).sum::<u64>(),
        bandwidth: peak_bps(&rates, target_duration_s),
        average_bandwidth: average_bps(&rates),
        codecs: init.codec.clone(),
    }
}

/// Frames per second to three digits, as FRAME-RATE has it (RFC 8216bis, 4.4.6.2).
fn known_rate(rate: Ratio) -> Option<f64> {
    (rate.num > 0).then(|| (rate.as_f64() * 1000.0).round() / 1000.0)
}

fn playlist_segments(track: &TrackLayout, key: Option<&(String, ContentKey)>) -> Vec<PlaylistSegment> {
    let segment = |segment: &SegmentLayout| PlaylistSegment {
        uri: segment.object.clone(),
        duration_us: segment.duration_us,
        key: key.map(|(uri, key)| SegmentKey {
            uri: uri.clone(),
            iv: segment_iv(key, &track.name, segment.index),
        }),
    };
    track.segments.iter().map(segment).collect()
}

/// Video variants share one audio group, and after them comes its default sound alone: native players go on with it when
/// the network carries no picture, and take it for whoever only listens. Without video the first audio track is the only
/// variant, and further tracks (languages) are its alternatives.
///
/// All players get the same playlist. hls.js and Shaka Player leave variants without picture out wherever one with picture
/// can be played, because a `MediaSource` cannot go from one kind to the other.
fn multivariant(
    tracks: &[TrackLayout],
    renditions: &[Rendition],
    playlist: impl Fn(&TrackLayout) -> String,
    ceilings_bps: Option<&BTreeMap<String, u64>>,
) -> MultivariantPlaylist {
    let of = |kind| {
        tracks.iter().zip(renditions).filter(move |(_, rendition)| rendition.kind == kind).collect::<Vec<_>>()
    };
    let (video, audio) = (of(RenditionKind::Video), of(RenditionKind::Audio));
    let with_picture = !video.is_empty();
    let names = audio_names(audio.iter().map(|(track, _)| *track));
    let mut group: Vec<AudioRendition> = audio
        .iter()
        .zip(names)
        .map(|((track, _), (name, language))| AudioRendition {
            name,
            language,
            channels: match track.kind {
                TrackKind::Audio { channels, .. } => channels,
                TrackKind::Video { .. } => 0,
            },
            uri: Some(playlist(track)),
        })
        .collect();
    let richest = |rate: fn(&Rendition) -> u64| audio.iter().map(|(_, one)| rate(one)).max().unwrap_or(0);
    let (audio_peak, audio_average) =
        (richest(|rendition| rendition.bandwidth), richest(|rendition| rendition.average_bandwidth));
    let main = if with_picture {
        video
    } else {
        // What the variant's own playlist carries has no URI in the group (RFC 8216bis, 4.4.6.2.1).
        match group.as_mut_slice() {
            [] => {}
            [_] => group.clear(),
            [first, ..] => first.uri = None,
        }
        audio.iter().take(1).copied().collect()
    };
    let mut variants: Vec<Variant> = main
        .iter()
        .map(|(track, own)| {
            let mut codecs = vec![own.codecs.clone()];
            for (_, other) in &audio {
                if !codecs.contains(&other.codecs) {
                    codecs.push(other.codecs.clone());
                }
            }
            let (peak, average) = if with_picture {
                (own.bandwidth + audio_peak, own.average_bandwidth + audio_average)
            } else {
                (audio_peak, audio_average)
            };
            Variant {
                uri: playlist(track),
                bandwidth: peak,
                average_bandwidth: average,
                ceiling_bps: ceilings_bps
                    .and_then(|bps| bps.get(&track.name))
                    .map_or(0, |bps| bps + audio_peak),
                codecs,
                resolution: own.width.zip(own.height),
                frame_rate: own.frame_rate,
            }
        })
        .collect();
    if let (true, Some((track, _))) = (with_picture, audio.first()) {
        let mut codecs: Vec<String> = audio.iter().map(|(_, rendition)| rendition.codecs.clone()).collect();
        codecs.sort();
        codecs.dedup();
        variants.push(Variant {
            // In the group as well (RFC 8216bis, 4.4.6.2.1), so that whoever has chosen a language keeps it.
            uri: playlist(track),
            bandwidth: audio_peak,
            average_bandwidth: audio_average,
            ceiling_bps: 0,
            codecs,
            resolution: None,
            frame_rate: None,
        });
    }
    MultivariantPlaylist { variants, audio: group }
}

/// Names and languages of audio tracks: the language where it is one, unique in any case (RFC 8216bis, 4.4.6.1.1).
fn audio_names<'a>(tracks: impl Iterator<Item = &'a TrackLayout>) -> Vec<(String, Option<String>)> {
    let mut taken = HashSet::new();
    tracks
        .map(|track| {
            let language = match &track.kind {
                TrackKind::Audio { language: Some(tag), .. } if is_language(tag) => Some(tag.clone()),
                _ => None,
            };
            let plain = language.clone().unwrap_or_else(|| "Audio".to_owned());
            let mut name = plain.clone();
            let mut number = 2;
            while !taken.insert(name.clone()) {
                name = format!("{plain} {number}");
                number += 1;
            }
            (name, language)
        })
        .collect()
}

/// Whether a tag has the form of BCP 47 and names a language; what containers write for "unknown" does not.
fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let primary = parts.next().unwrap_or_default();
    (2..=8).contains(&primary.len())
        && primary.chars().all(|c| c.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric()))
        && !["und", "mul", "zxx", "mis"].contains(&primary.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests;
