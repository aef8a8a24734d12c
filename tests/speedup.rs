//! Two transcoders beside one: how much sooner a two-minute asset is encoded when a second worker, on a core of its own,
//! takes spans of it. Measures, so it wants a machine with two cores that does nothing else; `make bench` runs it.

mod harness;

use std::{path::Path, time::Duration};

use harness::{
    Client, course_and_lesson, draw, settled,
    topology::{Process, Services, Topology},
};
use lectern_domain::job::WorkClass;
use lectern_store::jobs;

const ROUNDS: usize = 3;
const SERVER: Process = Process { name: "server", roles: "api,ingest,packager,license-server", core: None };
const FIRST: Process = Process { name: "transcoder-1", roles: "transcoder", core: Some(0) };
const SECOND: Process = Process { name: "transcoder-2", roles: "transcoder", core: Some(1) };

/// Seconds from the first claim of a transcode job to the end of the last.
async fn encoded_in(folder: &Path, file: &Path, processes: &[Process]) -> f64 {
    let services = Services::start(&[]).await;
    let topology = Topology::start_on(services, folder, processes, &[]).await;
    let mut instructor = Client::new(&topology.node("server").url).unwrap();
    instructor.register("ines", "ines@school.example", "correct horse battery", "instructor").await.unwrap();
    let (_, lesson) = course_and_lesson(&instructor).await;
    let asset = instructor.upload(&lesson, file, |_| {}).await.unwrap();
    let end = settled(&instructor, &asset, Duration::from_mins(10)).await;
    assert_eq!(end["state"], "ready", "{end}");
    let (mut began, mut ended) = (None, None);
    for job in jobs::of_asset(&topology.db, asset.parse().unwrap()).await.unwrap() {
        if job.payload.class() == WorkClass::Packaging || job.turn == 0 || job.result.is_none() {
            continue;
        }
        assert_eq!((job.attempt, job.failures), (1, 0), "{job:?}");
        for line in jobs::story(&topology.db, job.id).await.unwrap() {
            match line.event.as_str() {
                "claimed" => began = began.into_iter().chain([line.at]).min(),
                "done" => ended = ended.into_iter().chain([line.at]).max(),
                other => panic!("{other}: {line:?}"),
            }
        }
    }
    (ended.unwrap() - began.unwrap()).as_seconds_f64()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures: run by `make bench`, alone on a machine"]
async fn two_workers_on_one_asset() {
    let folder = tempfile::tempdir().unwrap();
    let file = draw::clip(folder.path(), "Lecture.mp4", "1280x720", 120);
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let here = |name: &str| folder.path().join(format!("{name}-{round}"));
        let one = encoded_in(&here("one"), &file, &[SERVER, FIRST]).await;
        let two = encoded_in(&here("two"), &file, &[SERVER, FIRST, SECOND]).await;
        println!("round {}: {one:.1} s with one, {two:.1} s with two: {:.2}", round + 1, one / two);
        ratios.push(one / two);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "{}",
        serde_json::json!({ "rounds": ROUNDS, "speedup": ratios[ROUNDS / 2], "least": ratios[0], "most": ratios[ROUNDS - 1] })
    );
    assert!(ratios[ROUNDS / 2] >= 1.85, "{ratios:?}");
}
