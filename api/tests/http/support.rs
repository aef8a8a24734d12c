//! A server on a port of its own, people who use it, and answers taken apart.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use lectern_api::{ApiSettings, ApiState, Doors, PasswordCost};
use lectern_domain::{
    account::Role,
    failure::FailureCode,
    ids::{AssetId, CourseId, LessonId, ProcessId, UserId},
    job::JobKind,
};
use lectern_platform::{
    clock::{Clock as _, ManualClock, new_id},
    events::AssetNews,
    http::Caller,
    shutdown::Shutdown,
    tokens::{AccessTokens, Keyring},
    vault::MasterKeyVault,
    worker::Wakeups,
};
use lectern_store::{
    Db,
    accounts::{self, User},
    assets::NewAsset,
    pipeline::{self, JobFailure},
};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

pub(crate) const PASSWORD: &str = "a long enough password";
pub(crate) const CAPTIONS: &str = "1\n00:00:01,000 --> 00:00:02,500\nGuten Tag\n";

pub(crate) struct Server {
    pub(crate) base: String,
    pub(crate) db: Db,
    pub(crate) clock: ManualClock,
    pub(crate) news: AssetNews,
    pub(crate) shutdown: Shutdown,
    pub(crate) tokens: AccessTokens,
    pub(crate) client: reqwest::Client,
    _folder: tempfile::TempDir,
}

/// Somebody with an account and a valid access token.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: UserId,
    pub(crate) token: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, headers, body }
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        if status >= 400 {
            self.check_problem();
        }
        self
    }

    #[track_caller]
    pub(crate) fn expect_code(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.body["code"], code, "{answer:?}");
        answer
    }

    /// Every refusal is a whole problem document.
    #[track_caller]
    pub(crate) fn check_problem(&self) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], self.status.as_u16(), "{self:?}");
        assert_eq!(self.body["type"], "about:blank", "{self:?}");
        for field in ["title", "code", "detail"] {
            assert!(self.body[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {self:?}");
        }
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_else(|| panic!("no text {field}: {self:?}")).to_owned()
    }
}

impl Server {
    pub(crate) async fn start(db: Db) -> Self {
        Self::start_with(db, ApiSettings::default()).await
    }

    /// Passwords cost next to nothing here, whatever the settings say.
    pub(crate) async fn start_with(db: Db, settings: ApiSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = MasterKeyVault::open_or_create(&folder.path().join("master.key")).unwrap();
        let clock = ManualClock::at(1_800_000_000);
        let keyring = Keyring::load(&db, &vault, &clock, "access").await.unwrap();
        let lifetime = Duration::from_mins(15);
        let tokens = AccessTokens::new(Arc::new(keyring), Arc::new(clock.clone()), lifetime);
        let doors = Doors {
            db: db.clone(),
            tokens: tokens.clone(),
            clock: Arc::new(clock.clone()),
            news: AssetNews::default(),
            wakeups: Wakeups::default(),
            shutdown: Shutdown::default(),
        };
        let (news, shutdown) = (doors.news.clone(), doors.shutdown.clone());
        let settings = ApiSettings { password_cost: PasswordCost { memory_kib: 8, passes: 1 }, ..settings };
        let app = lectern_api::router(ApiState::new(doors, settings));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { base, db, clock, news, shutdown, tokens, client: reqwest::Client::new(), _folder: folder }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    /// The same with a body that is no JSON.
    pub(crate) async fn send_text(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Vec<u8>,
    ) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, person: Option<&Person>) -> Answer {
        self.send(Method::GET, path, person.map(|person| person.token.as_str()), None).await
    }

    pub(crate) async fn post(&self, path: &str, person: Option<&Person>, body: Value) -> Answer {
        self.send(Method::POST, path, person.map(|person| person.token.as_str()), Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, person: &Person, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(&person.token), Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str, person: &Person) -> Answer {
        self.send(Method::DELETE, path, Some(&person.token), None).await
    }

    /// An account made straight in the database (nobody can sign in to it) and a token for it.
    pub(crate) async fn person(&self, role: Role) -> Person {
        let id = new_id(&self.clock, UserId::generate);
        let user = User {
            id,
            email: format!("{id}@example.org"),
            name: format!("A {}", role.as_str()),
            role,
            created_at: self.clock.now(),
            disabled_at: None,
        };
        accounts::insert(&self.db, &user, "no password opens this").await.unwrap();
        Person { id, token: self.tokens.issue(Caller { user: id, role }) }
    }

    pub(crate) async fn course(&self, owner: &Person, published: bool) -> CourseId {
        // Later courses have later ids.
        self.clock.advance(Duration::from_millis(1));
        let made =
            self.post("/api/v1/courses", Some(owner), json!({ "title": "A course" })).await.expect(201);
        let id = made.text("id");
        if published {
            let change = json!({ "published_status": "published" });
            self.patch(&format!("/api/v1/courses/{id}"), owner, change).await.expect(200);
        }
        id.parse().unwrap()
    }

    pub(crate) async fn lesson(&self, owner: &Person, course: CourseId, published: bool) -> LessonId {
        let status = if published { "published" } else { "draft" };
        let body = json!({ "title": "A lesson", "type": "video", "published_status": status });
        let made =
            self.post(&format!("/api/v1/courses/{course}/lessons"), Some(owner), body).await.expect(201);
        made.text("id").parse().unwrap()
    }

    pub(crate) async fn enroll(&self, learner: &Person, course: CourseId) {
        self.post(&format!("/api/v1/enrollments/{course}"), Some(learner), Value::Null).await.expect(201);
    }

    /// An announced upload for a lesson.
    pub(crate) async fn asset(&self, owner: &Person, lesson: LessonId) -> AssetId {
        let id = new_id(&self.clock, AssetId::generate);
        let new = NewAsset {
            id,
            owner: owner.id,
            lesson,
            filename: "lecture.mp4".into(),
            source_bytes: 1_000,
            wrapped_secret: vec![7; 60],
            trim: None,
        };
        let mut tx = self.db.begin().await.unwrap();
        pipeline::create_asset(&mut tx, new, self.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    pub(crate) async fn upload_finished(&self, asset: AssetId) {
        let mut tx = self.db.begin().await.unwrap();
        assert!(pipeline::upload_finished(&mut tx, asset, self.clock.now()).await.unwrap());
        tx.commit().await.unwrap();
    }

    /// An asset that failed while it was examined.
    pub(crate) async fn failed_asset(&self, owner: &Person, lesson: LessonId, code: FailureCode) -> AssetId {
        let asset = self.asset(owner, lesson).await;
        self.upload_finished(asset).await;
        self.fail(asset, code).await;
        asset
    }

    pub(crate) async fn fail(&self, asset: AssetId, code: FailureCode) {
        let now = self.clock.now();
        let process = new_id(&self.clock, ProcessId::generate);
        let lease = time::Duration::seconds(30);
        // Probes that other assets still wait for are none of ours.
        let job = loop {
            let kinds = [JobKind::Probe];
            let job = lectern_store::testing::claim(&self.db, process, &kinds, now, lease)
                .await
                .unwrap()
                .expect("a queued probe");
            if job.payload.asset() == asset {
                break job;
            }
        };
        let failure = JobFailure::Fail { failure: code.into(), detail: "for a test".into() };
        pipeline::job_failed(&self.db, &job, failure, now).await.unwrap();
    }
}
