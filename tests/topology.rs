//! The whole deployment: api with ingest, two transcoders, a packager and a license server as processes of their own on
//! PostgreSQL, RabbitMQ and S3; and the same under faults at random moments, of every process and of every server.
//!
//! `LECTERN_TEST_FAULTS` sets how many faults (20; a hundred take about ten minutes), `LECTERN_TEST_SEED` repeats a run.

mod harness;

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use harness::{
    Client, course_and_lesson, draw, eventually, installed, lesson, settled,
    topology::{EACH_BY_ITSELF, Node, Services, Topology},
    watch,
};
use lectern_domain::job::{JobState, WorkClass};
use lectern_platform::testing::{FaultProxy, Mode};
use lectern_store::jobs;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;

/// Eight seconds at 25.
const FRAMES: u64 = 200;

async fn person(api: &Node, name: &str, role: &str) -> Client {
    let mut person = Client::new(&api.url).unwrap();
    person.register(name, &format!("{name}@school.example"), "correct horse battery", role).await.unwrap();
    person
}

struct School {
    instructor: Client,
    learner: Client,
    course: String,
    lesson: String,
}

/// An instructor's course with a lesson, and a learner who is enrolled in it.
async fn school(api: &Node) -> School {
    let instructor = person(api, "ines", "instructor").await;
    let learner = person(api, "lee", "student").await;
    let (course, lesson) = course_and_lesson(&instructor).await;
    learner.post(&format!("/api/v1/enrollments/{course}"), json!({})).await.unwrap();
    School { instructor, learner, course, lesson }
}

/// Uploads as a browser does, going on after every fault.
async fn upload(api: &Node, instructor: &Client, lesson: &str, file: &Path) -> Result<(), String> {
    installed("tests/clients/node_modules/tus-js-client");
    let arguments = [
        format!("{}/uploads", api.url),
        instructor.access_token().to_owned(),
        lesson.to_owned(),
        file.display().to_string(),
        (256 << 10).to_string(),
        "0".to_owned(),
    ];
    let ended = tokio::task::spawn_blocking(move || {
        Command::new("node")
            .arg(installed("tests/clients/tus-js.mjs"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    });
    let ended = ended.await.unwrap();
    if ended.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&ended.stderr).into_owned()) }
}

/// The asset that a lesson's upload made.
async fn asset_of(instructor: &Client, lesson: &str) -> String {
    let mut found = None;
    eventually("the lesson has its asset", Duration::from_mins(2), async || {
        let lesson = instructor.get(&format!("/api/v1/lessons/{lesson}")).await;
        found = lesson.ok().and_then(|lesson| lesson["asset_id"].as_str().map(str::to_owned));
        found.is_some()
    })
    .await;
    found.unwrap()
}

/// Nothing is left of the work but what learners play.
async fn all_is_quiet(topology: &Topology) {
    eventually("clear intermediates are gone", Duration::from_mins(5), async || {
        topology.objects_under("work/").await == 0
    })
    .await;
    eventually("every announcement was taken", Duration::from_mins(2), async || {
        let mut left = 0;
        for class in WorkClass::ALL {
            left += topology.queue.depth(Some(class)).await.unwrap_or(1);
        }
        left == 0
    })
    .await;
    assert_eq!(topology.queue.depth(None).await.unwrap(), 0, "nothing was put aside");
    eventually("the outbox is empty", Duration::from_secs(30), async || {
        lectern_store::outbox::count(&topology.db).await.unwrap() == 0
    })
    .await;
    assert!(jobs::leased(&topology.db).await.unwrap().is_empty(), "no lease is held");
    for (kind, state, total) in jobs::count_by_state(&topology.db).await.unwrap() {
        assert!(total == 0 || state == JobState::Done.as_str(), "{total} {kind} jobs are {state}");
    }
}

impl Topology {
    async fn objects_under(&self, prefix: &str) -> usize {
        self.keys(prefix).await.len()
    }
}

