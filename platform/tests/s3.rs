//! What only the S3 form of the object store has: pages, encryption, addressing, multipart uploads.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lectern_platform::{
    objects::{Completion, Multipart as _, Objects as _, S3Objects},
    testing::s3::S3Service,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listing_and_deleting_cross_pages() {
    let service = S3Service::garage();
    let objects = service.open(&service.make_bucket().await).await.unwrap();
    let keys: Vec<String> = (0..1_050).map(|n| format!("many/{n:04}")).collect();
    let puts = keys.iter().map(|key| objects.put(key, Bytes::from_static(b"x")));
    stream::iter(puts).buffer_unordered(32).try_collect::<Vec<()>>().await.unwrap();
    objects.put("manya", Bytes::new()).await.unwrap();
    assert_eq!(objects.list("many/").await.unwrap(), keys);
    objects.delete_prefix("many/").await.unwrap();
    assert!(objects.list("many/").await.unwrap().is_empty());
    assert_eq!(objects.size("manya").await.unwrap(), Some(0));
}

#[tokio::test]
async fn every_write_asks_for_the_encryption_that_was_set() {
    // moto repeats what it was told.
    let service = S3Service::moto();
    for (sse, algorithm, key) in [
        ("", None, None),
        ("&sse=AES256", Some("AES256"), None),
        ("&sse=aws:kms", Some("aws:kms"), None),
        ("&sse=aws:kms:alias/lectern", Some("aws:kms"), Some("alias/lectern")),
    ] {
        let bucket = service.make_bucket().await;
        let url = service.url(&bucket, sse);
        let objects = S3Objects::open(&url, Some(service.credentials.clone())).await.unwrap();
        objects.put("one", Bytes::from_static(b"x")).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, vec![1; 9 << 20]).unwrap();
        objects.put_file("parts", &file).await.unwrap();
        for name in ["one", "parts"] {
            let head = service.client().head_object().bucket(&bucket).key(name).send().await.unwrap();
            // AWS, and moto as AWS, encrypts with AES256 when nothing is said.
            let said = head.server_side_encryption().map(|sse| sse.as_str().to_owned());
            assert!(
                said.as_deref() == algorithm || (algorithm.is_none() && said.as_deref() == Some("AES256")),
                "{said:?}"
            );
            assert_eq!(head.ssekms_key_id(), key, "{name} {sse}");
        }
    }
}

#[tokio::test]
async fn buckets_may_be_in_the_hosts_name() {
    let service = S3Service::garage();
    let bucket = service.make_bucket().await;
    let port = service.address().rsplit(':').next().unwrap().to_owned();
    let url = format!("s3://{bucket}?endpoint=http://s3.garage.localhost:{port}&region={}", service.region);
    let objects = S3Objects::open(&url, Some(service.credentials.clone())).await.unwrap();
    let id = service.open(&bucket).await.unwrap().create("a/b").await.unwrap();
    let part = objects.presign_part("a/b", &id, 1, Duration::from_mins(1)).await.unwrap();
    let host = format!("{bucket}.s3.garage.localhost");
    assert!(part.expose().starts_with(&format!("http://{host}:{port}/a/b?")), "{}", part.expose());
    assert!(!format!("{part:?}").contains("http"), "{part:?}");
    // No name server knows the host here.
    let here = format!("127.0.0.1:{port}").parse().unwrap();
    let browser = reqwest::Client::builder().no_proxy().resolve(&host, here).build().unwrap();
    let answer = browser.put(part.expose()).body("hello").send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    let objects = service.open(&bucket).await.unwrap();
    let parts = objects.parts("a/b", &id).await.unwrap().unwrap();
    assert_eq!(parts.iter().map(|part| (part.number, part.bytes)).collect::<Vec<_>>(), [(1, 5)]);
    assert_eq!(objects.complete("a/b", &id, &parts).await.unwrap(), Completion::Done);
    assert_eq!(objects.get("a/b").await.unwrap().unwrap(), "hello");
}

