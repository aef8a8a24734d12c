//! Package versions with captions: the playlists of a published package, renamed to find its segments where they are, and beside
//! them a text rendition for each language. Nothing is transcoded, and no segment is copied or encrypted again.
//!
//! A text rendition is one WebVTT segment as long as the asset (RFC 8216bis, 3.1.4 and 6.2.4, which lets the target duration of
//! subtitles differ). It is encrypted like all others, with the key of the sound: it says what is said there.

use std::collections::HashSet;

use bytes::Bytes;
use hls_m3u8::{
    tags::{ExtXKey, ExtXMedia},
    types::{DecryptionKey, EncryptionMethod, InitializationVector, MediaType},
};
use lectern_domain::{
    captions::{CaptionKind, CaptionOrigin, MOST_TEXTS, SourceTexts, TEXTS, from_source, source_tag, webvtt},
    ids::{AssetId, CaptionId, PackageId},
    keys::{AssetSecret, ContentKey, KeyName, Protection, TrackClass, secret_context},
    storage_key::{self, MULTIVARIANT},
};
use lectern_platform::objects::Objects;
use lectern_store::{
    assets::{self, Asset},
    captions::{self, Caption, NewCaption},
    jobs::Job,
    packages,
    pipeline::{Completion, JobFailure},
};
use uuid::Uuid;

use crate::{
    aes128,
    hls::{quotable, target_duration_s},
    jobs::{PackagerJobs, internal, unavailable},
    manifests::key_uri,
};

/// The GROUP-ID of the text renditions.
const GROUP: &str = "text";
/// Bytes that the text tracks of a source may have. They come from a process that has read the source.
const MOST_TEXTS_BYTES: u64 = 64 << 20;

impl PackagerJobs {
    /// Makes the version that a change of captions asked for. Its id is the job's, so that another attempt writes the same
    /// objects again.
    pub(crate) async fn add_texts(&self, asset: AssetId, job: &Job) -> Result<Completion, JobFailure> {
        let found = assets::find(&self.db, asset)
            .await
            .map_err(unavailable)?
            .ok_or_else(|| internal("no such asset"))?;
        let current = found.package.ok_or_else(|| internal("the asset has no package"))?;
        let current = packages::find(&self.db, current)
            .await
            .map_err(unavailable)?
            .ok_or_else(|| internal("no package row"))?;
        let base = current.base.unwrap_or(current.id);
        let listed = captions::list(&self.db, asset).await.map_err(unavailable)?;
        let mut texts = Vec::new();
        for caption in listed {
            // Replaced or removed since the list was read: a later job is queued for that.
            if let Some(webvtt) = captions::webvtt(&self.db, caption.id).await.map_err(unavailable)? {
                texts.push((caption, webvtt));
            }
        }
        if texts.is_empty() {
            return Ok(Completion::TextsAdded { package: base, base });
        }
        let key = match current.protection {
            Protection::None => None,
            Protection::Aes128 => {
                let wrapped = found.wrapped_secret.as_deref();
                let wrapped = wrapped.ok_or_else(|| internal("the asset's secret was shredded"))?;
                let bytes = self.vault.unwrap(&secret_context(asset), wrapped).await.map_err(unavailable)?;
                let bytes: [u8; 32] = bytes
                    .as_slice()
                    .try_into()
                    .map_err(|_| internal("expected an asset secret of 32 bytes"))?;
                let names = packages::keys(&self.db, base).await.map_err(unavailable)?;
                let name = names.into_iter().find(|name| name.class == TrackClass::Audio);
                let name = name.ok_or_else(|| internal("the package lacks a key name"))?;
                let secret = AssetSecret::from_bytes(bytes);
                Some((name, secret.content_key(name.kid, name.period, name.class)))
            }
        };
        let package = PackageId::from_uuid(job.id.uuid());
        let version = Version {
            objects: self.objects.as_ref(),
            base: storage_key::package_prefix(asset, base),
            target: storage_key::package_prefix(asset, package),
            base_folder: format!("../{base}/"),
            duration_ms: found.duration_ms.unwrap_or(0),
            key,
        };
        version.write(&texts).await?;
        tracing::info!(%asset, %package, %base, languages = texts.len(), "package version with captions built");
        Ok(Completion::TextsAdded { package, base })
    }
}

