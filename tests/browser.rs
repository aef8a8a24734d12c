//! The browser application in Chromium against the real program: `tests/browser/lectern.test.mjs`. Against one process with
//! everything in it, and against a process for each role on PostgreSQL, RabbitMQ and S3 behind nginx, where `lectern demo` proves
//! the main job too.
//!
//! Pictures of every page go to the folder in `LECTERN_SCREENSHOTS`, or to `browser` in cargo's folder for test files.

mod harness;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use harness::{LECTERN, Server, draw, edge::Edge, installed, run, topology::Topology};

/// Seconds of the lecture: six segments.
const SECONDS: u32 = 24;
const SPEECH: &str = "A straw in a glass of water looks broken. It is not. Light is slower in water than in air, and \
    where it leaves the water it turns. Your eye does not know that. It follows the light straight back, and finds \
    the straw where it is not. Today we ask how much the light turns, and why red turns less than violet. Take a \
    glass, take a straw, and look from above while you listen.";

/// A spoken lecture: 720p, so that it has three rungs.
fn lecture(folder: &Path, speech: &Path) -> PathBuf {
    run("espeak-ng", &["-w", &speech.display().to_string(), SPEECH]);
    let title = folder.join("title.txt");
    std::fs::write(&title, "Why a straw\nlooks broken").unwrap();
    let (speech, title) = (speech.display(), title.display());
    let arguments = format!(
        "-f lavfi -i gradients=size=1280x720:rate=25:c0=0x17604c:c1=0x1c2b4a:speed=0.00001:seed=7 -i {speech} \
         -vf drawtext=textfile={title}:fontsize=84:fontcolor=white:line_spacing=24:x=96:y=200,\
         drawtext=text='%{{pts\\:hms}}':fontsize=40:fontcolor=white@0.8:x=96:y=h-110,\
         drawbox=x=96:y=430:w=180:h=8:color=white@0.6:t=fill,drawbox=x=0:y=0:w=iw:h=560:color=0x7a4a1c:t=fill:enable='gte(t,12)',\
         drawtext=text='Snell':fontsize=120:fontcolor=white:x=96:y=200:enable='gte(t,12)' -af apad -t {SECONDS} \
         -c:v libx264 -preset ultrafast -crf 20 -g 50 -pix_fmt yuv420p -c:a aac -ar 48000"
    );
    draw::ffmpeg(folder, "Lecture 1, refraction.mp4", &arguments)
}

/// Everything that people do in the pages at `url`. Pictures only if there is a folder for them.
fn the_whole_job_in_a_browser(url: &str, folder: &Path, pictures: Option<&Path>) {
    installed("tests/browser/node_modules/playwright-core");
    let speech = folder.join("speech.wav");
    let file = lecture(folder, &speech);
    let output = Command::new("node")
        .args(["--test", "--test-reporter=spec", "lectern.test.mjs"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser"))
        .env("LECTERN_URL", url)
        .env("LECTERN_LECTURE", &file)
        .env("LECTERN_SPEECH", &speech)
        .env("LECTERN_SCREENSHOTS", pictures.unwrap_or(Path::new("")))
        .env("LECTERN_CHROMIUM", harness::chromium())
        .stdin(Stdio::null())
        .output()
        .expect("node is missing: install Node 20.19 or newer");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "the browser test failed; pictures are in {pictures:?}\n{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = std::env::var_os("LECTERN_SCREENSHOTS")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser"), PathBuf::from);
    std::fs::create_dir_all(&pictures).unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let page = reqwest::get(&server.url).await.unwrap();
    assert!(
        page.status().is_success(),
        "the program has no browser application: run `make web`, then build it again"
    );
    the_whole_job_in_a_browser(&server.url, folder.path(), Some(&pictures));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("LECTERN__HTTP__TRUST_FORWARDED_FOR", "true"), ("LECTERN__TRANSCODE__SPAN_MS", "8000")];
    let topology = Topology::start(folder.path(), &settings).await;
    let (api, license_server) = (&topology.node("api").url, &topology.node("license-server").url);
    let edge = Edge::start(folder.path(), api, license_server).await;

    // The pages expect a site that is still empty.
    the_whole_job_in_a_browser(&edge.url, folder.path(), None);

    let demo = Command::new(LECTERN)
        .args(["demo", "--once", "--url", &edge.url])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&demo.stdout);
    assert!(demo.status.success(), "{told}\n{}", String::from_utf8_lossy(&demo.stderr));
    println!("{told}");
}
