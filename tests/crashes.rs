//! SIGKILL of the server at random moments between upload and ready: the asset always ends `ready`, nothing is
//! published twice, nothing clear is left.

mod harness;

use std::time::{Duration, Instant};

use harness::{Server, course_and_lesson, draw, eventually, lesson, person, settled, watch};
use rand::RngExt as _;
use serde_json::json;

const KILLS: u32 = 20;
/// Frames of the source: twelve seconds at 25.
const FRAMES: u64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_an_asset_becomes_ready() {
    let folder = tempfile::tempdir().unwrap();
    let file = draw::clip(folder.path(), "Lecture.mp4", "640x360", 12);
    // Spans of one segment: more jobs, more seams, more moments to be killed at.
    let mut server = Server::start(folder.path(), &[("LECTERN__TRANSCODE__SPAN_MS", "4000")]).await;
    let instructor = person(&server, "ines", "instructor").await;
    let learner = person(&server, "lee", "student").await;
    let (course, first) = course_and_lesson(&instructor).await;
    learner.post(&format!("/api/v1/enrollments/{course}"), json!({})).await.unwrap();

    // Undisturbed, to know between which moments to kill.
    let since = Instant::now();
    let asset = instructor.upload(&first, &file, |_| {}).await.unwrap();
    assert_eq!(settled(&instructor, &asset, Duration::from_mins(1)).await["state"], "ready");
    let usual = since.elapsed();
    let segments = watch::whole_package(&server, &asset);

    let (mut kills, mut assets) = (0, Vec::new());
    while kills < KILLS {
        let lesson = lesson(&instructor, &course, &format!("Lesson {}", assets.len() + 2)).await;
        let asset = instructor.upload(&lesson, &file, |_| {}).await.unwrap();
        let mut of_this = 0;
        while kills < KILLS {
            // Later deaths come sooner, so that what they interrupt is taking up again.
            let longest = usual.mul_f64(if of_this == 0 { 1.0 } else { 0.6 });
            let moment = rand::rng().random_range(Duration::ZERO..longest);
            tokio::time::sleep(moment).await;
            let now = instructor.get(&format!("/api/v1/assets/{asset}")).await.unwrap();
            if now["state"] == "ready" {
                break;
            }
            server.kill();
            kills += 1;
            of_this += 1;
            println!("kill {kills} of {asset} while {} at {:.2}", now["state"], now["progress"]);
            server.again().await;
        }
        let end = settled(&instructor, &asset, Duration::from_mins(2)).await;
        assert_eq!(end["state"], "ready", "{end}");
        assets.push((asset, lesson));
    }
    println!("{kills} kills over {} assets; undisturbed, one takes {usual:?}", assets.len());

    eventually("clear intermediates are gone", Duration::from_secs(30), async || {
        server.files("objects/work").is_empty()
    })
    .await;
    assert_eq!(server.files("scratch"), Vec::<String>::new(), "children that ended left nothing");
    assert_eq!(server.files("uploads"), Vec::<String>::new());
    for (asset, lesson) in assets {
        assert_eq!(watch::whole_package(&server, &asset), segments, "{asset}");
        let decoded = watch::decoded_by_ffmpeg(&watch::native_url(&learner, &lesson).await);
        assert_eq!(decoded[&360], FRAMES, "{asset}: {decoded:?}");
    }
}
