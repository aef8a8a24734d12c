//! Chapters and stills: with the package that has the segments, whatever version is published.

use lectern_domain::{
    ids::PackageId,
    job::JobKind,
    stills::{PackageStills, Sheet},
};
use lectern_store::{
    captions,
    chapters::{self, Chapter, Found},
    pipeline::Completion,
    testing::on_both_engines,
};

use crate::{
    captions::caption,
    world::{asset, at, claim, complete, uploaded, work},
};

fn chapter(start_ms: u64, title: &str) -> Chapter {
    Chapter { start_ms, title: title.into(), tile: Some(1) }
}

#[tokio::test]
async fn chapters_belong_to_every_version_of_a_package() {
    on_both_engines(|db| async move {
        let id = uploaded(&db).await;
        let mut tx = db.begin().await.unwrap();
        assert!(!chapters::replace(&mut tx, id, &[chapter(0, "x")]).await.unwrap(), "nothing to play yet");
        drop(tx);
        work(&db, at(1)).await;
        let base = asset(&db, id).await.package.unwrap();
        assert_eq!(chapters::stills(&db, base).await.unwrap(), None);
        let sheet = Sheet { columns: 1, width: 4, height: 2, count: 1 };
        let stills =
            PackageStills { poster: true, storyboard: Some((sheet, 2_000)), chapters: None, waveform: true };
        // Another attempt finds the same.
        for _ in 0..2 {
            let found = Found { stills, chapters: vec![chapter(5_000, ""), chapter(0, "")] };
            chapters::keep_found(&db, base, &found).await.unwrap();
        }
        assert_eq!(chapters::list(&db, base).await.unwrap(), [chapter(0, ""), chapter(5_000, "")]);

        let mut tx = db.begin().await.unwrap();
        captions::put(&mut tx, id, &caption("en"), 9, at(2)).await.unwrap();
        tx.commit().await.unwrap();
        let job = claim(&db, &[JobKind::AddTexts], at(2)).await.unwrap();
        let version = PackageId::from_uuid(job.id.uuid());
        complete(&db, &job, Completion::TextsAdded { package: version, base }, at(2)).await;
        assert_eq!(asset(&db, id).await.package, Some(version));
        let mut tx = db.begin().await.unwrap();
        assert!(chapters::replace(&mut tx, id, &[chapter(7_000, "Lenses")]).await.unwrap());
        tx.commit().await.unwrap();
        for package in [base, version] {
            assert_eq!(chapters::list(&db, package).await.unwrap(), [chapter(7_000, "Lenses")]);
            assert_eq!(chapters::stills(&db, package).await.unwrap(), Some((base, stills)));
        }
    })
    .await;
}