#[tokio::test]
async fn multipart_uploads() {
    for service in [S3Service::garage(), S3Service::moto()] {
        let objects = service.open(&service.make_bucket().await).await.unwrap();
        let large = Bytes::from(vec![7; 5 << 20]);
        let id = objects.create("m/one").await.unwrap();
        assert_eq!(objects.parts("m/one", &id).await.unwrap(), Some(Vec::new()));
        // Out of order, and one of them twice.
        objects.put_part("m/one", &id, 2, Bytes::from_static(b"end")).await.unwrap();
        objects.put_part("m/one", &id, 1, Bytes::from_static(b"wrong")).await.unwrap();
        objects.put_part("m/one", &id, 1, large.clone()).await.unwrap();
        let open = objects.open_multiparts(Some("m/")).await.unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].key.as_str(), &open[0].id), ("m/one", &id));
        let age = lectern_domain::Timestamp::now_utc() - open[0].created_at;
        // moto does not say when, but a day that is long gone.
        assert!(age.whole_seconds() >= -60, "{age}");
        assert_eq!(objects.size("m/one").await.unwrap(), None, "not there before it is complete");
        let parts = objects.parts("m/one", &id).await.unwrap().unwrap();
        assert_eq!(parts.iter().map(|part| part.bytes).collect::<Vec<_>>(), [5 << 20, 3]);
        let mut wrong = parts.clone();
        wrong[1].etag = "\"00000000000000000000000000000000\"".into();
        assert!(matches!(objects.complete("m/one", &id, &wrong).await.unwrap(), Completion::Refused(_)));
        assert_eq!(objects.complete("m/one", &id, &parts).await.unwrap(), Completion::Done);
        assert_eq!(objects.size("m/one").await.unwrap(), Some((5 << 20) + 3));
        // Once more: AWS and moto say that it is done, Garage that there is no such upload (any more).
        let again = objects.complete("m/one", &id, &parts).await.unwrap();
        assert!(matches!(again, Completion::Done | Completion::Gone), "{again:?}");
        assert_eq!(objects.size("m/one").await.unwrap(), Some((5 << 20) + 3));
        assert_eq!(objects.parts("m/one", &id).await.unwrap(), None);

        // Aborted, by itself and with its prefix.
        let id = objects.create("m/two").await.unwrap();
        objects.put_part("m/two", &id, 1, large.clone()).await.unwrap();
        objects.abort("m/two", &id).await.unwrap();
        objects.abort("m/two", &id).await.unwrap();
        assert_eq!(objects.parts("m/two", &id).await.unwrap(), None);
        // moto answers 500 to this.
        if service.region == "garage" {
            assert_eq!(objects.complete("m/two", &id, &parts).await.unwrap(), Completion::Gone);
        }
        objects.create("m/three").await.unwrap();
        objects.create("ma/four").await.unwrap();
        objects.delete_prefix("m/").await.unwrap();
        let left = objects.open_multiparts(None).await.unwrap();
        assert_eq!(left.iter().map(|open| open.key.as_str()).collect::<Vec<_>>(), ["ma/four"]);
        assert!(objects.open_multiparts(Some("m/")).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_and_a_wrong_secret_are_told_apart() {
    let service = S3Service::garage();
    let error = service.open("there-is-no-such-bucket").await.unwrap().check().await.unwrap_err().to_string();
    assert!(error.contains("404"), "{error}");
    let bucket = service.make_bucket().await;
    let mut wrong = service.clone();
    wrong.credentials.secret_key = "hunter2".to_owned().into();
    let objects = wrong.open(&bucket).await.unwrap();
    for error in [objects.check().await.unwrap_err(), objects.put("a/b", Bytes::new()).await.unwrap_err()] {
        assert!(error.to_string().contains("403"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    assert!(!format!("{objects:?}").contains("hunter2"));
}
