//! Media playlists (RFC 8216bis, 4.4.3 and 4.4.4): whole or growing, one init segment, segments with or without keys.

use std::fmt;

use hls_m3u8::{
    tags::{ExtXKey, ExtXMap},
    types::{DecryptionKey, EncryptionMethod, InitializationVector},
};

use super::VERSION;
use crate::aes128::Iv;

/// Whether a playlist will get more segments (RFC 8216bis, 4.4.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Everything is in it, and was from the beginning.
    Whole,
    /// More is added at its end, until it has `ended`.
    Growing {
        /// Whether this is the last time.
        ended: bool,
    },
}

/// A media playlist. `Display` gives its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaPlaylist {
    /// Whether it will get more segments.
    pub extent: Extent,
    /// Target duration in seconds, the same in every playlist of an asset (RFC 8216bis, 6.2.4).
    pub target_duration_s: u64,
    /// URI of the init segment, which is always clear.
    pub init_uri: String,
    /// Segments in order.
    pub segments: Vec<PlaylistSegment>,
}

/// One segment of a media playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaylistSegment {
    /// Where it is.
    pub uri: String,
    /// How long it plays, microseconds.
    pub duration_us: u64,
    /// What opens it; absent when it is clear.
    pub key: Option<SegmentKey>,
}

/// Key and IV of a segment under METHOD=AES-128 (RFC 8216bis, 4.4.4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentKey {
    /// Where the key is, without key material.
    pub uri: String,
    /// The IV.
    pub iv: Iv,
}

impl fmt::Display for MediaPlaylist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "#EXTM3U")?;
        writeln!(f, "#EXT-X-VERSION:{VERSION}")?;
        writeln!(f, "#EXT-X-TARGETDURATION:{}", self.target_duration_s)?;
        writeln!(f, "#EXT-X-MEDIA-SEQUENCE:0")?;
        match self.extent {
            Extent::Whole => writeln!(f, "#EXT-X-PLAYLIST-TYPE:VOD")?,
            // Players begin where it ends unless they are told that it has a beginning (4.4.2.2).
            Extent::Growing { .. } => writeln!(f, "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-START:TIME-OFFSET=0")?,
        }
        writeln!(f, "#EXT-X-INDEPENDENT-SEGMENTS")?;
        // Before the first KEY: a KEY applies to the MAPs after it (4.4.4.4), and the init segment is clear, so that
        // a player sets its decoders up while it waits for the key.
        writeln!(f, "{}", ExtXMap::new(self.init_uri.as_str()))?;
        let mut last = None;
        for segment in &self.segments {
            if segment.key.as_ref() != last {
                writeln!(f, "{}", key_tag(segment.key.as_ref()))?;
                last = segment.key.as_ref();
            }
            let (s, us) = (segment.duration_us / 1_000_000, segment.duration_us % 1_000_000);
            writeln!(f, "#EXTINF:{s}.{us:06},")?;
            writeln!(f, "{}", segment.uri)?;
        }
        match self.extent {
            Extent::Whole | Extent::Growing { ended: true } => writeln!(f, "#EXT-X-ENDLIST"),
            Extent::Growing { ended: false } => Ok(()),
        }
    }
}

fn key_tag(key: Option<&SegmentKey>) -> ExtXKey<'_> {
    let Some(key) = key else { return ExtXKey::empty() };
    let mut tag = DecryptionKey::new(EncryptionMethod::Aes128, key.uri.as_str());
    tag.iv = InitializationVector::Aes128(key.iv);
    ExtXKey::new(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(at: u32, key: Option<SegmentKey>) -> PlaylistSegment {
        PlaylistSegment { uri: format!("720p/seg-{at:05}.m4s"), duration_us: 4_000_000 - u64::from(at), key }
    }

    fn key(iv: u8) -> SegmentKey {
        SegmentKey { uri: "/keys/kid_018f2f3a5c7b7cc3a1b2c3d4e5f60718".into(), iv: [iv; 16] }
    }

    fn playlist(segments: Vec<PlaylistSegment>) -> MediaPlaylist {
        let init_uri = "720p/init.mp4".into();
        MediaPlaylist { extent: Extent::Whole, target_duration_s: 4, init_uri, segments }
    }

    #[test]
    fn a_growing_playlist_only_gets_longer() {
        let of = |count, ended| {
            let extent = Extent::Growing { ended };
            MediaPlaylist { extent, ..playlist((0..count).map(|at| segment(at, None)).collect()) }.to_string()
        };
        let (one, two, all) = (of(1, false), of(2, false), of(2, true));
        assert!(one.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-START:TIME-OFFSET=0\n"), "{one}");
        assert!(two.starts_with(&one) && two.len() > one.len(), "{two}");
        assert_eq!(all, format!("{two}#EXT-X-ENDLIST\n"));
    }

    #[test]
    fn an_encrypted_playlist() {
        let text = playlist(vec![segment(0, Some(key(0x0a))), segment(1, Some(key(0xff)))]).to_string();
        assert_eq!(
            text,
            "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"720p/init.mp4\"
#EXT-X-KEY:METHOD=AES-128,URI=\"/keys/kid_018f2f3a5c7b7cc3a1b2c3d4e5f60718\",IV=0x0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a
#EXTINF:4.000000,
720p/seg-00000.m4s
#EXT-X-KEY:METHOD=AES-128,URI=\"/keys/kid_018f2f3a5c7b7cc3a1b2c3d4e5f60718\",IV=0xffffffffffffffffffffffffffffffff
#EXTINF:3.999999,
720p/seg-00001.m4s
#EXT-X-ENDLIST
"
        );
    }

    #[test]
    fn a_clear_playlist_and_a_clear_lead_out() {
        let text = playlist(vec![segment(0, None), segment(1, None)]).to_string();
        assert!(!text.contains("KEY"), "{text}");
        let text = playlist(vec![segment(0, Some(key(1))), segment(1, None), segment(2, None)]).to_string();
        assert_eq!(text.matches("#EXT-X-KEY:METHOD=NONE\n").count(), 1, "{text}");
    }

    /// An all-zero IV is a value like any other, not a missing one.
    #[test]
    fn every_iv_is_written() {
        let text = playlist(vec![segment(0, Some(key(0)))]).to_string();
        assert!(text.contains(",IV=0x00000000000000000000000000000000\n"), "{text}");
    }
}
