//! Direct uploads as a client sees them, on a real S3 server: announced here, sent there, completed here, by an event of
//! the bucket, by the sweep, or by all of them.

mod harness;

use std::time::Duration;

use harness::{
    House, asset_state,
    direct::{Direct, PART, PATH, creation},
    eventually, settings,
};
use lectern_domain::storage_key;
use lectern_ingest::{
    IngestSettings,
    s3_events::{listen, take},
    sweep,
};
use lectern_platform::{
    objects::{Multipart as _, MultipartId, Objects as _},
    sqs::Inbox,
    testing::{FaultProxy, s3::S3Service},
};
use lectern_store::{
    Db,
    testing::{on_both_engines, on_sqlite},
    uploads::UploadState,
};
use serde_json::{Value, json};

fn garage(db: Db) -> impl Future<Output = Direct> {
    Direct::open(db, S3Service::garage(), settings())
}

#[tokio::test]
async fn a_folder_takes_no_direct_uploads() {
    on_sqlite(|db| {
        Box::pin(async move {
            let house = House::open(db, settings()).await;
            let body = json!({"filename": "a", "size": 1, "metadata": {"lesson_id": house.people.lesson}})
                .to_string();
            for (method, path) in [
                ("POST", PATH.to_owned()),
                ("GET", format!("{PATH}/upl_x")),
                ("GET", format!("{PATH}/upl_x/1")),
            ] {
                let answer = house.owner(method, &path, &[], body.as_bytes()).await;
                assert_eq!(
                    (answer.status, answer.code().as_str()),
                    (404, "no_direct_uploads"),
                    "{method} {path}"
                );
            }
        })
    })
    .await;
}

#[tokio::test]
async fn parts_go_to_the_bucket_and_become_one_source() {
    on_both_engines(|db| async move {
        let direct = garage(db).await;
        let sending = direct.create(2 * PART + 17).await;
        assert_eq!(asset_state(&direct.house.db, sending.asset).await, "awaiting_upload");
        let parts = direct.send(&sending).await;
        assert_eq!(asset_state(&direct.house.db, sending.asset).await, "uploading");
        assert!(
            direct.house.source(sending.asset).await.is_none(),
            "nothing is readable before it is complete"
        );

        // What is there, as a client that resumes asks.
        let listed = direct.owner("GET", &format!("{PATH}/{}", sending.id), &Value::Null).await.json();
        let sizes: Vec<u64> =
            listed.as_array().unwrap().iter().map(|part| part["Size"].as_u64().unwrap()).collect();
        assert_eq!(sizes, [PART as u64, PART as u64, 17]);
        assert_eq!(listed[1]["PartNumber"], 2);
        assert_eq!(listed[1]["ETag"], parts[1]["ETag"]);

        // Several URLs at once, and the other place of the same routes.
        let other = format!("/api/v1/uploads/s3/multipart/{}/batch?partNumbers=1,3&key=x", sending.id);
        let urls = direct.owner("GET", &other, &Value::Null).await.json();
        assert_eq!(urls["presignedUrls"].as_object().unwrap().len(), 2);
        assert!(urls["presignedUrls"]["3"].as_str().unwrap().contains("partNumber=3"));

        let answer = direct.complete(&sending, &parts).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["location"], format!("/api/v1/assets/{}", sending.asset));
        direct.assert_finished(&sending).await;

        // Again, in any form; and nothing else is taken any more.
        for _ in 0..4 {
            assert_eq!(direct.complete(&sending, &parts).await.status, 200);
        }
        assert_eq!(direct.complete(&sending, &[]).await.status, 200);
        for (method, path) in [("GET", "/1"), ("GET", ""), ("DELETE", "")] {
            let answer = direct.owner(method, &format!("{PATH}/{}{path}", sending.id), &Value::Null).await;
            assert_eq!((answer.status, answer.code().as_str()), (409, "upload_finished"), "{method} {path}");
        }
        direct.assert_finished(&sending).await;
    })
    .await;
}

