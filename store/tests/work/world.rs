//! What the tests of jobs and pipeline share: an asset with a source, a plan of some length, a worker in small steps.

use lectern_domain::{
    Timestamp,
    account::Role,
    asset::AssetState,
    course::{LessonType, PublishedStatus},
    growth::Grown,
    ids::{AssetId, CourseId, JobId, LessonId, PackageId, ProcessId, UserId},
    job::{JobKind, JobPayload},
    keys::Protection,
    media::TranscodeOutput,
    plan::{PlanSettings, plan},
    source::{AudioTrack, Orientation, Ratio, SourceInfo, VideoTrack},
};
use lectern_store::{
    Db,
    accounts::{self, User},
    assets::{self, Asset, NewAsset},
    courses::{self, NewCourse, Price},
    jobs::{self, Job},
    lessons::{self, NewLesson},
    packages::NewPackage,
    pipeline::{self, Completion, JobFailure, Taken},
};
use time::Duration;

/// The lease that these tests claim with.
pub(crate) const LEASE: Duration = Duration::seconds(30);

/// Some seconds after the beginning of every test.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_timestamp(1_800_000_000 + seconds).unwrap()
}

pub(crate) fn process() -> ProcessId {
    ProcessId::generate(at(0), &rand::random())
}

/// A lesson of a course of an instructor, all new.
pub(crate) async fn lesson(db: &Db) -> LessonId {
    let owner = UserId::generate(at(0), &rand::random());
    let user = User {
        id: owner,
        email: format!("{owner}@example.org"),
        name: "Somebody".into(),
        role: Role::Instructor,
        created_at: at(0),
        disabled_at: None,
    };
    accounts::insert(db, &user, "hash").await.unwrap();
    let course = CourseId::generate(at(0), &rand::random());
    let new = NewCourse {
        id: course,
        owner,
        title: "Course".into(),
        description: String::new(),
        price: Price { amount_minor: 0, currency: "EUR".into() },
        published_status: PublishedStatus::Published,
    };
    courses::insert(db, new, at(0)).await.unwrap();
    let id = LessonId::generate(at(0), &rand::random());
    let new = NewLesson {
        id,
        course,
        title: "Lesson".into(),
        kind: LessonType::Video,
        order_index: None,
        published_status: PublishedStatus::Published,
        body: String::new(),
        release_at: None,
    };
    let mut tx = db.begin().await.unwrap();
    lessons::insert(&mut tx, new, at(0)).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// The owner of a lesson's course.
pub(crate) async fn owner(db: &Db, lesson: LessonId) -> UserId {
    lessons::get(db, None, lesson).await.unwrap().unwrap().owner
}

/// What a lesson points at.
pub(crate) async fn pointer(db: &Db, lesson: LessonId) -> Option<AssetId> {
    lessons::get(db, None, lesson).await.unwrap().unwrap().asset.map(|asset| asset.id)
}

/// An asset announced for a lesson.
pub(crate) async fn announced(db: &Db, lesson: LessonId) -> AssetId {
    let new = NewAsset {
        id: AssetId::generate(at(0), &rand::random()),
        owner: owner(db, lesson).await,
        lesson,
        filename: "lecture.mp4".into(),
        source_bytes: 1_000,
        wrapped_secret: vec![7; 60],
        trim: None,
    };
    let id = new.id;
    let mut tx = db.begin().await.unwrap();
    pipeline::create_asset(&mut tx, new, at(0)).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// An asset of a new lesson whose source has come: its probe job is queued.
pub(crate) async fn uploaded(db: &Db) -> AssetId {
    let lesson = lesson(db).await;
    let asset = announced(db, lesson).await;
    assert!(finish_upload(db, asset).await);
    asset
}

pub(crate) async fn finish_upload(db: &Db, asset: AssetId) -> bool {
    let mut tx = db.begin().await.unwrap();
    let first = pipeline::upload_finished(&mut tx, asset, at(0)).await.unwrap();
    tx.commit().await.unwrap();
    first
}

/// An asset that was probed: `spans` span jobs and an audio job are queued.
pub(crate) async fn planned(db: &Db, spans: u64) -> AssetId {
    let asset = uploaded(db).await;
    let probe = claim(db, &[JobKind::Probe], at(0)).await.expect("a probe job");
    assert_eq!(complete(db, &probe, completion(&probe, spans), at(0)).await, Taken::Yes);
    asset
}

pub(crate) async fn claim(db: &Db, kinds: &[JobKind], now: Timestamp) -> Option<Job> {
    lectern_store::testing::claim(db, process(), kinds, now, LEASE).await.unwrap()
}

pub(crate) async fn complete(db: &Db, job: &Job, completion: Completion, now: Timestamp) -> Taken {
    pipeline::complete(db, job, completion, now).await.unwrap()
}

pub(crate) async fn fail(db: &Db, job: &Job, failure: JobFailure, now: Timestamp) -> Taken {
    pipeline::job_failed(db, job, failure, now).await.unwrap()
}

pub(crate) fn retry() -> JobFailure {
    JobFailure::Retry("the disk is full".into())
}

pub(crate) async fn delete(db: &Db, asset: AssetId, now: Timestamp) -> bool {
    let mut tx = db.begin().await.unwrap();
    let deleted = pipeline::delete_asset(&mut tx, asset, now).await.unwrap();
    tx.commit().await.unwrap();
    deleted
}

pub(crate) async fn retry_asset(db: &Db, asset: AssetId, now: Timestamp) -> bool {
    let mut tx = db.begin().await.unwrap();
    let begun = pipeline::retry_asset(&mut tx, asset, now).await.unwrap();
    tx.commit().await.unwrap();
    begun
}

pub(crate) async fn asset(db: &Db, id: AssetId) -> Asset {
    assets::find(db, id).await.unwrap().expect("the asset is stored")
}

pub(crate) async fn state(db: &Db, id: AssetId) -> AssetState {
    asset(db, id).await.state
}

pub(crate) async fn job(db: &Db, id: JobId) -> Job {
    jobs::find(db, id).await.unwrap().expect("the job is stored")
}

/// The asset's jobs of a kind.
pub(crate) async fn of_kind(db: &Db, asset: AssetId, kind: JobKind) -> Vec<Job> {
    let jobs = jobs::of_asset(db, asset).await.unwrap();
    jobs.into_iter().filter(|job| job.payload.kind() == kind).collect()
}

/// What a job's story tells, without the times.
pub(crate) async fn story(db: &Db, id: JobId) -> Vec<(u32, String)> {
    let lines = jobs::story(db, id).await.unwrap();
    lines.into_iter().map(|line| (line.attempt, line.event)).collect()
}

/// How a job of any kind ends when all is well; a probe plans `spans` spans of one segment and an audio track.
pub(crate) fn completion(job: &Job, spans: u64) -> Completion {
    match job.payload {
        JobPayload::Probe { .. } => {
            let source = source(spans);
            let settings = PlanSettings { segment_ms: 4_000, span_ms: 4_000, ..PlanSettings::default() };
            let plan = plan(&source, &settings).expect("the source can be planned");
            let cut = plan.video.as_ref().map(|video| video.spans.len() as u64);
            assert_eq!(cut, Some(spans));
            Completion::Probed { source: Box::new(source), plan: Box::new(plan) }
        }
        JobPayload::TranscodeSpan { .. } | JobPayload::TranscodeAudio { .. } => Completion::Transcoded {
            output: TranscodeOutput::default(),
            package: NewPackage {
                id: PackageId::generate(at(0), &rand::random()),
                protection: Protection::None,
                keys: Vec::new(),
            },
        },
        // What there is: every span that is done, in spans of four seconds.
        JobPayload::Grow { landed, .. } => Completion::Grown {
            renditions: Vec::new(),
            grown: Grown { segments: [("360p".into(), landed as u32)].into(), until_ms: landed * 4_000 },
        },
        JobPayload::Package { .. } => {
            Completion::Packaged { renditions: Vec::new(), duration_ms: spans * 4_000 }
        }
        JobPayload::AddTexts { .. } => {
            let id = || PackageId::generate(at(0), &rand::random());
            Completion::TextsAdded { package: id(), base: id() }
        }
        JobPayload::CleanWork { .. } | JobPayload::DeleteAsset { .. } => Completion::Removed,
    }
}

/// Does every job that may run now, and those they cause, one after the other.
pub(crate) async fn work(db: &Db, now: Timestamp) {
    while let Some(job) = claim(db, &JobKind::ALL, now).await {
        assert_eq!(complete(db, &job, completion(&job, 3), now).await, Taken::Yes);
    }
}

fn source(spans: u64) -> SourceInfo {
    SourceInfo {
        container: "video/quicktime".into(),
        duration_ns: Some(spans * 4_000_000_000),
        start_ns: 0,
        seekable: true,
        video: Some(VideoTrack {
            codec: "video/x-h264".into(),
            width: 1280,
            height: 720,
            pixel_aspect: Ratio::new(1, 1),
            frame_rate: Ratio::new(30, 1),
            orientation: Orientation::Upright,
            interlaced: false,
            bit_depth: 8,
            colorimetry: "bt709".into(),
            hdr: false,
            complexity: None,
        }),
        audio: vec![AudioTrack {
            index: 0,
            codec: "audio/mpeg".into(),
            sample_rate: 48_000,
            channels: 2,
            language: None,
        }],
        texts: Vec::new(),
        trim: None,
    }
}
