//! Registering, signing in, refreshing, signing out, and what goes wrong with each.

use std::{num::NonZeroU32, time::Duration};

use lectern_api::{ApiSettings, CreateUserError, create_user};
use lectern_domain::account::Role;
use lectern_store::{accounts, testing::on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Answer, PASSWORD, Server};

async fn register(server: &Server, name: &str) -> Answer {
    let email = format!("{name}@example.org");
    let body = json!({ "email": email, "password": PASSWORD, "name": name });
    server.post("/api/v1/auth/register", None, body).await.expect(201)
}

async fn login(server: &Server, email: &str, password: &str) -> Answer {
    server.post("/api/v1/auth/login", None, json!({ "email": email, "password": password })).await
}

async fn refresh(server: &Server, token: &str) -> Answer {
    server.post("/api/v1/auth/refresh", None, json!({ "refresh_token": token })).await
}

async fn logout(server: &Server, token: &str) -> Answer {
    server.post("/api/v1/auth/logout", None, json!({ "refresh_token": token })).await
}

#[tokio::test]
async fn a_life_of_a_session() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let body = json!({ "email": " Ada@Example.org ", "password": PASSWORD, "name": "  Ada  ", "role": "instructor" });
        let session = server.post("/api/v1/auth/register", None, body).await.expect(201);
        let user = &session.body["user"];
        assert_eq!(user["email"], "ada@example.org");
        assert_eq!(user["name"], "Ada");
        assert_eq!(user["role"], "instructor");
        assert_eq!(user["created_at"], "2027-01-15T08:00:00Z");
        assert_eq!(session.body["expires_in"], 900);
        assert_eq!(session.header("cache-control"), "no-store");
        assert!(session.text("refresh_token").len() >= 43);

        let me = |token: String| {
            let server = &server;
            async move { server.send(Method::GET, "/api/v1/auth/me", Some(&token), None).await }
        };
        assert_eq!(me(session.text("access_token")).await.expect(200).body, *user);

        let again = login(&server, "ADA@example.org", PASSWORD).await.expect(200);
        assert_eq!(again.body["user"], *user);
        let next = refresh(&server, &again.text("refresh_token")).await.expect(200);
        assert_ne!(next.text("refresh_token"), again.text("refresh_token"));
        assert_eq!(me(next.text("access_token")).await.expect(200).body, *user);

        logout(&server, &next.text("refresh_token")).await.expect(204);
        refresh(&server, &next.text("refresh_token")).await.expect_code(401, "refresh_invalid");
        // Twice, and of something unknown: nothing more to end.
        logout(&server, &next.text("refresh_token")).await.expect(204);
        logout(&server, "unknown").await.expect(204);
        // The other sign-in goes on.
        refresh(&server, &session.text("refresh_token")).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn registrations_that_are_refused() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        register(&server, "ada").await;
        let good = json!({ "email": "new@example.org", "password": PASSWORD, "name": "New" });
        for (field, value, status, code) in [
            ("email", json!("ADA@example.org"), 409, "email_taken"),
            ("email", json!("ada"), 400, "invalid_request"),
            ("email", json!("a\u{0}da@example.org"), 400, "invalid_request"),
            ("email", json!(null), 400, "invalid_request"),
            ("password", json!("short"), 400, "invalid_request"),
            ("password", json!("x".repeat(1_025)), 400, "invalid_request"),
            ("password", json!(1_234_567_890), 400, "invalid_request"),
            ("name", json!("   "), 400, "invalid_request"),
            ("name", json!("x".repeat(201)), 400, "invalid_request"),
            ("name", json!("a\u{0}b"), 400, "invalid_request"),
            ("role", json!("admin"), 400, "invalid_request"),
            ("role", json!("king"), 400, "invalid_request"),
            ("disabled_at", json!(null), 400, "invalid_request"),
        ] {
            let mut body = good.clone();
            body[field] = value;
            let answer = server.post("/api/v1/auth/register", None, body).await.expect_code(status, code);
            if status == 400 {
                assert!(answer.text("detail").contains(field), "{answer:?}");
            }
            assert!(!answer.body.to_string().contains(PASSWORD));
        }
    })
    .await;
}

