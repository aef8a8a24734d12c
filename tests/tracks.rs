//! More than picture and sound: sound in two languages, captions that come later, and what is found in the pictures, through the
//! real server, looked at by ffmpeg, by two parsers of playlists and by Shaka Player in Chromium.

mod harness;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use harness::{
    Client, Server, course_and_lesson, draw::ffmpeg, eventually, files_under, installed, person, run,
    settled, watch,
};
use serde_json::{Value, json};

const CAPTIONS: &str = "1\r\n00:00:00,500 --> 00:00:02,000\r\nLight bends.\r\n\r\n2\r\n00:00:02,500 --> 00:00:29,000\r\n<b>See</b> for yourself\r\n";
/// Colours of the slides as red, green and blue.
const SLIDES: [[u8; 3]; 3] = [[0x1f, 0x3a, 0x5f], [0x2e, 0x5e, 0x4e], [0x8a, 0x3b, 0x2a]];

/// Half a minute: three slides of ten seconds with words on them, a tone of 440 Hz in English and one of 880 Hz in German.
fn slides(folder: &Path) -> PathBuf {
    let colour = |slide: usize| hex::encode(SLIDES[slide]);
    let arguments = format!(
        "-f lavfi -i color=0x{}:s=640x360:r=25,drawbox=color=0x{}:t=fill:enable='between(t,10,19.99)',\
         drawbox=color=0x{}:t=fill:enable='gte(t,20)',\
         drawtext=text='Slide%{{eif\\:1+floor(t/10)\\:d}}':fontsize=48:fontcolor=white:x=40:y=40 \
         -f lavfi -i sine=frequency=440:sample_rate=48000 -f lavfi -i sine=frequency=880:sample_rate=48000 \
         -map 0:v -map 1:a -map 2:a -t 30 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -colorspace bt709 -color_primaries bt709 \
         -color_trc bt709 -vf scale=out_color_matrix=bt709 -c:a aac -metadata:s:a:0 language=eng -metadata:s:a:1 language=deu",
        colour(0),
        colour(1),
        colour(2)
    );
    ffmpeg(folder, "slides.mp4", &arguments)
}

struct School {
    server: Server,
    folder: tempfile::TempDir,
    instructor: Client,
    learner: Client,
    lesson: String,
    asset: String,
}