impl PackagerJobs {
    /// Keeps the text tracks of a source as captions, in the languages that have none. They are published once the asset is
    /// ready. `sources` are where the files of the transcode jobs lie.
    pub(crate) async fn add_source_texts(
        &self,
        asset: &Asset,
        package: PackageId,
        sources: &[String],
    ) -> Result<(), JobFailure> {
        for source in sources {
            let key = format!("{source}{TEXTS}");
            match self.objects.size(&key).await.map_err(unavailable)? {
                Some(bytes) if bytes <= MOST_TEXTS_BYTES => {}
                Some(bytes) => {
                    tracing::warn!(asset = %asset.id, bytes, "no captions: the text tracks are too large");
                    continue;
                }
                None => continue,
            }
            let Some(bytes) = self.objects.get(&key).await.map_err(unavailable)? else { continue };
            match serde_json::from_slice(&bytes) {
                Ok(tracks) => {
                    let found = captions_of(tracks, package);
                    // The packager has no clock; this is when the pipeline last moved.
                    let now = asset.updated_at;
                    captions::put_from_source(&self.db, asset.id, &found, now).await.map_err(unavailable)?;
                }
                Err(error) => {
                    tracing::warn!(asset = %asset.id, %error, "no captions: the text tracks cannot be read");
                }
            }
        }
        Ok(())
    }
}

/// Captions of a source's text tracks. Their ids count on from the package's, so that another attempt makes the same.
fn captions_of(tracks: Vec<SourceTexts>, package: PackageId) -> Vec<NewCaption> {
    let mut taken: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for (number, track) in (1..).zip(tracks.into_iter().take(MOST_TEXTS)) {
        let cues = from_source(track.texts);
        if cues.is_empty() {
            continue;
        }
        let language = source_tag(track.language.as_deref(), &taken);
        let title = track.title.map(|title| quotable(title.trim())).filter(|title| !title.is_empty());
        let plain = || if language.starts_with("und") { "Subtitles".to_owned() } else { language.clone() };
        let label = title.map_or_else(plain, |title| title.chars().take(200).collect());
        found.push(NewCaption {
            id: CaptionId::from_uuid(Uuid::from_u128(package.uuid().as_u128().wrapping_add(number))),
            language: language.clone(),
            label,
            kind: CaptionKind::Subtitles,
            origin: CaptionOrigin::Source,
            cues: cues.len() as u64,
            webvtt: webvtt(&cues),
        });
        taken.push(language);
    }
    found
}

/// A version on its way into the object store.
struct Version<'a> {
    objects: &'a dyn Objects,
    /// Prefix of the package whose segments it uses.
    base: String,
    /// Its own prefix.
    target: String,
    /// The base as its playlists name it.
    base_folder: String,
    duration_ms: u64,
    key: Option<(KeyName, ContentKey)>,
}

impl Version<'_> {
    async fn write(&self, texts: &[(Caption, String)]) -> Result<(), JobFailure> {
        let multivariant = self.playlist(MULTIVARIANT).await?;
        for name in playlists(&multivariant) {
            let playlist = self.playlist(&name).await?;
            self.put(&name, moved(&playlist, &self.base_folder).into()).await?;
        }
        for (caption, webvtt) in texts {
            let track = caption.id.to_string();
            let segment = format!("{track}/seg-00000.vtt");
            let mut bytes = webvtt.clone().into_bytes();
            let key = self.key.as_ref().map(|(name, key)| {
                let iv = aes128::segment_iv(key, &track, 0);
                aes128::encrypt_in_place(key, &iv, &mut bytes);
                (key_uri(name.kid), iv)
            });
            self.put(&segment, bytes.into()).await?;
            self.check(&segment, &track, webvtt).await?;
            let playlist = text_playlist(&segment, self.duration_ms, key);
            self.put(&format!("{track}.m3u8"), playlist.into()).await?;
        }
        let listed: Vec<&Caption> = texts.iter().map(|(caption, _)| caption).collect();
        self.put(MULTIVARIANT, with_texts(&multivariant, &listed).into()).await
    }

    async fn playlist(&self, name: &str) -> Result<String, JobFailure> {
        let key = format!("{}{name}", self.base);
        let bytes = self.objects.get(&key).await.map_err(unavailable)?;
        let bytes = bytes.ok_or_else(|| internal(format!("expected an object at {key}, got nothing")))?;
        String::from_utf8(bytes.to_vec()).map_err(|_| internal(format!("expected text at {key}")))
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), JobFailure> {
        self.objects.put(&format!("{}{name}", self.target), bytes).await.map_err(unavailable)
    }

    /// Reads a segment as it will be served and holds it against what it was made of.
    async fn check(&self, segment: &str, track: &str, webvtt: &str) -> Result<(), JobFailure> {
        let key = format!("{}{segment}", self.target);
        let bytes = self.objects.get(&key).await.map_err(unavailable)?;
        let mut bytes =
            bytes.ok_or_else(|| internal(format!("expected an object at {key}, got nothing")))?.to_vec();
        if let Some((_, content_key)) = &self.key {
            let iv = aes128::segment_iv(content_key, track, 0);
            aes128::decrypt_in_place(content_key, &iv, &mut bytes).map_err(internal)?;
        }
        if bytes != webvtt.as_bytes() {
            return Err(internal(format!("{key} does not read back as it was written")));
        }
        Ok(())
    }
}