#[tokio::test]
async fn creations_are_checked_as_those_of_tus_are() {
    on_sqlite(|db| {
        Box::pin(async move {
            let limits = IngestSettings {
                max_size_bytes: 1_000,
                quota_bytes: 1_500,
                max_open_uploads: 3,
                ..settings()
            };
            let direct = Direct::open(db, S3Service::garage(), limits).await;
            let people = direct.house.people.clone();
            let lesson = |lesson| creation(lesson, 1);
            let good = || lesson(people.lesson);
            let table = [
                (None, good(), 401, "unauthenticated"),
                (Some(people.student), good(), 403, "forbidden"),
                // A draft of somebody else is not to be known of.
                (Some(people.other), good(), 404, "not_found"),
                (Some(people.other), lesson(people.second_lesson), 403, "not_owner"),
                (Some(people.owner), lesson(people.text_lesson), 400, "invalid_request"),
                (Some(people.owner), json!({"size": 1}), 400, "invalid_request"),
                (Some(people.owner), json!([]), 400, "invalid_request"),
                (Some(people.owner), Value::Null, 400, "invalid_request"),
                (Some(people.owner), direct.creation(0), 400, "invalid_request"),
                (Some(people.owner), direct.creation(1_001), 413, "too_large"),
            ];
            for (user, body, status, code) in table {
                let answer = direct.ask(user, "POST", PATH, &body).await;
                assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
            }
            direct.create(1_000).await;
            let answer = direct.ask(Some(people.owner), "POST", PATH, &lesson(people.second_lesson)).await;
            assert_eq!(answer.status, 201);
            let mut large = lesson(people.second_lesson);
            large["size"] = 600.into();
            let answer = direct.ask(Some(people.owner), "POST", PATH, &large).await;
            assert_eq!((answer.status, answer.code().as_str()), (413, "quota_exceeded"));
            assert_eq!(direct.ask(Some(people.owner), "POST", PATH, &good()).await.status, 201);
            let answer = direct.ask(Some(people.owner), "POST", PATH, &good()).await;
            assert_eq!((answer.status, answer.code().as_str()), (429, "too_many_uploads"));
            // What was refused left nothing in the bucket.
            assert_eq!(direct.open_multiparts().await, 3);
            let answer = direct.owner("PUT", PATH, &Value::Null).await;
            assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"));
        })
    })
    .await;
}

#[tokio::test]
async fn uploads_are_their_owners() {
    on_sqlite(|db| {
        Box::pin(async move {
            let direct = garage(db).await;
            let sending = direct.create(5).await;
            let people = direct.house.people.clone();
            let requests =
                [("GET", "", ""), ("GET", "/1", ""), ("POST", "/complete", "{}"), ("DELETE", "", "")];
            for (method, path, body) in requests {
                let body = if body.is_empty() { Value::Null } else { json!({}) };
                let path = format!("{PATH}/{}{path}", sending.id);
                for (user, status, code) in [
                    (None, 401, "unauthenticated"),
                    (Some(people.other), 404, "not_found"),
                    (Some(people.student), 404, "not_found"),
                ] {
                    let answer = direct.ask(user, method, &path, &body).await;
                    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{method} {path}");
                }
            }
            // tus does not know it, and the other way round.
            let tus = format!("/uploads/{}", sending.id);
            for method in ["HEAD", "PATCH", "DELETE"] {
                let answer =
                    direct.house.owner(method, &tus, &[("Upload-Offset", "0"), harness::TUS_BODY], b"").await;
                assert_eq!(answer.status, 404, "{method}");
            }
            let (tus, _) = direct.house.create(5).await;
            let id = tus.rsplit('/').next().unwrap();
            assert_eq!(direct.owner("GET", &format!("{PATH}/{id}"), &Value::Null).await.status, 404);
            // The tus upload took the lesson over: the direct one has ended.
            let answer = direct.owner("GET", &format!("{PATH}/{}/1", sending.id), &Value::Null).await;
            assert_eq!((answer.status, answer.code().as_str()), (410, "upload_gone"));
            for number in ["0", "10001", "x"] {
                let path = format!("{PATH}/{}/{number}", direct.create(5).await.id);
                let answer = direct.owner("GET", &path, &Value::Null).await;
                assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"), "{number}");
            }
        })
    })
    .await;
}

