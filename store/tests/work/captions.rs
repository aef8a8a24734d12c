//! Captions in the pipeline: published once the asset is ready, in the order in which they came, gone with the asset.

use lectern_domain::{
    asset::AssetState,
    captions::{CaptionKind, CaptionOrigin},
    ids::{AssetId, CaptionId, PackageId},
    job::{JobKind, JobPayload},
};
use lectern_store::{
    Db,
    captions::{self, Kept, NewCaption, Versions},
    jobs::Job,
    packages,
    pipeline::{Completion, Taken},
    testing::on_both_engines,
};

use crate::world::{asset, at, claim, complete, delete, of_kind, planned, state, uploaded, work};

pub(crate) fn caption(language: &str) -> NewCaption {
    NewCaption {
        id: CaptionId::generate(at(0), &rand::random()),
        language: language.into(),
        label: language.into(),
        kind: CaptionKind::Captions,
        origin: CaptionOrigin::Uploaded,
        cues: 1,
        webvtt: "WEBVTT\n".into(),
    }
}

async fn put(db: &Db, asset: AssetId, language: &str, most: u64) -> Kept {
    let mut tx = db.begin().await.unwrap();
    let kept = captions::put(&mut tx, asset, &caption(language), most, at(1)).await.unwrap();
    tx.commit().await.unwrap();
    kept
}

/// What the packager says when it is done: a version whose id is the job's.
fn added(job: &Job, base: PackageId) -> (PackageId, Completion) {
    let package = PackageId::from_uuid(job.id.uuid());
    (package, Completion::TextsAdded { package, base })
}

#[tokio::test]
async fn captions_wait_for_the_asset_and_then_move_the_pointer() {
    on_both_engines(|db| async move {
        let id = planned(&db, 1).await;
        assert_eq!(put(&db, id, "en", 9).await, Kept::New);
        assert_eq!(put(&db, id, "en", 9).await, Kept::Replaced);
        assert!(of_kind(&db, id, JobKind::AddTexts).await.is_empty(), "there is no package yet");
        // Everything but the last: captions are added to what is ready.
        let mut base = None;
        let job = loop {
            let job = claim(&db, &JobKind::ALL, at(1)).await.expect("work until the captions are added");
            if let JobPayload::Package { package, .. } = job.payload {
                base = Some(package);
            }
            if job.payload.kind() == JobKind::AddTexts {
                break job;
            }
            assert_ne!(state(&db, id).await, AssetState::Ready);
            complete(&db, &job, crate::world::completion(&job, 1), at(1)).await;
        };
        let base = base.unwrap();
        assert_eq!(job.payload, JobPayload::AddTexts { asset: id, version: 2 });
        let before = asset(&db, id).await;
        assert_eq!((before.state, before.package), (AssetState::Ready, Some(base)), "it plays meanwhile");

        let (package, completion) = added(&job, base);
        assert_eq!(complete(&db, &job, completion, at(2)).await, Taken::Yes);
        let after = asset(&db, id).await;
        assert_eq!((after.state, after.package), (AssetState::Ready, Some(package)));
        assert_eq!(after.renditions, before.renditions);
        let found = packages::find(&db, package).await.unwrap().unwrap();
        assert_eq!((found.base, found.published_at), (Some(base), Some(at(2))));
        assert_eq!(captions::versions(&db, id).await.unwrap(), Some(Versions { wanted: 2, published: 2 }));
    })
    .await;
}

#[tokio::test]
async fn an_older_version_does_not_replace_a_newer_one() {
    on_both_engines(|db| async move {
        let id = uploaded(&db).await;
        work(&db, at(1)).await;
        let base = asset(&db, id).await.package.unwrap();
        put(&db, id, "en", 9).await;
        put(&db, id, "de", 9).await;
        let mut jobs = Vec::new();
        while let Some(job) = claim(&db, &[JobKind::AddTexts], at(1)).await {
            jobs.push(job);
        }
        jobs.sort_by_key(|job| match job.payload {
            JobPayload::AddTexts { version, .. } => version,
            _ => 0,
        });
        let [first, second] = jobs.as_slice() else { panic!("{jobs:?}") };
        let (newest, completion) = added(second, base);
        complete(&db, second, completion, at(2)).await;
        let (_, completion) = added(first, base);
        assert_eq!(complete(&db, first, completion, at(3)).await, Taken::Yes);
        assert_eq!(asset(&db, id).await.package, Some(newest));

        // Without captions the first package is the version again.
        for language in ["en", "de"] {
            let mut tx = db.begin().await.unwrap();
            assert!(captions::delete(&mut tx, id, language, at(4)).await.unwrap());
            assert!(!captions::delete(&mut tx, id, language, at(4)).await.unwrap());
            tx.commit().await.unwrap();
            let job = claim(&db, &[JobKind::AddTexts], at(4)).await.unwrap();
            complete(&db, &job, Completion::TextsAdded { package: base, base }, at(4)).await;
        }
        assert_eq!(asset(&db, id).await.package, Some(base));
        assert_eq!(packages::find(&db, base).await.unwrap().unwrap().base, None);
    })
    .await;
}

#[tokio::test]
async fn captions_go_with_their_asset_and_there_are_only_so_many() {
    on_both_engines(|db| async move {
        let id = uploaded(&db).await;
        work(&db, at(1)).await;
        assert_eq!(put(&db, id, "en", 1).await, Kept::New);
        assert_eq!(put(&db, id, "de", 1).await, Kept::TooMany);
        assert_eq!(put(&db, id, "en", 1).await, Kept::Replaced);
        let listed = captions::list(&db, id).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert!(captions::webvtt(&db, listed[0].id).await.unwrap().is_some());
        delete(&db, id, at(2)).await;
        assert_eq!(captions::webvtt(&db, listed[0].id).await.unwrap(), None);
        let jobs = of_kind(&db, id, JobKind::AddTexts).await;
        assert!(jobs.iter().all(|job| job.state == lectern_domain::job::JobState::Cancelled), "{jobs:?}");
    })
    .await;
}
