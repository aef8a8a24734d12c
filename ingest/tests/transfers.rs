//! Transfers that go wrong: broken and silent connections, several clients at once, crashes between two steps, and what a
//! large body costs.

mod harness;

use std::{
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

use harness::{
    House, TUS_BODY, begin_patch, eventually,
    forms::{Form, on_every_form, on_forms},
    probe_jobs, random, read_answer, settings,
};
use lectern_domain::storage_key;
use lectern_ingest::{Swept, locks::STALLED_AFTER, sweep};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// Waits until a PATCH receives: others are refused then, whatever they ask for.
async fn under_way(house: &House, path: &str) {
    eventually("a PATCH holds the upload", async || {
        house.patch(path, u64::MAX >> 1, b"").await.status == 423
    })
    .await;
}

#[tokio::test]
async fn what_came_before_a_connection_broke_is_kept() {
    on_every_form(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let bytes = random(500_000);
        let (path, asset) = house.create(bytes.len() as u64).await;
        let mut at = 0;
        // Cut after nothing, one byte, one piece and a bit, several pieces.
        for cut in [0, 1, 300_000, 150_000] {
            let stream = begin_patch(&house, &path, at as u64, bytes.len() - at, &bytes[at..at + cut]).await;
            drop(stream);
            at += cut;
            // Without a HEAD, which would take over at once: the server sees the break by itself and writes what came.
            eventually("everything sent is kept", async || house.kept(&path).await == at as u64).await;
            assert_eq!(house.offset(&path).await, at as u64);
        }
        assert_eq!(house.patch(&path, at as u64, &bytes[at..]).await.status, 204);
        house.assert_finished(&path, asset, &bytes).await;
    })
    .await;
}

#[tokio::test]
async fn a_content_length_that_lies() {
    on_forms(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let (path, asset) = house.create(10).await;
        // Fewer bytes than said, then the client closes its half: what came is kept.
        let mut stream = begin_patch(&house, &path, 0, 10, b"abcd").await;
        stream.shutdown().await.unwrap();
        let _ = read_answer(&mut stream, "PATCH").await;
        eventually("four bytes kept", async || house.offset(&path).await == 4).await;
        // More bytes than said: what is beyond is not part of the request, and no request either.
        let mut stream = begin_patch(&house, &path, 4, 3, b"efgXXXXXXXXX\r\n\r\n").await;
        let answer = read_answer(&mut stream, "PATCH").await.unwrap();
        assert_eq!((answer.status, answer.number("upload-offset")), (204, 7));
        assert_eq!(house.offset(&path).await, 7);
        // Numbers that are none.
        for length in ["-1", "3x", "99999999999999999999999"] {
            let headers = [("Upload-Offset", "7"), ("Content-Length", length), TUS_BODY];
            assert_eq!(house.owner("PATCH", &path, &headers, b"hij").await.status, 400, "{length}");
        }
        assert_eq!(house.offset(&path).await, 7);
        assert_eq!(house.patch(&path, 7, b"hij").await.status, 204);
        house.assert_finished(&path, asset, b"abcdefghij").await;
    })
    .await;
}

#[tokio::test]
async fn a_living_patch_keeps_others_out() {
    on_forms(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let (path, asset) = house.create(6).await;
        let mut first = begin_patch(&house, &path, 0, 3, b"a").await;
        under_way(&house, &path).await;
        let refused = house.patch(&path, 0, b"xyz").await;
        assert_eq!((refused.status, refused.code().as_str()), (423, "upload_locked"));
        assert!(refused.number("retry-after") > 0);
        first.write_all(b"bc").await.unwrap();
        assert_eq!(read_answer(&mut first, "PATCH").await.unwrap().number("upload-offset"), 3);
        assert_eq!(house.patch(&path, 3, b"def").await.status, 204);
        house.assert_finished(&path, asset, b"abcdef").await;
    })
    .await;
}

