//! tus-js-client and tuspy as published, through a slow line that breaks, on a server that is killed with SIGKILL on the
//! way: the stored source equals the file.
//!
//! The server is this test binary run again with [`SERVE`] set (see `serve`), so that it can be killed for real.

mod harness;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use harness::{
    People, access_tokens, asset_state, eventually, forms::Form, metadata, open_state_on, probe_jobs, random,
    read_answer, settings, sha256,
};
use lectern_domain::{account::Role, ids::UploadId, storage_key};
use lectern_platform::{
    clock::SystemClock,
    http::Caller,
    objects::{DiskObjects, SharedObjects},
    testing::s3::S3Service,
    vault::MasterKeyVault,
};
use lectern_store::{Db, uploads};
use rand::RngExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// `FOLDER|ADDRESS|BUCKET`: serve there instead of testing, with objects in the folder if no bucket is named.
const SERVE: &str = "LECTERN_TEST_SERVE_UPLOADS";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve() {
    let Ok(place) = std::env::var(SERVE) else { return };
    let [folder, address, bucket] = place.split('|').collect::<Vec<_>>().try_into().unwrap();
    let folder = Path::new(folder);
    let db = Db::open(&database(folder)).await.unwrap();
    let objects = objects(folder, bucket).await;
    let calls = Arc::new(AtomicU64::new(0));
    let state = open_state_on(objects, db, folder, Arc::new(SystemClock), settings(), calls).await;
    lectern_ingest::sweep(&state).await.unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    axum::serve(listener, lectern_ingest::router(state)).await.unwrap();
}

fn database(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("lectern.db").display())
}

/// Objects as the server has them.
async fn objects(folder: &Path, bucket: &str) -> SharedObjects {
    match bucket {
        "" => Arc::new(DiskObjects::open(folder.join("objects")).await.unwrap()),
        bucket => Arc::new(S3Service::garage().open(bucket).await.unwrap()),
    }
}

/// The server as a process of its own.
struct Server {
    folder: PathBuf,
    address: SocketAddr,
    bucket: String,
    child: Option<Child>,
}

impl Server {
    async fn start(&mut self) {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["serve", "--exact", "--nocapture"])
            .env(SERVE, format!("{}|{}|{}", self.folder.display(), self.address, self.bucket))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let address = self.address;
        eventually("the server answers", async || TcpStream::connect(address).await.is_ok()).await;
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // SIGKILL.
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A line of limited rate between clients and server, that can be broken.
struct Line {
    address: SocketAddr,
    breaks: watch::Sender<u64>,
}

impl Line {
    async fn open(server: SocketAddr, bytes_per_second: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let breaks = watch::Sender::new(0);
        let broken = breaks.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut broken = broken.subscribe();
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(server).await else { return };
                    let (client_in, client_out) = client.into_split();
                    let (server_in, server_out) = server.into_split();
                    tokio::select! {
                        // Both sockets close: what was under way is lost.
                        _ = broken.changed() => {}
                        () = async { tokio::join!(
                            carry(client_in, server_out, bytes_per_second),
                            carry(server_in, client_out, bytes_per_second),
                        ); } => {}
                    }
                });
            }
        });
        Self { address, breaks }
    }

    fn break_all(&self) {
        self.breaks.send_modify(|count| *count += 1);
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    bytes_per_second: u64,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        tokio::time::sleep(Duration::from_secs_f64(read as f64 / bytes_per_second as f64)).await;
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients")
}

fn need(path: &Path) {
    assert!(
        path.exists(),
        "expected {}, which is not there: run `make test`, which installs it",
        path.display()
    );
}

fn tus_js() -> Vec<String> {
    need(&clients().join("node_modules/tus-js-client"));
    vec!["node".into(), clients().join("tus-js.mjs").display().to_string()]
}

fn tuspy() -> Vec<String> {
    let python = clients().join(".venv/bin/python");
    need(&python);
    vec![python.display().to_string(), clients().join("upload_tuspy.py").display().to_string()]
}