/// The package is whole and decodes through the license server.
async fn plays(topology: &Topology, learner: &Client, lesson: &str, asset: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    topology.copy_package(asset, folder.path()).await;
    let segments = watch::whole_package_in(folder.path(), asset);
    let learner = learner.at(&topology.node("license-server").url);
    let decoded = watch::decoded_by_ffmpeg(&watch::native_url(&learner, lesson).await);
    assert_eq!(decoded[&180], FRAMES, "{asset}: {decoded:?}");
    segments
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_on_many_processes() {
    let folder = tempfile::tempdir().unwrap();
    let file = draw::clip(folder.path(), "Lecture.mp4", "320x180", 8);
    let topology = Topology::start(folder.path(), &[("LECTERN__TRANSCODE__SPAN_MS", "4000")]).await;
    let api = topology.node("api");
    let School { instructor, learner, lesson, .. } = school(api).await;
    let since = Instant::now();
    upload(api, &instructor, &lesson, &file).await.unwrap();
    let asset = asset_of(&instructor, &lesson).await;
    let end = settled(&instructor, &asset, Duration::from_mins(2)).await;
    assert_eq!(end["state"], "ready", "{end}");
    println!(
        "ready after {:?}, {} segments",
        since.elapsed(),
        plays(&topology, &learner, &lesson, &asset).await
    );
    all_is_quiet(&topology).await;
    // Nobody else plays it.
    let stranger = person(api, "sam", "student").await.at(&topology.node("license-server").url);
    let refused = stranger.try_post(&format!("/api/v1/lessons/{lesson}/playback"), json!({})).await.unwrap();
    assert_eq!((refused.0.as_u16(), &refused.1["code"]), (403, &json!("not_enrolled")));
}

/// RabbitMQ takes a delivery back that is held longer than half an hour, and closes the channel. Here longer than two
/// seconds: jobs take longer than that, are announced again while they run, and are done once all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_the_broker_takes_back_is_worked_on_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = draw::clip(folder.path(), "Lecture.mp4", "960x540", 60);
    let services = Services::start(&[("LECTERN_TEST_CONSUMER_TIMEOUT_MS", "2000")]).await;
    let topology = Topology::start_on(services, folder.path(), &EACH_BY_ITSELF, &[]).await;
    let api = topology.node("api");
    let instructor = person(api, "ines", "instructor").await;
    let (_, lesson) = course_and_lesson(&instructor).await;
    upload(api, &instructor, &lesson, &file).await.unwrap();
    let asset = asset_of(&instructor, &lesson).await;
    let end = settled(&instructor, &asset, Duration::from_mins(5)).await;
    assert_eq!(end["state"], "ready", "{end}");
    all_is_quiet(&topology).await;
    let logs = topology.nodes.iter().map(Node::log).collect::<String>();
    let taken_back = logs.lines().filter(|line| line.contains("lost RabbitMQ")).count();
    let longest = jobs::of_asset(&topology.db, asset.parse().unwrap()).await.unwrap();
    for job in &longest {
        assert_eq!((job.attempt, job.failures), (1, 0), "{job:?}");
    }
    assert!(taken_back > 0, "no delivery was held for long");
    println!("{taken_back} channels were closed by the broker, {} jobs were done once each", longest.len());
}

/// A fault at a door lasts so long at most: shorter than what clients and jobs must wait out, long enough to be met.
const LONGEST_FAULT: Duration = Duration::from_secs(4);

