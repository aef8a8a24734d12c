//! `lectern demo`: the whole job through the public API, on a sample lecture, checked as an enrolled learner.

mod client;
mod play;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use lectern_platform::clock::random_bytes;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    config::{Config, RedactedUrl},
    demo::client::Client,
    roles::Roles,
    serve::Server,
};

/// Length of the sample lecture.
const SAMPLE_SECONDS: u32 = 40;

/// How to run the demo.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Prove it and exit: on a server of its own, in a temporary folder, unless --url is given
    #[arg(long)]
    once: bool,
    /// Use a running deployment instead of starting a server
    #[arg(long)]
    url: Option<String>,
    /// Upload this file instead of the sample lecture
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Draws and encodes the sample lecture. Blocks a thread of its own.
pub(crate) async fn write_sample(path: &Path, seconds: u32) -> anyhow::Result<()> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || lectern_transcoder::sample::write(&path, seconds))
        .await?
        .map_err(|error| anyhow::anyhow!("making the sample lecture: {error}"))
}

pub(crate) async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let mut config = config.clone();
    if arguments.once {
        config.data_dir = folder.path().join("data");
        config.http.listen = "127.0.0.1:0".into();
        config.database.url = RedactedUrl(String::new().into());
        config.queue.url = RedactedUrl("local:".to_owned().into());
        config.objects.url = String::new();
    }
    // The proof is what it prints; the server's own lines only matter when something is wrong.
    config.log.filter = "warn".into();
    let server = if arguments.url.is_some() {
        None
    } else {
        lectern_platform::telemetry::start(&config.log.filter, config.log.format)
            .map_err(anyhow::Error::msg)?;
        Some(Server::start(&config, &Roles::all()).await?)
    };
    let url = arguments
        .url
        .clone()
        .or_else(|| server.as_ref().map(|server| server.url.clone()))
        .unwrap_or_default();
    println!("Lectern at {url}");
    let accounts = prove(&url, arguments.file.as_deref(), folder.path(), &config).await?;
    let Some(server) = server else { return Ok(ExitCode::SUCCESS) };
    if arguments.once {
        server.stop();
        server.run(Duration::from_secs(5)).await?;
        println!("Everything held.");
        return Ok(ExitCode::SUCCESS);
    }
    println!();
    println!("Everything held. Lectern keeps serving; stop it with Ctrl-C.");
    println!();
    println!("  open       {}{}", server.url, accounts.lesson_page);
    println!("  instructor {}", accounts.instructor);
    println!("  learner    {}", accounts.learner);
    println!("  password   {}  (both)", accounts.password);
    println!();
    println!("  health     {0}/readyz   metrics {0}/metrics", server.url);
    server.run(Duration::from_secs(config.shutdown.grace_s)).await?;
    Ok(ExitCode::SUCCESS)
}

/// Whom the demo made, for whoever wants to look around.
struct Accounts {
    instructor: String,
    learner: String,
    password: String,
    lesson_page: String,
}

/// Prints a step and how long it took.
fn told(step: &str, since: Instant) {
    println!("  ok  {step:<62} {:>8.2} s", since.elapsed().as_secs_f64());
}

async fn prove(url: &str, file: Option<&Path>, folder: &Path, config: &Config) -> anyhow::Result<Accounts> {
    let begun = Instant::now();
    let tag = hex::encode(random_bytes::<4>());
    let password = hex::encode(random_bytes::<12>());
    let email = |who: &str| format!("{who}-{tag}@demo.example");

    let since = Instant::now();
    let source = if let Some(file) = file {
        file.to_owned()
    } else {
        let path = folder.join("Sample lecture.mp4");
        write_sample(&path, SAMPLE_SECONDS).await?;
        path
    };
    told(&format!("a lecture of {:.1} MB is there", std::fs::metadata(&source)?.len() as f64 / 1e6), since);

    let since = Instant::now();
    let mut instructor = Client::new(url)?;
    instructor.register("Ines Instructor", &email("instructor"), &password, "instructor").await?;
    let course = instructor
        .post(
            "/api/v1/courses",
            json!({"title": format!("Demo course {tag}"), "description": "Made by lectern demo."}),
        )
        .await?;
    let course_id = course["id"].as_str().context("the course has no id")?.to_owned();
    let lesson = instructor
        .post(
            &format!("/api/v1/courses/{course_id}/lessons"),
            json!({"title": "Sample lecture", "type": "video", "published_status": "published"}),
        )
        .await?;
    let lesson_id = lesson["id"].as_str().context("the lesson has no id")?.to_owned();
    instructor
        .patch(&format!("/api/v1/courses/{course_id}"), json!({"published_status": "published"}))
        .await?;
    let mut learner = Client::new(url)?;
    learner.register("Lee Learner", &email("learner"), &password, "student").await?;
    let mut stranger = Client::new(url)?;
    stranger.register("Sam Stranger", &email("stranger"), &password, "student").await?;
    told("instructor, course, lesson, learner and stranger", since);

    let since = Instant::now();
    let asset = upload(&instructor, &lesson_id, &source).await?;
    told("uploaded over tus", since);
    let since = Instant::now();
    let ready = wait_until_ready(&instructor, &asset).await?;
    told(&format!("{} renditions are ready", ready["renditions"].as_array().map_or(0, Vec::len)), since);

    learner.post(&format!("/api/v1/enrollments/{course_id}"), json!({})).await?;
    let since = Instant::now();
    let playback = learner.post(&format!("/api/v1/lessons/{lesson_id}/playback"), json!({})).await?;
    let played = play::everything(&learner, &playback, folder, config).await?;
    println!("  ok  the enrolled learner played every segment:");
    for track in &played.tracks {
        println!("        {track}");
    }
    told("followed, decrypted, decoded", since);

    let since = Instant::now();
    refusals(&learner, &stranger, &playback, &course_id, &lesson_id, &played.key_path).await?;
    told("nobody else got a key", since);
    // Whoever looks around afterwards finds the learner enrolled.
    learner.post(&format!("/api/v1/enrollments/{course_id}"), json!({})).await?;
    told("the main job, end to end", begun);
    Ok(Accounts {
        instructor: email("instructor"),
        learner: email("learner"),
        password,
        lesson_page: format!("/courses/{course_id}/lessons/{lesson_id}"),
    })
}

