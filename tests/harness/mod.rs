//! `lectern serve` as a process of its own, the people who use it, and files for them to upload.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

// The same client that `lectern demo` uses: the public API and nothing else.
#[path = "../../src/demo/client.rs"]
mod client;
pub mod draw;
pub mod edge;
pub mod measure;
pub mod topology;
pub mod watch;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub(crate) use client::Client;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The program under test, unless `LECTERN_TEST_PROGRAM` names another one: measurements take an optimised one.
pub const LECTERN: &str = env!("CARGO_BIN_EXE_lectern");

/// The program that is run.
pub fn program() -> PathBuf {
    std::env::var_os("LECTERN_TEST_PROGRAM").map_or_else(|| LECTERN.into(), PathBuf::from)
}

/// A server on a data folder, which can be killed and started again at the same address.
pub struct Server {
    /// Its data folder.
    pub data: PathBuf,
    /// Where it listens.
    pub url: String,
    /// Settings over the defaults, as environment variables.
    settings: Vec<(String, String)>,
    /// Its roles, separated by commas; empty for all.
    roles: String,
    /// The program, if not the one under test.
    pub program: PathBuf,
    /// The one core that it may use; all if absent.
    pub core: Option<usize>,
    child: Option<Child>,
}

impl Server {
    /// Starts on `folder/data`, with `settings` as `LECTERN__…` variables over the defaults.
    pub async fn start(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let mut server = Self::new(folder, "", settings);
        server.again().await;
        server
    }

    /// One that does not run yet, on `folder/data`.
    pub fn new(folder: &Path, roles: &str, settings: &[(&str, &str)]) -> Self {
        // Freed again at once; nobody else on the machine asks for this port in the meantime.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self {
            data: folder.join("data"),
            url: format!("http://127.0.0.1:{port}"),
            settings: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            roles: roles.to_owned(),
            program: program(),
            core: None,
            child: None,
        }
    }

    /// Starts it again after [`Self::kill`].
    pub async fn again(&mut self) {
        self.spawn();
        self.answers().await;
    }

    /// Starts it again without waiting until it answers.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = match self.core {
            None => Command::new(&self.program),
            Some(core) => {
                let mut command = Command::new("taskset");
                command.arg("--cpu-list").arg(core.to_string()).arg(&self.program);
                command
            }
        };
        let child = command
            .arg("serve")
            .args((!self.roles.is_empty()).then(|| format!("--roles={}", self.roles)))
            .env("LECTERN__DATA_DIR", &self.data)
            .env("LECTERN__HTTP__LISTEN", self.url.trim_start_matches("http://"))
            .env("LECTERN__LOG__FILTER", "info,sqlx=warn,hyper=warn")
            .envs(self.settings.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Waits until it is ready.
    pub async fn answers(&mut self) {
        let url = format!("{}/readyz", self.url);
        let since = Instant::now();
        loop {
            if let Ok(answer) = reqwest::get(&url).await
                && answer.status().is_success()
            {
                return;
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "the server ended with {ended:?}; its log:\n{}", self.log());
            assert!(since.elapsed() < Duration::from_secs(30), "no answer in 30 s; its log:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGKILL, and nothing of it is left running.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM; how it ended.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let id = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap()
    }

    /// The process's number, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// How it ended, if it did; it can be started again then.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        let ended = self.child.as_mut()?.try_wait().unwrap()?;
        self.child = None;
        Some(ended)
    }

    /// Whether the process is there.
    pub fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    fn log_path(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Every file under a folder of the data folder, relative to it.
    pub fn files(&self, folder: &str) -> Vec<String> {
        files_under(&self.data.join(folder))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the server's last lines:");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Every file under a folder, relative to it.
pub fn files_under(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// Somebody with an account.
pub async fn person(server: &Server, name: &str, role: &str) -> Client {
    let mut person = Client::new(&server.url).unwrap();
    person.register(name, &format!("{name}@school.example"), "correct horse battery", role).await.unwrap();
    person
}

/// A published course with one published lesson. Their ids.
pub async fn course_and_lesson(instructor: &Client) -> (String, String) {
    let course = instructor.post("/api/v1/courses", json!({"title": "Optics"})).await.unwrap();
    let course = course["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/courses/{course}");
    instructor.patch(&path, json!({"published_status": "published"})).await.unwrap();
    (course.clone(), lesson(instructor, &course, "Light").await)
}

/// Another published lesson of the course.
pub async fn lesson(instructor: &Client, course: &str, title: &str) -> String {
    let body = json!({"title": title, "type": "video", "published_status": "published"});
    let lesson = instructor.post(&format!("/api/v1/courses/{course}/lessons"), body).await.unwrap();
    lesson["id"].as_str().unwrap().to_owned()
}

/// Waits until the asset's work has come to an end, whatever it is. The asset.
pub async fn settled(instructor: &Client, asset: &str, within: Duration) -> Value {
    let since = Instant::now();
    loop {
        // The server may be away for a moment: tests kill it.
        let state = match instructor.get(&format!("/api/v1/assets/{asset}")).await {
            Ok(found) => {
                let state = found["state"].as_str().unwrap().to_owned();
                if matches!(state.as_str(), "ready" | "failed" | "deleted") {
                    return found;
                }
                format!("{state} {}", found["progress"])
            }
            Err(error) => error.to_string(),
        };
        assert!(since.elapsed() < within, "{asset} did not come to an end in {within:?}: {state}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until a condition holds.
pub async fn eventually(what: &str, within: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    while !holds().await {
        assert!(since.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// SHA-256 of a file, in hex.
pub fn sha256(path: &Path) -> String {
    hex::encode(Sha256::digest(std::fs::read(path).unwrap()))
}

/// Runs a program to its end and takes what it prints. Fails with what it says if it fails.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap_or_else(|error| {
            panic!("{program}: {error}; run `make test`, which installs what tests need")
        });
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Chromium, where Debian's package and others put it.
pub fn chromium() -> &'static str {
    let known = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let found = known.into_iter().find(|path| Path::new(path).exists());
    found.expect("Chromium is missing: run `make test`, which installs it")
}

/// A file of the repository that `make test` puts there.
pub fn installed(path: &str) -> PathBuf {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    assert!(full.exists(), "{path} is missing: run `make test`, which installs it");
    full
}