async fn fault(topology: &Topology, random: &mut StdRng) -> &'static str {
    let lasts = random.random_range(Duration::from_millis(200)..LONGEST_FAULT);
    let doors: [(&FaultProxy, &'static str); 3] =
        [(&topology.postgres, "PostgreSQL"), (&topology.rabbitmq, "RabbitMQ"), (&topology.s3, "S3")];
    let door = doors[random.random_range(0..3)].0;
    let hold = |mode: Mode| async move {
        door.set(mode).await;
        tokio::time::sleep(lasts).await;
        door.set(Mode::Pass).await;
    };
    match random.random_range(0..100) {
        0..40 => {
            topology.nodes[random.random_range(0..topology.nodes.len())].kill();
            "kill -9"
        }
        40..46 => {
            topology.services.restart("rabbitmq").await;
            "restart of RabbitMQ"
        }
        46..52 => {
            topology.services.restart("postgres").await;
            "restart of PostgreSQL"
        }
        52..64 => {
            let status = if random.random_bool(0.5) { 500 } else { 503 };
            topology.s3.answer_next(random.random_range(1..30), status);
            "S3 answers 500 or 503"
        }
        64..72 => {
            topology.s3.set(Mode::Delay(Duration::from_millis(random.random_range(20..300)))).await;
            tokio::time::sleep(lasts).await;
            topology.s3.set(Mode::Pass).await;
            "S3 is slow"
        }
        72..84 => {
            door.cut();
            "cut"
        }
        84..90 => {
            hold(Mode::Reset).await;
            "reset"
        }
        90..95 => {
            hold(Mode::HalfOpen).await;
            "half-open"
        }
        _ => {
            hold(Mode::Refuse).await;
            "refused"
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_at_random_moments_lose_nothing_and_publish_nothing_twice() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let seed = number("LECTERN_TEST_SEED", rand::random());
    let wanted = number("LECTERN_TEST_FAULTS", 20);
    let uploads = (wanted / 5).max(4) as usize;
    println!("seed {seed}: {wanted} faults over at least {uploads} uploads");
    let mut random = StdRng::seed_from_u64(seed);

    let folder = tempfile::tempdir().unwrap();
    let file = draw::clip(folder.path(), "Lecture.mp4", "320x180", 8);
    let topology = Topology::start(folder.path(), &[("LECTERN__TRANSCODE__SPAN_MS", "4000")]).await;
    let api = topology.node("api");
    let School { instructor, learner, course, lesson: first } = school(api).await;
    // More than are needed: uploads go on for as long as faults come.
    let mut lessons = vec![first];
    for index in 0..wanted {
        lessons.push(lesson(&instructor, &course, &format!("Lesson {index}")).await);
    }
    let lessons = Mutex::new(lessons);

    let since = Instant::now();
    let mut faults: BTreeMap<&'static str, u64> = BTreeMap::new();
    let assets = {
        let over = AtomicBool::new(false);
        let made = Mutex::new(Vec::new());
        let uploading = async || {
            while !over.load(Ordering::Relaxed) || made.lock().unwrap().len() < uploads {
                let Some(lesson) = lessons.lock().unwrap().pop() else { break };
                let ended = upload(api, &instructor, &lesson, &file).await;
                ended.unwrap_or_else(|error| panic!("the upload for {lesson} was given up: {error}"));
                let asset = asset_of(&instructor, &lesson).await;
                made.lock().unwrap().push((lesson, asset.clone()));
                settled(&instructor, &asset, Duration::from_mins(10)).await;
            }
        };
        let faulting = async {
            for _ in 0..wanted {
                tokio::time::sleep(random.random_range(Duration::from_millis(200)..Duration::from_secs(3)))
                    .await;
                *faults.entry(fault(&topology, &mut random).await).or_default() += 1;
            }
            over.store(true, Ordering::Relaxed);
        };
        // Two at a time, and each waits for the end of one before the next: there is always work to disturb.
        tokio::join!(uploading(), uploading(), faulting);
        made.into_inner().unwrap()
    };
    println!("{wanted} faults in {:?}: {faults:?}", since.elapsed());
    for (_, asset) in &assets {
        let end = settled(&instructor, asset, Duration::from_mins(10)).await;
        assert_eq!(end["state"], "ready", "{end}");
    }
    println!("{} assets ready after {:?}", assets.len(), since.elapsed());
    for node in &topology.nodes {
        node.ready().await;
        println!("{} ended {} times", node.name, node.ends().len());
    }
    all_is_quiet(&topology).await;

    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut segments = Vec::new();
    for (lesson, asset) in &assets {
        segments.push(plays(&topology, &learner, lesson, asset).await);
        for job in jobs::of_asset(&topology.db, asset.parse().unwrap()).await.unwrap() {
            let story = jobs::story(&topology.db, job.id).await.unwrap();
            let of = |event: &str| story.iter().filter(|line| line.event == event).count();
            assert_eq!((of("claimed"), of("done")), (job.attempt as usize, 1), "{}: {story:?}", job.id);
            for line in story {
                *counts.entry(line.event).or_default() += 1;
            }
        }
    }
    assert!(segments.windows(2).all(|pair| pair[0] == pair[1]), "{segments:?}");
    println!("each with {} segments; in the stories: {counts:?}", segments[0]);
}
