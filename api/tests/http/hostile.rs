//! Requests that no honest client sends. Each gets a problem document, and the server goes on.

use lectern_domain::account::Role;
use lectern_store::testing::on_both_engines;
use reqwest::{Method, header::CONTENT_TYPE};

use crate::support::{Answer, Server};

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let post = async |content_type: Option<&str>, body: Vec<u8>| {
            let mut request = server
                .client
                .post(format!("{}/api/v1/courses", server.base))
                .bearer_auth(&owner.token)
                .body(body);
            if let Some(content_type) = content_type {
                request = request.header(CONTENT_TYPE, content_type);
            }
            Answer::of(request.send().await.unwrap()).await
        };
        let deep =
            format!(r#"{{"title":"x","description":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let deep_unknown =
            format!(r#"{{"title":"x","extra":{}{}}}"#, r#"{"a":"#.repeat(50_000), "}".repeat(50_000));
        for body in [
            &b""[..],
            b" ",
            b"null",
            b"[]",
            b"\"title\"",
            b"1",
            b"{",
            b"{}",
            b"{\"title\":}",
            b"{\"title\":null}",
            b"{\"title\":1}",
            b"{\"title\":[\"x\"]}",
            b"{\"title\":{}}",
            b"{\"title\":\"x\"} trailing",
            b"{\"title\":\"x\"}{\"title\":\"x\"}",
            b"{\"title\":\"x\",\"title\":\"y\"}",
            b"{\"title\":\"x\",\"price\":{\"amount_minor\":1,\"amount_minor\":2,\"currency\":\"EUR\"}}",
            b"{\"title\":\"x\",\"owner_id\":\"usr_018f2f3a5c7b7cc3a1b2c3d4e5f60718\"}",
            b"{\"title\":\"x\",\"published_status\":\"published\"}",
            b"{\"title\":\"x\",\"__proto__\":{}}",
            b"{\"TITLE\":\"x\"}",
            b"{\"title\":\"a\\u0000b\"}",
            b"{\"title\":\"\\ud800\"}",
            b"{\"title\":\"\xff\xfe\"}",
            b"{\"title\":\"a\x00b\"}",
            b"{\"title\":\"\\n\"}",
            b"\xef\xbb\xbf{\"title\":\"x\"}",
            b"{\"title\":\"x\",\"description\":\"a\\u0000b\"}",
            b"{\"title\":\"x\",\"price\":1}",
            b"{\"title\":\"x\",\"price\":{}}",
            b"{\"title\":\"x\",\"price\":{\"amount_minor\":-1,\"currency\":\"EUR\"}}",
            b"{\"title\":\"x\",\"price\":{\"amount_minor\":1.5,\"currency\":\"EUR\"}}",
            b"{\"title\":\"x\",\"price\":{\"amount_minor\":1e999,\"currency\":\"EUR\"}}",
            b"{\"title\":\"x\",\"price\":{\"amount_minor\":9223372036854775808,\"currency\":\"EUR\"}}",
            b"{\"title\":\"x\",\"price\":{\"amount_minor\":1,\"currency\":\"eur\"}}",
            b"{\"title\":\"x\",\"price\":{\"amount_minor\":1,\"currency\":\"EURO\"}}",
            b"{\"title\":\"x\",\"price\":{\"amount_minor\":1,\"currency\":\"\xe2\x82\xac\"}}",
            deep.as_bytes(),
            deep_unknown.as_bytes(),
            format!(r#"{{"title":"{}"}}"#, "x".repeat(201)).as_bytes(),
            format!(r#"{{"title":"x","description":"{}"}}"#, "x".repeat(20_001)).as_bytes(),
        ] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
            let answer = post(Some("application/json"), body.to_vec()).await;
            assert_eq!(answer.status, 400, "{shown}: {answer:?}");
            let detail = answer.expect_code(400, "invalid_request").text("detail");
            assert!(detail.len() < 1_000, "{shown}: the answer does not echo everything");
        }
        post(Some("application/json"), vec![b' '; 3 * 1024 * 1024])
            .await
            .expect_code(413, "payload_too_large");
        for content_type in
            [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("x"), Some("")]
        {
            post(content_type, b"{\"title\":\"x\"}".to_vec())
                .await
                .expect_code(415, "unsupported_media_type");
        }
        let fine = "{\"title\":\"\u{1F600} ok\",\"description\":\"\\u00e4\",\"price\":null}";
        post(Some("application/json; charset=utf-8"), fine.into()).await.expect(201);
        let longest =
            format!(r#"{{"title":"{}","description":"{}"}}"#, "ä".repeat(200), "\\u00e4".repeat(20_000));
        post(Some("application/json"), longest.into_bytes()).await.expect(201);
    })
    .await;
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let owner = server.person(Role::Instructor).await;
        let token = Some(owner.token.as_str());
        for path in [
            "/api",
            "/api/",
            "/api/v1",
            "/api/v2/courses",
            "/api/v1/nothing",
            "/api/v1/courses/",
            "/api/v1/auth",
            "/api/v1/courses/x/y/z",
            "/api/%00",
            "/api/%ff",
        ] {
            for method in [Method::GET, Method::POST, Method::DELETE] {
                server.send(method, path, token, None).await.expect_code(404, "not_found");
            }
        }
        for id in [
            "x",
            "crs_",
            "crs_xyz",
            "usr_018f2f3a5c7b7cc3a1b2c3d4e5f60718",
            "018f2f3a5c7b7cc3a1b2c3d4e5f60718",
            "%00",
            "%ff",
            "crs_018f2f3a5c7b7cc3a1b2c3d4e5f60718'--",
            &"x".repeat(5_000),
        ] {
            let answer = server.send(Method::GET, &format!("/api/v1/courses/{id}"), token, None).await;
            let answer = answer.expect_code(400, "invalid_request");
            assert!(answer.text("detail").len() < 300);
        }
        for kind in ["courses/crs", "lessons/les", "assets/ast", "progress/les"] {
            let path = format!("/api/v1/{kind}_018f2f3a5c7b7cc3a1b2c3d4e5f60718");
            server.send(Method::GET, &path, token, None).await.expect_code(404, "not_found");
        }
        for (method, path, allow) in [
            (Method::PUT, "/api/v1/courses", "GET,HEAD,POST"),
            (Method::GET, "/api/v1/auth/login", "POST"),
            (Method::DELETE, "/.well-known/jwks.json", "GET,HEAD"),
        ] {
            let answer = server.send(method, path, token, None).await.expect_code(405, "method_not_allowed");
            assert_eq!(answer.header("allow"), allow);
        }
        server.get("/api/v1/courses", None).await.expect(200);
    })
    .await;
}
