//! A running license server with people, courses and packages.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use lectern_domain::{
    Timestamp,
    account::Role,
    captions::{CaptionKind, CaptionOrigin},
    course::{LessonType, PublishedStatus},
    ids::{AssetId, CaptionId, CourseId, Kid, LessonId, PackageId, ProcessId, UserId},
    job::JobKind,
    keys::{AssetSecret, KeyName, Protection, TrackClass, secret_context},
    media::TranscodeOutput,
    plan::{PlanSettings, plan},
    source::{AudioTrack, SourceInfo},
    stills::{PackageStills, SHEETS, Sheet},
    storage_key, waveform,
};
use lectern_license_server::{LicenseSettings, LicenseState, router};
use lectern_platform::{
    clock::{Clock as _, ManualClock, new_id, random_bytes},
    http::Caller,
    objects::{DiskObjects, SharedObjects},
    seal::Seal,
    tokens::{AccessTokens, Keyring},
    vault::{MasterKeyVault, Vault as _},
};
use lectern_store::{
    Db,
    accounts::{self, User},
    assets::NewAsset,
    captions::{self, NewCaption},
    chapters::{self, Chapter, Found},
    courses::{self, NewCourse, Price},
    enrollments,
    lessons::{self, NewLesson},
    packages::NewPackage,
    pipeline::{self, Completion},
    playback::{AuditRow, audit_since},
};
use reqwest::{Method, Response};
use serde_json::Value;
use uuid::Uuid;

pub(crate) const SEGMENT: usize = 1_000_000;
/// What the poster says: nobody here looks at it.
pub(crate) const POSTER: &[u8] = b"a picture of the lecture";

/// Everything a test needs. The server ends with the test's runtime.
pub(crate) struct World {
    pub db: Db,
    pub clock: ManualClock,
    pub objects: SharedObjects,
    pub access: AccessTokens,
    pub base: String,
    pub http: reqwest::Client,
    vault: Arc<MasterKeyVault>,
    seen: Mutex<HashSet<Uuid>>,
    _folder: tempfile::TempDir,
}

/// A published lesson with a published package.
#[derive(Debug, Clone)]
pub(crate) struct Lecture {
    pub owner: UserId,
    pub course: CourseId,
    pub lesson: LessonId,
    pub asset: AssetId,
    pub package: PackageId,
    pub video: KeyName,
    pub audio: KeyName,
    pub secret: AssetSecret,
}

impl Lecture {
    pub(crate) fn key(&self, name: KeyName) -> Vec<u8> {
        self.secret.content_key(name.kid, name.period, name.class).expose().to_vec()
    }

    pub(crate) fn media(&self, file: &str) -> String {
        format!("/media/{}/{}/{file}", self.asset, self.package)
    }
}

/// A playback session as its player holds it.
#[derive(Debug, Clone)]
pub(crate) struct Playing {
    pub token: String,
    pub native_token: String,
    pub heartbeat: String,
    pub session: String,
    pub answer: Value,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem's code, `granted` if there is none.
    pub(crate) fn code(&self) -> String {
        if self.status < 300 {
            return "granted".into();
        }
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status);
        assert!(!json["detail"].as_str().unwrap().is_empty());
        json["code"].as_str().unwrap().to_owned()
    }
}

impl World {
    pub(crate) async fn new(db: Db) -> Self {
        Self::with(db, LicenseSettings::default()).await
    }

