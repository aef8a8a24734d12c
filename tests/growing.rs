//! Lectures that are watched while they are made: in Chromium from the beginning to the end, by what others are told of caching, and
//! through the death of the server.

mod harness;

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use harness::{
    Client, Server, course_and_lesson,
    draw::ffmpeg,
    eventually, installed, person, settled, sha256,
    topology::{Process, Services, Topology},
    watch,
};
use lectern_domain::job::JobKind;
use lectern_store::jobs;
use serde_json::{Value, json};

/// So many times thirty seconds of three slides with a tone, by stream copy.
fn lecture(folder: &Path, times: u64) -> PathBuf {
    let part = ffmpeg(
        folder,
        "part.mp4",
        "-f lavfi -i color=0x1f3a5f:s=1280x720:r=25 -f lavfi -i sine=frequency=440:sample_rate=48000 \
         -vf drawtext=text='%{eif\\:1+floor(t/10)\\:d}':fontsize=300:fontcolor=white:x=400:y=200,\
         drawbox=x=100:y=100:w=150:h=500:color=orange:t=fill:enable='between(t,10,20)' -t 30 \
         -c:v libx264 -preset ultrafast -crf 20 -g 50 -pix_fmt yuv420p -c:a aac",
    );
    let arguments = format!("-stream_loop {} -i {} -c copy", times - 1, part.display());
    ffmpeg(folder, "Lecture.mp4", &arguments)
}

async fn state_of(instructor: &Client, asset: &str) -> Value {
    instructor.get(&format!("/api/v1/assets/{asset}")).await.unwrap_or(Value::Null)
}

/// Waits until learners may begin. The asset then.
async fn playable(instructor: &Client, asset: &str) -> Value {
    let mut found = Value::Null;
    eventually("it can be played", Duration::from_mins(2), async || {
        found = state_of(instructor, asset).await;
        assert!(found["state"] != "failed" && found["state"] != "ready", "not before it was whole: {found}");
        found["state"] == "playable"
    })
    .await;
    found
}

/// The names and texts of the growing playlists behind an address, and the SHA-256 of each segment that they name.
fn published(server: &Server, asset: &str) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let root = server.data.join("objects/packages").join(asset);
    let package = std::fs::read_dir(&root).unwrap().next().unwrap().unwrap().path();
    let (mut playlists, mut segments) = (BTreeMap::new(), BTreeMap::new());
    for entry in std::fs::read_dir(&package).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".growing.m3u8") || name.starts_with("multivariant") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for segment in text.lines().filter(|line| !line.starts_with('#')) {
            segments.insert(segment.to_owned(), sha256(&package.join(segment)));
        }
        playlists.insert(name, text);
    }
    (playlists, segments)
}

/// A page that a learner has open while waiting.
struct Waiting {
    child: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Waiting {
    fn open(server: &Server, path: &str, learner: &str, picture: &str) -> Self {
        installed("tests/browser/node_modules/playwright-core");
        let email = format!("{learner}@school.example");
        let mut child = Command::new("node")
            .args(["first-frame.mjs", &server.url, path, &email, "correct horse battery", picture])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser"))
            .env("LECTERN_CHROMIUM", harness::chromium())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is missing: install Node 20.19 or newer");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut waiting = Self { child, lines };
        assert_eq!(waiting.hear()["event"], "signed in");
        waiting
    }

    fn hear(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().expect("the page says more").unwrap()).unwrap()
    }

