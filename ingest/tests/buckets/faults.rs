//! An S3 service that fails, hangs, or comes and goes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lectern_platform::testing::{FaultProxy, Mode, s3::S3Service};
use lectern_store::{
    Db,
    testing::{on_both_engines, on_sqlite},
};
use tokio::io::AsyncWriteExt as _;

use crate::{
    PART, assert_source, begin_patch,
    harness::{House, metadata, random, read_answer, settings},
};

/// A house whose bucket is behind a proxy.
async fn behind_a_proxy(db: Db) -> (House, FaultProxy) {
    let garage = S3Service::garage();
    let bucket = garage.make_bucket().await;
    let proxy = FaultProxy::start(garage.address()).await;
    let objects = garage.at(proxy.address()).open(&bucket).await.unwrap();
    (House::open_bucket(db, settings(), objects).await, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passing_faults_of_the_service_are_not_seen() {
    on_sqlite(|db| {
        Box::pin(async move {
            let (house, proxy) = behind_a_proxy(db).await;
            let bytes = random(2 * PART + 500);
            for fault in ["500s", "cut", "slow", "half-open", "reset"] {
                let started = Instant::now();
                let (path, asset) = house.create(bytes.len() as u64).await;
                assert_eq!(house.patch(&path, 0, &bytes[..300]).await.status, 204);
                let mut stream =
                    begin_patch(&house, &path, 300, bytes.len() - 300, &bytes[300..PART - 10]).await;
                match fault {
                    "500s" => proxy.answer_next(4, 500),
                    "slow" => proxy.set(Mode::Delay(Duration::from_millis(10))).await,
                    "half-open" => proxy.set(Mode::HalfOpen).await,
                    "reset" => proxy.set(Mode::Reset).await,
                    _ => {}
                }
                let send = async {
                    stream.write_all(&bytes[PART - 10..]).await.unwrap();
                    read_answer(&mut stream, "PATCH").await.unwrap()
                };
                let mend = async {
                    tokio::time::sleep(Duration::from_millis(80)).await;
                    if fault == "cut" {
                        proxy.cut();
                    }
                    tokio::time::sleep(Duration::from_millis(900)).await;
                    proxy.set(Mode::Pass).await;
                };
                let (answer, ()) = tokio::join!(send, mend);
                assert_eq!(
                    (answer.status, answer.number("upload-offset")),
                    (204, bytes.len() as u64),
                    "{fault}"
                );
                house.assert_finished(&path, asset, &bytes).await;
                assert_eq!(house.left().await, 0);
                println!("{fault}: {:?}", started.elapsed());
            }
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_away_costs_only_what_was_not_acknowledged() {
    on_both_engines(|db| async move {
        let (house, proxy) = behind_a_proxy(db).await;
        let bytes = random(2 * PART + 500);
        let (path, asset) = house.create(bytes.len() as u64).await;
        assert_eq!(house.patch(&path, 0, &bytes[..PART + 300]).await.status, 204);
        proxy.set(Mode::Refuse).await;
        // The SDK tries for a quarter of a minute.
        let answer = house.patch(&path, PART as u64 + 300, &bytes[PART + 300..]).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "storage_unavailable"));
        assert!(answer.number("retry-after") > 0);
        // What was acknowledged needs no service to be told.
        assert_eq!(house.offset(&path).await, PART as u64 + 300);
        // A creation waits for the service, too.
        let metadata = metadata(house.people.second_lesson, b"a.mp4");
        let headers = [("Upload-Length", "5"), ("Upload-Metadata", metadata.as_str())];
        let (created, ()) = tokio::join!(house.owner("POST", "/uploads", &headers, b""), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            proxy.set(Mode::Pass).await;
        });
        assert_eq!(created.status, 201, "{created:?}");
        assert_eq!(house.patch(&path, PART as u64 + 300, &bytes[PART + 300..]).await.status, 204);
        assert_source(&house, &path, asset, &bytes).await;
    })
    .await;
}

/// A client that resumes does not wait for as long as a part that hangs may take, nor does the end of the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_hangs_does_not_hold_an_upload() {
    on_sqlite(|db| {
        Box::pin(async move {
            let (house, proxy) = behind_a_proxy(db).await;
            let bytes = random(2 * PART);
            let (path, asset) = house.create(bytes.len() as u64).await;
            assert_eq!(house.patch(&path, 0, &bytes[..50]).await.status, 204);
            let mut first = begin_patch(&house, &path, 50, bytes.len() - 50, &bytes[50..100]).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            proxy.set(Mode::HalfOpen).await;
            first.write_all(&bytes[100..PART + 100]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            let asked = Instant::now();
            assert_eq!(house.offset(&path).await, 50);
            assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
            let told = read_answer(&mut first, "PATCH").await.unwrap();
            assert_eq!((told.status, told.code().as_str()), (423, "upload_locked"));
            proxy.set(Mode::Pass).await;
            assert_eq!(house.patch(&path, 50, &bytes[50..]).await.status, 204);
            house.assert_finished(&path, asset, &bytes).await;
        })
    })
    .await;
}

/// A client that does as tus says, through a service that comes and goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_comes_to_its_end_on_a_service_that_flaps() {
    on_sqlite(|db| {
        Box::pin(async move {
            let (house, proxy) = behind_a_proxy(db).await;
            let proxy = Arc::new(proxy);
            let bytes = random(5 * PART + 12_345);
            let (path, asset) = house.create(bytes.len() as u64).await;
            let flapping = tokio::spawn({
                let proxy = proxy.clone();
                async move {
                    for turn in 0u64.. {
                        let mode = match turn % 6 {
                            0 => Mode::Refuse,
                            1 => Mode::CutAfter(100),
                            2 => Mode::HalfOpen,
                            3 => Mode::Reset,
                            4 => Mode::Delay(Duration::from_millis(5)),
                            _ => Mode::Pass,
                        };
                        proxy.set(mode).await;
                        if mode == Mode::Pass {
                            proxy.answer_next(2, 503);
                        }
                        tokio::time::sleep(Duration::from_millis(150)).await;
                        proxy.set(Mode::Pass).await;
                        tokio::time::sleep(Duration::from_millis(350)).await;
                    }
                }
            });
            let started = Instant::now();
            let (mut asked, mut refused) = (0, 0);
            loop {
                let head = house.owner("HEAD", &path, &[], b"").await;
                asked += 1;
                assert!(started.elapsed() < Duration::from_mins(2), "no end: {head:?}");
                if head.status == 423 {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
                assert_eq!(head.status, 200, "{head:?}");
                let at = head.number("upload-offset") as usize;
                if at == bytes.len() {
                    break;
                }
                let to = bytes.len().min(at + PART + PART / 3);
                let answer = house.patch(&path, at as u64, &bytes[at..to]).await;
                refused += u32::from(answer.status != 204);
                assert!(matches!(answer.status, 204 | 423 | 503), "{answer:?}");
            }
            flapping.abort();
            let _ = flapping.await;
            proxy.answer_next(0, 503);
            proxy.set(Mode::Pass).await;
            println!("{asked} HEADs, {refused} PATCHes refused, {:?}", started.elapsed());
            assert_source(&house, &path, asset, &bytes).await;
        })
    })
    .await;
}