#[tokio::test]
async fn head_takes_over_from_a_patch_and_keeps_what_it_brought() {
    on_forms(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let (path, asset) = house.create(6).await;
        let mut first = begin_patch(&house, &path, 0, 6, b"ab").await;
        under_way(&house, &path).await;
        let asked = Instant::now();
        assert_eq!(house.offset(&path).await, 2);
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        // The first client, should it still be there, is told.
        let told = read_answer(&mut first, "PATCH").await.unwrap();
        assert_eq!((told.status, told.code().as_str()), (423, "upload_locked"));
        let _ = first.write_all(b"XXXX").await;
        assert_eq!(house.patch(&path, 2, b"cdef").await.status, 204);
        house.assert_finished(&path, asset, b"abcdef").await;
    })
    .await;
}

#[tokio::test]
async fn a_silent_patch_gives_way_to_the_next_patch() {
    on_forms(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let (path, asset) = house.create(6).await;
        let _silent = begin_patch(&house, &path, 0, 6, b"ab").await;
        under_way(&house, &path).await;
        tokio::time::sleep(STALLED_AFTER).await;
        assert_eq!(house.patch(&path, 2, b"cdef").await.status, 204);
        house.assert_finished(&path, asset, b"abcdef").await;
    })
    .await;
}

#[tokio::test]
async fn delete_ends_a_running_patch() {
    on_forms(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let (path, _) = house.create(6).await;
        let mut first = begin_patch(&house, &path, 0, 6, b"ab").await;
        under_way(&house, &path).await;
        assert_eq!(house.owner("DELETE", &path, &[], b"").await.status, 204);
        assert!(!house.has_bytes(&path).await);
        assert_eq!(read_answer(&mut first, "PATCH").await.unwrap().status, 423);
        assert!(!house.has_bytes(&path).await);
    })
    .await;
}

