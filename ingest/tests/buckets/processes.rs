//! Several processes on one upload: one takes over from another, and goes on where another died.

use std::time::Duration;

use lectern_domain::storage_key;
use lectern_ingest::sweep;
use lectern_platform::{
    objects::{Multipart as _, MultipartId, Objects as _},
    testing::{FaultProxy, Mode, s3::S3Service},
};
use lectern_store::{
    testing::{on_both_engines, on_postgres},
    upload_parts::{self, Part, Tail},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    PART, assert_source, begin_patch, beside, beside_on,
    harness::{House, eventually, forms::Form, random, read_answer, settings},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_takes_over_from_one_that_hangs() {
    on_postgres(|db| {
        Box::pin(async move {
            let a = House::open_in(Form::Parts, db, settings()).await;
            let b = beside(&a).await;
            let bytes = random(3 * PART + 777);
            let (path, asset) = a.create(bytes.len() as u64).await;
            // A has a tail, records a part, and hangs in the middle of the next one.
            assert_eq!(a.patch(&path, 0, &bytes[..1_000]).await.status, 204);
            let mut slow =
                begin_patch(&a, &path, 1_000, bytes.len() - 1_000, &bytes[1_000..PART + 500_000]).await;
            eventually("a part counts", async || a.kept(&path).await == PART as u64).await;
            // A request that cannot go on stops nobody; the sweep of another process does not either.
            assert_eq!(b.patch(&path, 5, b"x").await.code(), "offset_mismatch");
            assert_eq!(sweep(&b.state).await.unwrap().finished, 0);
            slow.write_all(&bytes[PART + 500_000..2 * PART + 100]).await.unwrap();
            eventually("two parts count", async || a.kept(&path).await == 2 * PART as u64).await;

            // B is asked by the client that resumes: from here on A's bytes do not count.
            assert_eq!(b.offset(&path).await, 2 * PART as u64);
            // What A still brings is not what the client sends to B.
            slow.write_all(&vec![0xaa; bytes.len() - 2 * PART - 100]).await.unwrap();
            let told = read_answer(&mut slow, "PATCH").await.unwrap();
            assert_eq!((told.status, told.code().as_str()), (423, "upload_locked"));
            assert_eq!(b.offset(&path).await, 2 * PART as u64);
            let last = b.patch(&path, 2 * PART as u64, &bytes[2 * PART..]).await;
            assert_eq!((last.status, last.number("upload-offset")), (204, bytes.len() as u64));
            assert_source(&b, &path, asset, &bytes).await;
            assert_eq!(a.offset(&path).await, bytes.len() as u64);
            // What A left is removed, by whoever sweeps.
            sweep(&a.state).await.unwrap();
            assert_eq!(b.left().await, 0);
        })
    })
    .await;
}

/// The client is moved from one process to the other again and again, in the middle of bodies; the ones that it left go on
/// sending bytes that are not the file's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_is_right_however_often_an_upload_is_taken_over() {
    on_postgres(|db| {
        Box::pin(async move {
            let a = House::open_in(Form::Parts, db, settings()).await;
            let houses = [beside(&a).await, beside(&a).await];
            let bytes = random(6 * PART);
            let (path, asset) = a.create(bytes.len() as u64).await;
            let (mut zombies, mut left) = (Vec::new(), None::<TcpStream>);
            for turn in 0.. {
                let house = &houses[turn % 2];
                let at = house.offset(&path).await as usize;
                // From here on nothing counts that the process before gets to read.
                if let Some(mut stream) = left.take() {
                    zombies.push(tokio::spawn(async move {
                        let _ = stream.write_all(&vec![0xaa; 6 * PART]).await;
                    }));
                }
                if at == bytes.len() {
                    break;
                }
                // So much that a part may just be under way when the other process is asked.
                let to = bytes.len().min(at + PART + turn * 977);
                let stream = begin_patch(house, &path, at as u64, bytes.len() - at, &bytes[at..to]).await;
                tokio::time::sleep(Duration::from_millis((turn as u64 * 37) % 250)).await;
                left = Some(stream);
                // Now and then the client stays, so that there is progress.
                if turn % 3 == 2 {
                    let at = house.offset(&path).await as usize;
                    let to = bytes.len().min(at + PART / 2);
                    if at < to {
                        assert_eq!(house.patch(&path, at as u64, &bytes[at..to]).await.status, 204);
                    }
                }
                assert!(turn < 200, "no progress: {at}");
            }
            let source = a.source(asset).await.unwrap();
            let first = source.iter().zip(&bytes).position(|(got, sent)| got != sent);
            println!("{} takeovers", zombies.len());
            assert_eq!((source.len(), first), (bytes.len(), None));
        })
    })
    .await;
}

