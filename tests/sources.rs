//! Every kind of file that instructors upload, through the real server: what can be played is played by ffmpeg through
//! the key server, what cannot ends with a code and a sentence, and nothing of it is left behind.

mod harness;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use harness::{
    Client, Server, course_and_lesson,
    draw::{self, ffmpeg},
    eventually, lesson, person, settled, watch,
};
use serde_json::{Value, json};

/// A server with an instructor, a learner and their course.
struct School {
    server: Server,
    /// After the server: its log lies in there.
    folder: tempfile::TempDir,
    instructor: Client,
    learner: Client,
    course: String,
}

impl School {
    async fn open(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), settings).await;
        let instructor = person(&server, "ines", "instructor").await;
        let learner = person(&server, "lee", "student").await;
        let (course, _) = course_and_lesson(&instructor).await;
        learner.post(&format!("/api/v1/enrollments/{course}"), json!({})).await.unwrap();
        Self { server, folder, instructor, learner, course }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Uploads a file for a lesson of its own. The lesson and the asset.
    async fn upload(&self, file: &Path) -> (String, String) {
        let title = file.file_name().unwrap().to_str().unwrap();
        let lesson = lesson(&self.instructor, &self.course, title).await;
        let asset = self.instructor.upload(&lesson, file, |_| {}).await.unwrap();
        (lesson, asset)
    }

    /// Files that belong to an asset, wherever they may lie.
    fn left_of(&self, asset: &str) -> Vec<String> {
        let folders =
            ["uploads", "objects/sources", "objects/work", "objects/packages", "objects/.partial", "scratch"];
        let files = folders.into_iter().flat_map(|folder| {
            self.server.files(folder).into_iter().map(move |name| format!("{folder}/{name}"))
        });
        files.filter(|name| name.contains(asset)).collect()
    }
}

