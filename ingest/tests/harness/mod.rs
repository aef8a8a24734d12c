//! A listening upload server on a database, with people and a course, and a client that says exactly what it is told.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

pub mod direct;
pub mod forms;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use lectern_domain::{
    account::Role,
    course::{LessonType, PublishedStatus},
    ids::{AssetId, CourseId, LessonId, UserId},
    job::JobKind,
    storage_key,
};
use lectern_ingest::{IngestParts, IngestSettings, IngestState};
use lectern_platform::{
    clock::{Clock, ManualClock, new_id},
    http::Caller,
    objects::{DiskObjects, S3Objects, SharedObjects},
    shutdown::Shutdown,
    tokens::{AccessTokens, Keyring},
    vault::{MasterKeyVault, Vault},
};
use lectern_store::{
    Db, accounts, courses, jobs,
    lessons::{self, NewLesson},
};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Limits that no test hits by chance.
pub fn settings() -> IngestSettings {
    IngestSettings { min_free_bytes: 0, ..IngestSettings::default() }
}

/// What a data folder holds before a server runs on it: accounts, a course of `owner`, lessons.
#[derive(Debug, Clone)]
pub struct People {
    pub owner: UserId,
    pub other: UserId,
    pub student: UserId,
    pub admin: UserId,
    pub lesson: LessonId,
    pub second_lesson: LessonId,
    pub text_lesson: LessonId,
}

impl People {
    pub async fn seed(db: &Db, clock: &dyn Clock) -> Self {
        let now = clock.now();
        let mut users = Vec::new();
        for (name, role) in [
            ("owner", Role::Instructor),
            ("other", Role::Instructor),
            ("student", Role::Student),
            ("admin", Role::Admin),
        ] {
            let user = accounts::User {
                id: new_id(clock, UserId::generate),
                email: format!("{name}@example.org"),
                name: name.into(),
                role,
                created_at: now,
                disabled_at: None,
            };
            accounts::insert(db, &user, "none").await.unwrap();
            users.push(user.id);
        }
        let course = courses::NewCourse {
            id: new_id(clock, CourseId::generate),
            owner: users[0],
            title: "Course".into(),
            description: String::new(),
            price: courses::Price { amount_minor: 0, currency: "EUR".into() },
            published_status: PublishedStatus::Published,
        };
        let course_id = course.id;
        courses::insert(db, course, now).await.unwrap();
        let mut made = Vec::new();
        let mut tx = db.begin().await.unwrap();
        for (kind, published_status) in [
            (LessonType::Video, PublishedStatus::Draft),
            (LessonType::Video, PublishedStatus::Published),
            (LessonType::Text, PublishedStatus::Published),
        ] {
            let lesson = NewLesson {
                id: new_id(clock, LessonId::generate),
                course: course_id,
                title: "Lesson".into(),
                kind,
                order_index: None,
                published_status,
                body: String::new(),
                release_at: None,
            };
            made.push(lesson.id);
            lessons::insert(&mut tx, lesson, now).await.unwrap();
        }
        tx.commit().await.unwrap();
        Self {
            owner: users[0],
            other: users[1],
            student: users[2],
            admin: users[3],
            lesson: made[0],
            second_lesson: made[1],
            text_lesson: made[2],
        }
    }
}

/// A server in this process.
pub struct House {
    pub db: Db,
    pub state: IngestState,
    pub tokens: AccessTokens,
    pub people: People,
    pub clock: ManualClock,
    pub address: SocketAddr,
    pub folder: PathBuf,
    /// The bucket of the objects, if they are in one.
    pub bucket: Option<S3Objects>,
    /// How often workers were called.
    pub calls: Arc<AtomicU64>,
    _temporary: tempfile::TempDir,
}

pub async fn open_state(
    db: Db,
    folder: &Path,
    clock: Arc<dyn Clock>,
    settings: IngestSettings,
    calls: Arc<AtomicU64>,
) -> IngestState {
    let objects = Arc::new(DiskObjects::open(folder.join("objects")).await.unwrap());
    open_state_on(objects, db, folder, clock, settings, calls).await
}