#[tokio::test]
async fn what_is_stored_is_held_against_what_was_announced() {
    on_sqlite(|db| {
        Box::pin(async move {
            let direct = garage(db).await;
            let sending = direct.create(PART + 10).await;
            let refused = async |parts: &[Value], status: u16, code: &str| {
                let answer = direct.complete(&sending, parts).await;
                assert_eq!((answer.status, answer.code().as_str()), (status, code), "{parts:?}");
                assert_eq!(direct.row(&sending).await.state, UploadState::Open);
                assert!(direct.house.source(sending.asset).await.is_none());
            };
            refused(&[], 409, "upload_incomplete").await;
            let first = direct.put(&sending, 1, &sending.bytes[..PART]).await;
            refused(std::slice::from_ref(&first), 409, "upload_incomplete").await;
            let long = direct.put(&sending, 2, &[7; 11]).await;
            refused(&[first.clone(), long.clone()], 413, "longer_than_announced").await;
            let last = direct.put(&sending, 2, &sending.bytes[PART..]).await;
            refused(&[first.clone(), long], 409, "upload_incomplete").await;
            refused(
                &[first.clone(), last.clone(), json!({"PartNumber": 3, "ETag": "x"})],
                409,
                "upload_incomplete",
            )
            .await;
            refused(&[json!({"PartNumber": "1", "ETag": "x"})], 400, "invalid_request").await;
            assert_eq!(direct.complete(&sending, &[last, first]).await.status, 200);
            direct.assert_finished(&sending).await;
        })
    })
    .await;
    // Parts that are too small: moto says so, as AWS does; Garage takes them.
    on_sqlite(|db| {
        Box::pin(async move {
            let direct = Direct::open(db, S3Service::moto(), settings()).await;
            let sending = direct.create(20).await;
            let parts = [direct.put(&sending, 1, &[1; 10]).await, direct.put(&sending, 2, &[2; 10]).await];
            let answer = direct.complete(&sending, &parts).await;
            assert_eq!((answer.status, answer.code().as_str()), (409, "parts_refused"), "{answer:?}");
            assert_eq!(direct.row(&sending).await.state, UploadState::Open);
        })
    })
    .await;
}

#[tokio::test]
async fn ending_an_upload_leaves_nothing() {
    on_sqlite(|db| {
        Box::pin(async move {
            let direct = garage(db).await;
            let sending = direct.create(PART + 10).await;
            let late = direct.url(&sending, 2).await;
            direct.put(&sending, 1, &sending.bytes[..PART]).await;
            let path = format!("{PATH}/{}", sending.id);
            assert_eq!(direct.owner("DELETE", &path, &Value::Null).await.status, 200);
            assert_eq!(direct.row(&sending).await.state, UploadState::Terminated);
            assert_eq!(asset_state(&direct.house.db, sending.asset).await, "deleted");
            assert_eq!(direct.open_multiparts().await, 0);
            let answer = direct.owner("DELETE", &path, &Value::Null).await;
            assert_eq!((answer.status, answer.code().as_str()), (410, "upload_gone"));
            // A URL that was given out before is worth nothing now.
            let sent = reqwest::Client::new().put(late).body("x").send().await.unwrap();
            assert_eq!(sent.status(), 404);
        })
    })
    .await;
}