/// A part of a process that was overtaken hangs on its way and arrives when the upload is far beyond it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_arrives_late_replaces_nothing() {
    on_postgres(|db| {
        Box::pin(async move {
            let b = House::open_in(Form::Parts, db, settings()).await;
            let bucket = b.bucket.clone().unwrap();
            let garage = S3Service::garage();
            let proxy = FaultProxy::start(garage.address()).await;
            let a = beside_on(&b, garage.at(proxy.address()).open(bucket.bucket()).await.unwrap()).await;
            let bytes = random(2 * PART + 50);
            let (path, asset) = b.create(bytes.len() as u64).await;
            let other = vec![0xaa; PART + 10];
            let mut late = begin_patch(&a, &path, 0, bytes.len(), &other[..PART - 1_000]).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            proxy.set(Mode::HalfOpen).await;
            late.write_all(&other[PART - 1_000..]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;

            // The client goes on elsewhere, with other bytes.
            assert_eq!(b.offset(&path).await, 0);
            assert_eq!(b.patch(&path, 0, &bytes[..PART + 5]).await.status, 204);
            proxy.set(Mode::Pass).await;
            let upload = b.upload(&path).await;
            let (key, id) = (storage_key::source(asset), MultipartId(upload.multipart_id.clone().unwrap()));
            eventually("the late part is there", async || {
                bucket.parts(&key, &id).await.unwrap().unwrap().len() == 2
            })
            .await;
            assert_eq!(upload_parts::list(&b.db, upload.id).await.unwrap().len(), 1);
            assert_eq!(b.patch(&path, PART as u64 + 5, &bytes[PART + 5..]).await.status, 204);
            assert_source(&b, &path, asset, &bytes).await;
        })
    })
    .await;
}

/// A process dies between any two steps, and another one goes on: by the next request, or by the sweep first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_at_each_step_is_mended_by_another_process() {
    on_both_engines(|db| async move {
        let house = House::open_in(Form::Parts, db, settings()).await;
        let other = beside(&house).await;
        let bucket = house.bucket.clone().unwrap();
        let bytes = random(PART + 1_000);
        for swept in [false, true] {
            for step in ["taken", "numbered", "part sent", "tail sent", "part recorded", "tail recorded"] {
                let (path, asset) = house.create(bytes.len() as u64).await;
                assert_eq!(house.patch(&path, 0, &bytes[..100]).await.status, 204);
                let upload = house.upload(&path).await;
                let (key, id) = (storage_key::source(asset), MultipartId(upload.multipart_id.unwrap()));
                let epoch = upload_parts::take(&house.db, upload.id).await.unwrap().unwrap().epoch;
                let mut offset = 100;
                if step.starts_with("part") || step == "numbered" {
                    let number =
                        upload_parts::reserve(&house.db, upload.id, epoch, 10_000).await.unwrap().unwrap();
                    if step != "numbered" {
                        let put =
                            bucket.put_part(&key, &id, number, bytes[..PART].to_vec().into()).await.unwrap();
                        if step == "part recorded" {
                            let part = Part { number, bytes: put.bytes, etag: put.etag };
                            assert!(upload_parts::record(&house.db, upload.id, epoch, &part).await.unwrap());
                            offset = PART;
                        }
                    }
                }
                if step.starts_with("tail") {
                    let tail = Tail { key: storage_key::upload_tail(upload.id, epoch, "tail"), bytes: 200 };
                    bucket.put(&tail.key, bytes[..200].to_vec().into()).await.unwrap();
                    if step == "tail recorded" {
                        let recorded = upload_parts::record_tail(&house.db, upload.id, epoch, Some(&tail));
                        assert!(recorded.await.unwrap());
                        offset = 200;
                    }
                }
                if swept {
                    sweep(&other.state).await.unwrap();
                }
                assert_eq!(other.offset(&path).await, offset as u64, "{step}");
                // The one that died was only slow after all: nothing that it records counts any more.
                let late = Part { number: 9_999, bytes: 5, etag: "\"x\"".into() };
                assert!(!upload_parts::record(&house.db, upload.id, epoch, &late).await.unwrap());
                assert_eq!(upload_parts::reserve(&house.db, upload.id, epoch, 10_000).await.unwrap(), None);
                if swept {
                    sweep(&other.state).await.unwrap();
                }
                assert_eq!(other.patch(&path, offset as u64, &bytes[offset..]).await.status, 204, "{step}");
                assert_source(&other, &path, asset, &bytes).await;
                sweep(&other.state).await.unwrap();
                assert_eq!(other.left().await, 0, "{step}");
            }
        }
    })
    .await;
}

/// The answer of completing is lost: the next request finds that it is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_whose_answer_was_lost_is_found_out() {
    on_both_engines(|db| async move {
        let house = House::open_in(Form::Parts, db, settings()).await;
        let other = beside(&house).await;
        for by_sweep in [true, false] {
            let (path, asset) = house.create(9).await;
            house.append_silently(&path, b"123456789").await;
            house.complete_silently(&path).await;
            if by_sweep {
                assert_eq!(sweep(&other.state).await.unwrap().finished, 1);
            }
            // Two at once, too: while one of them finishes it, the other may have to come again.
            let (one, two) =
                tokio::join!(house.owner("HEAD", &path, &[], b""), other.owner("HEAD", &path, &[], b""));
            assert!(
                [one.status, two.status].iter().all(|status| *status == 200 || (!by_sweep && *status == 423)),
                "{one:?} {two:?}"
            );
            assert_eq!((house.offset(&path).await, other.offset(&path).await), (9, 9));
            house.assert_finished(&path, asset, b"123456789").await;
            assert_eq!(house.left().await, 0);
        }
        // Both find it complete and finish it at the same time, each time anew.
        for _ in 0..10 {
            let (path, asset) = house.create(9).await;
            house.append_silently(&path, b"123456789").await;
            let (one, two) =
                tokio::join!(house.owner("HEAD", &path, &[], b""), other.owner("HEAD", &path, &[], b""));
            assert!(
                [one.status, two.status].iter().all(|status| matches!(status, 200 | 423)),
                "{one:?} {two:?}"
            );
            house.assert_finished(&path, asset, b"123456789").await;
        }
    })
    .await;
}