#[tokio::test]
async fn where_instructors_are_made_by_the_operator_nobody_registers_as_one() {
    on_both_engines(|db| async move {
        let closed = ApiSettings { open_instructor_registration: false, ..ApiSettings::default() };
        let closed = Server::start_with(db, closed).await;
        let mut body =
            json!({ "email": "new@example.org", "password": PASSWORD, "name": "New", "role": "instructor" });
        closed.post("/api/v1/auth/register", None, body.clone()).await.expect_code(403, "forbidden");
        body["role"] = "student".into();
        closed.post("/api/v1/auth/register", None, body).await.expect(201);
    })
    .await;
}

#[tokio::test]
async fn an_address_registered_twice_at_once_is_taken_once() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let body = json!({ "email": "ada@example.org", "password": PASSWORD, "name": "Ada" });
        let answers = futures::future::join_all(
            (0..8).map(|_| server.post("/api/v1/auth/register", None, body.clone())),
        )
        .await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 1);
        for answer in answers.into_iter().filter(|answer| answer.status != 201) {
            answer.expect_code(409, "email_taken");
        }
    })
    .await;
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_look_the_same() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        register(&server, "ada").await;
        let wrong = login(&server, "ada@example.org", "not the password").await;
        for email in ["nobody@example.org", "not an address", "", "a\u{0}b@example.org", &"x".repeat(100_000)]
        {
            let unknown = login(&server, email, PASSWORD).await.expect_code(401, "invalid_credentials");
            assert_eq!(unknown.body, wrong.body);
        }
        login(&server, "ada@example.org", &"x".repeat(1_025)).await.expect_code(400, "invalid_request");
        login(&server, "ada@example.org", "").await.expect_code(401, "invalid_credentials");
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_used_twice_ends_its_family_and_no_other() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let first = register(&server, "ada").await.text("refresh_token");
        let other = login(&server, "ada@example.org", PASSWORD).await.expect(200).text("refresh_token");
        let second = refresh(&server, &first).await.expect(200).text("refresh_token");
        let third = refresh(&server, &second).await.expect(200).text("refresh_token");
        refresh(&server, &first).await.expect_code(401, "refresh_reused");
        refresh(&server, &third).await.expect_code(401, "refresh_invalid");
        refresh(&server, &first).await.expect_code(401, "refresh_reused");
        refresh(&server, &other).await.expect(200);
        for nonsense in ["", "x", "\u{0}", &"x".repeat(100_000), &first[1..]] {
            refresh(&server, nonsense).await.expect_code(401, "refresh_invalid");
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again_for_ten_seconds() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let first = register(&server, "ada").await.text("refresh_token");
        // Reloaded again and again while the answer is on its way.
        for _ in 0..3 {
            refresh(&server, &first).await.expect(200);
            server.clock.advance(Duration::from_secs(3));
        }
        let arrived = refresh(&server, &first).await.expect(200).text("refresh_token");
        server.clock.advance(Duration::from_mins(14));
        let next = refresh(&server, &arrived).await.expect(200).text("refresh_token");
        // From the first use on, not from the latest.
        server.clock.advance(Duration::from_secs(10));
        refresh(&server, &arrived).await.expect_code(401, "refresh_reused");
        refresh(&server, &next).await.expect_code(401, "refresh_invalid");
    })
    .await;
}

#[tokio::test]
async fn the_grace_ends_when_the_answer_has_arrived() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let first = register(&server, "ada").await.text("refresh_token");
        let second = refresh(&server, &first).await.expect(200).text("refresh_token");
        server.clock.advance(Duration::from_secs(1));
        let third = refresh(&server, &second).await.expect(200).text("refresh_token");
        refresh(&server, &first).await.expect_code(401, "refresh_reused");
        for dead in [&second, &third] {
            assert_eq!(refresh(&server, dead).await.status, 401);
        }
    })
    .await;
}

/// A thief who is answered in the grace is found out when the owner refreshes with what the grace took away.
#[tokio::test]
async fn two_parties_in_the_grace_are_found_out() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let first = register(&server, "ada").await.text("refresh_token");
        let owner = refresh(&server, &first).await.expect(200).text("refresh_token");
        let thief = refresh(&server, &first).await.expect(200).text("refresh_token");
        server.clock.advance(Duration::from_mins(14));
        let thief = refresh(&server, &thief).await.expect(200).text("refresh_token");
        refresh(&server, &owner).await.expect_code(401, "refresh_invalid");
        refresh(&server, &thief).await.expect_code(401, "refresh_invalid");
    })
    .await;
}