#[tokio::test]
async fn the_sweep_finishes_what_nobody_told_and_removes_what_nobody_wants() {
    on_sqlite(|db| {
        Box::pin(async move {
            let direct = garage(db).await;
            let state = &direct.house.state;
            // Every part came, and the client was never seen again.
            let told_by_nobody = direct.create(PART + 10).await;
            direct.send(&told_by_nobody).await;
            // Joined, and the house died.
            let joined = direct.create_for(direct.house.people.second_lesson, PART + 10).await;
            direct.send(&joined).await;
            direct.complete_silently(&direct.row(&joined).await).await;
            let swept = sweep(state).await.unwrap();
            assert_eq!((swept.finished, swept.expired, swept.multiparts_aborted), (2, 0, 0), "{swept:?}");
            direct.assert_finished(&told_by_nobody).await;
            direct.assert_finished(&joined).await;

            // Half of it came: kept until its time is over, and asking for a part puts that off.
            let half = direct.create(PART + 10).await;
            direct.put(&half, 1, &half.bytes[..PART]).await;
            direct
                .house
                .clock
                .advance(settings().expires_after.checked_sub(Duration::from_hours(1)).unwrap());
            assert_eq!(sweep(state).await.unwrap().expired, 0);
            direct.url(&half, 2).await;
            direct.house.clock.advance(Duration::from_hours(2));
            assert_eq!(sweep(state).await.unwrap().expired, 0);
            direct.house.clock.advance(settings().expires_after);
            assert_eq!(sweep(state).await.unwrap().expired, 1);
            assert_eq!(direct.row(&half).await.state, UploadState::Expired);
            assert_eq!(direct.open_multiparts().await, 0);

            // The bucket itself threw the parts away.
            let thrown = direct.create(PART + 10).await;
            {
                let id = MultipartId(direct.row(&thrown).await.multipart_id.unwrap());
                direct.objects.abort(&storage_key::source(thrown.asset), &id).await.unwrap();
            }
            let answer = direct.complete(&thrown, &[]).await;
            assert_eq!((answer.status, answer.code().as_str()), (410, "upload_gone"));
            assert_eq!(sweep(state).await.unwrap().expired, 0);
            direct.house.clock.advance(settings().expires_after * 2);
            assert_eq!(sweep(state).await.unwrap().expired, 1);
            assert_eq!(asset_state(&direct.house.db, thrown.asset).await, "deleted");

            // An object of another size stands where the source should: nothing plays that.
            let other = direct.create(PART + 10).await;
            let id = MultipartId(direct.row(&other).await.multipart_id.unwrap());
            direct.objects.abort(&storage_key::source(other.asset), &id).await.unwrap();
            direct.objects.put(&storage_key::source(other.asset), "other".into()).await.unwrap();
            let answer = direct.complete(&other, &[]).await;
            assert_eq!((answer.status, answer.code().as_str()), (409, "wrong_size"));
            assert_eq!(asset_state(&direct.house.db, other.asset).await, "deleted");

            // A multipart upload that no row names, older than any upload is kept (the clock here is far ahead).
            let known = direct.create(PART + 10).await;
            direct.objects.create("work/x/y").await.unwrap();
            assert_eq!(sweep(state).await.unwrap().multiparts_aborted, 1);
            assert_eq!(direct.open_multiparts().await, 1);
            direct.send(&known).await;
            assert_eq!(sweep(state).await.unwrap().finished, 1);
            direct.assert_finished(&known).await;
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completing_told_in_any_order_and_number_makes_one_job() {
    on_both_engines(|db| async move {
        let direct = garage(db).await;
        // Events first, the client after; the other way round; all of them five times at once.
        for order in 0..3 {
            let sending = direct.create(PART + 10).await;
            let parts = direct.send(&sending).await;
            let event = direct.event(sending.asset);
            let (state, place) = (&direct.house.state, direct.place());
            match order {
                0 => {
                    direct.complete_silently(&direct.row(&sending).await).await;
                    take(state, &place, &event).await.unwrap();
                    assert_eq!(direct.complete(&sending, &parts).await.status, 200);
                }
                1 => {
                    assert_eq!(direct.complete(&sending, &parts).await.status, 200);
                    take(state, &place, &event).await.unwrap();
                }
                _ => {
                    let clients =
                        futures::future::join_all((0..5).map(|_| direct.complete(&sending, &parts)));
                    let events = futures::future::join_all((0..5).map(|_| take(state, &place, &event)));
                    let (clients, events, swept) = tokio::join!(clients, events, sweep(state));
                    assert!(clients.iter().all(|answer| answer.status == 200), "{clients:?}");
                    assert!(events.iter().all(Result::is_ok), "{events:?}");
                    swept.unwrap();
                }
            }
            direct.assert_finished(&sending).await;
        }
        // An event of an object that is not complete, of a deleted asset's, and of nobody's.
        let sending = direct.create(PART + 10).await;
        let event = direct.event(sending.asset);
        take(&direct.house.state, &direct.place(), &event).await.unwrap();
        assert_eq!(direct.row(&sending).await.state, UploadState::Open);
        assert_eq!(direct.owner("DELETE", &format!("{PATH}/{}", sending.id), &Value::Null).await.status, 200);
        take(&direct.house.state, &direct.place(), &event).await.unwrap();
        take(&direct.house.state, &direct.place(), "nonsense").await.unwrap();
        assert_eq!(asset_state(&direct.house.db, sending.asset).await, "deleted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_the_bucket_come_over_sqs() {
    on_sqlite(|db| {
        Box::pin(async move {
            let service = S3Service::moto();
            let direct = Direct::open(db, service.clone(), settings()).await;
            let queue = service.make_events_queue(&direct.bucket).await;
            let inbox = Inbox::open(&queue, Some(service.credentials.clone())).await.unwrap();
            assert_eq!(service.messages(&queue).await, 1, "moto sends a test event first");
            let sending = direct.create(PART + 10).await;
            direct.send(&sending).await;
            direct.complete_silently(&direct.row(&sending).await).await;
            // Not one of ours.
            direct.objects.put("work/other", "x".into()).await.unwrap();
            assert!(service.messages(&queue).await >= 3);
            tokio::spawn(listen(direct.house.state.clone(), inbox, direct.place()));
            eventually("every message was dealt with", async || service.messages(&queue).await == 0).await;
            direct.assert_finished(&sending).await;

            // And the next one.
            let second = direct.create(PART + 10).await;
            direct.send(&second).await;
            direct.complete_silently(&direct.row(&second).await).await;
            eventually("the second upload finished", async || {
                direct.row(&second).await.state == UploadState::Finished
            })
            .await;
            direct.assert_finished(&second).await;
            direct.house.state.shutdown.begin();
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_the_bucket_refuses() {
    on_sqlite(|db| {
        Box::pin(async move {
            let service = S3Service::moto();
            let proxy = FaultProxy::start(service.address()).await;
            let direct = Direct::open(db, service.at(proxy.address()), settings()).await;
            let queue = service.make_events_queue(&direct.bucket).await;
            let sending = direct.create(PART + 10).await;
            let parts = direct.send(&sending).await;

            // 403 is an answer that no retry changes.
            proxy.answer_next(u32::MAX, 403);
            let answer = direct.complete(&sending, &parts).await;
            assert_eq!((answer.status, answer.code().as_str()), (503, "upload_not_finished"));
            assert!(answer.header("retry-after").is_some());
            let second = creation(direct.house.people.second_lesson, 5);
            let answer = direct.owner("POST", PATH, &second).await;
            assert_eq!((answer.status, answer.code().as_str()), (503, "storage_unavailable"));
            assert_eq!(sweep(&direct.house.state).await.unwrap().finished, 0);
            assert_eq!(direct.row(&sending).await.state, UploadState::Open);

            // The event comes, cannot be dealt with, and comes again until it can.
            proxy.answer_next(0, 403);
            direct.complete_silently(&direct.row(&sending).await).await;
            proxy.answer_next(u32::MAX, 403);
            let before = proxy.answered();
            let inbox = Inbox::open(&queue, Some(service.credentials.clone())).await.unwrap();
            tokio::spawn(listen(direct.house.state.clone(), inbox, direct.place()));
            eventually("the event came again", async || proxy.answered() >= before + 4).await;
            assert_eq!(direct.row(&sending).await.state, UploadState::Open);
            assert!(service.messages(&queue).await > 0);
            proxy.answer_next(0, 403);
            eventually("the event was dealt with", async || service.messages(&queue).await == 0).await;
            direct.assert_finished(&sending).await;
        })
    })
    .await;
}