/// The media playlists that a multivariant playlist names, each once.
fn playlists(multivariant: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    multivariant
        .lines()
        .filter_map(|line| match line.strip_prefix('#') {
            Some(tag) if tag.starts_with("EXT-X-MEDIA:") => uri(line).map(|(_, uri, _)| uri),
            Some(_) => None,
            None => Some(line),
        })
        .filter(|uri| !uri.is_empty() && seen.insert(uri.to_string()))
        .map(str::to_owned)
        .collect()
}

/// A line cut around the value of its URI attribute. The packager writes what this reads: no other attribute of these tags
/// comes before it that could hold the word.
fn uri(line: &str) -> Option<(&str, &str, &str)> {
    let start = line.find("URI=\"")? + "URI=\"".len();
    let end = start + line[start..].find('"')?;
    Some((&line[..start], &line[start..end], &line[end..]))
}

/// A media playlist whose segments lie in `folder`, as seen from where it will lie.
fn moved(playlist: &str, folder: &str) -> String {
    let mut out = String::with_capacity(playlist.len() * 2);
    for line in playlist.lines() {
        match (line.starts_with("#EXT-X-MAP:").then(|| uri(line)).flatten(), line) {
            (Some((before, uri, after)), _) => out.extend([before, folder, uri, after]),
            (None, line) if line.is_empty() || line.starts_with('#') => out.push_str(line),
            (None, line) => out.extend([folder, line]),
        }
        out.push('\n');
    }
    out
}

/// The media playlist of a text rendition (RFC 8216bis, 4.4.3).
fn text_playlist(segment: &str, duration_ms: u64, key: Option<(String, aes128::Iv)>) -> String {
    let duration_ms = duration_ms.max(1);
    let target = target_duration_s([duration_ms * 1_000]);
    let key = key.map(|(uri, iv)| {
        let mut tag = DecryptionKey::new(EncryptionMethod::Aes128, uri);
        tag.iv = InitializationVector::Aes128(iv);
        format!("{}\n", ExtXKey::new(tag))
    });
    format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n{}#EXTINF:{}.{:03},\n{segment}\n#EXT-X-ENDLIST\n",
        key.unwrap_or_default(),
        duration_ms / 1_000,
        duration_ms % 1_000,
    )
}

/// A multivariant playlist with a group of text renditions that belongs to every variant.
fn with_texts(multivariant: &str, texts: &[&Caption]) -> String {
    let mut taken = HashSet::new();
    let mut tags: Vec<String> = texts.iter().map(|caption| media_tag(caption, &mut taken)).collect();
    let mut out = String::new();
    for line in multivariant.lines() {
        if line.starts_with("#EXT-X-STREAM-INF:") {
            tags.drain(..).for_each(|tag| out.extend([tag.as_str(), "\n"]));
            out.extend([line, ",SUBTITLES=\"", GROUP, "\"\n"]);
        } else {
            out.extend([line, "\n"]);
        }
    }
    out
}

