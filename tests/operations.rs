//! What operators do: first start, configuration, accounts, health, shutting down; and that no secret reaches a log.

mod harness;

use std::{
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use harness::{Client, LECTERN, Server, course_and_lesson, draw, person, settled, watch};
use serde_json::json;

fn lectern(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(LECTERN)
        .args(arguments)
        .env("LECTERN__DATA_DIR", folder.join("data"))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn configuration_comes_from_file_environment_and_flags_and_hides_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // Every default is valid and printed.
    let output = lectern(at, &["config"], "");
    let defaults: toml::Table = text(&output.stdout).parse().unwrap();
    let commented: toml::Table = include_str!("../src/lectern.toml").parse().unwrap();
    for (section, values) in &commented {
        if let Some(values) = values.as_table() {
            for key in values.keys() {
                assert!(
                    defaults[section].get(key).is_some(),
                    "lectern config does not print {section}.{key}"
                );
            }
        }
    }
    let key = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ=";
    std::fs::write(
        at.join("lectern.toml"),
        format!("[http]\nlisten = \"127.0.0.1:1\"\n[vault]\nmaster_key = \"{key}\"\n"),
    )
    .unwrap();
    let output = lectern(at, &["config"], "");
    assert!(text(&output.stdout).contains("127.0.0.1:1"), "{}", text(&output.stdout));
    assert!(!text(&output.stdout).contains(key) && text(&output.stdout).contains("redacted"));
    let output = Command::new(LECTERN)
        .args(["config", "--set", "http.listen=127.0.0.1:3"])
        .env("LECTERN__HTTP__LISTEN", "127.0.0.1:2")
        .current_dir(at)
        .output()
        .unwrap();
    assert!(text(&output.stdout).contains("127.0.0.1:3"), "flags win: {}", text(&output.stdout));

    for (wrong, says) in [
        (vec!["config", "--set", "http.lisen=1"], "lisen"),
        (vec!["config", "--set", "transcode.preset=placebo"], "ultrafast"),
        (vec!["config", "--set", "transcode.segment_ms=5"], "1000 to 600000"),
        (vec!["config", "--set", "nonsense"], "section.key=value"),
        (vec!["serve", "--set", "database.url=mysql://x"], "mysql"),
        (vec!["serve", "--config", "missing.toml"], "missing.toml"),
        (vec!["serve", "--set", "vault.master_key=tooshort"], "32 bytes"),
        (vec!["serve", "--set", "queue.url=amqp://x"], "local:"),
    ] {
        let output = lectern(at, &wrong, "");
        assert!(!output.status.success(), "{wrong:?}");
        let said = text(&output.stderr);
        assert!(said.contains(says), "{wrong:?} said {said:?}, without {says:?}");
        assert!(!said.contains("panicked") && !said.contains("tooshort"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn first_start_accounts_health_and_a_second_process() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let doctor = lectern(at, &["doctor"], "");
    assert!(doctor.status.success(), "{}{}", text(&doctor.stdout), text(&doctor.stderr));
    assert!(lectern(at, &["migrate"], "").status.success());
    let create =
        ["admin", "create-user", "--email", "root@school.example", "--name", "Root", "--role", "admin"];
    let made = lectern(at, &create, "correct horse battery\n");
    assert!(made.status.success(), "{}", text(&made.stderr));
    let again = lectern(at, &create, "correct horse battery\n");
    assert!(!again.status.success());
    assert!(text(&again.stderr).contains("already an account"), "{}", text(&again.stderr));
    let short = lectern(at, &["admin", "create-user", "--email", "b@school.example", "--name", "B"], "123\n");
    assert!(!short.status.success() && !text(&short.stderr).contains("123\n"), "{}", text(&short.stderr));

    let server = Server::start(at, &[]).await;
    let mode = |name: &str| std::fs::metadata(server.data.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("."), mode("master.key")), (0o700, 0o600));
    let second = lectern(at, &["serve", "--set", "http.listen=127.0.0.1:0"], "");
    assert!(text(&second.stderr).contains("another lectern"), "{}", text(&second.stderr));

    let client = Client::new(&server.url).unwrap();
    let session = client
        .post(
            "/api/v1/auth/login",
            json!({"email": "root@school.example", "password": "correct horse battery"}),
        )
        .await
        .unwrap();
    assert_eq!(session["user"]["role"], "admin");
    for path in ["/livez", "/readyz"] {
        assert!(client.media(&client.absolute(path)).await.is_ok(), "{path}");
    }
    let metrics = text(&client.media(&client.absolute("/metrics")).await.unwrap());
    assert!(metrics.lines().any(|line| line.starts_with("# TYPE")), "{metrics}");
}

/// The work under way when SIGTERM comes is finished within the grace, or given back and done by the next start.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_or_gives_back() {
    for grace in ["30", "0"] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server::start(folder.path(), &[("LECTERN__SHUTDOWN__GRACE_S", grace)]).await;
        let instructor = person(&server, "ines", "instructor").await;
        let (_, lesson) = course_and_lesson(&instructor).await;
        let file = draw::clip(folder.path(), "Lecture.mp4", "640x360", 20);
        let asset = instructor.upload(&lesson, &file, |_| {}).await.unwrap();
        harness::eventually("it is being encoded", Duration::from_secs(20), async || {
            instructor.get(&format!("/api/v1/assets/{asset}")).await.unwrap()["state"] == "processing"
        })
        .await;
        let since = Instant::now();
        let status = server.stop();
        assert!(status.success(), "{status}");
        assert!(since.elapsed() < Duration::from_secs(20), "stopping took {:?}", since.elapsed());
        assert!(server.log().contains("\"stopped\""));
        server.again().await;
        let end = settled(&instructor, &asset, Duration::from_mins(1)).await;
        assert_eq!(end["state"], "ready", "grace {grace}: {end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_reaches_the_log() {
    let folder = tempfile::tempdir().unwrap();
    // Everything that the program can say.
    let server = Server::start(folder.path(), &[("LECTERN__LOG__FILTER", "trace")]).await;
    let instructor = person(&server, "ines", "instructor").await;
    let learner = person(&server, "lee", "student").await;
    let (course, lesson) = course_and_lesson(&instructor).await;
    let file = draw::clip(folder.path(), "Lecture.mp4", "320x180", 5);
    let asset = instructor.upload(&lesson, &file, |_| {}).await.unwrap();
    assert_eq!(settled(&instructor, &asset, Duration::from_mins(1)).await["state"], "ready");
    learner.post(&format!("/api/v1/enrollments/{course}"), json!({})).await.unwrap();
    let playback = learner.post(&format!("/api/v1/lessons/{lesson}/playback"), json!({})).await.unwrap();
    let token = playback["token"].as_str().unwrap().to_owned();
    let native = watch::native_url(&learner, &lesson).await;
    watch::decoded_by_ffmpeg(&native);
    let playlist = text(&learner.media(&native).await.unwrap());
    let media = playlist.lines().find(|line| !line.starts_with('#') && !line.is_empty()).unwrap();
    let media = url::Url::parse(&native).unwrap().join(media).unwrap();
    let playlist = text(&learner.media(media.as_str()).await.unwrap());
    let key =
        playlist.split("URI=\"").find(|part| part.contains("/keys/")).unwrap().split('"').next().unwrap();
    let key = url::Url::parse(&native).unwrap().join(key).unwrap();
    let native_token = key.query_pairs().find(|(name, _)| name == "token").unwrap().1.into_owned();
    let content_key = learner.content_key(key.path(), &token).await.unwrap();
    let refresh = learner
        .post(
            "/api/v1/auth/login",
            json!({"email": "lee@school.example", "password": "correct horse battery"}),
        )
        .await
        .unwrap();
    let master = std::fs::read_to_string(server.data.join("master.key")).unwrap_or_default();
    let mut secrets = vec![
        token,
        native_token,
        learner.access_token().to_owned(),
        refresh["refresh_token"].as_str().unwrap().to_owned(),
        refresh["access_token"].as_str().unwrap().to_owned(),
        "correct horse battery".to_owned(),
        hex::encode(content_key),
        format!("{content_key:?}").trim_matches(['[', ']']).to_owned(),
    ];
    secrets.extend((!master.trim().is_empty()).then(|| master.trim().to_owned()));
    let log = server.log();
    assert!(log.len() > 50_000, "the log says everything: {} bytes", log.len());
    for secret in secrets {
        // The signature alone would do for a token.
        let part = secret.rsplit('.').next().unwrap();
        assert!(part.len() > 10, "{}", part.len());
        if let Some(at) = log.find(part) {
            let line = log[..at].lines().last().unwrap_or_default();
            panic!("a secret of {} characters is in the log, after {line:?}", secret.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_drains_sees_cancels_and_retries_work() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let file = draw::clip(at, "Lecture.mp4", "320x180", 4);
    let server = Server::start(at, &[]).await;
    let instructor = person(&server, "ines", "instructor").await;
    let (_, lesson) = course_and_lesson(&instructor).await;
    let admin = |arguments: &[&str]| {
        let output = lectern(at, &[&["admin"], arguments].concat(), "");
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };

    let (_, workers) = admin(&["workers"]);
    let worker = workers.split_whitespace().next().unwrap().to_owned();
    assert!(worker.starts_with("prc_") && workers.contains("transcoder"), "{workers}");
    assert!(admin(&["jobs", "drain", &worker]).0);
    harness::eventually("it hears of it", Duration::from_secs(10), async || {
        server.log().contains("takes no new job")
    })
    .await;

    // Drained, it takes uploads and begins no work.
    let asset = instructor.upload(&lesson, &file, |_| {}).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(admin(&["workers"]).1.contains("draining"));
    let (_, listed) = admin(&["jobs", "list", "--state", "queued", "--asset", &asset]);
    let job = listed.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert!(listed.contains("probe"), "{listed}");

    assert!(admin(&["jobs", "cancel", &job]).0);
    let failed = instructor.get(&format!("/api/v1/assets/{asset}")).await.unwrap();
    assert_eq!((&failed["state"], &failed["failure"]["code"]), (&json!("failed"), &json!("cancelled")));
    let (again, refused) = admin(&["jobs", "cancel", &job]);
    assert!(!again && refused.contains("is cancelled and cannot be cancelled"), "{refused}");

    assert!(admin(&["jobs", "retry", &job]).0);
    assert!(admin(&["jobs", "drain", "--end"]).0);
    assert_eq!(settled(&instructor, &asset, Duration::from_mins(1)).await["state"], "ready");
    let (_, done) = admin(&["jobs", "list", "--state", "done", "--asset", &asset]);
    let probe = done.lines().find(|line| line.contains("probe")).unwrap().split_whitespace().next().unwrap();
    let shown: serde_json::Value = serde_json::from_str(&admin(&["jobs", "show", probe]).1).unwrap();
    let events: Vec<_> = shown["story"].as_array().unwrap().iter().map(|line| &line["event"]).collect();
    assert_eq!((&shown["state"], events), (&json!("done"), vec![&json!("claimed"), &json!("done")]));

    for (arguments, expected) in [
        (["jobs", "show", "job_018f2f3a5c7b7cc3a1b2c3d4e5f60718"], "there is no job_"),
        (["jobs", "retry", probe], "is done and cannot be retried"),
        (["jobs", "drain", "prc_018f2f3a5c7b7cc3a1b2c3d4e5f60718"], "lectern admin workers"),
        (["jobs", "show", "nonsense"], "expected an id like job_"),
    ] {
        let (worked, said) = admin(&arguments);
        assert!(!worked && said.contains(expected), "{arguments:?}: {said}");
    }
}