pub async fn open_state_on(
    objects: SharedObjects,
    db: Db,
    folder: &Path,
    clock: Arc<dyn Clock>,
    settings: IngestSettings,
    calls: Arc<AtomicU64>,
) -> IngestState {
    let vault = MasterKeyVault::open_or_create(&folder.join("master.key")).unwrap().shared();
    let tokens = access_tokens(&db, &*vault, clock.clone()).await;
    let parts = IngestParts {
        objects,
        db,
        vault,
        tokens,
        clock,
        shutdown: Shutdown::default(),
        settings,
        folder: folder.join("uploads"),
        on_finished: Arc::new(move |_| {
            calls.fetch_add(1, Ordering::SeqCst);
        }),
    };
    IngestState::open(parts).await.unwrap()
}

pub async fn access_tokens(db: &Db, vault: &dyn Vault, clock: Arc<dyn Clock>) -> AccessTokens {
    let keyring = Keyring::load(db, vault, &*clock, "access").await.unwrap();
    AccessTokens::new(Arc::new(keyring), clock, Duration::from_hours(24 * 365))
}

impl House {
    pub async fn open(db: Db, settings: IngestSettings) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let objects = Arc::new(DiskObjects::open(temporary.path().join("objects")).await.unwrap());
        Self::start(db, settings, objects, temporary).await
    }

    /// With objects elsewhere than in a folder of its own.
    pub async fn open_on(db: Db, settings: IngestSettings, objects: SharedObjects) -> Self {
        Self::start(db, settings, objects, tempfile::tempdir().unwrap()).await
    }

    async fn start(
        db: Db,
        settings: IngestSettings,
        objects: SharedObjects,
        temporary: tempfile::TempDir,
    ) -> Self {
        let folder = temporary.path().to_owned();
        let clock = ManualClock::at(1_800_000_000);
        let people = People::seed(&db, &clock).await;
        let calls = Arc::new(AtomicU64::new(0));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let state = open_state_on(objects, db.clone(), &folder, shared, settings, calls.clone()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, lectern_ingest::router(state.clone())).into_future());
        let tokens = state.tokens.clone();
        Self { db, state, tokens, people, clock, address, folder, bucket: None, calls, _temporary: temporary }
    }

    pub fn token(&self, user: UserId) -> String {
        let people = &self.people;
        let role = match user {
            user if user == people.admin => Role::Admin,
            user if user == people.student => Role::Student,
            _ => Role::Instructor,
        };
        self.tokens.issue(Caller { user, role })
    }

    /// A request of the course's owner.
    pub async fn owner(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.request(Some(self.people.owner), method, path, headers, body).await
    }

    /// A request. `Host`, `Tus-Resumable`, `Content-Length` and `Authorization` are added unless given; a header given
    /// with an empty value is left out.
    pub async fn request(
        &self,
        user: Option<UserId>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = self.head(user, method, path, headers, body.len());
        // The answer may come, and the connection close, before everything was sent.
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(body).await;
        read_answer(&mut stream, method).await.expect("an answer")
    }

    pub fn head(
        &self,
        user: Option<UserId>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        length: usize,
    ) -> String {
        let token = user.map(|user| format!("Bearer {}", self.token(user))).unwrap_or_default();
        let length = length.to_string();
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in [
            ("Host", "test"),
            ("Tus-Resumable", "1.0.0"),
            ("Content-Length", length.as_str()),
            ("Authorization", token.as_str()),
        ] {
            if !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) && !value.is_empty() {
                write!(head, "{name}: {value}\r\n").unwrap();
            }
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        head.push_str("\r\n");
        head
    }

    /// Announces an upload for the first lesson. Gives its path and its asset.
    pub async fn create(&self, length: u64) -> (String, AssetId) {
        let answer = self
            .owner(
                "POST",
                "/uploads",
                &[("Upload-Length", &length.to_string()), ("Upload-Metadata", &self.metadata("lecture.mp4"))],
                b"",
            )
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        (answer.header("location").unwrap().to_owned(), answer.asset())
    }

    pub fn metadata(&self, filename: &str) -> String {
        metadata(self.people.lesson, filename.as_bytes())
    }

    /// Appends bytes.
    pub async fn patch(&self, path: &str, offset: u64, body: &[u8]) -> Answer {
        self.owner("PATCH", path, &[("Upload-Offset", &offset.to_string()), TUS_BODY], body).await
    }

    /// The offset that HEAD tells.
    pub async fn offset(&self, path: &str) -> u64 {
        let answer = self.owner("HEAD", path, &[], b"").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.number("upload-offset")
    }

    pub fn part(&self, path: &str) -> PathBuf {
        self.folder.join("uploads").join(format!("{}.part", path.rsplit('/').next().unwrap()))
    }

    /// The finished source of an asset.
    pub async fn source(&self, asset: AssetId) -> Option<Vec<u8>> {
        self.state.objects.get(&storage_key::source(asset)).await.unwrap().map(Vec::from)
    }

    /// Asserts that the upload of an asset has finished exactly once, with these bytes, and nothing is left behind.
    pub async fn assert_finished(&self, path: &str, asset: AssetId, bytes: &[u8]) {
        let source = self.source(asset).await.expect("a stored source");
        assert_eq!(source.len(), bytes.len());
        assert!(source == bytes, "the stored source differs from what was sent");
        assert!(!self.has_bytes(path).await);
        assert_eq!(asset_state(&self.db, asset).await, "probing");
        assert_eq!(probe_jobs(&self.db, asset).await, 1);
        assert_eq!(self.offset(path).await, bytes.len() as u64);
    }
}

