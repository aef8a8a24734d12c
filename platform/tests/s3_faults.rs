//! The object store behind a line that breaks: short faults are bridged, long ones end in an error in time, and nothing
//! half written is ever seen.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryStreamExt as _;
use lectern_platform::{
    objects::{Objects, S3Objects},
    testing::{FaultProxy, Mode, s3::S3Service},
};
use rand::RngExt as _;

/// A store through a proxy, and the same one without.
struct Line {
    proxy: FaultProxy,
    objects: S3Objects,
    direct: S3Objects,
}

impl Line {
    async fn open() -> Self {
        let service = S3Service::garage();
        let bucket = service.make_bucket().await;
        let proxy = FaultProxy::start(service.address()).await;
        let objects = service.at(proxy.address()).open(&bucket).await.unwrap();
        let direct = service.open(&bucket).await.unwrap();
        Self { proxy, objects, direct }
    }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect()
}

async fn read(objects: &dyn Objects, key: &str) -> std::io::Result<Vec<u8>> {
    let body = objects.open(key, None).await.map_err(std::io::Error::other)?.expect("an object");
    let pieces: Vec<Bytes> = body.stream.try_collect().await?;
    Ok(pieces.concat())
}

/// Every operation once.
async fn everything(objects: &dyn Objects, name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (small, large) = (bytes(100_000), bytes(20 << 20));
    let key = |part: &str| format!("{name}/{part}");
    objects.put(&key("small"), small.clone().into()).await.unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, &large).unwrap();
    objects.put_file(&key("large"), &file).await.unwrap();
    assert!(!file.exists());
    assert_eq!(objects.size(&key("large")).await.unwrap(), Some(20 << 20));
    assert!(objects.get(&key("small")).await.unwrap().unwrap() == small);
    assert!(read(objects, &key("large")).await.unwrap() == large);
    assert_eq!(objects.list(&format!("{name}/")).await.unwrap().len(), 2);
    objects.check().await.unwrap();
    let parts = objects.multipart().unwrap();
    let id = parts.create(&key("left")).await.unwrap();
    parts.put_part(&key("left"), &id, 1, Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(parts.parts(&key("left"), &id).await.unwrap().unwrap().len(), 1);
    objects.delete_prefix(&format!("{name}/")).await.unwrap();
    assert!(objects.list(&format!("{name}/")).await.unwrap().is_empty());
    assert!(parts.open_multiparts(Some(&format!("{name}/"))).await.unwrap().is_empty());
}

