//! Plays a package as a player would, but all of it: every rendition, every segment, decrypted and decoded.

use std::{collections::HashMap, path::Path};

use anyhow::{Context as _, ensure};
use hls_m3u8::{MasterPlaylist, MediaPlaylist, tags::VariantStream};
use lectern_domain::keys::ContentKey;
use lectern_transcoder::child::{self, Reply, Request};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use url::Url;

use crate::{config::Config, demo::client::Client};

/// What was played.
pub(crate) struct Played {
    /// One line a rendition.
    pub(crate) tracks: Vec<String>,
    /// Where one of its keys is asked for.
    pub(crate) key_path: String,
}

/// Follows the multivariant playlist to its end.
pub(crate) async fn everything(
    client: &Client,
    playback: &Value,
    folder: &Path,
    config: &Config,
) -> anyhow::Result<Played> {
    let token = playback["token"].as_str().context("the playback answer has no token")?;
    let url = playback["hls_url"].as_str().context("the playback answer has no hls_url")?;
    let url = Url::parse(&client.absolute(url))?;
    let text = String::from_utf8(client.media(url.as_str()).await?)?;
    let playlist = MasterPlaylist::try_from(text.as_str())?;
    let variants = playlist.variant_streams.iter().map(|variant| match variant {
        VariantStream::ExtXStreamInf { uri, .. } | VariantStream::ExtXIFrame { uri, .. } => uri.to_string(),
    });
    let audio = playlist.media.iter().filter_map(|media| media.uri().map(ToString::to_string));
    let mut media: Vec<String> = variants.chain(audio).collect();
    media.sort();
    media.dedup();
    ensure!(!media.is_empty(), "the multivariant playlist names no media playlist");
    let mut keys = HashMap::new();
    let mut tracks = Vec::new();
    for uri in media {
        tracks.push(track(client, token, &url.join(&uri)?, &mut keys, folder, config).await?);
    }
    let key_path = keys.into_keys().next().context("no segment was encrypted")?;
    Ok(Played { tracks, key_path })
}

async fn track(
    client: &Client,
    token: &str,
    url: &Url,
    keys: &mut HashMap<String, ContentKey>,
    folder: &Path,
    config: &Config,
) -> anyhow::Result<String> {
    let text = String::from_utf8(client.media(url.as_str()).await?)?;
    let playlist = MediaPlaylist::try_from(text.as_str())?;
    ensure!(playlist.has_end_list, "{url} is not complete");
    let path = folder.join("decrypted.mp4");
    let mut file = tokio::fs::File::create(&path).await?;
    let mut bytes_in_all = 0;
    for (index, segment) in playlist.segments.values().enumerate() {
        if index == 0 {
            let map = segment.map.as_ref().context("the first segment has no EXT-X-MAP")?;
            file.write_all(&client.media(url.join(map.uri())?.as_str()).await?).await?;
        }
        let mut bytes = client.media(url.join(segment.uri())?.as_str()).await?;
        bytes_in_all += bytes.len();
        let key = segment.keys.iter().find_map(|key| key.as_ref()).context("a segment is not encrypted")?;
        let at = url.join(key.uri())?;
        let path = at.path().to_owned();
        if !keys.contains_key(&path) {
            keys.insert(path.clone(), ContentKey::from_bytes(client.content_key(at.as_str(), token).await?));
        }
        let iv = key.iv.to_slice().context("a key has no IV")?;
        lectern_packager::aes128::decrypt_in_place(&keys[&path], &iv, &mut bytes)?;
        file.write_all(&bytes).await?;
    }
    file.flush().await?;
    let launch = crate::encode::launch(config, folder)?;
    let cancel = tokio_util::sync::CancellationToken::new();
    let done = child::run(&launch, &Request::Decode { source: path.clone() }, |_| {}, &cancel).await?;
    let Reply::Decoded { buffers, duration_ms } = done.reply else {
        anyhow::bail!("the child answered another question")
    };
    let promised: f64 =
        playlist.segments.values().map(|segment| segment.duration.duration().as_secs_f64()).sum();
    let decoded = duration_ms as f64 / 1e3;
    ensure!((promised - decoded).abs() < 0.2, "{url} promises {promised:.3} s and decodes to {decoded:.3} s");
    tokio::fs::remove_file(&path).await?;
    let name = url.path_segments().and_then(Iterator::last).unwrap_or_default();
    Ok(format!(
        "{name:<18} {:>3} segments {:>8.2} MB  {buffers:>6} buffers decoded, {decoded:>7.2} s",
        playlist.segments.values().count(),
        bytes_in_all as f64 / 1e6
    ))
}
