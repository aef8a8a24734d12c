//! The package job as a server runs it: database, object store, vault and worker loop are real, the segments ffmpeg's.

use std::{collections::HashMap, sync::Arc, time::Duration};

use lectern_domain::{
    account::Role,
    asset::AssetState,
    captions::{self, CaptionKind, CaptionOrigin},
    failure::FailureCode,
    ids::{AssetId, CaptionId, Kid, LessonId, PackageId, ProcessId, UserId},
    job::{JobKind, JobPayload},
    keys::{AssetSecret, KeyName, Protection, TrackClass, secret_context},
    media::TranscodeOutput,
    plan::{PlanSettings, TranscodePlan, plan},
    source::{AudioTrack, Orientation, Ratio, SourceInfo, VideoTrack},
    storage_key,
    waveform::{self, Waveform},
};
use lectern_packager::{jobs::PackagerJobs, planned::Part};
use lectern_platform::{
    clock::{Clock as _, SystemClock, new_id},
    objects::{DiskObjects, SharedObjects},
    seal::Seal,
    vault::{MasterKeyVault, Vault},
    worker::{Capacity, Handler, Workers},
};
use lectern_store::{
    Db,
    accounts::{self, User},
    assets::{self, Asset, NewAsset},
    captions::{self as stored, NewCaption},
    chapters,
    jobs::{self, Job},
    packages::NewPackage,
    pipeline::{self, Completion, Taken},
    testing::on_both_engines,
};

use crate::clip::{Clip, RATE, SECONDS};

const MINUTE: time::Duration = time::Duration::minutes(1);

/// The clips that ffmpeg made, once for all cases, and what their jobs report.
struct Media {
    video: Clip,
    audio: Clip,
    source: SourceInfo,
    plan: TranscodePlan,
    reports: HashMap<&'static str, TranscodeOutput>,
    /// What the audio job leaves beside its segments; those of earlier versions leave nothing.
    waveform: Option<Vec<u8>>,
}

impl Media {
    fn new() -> Self {
        let (video, audio) = (Clip::video("180p", "320x180"), Clip::audio("audio-0"));
        let source = SourceInfo {
            container: "video/quicktime".into(),
            duration_ns: Some(u64::from(SECONDS) * 1_000_000_000),
            start_ns: 0,
            seekable: false,
            video: Some(VideoTrack {
                codec: "video/x-h264".into(),
                width: 320,
                height: 180,
                pixel_aspect: Ratio::new(1, 1),
                frame_rate: Ratio::new(RATE, 1),
                orientation: Orientation::Upright,
                interlaced: false,
                bit_depth: 8,
                colorimetry: "bt709".into(),
                hdr: false,
                complexity: None,
            }),
            audio: vec![AudioTrack {
                index: 0,
                codec: "audio/mpeg".into(),
                sample_rate: 48_000,
                channels: 2,
                language: None,
            }],
            texts: Vec::new(),
            trim: None,
        };
        // Spans of a source in which nobody can seek are equal, and four times as long as wished.
        let settings = PlanSettings { segment_ms: 2_000, span_ms: 1_000, ..PlanSettings::default() };
        let plan = plan(&source, &settings).expect("a source that can be planned");
        assert_eq!(plan.video.as_ref().map(|video| video.spans.len()), Some(2));
        let whole = TranscodeOutput { tracks: vec![video.report()] };
        let mut reports = HashMap::from([("audio 0", TranscodeOutput { tracks: vec![audio.report()] })]);
        for (name, range) in [("span 0", 0..2), ("span 1", 2..4)] {
            let mut part = whole.clone();
            part.tracks[0].segments = part.tracks[0].segments[range].to_vec();
            reports.insert(name, part);
        }
        Self { video, audio, source, plan, reports, waveform: None }
    }
}

/// A deployment with one asset whose transcode jobs have ended with some reports.
struct Server {
    db: Db,
    objects: SharedObjects,
    vault: Arc<dyn Vault>,
    asset: AssetId,
    package: PackageId,
    _folder: tempfile::TempDir,
}