fn bar(message: &'static str, length: u64, template: &str) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template(template)?.progress_chars("=> ");
    Ok(ProgressBar::new(length).with_style(style).with_message(message))
}

async fn upload(instructor: &Client, lesson: &str, source: &Path) -> anyhow::Result<String> {
    let length = std::fs::metadata(source)?.len();
    let bar = bar("uploading", length, "      {msg:11} [{bar:40}] {bytes}/{total_bytes} {bytes_per_sec}")?;
    let asset = instructor.upload(lesson, source, |sent| bar.set_position(sent)).await?;
    bar.finish_and_clear();
    Ok(asset)
}

async fn wait_until_ready(instructor: &Client, asset: &str) -> anyhow::Result<Value> {
    let bar = bar("", 1_000, "      {msg:11} [{bar:40}] {percent:>3} %  {elapsed}")?;
    let mut seen = 0.0;
    loop {
        let now = instructor.get(&format!("/api/v1/assets/{asset}")).await?;
        let progress = now["progress"].as_f64().unwrap_or(0.0);
        ensure!(progress >= seen, "progress went backwards, from {seen} to {progress}");
        seen = progress;
        bar.set_position((progress * 1_000.0) as u64);
        let state = now["state"].as_str().unwrap_or("?").to_owned();
        bar.set_message(state.clone());
        match state.as_str() {
            "ready" => {
                bar.finish_and_clear();
                return Ok(now);
            }
            "failed" | "deleted" => {
                bail!("the asset is {state}: {} ({})", now["failure"]["message"], now["failure"]["code"])
            }
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Every way to ask for a key without a right to it, and the answer that each must get.
async fn refusals(
    learner: &Client,
    stranger: &Client,
    playback: &Value,
    course: &str,
    lesson: &str,
    key_path: &str,
) -> anyhow::Result<()> {
    let token = playback["token"].as_str().context("the playback answer has no token")?;
    let (status, _) = learner.key(key_path, Some(token)).await?;
    ensure!(status == StatusCode::OK, "the enrolled learner's key request was answered {status}");

    let (status, problem) =
        stranger.try_post(&format!("/api/v1/lessons/{lesson}/playback"), json!({})).await?;
    refused("a stranger who presses play", status, &problem["code"], StatusCode::FORBIDDEN, "not_enrolled")?;
    let (status, code) = learner.key(key_path, None).await?;
    refused("a key request without a token", status, &code, StatusCode::UNAUTHORIZED, "token_missing")?;
    let (status, code) = stranger.key(key_path, Some(stranger.access_token())).await?;
    refused("a stranger's access token", status, &code, StatusCode::UNAUTHORIZED, "token_invalid")?;
    // A character in the middle of the signature.
    let at = token.len() - 20;
    let changed = if &token[at..=at] == "A" { "B" } else { "A" };
    let tampered = format!("{}{changed}{}", &token[..at], &token[at + 1..]);
    let (status, code) = learner.key(key_path, Some(&tampered)).await?;
    refused("a tampered token", status, &code, StatusCode::UNAUTHORIZED, "token_invalid")?;

    learner.delete(&format!("/api/v1/enrollments/{course}")).await?;
    let (status, code) = learner.key(key_path, Some(token)).await?;
    refused("a learner who left the course", status, &code, StatusCode::FORBIDDEN, "entitlement_ended")
}

fn refused(
    who: &str,
    status: StatusCode,
    code: &Value,
    expected_status: StatusCode,
    expected: &str,
) -> anyhow::Result<()> {
    ensure!(
        status == expected_status && code == expected,
        "{who}: expected {expected_status} {expected}, got {status} {code}"
    );
    println!("  ok  {who} is refused: {expected}");
    Ok(())
}
