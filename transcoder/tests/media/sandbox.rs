//! What the child cannot do, and what happens when it is stopped.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use lectern_domain::{
    failure::FailureCode,
    plan::{PlanSettings, plan},
};
use lectern_transcoder::child::{ChildError, Limits, Request, run};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{
    child::{ask, block_on, launch, probe},
    fixtures::{H264, ffmpeg, picture, plain},
};

/// A span that takes several seconds.
fn long_span() -> (Request, TempDir) {
    let source = ffmpeg(&format!("{} {H264} -crf 12", picture("1920x1080", 30, 8.0)), "mp4");
    let info = probe(&source).unwrap();
    let plan = plan(&info, &PlanSettings::default()).unwrap().video.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let span = plan.spans[0];
    (Request::Span { source, info, plan, span, folder: folder.path().to_owned() }, folder)
}

#[test]
fn a_taken_over_child_gets_nowhere() {
    let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let secret = outside.path().join("secret");
    std::fs::write(&secret, "the master key").unwrap();
    // Where a source that is fetched lies: beside the folder that the child writes.
    let source = inside.path().join("source");
    std::fs::write(&source, "what was fetched").unwrap();
    let made = inside.path().join("made");
    std::fs::create_dir(&made).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lectern-media-child"))
        .arg("attempt")
        .args([source.as_path(), made.as_path(), secret.as_path()])
        .arg(listener.local_addr().unwrap().to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    let found: Vec<&str> = text.lines().collect();
    let expected = [
        "read the source: works",
        "write the source: denied",
        "remove the source: denied",
        "write into the folder: works",
        "start a thread: works",
        "read a secret: denied",
        "read /etc/passwd: denied",
        "read the parent's environment: denied",
        "write beside the folder: denied",
        "connect over TCP: denied",
        "bind UDP: denied",
        "open a Unix socket: denied",
        "run a program: denied",
        "signal the parent: denied",
        "raise its own limits: denied",
        "allocate past the limit: denied",
    ];
    assert_eq!(found, expected);
}

#[test]
fn it_ends_when_its_parent_does() {
    let (request, _folder) = long_span();
    let order = serde_json::json!({"request": request, "limits": Limits::transcode()});
    let mut child = Command::new(env!("CARGO_BIN_EXE_lectern-media-child"))
        .env("GST_REGISTRY", launch(Limits::transcode()).cache.join("gstreamer-registry.bin"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{order}").unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert!(child.try_wait().unwrap().is_none(), "it works while its parent lives");
    // What the kernel does when the parent is killed.
    drop(stdin);
    let closed = Instant::now();
    let status = child.wait().unwrap();
    assert!(!status.success());
    assert!(closed.elapsed() < Duration::from_secs(2), "{:?}", closed.elapsed());
}

#[test]
fn limits_end_it_with_a_reason() {
    let (request, _folder) = long_span();
    // A broker gives a delivery to another worker after half an hour.
    assert!(Limits::transcode().wall <= Duration::from_mins(20));
    assert!(Limits::transcode().for_probe().wall <= Duration::from_mins(20));
    let short = Limits { wall: Duration::from_millis(900), ..Limits::transcode() };
    assert_eq!(ask(&request, short).unwrap_err().code(), FailureCode::SourceTimeLimit);
    let busy = Limits { cpu_seconds: 1, ..Limits::transcode() };
    assert_eq!(ask(&request, busy).unwrap_err().code(), FailureCode::SourceTimeLimit);
    for mebibytes in [100, 150, 200, 250, 300] {
        let memory_bytes = mebibytes << 20;
        let tight = Limits { memory_bytes, stall: Duration::from_secs(3), ..Limits::transcode() };
        let error = ask(&request, tight).unwrap_err();
        assert_eq!(error.code(), FailureCode::SourceMemoryLimit, "{mebibytes} MiB: {error}");
    }
}

#[test]
fn cancelling_kills_it() {
    let (request, _folder) = long_span();
    let cancel = CancellationToken::new();
    let result = block_on(async {
        let later = cancel.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            later.cancel();
        });
        run(&launch(Limits::transcode()), &request, |_| {}, &cancel).await
    });
    assert!(matches!(result, Err(ChildError::Cancelled)), "{result:?}");
}

#[test]
fn a_program_that_is_no_child_is_a_fault_of_ours() {
    let request = Request::Probe { source: plain(), trim: None };
    for program in ["/bin/false", "/bin/true", "/nonexistent/program"] {
        let launch = lectern_transcoder::child::Launch {
            program: program.into(),
            ..launch(Limits::transcode().for_probe())
        };
        let error = block_on(run(&launch, &request, |_| {}, &CancellationToken::new())).unwrap_err();
        assert!(error.is_retryable(), "{program}: {error}");
        assert_eq!(error.code(), FailureCode::Internal);
    }
}