impl Server {
    async fn new(db: &Db) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let objects = DiskObjects::open(folder.path().join("objects")).await.expect("opened");
        let vault = MasterKeyVault::open_or_create(&folder.path().join("key")).expect("made").shared();
        let (now, owner) = (SystemClock.now(), new_id(&SystemClock, UserId::generate));
        let user = User {
            id: owner,
            email: format!("{owner}@example.org"),
            name: "Somebody".into(),
            role: Role::Instructor,
            created_at: now,
            disabled_at: None,
        };
        accounts::insert(db, &user, "hash").await.expect("stored");
        let asset = new_id(&SystemClock, AssetId::generate);
        let secret: [u8; 32] = rand::random();
        let new = NewAsset {
            id: asset,
            owner,
            lesson: new_id(&SystemClock, LessonId::generate),
            filename: "film.mp4".into(),
            source_bytes: 1_000,
            wrapped_secret: vault.wrap(&secret_context(asset), &secret).await.expect("wrapped"),
            trim: None,
        };
        let mut tx = db.begin().await.expect("begun");
        pipeline::create_asset(&mut tx, new, now).await.expect("made");
        assert!(pipeline::upload_finished(&mut tx, asset, now).await.expect("told"));
        tx.commit().await.expect("committed");
        let package = new_id(&SystemClock, PackageId::generate);
        Self { db: db.clone(), objects: Arc::new(objects), vault, asset, package, _folder: folder }
    }

    async fn claim(&self) -> Option<Job> {
        let most = [JobKind::Probe, JobKind::TranscodeSpan, JobKind::TranscodeAudio];
        let owner = new_id(&SystemClock, ProcessId::generate);
        lectern_store::testing::claim(&self.db, owner, &most, SystemClock.now(), MINUTE).await.expect("asked")
    }

    /// Does all jobs before packaging. Each reports what the media has for its part, after `change`.
    async fn transcode(&self, media: &Media, change: fn(Part, &mut TranscodeOutput)) {
        while let Some(job) = self.claim().await {
            let part = match job.payload {
                JobPayload::TranscodeSpan { span, .. } => Part::Span(span),
                JobPayload::TranscodeAudio { audio, .. } => Part::Audio(audio),
                _ => {
                    let (source, plan) = (media.source.clone(), media.plan.clone());
                    self.complete(
                        &job,
                        Completion::Probed { source: Box::new(source), plan: Box::new(plan) },
                    )
                    .await;
                    continue;
                }
            };
            let mut output = media.reports[part.to_string().as_str()].clone();
            change(part, &mut output);
            let clip = if matches!(part, Part::Audio(_)) { &media.audio } else { &media.video };
            let prefix = storage_key::work_attempt_prefix(self.asset, job.id, job.attempt);
            for track in &output.tracks {
                let segments = track.segments.iter().map(|segment| segment.file.as_str());
                for file in segments.chain([track.init.as_str()]) {
                    let bytes = std::fs::read(clip.path(file)).expect("ffmpeg made it");
                    self.objects.put(&format!("{prefix}{file}"), bytes.into()).await.expect("stored");
                }
            }
            if let Some(waveform) = &media.waveform
                && matches!(part, Part::Audio(_))
            {
                let key = format!("{prefix}{}", waveform::FILE);
                self.objects.put(&key, waveform.clone().into()).await.expect("stored");
            }
            let name = |class| KeyName { kid: new_id(&SystemClock, Kid::generate), class, period: 0 };
            let keys = vec![name(TrackClass::Video), name(TrackClass::Audio)];
            let package = NewPackage { id: self.package, protection: Protection::Aes128, keys };
            self.complete(&job, Completion::Transcoded { output, package }).await;
        }
    }

    async fn complete(&self, job: &Job, completion: Completion) {
        let taken = pipeline::complete(&self.db, job, completion, SystemClock.now()).await;
        assert_eq!(taken.expect("written"), Taken::Yes);
    }

    /// Runs the packager until the asset is ready or has failed.
    async fn package(&self) -> Asset {
        self.package_until(|asset| asset.state.is_final()).await
    }

    /// Runs the packager until the asset is as wanted.
    async fn package_until(&self, wanted: impl Fn(&Asset) -> bool) -> Asset {
        let workers = Workers::alone(self.db.clone(), Arc::new(SystemClock));
        let packager: Arc<dyn Handler> = Arc::new(PackagerJobs {
            db: self.db.clone(),
            objects: self.objects.clone(),
            vault: self.vault.clone(),
        });
        let mut news = workers.news.listen();
        workers.start(&packager, Capacity::slots(1));
        let ended = async {
            loop {
                let asset = assets::find(&self.db, self.asset).await.expect("asked").expect("stored");
                if wanted(&asset) {
                    return asset;
                }
                let _ = tokio::time::timeout(Duration::from_secs(1), news.recv()).await;
            }
        };
        let asset = tokio::time::timeout(Duration::from_mins(1), ended).await.expect("it ends");
        workers.shutdown.begin();
        workers.shutdown.run(Duration::from_secs(10)).await.expect("drained");
        asset
    }

    /// What the package job said when it failed.
    async fn detail(&self) -> String {
        let jobs = jobs::of_asset(&self.db, self.asset).await.expect("asked");
        let job = jobs.into_iter().find(|job| job.payload.kind() == JobKind::Package).expect("queued");
        assert_eq!(job.attempt, 1, "no attempt could do better");
        job.result.expect("a reason")["detail"].as_str().expect("a sentence").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_as_planned_are_published() {
    let media = Arc::new(Media::new());
    on_both_engines(move |db| {
        let media = media.clone();
        async move {
            let server = Server::new(&db).await;
            server.transcode(&media, |_, _| ()).await;
            let asset = server.package().await;
            assert_eq!((asset.state, asset.package), (AssetState::Ready, Some(server.package)), "{asset:?}");
            let names: Vec<&str> = asset.renditions.iter().map(|rendition| rendition.name.as_str()).collect();
            assert_eq!(names, ["180p", "audio-0"]);
            let prefix = storage_key::package_prefix(server.asset, server.package);
            // An init segment, four media segments and a playlist for each, and the multivariant playlist.
            assert_eq!(server.objects.list(&prefix).await.expect("listed").len(), 13);
            let work = server.objects.list(&storage_key::work_prefix(server.asset)).await.expect("listed");
            assert!(work.is_empty(), "nothing clear is left: {work:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_waveform_of_the_sound_is_sealed_and_a_bad_one_left_out() {
    let good =
        Waveform { sample_rate: 48_000, samples_per_point: 4_800, points: vec![(-9, 9); 80] }.to_bytes();
    let media = Media { waveform: Some(good.clone()), ..Media::new() };
    let damaged = Media { waveform: Some(good[..99].to_vec()), ..Media::new() };
    let media = Arc::new([(media, true), (damaged, false)]);
    on_both_engines(move |db| {
        let (media, good) = (media.clone(), good.clone());
        async move {
            for (media, is_kept) in media.iter() {
                let server = Server::new(&db).await;
                server.transcode(media, |_, _| ()).await;
                let asset = server.package().await;
                assert_eq!(asset.state, AssetState::Ready, "{asset:?}");
                let found = chapters::stills(&db, server.package).await.expect("asked");
                assert_eq!(found.is_some_and(|(_, stills)| stills.waveform), *is_kept);
                let key = storage_key::still(server.asset, server.package, waveform::FILE);
                let sealed = server.objects.get(&key).await.expect("asked");
                assert_eq!(sealed.is_some(), *is_kept);
                let Some(sealed) = sealed else { continue };
                let wrapped = asset.wrapped_secret.expect("there");
                let secret =
                    server.vault.unwrap(&secret_context(server.asset), &wrapped).await.expect("opened");
                let secret = AssetSecret::from_bytes(secret.as_slice().try_into().expect("32 bytes"));
                let seal = Seal::new(&secret.stills_key(server.package));
                assert_eq!(seal.open(&key, &sealed).expect("it opens").to_vec(), good);
                assert!(
                    !sealed.windows(16).any(|part| part == &good[40..56]),
                    "it is not there in the clear"
                );
            }
        }
    })
    .await;
}

/// A player would begin here: every segment that the playlists lead to is there.
async fn segments_behind(server: &Server, folder: &str) -> Vec<String> {
    let text = async |name: &str| {
        let key = format!("{folder}{name}");
        let bytes =
            server.objects.get(&key).await.expect("asked").unwrap_or_else(|| panic!("nothing at {key}"));
        String::from_utf8(bytes.to_vec()).expect("text")
    };
    let uris = |text: &str| -> Vec<String> {
        let attribute = |line: &str| Some(line.split_once("URI=\"")?.1.split_once('"')?.0.to_owned());
        text.lines()
            .filter_map(|line| if line.starts_with('#') { attribute(line) } else { Some(line.to_owned()) })
            .filter(|uri| !uri.is_empty() && !uri.starts_with("/keys/"))
            .collect()
    };
    let mut segments = Vec::new();
    for playlist in uris(&text("multivariant.m3u8").await) {
        for segment in uris(&text(&playlist).await) {
            let key = match segment.strip_prefix("../") {
                Some(elsewhere) => format!("{}{elsewhere}", storage_key::packages_prefix(server.asset)),
                None => format!("{folder}{segment}"),
            };
            assert!(server.objects.size(&key).await.expect("asked").is_some(), "{playlist}: {key}");
            segments.push(key);
        }
    }
    segments
}

#[tokio::test(flavor = "multi_thread")]
async fn captions_make_a_version_of_the_same_segments() {
    let media = Arc::new(Media::new());
    on_both_engines(move |db| {
        let media = media.clone();
        async move {
            let server = Server::new(&db).await;
            server.transcode(&media, |_, _| ()).await;
            let ready = server.package().await;
            let first = storage_key::package_prefix(server.asset, server.package);
            let before = segments_behind(&server, &first).await;
            let objects = server.objects.list(&first).await.expect("listed").len();

            let secret = "What only learners read";
            let cues = captions::read(format!("1\n00:00:01,000 --> 00:00:02,000\n{secret}\n").as_bytes());
            let new = NewCaption {
                id: new_id(&SystemClock, CaptionId::generate),
                language: "en".into(),
                label: "English".into(),
                kind: CaptionKind::Captions,
                origin: CaptionOrigin::Uploaded,
                cues: 1,
                webvtt: captions::webvtt(&cues.expect("captions")),
            };
            let mut tx = db.begin().await.expect("begun");
            let kept = stored::put(&mut tx, server.asset, &new, 9, SystemClock.now()).await.expect("kept");
            assert_eq!(kept, stored::Kept::New);
            tx.commit().await.expect("committed");
            let moved = server.package_until(|asset| asset.package != ready.package).await;
            let version = moved.package.expect("a version");
            assert_eq!((moved.state, &moved.renditions), (AssetState::Ready, &ready.renditions));

            let prefix = storage_key::package_prefix(server.asset, version);
            let mut after = segments_behind(&server, &prefix).await;
            let text = format!("{prefix}{}/seg-00000.vtt", new.id);
            assert!(after.contains(&text), "{after:?}");
            after.retain(|key| *key != text);
            assert_eq!(after, before, "the other segments are the same objects");
            assert_eq!(
                server.objects.list(&first).await.expect("listed").len(),
                objects,
                "and none was added"
            );
            let sealed = server.objects.get(&text).await.expect("asked").expect("there");
            assert!(!String::from_utf8_lossy(&sealed).contains("WEBVTT"), "they are encrypted like the rest");
            assert_eq!(sealed.len() % 16, 0);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_were_not_planned_are_not_published() {
    type Change = fn(Part, &mut TranscodeOutput);
    let cases: [(Change, &str); 7] = [
        (
            |part, output| {
                if let Part::Span(_) = part {
                    output.tracks.clear();
                }
            },
            "every span: video was planned and no span has a segment",
        ),
        (
            |part, output| {
                if part == Part::Span(0) {
                    output.tracks[0].segments.truncate(1);
                }
            },
            "track 180p: gap of",
        ),
        (
            |part, output| {
                if part == Part::Span(1) {
                    output.tracks[0].segments.iter_mut().for_each(|segment| segment.index += 1);
                }
            },
            "span 1: 180p: segment 3: expected it to start at 6000000",
        ),
        (
            |part, output| {
                if part == Part::Span(1) {
                    output.tracks[0].segments.iter_mut().for_each(|segment| segment.index -= 2);
                }
            },
            "span 1: 180p: segment 0: this span has segments from 2",
        ),
        (
            |part, output| {
                if part == Part::Span(1) {
                    output.tracks[0].name = "360p".into();
                }
            },
            "span 1: expected the rungs [\"180p\"], got [\"360p\"]",
        ),
        (
            |part, output| {
                if part == Part::Audio(0) {
                    output.tracks[0].segments.remove(1);
                }
            },
            "audio 0: expected segment 1, got 2",
        ),
        (
            |part, output| {
                if part == Part::Audio(0) {
                    output.tracks[0].segments[2].duration_ticks *= 2;
                }
            },
            "track audio-0: overlap of",
        ),
    ];
    let media = Arc::new(Media::new());
    on_both_engines(move |db| {
        let media = media.clone();
        async move {
            for (change, expected) in cases {
                let server = Server::new(&db).await;
                server.transcode(&media, change).await;
                let asset = server.package().await;
                assert_eq!((asset.state, asset.package), (AssetState::Failed, None), "{expected}");
                assert_eq!(asset.failure.map(|failure| failure.code), Some(FailureCode::Internal));
                let detail = server.detail().await;
                assert!(detail.contains(expected), "expected {expected:?} in {detail:?}");
            }
        }
    })
    .await;
}
