//! Uploads announced while their lesson or its course goes away: none is left behind without a lesson.

use std::sync::Arc;

use lectern_domain::{
    asset::AssetState,
    ids::{AssetId, LessonId, UploadId},
};
use lectern_store::{
    Db,
    assets::NewAsset,
    courses, lessons, pipeline,
    testing::on_both_engines,
    uploads::{self, NewUpload},
};
use tokio::sync::Barrier;

use crate::world::{announced, at, lesson, owner, state};

/// Announces an upload as the tus endpoint does. None: the lesson was gone.
async fn announce(db: &Db, lesson: LessonId, owner: lectern_domain::ids::UserId) -> Option<AssetId> {
    let asset = AssetId::generate(at(0), &rand::random());
    let mut tx = db.begin().await.unwrap();
    if !uploads::keep_lesson(&mut tx, lesson).await.unwrap() {
        return None;
    }
    let new = NewAsset {
        id: asset,
        owner,
        lesson,
        filename: "lecture.mp4".into(),
        source_bytes: 1_000,
        wrapped_secret: vec![7; 60],
        trim: None,
    };
    pipeline::create_asset(&mut tx, new, at(1)).await.unwrap();
    let new = NewUpload {
        id: UploadId::generate(at(0), &rand::random()),
        owner,
        asset,
        length_bytes: 1_000,
        metadata: String::new(),
        expires_at: at(1_000),
        protocol: uploads::Protocol::Tus,
        multipart_id: None,
    };
    uploads::insert(&mut tx, new, at(1)).await.unwrap();
    tx.commit().await.unwrap();
    Some(asset)
}

async fn delete_lesson(db: &Db, lesson: LessonId) {
    let mut tx = db.begin().await.unwrap();
    pipeline::delete_assets_of_lesson(&mut tx, lesson, at(1)).await.unwrap();
    assert!(lessons::delete(&mut tx, lesson).await.unwrap());
    tx.commit().await.unwrap();
}

async fn delete_course(db: &Db, lesson: LessonId) {
    let course = lessons::get(db, None, lesson).await.unwrap().unwrap().course;
    let mut tx = db.begin().await.unwrap();
    assert!(courses::lock(&mut tx, course).await.unwrap());
    for lesson in lessons::of_course(&mut tx, course).await.unwrap() {
        pipeline::delete_assets_of_lesson(&mut tx, lesson, at(1)).await.unwrap();
    }
    assert!(courses::delete(&mut tx, course).await.unwrap());
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_upload_announced_while_its_lesson_goes_is_refused_or_goes_with_it() {
    on_both_engines(|db| async move {
        let (mut refused, mut gone) = (0, 0);
        for round in 0..120 {
            let lesson = lesson(&db).await;
            let owner = owner(&db, lesson).await;
            let mut all = Vec::new();
            if round % 2 == 0 {
                // An earlier upload, which the new one takes the place of.
                all.push(announced(&db, lesson).await);
            }
            let start = Arc::new(Barrier::new(3));
            let creators: Vec<_> = (0..2)
                .map(|_| {
                    let (db, start) = (db.clone(), start.clone());
                    tokio::spawn(async move {
                        start.wait().await;
                        announce(&db, lesson, owner).await
                    })
                })
                .collect();
            start.wait().await;
            if round % 3 == 0 {
                delete_course(&db, lesson).await;
            } else {
                delete_lesson(&db, lesson).await;
            }
            for creator in creators {
                match creator.await.unwrap() {
                    None => refused += 1,
                    Some(asset) => {
                        gone += 1;
                        all.push(asset);
                    }
                }
            }
            for asset in all {
                assert_eq!(state(&db, asset).await, AssetState::Deleted, "round {round}");
            }
        }
        assert!(refused > 0 && gone > 0, "both ways were seen: {refused} refused, {gone} gone");
    })
    .await;
}