pub async fn asset_state(db: &Db, asset: AssetId) -> &'static str {
    lectern_store::assets::find(db, asset).await.unwrap().unwrap().state.as_str()
}

pub async fn probe_jobs(db: &Db, asset: AssetId) -> usize {
    let jobs = jobs::of_asset(db, asset).await.unwrap();
    jobs.iter().filter(|job| job.payload.kind() == JobKind::Probe).count()
}

pub const TUS_BODY: (&str, &str) = ("Content-Type", "application/offset+octet-stream");

pub fn metadata(lesson: LessonId, filename: &[u8]) -> String {
    format!("filename {},lesson_id {}", base64(filename), base64(lesson.to_string().as_bytes()))
}

pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub fn random(length: usize) -> Vec<u8> {
    use rand::Rng as _;
    let mut bytes = vec![0; length];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// An HTTP answer.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn number(&self, name: &str) -> u64 {
        self.header(name).unwrap_or_else(|| panic!("{name} in {self:?}")).parse().unwrap()
    }

    pub fn asset(&self) -> AssetId {
        self.header("lectern-asset-id").unwrap().parse().unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The stable code of a problem document.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], self.status);
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// Reads one answer. `None`: the connection closed or broke before one came.
pub async fn read_answer(stream: &mut TcpStream, method: &str) -> Option<Answer> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let mut lines = text.split("\r\n");
    let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: bytes[head + 4..].to_vec() };
    if status == 100 {
        assert!(answer.body.is_empty());
        return Box::pin(read_answer(stream, method)).await;
    }
    if method != "HEAD" && status != 204 {
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        while answer.body.len() < length {
            match stream.read_buf(&mut answer.body).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
    Some(answer)
}

/// Waits until something is so; panics with its name when it takes too long.
pub async fn eventually<F, Fut>(what: &str, mut check: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    for _ in 0..500 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("expected within 10 s: {what}");
}

/// Opens a PATCH that announces `length` bytes and sends only `body`.
pub async fn begin_patch(house: &House, path: &str, offset: u64, length: usize, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let offset = offset.to_string();
    let head =
        house.head(Some(house.people.owner), "PATCH", path, &[("Upload-Offset", &offset), TUS_BODY], length);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream
}