    fn say(&mut self, line: &str) -> Value {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        self.hear()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_watches_what_is_still_being_made() {
    let folder = tempfile::tempdir().unwrap();
    let seconds = 300u64;
    let file = lecture(folder.path(), seconds / 30);
    let server = Server::start(folder.path(), &[("LECTERN__TRANSCODE__SLOTS", "1")]).await;
    let instructor = person(&server, "ines", "instructor").await;
    let learner = person(&server, "lee", "student").await;
    let (course, lesson) = course_and_lesson(&instructor).await;
    learner.post(&format!("/api/v1/enrollments/{course}"), json!({})).await.unwrap();
    let picture =
        std::env::var("LECTERN_SCREENSHOTS").map_or(String::new(), |at| format!("{at}/growing.png"));
    let mut page = Waiting::open(&server, &format!("/courses/{course}/lessons/{lesson}"), "lee", &picture);

    let asset = instructor.upload(&lesson, &file, |_| {}).await.unwrap();
    let found = playable(&instructor, &asset).await;
    let there_ms = found["playable_ms"].as_u64().unwrap();
    assert!((16_000..seconds * 1_000 / 2).contains(&there_ms), "{found}");
    assert!(found["duration_ms"].as_u64().unwrap().abs_diff(seconds * 1_000) < 500, "{found}");
    let (early, early_segments) = published(&server, &asset);
    assert_eq!(early.len(), 4, "three rungs and the sound: {:?}", early.keys());

    let shown = page.say("go");
    assert_eq!(shown["event"], "first frame", "{shown}");
    assert!(shown["at"].as_f64().unwrap() < 2.0, "from the beginning: {shown}");
    assert!(shown["duration"].as_f64().unwrap() < seconds as f64 - 10.0, "while it was being made: {shown}");
    println!("playable with {there_ms} ms; {shown}");

    // Whoever asks for a playlist gets one that is good for a second; segments are good for ever.
    let answer = learner.post(&format!("/api/v1/lessons/{lesson}/playback"), json!({})).await.unwrap();
    assert_eq!(
        (&answer["growing"], &answer["duration_ms"]),
        (&json!(true), &found["duration_ms"]),
        "{answer}"
    );
    let top = learner.absolute(answer["hls_url"].as_str().unwrap());
    let cache = async |url: String| {
        let answer = reqwest::get(&url).await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        answer.headers()["cache-control"].to_str().unwrap().to_owned()
    };
    for name in early.keys() {
        assert_eq!(cache(top.replace("multivariant.growing.m3u8", name)).await, "public, max-age=1");
    }
    let segment = early_segments.keys().next().unwrap();
    assert!(cache(top.replace("multivariant.growing.m3u8", segment)).await.contains("immutable"));

    assert_eq!(settled(&instructor, &asset, Duration::from_mins(3)).await["state"], "ready");
    let end = page.say(&seconds.to_string());
    assert_eq!(end["complaints"], json!([]), "{end}");
    for step in ["grew", "went", "on", "ended"] {
        assert_eq!(end[step], true, "{step}: {end}");
    }
    let note = end["note"].as_str().unwrap_or_default();
    assert!(note.contains("still being prepared") || note.is_empty(), "{end}");

    // What was published stayed as it was, and the playlists only got longer.
    let (late, late_segments) = published(&server, &asset);
    for (name, text) in &early {
        assert!(late[name].starts_with(text), "{name}:\n{text}\n{}", late[name]);
        assert!(late[name].ends_with("#EXT-X-ENDLIST\n"));
    }
    assert!(early_segments.iter().all(|(name, sum)| late_segments[name] == *sum));
    let whole: BTreeMap<_, _> = watch::decoded_by_ffmpeg(&watch::native_url(&learner, &lesson).await);
    let grown = watch::decoded_by_ffmpeg(&learner.absolute(answer["hls_native_url"].as_str().unwrap()));
    assert_eq!(whole, grown, "both say the same in the end");
    watch::whole_package(&server, &asset);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_plays_while_other_machines_make_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let file = lecture(folder.path(), 10);
    let transcoder = |name| Process { name, roles: "transcoder", core: None };
    let server = Process { name: "server", roles: "api,ingest,packager,license-server", core: None };
    let processes = [server, transcoder("transcoder-1"), transcoder("transcoder-2")];
    let topology = Topology::start_on(Services::start(&[]).await, folder.path(), &processes, &[]).await;
    let mut instructor = Client::new(&topology.node("server").url).unwrap();
    instructor.register("ines", "ines@school.example", "correct horse battery", "instructor").await.unwrap();
    let (_, lesson) = course_and_lesson(&instructor).await;
    let asset = instructor.upload(&lesson, &file, |_| {}).await.unwrap();
    let found = playable(&instructor, &asset).await;
    assert!(found["playable_ms"].as_u64().unwrap() < 290_000, "{found}");
    let early = watch::native_url(&instructor, &lesson).await;
    assert_eq!(settled(&instructor, &asset, Duration::from_mins(3)).await["state"], "ready");
    let mut makers = std::collections::BTreeSet::new();
    for job in jobs::of_asset(&topology.db, asset.parse().unwrap()).await.unwrap() {
        if job.payload.kind() == JobKind::TranscodeSpan {
            assert_eq!((job.attempt, job.failures), (1, 0), "{job:?}");
            let story = jobs::story(&topology.db, job.id).await.unwrap();
            makers.extend(story.into_iter().filter(|line| line.event == "claimed").map(|line| line.detail));
        }
    }
    assert_eq!(makers.len(), 2, "both made spans of it");
    let whole = watch::decoded_by_ffmpeg(&watch::native_url(&instructor, &lesson).await);
    assert_eq!(whole, watch::decoded_by_ffmpeg(&early));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_the_server_does_not_take_back_what_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let file = lecture(folder.path(), 10);
    let mut server = Server::start(folder.path(), &[("LECTERN__TRANSCODE__SLOTS", "1")]).await;
    let instructor = person(&server, "ines", "instructor").await;
    let learner = person(&server, "lee", "student").await;
    let (course, lesson) = course_and_lesson(&instructor).await;
    learner.post(&format!("/api/v1/enrollments/{course}"), json!({})).await.unwrap();
    let asset = instructor.upload(&lesson, &file, |_| {}).await.unwrap();
    playable(&instructor, &asset).await;
    let native = watch::native_url(&learner, &lesson).await;
    let mut before = published(&server, &asset);
    let mut kills = 0;
    // Just after a pass, or in the middle of one: both while something is on its way.
    for wait_ms in [100u64, 700, 1_500, 2_600] {
        if state_of(&instructor, &asset).await["state"] != "playable" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        server.kill();
        kills += 1;
        server.again().await;
        let after = published(&server, &asset);
        for (name, text) in &before.0 {
            assert!(after.0[name].starts_with(text), "{name} after kill {kills}:\n{text}\n{}", after.0[name]);
        }
        assert!(before.1.iter().all(|(name, sum)| after.1[name] == *sum), "segments after kill {kills}");
        before = after;
    }
    assert!(kills >= 2, "it was over too soon to be killed");
    assert_eq!(settled(&instructor, &asset, Duration::from_mins(3)).await["state"], "ready");
    let after = published(&server, &asset);
    assert!(before.1.iter().all(|(name, sum)| after.1[name] == *sum));
    watch::whole_package(&server, &asset);
    let whole = watch::decoded_by_ffmpeg(&watch::native_url(&learner, &lesson).await);
    assert_eq!(whole, watch::decoded_by_ffmpeg(&native), "who began early sees all of it");
    // The parts of the source overlap a little in their sound.
    assert!(whole[&0].abs_diff(300 * 48_000 / 1_024) < 20, "every access unit of the sound: {whole:?}");
}
