//! The object store's conformance suite. Every form of the door runs it.

use bytes::Bytes;
use futures::TryStreamExt as _;
use lectern_platform::{
    objects::{DiskObjects, Objects, S3Objects},
    testing::s3::S3Service,
};

async fn read(
    objects: &dyn Objects,
    key: &str,
    range: Option<std::ops::Range<u64>>,
) -> Option<(u64, Vec<u8>)> {
    let body = objects.open(key, range).await.unwrap()?;
    let pieces: Vec<Bytes> = body.stream.try_collect().await.unwrap();
    Some((body.size, pieces.concat()))
}

async fn conforms(objects: &dyn Objects) {
    objects.check().await.unwrap();

    // Not there.
    assert_eq!(objects.size("a/b").await.unwrap(), None);
    assert_eq!(objects.get("a/b").await.unwrap(), None);
    assert!(read(objects, "a/b", None).await.is_none());
    assert!(objects.list("a/").await.unwrap().is_empty());
    objects.delete_prefix("a/").await.unwrap();

    // Written, read whole and in parts, replaced.
    objects.put("a/b", Bytes::from_static(b"0123456789")).await.unwrap();
    objects.put("a/c/d", Bytes::new()).await.unwrap();
    assert_eq!(objects.size("a/b").await.unwrap(), Some(10));
    assert_eq!(objects.get("a/c/d").await.unwrap(), Some(Bytes::new()));
    assert_eq!(objects.size("a/c").await.unwrap(), None, "a prefix is not an object");
    assert_eq!(objects.get("a/c").await.unwrap(), None);
    assert_eq!(read(objects, "a/b", None).await.unwrap(), (10, b"0123456789".to_vec()));
    assert_eq!(read(objects, "a/b", Some(2..5)).await.unwrap(), (10, b"234".to_vec()));
    assert_eq!(read(objects, "a/b", Some(8..99)).await.unwrap(), (10, b"89".to_vec()));
    assert_eq!(read(objects, "a/b", Some(99..100)).await.unwrap(), (10, Vec::new()));
    if let Some(path) = objects.path("a/b") {
        assert_eq!(std::fs::read(path).unwrap(), b"0123456789");
    }
    objects.put("a/b", Bytes::from_static(b"new")).await.unwrap();
    assert_eq!(objects.get("a/b").await.unwrap().unwrap(), "new");

    // A file moves in.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, vec![7; 1_000_000]).unwrap();
    objects.put_file("a/e", &file).await.unwrap();
    assert!(!file.exists());
    assert_eq!(read(objects, "a/e", None).await.unwrap(), (1_000_000, vec![7; 1_000_000]));
    assert!(objects.put_file("a/f", &file).await.is_err());

    // A large one, as many parts where the store has such: the same bytes, whole and across a seam.
    let large: Vec<u8> = (0..40 << 20).map(|n: u32| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect();
    std::fs::write(&file, &large).unwrap();
    objects.put_file("b/large", &file).await.unwrap();
    assert!(!file.exists());
    assert_eq!(objects.size("b/large").await.unwrap(), Some(40 << 20));
    assert!(read(objects, "b/large", None).await.unwrap().1 == large);
    let seam = (8 << 20) - 3..(8 << 20) + 5;
    let expected = large[seam.start as usize..seam.end as usize].to_vec();
    assert_eq!(read(objects, "b/large", Some(seam)).await.unwrap(), (40 << 20, expected));
    objects.delete_prefix("b/").await.unwrap();

    // Ranges of nothing.
    assert_eq!(read(objects, "a/b", Some(1..1)).await.unwrap(), (3, Vec::new()));
    assert_eq!(read(objects, "a/c/d", Some(0..5)).await.unwrap(), (0, Vec::new()));
    assert!(read(objects, "a/nothing", Some(1..1)).await.is_none());
    assert!(read(objects, "a/nothing", Some(0..5)).await.is_none());

    // Names as people give them.
    for name in ["n/größe und+plus%41.mp4", "n/a&b=c?d#e", "n/ leading", "n/\u{1f600}"] {
        objects.put(name, Bytes::copy_from_slice(name.as_bytes())).await.unwrap();
        assert_eq!(objects.get(name).await.unwrap().unwrap(), name);
    }
    assert_eq!(objects.list("n/").await.unwrap().len(), 4);
    objects.delete_prefix("n/").await.unwrap();
    assert!(objects.list("n/").await.unwrap().is_empty());

    // Listed and deleted by prefix, neighbours untouched.
    objects.put("ab/x", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(objects.list("a/").await.unwrap(), ["a/b", "a/c/d", "a/e"]);
    objects.delete_prefix("a/").await.unwrap();
    assert!(objects.list("a/").await.unwrap().is_empty());
    assert_eq!(objects.get("ab/x").await.unwrap().unwrap(), "x");

    // Keys that could reach elsewhere.
    for key in [
        "",
        "/",
        "/etc/passwd",
        "a//b",
        "../x",
        "a/../../x",
        "a/.",
        "a/b/",
        "a\0b",
        "a\\b",
        &"k".repeat(2_000),
    ] {
        assert!(objects.put(key, Bytes::new()).await.is_err(), "{key:?}");
        assert!(objects.get(key).await.is_err(), "{key:?}");
        assert!(objects.open(key, None).await.is_err(), "{key:?}");
        assert_eq!(objects.path(key), None, "{key:?}");
    }
    for prefix in ["", "/", "a", "../", "a/../"] {
        assert!(objects.delete_prefix(prefix).await.is_err(), "{prefix:?}");
        assert!(objects.list(prefix).await.is_err(), "{prefix:?}");
    }

    // Many writers of one object leave one whole object.
    let writers = (0..16u8).map(|n| objects.put("race/x", Bytes::from(vec![n; 100_000])));
    for result in futures::future::join_all(writers).await {
        result.unwrap();
    }
    let bytes = objects.get("race/x").await.unwrap().unwrap();
    assert!(bytes.len() == 100_000 && bytes.iter().all(|byte| *byte == bytes[0]));
}

#[tokio::test]
async fn disk_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let objects = DiskObjects::open(folder.path().join("objects")).await.unwrap();
    conforms(&objects).await;
    assert!(objects.path("a/b").is_some(), "a disk is read in place");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_conforms() {
    let service = S3Service::garage();
    let bucket = service.make_bucket().await;
    conforms(&service.open(&bucket).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_conforms_below_a_prefix() {
    let service = S3Service::garage();
    let bucket = service.make_bucket().await;
    let url = service.url(&bucket, "").replace('?', "/lectern/prod?");
    let objects = S3Objects::open(&url, Some(service.credentials.clone())).await.unwrap();
    service
        .client()
        .put_object()
        .bucket(&bucket)
        .key("a/neighbour")
        .body(b"n".to_vec().into())
        .send()
        .await
        .unwrap();
    conforms(&objects).await;
    let left = service.client().list_objects_v2().bucket(&bucket).prefix("a/").send().await.unwrap();
    assert_eq!(left.key_count(), Some(1), "the neighbour outside the prefix is untouched");
}

#[tokio::test]
async fn disk_forgets_what_a_dead_process_left_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    DiskObjects::open(root.clone()).await.unwrap();
    std::fs::write(root.join(".partial/left"), b"half").unwrap();
    DiskObjects::open(root.clone()).await.unwrap();
    assert!(!root.join(".partial/left").exists());
}