#[tokio::test]
async fn shutdown_keeps_what_came_and_says_so() {
    on_forms(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let (path, _) = house.create(6).await;
        let mut first = begin_patch(&house, &path, 0, 6, b"ab").await;
        under_way(&house, &path).await;
        house.state.shutdown.begin();
        let told = read_answer(&mut first, "PATCH").await.unwrap();
        assert_eq!((told.status, told.code().as_str()), (503, "stopping"));
        assert_eq!(house.offset(&path).await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_creation_that_breaks_off_leaves_nothing() {
    on_forms(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        let metadata = house.metadata("a.mp4");
        let headers = [("Upload-Length", "10"), ("Upload-Metadata", metadata.as_str()), TUS_BODY];
        let head = house.head(Some(house.people.owner), "POST", "/uploads", &headers, 10);
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(b"abc").await.unwrap();
        let house = &house;
        let left = async || house.left().await;
        eventually("the upload is there", async || left().await > 0).await;
        drop(stream);
        eventually("nobody could ever resume it", async || left().await == 0).await;
    })
    .await;
}

/// Many clients send different bytes for the same upload. Whatever the order: each part of the result comes from one
/// request, at the place that request asked for.
#[tokio::test]
async fn many_clients_at_once_never_interleave() {
    on_forms(|form, db| async move {
        const PART: usize = 40_000;
        let house = House::open_in(form, db, settings()).await;
        let (path, asset) = house.create(10 * PART as u64).await;
        for round in 0..10 {
            let offset = (round * PART) as u64;
            let parts: Vec<Vec<u8>> = (0..8u8).map(|client| vec![client; PART]).collect();
            let answers = tokio::join!(
                house.patch(&path, offset, &parts[0]),
                house.patch(&path, offset, &parts[1]),
                house.patch(&path, offset, &parts[2]),
                house.patch(&path, offset, &parts[3]),
                house.patch(&path, offset, &parts[4]),
                house.patch(&path, offset, &parts[5]),
                house.patch(&path, offset, &parts[6]),
                house.patch(&path, offset, &parts[7]),
            );
            let answers: [_; 8] = answers.into();
            let won = answers.iter().filter(|answer| answer.status == 204).count();
            assert_eq!(won, 1, "{answers:?}");
            assert!(answers.iter().all(|answer| matches!(answer.status, 204 | 409 | 423)), "{answers:?}");
        }
        let source = house.source(asset).await.unwrap();
        assert_eq!(source.len(), 10 * PART);
        for part in source.chunks(PART) {
            assert!(part.iter().all(|byte| *byte == part[0]), "two clients in one part");
        }
        assert_eq!(probe_jobs(&house.db, asset).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_crash_between_any_two_steps_is_mended() {
    on_every_form(|form, db| async move {
        let house = House::open_in(form, db, settings()).await;
        // By the sweep at start, and by the HEAD of a client that comes first.
        for by_sweep in [true, false] {
            let mend = async |path: &str, finished| {
                if by_sweep {
                    assert_eq!(sweep(&house.state).await.unwrap(), Swept { finished, ..Swept::default() });
                } else {
                    house.owner("HEAD", path, &[], b"").await;
                }
            };
            // Every byte written, not moved.
            let (path, asset) = house.create(6).await;
            house.patch(&path, 0, b"ab").await;
            house.append_silently(&path, b"cdef").await;
            mend(&path, 1).await;
            house.assert_finished(&path, asset, b"abcdef").await;

            // Moved, not finished in the database.
            let (path, asset) = house.create(6).await;
            house.patch(&path, 0, b"ab").await;
            house.append_silently(&path, b"cdef").await;
            house.complete_silently(&path).await;
            mend(&path, 1).await;
            house.assert_finished(&path, asset, b"abcdef").await;

            // Announced, no part file made.
            let (path, asset) = house.create(6).await;
            if form == Form::File {
                std::fs::remove_file(house.part(&path)).unwrap();
            }
            mend(&path, 0).await;
            assert_eq!(house.patch(&path, 0, b"abcdef").await.status, 204);
            house.assert_finished(&path, asset, b"abcdef").await;
        }
        if form == Form::Parts {
            return;
        }
        // A part file of nobody, and one of a finished upload, go; what is not ours stays.
        let (path, _) = house.create(1).await;
        house.patch(&path, 0, b"a").await;
        std::fs::write(house.part(&path), b"left by a copy across file systems").unwrap();
        let uploads = house.folder.join("uploads");
        std::fs::write(uploads.join("upl_018f2f3a5c7b7cc3a1b2c3d4e5f60718.part"), b"orphan").unwrap();
        std::fs::write(uploads.join("notes.txt"), b"of the operator").unwrap();
        assert_eq!(sweep(&house.state).await.unwrap().files_removed, 2);
        assert_eq!(std::fs::read_dir(&uploads).unwrap().count(), 1);
    })
    .await;
}

/// Resident memory of this process, bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

/// One large PATCH: memory stays flat. Says how it compares with writing and syncing a file on the same disk.
/// `LECTERN_TEST_LARGE_MIB` makes it larger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_part_costs_no_memory() {
    on_forms(|form, db| async move {
        let mib: u64 = std::env::var("LECTERN_TEST_LARGE_MIB").map_or(256, |mib| mib.parse().unwrap());
        let house = House::open_in(form, db, settings()).await;
        let piece = random(1 << 20);
        let started = Instant::now();
        let plain = std::fs::File::create(house.folder.join("plain")).unwrap();
        for at in 0..mib {
            plain.write_all_at(&piece, at << 20).unwrap();
        }
        plain.sync_data().unwrap();
        let plain = started.elapsed();
        std::fs::remove_file(house.folder.join("plain")).unwrap();

        let (path, asset) = house.create(mib << 20).await;
        let before = resident();
        let mut peak = before;
        let started = Instant::now();
        let mut stream = begin_patch(&house, &path, 0, (mib << 20) as usize, b"").await;
        for at in 0..mib {
            stream.write_all(&piece).await.unwrap();
            if at % 16 == 0 {
                peak = peak.max(resident());
            }
        }
        let answer = read_answer(&mut stream, "PATCH").await.unwrap();
        let took = started.elapsed();
        assert_eq!((answer.status, answer.number("upload-offset")), (204, mib << 20));
        assert_eq!(house.state.objects.size(&storage_key::source(asset)).await.unwrap(), Some(mib << 20));
        let growth = peak.max(resident()).saturating_sub(before);
        println!(
            "{form:?}: {mib} MiB in one PATCH: {took:?}; write and sync of the same: {plain:?}; ratio of rates {:.2}; memory grew {} KiB",
            plain.as_secs_f64() / took.as_secs_f64(),
            growth / 1_024
        );
        assert!(growth < 64 << 20, "memory grew by {growth} bytes");
    })
    .await;
}
