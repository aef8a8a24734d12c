//! Stills: what players get of them, and that nobody gets them otherwise.

use lectern_domain::storage_key;
use lectern_store::testing::on_both_engines;
use reqwest::Method;

use crate::world::{POSTER, World};

#[tokio::test]
async fn a_session_names_them_and_they_name_each_other() {
    on_both_engines(|db| async move {
        let world = World::new(db).await;
        let lesson = world.lesson().await;
        let user = world.learner(&lesson).await;
        let mut playing = world.play(&lesson, user).await;
        // The same with captions: they make a version of the package, the stills stay where they are.
        for version in [false, true] {
            if version {
                world.add_captions(&lesson).await;
                playing = world.play(&lesson, user).await;
            }
            let folder = format!("/playback/{}", playing.native_token);
            for (field, file) in [
                ("poster_url", "poster.jpg"),
                ("storyboard_url", "storyboard.vtt"),
                ("chapters_url", "chapters.vtt"),
                ("waveform_url", "waveform.dat"),
            ] {
                assert_eq!(playing.answer[field], format!("{folder}/{file}"));
            }
            let poster = world.native(&playing, "poster.jpg").await;
            assert_eq!((poster.status, poster.header("content-type")), (200, "image/jpeg"));
            assert_eq!(poster.header("cache-control"), "private, max-age=3600");
            assert_eq!(poster.body, POSTER);
            let storyboard = world.native(&playing, "storyboard.vtt").await;
            assert_eq!(storyboard.header("content-type"), "text/vtt; charset=utf-8");
            let text = storyboard.text();
            assert!(
                text.ends_with("00:00:06.000 --> 00:00:08.000\nstoryboard.jpg#xywh=480,0,160,90\n"),
                "{text}"
            );
            assert_eq!(world.native(&playing, "storyboard.jpg").await.body, POSTER);
            let waveform = world.native(&playing, "waveform.dat").await;
            assert_eq!(waveform.header("content-type"), "application/octet-stream");
            assert_eq!(waveform.body, POSTER);
            let chapters = world.native(&playing, "chapters.vtt").await.text();
            assert!(chapters.contains("\nChapter 1\n"), "{chapters}");
            assert!(chapters.ends_with("00:00:04.000 --> 00:00:08.000\nLenses\n"), "{chapters}");
            assert_eq!(world.native(&playing, "chapters.jpg").await.code(), "not_found", "there is none");
            let direct = world.still(&lesson, user, "poster.jpg").await;
            assert_eq!((direct.body.as_slice(), direct.header("cache-control")), (POSTER, "no-store"));
        }
    })
    .await;
}

#[tokio::test]
async fn they_are_not_to_be_had_otherwise() {
    on_both_engines(|db| async move {
        let world = World::new(db).await;
        let lesson = world.lesson().await;
        let user = world.learner(&lesson).await;
        let playing = world.play(&lesson, user).await;
        // What lies with the segments is sealed, and the plain names lead nowhere.
        let key = storage_key::still(lesson.asset, lesson.package, "poster.jpg");
        let sealed = world.get(&format!("/media/{}", key.strip_prefix("packages/").unwrap())).await;
        assert_eq!(sealed.status, 200);
        assert!(!sealed.body.windows(POSTER.len()).any(|window| window == POSTER));
        assert_eq!(world.get(&lesson.media("stills/poster.jpg")).await.code(), "not_found");

        let path = format!("/api/v1/lessons/{}/stills/poster.jpg", lesson.lesson);
        for token in
            [None, Some("nonsense"), Some(playing.token.as_str()), Some(playing.native_token.as_str())]
        {
            assert_eq!(world.call(Method::GET, &path, token).await.code(), "unauthenticated");
        }
        let access = world.access_token(user).await;
        for token in ["nonsense", access.as_str(), playing.token.as_str()] {
            let path = format!("/playback/{token}/poster.jpg");
            assert_eq!(world.get(&path).await.code(), "token_invalid");
        }
        for file in ["720p.jpg", "stills/poster.jpg", "poster.jpg.sealed", "POSTER.JPG"] {
            assert_eq!(world.native(&playing, file).await.code(), "not_found", "{file}");
            assert_eq!(world.still(&lesson, user, file).await.status, 404, "{file}");
        }
        // One that was put in the place of another does not open.
        let other = storage_key::still(lesson.asset, lesson.package, "storyboard.jpg");
        let bytes = world.objects.get(&other).await.unwrap().unwrap();
        world.objects.put(&key, bytes).await.unwrap();
        assert_eq!(world.native(&playing, "poster.jpg").await.code(), "unavailable");
    })
    .await;
}