fn media_tag(caption: &Caption, taken: &mut HashSet<String>) -> String {
    // Names are unique within a group (RFC 8216bis, 4.4.6.1.1).
    let label = quotable(&caption.label);
    let name = if taken.insert(label.clone()) { label } else { format!("{label} ({})", caption.language) };
    let mut tag = ExtXMedia::builder();
    tag.media_type(MediaType::Subtitles)
        .group_id(GROUP)
        .name(name)
        .language(caption.language.clone())
        .is_default(false)
        .is_autoselect(true)
        .uri(format!("{}.m3u8", caption.id));
    if caption.kind == CaptionKind::Captions {
        tag.characteristics(
            "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound",
        );
    }
    tag.build().expect("a subtitle rendition with all that is required").to_string()
}

#[cfg(test)]
mod tests {
    use lectern_domain::Timestamp;

    use super::*;

    const BASE: &str = "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,URI=\"audio-0.m3u8\",GROUP-ID=\"audio\",LANGUAGE=\"en\",NAME=\"en\",DEFAULT=YES
#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"audio\"
720p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=500,CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"audio\"
360p.m3u8
";

    fn caption(number: u8, language: &str, label: &str, kind: CaptionKind) -> Caption {
        Caption {
            id: CaptionId::generate(Timestamp::UNIX_EPOCH, &[number; 10]),
            language: language.into(),
            label: label.into(),
            kind,
            origin: CaptionOrigin::Uploaded,
            cues: 1,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn every_playlist_is_found_once() {
        assert_eq!(playlists(BASE), ["audio-0.m3u8", "720p.m3u8", "360p.m3u8"]);
        let twice = BASE.replace("360p.m3u8", "720p.m3u8");
        assert_eq!(playlists(&twice), ["audio-0.m3u8", "720p.m3u8"]);
    }

    #[test]
    fn the_group_stands_before_the_variants_and_belongs_to_each() {
        let english = caption(1, "en", "English \"CC\"", CaptionKind::Captions);
        let other = caption(2, "en-GB", "English \"CC\"", CaptionKind::Subtitles);
        let text = with_texts(BASE, &[&english, &other]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..4], BASE.lines().collect::<Vec<_>>()[..4]);
        assert_eq!(
            lines[4..6],
            [
                format!(
                    "#EXT-X-MEDIA:TYPE=SUBTITLES,URI=\"{}.m3u8\",GROUP-ID=\"text\",LANGUAGE=\"en\",NAME=\"English 'CC'\",AUTOSELECT=YES,CHARACTERISTICS=\"public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound\"",
                    english.id
                ),
                format!(
                    "#EXT-X-MEDIA:TYPE=SUBTITLES,URI=\"{}.m3u8\",GROUP-ID=\"text\",LANGUAGE=\"en-GB\",NAME=\"English 'CC' (en-GB)\",AUTOSELECT=YES",
                    other.id
                ),
            ]
        );
        assert_eq!(text.matches("AUDIO=\"audio\",SUBTITLES=\"text\"\n").count(), 2, "{text}");
        assert_eq!(text.lines().count(), BASE.lines().count() + 2);
    }

    #[test]
    fn segments_are_found_where_they_are_and_keys_where_they_were() {
        let playlist = "#EXTM3U\n#EXT-X-MAP:URI=\"720p/init.mp4\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"/keys/kid_1\",IV=0x01\n\
            #EXTINF:4.000000,\n720p/seg-00000.m4s\n#EXT-X-ENDLIST\n";
        assert_eq!(
            moved(playlist, "../pkg_1/"),
            "#EXTM3U\n#EXT-X-MAP:URI=\"../pkg_1/720p/init.mp4\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"/keys/kid_1\",IV=0x01\n\
            #EXTINF:4.000000,\n../pkg_1/720p/seg-00000.m4s\n#EXT-X-ENDLIST\n"
        );
    }

    #[test]
    fn a_text_playlist_is_one_segment_as_long_as_the_asset() {
        let text = text_playlist("cap_1/seg-00000.vtt", 7_200_499, Some(("/keys/kid_1".into(), [0xab; 16])));
        assert_eq!(
            text,
            "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:7200
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-KEY:METHOD=AES-128,URI=\"/keys/kid_1\",IV=0xabababababababababababababababab
#EXTINF:7200.499,
cap_1/seg-00000.vtt
#EXT-X-ENDLIST
"
        );
        assert!(!text_playlist("x.vtt", 0, None).contains("KEY"));
        assert!(text_playlist("x.vtt", 0, None).contains("#EXTINF:0.001,"));
    }
}