/// What a player must find beside as many frames as the source has.
#[derive(Clone, Copy, PartialEq)]
enum Tracks {
    Picture,
    Sound,
    Both,
}
use Tracks::{Both, Picture, Sound};

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_played_is_played() {
    let school = School::open(&[]).await;
    let at = school.path();
    let tone = "-f lavfi -i sine=frequency=440:sample_rate=48000";
    let quick = "-c:v libx264 -preset ultrafast";
    let make = |name: &str, arguments: String| ffmpeg(at, name, &arguments);
    let picture = |size: &str, more: &str| format!("-f lavfi -i testsrc2=size={size}:rate=25{more}");
    let upright = make("upright.mp4", format!("{} -t 2 {quick} -pix_fmt yuv420p", picture("320x180", "")));
    let table: Vec<(PathBuf, Tracks)> = vec![
        (make("sound only.m4a", format!("{tone} -t 6 -c:a aac")), Sound),
        (make("silent.mp4", format!("{} -t 2 {quick} -pix_fmt yuv420p", picture("320x180", ""))), Picture),
        (
            make("one frame.mp4", format!("{} -frames:v 1 {quick} -pix_fmt yuv420p", picture("320x180", ""))),
            Picture,
        ),
        (
            make(
                "a fifth of a second.mp4",
                format!("{} {tone} -t 0.2 {quick} -pix_fmt yuv420p -c:a aac", picture("320x180", "")),
            ),
            Both,
        ),
        (
            // In so small a test picture nothing seems to move by itself.
            make(
                "17 by 13.mp4",
                format!("{} -t 1 -vf noise=alls=90:allf=t {quick} -pix_fmt yuv444p", picture("17x13", "")),
            ),
            Picture,
        ),
        (
            make("8k by 100.mp4", format!("{} -t 1 {quick} -pix_fmt yuv420p", picture("7680x100", ""))),
            Picture,
        ),
        (
            // Every third frame is left out, and a second in the middle.
            make(
                "variable rate.mp4",
                format!(
                    "{} -t 4 -vf select=mod(n\\,3)*(lt(t\\,2)+gt(t\\,3)) -vsync vfr {quick} -pix_fmt yuv420p",
                    picture("320x180", "")
                ),
            ),
            Picture,
        ),
        (make("phone.mov", format!("-i {} -c copy -metadata:s:v:0 rotate=90", upright.display())), Picture),
        (
            make(
                "interlaced.ts",
                format!(
                    "{} -t 2 -vf interlace -flags +ildct+ilme -x264opts tff=1 {quick} -pix_fmt yuv420p",
                    picture("720x576", "")
                ),
            ),
            Picture,
        ),
        (
            make("ten bits.mp4", format!("{} -t 2 {quick} -pix_fmt yuv422p10le", picture("320x180", ""))),
            Picture,
        ),
        (
            make(
                "surround.mp4",
                format!(
                    "{} -f lavfi -i anoisesrc=r=48000 -t 2 {quick} -pix_fmt yuv420p -c:a aac -ac 6",
                    picture("320x180", "")
                ),
            ),
            Both,
        ),
        (
            make(
                "screen.webm",
                format!(
                    "{} {tone} -t 2 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus",
                    picture("320x180", "")
                ),
            ),
            Both,
        ),
        (
            make(
                "screen.mkv",
                format!(
                    "{} {tone} -t 2 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus",
                    picture("320x180", "")
                ),
            ),
            Both,
        ),
        (
            make(
                "camera.mov",
                format!(
                    "{} {tone} -t 2 -c:v prores_ks -pix_fmt yuv422p10le -c:a pcm_s16le",
                    picture("320x180", "")
                ),
            ),
            Both,
        ),
    ];
    let mut uploads = Vec::new();
    for (file, expected) in table {
        let (lesson, asset) = school.upload(&file).await;
        uploads.push((file, expected, lesson, asset));
    }
    for (file, expected, lesson, asset) in uploads {
        let what = file.file_name().unwrap().to_string_lossy().into_owned();
        let found = settled(&school.instructor, &asset, Duration::from_mins(2)).await;
        assert_eq!(found["state"], "ready", "{what}: {found}");
        watch::whole_package(&school.server, &asset);
        let decoded = watch::decoded_by_ffmpeg(&watch::native_url(&school.learner, &lesson).await);
        let frames: Vec<u64> =
            decoded.iter().filter(|(height, _)| **height > 0).map(|(_, frames)| *frames).collect();
        let has = watch::frames_of(&file);
        println!("{what}: {has} frames, decoded {decoded:?}");
        assert_eq!(frames.is_empty(), expected == Sound, "{what}: {decoded:?}");
        assert!(frames.iter().all(|frames| *frames == has), "{what} has {has}: {decoded:?}");
        assert_eq!(
            decoded.get(&0).is_some_and(|frames| *frames > 0),
            expected != Picture,
            "{what}: {decoded:?}"
        );
        if what == "phone.mov" {
            let rendition = &found["renditions"][0];
            assert!(rendition["height"].as_u64() > rendition["width"].as_u64(), "{found}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_played_says_why_and_leaves_nothing() {
    let mut school = School::open(&[]).await;
    let at = school.path().to_owned();
    let whole = draw::clip(&at, "whole.mp4", "320x180", 6);
    let bytes = std::fs::read(&whole).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = at.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    // ffmpeg writes the index last.
    let index = bytes.windows(4).position(|kind| kind == b"moov").unwrap();
    let quick =
        draw::ffmpeg(&at, "index first.mp4", &format!("-i {} -c copy -movflags +faststart", whole.display()));
    let first = std::fs::read(quick).unwrap();
    let jpeg =
        draw::ffmpeg(&at, "small.avi", "-f lavfi -i testsrc2=size=320x240:rate=10 -t 1 -c:v mjpeg -q:v 5");
    let mut bomb = std::fs::read(jpeg).unwrap();
    for at in 0..bomb.len() - 9 {
        // A start of frame that declares 20 000 × 20 000 (ISO/IEC 10918-1 B.2.2).
        if bomb[at..at + 4] == [0xff, 0xc0, 0x00, 0x11] {
            bomb[at + 5..at + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
        }
    }
    let table = [
        (write("empty.mp4", b""), "source_empty"),
        (write("text.mp4", b"These are the notes of the lecture, not the lecture."), "source_not_media"),
        (write("no index.mp4", &bytes[..index - 4]), "source_truncated"),
        (write("half the data.mp4", &first[..first.len() / 2]), "source_corrupt"),
        (write("bomb.avi", &bomb), "source_dimensions"),
    ];
    let mut uploads = Vec::new();
    for (file, code) in table {
        let (_, asset) = school.upload(&file).await;
        uploads.push((file, code, asset));
    }
    for (file, code, asset) in uploads {
        let found = settled(&school.instructor, &asset, Duration::from_mins(1)).await;
        println!("{}: {}", file.display(), found["failure"]);
        assert_eq!(found["state"], "failed", "{}: {found}", file.display());
        assert_eq!(found["failure"]["code"], code, "{}", file.display());
        assert_eq!(found["failure"]["retryable"], false);
        let sentence = found["failure"]["message"].as_str().unwrap();
        assert!(sentence.len() > 30 && sentence.ends_with('.'), "{sentence}");
        eventually("nothing of it is left", Duration::from_secs(20), async || {
            school.left_of(&asset).is_empty()
        })
        .await;
    }
    assert!(school.server.is_alive());
    // It goes on working.
    let (_, asset) = school.upload(&whole).await;
    assert_eq!(settled(&school.instructor, &asset, Duration::from_mins(1)).await["state"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_holds_a_decoder_up_is_ended_by_the_time_limit() {
    let mut school = School::open(&[("LECTERN__TRANSCODE__STALL_SECONDS", "2")]).await;
    // One picture of 36 megapixels of noise with arithmetic coding: its decoder says nothing for many seconds.
    let heavy = draw::ffmpeg(
        school.path(),
        "heavy.mp4",
        "-f lavfi -i nullsrc=size=8192x4352:rate=1,geq=random(1)*255:128:128 -frames:v 1 -c:v libx264 \
         -preset ultrafast -coder 1 -qp 22 -pix_fmt yuv420p",
    );
    let (lesson, asset) = school.upload(&heavy).await;
    let found = settled(&school.instructor, &asset, Duration::from_mins(1)).await;
    assert_eq!(found["state"], "failed", "{found}");
    assert_eq!(found["failure"]["code"], "source_time_limit");
    assert_eq!(found["failure"]["retryable"], true);
    assert!(school.server.is_alive());
    // It may succeed on a machine with more time, so it is kept: until the instructor gives it up.
    assert_eq!(school.left_of(&asset), [format!("objects/sources/{asset}/original")]);
    school.instructor.delete(&format!("/api/v1/lessons/{lesson}")).await.unwrap();
    eventually("nothing of it is left", Duration::from_secs(20), async || school.left_of(&asset).is_empty())
        .await;
}

/// Sends bytes as they are and takes what comes until the server closes, as text.
async fn raw(server: &Server, request: &[u8]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    // The server may answer and close before everything is sent.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    // Where it goes on waiting for what was announced, this side goes away.
    let _ = tokio::time::timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_are_refused_and_uploads_stay_in_order() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let mut school = School::open(&[]).await;
    let lesson = lesson(&school.instructor, &school.course, "Target").await;
    let token = school.instructor.access_token().to_owned();
    let head = |method: &str, path: &str, more: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nTus-Resumable: 1.0.0\r\n{more}\r\n"
        )
    };
    let create = |length: u64, name: &[u8]| {
        let metadata = format!("lesson_id {},filename {}", STANDARD.encode(&lesson), STANDARD.encode(name));
        head(
            "POST",
            "/uploads",
            &format!(
                "Upload-Length: {length}\r\nUpload-Metadata: {metadata}\r\nContent-Length: 0\r\nConnection: close\r\n"
            ),
        )
    };
    let status = |answer: &str| answer.split_whitespace().nth(1).unwrap_or("none").to_owned();
    let header = |answer: &str, name: &str| {
        answer
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix(&format!("{name}: ")).map(str::to_owned))
    };

    // Names that are no names.
    let answer = raw(&school.server, create(10, b"lecture\0.mp4").as_bytes()).await;
    assert!(matches!(status(&answer).as_str(), "201" | "400"), "{answer}");
    if status(&answer) == "201" {
        let asset = header(&answer, "lectern-asset-id").unwrap();
        let found: Value = school.instructor.get(&format!("/api/v1/assets/{asset}")).await.unwrap();
        assert!(!found.to_string().contains("\\u0000"), "{found}");
    }
    let answer = raw(&school.server, create(10, &vec![b'n'; 1 << 20]).as_bytes()).await;
    assert!(matches!(status(&answer).as_str(), "400" | "413" | "431"), "{answer}");

    // More bytes than announced, by a longer body and by two bodies.
    let answer = raw(&school.server, create(10, b"a.mp4").as_bytes()).await;
    let path = header(&answer, "location").unwrap();
    let path = path.strip_prefix(&school.server.url).unwrap_or(&path).to_owned();
    let part = |offset: u64, length: usize, body: &str| {
        let headers = format!(
            "Upload-Offset: {offset}\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: {length}\r\nConnection: close\r\n"
        );
        head("PATCH", &path, &headers) + body
    };
    let offset = async || {
        let answer = raw(&school.server, head("HEAD", &path, "Connection: close\r\n").as_bytes()).await;
        header(&answer, "upload-offset").unwrap()
    };
    let answer = raw(&school.server, part(0, 20, "01234567890123456789").as_bytes()).await;
    assert_eq!(status(&answer), "413", "{answer}");
    assert!(answer.contains("longer_than_announced"), "{answer}");
    assert_eq!(offset().await, "0");
    // A Content-Length that is more than what comes: what came counts.
    raw(&school.server, part(0, 8, "0123").as_bytes()).await;
    eventually("the four bytes count", Duration::from_secs(10), async || offset().await == "4").await;
    // One that is less: the rest is not part of the upload.
    raw(&school.server, part(4, 2, "45GARBAGE").as_bytes()).await;
    assert_eq!(offset().await, "6");
    for wrong in ["-1", "99999999999999999999999", "1, 2", "ten"] {
        let request = part(6, 0, "67").replace("Content-Length: 0", &format!("Content-Length: {wrong}"));
        let answer = raw(&school.server, request.as_bytes()).await;
        assert_eq!(status(&answer), "400", "Content-Length: {wrong}: {answer}");
    }
    assert_eq!(offset().await, "6");
    let answer = raw(&school.server, head("DELETE", &path, "Connection: close\r\n").as_bytes()).await;
    assert_eq!(status(&answer), "204", "{answer}");
    assert!(school.server.is_alive());
    school.instructor.delete(&format!("/api/v1/lessons/{lesson}")).await.unwrap();
    eventually("nothing is left", Duration::from_secs(20), async || {
        school.server.files("uploads").is_empty() && school.server.files("objects").is_empty()
    })
    .await;
}
