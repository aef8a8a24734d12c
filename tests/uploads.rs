//! tus-js-client and tuspy as published, against the real server, paused and resumed on the way and killed with
//! SIGKILL: the stored source equals the file.

mod harness;

use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use harness::{Client, Server, course_and_lesson, draw, eventually, installed, person, sha256};

/// Bytes of a part: small, so that a source has many.
const PART_BYTES: u64 = 512 << 10;

/// Uploads `file` with a client that pauses three times, while the server is killed twice. The stored source.
async fn upload(folder: &Path, client: [&Path; 2], file: &Path) {
    let mut server = Server::start(folder, &[]).await;
    let instructor = person(&server, "ines", "instructor").await;
    let (_, lesson) = course_and_lesson(&instructor).await;
    let length = std::fs::metadata(file).unwrap().len();
    let arguments = [
        format!("{}/uploads", server.url),
        instructor.access_token().to_owned(),
        lesson.clone(),
        file.display().to_string(),
        PART_BYTES.to_string(),
        "3".to_owned(),
    ];
    let program: Vec<_> = client.iter().map(|part| part.to_path_buf()).collect();
    let running = tokio::task::spawn_blocking(move || -> Output {
        Command::new(&program[0]).arg(&program[1]).args(arguments).output().unwrap()
    });
    let asset = killed_on_the_way(&mut server, &instructor, &lesson, length).await;
    let output = running.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", String::from_utf8_lossy(&output.stdout));

    let stored = server.data.join("objects/sources").join(&asset).join("original");
    eventually("the source is stored", Duration::from_secs(20), async || stored.exists()).await;
    assert_eq!(sha256(&stored), sha256(file));
    assert_eq!(server.files("uploads"), Vec::<String>::new());
}

/// Kills the server once a third and once two thirds of the bytes have come. The asset that is being uploaded.
async fn killed_on_the_way(server: &mut Server, instructor: &Client, lesson: &str, length: u64) -> String {
    let on_disk = |server: &Server| -> u64 {
        let sizes = server.files("uploads").into_iter().map(|name| {
            std::fs::metadata(server.data.join("uploads").join(name)).map_or(0, |found| found.len())
        });
        sizes.max().unwrap_or(0)
    };
    for share in [1, 2] {
        eventually("enough of the upload has come", Duration::from_mins(1), async || {
            on_disk(server) >= length * share / 3
        })
        .await;
        server.kill();
        server.again().await;
    }
    let lesson = instructor.get(&format!("/api/v1/lessons/{lesson}")).await.unwrap();
    lesson["asset_id"].as_str().expect("the lesson has the asset that is being uploaded").to_owned()
}

/// Noise does not compress: a short clip of some fifty megabytes.
fn large_clip(folder: &Path) -> std::path::PathBuf {
    draw::ffmpeg(
        folder,
        "Vorlesung 1 (Größen).mp4",
        "-f lavfi -i nullsrc=size=960x540:rate=25,geq=random(1)*255:128:128 -t 4 -c:v libx264 -preset ultrafast -qp 8 \
         -pix_fmt yuv420p",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn tus_js_client_uploads_through_kills() {
    let folder = tempfile::tempdir().unwrap();
    let file = large_clip(folder.path());
    installed("tests/clients/node_modules/tus-js-client");
    upload(folder.path(), [Path::new("node"), &installed("tests/clients/tus-js.mjs")], &file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tuspy_uploads_through_kills() {
    let folder = tempfile::tempdir().unwrap();
    let file = large_clip(folder.path());
    let python = installed("tests/clients/.venv/bin/python");
    upload(folder.path(), [&python, &installed("tests/clients/upload_tuspy.py")], &file).await;
}
