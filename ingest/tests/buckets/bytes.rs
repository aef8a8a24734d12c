//! Which bytes count: parts of odd sizes, what is taken back, swept, or removed by others.

use lectern_domain::storage_key;
use lectern_ingest::{Swept, sweep};
use lectern_platform::objects::{Multipart as _, MultipartId, Objects as _};
use lectern_store::{
    testing::{execute, on_both_engines, on_sqlite},
    upload_parts,
};

use crate::{
    PART, assert_source,
    harness::{House, TUS_BODY, asset_state, forms::Form, random, settings},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_every_size() {
    on_both_engines(|db| async move {
        let house = House::open_in(Form::Parts, db, settings()).await;
        let many_small: Vec<usize> = (0..60).map(|n| 1 + n * 137).collect();
        for sizes in [
            vec![1],
            vec![PART],
            vec![PART - 1, 1],
            vec![PART - 1, 2],
            vec![PART + 1, PART - 1],
            vec![1, PART, 1],
            vec![2 * PART + 1, 1, PART - 2],
            vec![3 * PART],
            many_small,
        ] {
            let bytes = random(sizes.iter().sum());
            let (path, asset) = house.create(bytes.len() as u64).await;
            let mut at = 0;
            for size in &sizes {
                let answer = house.patch(&path, at as u64, &bytes[at..at + size]).await;
                at += size;
                assert_eq!((answer.status, answer.number("upload-offset")), (204, at as u64), "{sizes:?}");
                if at < bytes.len() {
                    assert_eq!(house.kept(&path).await, at as u64);
                    let parts = upload_parts::list(&house.db, house.upload(&path).await.id).await.unwrap();
                    assert!(
                        parts.iter().all(|part| part.bytes == PART as u64),
                        "some services want equal parts"
                    );
                }
            }
            house.assert_finished(&path, asset, &bytes).await;
            assert_eq!(house.left().await, 0);
        }
    })
    .await;
}

/// A body of unknown length that is too long is forgotten, however much of it has been recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_long_is_forgotten_with_its_parts() {
    on_both_engines(|db| async move {
        let house = House::open_in(Form::Parts, db, settings()).await;
        let bytes = random(2 * PART + 10);
        for first in [0, 5_000] {
            let (path, asset) = house.create(bytes.len() as u64).await;
            if first > 0 {
                assert_eq!(house.patch(&path, 0, &bytes[..first]).await.status, 204);
            }
            let offset = first.to_string();
            let headers = [
                ("Content-Length", ""),
                ("Transfer-Encoding", "chunked"),
                TUS_BODY,
                ("Upload-Offset", &offset),
            ];
            let chunked = |bytes: &[u8]| {
                [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n0\r\n\r\n"].concat()
            };
            let too_long = chunked(&vec![0xaa; bytes.len() - first + 1]);
            let answer = house.owner("PATCH", &path, &headers, &too_long).await;
            assert_eq!((answer.status, answer.code().as_str()), (413, "longer_than_announced"));
            assert_eq!(house.offset(&path).await, first as u64);
            // The tail is there for whoever goes on, after a sweep too.
            sweep(&house.state).await.unwrap();
            assert_eq!(house.owner("PATCH", &path, &headers, &chunked(&bytes[first..])).await.status, 204);
            house.assert_finished(&path, asset, &bytes).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_sweep_removes_what_no_open_upload_knows_and_nothing_else() {
    on_both_engines(|db| async move {
        let house = House::open_in(Form::Parts, db, settings()).await;
        let bucket = house.bucket.clone().unwrap();
        let (path, asset) = house.create(1_000).await;
        house.patch(&path, 0, &[7; 600]).await;
        let upload = house.upload(&path).await;
        let standing = upload_parts::standing(&house.db, upload.id).await.unwrap().unwrap();
        let counts = standing.tail.unwrap().key;
        let overtaken = storage_key::upload_tail(upload.id, standing.epoch - 1, "tail");
        // About to be recorded.
        let coming = storage_key::upload_tail(upload.id, standing.epoch + 1, "tail");
        let of_nobody = "uploads/upl_018f2f3a5c7b7cc3a1b2c3d4e5f60718/3/tail".to_owned();
        let not_ours = "uploads/notes.txt".to_owned();
        for key in [&overtaken, &coming, &of_nobody, &not_ours] {
            bucket.put(key, vec![1].into()).await.unwrap();
        }
        // The clock of the test is later than that of Garage: old enough.
        bucket.create("sources/ast_x/original").await.unwrap();
        let expected = Swept { tails_removed: 2, multiparts_aborted: 1, ..Swept::default() };
        assert_eq!(sweep(&house.state).await.unwrap(), expected);
        let mut kept = vec![counts, coming, not_ours];
        kept.sort();
        assert_eq!(bucket.list(storage_key::UPLOADS).await.unwrap(), kept);
        assert_eq!(house.patch(&path, 600, &[7; 400]).await.status, 204);
        assert_eq!(house.source(asset).await.unwrap(), [7; 1_000]);
        // The rest goes with the upload's end; a direct upload's parts are not this sweep's.
        assert_eq!(bucket.list(storage_key::UPLOADS).await.unwrap(), ["uploads/notes.txt"]);
        assert_eq!(bucket.open_multiparts(None).await.unwrap(), []);
    })
    .await;
}

/// What others did to the bucket.
#[tokio::test]
async fn an_upload_whose_bytes_were_removed_says_so() {
    on_sqlite(|db| {
        Box::pin(async move {
            let house = House::open_in(Form::Parts, db, settings()).await;
            let bucket = house.bucket.clone().unwrap();
            // The tail: only it is sent again.
            let bytes = random(PART + 100);
            let (path, asset) = house.create(bytes.len() as u64).await;
            house.patch(&path, 0, &bytes[..PART + 50]).await;
            bucket.delete_prefix(storage_key::UPLOADS).await.unwrap();
            let answer = house.patch(&path, PART as u64 + 50, &bytes[PART + 50..]).await;
            assert_eq!(answer.code(), "offset_mismatch");
            assert_eq!(house.offset(&path).await, PART as u64);
            assert_eq!(house.patch(&path, PART as u64, &bytes[PART..]).await.status, 204);
            house.assert_finished(&path, asset, &bytes).await;

            // The multipart upload, as a rule of the bucket may have it: the upload is over.
            let (path, asset) = house.create(bytes.len() as u64).await;
            house.patch(&path, 0, &bytes[..10]).await;
            let id = MultipartId(house.upload(&path).await.multipart_id.unwrap());
            bucket.abort(&storage_key::source(asset), &id).await.unwrap();
            assert_eq!(house.patch(&path, 10, &bytes[10..]).await.code(), "upload_gone");
            assert_eq!(house.owner("HEAD", &path, &[], b"").await.status, 410);
            assert_eq!(asset_state(&house.db, asset).await, "deleted");

            // Numbers of parts are used up.
            let (path, _) = house.create(bytes.len() as u64).await;
            execute(&house.db, "UPDATE uploads SET next_part = 10001").await.unwrap();
            assert_eq!(house.patch(&path, 0, &bytes).await.code(), "upload_gone");

            // Complete, but not to be joined: told as not finished, and ended once its time is over.
            let (path, asset) = house.create(10).await;
            house.append_silently(&path, b"0123456789").await;
            let id = MultipartId(house.upload(&path).await.multipart_id.unwrap());
            bucket.abort(&storage_key::source(asset), &id).await.unwrap();
            assert_eq!(house.owner("HEAD", &path, &[], b"").await.status, 423);
            assert_eq!(sweep(&house.state).await.unwrap(), Swept::default());
            house.clock.advance(settings().expires_after);
            assert_eq!(sweep(&house.state).await.unwrap().expired, 1);
            assert_eq!(house.left().await, 0);
        })
    })
    .await;
}

/// As it was before there were parts, or on a disk: such an upload goes on in its part file.
#[tokio::test]
async fn an_upload_that_began_in_a_part_file_ends_from_there() {
    on_both_engines(|db| async move {
        let house = House::open_in(Form::Parts, db, settings()).await;
        let (path, asset) = house.create(6).await;
        execute(&house.db, "UPDATE uploads SET multipart_id = NULL").await.unwrap();
        std::fs::write(house.part(&path), b"ab").unwrap();
        assert_eq!(house.offset(&path).await, 2);
        assert_eq!(house.patch(&path, 2, b"cdef").await.status, 204);
        assert_source(&house, &path, asset, b"abcdef").await;
        assert!(!house.part(&path).exists());
    })
    .await;
}
