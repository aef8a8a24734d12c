//! A rolling upgrade: processes of a version and of the next one, with a migration between them, take uploads and do jobs
//! side by side on one database.
//!
//! As the version before stands the program under test, with a migration on top that only the next one would have. With
//! `LECTERN_TEST_PREVIOUS` set to the program of an earlier version, that one is the version before, and the migrations between
//! them are the real ones.

mod harness;

use std::{path::Path, time::Duration};

use harness::{Client, Server, course_and_lesson, draw, lesson, person, settled, watch};
use lectern_store::{
    Db, jobs,
    testing::{execute, on_postgres_at},
};
use serde_json::json;

/// What a later version may do beside this one: add, with defaults.
const NEXT: &[&str] = &[
    "ALTER TABLE jobs ADD COLUMN of_the_future TEXT NOT NULL DEFAULT 'x'",
    "ALTER TABLE assets ADD COLUMN of_the_future BIGINT",
    "CREATE TABLE of_the_future (id UUID PRIMARY KEY)",
    "CREATE INDEX jobs_of_the_future ON jobs (of_the_future)",
    "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
     VALUES (9999, 'of the future', TRUE, '\\x00', 0)",
];

async fn start(folder: &Path, name: &str, url: &str, program: Option<&Path>) -> Server {
    let own = folder.join(name);
    std::fs::create_dir_all(&own).unwrap();
    let objects = format!("file:{}", folder.join("objects").display());
    let settings = [
        ("LECTERN__DATABASE__URL", url),
        ("LECTERN__OBJECTS__URL", &objects),
        ("LECTERN__VAULT__MASTER_KEY", "bGVjdGVybiB0ZXN0cyBoYXZlIG5vIHNlY3JldHMgISE="),
        ("LECTERN__TRANSCODE__SPAN_MS", "4000"),
    ];
    let mut server = Server::new(&own, "", &settings);
    if let Some(program) = program {
        server.program = program.into();
    }
    server.again().await;
    server
}

/// Uploads through each of some servers, the same number of times, one upload after the other.
async fn upload(
    instructor: &Client,
    servers: &[&Server],
    course: &str,
    file: &Path,
) -> Vec<(String, String)> {
    let mut assets = Vec::new();
    for index in 0..3 * servers.len() {
        let lesson = lesson(instructor, course, &format!("Lesson {index}")).await;
        let there = instructor.at(&servers[index % servers.len()].url);
        assets.push((lesson.clone(), there.upload(&lesson, file, |_| {}).await.unwrap()));
    }
    assets
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_work_side_by_side() {
    on_postgres_at(|url, db| Box::pin(roll(url, db))).await;
}

async fn roll(url: String, db: Db) {
    let previous = std::env::var_os("LECTERN_TEST_PREVIOUS");
    let previous = previous.as_deref().map(Path::new);
    let folder = tempfile::tempdir().unwrap();
    let file = draw::clip(folder.path(), "Lecture.mp4", "320x180", 8);

    let mut old = start(folder.path(), "old", &url, previous).await;
    let instructor = person(&old, "ines", "instructor").await;
    let learner = person(&old, "lee", "student").await;
    let (course, _) = course_and_lesson(&instructor).await;
    learner.post(&format!("/api/v1/enrollments/{course}"), json!({})).await.unwrap();
    let before = upload(&instructor, &[&old], &course, &file).await;

    // The next version comes while these are being worked on, and brings its migration.
    if previous.is_none() {
        for statement in NEXT {
            execute(&db, statement).await.unwrap();
        }
    }
    let mut new = start(folder.path(), "new", &url, None).await;
    let beside = upload(&instructor, &[&old, &new], &course, &file).await;
    for (_, asset) in before.iter().chain(&beside) {
        let end = settled(&instructor, asset, Duration::from_mins(3)).await;
        assert_eq!(end["state"], "ready", "{end}");
    }

    // One of the version before that ends meanwhile starts again on the newer schema, unless it is too old to know how.
    if previous.is_none() {
        old.kill();
        old.again().await;
    }
    let more = upload(&instructor, &[&old, &new], &course, &file).await;
    for (_, asset) in &more {
        assert_eq!(settled(&instructor, asset, Duration::from_mins(3)).await["state"], "ready");
    }
    let mut workers = std::collections::BTreeSet::new();
    for (lesson, asset) in before.iter().chain(&beside).chain(&more) {
        let decoded = watch::decoded_by_ffmpeg(&watch::native_url(&learner.at(&new.url), lesson).await);
        assert_eq!(decoded[&180], 200, "{asset}: {decoded:?}");
        for job in jobs::of_asset(&db, asset.parse().unwrap()).await.unwrap() {
            assert_eq!(job.failures, 0, "{job:?}");
            let story = jobs::story(&db, job.id).await.unwrap();
            workers.extend(story.into_iter().filter(|line| line.event == "claimed").map(|line| line.detail));
        }
    }
    assert!(workers.len() >= 2, "both did jobs: {workers:?}");
    println!("{} assets ready, jobs done by {}", before.len() + beside.len() + more.len(), workers.len());

    // The last of the version before goes; what is left serves on.
    assert!(old.stop().success());
    let (lesson, asset) = upload(&instructor.at(&new.url), &[&new], &course, &file).await.remove(0);
    let end = settled(&instructor.at(&new.url), &asset, Duration::from_mins(3)).await;
    assert_eq!(end["state"], "ready", "{lesson}: {end}");
    assert!(new.stop().success());
}