#[tokio::test]
async fn of_many_refreshes_at_once_exactly_one_token_lives() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        for round in 0..5 {
            let name = format!("ada-{round}");
            let token = register(&server, &name).await.text("refresh_token");
            let answers = futures::future::join_all((0..12).map(|_| refresh(&server, &token))).await;
            let mut live = 0;
            for answer in answers {
                let hash = Sha256::digest(answer.expect(200).text("refresh_token"));
                let mut tx = server.db.begin().await.unwrap();
                let held = accounts::refresh_token(&mut tx, &hash).await.unwrap().unwrap();
                live += u32::from(held.revoked_at.is_none() && held.used_at.is_none());
            }
            assert_eq!(live, 1, "round {round}");
        }
    })
    .await;
}

/// A revocation beside a rotation of the same family: whatever the order, nothing of the family lives on.
#[tokio::test]
async fn a_token_issued_beside_a_revocation_does_not_survive_it() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        for round in 0..10 {
            let first = register(&server, &format!("ada-{round}")).await.text("refresh_token");
            let second = refresh(&server, &first).await.expect(200).text("refresh_token");
            server.clock.advance(Duration::from_secs(10));
            let (reused, rotated) = tokio::join!(refresh(&server, &first), refresh(&server, &second));
            reused.expect_code(401, "refresh_reused");
            if rotated.status == 200 {
                refresh(&server, &rotated.text("refresh_token")).await.expect_code(401, "refresh_invalid");
            } else {
                rotated.expect_code(401, "refresh_invalid");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn refresh_tokens_end_after_thirty_days_without_use() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let first = register(&server, "ada").await.text("refresh_token");
        server.clock.advance(Duration::from_hours(30 * 24) - Duration::from_secs(1));
        let second = refresh(&server, &first).await.expect(200).text("refresh_token");
        server.clock.advance(Duration::from_hours(30 * 24));
        refresh(&server, &second).await.expect_code(401, "refresh_invalid");
    })
    .await;
}

#[tokio::test]
async fn a_disabled_account_gets_no_session() {
    on_both_engines(|db| async move {
        let server = Server::start(db.clone()).await;
        let session = register(&server, "ada").await;
        let id = session.body["user"]["id"].as_str().unwrap().parse().unwrap();
        let now = lectern_domain::Timestamp::UNIX_EPOCH;
        assert!(accounts::set_disabled(&db, id, Some(now)).await.unwrap());
        login(&server, "ada@example.org", PASSWORD).await.expect_code(403, "user_disabled");
        // Only who knows the password learns that.
        login(&server, "ada@example.org", "not the password").await.expect_code(401, "invalid_credentials");
        refresh(&server, &session.text("refresh_token")).await.expect_code(403, "user_disabled");
        let token = session.text("access_token");
        server
            .send(Method::GET, "/api/v1/auth/me", Some(&token), None)
            .await
            .expect_code(403, "user_disabled");
        accounts::set_disabled(&db, id, None).await.unwrap();
        refresh(&server, &session.text("refresh_token")).await.expect(200);
    })
    .await;
}

