//! Uploads by tus into a bucket. What is common to both forms is in `protocol.rs`, `transfers.rs` and `clients.rs`.

mod bytes;
mod faults;
#[path = "../harness/mod.rs"]
mod harness;
mod processes;

use std::sync::{Arc, atomic::AtomicU64};

use harness::{House, asset_state, begin_patch, open_state_on, probe_jobs, settings, sha256};
use lectern_domain::ids::AssetId;
use lectern_platform::objects::S3Objects;
use lectern_store::uploads::UploadState;
use tokio::net::TcpListener;

/// Parts of uploads that are not huge.
const PART: usize = 8 << 20;

/// Another process: on the same database and bucket, with nothing else in common.
async fn beside(house: &House) -> House {
    beside_on(house, house.bucket.clone().unwrap()).await
}

async fn beside_on(house: &House, objects: S3Objects) -> House {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().to_owned();
    std::fs::copy(house.folder.join("master.key"), folder.join("master.key")).unwrap();
    let shared = Arc::new(objects.clone());
    let clock = Arc::new(house.clock.clone());
    let state =
        open_state_on(shared, house.db.clone(), &folder, clock, settings(), Arc::new(AtomicU64::new(0)))
            .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, lectern_ingest::router(state.clone())).into_future());
    House::of(house, state, address, folder, objects, temporary)
}

async fn assert_source(house: &House, path: &str, asset: AssetId, bytes: &[u8]) {
    let source = house.source(asset).await.expect("a stored source");
    assert_eq!((source.len(), sha256(&source)), (bytes.len(), sha256(bytes)));
    assert_eq!(house.upload(path).await.state, UploadState::Finished);
    assert_eq!(asset_state(&house.db, asset).await, "probing");
    assert_eq!(probe_jobs(&house.db, asset).await, 1);
}