/// Lets faults come and go while everything is done several times over.
async fn through(name: &str, trouble: impl AsyncFn(&FaultProxy)) {
    let line = Line::open().await;
    let work = async {
        for round in 0..4 {
            everything(&line.objects, &format!("{name}{round}")).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = async { loop { trouble(&line.proxy).await } } => unreachable!(),
    }
    println!(
        "{name}: {} connections, {} requests answered 5xx",
        line.proxy.connections(),
        line.proxy.answered()
    );
    assert!(line.proxy.connections() > 1 || line.proxy.answered() > 0, "no trouble came");
}

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// Time in which things go well: not a beat that retries could fall in step with.
async fn calm() {
    pause(rand::rng().random_range(300..2_000)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_are_bridged() {
    through("cut", async |proxy| {
        pause(rand::rng().random_range(50..1_000)).await;
        proxy.cut();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_restarts_is_bridged() {
    through("refuse", async |proxy| {
        calm().await;
        proxy.set(Mode::Refuse).await;
        pause(700).await;
        proxy.set(Mode::Pass).await;
    })
    .await;
    through("reset", async |proxy| {
        calm().await;
        proxy.set(Mode::Reset).await;
        pause(500).await;
        proxy.set(Mode::Pass).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overloaded_service_is_bridged() {
    for status in [500, 503] {
        through("overload", async |proxy| {
            calm().await;
            proxy.answer_next(4, status);
            pause(500).await;
            proxy.answer_next(0, status);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_line_that_heals_is_bridged() {
    through("silent", async |proxy| {
        calm().await;
        proxy.set(Mode::HalfOpen).await;
        pause(1_500).await;
        proxy.set(Mode::Pass).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_is_only_slow() {
    let line = Line::open().await;
    line.proxy.set(Mode::Delay(Duration::from_millis(5))).await;
    everything(&line.objects, "slow").await;
}

#[tokio::test]
async fn reading_goes_on_where_it_broke_off() {
    let line = Line::open().await;
    let large = bytes(6 << 20);
    line.direct.put("a/large", large.clone().into()).await.unwrap();
    // Every connection brings one MiB and dies.
    line.proxy.set(Mode::CutAfter(1 << 20)).await;
    assert!(read(&line.objects, "a/large").await.unwrap() == large);
    let range = (1 << 20) - 7..(4 << 20) + 3;
    let body =
        line.objects.open("a/large", Some(range.start as u64..range.end as u64)).await.unwrap().unwrap();
    let pieces: Vec<Bytes> = body.stream.try_collect().await.unwrap();
    assert!(pieces.concat() == large[range]);
    assert!(line.proxy.connections() >= 10, "{}", line.proxy.connections());
}

#[tokio::test]
async fn reading_stops_when_the_object_was_replaced_or_removed() {
    let line = Line::open().await;
    for replace in [true, false] {
        line.proxy.set(Mode::CutAfter(1 << 20)).await;
        line.direct.put("a/large", vec![1; 3 << 20].into()).await.unwrap();
        let mut body = line.objects.open("a/large", None).await.unwrap().unwrap();
        assert!(body.stream.try_next().await.unwrap().is_some());
        if replace {
            line.direct.put("a/large", vec![2; 3 << 20].into()).await.unwrap();
        } else {
            line.direct.delete_prefix("a/").await.unwrap();
        }
        let rest: std::io::Result<Vec<Bytes>> = body.stream.try_collect().await;
        let error = rest.unwrap_err().to_string();
        assert!(error.contains(if replace { "replaced" } else { "404" }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn long_faults_end_in_time_and_leave_nothing_half_written() {
    let long = async |mode| {
        let folder = tempfile::tempdir().unwrap();
        let line = Line::open().await;
        line.direct.put("a/b", Bytes::from_static(b"old")).await.unwrap();
        line.direct.put("a/large", bytes(24 << 20).into()).await.unwrap();
        line.proxy.set(Mode::Delay(Duration::from_millis(20))).await;
        // In the middle of a body, and in the middle of a file.
        let mut body = line.objects.open("a/large", None).await.unwrap().unwrap();
        assert!(body.stream.try_next().await.unwrap().is_some());
        let file = folder.path().join("file");
        std::fs::write(&file, bytes(60 << 20)).unwrap();
        let sending = {
            let (objects, file) = (line.objects.clone(), file.clone());
            tokio::spawn(async move { objects.put_file("a/file", &file).await })
        };
        pause(500).await;
        line.proxy.set(mode).await;
        let began = Instant::now();
        let took = |what: &'static str, limit: u64| {
            let elapsed = began.elapsed();
            println!("{mode:?}: {what} ended after {:.1} s", elapsed.as_secs_f64());
            assert!(elapsed < Duration::from_secs(limit), "{what} took {elapsed:?}");
        };
        let objects = &line.objects;
        tokio::join!(
            async {
                assert!(objects.check().await.is_err());
                took("check", 6);
            },
            async {
                assert!(objects.put("a/b", Bytes::from_static(b"new")).await.is_err());
                took("put", 47);
            },
            async {
                assert!(objects.get("a/b").await.is_err());
                took("get", 47);
            },
            async {
                assert!(objects.size("a/b").await.is_err());
                took("size", 47);
            },
            async {
                assert!(objects.list("a/").await.is_err());
                took("list", 47);
            },
            async {
                assert!(objects.delete_prefix("a/").await.is_err());
                took("delete_prefix", 47);
            },
            async {
                assert!(objects.multipart().unwrap().create("a/m").await.is_err());
                took("create multipart", 47);
            },
            async {
                let rest: std::io::Result<Vec<Bytes>> = body.stream.try_collect().await;
                assert!(rest.is_err());
                took("reading", 62);
            },
            async {
                assert!(sending.await.unwrap().is_err());
                took("put_file", 45 + 2 * 32 + 2);
            },
        );
        assert!(file.exists(), "a file that could not be sent is kept");
        assert_eq!(line.direct.get("a/b").await.unwrap().unwrap(), "old");
        assert_eq!(line.direct.size("a/file").await.unwrap(), None);
        line.proxy.set(Mode::Pass).await;
        line.objects.put_file("a/file", &file).await.unwrap();
        assert!(read(&line.direct, "a/file").await.unwrap() == bytes(60 << 20));
    };
    tokio::join!(long(Mode::Refuse), long(Mode::HalfOpen));
}

#[tokio::test]
async fn a_file_that_is_given_up_leaves_no_parts() {
    let line = Line::open().await;
    line.proxy.set(Mode::Delay(Duration::from_millis(5))).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, bytes(40 << 20)).unwrap();
    let sending = line.objects.put_file("a/file", &file);
    assert!(tokio::time::timeout(Duration::from_secs(1), sending).await.is_err(), "too fast to be given up");
    let parts = line.direct.multipart().unwrap();
    let began = Instant::now();
    while !parts.open_multiparts(None).await.unwrap().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10), "the parts are still there");
        pause(50).await;
    }
    assert!(file.exists());
    assert_eq!(line.direct.size("a/file").await.unwrap(), None);
}
