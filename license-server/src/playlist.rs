//! Rewrites the URIs of a stored HLS playlist, and nothing else of it (RFC 8216bis, 4.1 and 4.2).

use url::Url;

/// What a URI in a playlist leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A content key (EXT-X-KEY, EXT-X-SESSION-KEY).
    Key,
    /// Another playlist.
    Playlist,
    /// Segments, init segments, anything else.
    Media,
}

/// Whether a path names an HLS playlist.
pub(crate) fn is_playlist(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| extension == "m3u8")
}

/// The text with every URI replaced by what `rewrite` makes of its target and of the absolute path it resolves to.
///
/// `path` is the playlist's own absolute path on this server. URIs that lead to another server, and those with a
/// query or a fragment of their own, stay as they are: nothing is ever added to what is not ours.
pub(crate) fn rewrite_uris(text: &str, path: &str, rewrite: impl Fn(Target, &str) -> String) -> String {
    // The host is a stand-in: it tells what stays on this server from what does not.
    let Some(base) = Url::parse("http://this.invalid").ok().and_then(|root| root.join(path).ok()) else {
        return text.to_owned();
    };
    let replace = |target: Option<Target>, uri: &str| {
        let ours = base
            .join(uri)
            .ok()
            .filter(|url| url.origin() == base.origin() && url.query().is_none() && url.fragment().is_none());
        ours.map_or_else(
            || uri.to_owned(),
            |url| {
                let target =
                    target.unwrap_or(if is_playlist(url.path()) { Target::Playlist } else { Target::Media });
                rewrite(target, url.path())
            },
        )
    };
    let mut out = String::with_capacity(text.len() * 2);
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        if content.is_empty() {
        } else if !content.starts_with('#') {
            out.push_str(&replace(None, content));
        } else if let Some((before, uri, after)) = uri_attribute(content) {
            let is_key = before.starts_with("#EXT-X-KEY:") || before.starts_with("#EXT-X-SESSION-KEY:");
            out.push_str(before);
            out.push_str(&replace(is_key.then_some(Target::Key), uri));
            out.push_str(after);
        } else {
            out.push_str(content);
        }
        out.push_str(&line[content.len()..]);
    }
    out
}

/// A tag's line cut around the value of its URI attribute, if it has one. A `URI=` inside another attribute's quoted
/// string is not one.
fn uri_attribute(line: &str) -> Option<(&str, &str, &str)> {
    const NAME: &str = "URI=\"";
    let mut at = line.starts_with("#EXT").then(|| line.find(':'))?? + 1;
    loop {
        if line[at..].starts_with(NAME) {
            let start = at + NAME.len();
            let end = start + line[start..].find('"')?;
            return Some((&line[..start], &line[start..end], &line[end..]));
        }
        let mut quoted = false;
        let comma = line[at..].find(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        })?;
        at += comma + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str) -> String {
        rewrite_uris(text, "/media/a/p/720p/index.m3u8", |target, path| format!("<{target:?} {path}>"))
    }

    #[test]
    fn every_kind_of_line() {
        let table = [
            ("", ""),
            ("#EXTM3U\n", "#EXTM3U\n"),
            ("# a comment with URI=\"x\"\n", "# a comment with URI=\"x\"\n"),
            ("seg.m4s", "<Media /media/a/p/720p/seg.m4s>"),
            ("seg.m4s\r\n", "<Media /media/a/p/720p/seg.m4s>\r\n"),
            ("../audio-0.m3u8\n", "<Playlist /media/a/p/audio-0.m3u8>\n"),
            ("/keys/k\n", "<Media /keys/k>\n"),
            ("#EXT-X-MAP:URI=\"init.mp4\"\n", "#EXT-X-MAP:URI=\"<Media /media/a/p/720p/init.mp4>\"\n"),
            (
                "#EXT-X-MAP:BYTERANGE=\"10@0\",URI=\"init.mp4\"\n",
                "#EXT-X-MAP:BYTERANGE=\"10@0\",URI=\"<Media /media/a/p/720p/init.mp4>\"\n",
            ),
            (
                "#EXT-X-KEY:METHOD=AES-128,URI=\"/keys/k\",IV=0x01\n",
                "#EXT-X-KEY:METHOD=AES-128,URI=\"<Key /keys/k>\",IV=0x01\n",
            ),
            ("#EXT-X-KEY:METHOD=NONE\n", "#EXT-X-KEY:METHOD=NONE\n"),
            (
                "#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"/keys/k\"",
                "#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"<Key /keys/k>\"",
            ),
            (
                "#EXT-X-MEDIA:TYPE=AUDIO,NAME=\"a,URI=\",URI=\"a.m3u8\",DEFAULT=YES\n",
                "#EXT-X-MEDIA:TYPE=AUDIO,NAME=\"a,URI=\",URI=\"<Playlist /media/a/p/720p/a.m3u8>\",DEFAULT=YES\n",
            ),
            (
                "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"\n",
                "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"<Playlist /media/a/p/720p/i.m3u8>\"\n",
            ),
            ("#EXTINF:4.000000,URI=\"no\n", "#EXTINF:4.000000,URI=\"no\n"),
            // Not ours: left alone.
            ("https://cdn.example/seg.m4s\n", "https://cdn.example/seg.m4s\n"),
            ("//cdn.example/seg.m4s\n", "//cdn.example/seg.m4s\n"),
            (
                "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://key\"\n",
                "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://key\"\n",
            ),
            (
                "#EXT-X-KEY:URI=\"data:text/plain;base64,AA\"\n",
                "#EXT-X-KEY:URI=\"data:text/plain;base64,AA\"\n",
            ),
            ("seg.m4s?x=1\n", "seg.m4s?x=1\n"),
            // A broken attribute list.
            ("#EXT-X-KEY:URI=\"never closed\n", "#EXT-X-KEY:URI=\"never closed\n"),
            ("#EXT-X-KEY:\"\n", "#EXT-X-KEY:\"\n"),
            ("#EXT-X-KEY\n", "#EXT-X-KEY\n"),
        ];
        for (line, expected) in table {
            assert_eq!(marked(line), expected, "{line:?}");
        }
    }
}