async fn login_from(server: &Server, forwarded_for: &str, email: &str, password: &str) -> Answer {
    let request = server
        .client
        .post(format!("{}/api/v1/auth/login", server.base))
        .header("x-forwarded-for", forwarded_for)
        .json(&json!({ "email": email, "password": password }));
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn attempts_to_sign_in_are_limited_by_address_and_account() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        register(&server, "ada").await;
        register(&server, "eve").await;
        for n in 0..15 {
            // Anybody can write this header: it gives no new attempts.
            let forwarded = format!("192.0.2.{n}");
            let email = if n % 2 == 0 { "ada@example.org" } else { " ADA@example.org" };
            login_from(&server, &forwarded, email, "not the password").await.expect(401);
        }
        let refused = login(&server, "ada@example.org", PASSWORD).await.expect_code(429, "too_many_requests");
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=21).contains(&wait), "{wait}");
        login(&server, "eve@example.org", PASSWORD).await.expect(200);
        server.clock.advance(Duration::from_secs(wait));
        login(&server, "ada@example.org", PASSWORD).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_clients_are_told_apart() {
    on_both_engines(|db| async move {
        let behind_proxy = ApiSettings { trust_forwarded_for: true, ..ApiSettings::default() };
        let behind_proxy = Server::start_with(db, behind_proxy).await;
        register(&behind_proxy, "ada").await;
        for _ in 0..15 {
            // The client wrote the first address itself, the proxy added the second.
            login_from(&behind_proxy, "203.0.113.9, 192.0.2.1", "ada@example.org", "not the password")
                .await
                .expect(401);
        }
        login_from(&behind_proxy, "203.0.113.8, 192.0.2.1", "ada@example.org", PASSWORD).await.expect(429);
        login_from(&behind_proxy, "192.0.2.2", "ada@example.org", PASSWORD).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn registrations_are_limited_by_address() {
    on_both_engines(|db| async move {
        let settings = ApiSettings {
            trust_forwarded_for: true,
            registrations: NonZeroU32::new(3).unwrap(),
            ..ApiSettings::default()
        };
        let server = Server::start_with(db, settings).await;
        let ask = async |address: &str, name: &str| {
            let body = json!({ "email": format!("{name}@example.org"), "password": PASSWORD, "name": name });
            let request = server
                .client
                .post(format!("{}/api/v1/auth/register", server.base))
                .header("x-forwarded-for", address)
                .json(&body);
            Answer::of(request.send().await.unwrap()).await
        };
        ask("192.0.2.1", "ada").await.expect(201);
        // Asking whether somebody has an account counts too.
        ask("192.0.2.1", "ada").await.expect_code(409, "email_taken");
        ask("192.0.2.1", "eve").await.expect(201);
        let refused = ask("192.0.2.1", "mallory").await.expect_code(429, "too_many_requests");
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1_200..=1_201).contains(&wait), "a third of an hour: {wait}");
        assert!(accounts::credentials(&server.db, "mallory@example.org").await.unwrap().is_none());

        ask("192.0.2.2", "bob").await.expect(201);
        login(&server, "eve@example.org", PASSWORD).await.expect(200);
        server.clock.advance(Duration::from_secs(wait));
        ask("192.0.2.1", "mallory").await.expect(201);
        ask("192.0.2.1", "trudy").await.expect(429);
    })
    .await;
}

#[tokio::test]
async fn the_operator_makes_accounts_of_any_role() {
    on_both_engines(|db| async move {
        let server = Server::start(db.clone()).await;
        let create = async |email: &str, password: &str| {
            create_user(&db, &server.clock, email, "Root", password.into(), Role::Admin).await
        };
        let user = create("Root@Example.org", PASSWORD).await.unwrap();
        assert_eq!((user.email.as_str(), user.role), ("root@example.org", Role::Admin));
        assert!(matches!(create("root@example.org", PASSWORD).await, Err(CreateUserError::EmailTaken)));
        assert!(matches!(create("root", PASSWORD).await, Err(CreateUserError::Invalid(_))));
        assert!(matches!(create("two@example.org", "short").await, Err(CreateUserError::Invalid(_))));
        let session = login(&server, "root@example.org", PASSWORD).await.expect(200);
        assert_eq!(session.body["user"]["role"], "admin");
    })
    .await;
}

#[tokio::test]
async fn the_public_keys_check_the_tokens() {
    on_both_engines(|db| async move {
        let server = Server::start(db).await;
        let token = register(&server, "ada").await.text("access_token");
        let jwks = server.get("/.well-known/jwks.json", None).await.expect(200);
        assert_eq!(jwks.header("cache-control"), "public, max-age=300");
        let keys = jwks.body["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!((keys[0]["kty"].as_str(), keys[0]["crv"].as_str()), (Some("OKP"), Some("Ed25519")));
        assert_eq!(keys[0].get("d"), None::<&Value>, "the private half stays here");
        assert_eq!(token.split('.').count(), 3);
    })
    .await;
}