/// Makes a data folder with people in it, and a token of the course's owner.
async fn school(folder: &Path) -> (People, String) {
    let db = Db::open(&database(folder)).await.unwrap();
    db.migrate().await.unwrap();
    let people = People::seed(&db, &SystemClock).await;
    let vault = MasterKeyVault::open_or_create(&folder.join("master.key")).unwrap();
    let tokens = access_tokens(&db, &vault, Arc::new(SystemClock)).await;
    let token = tokens.issue(Caller { user: people.owner, role: Role::Instructor });
    db.close().await;
    (people, token)
}

/// What happens to the transfer from outside, in turn.
#[derive(Clone, Copy)]
enum Trouble {
    Break,
    Kill,
}

/// Uploads `size` random bytes with a client in trouble, and compares what is stored.
async fn upload(
    form: Form,
    client: Vec<String>,
    size: usize,
    part_bytes: u64,
    pauses: u32,
    troubles: &[Trouble],
) {
    let bucket = match form {
        Form::File => String::new(),
        Form::Parts => S3Service::garage().make_bucket().await,
    };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().to_owned();
    let (people, token) = school(&folder).await;
    let bytes = random(size);
    let file = folder.join("Vorlesung 1 (Größen).mp4");
    std::fs::write(&file, &bytes).unwrap();

    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut server = Server { folder: folder.clone(), address, bucket: bucket.clone(), child: None };
    server.start().await;
    let line = Line::open(address, 8 << 20).await;
    let started = Instant::now();
    let mut running = tokio::task::spawn_blocking({
        let arguments = [
            format!("http://{}/uploads", line.address),
            token,
            people.lesson.to_string(),
            file.display().to_string(),
            part_bytes.to_string(),
            pauses.to_string(),
        ];
        move || -> Output { Command::new(&client[0]).args(&client[1..]).args(arguments).output().unwrap() }
    });
    let mut met = 0;
    let output = loop {
        let wait = Duration::from_millis(rand::rng().random_range(300..900));
        match tokio::time::timeout(wait, &mut running).await {
            Ok(output) => break output.unwrap(),
            Err(_) if met < troubles.len() => {
                match troubles[met] {
                    Trouble::Break => line.break_all(),
                    Trouble::Kill => {
                        server.kill();
                        server.start().await;
                    }
                }
                met += 1;
            }
            Err(_) => {
                assert!(started.elapsed() < Duration::from_mins(2), "the client does not come to an end");
            }
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{seen} after {met} troubles in {:?}", started.elapsed());
    assert_eq!(met, troubles.len(), "the transfer was over before every trouble had come");
    server.kill();
    // A creation whose answer was lost leaves an upload that its client does not know; the creation after it replaced
    // the asset, so the next sweep ends it.
    server.start().await;
    server.kill();

    assert_eq!(seen["urls"], 1, "the client had to begin anew");
    let id: UploadId = seen["url"].as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap();
    let db = Db::open(&database(&folder)).await.unwrap();
    let upload = uploads::find(&db, id).await.unwrap().unwrap();
    let objects = objects(&folder, &bucket).await;
    let source = objects.get(&storage_key::source(upload.asset)).await.unwrap().unwrap();
    assert_eq!(source.len(), bytes.len());
    assert_eq!(sha256(&source), sha256(&bytes));
    assert_eq!(upload.state, uploads::UploadState::Finished);
    assert_eq!(asset_state(&db, upload.asset).await, "probing");
    assert_eq!(probe_jobs(&db, upload.asset).await, 1);
    let asset = lectern_store::assets::find(&db, upload.asset).await.unwrap().unwrap();
    assert_eq!(asset.filename, "Vorlesung 1 (Größen).mp4");
    // Nothing is left.
    assert_eq!(std::fs::read_dir(folder.join("uploads")).unwrap().count(), 0);
    assert_eq!(uploads::list_open(&db).await.unwrap().len(), 0);
    if let Some(multiparts) = objects.multipart() {
        let open = multiparts.open_multiparts(None).await.unwrap();
        // That of a creation whose answer was lost with the process, before its row was written, waits for its time.
        assert!(open.iter().all(|open| open.id.0 != *upload.multipart_id.as_ref().unwrap()));
        assert_eq!(objects.list(storage_key::UPLOADS).await.unwrap(), Vec::<String>::new());
    }
}

use Trouble::{Break, Kill};

#[tokio::test(flavor = "multi_thread")]
async fn tus_js_client_resumes() {
    upload(Form::File, tus_js(), 32 << 20, 6 << 20, 3, &[Break, Kill, Break, Kill, Kill]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tuspy_resumes() {
    upload(Form::File, tuspy(), 32 << 20, 5 << 20, 3, &[Kill, Break, Kill, Break, Kill]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tus_js_client_resumes_into_a_bucket() {
    upload(Form::Parts, tus_js(), 40 << 20, 11 << 20, 3, &[Break, Kill, Break, Kill, Kill]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tuspy_resumes_into_a_bucket() {
    upload(Form::Parts, tuspy(), 40 << 20, 5 << 20, 3, &[Kill, Break, Kill, Break, Kill]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_upload_an_empty_file() {
    for form in [Form::File, Form::Parts] {
        upload(form, tus_js(), 0, 1 << 20, 0, &[]).await;
        upload(form, tuspy(), 0, 1 << 20, 0, &[]).await;
    }
}

/// Peak resident memory of a process, KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sends one file in one PATCH to a server of its own with objects in a bucket. Gives the server's peak memory, KiB.
async fn peak_of_upload(mib: usize) -> u64 {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().to_owned();
    let (people, token) = school(&folder).await;
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let bucket = S3Service::garage().make_bucket().await;
    let mut server = Server { folder: folder.clone(), address, bucket: bucket.clone(), child: None };
    server.start().await;
    let common = format!("Host: test\r\nTus-Resumable: 1.0.0\r\nAuthorization: Bearer {token}\r\n");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (length, metadata) = (mib << 20, metadata(people.lesson, b"a.mp4"));
    let creation = format!(
        "POST /uploads HTTP/1.1\r\n{common}Upload-Length: {length}\r\nUpload-Metadata: {metadata}\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(creation.as_bytes()).await.unwrap();
    let created = read_answer(&mut stream, "POST").await.unwrap();
    let (path, asset) = (created.header("location").unwrap(), created.asset());
    let started = Instant::now();
    let head = format!(
        "PATCH {path} HTTP/1.1\r\n{common}Upload-Offset: 0\r\nContent-Length: {length}\r\n\
         Content-Type: application/offset+octet-stream\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = random(1 << 20);
    for _ in 0..mib {
        stream.write_all(&piece).await.unwrap();
    }
    let answer = read_answer(&mut stream, "PATCH").await.unwrap();
    assert_eq!((answer.status, answer.number("upload-offset")), (204, length as u64));
    let stored = objects(&folder, &bucket).await.size(&storage_key::source(asset)).await.unwrap();
    assert_eq!(stored, Some(length as u64));
    let peak = peak_kib(server.child.as_ref().unwrap().id());
    println!("{mib} MiB into a bucket: {:?}, peak memory of the server {peak} KiB", started.elapsed());
    peak
}

/// Peak memory does not follow the size of the file. `LECTERN_TEST_LARGE_MIB` makes the large one larger.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_into_a_bucket_costs_no_memory() {
    let mib = std::env::var("LECTERN_TEST_LARGE_MIB").map_or(256, |mib| mib.parse().unwrap());
    let (small, large) = (peak_of_upload(64).await, peak_of_upload(mib).await);
    assert!(large < small + (16 << 10), "64 MiB: {small} KiB, {mib} MiB: {large} KiB");
}
