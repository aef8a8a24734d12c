//! Packages that grow: what must be there before, one pass at a time, when learners may begin, and every way it can end.

use lectern_domain::{
    asset::AssetState,
    failure::FailureCode,
    growth::Grown,
    ids::PackageId,
    job::{JobKind, JobState},
    keys::Protection,
    media::{SegmentOutput, TrackKind, TrackOutput, TranscodeOutput},
};
use lectern_store::{
    Db,
    jobs::{self, Job, PutBack},
    packages::{self, NewPackage},
    pipeline::{self, Completion, JobFailure, Taken},
    playback,
    testing::on_both_engines,
};

use crate::world::{
    announced, asset, at, claim, complete, completion, fail, finish_upload, lesson, of_kind, owner, planned,
    retry_asset, state, work,
};

/// Spans of four seconds each; the first four must be there before anything is published.
const SPANS: u64 = 20;

/// Some whole segments of sound, as a job tells of them.
fn sound(first: u32, count: u32) -> TranscodeOutput {
    let segment = |index: u32| SegmentOutput {
        index,
        file: format!("audio-0-{index:05}.m4s"),
        start_ticks: u64::from(index) * 192_000,
        duration_ticks: 192_000,
        samples: 188,
        bytes: 1_000,
    };
    TranscodeOutput {
        tracks: vec![TrackOutput {
            name: "audio-0".into(),
            kind: TrackKind::Audio { sample_rate: 48_000, channels: 2, language: None },
            init: "audio-0-init.mp4".into(),
            timescale: 48_000,
            segments: (first..first + count).map(segment).collect(),
        }],
    }
}

fn package() -> NewPackage {
    let id = PackageId::generate(at(0), &rand::random());
    NewPackage { id, protection: Protection::None, keys: Vec::new() }
}

async fn told(db: &Db, job: &Job, part: &TranscodeOutput, seconds: i64) -> Taken {
    pipeline::part_made(db, job, part, &package(), at(seconds)).await.unwrap()
}

async fn spans(db: &Db, count: u64, seconds: i64) {
    for _ in 0..count {
        let span = claim(db, &[JobKind::TranscodeSpan], at(seconds)).await.expect("a span");
        assert_eq!(complete(db, &span, completion(&span, SPANS), at(seconds)).await, Taken::Yes);
    }
}

fn grown(until_ms: u64) -> Completion {
    let segments = [("360p".to_owned(), (until_ms / 4_000) as u32)].into();
    Completion::Grown { renditions: Vec::new(), grown: Grown { segments, until_ms } }
}

/// An asset whose first four spans and some of whose sound are done: the pass that publishes them, and the sound's job.
async fn begun(db: &Db, seconds: i64) -> (Job, Job) {
    let audio = claim(db, &[JobKind::TranscodeAudio], at(seconds)).await.expect("the sound");
    spans(db, 4, seconds).await;
    assert!(claim(db, &[JobKind::Grow], at(seconds)).await.is_none(), "nothing is known of the sound");
    assert_eq!(told(db, &audio, &sound(0, 5), seconds).await, Taken::Yes);
    (claim(db, &[JobKind::Grow], at(seconds)).await.expect("a pass"), audio)
}

#[tokio::test]
async fn it_plays_before_it_is_whole_and_ends_as_one_package() {
    on_both_engines(|db| async move {
        let id = planned(&db, SPANS).await;
        let (pass, audio) = begun(&db, 1).await;
        assert_eq!(complete(&db, &pass, grown(16_000), at(2)).await, Taken::Yes);
        let playing = asset(&db, id).await;
        assert_eq!((playing.state, playing.playable_ms), (AssetState::Playable, Some(16_000)));
        let package = playing.package.expect("it can be played");
        let viewer = owner(&db, playing.lesson.unwrap()).await;
        let facts = async || {
            playback::lesson_facts(&db, playing.lesson.unwrap(), viewer, at(3)).await.unwrap().unwrap()
        };
        assert!(facts().await.growing);
        assert_eq!(playing.duration_ms, Some(SPANS * 4_000), "as planned, not as far as it has come");

        // What lands while a pass runs or waits is published by one more, and not at once.
        spans(&db, 2, 3).await;
        assert_eq!(told(&db, &audio, &sound(5, 5), 3).await, Taken::Yes);
        assert!(claim(&db, &[JobKind::Grow], at(4)).await.is_none(), "it waits for more");
        let second = claim(&db, &[JobKind::Grow], at(6)).await.expect("another pass");
        spans(&db, 2, 6).await;
        assert!(claim(&db, &[JobKind::Grow], at(20)).await.is_none(), "one at a time");
        assert_eq!(complete(&db, &second, grown(24_000), at(6)).await, Taken::Yes);
        assert_eq!(asset(&db, id).await.playable_ms, Some(24_000));
        let third = claim(&db, &[JobKind::Grow], at(20)).await.expect("for what landed meanwhile");

        // Everything is made while the third is under way: the whole package follows it.
        spans(&db, SPANS - 8, 21).await;
        assert_eq!(complete(&db, &audio, completion(&audio, SPANS), at(21)).await, Taken::Yes);
        assert!(of_kind(&db, id, JobKind::Package).await.is_empty(), "both would write the playlists");
        assert_eq!(complete(&db, &third, grown(32_000), at(22)).await, Taken::Yes);
        let whole = claim(&db, &[JobKind::Package], at(22)).await.expect("the whole");
        assert!(of_kind(&db, id, JobKind::Grow).await.iter().all(|pass| pass.state == JobState::Done));
        assert_eq!(complete(&db, &whole, completion(&whole, SPANS), at(23)).await, Taken::Yes);
        let done = asset(&db, id).await;
        assert_eq!((done.state, done.package, done.playable_ms), (AssetState::Playable, Some(package), None));
        assert!(!facts().await.growing);
        assert!(jobs::parts(&db, audio.id).await.unwrap().is_empty(), "nobody needs them any more");
        work(&db, at(24)).await;
        assert_eq!(state(&db, id).await, AssetState::Ready);
    })
    .await;
}

