//! The object store's conformance suite. Every form of the door runs it.

use bytes::Bytes;
use futures::TryStreamExt as _;
use lectern_platform::objects::{DiskObjects, Objects};

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
    assert!(objects.local("a/b").await.unwrap().is_none());
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
    assert_eq!(std::fs::read(&objects.local("a/b").await.unwrap().unwrap().path).unwrap(), b"0123456789");
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
