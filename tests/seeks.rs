//! Seeks through a lecture of slides in Chromium, with hls.js and Shaka Player as published and on the lesson's own page:
//! `tests/browser/seeks.test.mjs`. Each slide carries its number as a row of squares, which the page reads from the screen.
//!
//! `LECTERN_TEST_SEED` goes to other places. Pictures go to the folder in `LECTERN_SCREENSHOTS`, or to `seeks` in
//! cargo's folder for test files.

mod harness;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use harness::{Server, course_and_lesson, installed, person, run, settled};
use serde_json::{Value, json};

/// What [`person`] gives everybody.
const PASSWORD: &str = "correct horse battery";

const FRAMES_PER_SECOND: u32 = 30;
/// The frame with which each slide begins, hardly one of them on the grid of segments, and where the last ends.
const CHANGES: [u32; 7] = [0, 519, 1_233, 1_764, 2_505, 3_057, 3_600];
const TITLES: [&str; 6] = [
    "Why a straw looks broken",
    "What the eye believes",
    "Two speeds of light",
    "Red turns less than violet",
    "The critical angle",
    "Lenses bend on purpose",
];
const LINES: [&str; 6] = [
    "Light is slower in water than in air",
    "Where it leaves the water it turns",
    "The eye follows it straight back",
    "Take a glass and look from above",
    "The sine of one angle over the sine of the other",
    "The ratio of the speeds whatever the angle",
];
const COLOURS: [&str; 6] = ["teal", "orange", "purple", "olive", "navy", "brown"];
/// Width and height of the picture.
const SIZE: [u32; 2] = [1_920, 1_080];
/// The first square's place and the side of each: eight pixels in the smallest picture that is made of a slide.
const SQUARES: [u32; 3] = [1_248, 864, 96];

/// Whether each of a slide's squares is white: white, black, three bits of its number, their parity.
fn squares(slide: usize) -> [bool; 6] {
    let bit = |place: usize| (slide >> place) & 1 == 1;
    [true, false, bit(2), bit(1), bit(0), slide.count_ones() % 2 == 1]
}

/// ffmpeg's filters for one slide, from 0, for as long as it stands.
fn slide(at: usize) -> String {
    let [width, height] = SIZE;
    let mut graph = format!(
        "color=0xf4f1ea:s={width}x{height}:r={FRAMES_PER_SECOND},trim=end_frame=1,drawbox=w=iw:h=150:color=0x1f3a5f:t=fill,\
         drawtext=text='{}':fontsize=84:fontcolor=white:x=90:y=34",
        TITLES[at]
    );
    for line in 0..4 + at % 3 {
        let (text, y) = (LINES[(at + line) % LINES.len()], 230 + 90 * line);
        write!(graph, ",drawtext=text='{text}':fontsize=46:fontcolor=0x222222:x=120:y={y}").unwrap();
    }
    let (x, y, w, h) = (1_150 + 30 * at, 250 + 25 * at, 420 - 20 * at, 380 - 30 * at);
    write!(graph, ",drawbox=x={x}:y={y}:w={w}:h={h}:color={}@0.7:t={}", COLOURS[at], 12 + 6 * at).unwrap();
    let [left, top, side] = SQUARES;
    for (left, white) in (left..).step_by(side as usize).zip(squares(at + 1)) {
        let colour = if white { "white" } else { "black" };
        write!(graph, ",drawbox=x={left}:y={top}:w={side}:h={side}:color={colour}:t=fill").unwrap();
    }
    // Drawn once, then repeated.
    let again = CHANGES[at + 1] - CHANGES[at] - 1;
    write!(graph, ",format=yuv420p,loop=loop={again}:size=1,setpts=N/{FRAMES_PER_SECOND}/TB").unwrap();
    graph
}

