//! `lectern demo --once`, the proof by itself: on a server of its own, and on one that runs already.

mod harness;

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use harness::{LECTERN, Server, draw, run};

#[test]
fn on_a_server_of_its_own() {
    let said = run(LECTERN, &["demo", "--once"]);
    println!("{said}");
    assert!(said.trim_end().ends_with("Everything held."), "{said}");
    for refused in ["not_enrolled", "token_missing", "token_invalid", "entitlement_ended"] {
        assert!(said.contains(refused), "{refused}: {said}");
    }
}

/// What `make demo` runs: nothing is configured but a free port, and the data folder is the default one.
#[test]
fn with_nothing_configured_it_keeps_serving() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(LECTERN)
        .args(["demo"])
        .env("LECTERN__HTTP__LISTEN", "127.0.0.1:0")
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let said: Vec<String> = lines.take_while(|line| !line.contains("health")).collect();
    let serving = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(serving && said.iter().any(|line| line.contains("keeps serving")), "{said:#?}");
    assert!(folder.path().join("data/lectern.db").is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let file = draw::clip(folder.path(), "Lecture.mp4", "640x360", 9);
    let url = server.url.clone();
    let said = tokio::task::spawn_blocking(move || {
        run(LECTERN, &["demo", "--once", "--url", &url, "--file", file.to_str().unwrap()])
    })
    .await
    .unwrap();
    assert!(said.contains("nobody else got a key"), "{said}");
    // A server that protects nothing does not pass.
    let open = tempfile::tempdir().unwrap();
    let open_server = Server::start(open.path(), &[("LECTERN__PACKAGE__PROTECTION", "none")]).await;
    let file = draw::clip(open.path(), "Lecture.mp4", "320x180", 5);
    let output = std::process::Command::new(LECTERN)
        .args(["demo", "--once", "--url", &open_server.url, "--file", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(why.contains("not encrypted"), "{why}");
}
