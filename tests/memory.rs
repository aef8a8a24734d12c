//! Peak memory of every role while a small and then a large source go through tus into a bucket and straight into it, and while
//! ranged reads feed its spans: it must not follow the size of the source. Measures, so `make bench` runs it, with 4 GiB.
//!
//! `LECTERN_TEST_LARGE_MIB` sets the size of the large source.

mod harness;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use harness::{
    Client, course_and_lesson, draw, lesson, settled,
    topology::{Process, Services, Topology},
};
use serde_json::json;

/// A part of a direct upload.
const PART: usize = 16 << 20;
/// How much more the large source may cost than the small one, MiB: less than a hundredth of it.
const SLACK_MIB: u64 = 32;
const PROCESSES: [Process; 5] = [
    Process { name: "api", roles: "api", core: None },
    Process { name: "ingest", roles: "ingest", core: None },
    Process { name: "transcoder", roles: "transcoder", core: None },
    Process { name: "packager", roles: "packager", core: None },
    Process { name: "license-server", roles: "license-server", core: None },
];

/// Pictures as a camera of a studio delivers them: not compressed, 4 MB each.
fn source(folder: &Path, mib: u64) -> PathBuf {
    let frames = (mib << 20).div_ceil(1920 * 1080 * 2);
    let arguments = format!(
        "-f lavfi -i testsrc2=size=1920x1080:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000 -frames:v {frames} \
         -c:v rawvideo -pix_fmt uyvy422 -c:a pcm_s16le -shortest"
    );
    let path = draw::ffmpeg(folder, &format!("{mib} MiB.mov"), &arguments);
    assert!(std::fs::metadata(&path).unwrap().len() >= mib << 20);
    path
}

/// Peak resident memory of a process so far, KiB; none: it is gone.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn children(parent: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let own: Vec<u32> = lists
        .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>())
        .collect();
    own.iter().flat_map(|pid| children(*pid)).chain(own.clone()).collect()
}

/// The peak of each role, and of the largest media child. Watches until dropped.
struct Watch {
    seen: Arc<Mutex<BTreeMap<String, u64>>>,
    ended: Arc<AtomicBool>,
}

impl Watch {
    fn start(topology: &Topology) -> Self {
        let nodes: Vec<(String, u32)> =
            topology.nodes.iter().map(|node| (node.name.to_owned(), node.pid().unwrap())).collect();
        let watch = Self { seen: Arc::default(), ended: Arc::default() };
        let (seen, ended) = (watch.seen.clone(), watch.ended.clone());
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                for (name, pid) in &nodes {
                    let own = peak_kib(*pid).map(|kib| (name.clone(), kib));
                    let below = children(*pid).into_iter().filter_map(peak_kib).max();
                    let below = below.map(|kib| (format!("media child of the {name}"), kib));
                    let mut seen = seen.lock().unwrap();
                    for (name, kib) in own.into_iter().chain(below) {
                        let peak = seen.entry(name).or_default();
                        *peak = kib.max(*peak);
                    }
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        watch
    }

    /// MiB.
    fn peaks(&self) -> BTreeMap<String, u64> {
        self.seen.lock().unwrap().iter().map(|(name, kib)| (name.clone(), kib.div_ceil(1024))).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

async fn by_tus(ingest: &Client, lesson: &str, file: &Path) -> String {
    ingest.upload(lesson, file, |_| {}).await.unwrap()
}

async fn directly(ingest: &Client, lesson: &str, file: &Path) -> String {
    use tokio::io::AsyncReadExt as _;
    let mut source = tokio::fs::File::open(file).await.unwrap();
    let size = source.metadata().await.unwrap().len();
    let creation = json!({"filename": "Lecture.mov", "size": size, "metadata": {"lesson_id": lesson}});
    let created = ingest.post("/api/v1/uploads/s3-multipart", creation).await.unwrap();
    let (upload, asset) = (created["uploadId"].as_str().unwrap(), created["asset_id"].as_str().unwrap());
    let http = reqwest::Client::new();
    let mut parts = Vec::new();
    for number in 1..=size.div_ceil(PART as u64) {
        let mut bytes = Vec::with_capacity(PART);
        (&mut source).take(PART as u64).read_to_end(&mut bytes).await.unwrap();
        let signed = ingest.get(&format!("/api/v1/uploads/s3-multipart/{upload}/{number}")).await.unwrap();
        let sent = http.put(signed["url"].as_str().unwrap()).body(bytes).send().await.unwrap();
        assert_eq!(sent.status(), 200);
        parts.push(json!({"PartNumber": number, "ETag": sent.headers()["etag"].to_str().unwrap()}));
    }
    ingest
        .post(&format!("/api/v1/uploads/s3-multipart/{upload}/complete"), json!({"parts": parts}))
        .await
        .unwrap();
    asset.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures: run by `make bench`"]
async fn memory_does_not_follow_the_size_of_the_source() {
    let large_mib = std::env::var("LECTERN_TEST_LARGE_MIB").map_or(4096, |mib| mib.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let topology = Topology::start_on(Services::start(&[]).await, folder.path(), &PROCESSES, &[]).await;
    let mut instructor = Client::new(&topology.node("api").url).unwrap();
    instructor.register("ines", "ines@school.example", "correct horse battery", "instructor").await.unwrap();
    let ingest = instructor.at(&topology.node("ingest").url);
    let (course, _) = course_and_lesson(&instructor).await;
    let watch = Watch::start(&topology);
    let mut measured = Vec::new();
    for mib in [256, large_mib] {
        let file = source(folder.path(), mib);
        for way in ["tus", "direct"] {
            let lesson = lesson(&instructor, &course, "Light").await;
            let since = Instant::now();
            let asset = match way {
                "tus" => by_tus(&ingest, &lesson, &file).await,
                _ => directly(&ingest, &lesson, &file).await,
            };
            let uploaded = since.elapsed();
            let end = settled(&instructor, &asset, Duration::from_mins(30)).await;
            assert_eq!(end["state"], "ready", "{end}");
            let peaks = watch.peaks();
            println!(
                "{mib} MiB, {way}: uploaded in {uploaded:.1?}, ready after {:.1?}: {peaks:?}",
                since.elapsed()
            );
            measured.push(peaks);
        }
        std::fs::remove_file(file).unwrap();
    }
    let (small, large) = (&measured[1], &measured[3]);
    println!("{}", json!({ "small_mib": 256, "large_mib": large_mib, "small": small, "large": large }));
    for (name, peak) in large {
        assert!(*peak <= small[name] + SLACK_MIB, "{name}: {} MiB, then {peak} MiB", small[name]);
    }
}
