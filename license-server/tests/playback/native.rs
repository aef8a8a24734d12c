//! Per-session playlists: every URI of them, and what becomes of a leaked one.

use lectern_license_server::LicenseSettings;
use lectern_store::testing::on_both_engines;
use reqwest::Method;

use crate::world::{Lecture, World};

fn expected_multivariant(base: &str, token: &str) -> String {
    format!(
        "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"URI=\",URI=\"{base}/playback/{token}/audio-0.m3u8\",DEFAULT=YES
#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"audio\"
{base}/playback/{token}/720p.m3u8
"
    )
}

fn expected_media(base: &str, token: &str, lesson: &Lecture) -> String {
    let kid = lesson.video.kid;
    let media = format!("{base}{}", lesson.media("720p"));
    format!(
        "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-MAP:URI=\"{media}/init.mp4\"
#EXT-X-KEY:METHOD=AES-128,URI=\"{base}/keys/{kid}?token={token}\",IV=0x0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a
#EXTINF:4.000000,
{media}/seg-00000.m4s
#EXT-X-KEY:METHOD=AES-128,URI=\"{base}/keys/{kid}?token={token}\",IV=0x0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b
#EXTINF:4.000000,
{media}/seg-00001.m4s
#EXT-X-ENDLIST
"
    )
}

/// Every URI of a playlist: lines and attributes.
fn uris(text: &str) -> Vec<String> {
    let line = |line: &str| match line.strip_prefix('#') {
        None => Some(line.to_owned()),
        Some(tag) => tag.rsplit_once("URI=\"").map(|(_, rest)| rest.split('"').next().unwrap().to_owned()),
    };
    text.lines().filter_map(line).collect()
}

#[tokio::test]
async fn every_uri_leads_where_it_should() {
    on_both_engines(|db| async move {
        let world = World::new(db).await;
        let lesson = world.lesson().await;
        let user = world.learner(&lesson).await;
        let playing = world.play(&lesson, user).await;
        let token = &playing.native_token;
        let top = world.get(playing.answer["hls_native_url"].as_str().unwrap()).await;
        assert_eq!(top.header("content-type"), "application/vnd.apple.mpegurl");
        assert_eq!(top.header("cache-control"), "private, no-store");
        assert_eq!(top.header("access-control-allow-origin"), "*");
        assert_eq!(top.text(), expected_multivariant("", token));
        assert_eq!(world.native(&playing, "720p.m3u8").await.text(), expected_media("", token, &lesson));

        // As a player does, with nothing but URLs.
        let (mut keys, mut media) = (0, 0);
        for playlist in uris(&top.text()) {
            let playlist = world.get(&playlist).await;
            assert_eq!(playlist.status, 200);
            for uri in uris(&playlist.text()) {
                let answer = world.get(&uri).await;
                assert_eq!(answer.status, 200, "{uri}");
                if uri.starts_with("/keys/") {
                    let name =
                        if uri.contains(&lesson.video.kid.to_string()) { lesson.video } else { lesson.audio };
                    assert_eq!(answer.body, lesson.key(name));
                    keys += 1;
                } else {
                    assert!(answer.header("cache-control").contains("immutable"), "{uri}");
                    media += 1;
                }
            }
        }
        assert_eq!((keys, media), (4, 6));

        // What is no playlist of the package is not there.
        for file in [
            "none.m3u8",
            "720p/init.mp4",
            "..%2f..%2fsources.m3u8",
            ".hidden.m3u8",
            "a%00.m3u8",
            "m3u8",
            "720p.M3U8",
        ] {
            let answer = world.native(&playing, file).await;
            assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{file}");
        }
        // A leaked one stops with its session.
        let ended = world
            .call(Method::DELETE, &format!("/api/v1/playback/{}", playing.session), Some(&playing.token))
            .await;
        assert_eq!(ended.status, 204);
        assert_eq!(world.native(&playing, "720p.m3u8").await.code(), "session_ended");
        assert_eq!(world.key(lesson.video.kid, token).await.code(), "session_ended");
    })
    .await;
}

#[tokio::test]
async fn with_a_public_base_every_url_is_absolute() {
    const BASE: &str = "https://learn.example.org/lectern";
    for base in ["https://learn.example.org/lectern", "https://learn.example.org/lectern/"] {
        on_both_engines(move |db| async move {
            let public_base_url = Some(base.parse().unwrap());
            let world = World::with(db, LicenseSettings { public_base_url, ..Default::default() }).await;
            let lesson = world.lesson().await;
            let user = world.learner(&lesson).await;
            let playing = world.play(&lesson, user).await;
            let token = &playing.native_token;
            let answer = &playing.answer;
            assert_eq!(answer["hls_url"], format!("{BASE}{}", lesson.media("multivariant.m3u8")));
            assert_eq!(answer["hls_native_url"], format!("{BASE}/playback/{token}/multivariant.m3u8"));
            let heartbeat = format!("{BASE}/api/v1/playback/{}/heartbeat", playing.session);
            assert_eq!(answer["heartbeat_url"], heartbeat);
            let top = world.native(&playing, "multivariant.m3u8").await;
            assert_eq!(top.text(), expected_multivariant(BASE, token));
            let media = world.native(&playing, "720p.m3u8").await;
            assert_eq!(media.text(), expected_media(BASE, token, &lesson));
        })
        .await;
    }
}

/// A version with captions has playlists of its own, and the segments and keys of the package it was made of.
#[tokio::test]
async fn a_version_with_captions_plays_with_the_keys_of_its_base() {
    on_both_engines(|db| async move {
        let world = World::new(db).await;
        let lesson = world.lesson().await;
        let user = world.learner(&lesson).await;
        let before = world.play(&lesson, user).await;
        let version = world.add_captions(&lesson).await;

        let after = world.play(&lesson, user).await;
        let hls = after.answer["hls_url"].as_str().unwrap();
        assert_eq!(hls, format!("/media/{}/{version}/multivariant.m3u8", lesson.asset));
        // Both sessions get the keys, with either kind of token; nobody gets another asset's.
        for playing in [&before, &after] {
            for name in [lesson.video, lesson.audio] {
                for token in [&playing.token, &playing.native_token] {
                    let answer = world.key(name.kid, token).await;
                    assert_eq!((answer.status, answer.body.clone()), (200, lesson.key(name)), "{answer:?}");
                }
            }
        }
        let other = world.lesson().await;
        assert_eq!(world.key(other.video.kid, &after.token).await.code(), "wrong_key");
        assert_eq!(world.key(other.video.kid, &after.native_token).await.code(), "wrong_key");

        // The playlists of the session lead to the version's, and from there to the segments of the base.
        let media = world.native(&after, "720p.m3u8").await.text();
        let token = &after.native_token;
        assert!(media.contains(&format!("\n{}\n", lesson.media("720p/seg-00000.m4s"))), "{media}");
        assert!(media.contains(&format!("URI=\"/keys/{}?token={token}\"", lesson.video.kid)), "{media}");
        assert_eq!(world.native(&before, "720p.m3u8").await.status, 200, "the first version plays on");
    })
    .await;
}