/// Two minutes: six slides with a voice.
fn lecture(folder: &Path) -> PathBuf {
    let (path, speech) = (folder.join("slides.mp4"), folder.join("speech.wav"));
    let (path_text, speech) = (path.display().to_string(), speech.display().to_string());
    run("espeak-ng", &["-w", &speech, &[TITLES, LINES].concat().join(". ")]);
    let count = TITLES.len();
    let drawn: Vec<String> = (0..count).map(|at| format!("{}[s{at}];", slide(at))).collect();
    let joined: Vec<String> = (0..count).map(|at| format!("[s{at}]")).collect();
    let graph = format!("{}{}concat=n={count}[picture]", drawn.concat(), joined.concat());
    let length = seconds(CHANGES[count]).to_string();
    // The voice begins again until the slides are over.
    let mut all = vec!["-v", "error", "-y", "-stream_loop", "-1", "-i", &speech, "-filter_complex", &graph];
    all.extend(["-map", "[picture]", "-map", "0:a", "-t", &length]);
    all.extend("-c:v libx264 -preset ultrafast -crf 20 -c:a aac -b:a 128k".split(' '));
    all.push(&path_text);
    run("ffmpeg", &all);
    path
}

fn seconds(frame: u32) -> f64 {
    f64::from(frame) / f64::from(FRAMES_PER_SECOND)
}

/// What a page must know to tell which slide it shows, and which it should show.
fn slides() -> Value {
    let [width, height] = SIZE.map(f64::from);
    let [x, y, side] = SQUARES.map(f64::from);
    json!({
        "starts": CHANGES[..TITLES.len()].iter().copied().map(seconds).collect::<Vec<_>>(),
        "seconds": seconds(CHANGES[TITLES.len()]),
        "frame": seconds(1),
        // Parts of the picture's width and height.
        "mark": {"x": x / width, "y": y / height, "width": 6.0 * side / width, "height": side / height},
    })
}

/// The lecture, ready to be played by a learner: where it is, and who that is.
async fn school(server: &Server, folder: &Path) -> Value {
    let instructor = person(server, "ines", "instructor").await;
    let learner = person(server, "lee", "student").await;
    let (course, lesson) = course_and_lesson(&instructor).await;
    learner.post(&format!("/api/v1/enrollments/{course}"), json!({})).await.unwrap();
    let asset = instructor.upload(&lesson, &lecture(folder), |_| {}).await.unwrap();
    let found = settled(&instructor, &asset, Duration::from_mins(5)).await;
    assert_eq!(found["state"], "ready", "{found}");
    json!({
        "course": course,
        "lesson": lesson,
        "access_token": learner.access_token(),
        "email": "lee@school.example",
        "password": PASSWORD,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn seeks_chapters_and_previews_show_the_right_slides() {
    installed("tests/browser/node_modules/shaka-player");
    installed("tests/browser/node_modules/playwright-core");
    installed("web/node_modules/hls.js");
    let seed = std::env::var("LECTERN_TEST_SEED").unwrap_or_else(|_| "2026".into());
    println!("LECTERN_TEST_SEED={seed}");
    let pictures = std::env::var_os("LECTERN_SCREENSHOTS")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("seeks"), PathBuf::from);
    std::fs::create_dir_all(&pictures).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let lesson = school(&server, folder.path()).await;
    let output = Command::new("node")
        .args(["--test", "--test-reporter=spec", "seeks.test.mjs"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser"))
        .env("LECTERN_URL", &server.url)
        .env("LECTERN_LESSON", lesson.to_string())
        .env("LECTERN_SLIDES", slides().to_string())
        .env("LECTERN_TEST_SEED", &seed)
        .env("LECTERN_SCREENSHOTS", &pictures)
        .env("LECTERN_CHROMIUM", harness::chromium())
        .stdin(Stdio::null())
        .output()
        .expect("node is missing: install Node 20.19 or newer");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "LECTERN_TEST_SEED={seed}; pictures are in {}\n{told}\n{}",
        pictures.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{told}");
}