#[tokio::test]
async fn nobody_begins_who_would_have_to_wait() {
    on_both_engines(|db| async move {
        let id = planned(&db, SPANS).await;
        let (pass, _) = begun(&db, 1).await;
        // A fifth of 80 seconds took a minute.
        assert_eq!(complete(&db, &pass, grown(16_000), at(60)).await, Taken::Yes);
        assert_eq!(state(&db, id).await, AssetState::Processing);
        spans(&db, 12, 61).await;
        let pass = claim(&db, &[JobKind::Grow], at(61)).await.expect("at once while nobody watches");
        assert_eq!(complete(&db, &pass, grown(64_000), at(100)).await, Taken::Yes);
        assert_eq!(state(&db, id).await, AssetState::Playable, "the rest will be there in time");
    })
    .await;
}

#[tokio::test]
async fn what_a_lost_attempt_told_is_forgotten() {
    on_both_engines(|db| async move {
        let id = planned(&db, SPANS).await;
        let (pass, audio) = begun(&db, 1).await;
        assert_eq!(complete(&db, &pass, grown(16_000), at(2)).await, Taken::Yes);
        assert_eq!(jobs::parts(&db, audio.id).await.unwrap(), [sound(0, 5)]);
        pipeline::job_put_back(&db, &audio, PutBack::LeaseLost, at(3)).await.unwrap();
        let again = claim(&db, &[JobKind::TranscodeAudio], at(3)).await.expect("another attempt");
        assert_eq!(told(&db, &audio, &sound(5, 5), 4).await, Taken::Fenced);
        assert!(jobs::parts(&db, audio.id).await.unwrap().is_empty());
        assert_eq!(told(&db, &again, &sound(0, 4), 4).await, Taken::Yes);
        assert_eq!(told(&db, &again, &sound(4, 4), 5).await, Taken::Yes);
        assert_eq!(jobs::parts(&db, audio.id).await.unwrap(), [sound(0, 4), sound(4, 4)]);
        assert_eq!(state(&db, id).await, AssetState::Playable, "what is published stays");
    })
    .await;
}

#[tokio::test]
async fn in_the_place_of_another_it_plays_when_it_is_whole() {
    on_both_engines(|db| async move {
        let lesson = lesson(&db).await;
        let first = announced(&db, lesson).await;
        finish_upload(&db, first).await;
        work(&db, at(0)).await;
        let second = announced(&db, lesson).await;
        finish_upload(&db, second).await;
        while let Some(job) = claim(&db, &JobKind::ALL, at(1)).await {
            assert_ne!(job.payload.kind(), JobKind::Grow);
            complete(&db, &job, completion(&job, SPANS), at(1)).await;
        }
        assert_eq!(
            (state(&db, first).await, state(&db, second).await),
            (AssetState::Deleted, AssetState::Ready)
        );
    })
    .await;
}

#[tokio::test]
async fn a_failure_or_a_cancellation_ends_what_plays_and_a_retry_begins_another_package() {
    on_both_engines(|db| async move {
        for cancelled in [false, true] {
            let id = planned(&db, SPANS).await;
            let (pass, _) = begun(&db, 1).await;
            complete(&db, &pass, grown(16_000), at(2)).await;
            let before = asset(&db, id).await.package.expect("it can be played");
            let span = claim(&db, &[JobKind::TranscodeSpan], at(2)).await.expect("a span");
            if cancelled {
                let mut tx = db.begin().await.unwrap();
                assert!(pipeline::cancel_asset(&mut tx, id, at(3)).await.unwrap());
                tx.commit().await.unwrap();
            } else {
                let failure = FailureCode::SourceTimeLimit.into();
                let detail = "too slow".to_owned();
                assert_eq!(fail(&db, &span, JobFailure::Fail { failure, detail }, at(3)).await, Taken::Yes);
            }
            assert_eq!(state(&db, id).await, AssetState::Failed);
            assert!(
                of_kind(&db, id, JobKind::TranscodeSpan)
                    .await
                    .iter()
                    .all(|job| job.state != JobState::Queued)
            );
            if !retry_asset(&db, id, at(10)).await {
                continue;
            }
            let probe = claim(&db, &[JobKind::Probe], at(10)).await.expect("from the beginning");
            complete(&db, &probe, completion(&probe, SPANS), at(10)).await;
            let (pass, _) = begun(&db, 10).await;
            complete(&db, &pass, grown(16_000), at(12)).await;
            let after = asset(&db, id).await.package.expect("it can be played again");
            assert_ne!(before, after);
            assert!(packages::find(&db, before).await.unwrap().unwrap().published_at.is_none());
        }
    })
    .await;
}

#[tokio::test]
async fn a_short_lecture_is_published_once() {
    on_both_engines(|db| async move {
        // Of 28 seconds there is more to come after the first 16, but hardly anybody would notice.
        for spans in [1, 4, 7] {
            let id = planned(&db, spans).await;
            while let Some(job) = claim(&db, &JobKind::ALL, at(0)).await {
                complete(&db, &job, completion(&job, spans), at(0)).await;
            }
            assert!(of_kind(&db, id, JobKind::Grow).await.is_empty());
            assert_eq!(state(&db, id).await, AssetState::Ready);
        }
    })
    .await;
}
