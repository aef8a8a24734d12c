//! Whose job is next: classes of work, turns between owners, releases, memory.

use std::collections::HashSet;

use lectern_domain::{
    ids::{AssetId, LessonId},
    job::{JobKind, JobPayload, WorkClass},
};
use lectern_store::{
    Db,
    jobs::{self, Job, Wanted},
    lessons::{self, Change},
    testing::{execute, on_both_engines},
};
use time::Duration;

use crate::world::{
    LEASE, announced, asset, at, claim, complete, completion, finish_upload, lesson, planned, process,
};

async fn take(db: &Db, classes: &[WorkClass], jobs: u64, memory_mib: u64) -> Vec<Job> {
    jobs::claim(db, process(), Wanted { classes, jobs, memory_mib }, at(0), LEASE).await.unwrap()
}

async fn all(db: &Db) -> Vec<Job> {
    let mut taken = Vec::new();
    while let Some(job) = take(db, &WorkClass::ALL, 1, i64::MAX as u64).await.pop() {
        taken.push(job);
    }
    taken
}

/// Another asset of the same owner, planned.
async fn planned_for(db: &Db, lesson: LessonId, spans: u64) -> AssetId {
    let id = announced(db, lesson).await;
    assert!(finish_upload(db, id).await);
    let probe = claim(db, &[JobKind::Probe], at(0)).await.unwrap();
    complete(db, &probe, completion(&probe, spans), at(0)).await;
    id
}

#[tokio::test]
async fn first_spans_come_before_sound_and_sound_before_later_spans() {
    use WorkClass::{Audio, BulkVideo, FirstVideo};
    on_both_engines(|db| async move {
        planned(&db, 3).await;
        planned(&db, 3).await;
        let classes: Vec<_> = all(&db).await.iter().map(|job| job.payload.class()).collect();
        assert_eq!(
            classes,
            [FirstVideo, FirstVideo, Audio, Audio, BulkVideo, BulkVideo, BulkVideo, BulkVideo]
        );
    })
    .await;
}

#[tokio::test]
async fn a_class_is_what_the_database_says_it_is() {
    on_both_engines(|db| async move {
        let id = planned(&db, 3).await;
        for job in all(&db).await {
            complete(&db, &job, completion(&job, 3), at(0)).await;
        }
        for class in WorkClass::ALL {
            // What the domain says of each payload, against what the column makes of it.
            let words = execute(
                &db,
                match class {
                    WorkClass::FirstVideo => "UPDATE jobs SET weight = weight WHERE class = 'first_video'",
                    WorkClass::Audio => "UPDATE jobs SET weight = weight WHERE class = 'audio'",
                    WorkClass::BulkVideo => "UPDATE jobs SET weight = weight WHERE class = 'bulk_video'",
                    WorkClass::Packaging => "UPDATE jobs SET weight = weight WHERE class = 'packaging'",
                },
            );
            let jobs = jobs::of_asset(&db, id).await.unwrap();
            let expected = jobs.iter().filter(|job| job.payload.class() == class).count() as u64;
            assert!(expected > 0 && words.await.unwrap() == expected, "{class:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn owners_take_turns_however_much_one_of_them_brings() {
    on_both_engines(|db| async move {
        let archive = lesson(&db).await;
        let mut department = HashSet::new();
        for _ in 0..5 {
            // Five assets of one owner; what replaces what does not matter here.
            let id = planned_for(&db, archive, 10).await;
            execute(&db, "UPDATE lessons SET asset_id = NULL").await.unwrap();
            department.insert(id);
        }
        let other = planned(&db, 10).await;
        let later: Vec<AssetId> = all(&db)
            .await
            .iter()
            .filter(|job| matches!(job.payload, JobPayload::TranscodeSpan { span, .. } if span > 0))
            .map(|job| job.payload.asset())
            .collect();
        assert_eq!(later.len(), 6 * 9);
        let last = later.iter().rposition(|asset| *asset == other).unwrap();
        // Nine of its own, and about as many of the archive's between them: not all forty-five.
        assert!(last < 20, "{last}");
        assert!(later[..4].iter().any(|asset| department.contains(asset)), "nobody is pushed aside");
    })
    .await;
}

#[tokio::test]
async fn a_lesson_released_tomorrow_comes_before_everybody() {
    on_both_engines(|db| async move {
        planned(&db, 4).await;
        let tomorrow = lesson(&db).await;
        let release = |release_at| Change { release_at: Some(release_at), ..Change::default() };
        let mut tx = db.begin().await.unwrap();
        let soon = Some(at(0) + Duration::hours(20));
        assert!(lessons::update(&mut tx, tomorrow, release(soon), None, at(0)).await.unwrap());
        tx.commit().await.unwrap();
        let urgent = planned_for(&db, tomorrow, 3).await;
        let order: Vec<AssetId> = all(&db).await.iter().map(|job| job.payload.asset()).collect();
        assert_eq!(order[..4], [urgent; 4], "{order:?}");
        assert_eq!(asset(&db, urgent).await.release_at, soon);
    })
    .await;
}

#[tokio::test]
async fn a_release_that_comes_near_hurries_what_waits() {
    on_both_engines(|db| async move {
        let waits = lesson(&db).await;
        let mut tx = db.begin().await.unwrap();
        let later = Some(at(0) + Duration::hours(72));
        let change = Change { release_at: Some(later), ..Change::default() };
        assert!(lessons::update(&mut tx, waits, change, None, at(0)).await.unwrap());
        tx.commit().await.unwrap();
        planned(&db, 2).await;
        let id = planned_for(&db, waits, 2).await;
        assert_eq!(jobs::hurry(&db, at(0)).await.unwrap(), 0);
        let near = at(0) + Duration::hours(30);
        assert_eq!(jobs::hurry(&db, near).await.unwrap(), 3);
        assert_eq!(jobs::hurry(&db, near).await.unwrap(), 0, "once is enough");
        let order: Vec<AssetId> = all(&db).await.iter().map(|job| job.payload.asset()).collect();
        assert_eq!(order[..3], [id; 3], "{order:?}");
    })
    .await;
}

#[tokio::test]
async fn what_needs_more_memory_than_is_free_is_left_to_others() {
    on_both_engines(|db| async move {
        planned(&db, 3).await;
        execute(&db, "UPDATE jobs SET memory_mib = 900 WHERE kind = 'transcode_span'").await.unwrap();
        let taken = take(&db, &WorkClass::ALL, 10, 899).await;
        assert_eq!(taken.iter().map(|job| job.payload.kind()).collect::<Vec<_>>(), [JobKind::TranscodeAudio]);
        assert_eq!(take(&db, &WorkClass::ALL, 2, 900).await.len(), 2, "as many as asked for");
    })
    .await;
}