    pub(crate) async fn with(db: Db, settings: LicenseSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Arc::new(MasterKeyVault::open_or_create(&folder.path().join("master.key")).unwrap());
        let objects: SharedObjects =
            Arc::new(DiskObjects::open(folder.path().join("objects")).await.unwrap());
        let clock = ManualClock::at(1_800_000_000);
        let shared_clock: Arc<ManualClock> = Arc::new(clock.clone());
        let keyring = |purpose| Keyring::load(&db, &*vault, &clock, purpose);
        let access = Arc::new(keyring("access").await.unwrap());
        let playback = Arc::new(keyring("playback").await.unwrap());
        let access = AccessTokens::new(access, shared_clock.clone(), Duration::from_hours(1000));
        let state = LicenseState::new(
            db.clone(),
            vault.clone(),
            objects.clone(),
            access.clone(),
            playback,
            shared_clock,
            settings,
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = router(state).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { db, clock, objects, access, base, http, vault, seen: Mutex::default(), _folder: folder }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) async fn user(&self, role: Role) -> UserId {
        let id = new_id(&self.clock, UserId::generate);
        let user = User {
            id,
            email: format!("{id}@example.org"),
            name: "Someone".into(),
            role,
            created_at: self.now(),
            disabled_at: None,
        };
        accounts::insert(&self.db, &user, "unused").await.unwrap();
        id
    }

    pub(crate) async fn enroll(&self, lesson: &Lecture, user: UserId, at: Timestamp) {
        let mut tx = self.db.begin().await.unwrap();
        assert!(enrollments::enroll(&mut tx, lesson.course, user, at).await.unwrap());
        tx.commit().await.unwrap();
    }

    pub(crate) async fn leave(&self, lesson: &Lecture, user: UserId, at: Timestamp) {
        let mut tx = self.db.begin().await.unwrap();
        assert!(enrollments::leave(&mut tx, lesson.course, user, at).await.unwrap());
        tx.commit().await.unwrap();
    }

    /// A learner who is enrolled.
    pub(crate) async fn learner(&self, lesson: &Lecture) -> UserId {
        let user = self.user(Role::Student).await;
        self.enroll(lesson, user, self.now()).await;
        user
    }

    /// A lesson of a course of its own, taken through the pipeline to ready.
    pub(crate) async fn lesson(&self) -> Lecture {
        let (db, now) = (&self.db, self.now());
        let owner = self.user(Role::Instructor).await;
        let course = new_id(&self.clock, CourseId::generate);
        let price = Price { amount_minor: 0, currency: "EUR".into() };
        let new = NewCourse {
            id: course,
            owner,
            title: "Course".into(),
            description: String::new(),
            price,
            published_status: PublishedStatus::Published,
        };
        courses::insert(db, new, now).await.unwrap();
        let lesson = new_id(&self.clock, LessonId::generate);
        let mut tx = db.begin().await.unwrap();
        let new = NewLesson {
            id: lesson,
            course,
            title: "Lesson".into(),
            kind: LessonType::Video,
            order_index: None,
            published_status: PublishedStatus::Published,
            body: String::new(),
            release_at: None,
        };
        lessons::insert(&mut tx, new, now).await.unwrap();
        let asset = new_id(&self.clock, AssetId::generate);
        let bytes = random_bytes::<32>();
        let wrapped = self.vault.wrap(&secret_context(asset), &bytes).await.unwrap();
        let new = NewAsset {
            id: asset,
            owner,
            lesson,
            filename: "lecture.mp4".into(),
            source_bytes: 1,
            wrapped_secret: wrapped,
            trim: None,
        };
        pipeline::create_asset(&mut tx, new, now).await.unwrap();
        tx.commit().await.unwrap();
        let package = new_id(&self.clock, PackageId::generate);
        let name = |class| KeyName { kid: new_id(&self.clock, Kid::generate), class, period: 0 };
        let made = Lecture {
            owner,
            course,
            lesson,
            asset,
            package,
            video: name(TrackClass::Video),
            audio: name(TrackClass::Audio),
            secret: AssetSecret::from_bytes(bytes),
        };
        self.process(&made).await;
        made
    }

    /// Does the jobs of an asset as workers would, with a package written by hand.
    async fn process(&self, lesson: &Lecture) {
        let (db, now) = (&self.db, self.now());
        let mut tx = db.begin().await.unwrap();
        assert!(pipeline::upload_finished(&mut tx, lesson.asset, now).await.unwrap());
        tx.commit().await.unwrap();
        let worker = new_id(&self.clock, ProcessId::generate);
        while let Some(job) =
            lectern_store::testing::claim(db, worker, &JobKind::ALL, now, time::Duration::minutes(1))
                .await
                .unwrap()
        {
            let completion = match job.payload.kind() {
                JobKind::Probe => {
                    let audio = AudioTrack {
                        index: 0,
                        codec: "audio/mpeg".into(),
                        sample_rate: 48_000,
                        channels: 2,
                        language: None,
                    };
                    let source = SourceInfo {
                        container: "video/quicktime".into(),
                        duration_ns: Some(8_000_000_000),
                        start_ns: 0,
                        seekable: true,
                        video: None,
                        audio: vec![audio],
                        texts: Vec::new(),
                        trim: None,
                    };
                    let plan = plan(&source, &PlanSettings::default()).unwrap();
                    Completion::Probed { source: Box::new(source), plan: Box::new(plan) }
                }
                JobKind::TranscodeAudio | JobKind::TranscodeSpan => Completion::Transcoded {
                    output: TranscodeOutput::default(),
                    package: NewPackage {
                        id: lesson.package,
                        protection: Protection::Aes128,
                        keys: vec![lesson.video, lesson.audio],
                    },
                },
                JobKind::Grow => unreachable!("the lecture is too short to be played before it is whole"),
                JobKind::Package => {
                    self.write_package(lesson).await;
                    Completion::Packaged { renditions: Vec::new(), duration_ms: 8_000 }
                }
                JobKind::AddTexts => Completion::TextsAdded { package: lesson.package, base: lesson.package },
                JobKind::CleanWork | JobKind::DeleteAsset => Completion::Removed,
            };
            pipeline::complete(db, &job, completion, now).await.unwrap();
        }
    }

    async fn write_package(&self, lesson: &Lecture) {
        let prefix = storage_key::package_prefix(lesson.asset, lesson.package);
        let segment: Vec<u8> = (0..SEGMENT).map(|at| at as u8).collect();
        let files: [(&str, Vec<u8>); 9] = [
            ("multivariant.m3u8", multivariant().into()),
            ("720p.m3u8", media_playlist("720p", lesson.video.kid).into()),
            ("audio-0.m3u8", media_playlist("audio-0", lesson.audio.kid).into()),
            ("720p/init.mp4", b"init".to_vec()),
            ("720p/seg-00000.m4s", segment.clone()),
            ("720p/seg-00001.m4s", segment),
            ("audio-0/init.mp4", b"init".to_vec()),
            ("audio-0/seg-00000.m4s", b"sound".to_vec()),
            ("audio-0/seg-00001.m4s", Vec::new()),
        ];
        for (file, bytes) in files {
            self.objects.put(&format!("{prefix}{file}"), bytes.into()).await.unwrap();
        }
        let seal = Seal::new(&lesson.secret.stills_key(lesson.package));
        for name in [SHEETS.poster, SHEETS.storyboard, waveform::FILE] {
            let key = storage_key::still(lesson.asset, lesson.package, name);
            self.objects.put(&key, seal.seal(&key, POSTER).into()).await.unwrap();
        }
        let sheet = Sheet { columns: 10, width: 160, height: 90, count: 4 };
        let stills =
            PackageStills { poster: true, storyboard: Some((sheet, 2_000)), chapters: None, waveform: true };
        let chapter = |start_ms, title: &str| Chapter { start_ms, title: title.into(), tile: None };
        let found = Found { stills, chapters: vec![chapter(0, ""), chapter(4_000, "Lenses")] };
        chapters::keep_found(&self.db, lesson.package, &found).await.unwrap();
    }

    /// Captions of a lesson, published as the packager would: the version's playlist names the segments of the first package.
    pub(crate) async fn add_captions(&self, lesson: &Lecture) -> PackageId {
        let new = NewCaption {
            id: new_id(&self.clock, CaptionId::generate),
            language: "en".into(),
            label: "English".into(),
            kind: CaptionKind::Captions,
            origin: CaptionOrigin::Uploaded,
            cues: 1,
            webvtt: "WEBVTT\n".into(),
        };
        let (db, now) = (&self.db, self.now());
        let mut tx = db.begin().await.unwrap();
        captions::put(&mut tx, lesson.asset, &new, 9, now).await.unwrap();
        tx.commit().await.unwrap();
        let worker = new_id(&self.clock, ProcessId::generate);
        let lease = time::Duration::minutes(1);
        let job = lectern_store::testing::claim(db, worker, &[JobKind::AddTexts], now, lease).await.unwrap();
        let job = job.expect("a job that adds the captions");
        let package = PackageId::from_uuid(job.id.uuid());
        let prefix = storage_key::package_prefix(lesson.asset, package);
        let text = media_playlist(&format!("../{}/720p", lesson.package), lesson.video.kid);
        self.objects.put(&format!("{prefix}720p.m3u8"), text.into()).await.unwrap();
        let completion = Completion::TextsAdded { package, base: lesson.package };
        pipeline::complete(db, &job, completion, now).await.unwrap();
        package
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        self.http.request(method, url)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, token: Option<&str>) -> Answer {
        let request = self.request(method, path);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn access_token(&self, user: UserId) -> String {
        let role = accounts::get(&self.db, user).await.unwrap().unwrap().role;
        self.access.issue(Caller { user, role })
    }

    pub(crate) async fn start(&self, lesson: &Lecture, user: UserId) -> Answer {
        let token = self.access_token(user).await;
        self.call(Method::POST, &format!("/api/v1/lessons/{}/playback", lesson.lesson), Some(&token)).await
    }

    /// A still by the access token alone.
    pub(crate) async fn still(&self, lesson: &Lecture, user: UserId, file: &str) -> Answer {
        let token = self.access_token(user).await;
        let path = format!("/api/v1/lessons/{}/stills/{file}", lesson.lesson);
        self.call(Method::GET, &path, Some(&token)).await
    }

    pub(crate) async fn play(&self, lesson: &Lecture, user: UserId) -> Playing {
        let answer = self.start(lesson, user).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let answer = answer.json();
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        let native_token =
            text("hls_native_url").split('/').rev().nth(1).expect("a token before the file").to_owned();
        Playing {
            token: text("token"),
            native_token,
            heartbeat: text("heartbeat_url"),
            session: text("session_id"),
            answer,
        }
    }

    pub(crate) async fn key(&self, kid: Kid, token: &str) -> Answer {
        self.call(Method::GET, &format!("/keys/{kid}"), Some(token)).await
    }

    pub(crate) async fn beat(&self, playing: &Playing) -> Answer {
        self.call(Method::POST, &playing.heartbeat, Some(&playing.token)).await
    }

    pub(crate) async fn native(&self, playing: &Playing, file: &str) -> Answer {
        self.get(&format!("/playback/{}/{file}", playing.native_token)).await
    }

    pub(crate) async fn audit(&self) -> Vec<AuditRow> {
        audit_since(&self.db, Timestamp::UNIX_EPOCH, 1_000_000).await.unwrap()
    }

    /// The audit rows since this was last asked. (The clock stands still, so neither time nor id tells their order.)
    pub(crate) async fn new_audit(&self) -> Vec<AuditRow> {
        let rows = self.audit().await;
        let mut seen = self.seen.lock().unwrap();
        rows.into_iter().filter(|row| seen.insert(row.id)).collect()
    }
}

pub(crate) fn multivariant() -> &'static str {
    "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"URI=\",URI=\"audio-0.m3u8\",DEFAULT=YES
#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"audio\"
720p.m3u8
"
}

pub(crate) fn media_playlist(track: &str, kid: Kid) -> String {
    format!(
        "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-MAP:URI=\"{track}/init.mp4\"
#EXT-X-KEY:METHOD=AES-128,URI=\"/keys/{kid}\",IV=0x0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a
#EXTINF:4.000000,
{track}/seg-00000.m4s
#EXT-X-KEY:METHOD=AES-128,URI=\"/keys/{kid}\",IV=0x0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b
#EXTINF:4.000000,
{track}/seg-00001.m4s
#EXT-X-ENDLIST
"
    )
}
