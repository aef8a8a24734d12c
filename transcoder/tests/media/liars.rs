//! A child that was taken over by its source: what it asks of its parent, and that it gets nowhere with it.

use std::{
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use lectern_platform::objects::Objects as _;
use lectern_transcoder::child::{ChildError, Feed, Limits, Request, run_fetching};
use tokio_util::sync::CancellationToken;

use crate::{
    child::{block_on, launch},
    fixtures::made,
    store::{KEY, Mood, Remote},
};

/// 300 MB of nothing: more than a child may keep.
const SIZE: u64 = 300_000_000;

/// What the parent makes of a child that runs this script, and what the store served.
fn answer(script: &str, wall: Duration) -> (ChildError, u64, u64) {
    let source = made("300 MB of nothing", "bin", |path| {
        std::fs::File::create(path).unwrap().set_len(SIZE).unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("liar");
    std::fs::write(&program, format!("#!/bin/bash\nread -r order\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let launch =
        lectern_transcoder::child::Launch { program, ..launch(Limits { wall, ..Limits::transcode() }) };
    block_on(async {
        let store = Remote::with(&source, Mood::Good).await;
        assert_eq!(store.size(KEY).await.unwrap(), Some(SIZE));
        let path = folder.path().join("source");
        let mut feed = Feed::create(store.clone(), KEY.into(), SIZE, &path).unwrap();
        let request = Request::Probe { source: path, trim: None };
        let started = Instant::now();
        let cancel = CancellationToken::new();
        let error = run_fetching(&launch, &request, &mut feed, |_| {}, &cancel).await.unwrap_err();
        println!("{error} after {:?}, {} MiB", started.elapsed(), store.bytes() >> 20);
        assert!(feed.most_resident_bytes() <= 256 << 20);
        (error, store.requests(), store.bytes())
    })
}

const LONG: Duration = Duration::from_mins(1);

#[test]
fn ranges_that_no_source_has_are_refused() {
    let past = u64::MAX;
    let asked = [
        r#"{"event":"need","offset":300000000,"length":1}"#.to_owned(),
        r#"{"event":"need","offset":299999999,"length":2}"#.to_owned(),
        r#"{"event":"need","offset":5,"length":0}"#.to_owned(),
        format!(r#"{{"event":"need","offset":{past},"length":{past}}}"#),
        format!(r#"{{"event":"need","offset":0,"length":{past}}}"#),
        format!(r#"{{"event":"release","offset":{past},"length":65536}}"#),
        r#"{"event":"release","offset":0,"length":300000000}"#.to_owned(),
        r#"{"event":"release","offset":1,"length":65535}"#.to_owned(),
        r#"{"event":"release","offset":0,"length":10}"#.to_owned(),
    ];
    for line in asked {
        let (error, requests, _) = answer(&format!("echo '{line}'; read -r have; sleep 50"), LONG);
        assert!(matches!(error, ChildError::Refused(_)), "{line}: {error}");
        assert!(error.is_retryable(), "{line}");
        assert_eq!(requests, 0, "{line}");
    }
}

#[test]
fn nonsense_is_not_heard() {
    for line in [
        r#"{"event":"need","offset":-1,"length":5}"#,
        r#"{"event":"need","offset":0.5,"length":5}"#,
        r#"{"event":"need","offset":99999999999999999999999,"length":5}"#,
        r#"{"event":"need"}"#,
        "need everything",
    ] {
        let (error, requests, _) = answer(&format!("echo '{line}'; exit 1"), LONG);
        assert!(matches!(error, ChildError::Crashed { .. }), "{line}: {error}");
        assert_eq!(requests, 0, "{line}");
    }
}

#[test]
fn overlapping_questions_are_fetched_once() {
    let ask = |offset: u64, length: u64| {
        format!(
            "echo '{{\"event\":\"need\",\"offset\":{offset},\"length\":{length}}}'; read -r have; echo $have >&2;"
        )
    };
    // In the middle of the first fetch, across its end, within it again, and where it ended.
    let script = [ask(1_000, 200_000), ask(70_000, 250_000), ask(0, 1), ask(262_144, 1)].concat();
    let (error, requests, bytes) = answer(&format!("{script} exit 1"), LONG);
    let ChildError::Crashed { stderr, .. } = error else { panic!("{error}") };
    let heard: Vec<(u64, u64)> = stderr
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|have| (have["offset"].as_u64().unwrap(), have["length"].as_u64().unwrap()))
        .collect();
    assert_eq!(heard, [(0, 262_144), (65_536, 196_608), (0, 65_536), (262_144, 524_288)]);
    assert_eq!((requests, bytes), (2, 786_432));
}

#[test]
fn a_million_questions_come_to_an_end() {
    let many = r#"(yes '{"event":"need","offset":0,"length":1}' | head -n 1000000) & exec cat > /dev/null"#;
    let (error, requests, _) = answer(many, LONG);
    assert!(matches!(&error, ChildError::Refused(detail) if detail.contains("times")), "{error}");
    assert_eq!(requests, 1);
}

#[test]
fn a_child_that_keeps_everything_is_ended() {
    let greedy = r#"
        at=0
        while [ $at -lt 300000000 ]; do
            echo "{\"event\":\"need\",\"offset\":$at,\"length\":1}"
            read -r have
            at=$((at + 65536))
        done
        sleep 50"#;
    let (error, _, bytes) = answer(greedy, LONG);
    assert!(matches!(&error, ChildError::Refused(detail) if detail.contains("keeps")), "{error}");
    assert!(bytes <= 256 << 20);
}

#[test]
fn a_child_that_fetches_for_ever_is_ended() {
    let wasteful = r#"
        while true; do
            echo '{"event":"need","offset":0,"length":4194304}'
            read -r have
            echo '{"event":"release","offset":0,"length":4194304}'
        done"#;
    let (error, _, bytes) = answer(wasteful, LONG);
    assert!(matches!(&error, ChildError::Refused(detail) if detail.contains("wants")), "{error}");
    assert!(bytes <= 4 * SIZE + (64 << 20), "{bytes}");
}

#[test]
fn a_child_that_asks_and_does_not_listen_is_ended() {
    // Answers fill the pipe; then neither side could go on.
    let deaf = r#"yes '{"event":"need","offset":0,"length":1}'"#;
    let (error, requests, _) = answer(deaf, LONG);
    assert!(matches!(&error, ChildError::Refused(detail) if detail.contains("listen")), "{error}");
    assert_eq!(requests, 1);
}
