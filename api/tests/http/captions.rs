//! Captions: what is taken, what is refused and why, and what is told to whom.

use lectern_domain::{account::Role, captions::MAX_TRACKS};
use lectern_store::{Db, testing::on_both_engines};
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, CAPTIONS, Person, Server};

struct World {
    server: Server,
    owner: Person,
    base: String,
}

impl World {
    async fn new(db: Db) -> Self {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let course = server.course(&owner, true).await;
        let lesson = server.lesson(&owner, course, true).await;
        let asset = server.asset(&owner, lesson).await;
        Self { server, owner, base: format!("/api/v1/assets/{asset}/captions") }
    }

    async fn put(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let path = format!("{}/{path}", self.base);
        self.server.send_text(Method::PUT, &path, Some(&self.owner.token), body.into()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.server.get(&format!("{}{path}", self.base), Some(&self.owner)).await
    }
}

#[tokio::test]
async fn captions_are_kept_listed_replaced_and_removed() {
    on_both_engines(|db| async move {
        let world = World::new(db).await;
        let kept = world.put("PT-br?label=Portugu%C3%AAs&kind=subtitles", CAPTIONS).await.expect(201).body;
        assert_eq!(kept["language"], "pt-BR");
        assert_eq!(kept["label"], "Português");
        assert_eq!(
            (&kept["kind"], &kept["origin"], &kept["cues"]),
            (&json!("subtitles"), &json!("uploaded"), &json!(1))
        );
        world
            .put("en", "\u{feff}WEBVTT\r\n\r\n00:01.000 --> 00:02.000\r\n<b>Hi</b> <script>x</script>")
            .await
            .expect(201);
        let listed = world.get("").await.expect(200).body;
        assert_eq!(listed["published"], false, "the asset is not ready");
        let languages: Vec<_> =
            listed["items"].as_array().unwrap().iter().map(|one| one["language"].clone()).collect();
        assert_eq!(languages, ["en", "pt-BR"]);
        assert_eq!(listed["items"][0]["label"], "en", "the tag is the label");
        assert_eq!(listed["items"][0]["kind"], "captions");

        let file = world.get("/en").await.expect(200);
        assert_eq!(file.header("content-type"), "text/vtt; charset=utf-8");
        let text = file.body.as_str().unwrap();
        assert!(text.ends_with("00:00:01.000 --> 00:00:02.000\n<b>Hi</b> x\n"), "{text}");
        world.put("EN", CAPTIONS).await.expect(200);
        let text = world.get("/en").await.expect(200).body;
        assert!(text.as_str().unwrap().contains("Guten Tag"), "{text}");

        let path = format!("{}/en", world.base);
        world.server.delete(&path, &world.owner).await.expect(204);
        world.server.delete(&path, &world.owner).await.expect_code(404, "not_found");
        world.get("/en").await.expect_code(404, "not_found");
        assert_eq!(world.get("").await.body["items"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_a_caption_file_is_refused_with_the_line() {
    on_both_engines(|db| async move {
        let world = World::new(db).await;
        for (body, detail) in [
            (&b"%PDF-1.7\n%\xe2\xe3"[..], "line 2: expected UTF-8"),
            (b"", "expected SubRip or WebVTT, got an empty file"),
            (b"{\"a\": 1}", "line 1: expected \"WEBVTT\" or the number of a caption"),
            (b"1\n00:00:05,000 --> 00:00:04,000\nx", "line 2: expected a caption that ends after it begins"),
        ] {
            let refused = world.put("en", body).await.expect_code(400, "not_captions");
            let said = refused.text("detail");
            assert!(said.starts_with(detail), "{said}");
        }
        let large = "x".repeat(2 * 1024 * 1024 + 1);
        world.put("en", large).await.expect_code(413, "payload_too_large");
        for path in [
            "zxx",
            "english",
            "en_US",
            "..%2f",
            "en?kind=chapters",
            "en?label=%20",
            "en?label=a%0Ab",
            "en?x=1",
        ] {
            world.put(path, CAPTIONS).await.expect_code(400, "invalid_request");
        }
        assert_eq!(world.get("").await.body["items"], json!([]), "nothing of it was kept");
    })
    .await;
}

#[tokio::test]
async fn there_is_an_end_to_languages() {
    on_both_engines(|db| async move {
        let world = World::new(db).await;
        for number in 0..MAX_TRACKS {
            world.put(&format!("en-x-{number}"), CAPTIONS).await.expect(201);
        }
        world.put("de", CAPTIONS).await.expect_code(409, "too_many_captions");
        world.put("en-x-0", CAPTIONS).await.expect(200);
    })
    .await;
}