impl School {
    /// With the slides uploaded and ready.
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Several spans, cut where slides change and elsewhere.
        let server = Server::start(folder.path(), &[("LECTERN__TRANSCODE__SPAN_MS", "8000")]).await;
        let instructor = person(&server, "ines", "instructor").await;
        let learner = person(&server, "lee", "student").await;
        let (course, lesson) = course_and_lesson(&instructor).await;
        learner.post(&format!("/api/v1/enrollments/{course}"), json!({})).await.unwrap();
        let asset = instructor.upload(&lesson, &slides(folder.path()), |_| {}).await.unwrap();
        let found = settled(&instructor, &asset, Duration::from_mins(2)).await;
        assert_eq!(found["state"], "ready", "{found}");
        Self { server, folder, instructor, learner, lesson, asset }
    }

    async fn playback(&self) -> Value {
        self.learner.post(&format!("/api/v1/lessons/{}/playback", self.lesson), json!({})).await.unwrap()
    }

    async fn fetch(&self, url: &str) -> Vec<u8> {
        let answer = reqwest::get(self.learner.absolute(url)).await.unwrap();
        assert!(answer.status().is_success(), "{url}: {}", answer.status());
        answer.bytes().await.unwrap().to_vec()
    }

    async fn text(&self, url: &str) -> String {
        String::from_utf8(self.fetch(url).await).unwrap()
    }

    /// Uploads captions and waits until players get them.
    async fn caption(&self, language: &str, label: &str, file: &str) {
        let path = format!("/api/v1/assets/{}/captions", self.asset);
        let url = self.instructor.absolute(&format!("{path}/{language}?label={label}"));
        let request =
            reqwest::Client::new().put(url).bearer_auth(self.instructor.access_token()).body(file.to_owned());
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        eventually("the captions are published", Duration::from_secs(20), async || {
            self.instructor.get(&path).await.unwrap()["published"] == true
        })
        .await;
    }

    /// The captions of a text rendition as SubRip.
    async fn subtitles(&self, playback: &Value, tag: &str) -> String {
        let attribute = |line: &str, name: &str| {
            let value = line.split_once(&format!("{name}=")).unwrap().1;
            value.trim_start_matches('"').split(['"', ',']).next().unwrap().to_owned()
        };
        let base = url::Url::parse(&self.learner.absolute(playback["hls_url"].as_str().unwrap())).unwrap();
        let at = base.join(&attribute(tag, "URI")).unwrap();
        let playlist = self.text(at.as_str()).await;
        let key = playlist.lines().find(|line| line.starts_with("#EXT-X-KEY:")).unwrap();
        let segment = playlist.lines().find(|line| !line.starts_with('#')).unwrap();
        let content_key = self
            .learner
            .content_key(&attribute(key, "URI"), playback["token"].as_str().unwrap())
            .await
            .unwrap();
        let (sealed, clear) = (self.folder.path().join("sealed"), self.folder.path().join("clear.vtt"));
        std::fs::write(&sealed, self.fetch(at.join(segment).unwrap().as_str()).await).unwrap();
        let (sealed, clear) = (sealed.display().to_string(), clear.display().to_string());
        let (key, iv) = (hex::encode(content_key), attribute(key, "IV").trim_start_matches("0x").to_owned());
        run(
            "openssl",
            &["enc", "-d", "-aes-128-cbc", "-K", &key, "-iv", &iv, "-in", &sealed, "-out", &clear],
        );
        run("ffmpeg", &["-v", "error", "-i", &clear, "-f", "srt", "-"])
    }

    /// A JPEG as rows of red, green and blue, and its size.
    async fn pixels(&self, url: &str) -> (usize, usize, Vec<u8>) {
        let file = self.folder.path().join("still.jpg");
        std::fs::write(&file, self.fetch(url).await).unwrap();
        let path = file.display().to_string();
        let size =
            run("ffprobe", &["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0", &path]);
        let (width, height) = size.trim().split_once(',').unwrap();
        let raw = Command::new("ffmpeg")
            .args(["-v", "error", "-i", &path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
            .output()
            .unwrap();
        let (width, height) = (width.parse().unwrap(), height.parse().unwrap());
        assert_eq!(raw.stdout.len(), width * height * 3);
        (width, height, raw.stdout)
    }
}

/// Whether a pixel has a slide's colour, as far as video and JPEG keep it.
fn is_slide(pixel: &[u8], slide: usize) -> bool {
    pixel.iter().zip(SLIDES[slide]).all(|(got, expected)| got.abs_diff(expected) <= 12)
}

#[tokio::test(flavor = "multi_thread")]
async fn poster_storyboard_and_chapters_are_found_in_the_pictures() {
    let school = School::open().await;
    let playback = school.playback().await;
    let url =
        |field: &str| playback[field].as_str().unwrap_or_else(|| panic!("{field} in {playback}")).to_owned();

    let (width, height, poster) = school.pixels(&url("poster_url")).await;
    assert_eq!((width, height), (640, 360));
    let centre = (height / 2 * width + width / 2) * 3;
    assert!(is_slide(&poster[centre..centre + 3], 0), "{:?}", &poster[centre..centre + 3]);

    // A tile every two seconds, each of the slide that is on the screen then.
    let storyboard = school.text(&url("storyboard_url")).await;
    let tiles: Vec<&str> =
        storyboard.lines().filter(|line| line.starts_with("storyboard.jpg#xywh=")).collect();
    assert_eq!(tiles.len(), 15, "{storyboard}");
    let sheet = url("storyboard_url").replace("storyboard.vtt", "storyboard.jpg");
    let (width, _, pixels) = school.pixels(&sheet).await;
    for (at, tile) in tiles.iter().enumerate() {
        let place: Vec<usize> =
            tile.split_once('=').unwrap().1.split(',').map(|number| number.parse().unwrap()).collect();
        assert_eq!(place[2..], [160, 90], "{tile}");
        let centre = ((place[1] + 45) * width + place[0] + 80) * 3;
        assert!(
            is_slide(&pixels[centre..centre + 3], at / 5),
            "tile {at}: {:?}",
            &pixels[centre..centre + 3]
        );
    }

    let path = format!("/api/v1/assets/{}/chapters", school.asset);
    let chapters = school.learner.get(&path).await.unwrap();
    let items = chapters["items"].as_array().unwrap();
    let starts: Vec<u64> = items.iter().map(|chapter| chapter["start_ms"].as_u64().unwrap()).collect();
    assert_eq!(starts, [0, 10_000, 20_000], "{chapters}");
    assert!(items.iter().all(|chapter| chapter["title"] == ""), "{chapters}");
    let (width, height, pixels) = school.pixels(&url("chapters_url").replace(".vtt", ".jpg")).await;
    assert_eq!(json!({ "width": width, "height": height }), chapters["sheet"]);
    for (slide, chapter) in items.iter().enumerate() {
        let of = |field: &str| chapter["still"][field].as_u64().unwrap() as usize;
        let centre = ((of("y") + of("height") / 2) * width + of("x") + of("width") / 2) * 3;
        assert!(
            is_slide(&pixels[centre..centre + 3], slide),
            "chapter {slide}: {:?}",
            &pixels[centre..centre + 3]
        );
    }

    // The instructor names one, removes one, adds one.
    let change = json!({"items": [
        {"start_ms": 0, "title": "Why a straw looks broken"}, {"start_ms": 20_000}, {"start_ms": 25_000, "title": "End"}
    ]});
    let put = reqwest::Client::new().put(school.instructor.absolute(&path));
    let kept: Value = put
        .bearer_auth(school.instructor.access_token())
        .json(&change)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(kept["items"][2]["still"], kept["items"][1]["still"], "the slide is still the same");
    let text = school.text(&url("chapters_url")).await;
    // Thirty seconds of sound end within a block of 1024 samples.
    assert_eq!(
        text,
        "WEBVTT\n\n00:00:00.000 --> 00:00:20.000\nWhy a straw looks broken\n\n\
         00:00:20.000 --> 00:00:25.000\nChapter 2\n\n00:00:25.000 --> 00:00:30.016\nEnd\n"
    );

    // Nothing of it is in the clear where it lies, and nobody else gets it.
    let objects = school.server.data.join("objects");
    let stills: Vec<String> = files_under(&objects)
        .into_iter()
        .filter(|name| name.contains("still") || name.contains(".jpg"))
        .collect();
    assert_eq!(stills.len(), 4, "poster, storyboard, chapters and the waveform: {stills:?}");
    for still in stills {
        let bytes = std::fs::read(objects.join(&still)).unwrap();
        assert!(still.ends_with(".sealed") && !bytes.starts_with(&[0xff, 0xd8]), "{still}");
    }
    let stranger = person(&school.server, "sam", "student").await;
    let refused = stranger.get(&format!("/api/v1/lessons/{}/stills/poster.jpg", school.lesson)).await;
    assert!(refused.unwrap_err().to_string().contains("not_enrolled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn captions_and_languages_are_played() {
    let school = School::open().await;
    let segments = || {
        let files = files_under(&school.server.data.join("objects/packages"));
        files.into_iter().filter(|name| name.contains(".m4s")).collect::<Vec<_>>()
    };
    let before = segments();
    let earlier = school.playback().await;
    school.caption("en", "English", CAPTIONS).await;
    school.caption("de", "Deutsch", "WEBVTT\n\n00:01.000 --> 00:02.000\nLicht bricht sich.\n").await;
    assert_eq!(segments(), before, "nothing was encoded or copied");

    let playback = school.playback().await;
    let top = school.text(playback["hls_url"].as_str().unwrap()).await;
    let tag =
        |kind: &str| top.lines().filter(|line| line.contains(&format!("TYPE={kind},"))).collect::<Vec<_>>();
    let (sounds, texts) = (tag("AUDIO"), tag("SUBTITLES"));
    assert_eq!((sounds.len(), texts.len()), (2, 2), "{top}");
    assert!(sounds[0].contains("LANGUAGE=\"en\"") && sounds[0].contains("DEFAULT=YES"), "{top}");
    assert!(sounds[1].contains("LANGUAGE=\"de\"") && !sounds[1].contains("DEFAULT=YES"), "{top}");
    assert!(texts[1].contains("LANGUAGE=\"en\"") && texts[1].contains("NAME=\"English\""), "{top}");
    assert!(
        top.lines()
            .filter(|line| line.starts_with("#EXT-X-STREAM-INF:"))
            .all(|line| line.contains("SUBTITLES=\"text\""))
    );
    let name = school.folder.path().join("multivariant.m3u8");
    std::fs::write(&name, &top).unwrap();
    installed("tests/players/node_modules/hls-parser");
    run(
        "node",
        &[&installed("tests/players/check-playlist.mjs").display().to_string(), &name.display().to_string()],
    );

    // ffmpeg reads the captions, once openssl has opened them with the key from the server, and hears both languages.
    let subtitles = school.subtitles(&playback, texts[1]).await;
    assert!(subtitles.contains("00:00:00,500 --> 00:00:02,000\nLight bends."), "{subtitles}");
    assert!(subtitles.contains("<b>See</b> for yourself"), "{subtitles}");
    let url = school.learner.absolute(playback["hls_native_url"].as_str().unwrap());
    let streams = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-allowed_extensions",
            "ALL",
            "-select_streams",
            "a",
            "-show_entries",
            "stream_tags=language",
            "-of",
            "csv=p=0",
            &url,
        ],
    );
    assert_eq!(streams.split_whitespace().collect::<Vec<_>>(), ["en", "de"]);
    assert!(watch::decoded_by_ffmpeg(&url)[&360] >= 30, "the picture plays as before");
    // Who began before goes on with the version from before.
    let url = school.learner.absolute(earlier["hls_native_url"].as_str().unwrap());
    assert!(!school.text(&url).await.contains("SUBTITLES"));
    assert!(watch::decoded_by_ffmpeg(&url)[&360] >= 30);

    let chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let chromium = chromium.into_iter().find(|path| Path::new(path).exists());
    let chromium = chromium.expect("Chromium is missing: run `make test`, which installs it");
    installed("tests/browser/node_modules/shaka-player");
    let output = Command::new("node")
        .arg(installed("tests/browser/shaka.mjs"))
        .args([&school.server.url, &playback.to_string(), "en", "de"])
        .env("LECTERN_CHROMIUM", chromium)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&seen["errors"], &seen["complaints"]), (&json!([]), &json!([])), "{seen}");
    assert_eq!(seen["heard"], "de", "{seen}");
    // There is a variant of sound alone, and the player does not choose from it.
    assert!(top.contains("\naudio-0.m3u8\n") && seen["blind"] == 0, "{seen}\n{top}");
    assert!(seen["picture"]["height"] == 360 && seen["picture"]["frames"].as_u64() > Some(0), "{seen}");
    assert!(seen["decoded"].as_u64().unwrap() > 0, "{seen}");
    assert_eq!(seen["shown"], json!(["0.500 Light bends.", "2.500 <b>See</b> for yourself"]), "{seen}");
    assert_eq!(seen["thumbnail"], json!({"x": 960, "y": 0, "width": 160, "height": 90}), "{seen}");
    assert_eq!(seen["texts"].as_array().unwrap().len(), 2, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_tracks_of_the_source_become_captions() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let instructor = person(&server, "ines", "instructor").await;
    let (course, _) = course_and_lesson(&instructor).await;
    let words = folder.path().join("words.srt");
    std::fs::write(
        &words,
        "1\n00:00:00,500 --> 00:00:01,500\nLight & <i>glass</i>\n\n2\n00:00:02,000 --> 00:00:03,000\nTwo\nlines\n",
    )
    .unwrap();
    let (at, words) = (folder.path(), words.display());
    let clip = |name: &str, texts: &str| {
        let arguments = format!(
            "-f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 {texts} \
             -t 4 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac"
        );
        ffmpeg(at, name, &arguments)
    };
    let map = "-map 0:v -map 1:a";
    let table = [
        (
            clip(
                "timed.mp4",
                &format!("-i {words} {map} -map 2:s -c:s mov_text -metadata:s:s:0 language=eng"),
            ),
            vec!["en"],
        ),
        (
            clip(
                "three.mkv",
                &format!(
                    "-i {words} {map} -map 2:s -map 2:s -map 2:s -c:s:0 srt -c:s:1 ass -c:s:2 srt -metadata:s:s:0 language=eng \
                     -metadata:s:s:0 title=Words -metadata:s:s:1 language=ger -metadata:s:s:2 language=eng"
                ),
            ),
            vec!["de", "en", "en-x-2"],
        ),
    ];
    for (file, languages) in table {
        let lesson = harness::lesson(&instructor, &course, "Light").await;
        let asset = instructor.upload(&lesson, &file, |_| {}).await.unwrap();
        assert_eq!(settled(&instructor, &asset, Duration::from_mins(1)).await["state"], "ready");
        let path = format!("/api/v1/assets/{asset}/captions");
        let mut listed = Value::Null;
        eventually("the captions are published", Duration::from_secs(20), async || {
            listed = instructor.get(&path).await.unwrap();
            listed["published"] == true
        })
        .await;
        let items = listed["items"].as_array().unwrap();
        let found: Vec<&str> = items.iter().map(|one| one["language"].as_str().unwrap()).collect();
        assert_eq!(found, languages, "{}: {listed}", file.display());
        assert!(items.iter().all(|one| one["origin"] == "source" && one["cues"] == 2), "{listed}");
        for language in languages {
            let url = instructor.absolute(&format!("{path}/{language}"));
            let request = reqwest::Client::new().get(url).bearer_auth(instructor.access_token());
            let text = request.send().await.unwrap().text().await.unwrap();
            let cues: Vec<&str> = text.split("\n\n").skip(1).collect();
            // Sound that begins a little before the picture moves everything else in Matroska.
            let near = |cue: &str, times: [u64; 2]| {
                let ms = |at: usize| {
                    cue[at + 6..at + 8].parse::<u64>().unwrap() * 1_000
                        + cue[at + 9..at + 12].parse::<u64>().unwrap()
                };
                (times[0]..times[0] + 30).contains(&ms(0)) && (times[1]..times[1] + 30).contains(&ms(17))
            };
            assert!(cues.len() == 2 && near(cues[0], [500, 1_500]), "{language}: {text}");
            assert!(cues[0].contains("Light &amp;") && cues[0].contains("glass"), "{language}: {text}");
            assert!(near(cues[1], [2_000, 3_000]), "{language}: {text}");
            assert!(cues[1].ends_with("\nTwo\nlines\n"), "{language}: {text}");
        }
        if items.len() == 3 {
            assert_eq!(items[1]["label"], "Words");
        }
    }
}
