//! Uppy's `AwsS3` plugin as published, in Chromium, sends a file to the bucket; completing is told by the page, by the
//! bucket's event, by both in either order, five times, or by nobody. One asset, one probe job, the same bytes.

mod harness;

use std::{path::Path, process::Stdio, time::Duration};

use harness::{House, asset_state, direct::Direct, eventually, probe_jobs, settings, sha256};
use lectern_ingest::{
    s3_events::{listen, take},
    sweep,
};
use lectern_platform::{sqs::Inbox, testing::s3::S3Service};
use lectern_store::{
    Db, lessons,
    testing::on_sqlite,
    uploads::{self, Upload, UploadState},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

const CHROMIUM: [&str; 3] = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
/// Two whole parts and an odd rest.
const SIZE: usize = (10 << 20) + 12_345;

/// Chromium with a page that uploads.
struct Page {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Page {
    /// `completing`: see `tests/browser/direct.mjs`.
    fn open(direct: &Direct, completing: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/browser");
        assert!(
            folder.join("node_modules/esbuild").exists(),
            "Uppy and esbuild are missing: run `make test`, which installs them"
        );
        let chromium = CHROMIUM.into_iter().find(|path| Path::new(path).exists());
        let house = &direct.house;
        let mut child = Command::new("node")
            .arg(folder.join("direct.mjs"))
            .args([
                format!("http://{}", house.address),
                house.token(house.people.owner),
                house.people.lesson.to_string(),
            ])
            .args([SIZE.to_string(), rand::random_range(1..1_000_000).to_string(), completing.to_owned()])
            .env(
                "LECTERN_CHROMIUM",
                chromium.expect("Chromium is missing: run `make test`, which installs it"),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node starts");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next thing that it says.
    async fn says(&mut self) -> Value {
        let line = timeout(Duration::from_mins(2), self.lines.next_line())
            .await
            .expect("the page says something in time");
        serde_json::from_str(&line.unwrap().expect("the page ends well, see above")).unwrap()
    }

    /// Lets a held call go on.
    async fn go_on(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").await.unwrap();
    }
}

/// The upload that the page made.
async fn row(direct: &Direct) -> Upload {
    found(direct).await.expect("the page announced an upload")
}

async fn found(direct: &Direct) -> Option<Upload> {
    let House { db, people, .. } = &direct.house;
    let lesson = lessons::get(db, Some(people.owner), people.lesson).await.unwrap().unwrap();
    uploads::find_of_asset(db, lesson.asset?.id).await.unwrap()
}

/// One asset, one probe job, the page's bytes; nothing is left.
async fn assert_stored(direct: &Direct, upload: &Upload, seen: &Value) {
    let (db, owner, asset) = (&direct.house.db, direct.house.people.owner, upload.asset);
    assert_eq!(row(direct).await.state, UploadState::Finished);
    let source = direct.house.source(asset).await.expect("a stored source");
    assert_eq!(source.len(), SIZE);
    assert_eq!(sha256(&source), seen["sha256"].as_str().unwrap());
    assert_eq!(asset_state(db, asset).await, "probing");
    assert_eq!(probe_jobs(db, asset).await, 1);
    let mut tx = db.begin().await.unwrap();
    assert_eq!(uploads::stored_bytes(&mut tx, owner).await.unwrap(), SIZE as u64, "one asset");
    drop(tx);
    assert_eq!(direct.open_multiparts().await, 0);
    let asset = lectern_store::assets::find(db, asset).await.unwrap().unwrap();
    assert_eq!(asset.filename, "Vorlesung 1 (Größen).mp4");
    assert_eq!(seen["parts"], 3, "{seen}");
}

/// What a page saw whose upload went well.
fn assert_well(upload: &Upload, seen: &Value) {
    assert_eq!(seen["successful"], 1, "{seen}");
    assert_eq!(seen["location"], format!("/api/v1/assets/{}", upload.asset), "{seen}");
    assert_eq!(seen["complaints"], serde_json::json!([]), "{seen}");
}

async fn house(db: Db, service: &S3Service) -> Direct {
    let direct = Direct::open(db, service.clone(), settings()).await;
    service.allow_browsers(&direct.bucket).await;
    direct
}

/// A house that listens to its bucket's events.
async fn listening(db: Db) -> (Direct, String, S3Service) {
    let service = S3Service::moto();
    let direct = house(db, &service).await;
    let queue = service.make_events_queue(&direct.bucket).await;
    (direct, queue, service)
}

async fn hear(direct: &Direct, queue: &str, service: &S3Service) {
    let inbox = Inbox::open(queue, Some(service.credentials.clone())).await.unwrap();
    tokio::spawn(listen(direct.house.state.clone(), inbox, direct.place()));
}

async fn all_heard(queue: &str, service: &S3Service) {
    eventually("every message was dealt with", async || service.messages(queue).await == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_tells() {
    // On each service, with a pause on the way; once, and four times more.
    for (service, completing) in
        [(S3Service::garage(), "pass"), (S3Service::garage(), "again"), (S3Service::moto(), "again")]
    {
        on_sqlite(move |db| {
            Box::pin(async move {
                let direct = house(db, &service).await;
                let seen = Page::open(&direct, completing).says().await;
                let upload = row(&direct).await;
                assert_well(&upload, &seen);
                let again: &[u16] = if completing == "again" { &[200; 4] } else { &[] };
                assert_eq!(seen["again"], serde_json::json!(again));
                assert_stored(&direct, &upload, &seen).await;
            })
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_event_alone_tells() {
    on_sqlite(|db| {
        Box::pin(async move {
            let (direct, queue, service) = listening(db).await;
            hear(&direct, &queue, &service).await;
            let seen = Page::open(&direct, "drop").says().await;
            assert_eq!(seen["successful"], 0, "{seen}");
            let upload = row(&direct).await;
            assert_eq!(upload.state, UploadState::Open);
            direct.complete_silently(&upload).await;
            all_heard(&queue, &service).await;
            assert_stored(&direct, &upload, &seen).await;
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_event_tells_before_the_page() {
    on_sqlite(|db| {
        Box::pin(async move {
            let (direct, queue, service) = listening(db).await;
            hear(&direct, &queue, &service).await;
            let mut page = Page::open(&direct, "hold");
            assert_eq!(page.says().await["holding"], true);
            let upload = row(&direct).await;
            direct.complete_silently(&upload).await;
            all_heard(&queue, &service).await;
            assert_eq!(row(&direct).await.state, UploadState::Finished);
            page.go_on().await;
            let seen = page.says().await;
            assert_well(&upload, &seen);
            assert_stored(&direct, &upload, &seen).await;
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_tells_before_the_event() {
    on_sqlite(|db| {
        Box::pin(async move {
            let (direct, queue, service) = listening(db).await;
            let seen = Page::open(&direct, "pass").says().await;
            let upload = row(&direct).await;
            assert_well(&upload, &seen);
            assert_eq!(upload.state, UploadState::Finished);
            assert!(service.messages(&queue).await >= 2, "the test event and at least one of the object");
            hear(&direct, &queue, &service).await;
            all_heard(&queue, &service).await;
            assert_stored(&direct, &upload, &seen).await;
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_tells_five_times() {
    on_sqlite(|db| {
        Box::pin(async move {
            let (direct, queue, service) = listening(db).await;
            hear(&direct, &queue, &service).await;
            let mut page = Page::open(&direct, "again");
            // The same event again and again, from the first moment on.
            let events = async {
                eventually("the page announced its upload", async || found(&direct).await.is_some()).await;
                let upload = row(&direct).await;
                let (event, place) = (direct.event(upload.asset), direct.place());
                loop {
                    let five = (0..5).map(|_| take(&direct.house.state, &place, &event));
                    for taken in futures::future::join_all(five).await {
                        taken.unwrap();
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let seen = tokio::select! {
                seen = page.says() => seen,
                () = events => unreachable!(),
            };
            all_heard(&queue, &service).await;
            let upload = row(&direct).await;
            assert_well(&upload, &seen);
            assert_eq!(seen["again"], serde_json::json!([200, 200, 200, 200]));
            assert_stored(&direct, &upload, &seen).await;
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_tells() {
    on_sqlite(|db| {
        Box::pin(async move {
            let direct = house(db, &S3Service::garage()).await;
            let seen = Page::open(&direct, "drop").says().await;
            assert_eq!(seen["successful"], 0, "{seen}");
            assert_eq!(sweep(&direct.house.state).await.unwrap().finished, 1);
            let upload = row(&direct).await;
            assert_stored(&direct, &upload, &seen).await;
        })
    })
    .await;
}
