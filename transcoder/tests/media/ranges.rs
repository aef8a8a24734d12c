//! Sources in an object store elsewhere: the same result as from a local file, from a small part of the bytes, and
//! whatever the store does wrong is never the source's fault.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use lectern_domain::{
    failure::FailureCode,
    plan::{AudioPlan, PlanSettings, Span, VideoPlan, plan},
    source::SourceInfo,
    trim::Trim,
};
use lectern_platform::{objects::Objects as _, testing::s3::S3Service};
use lectern_transcoder::child::{ChildError, Done, Feed, Limits, Request, run_fetching};
use tokio_util::sync::CancellationToken;

use crate::{
    child::{ask, block_on, launch, probe_part},
    fixtures::{H264, changed, ffmpeg, picture, plain, tone},
    store::{KEY, Mood, Remote},
};

/// What is asked of a source, wherever it is.
#[derive(Debug, Clone)]
enum Work {
    Probe,
    Span(SourceInfo, VideoPlan, Span),
    Audio(SourceInfo, AudioPlan),
}

impl Work {
    fn request(&self, source: PathBuf, folder: PathBuf) -> Request {
        match self.clone() {
            Self::Probe => Request::Probe { source, trim: None },
            Self::Span(info, plan, span) => Request::Span { source, info, plan, span, folder },
            Self::Audio(info, plan) => Request::Audio { source, info, plan, folder },
        }
    }

    fn limits(&self) -> Limits {
        match self {
            Self::Probe => Limits::transcode().for_probe(),
            _ => Limits::transcode(),
        }
    }
}

/// What fetching took.
#[derive(Debug)]
struct Took {
    requests: u64,
    bytes: u64,
    /// Bytes in the sparse file: the most by the parent's count, and what the disk holds at the end.
    resident: u64,
    on_disk: u64,
    /// The most bytes in the parent's memory.
    outstanding: u64,
}

type Files = BTreeMap<String, Vec<u8>>;

fn files(folder: &Path) -> Files {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

/// A source in a bucket of a real S3 service.
#[test]
fn a_bucket_gives_the_same() {
    let both = format!("{} {}", picture("1280x720", 30, 6.0), tone(6.0));
    let part = ffmpeg(&format!("{both} {H264} -crf 12 -g 60 -c:a aac"), "mp4");
    let source = ffmpeg(&format!("-stream_loop 9 -i {} -c copy", part.display()), "mp4");
    let size = std::fs::metadata(&source).unwrap().len();
    let all = all_work(&source, &PlanSettings { span_ms: 8_000, ..PlanSettings::default() });
    let service = S3Service::garage();
    let folder = tempfile::tempdir().unwrap();
    for (name, work) in [("probe", &all[0]), ("a span", &all[3]), ("sound", &all[all.len() - 1])] {
        let (expected, local_files) = local(&source, work).unwrap();
        let made = folder.path().join(name);
        std::fs::create_dir(&made).unwrap();
        let path = folder.path().join(format!("source of {name}"));
        // The SDK wants more threads than the other tests' store.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let done = runtime.block_on(async {
            let objects = service.open(&service.make_bucket().await).await.unwrap();
            let copy = folder.path().join("copy");
            std::fs::copy(&source, &copy).unwrap();
            objects.put_file(KEY, &copy).await.unwrap();
            let mut feed = Feed::create(Arc::new(objects), KEY.into(), size, &path).unwrap();
            let request = work.request(path.clone(), made.clone());
            let cancel = CancellationToken::new();
            let started = Instant::now();
            let done =
                run_fetching(&launch(work.limits()), &request, &mut feed, |_| {}, &cancel).await.unwrap();
            println!(
                "S3, {} MiB, {name}: {:.1} MiB, {:.2} s of {:.2} s waiting",
                size >> 20,
                feed.fetched_bytes() as f64 / 1_048_576.0,
                feed.waited().as_secs_f64(),
                started.elapsed().as_secs_f64()
            );
            done
        });
        assert_eq!(done.reply, expected.reply, "{name}");
        assert!(files(&made) == local_files, "{name}: files differ");
    }
}

/// Does the work with a source that the store holds.
fn fetched(
    store: &Arc<Remote>,
    work: &Work,
    limits: Limits,
    bound: Option<Duration>,
) -> Result<(Done, Files, Took), ChildError> {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    std::fs::create_dir(&made).unwrap();
    block_on(async {
        let size = store.size(KEY).await.unwrap().unwrap();
        let source = folder.path().join("source");
        let mut feed = Feed::create(store.clone(), KEY.into(), size, &source).unwrap();
        if let Some(bound) = bound {
            feed = feed.with_bound(bound);
        }
        let request = work.request(source.clone(), made.clone());
        let cancel = CancellationToken::new();
        let done = run_fetching(&launch(limits), &request, &mut feed, |_| {}, &cancel).await?;
        let took = Took {
            requests: store.requests(),
            bytes: store.bytes(),
            resident: feed.most_resident_bytes(),
            on_disk: std::fs::metadata(&source).unwrap().blocks() * 512,
            outstanding: store.most_outstanding(),
        };
        assert_eq!(feed.fetched_bytes(), took.bytes, "nothing was fetched that was not counted");
        Ok((done, files(&made), took))
    })
}

fn local(source: &Path, work: &Work) -> Result<(Done, Files), ChildError> {
    let folder = tempfile::tempdir().unwrap();
    let done = ask(&work.request(source.to_owned(), folder.path().to_owned()), work.limits())?;
    Ok((done, files(folder.path())))
}

/// Everything there is to do with a source.
fn all_work(source: &Path, settings: &PlanSettings) -> Vec<Work> {
    part_work(source, None, settings)
}

/// Everything there is to do with a part of one.
fn part_work(source: &Path, trim: Option<Trim>, settings: &PlanSettings) -> Vec<Work> {
    let info = probe_part(source, trim).unwrap();
    let plan = plan(&info, settings).unwrap();
    let mut all = vec![Work::Probe];
    if let Some(video) = &plan.video {
        all.extend(video.spans.iter().map(|span| Work::Span(info.clone(), video.clone(), *span)));
    }
    all.extend(plan.audio.iter().map(|audio| Work::Audio(info.clone(), audio.clone())));
    all
}

fn remote(source: &Path, mood: Mood) -> Arc<Remote> {
    block_on(Remote::with(source, mood))
}

#[test]
fn the_result_is_that_of_a_local_file() {
    let both = format!("{} {}", picture("640x360", 30, 9.0), tone(9.0));
    let h264 = format!("{H264} -g 30 -c:a aac");
    let vp9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30 -c:a libopus";
    let fragments = "-movflags frag_keyframe+empty_moov";
    let sources = [
        ("MP4, index at the end", ffmpeg(&format!("{both} {h264}"), "mp4")),
        ("MP4, index at the front", ffmpeg(&format!("{both} {h264} -movflags +faststart"), "mp4")),
        ("MP4 in fragments", ffmpeg(&format!("{both} {h264} {fragments}"), "mp4")),
        ("Matroska", ffmpeg(&format!("{both} {h264}"), "mkv")),
        ("WebM", ffmpeg(&format!("{both} {vp9}"), "webm")),
        ("MPEG-TS", ffmpeg(&format!("{both} {h264}"), "ts")),
        ("AVI", ffmpeg(&format!("{both} -c:v mpeg4 -q:v 3 -c:a libmp3lame"), "avi")),
    ];
    let settings = PlanSettings { segment_ms: 2_000, span_ms: 4_000, ..PlanSettings::default() };
    for (what, source) in sources {
        let all = all_work(&source, &settings);
        assert!(all.len() >= 3, "{what}: {}", all.len());
        for work in all {
            let (expected, local_files) = local(&source, &work).unwrap();
            let store = remote(&source, Mood::Good);
            let (done, made, took) = fetched(&store, &work, work.limits(), None).unwrap();
            assert_eq!(done.reply, expected.reply, "{what}");
            assert!(made == local_files, "{what}: files differ");
            assert!(matches!(work, Work::Probe) || made.len() > 1, "{what}");
            assert!(took.bytes > 0 && took.requests > 0, "{what}: {took:?}");
        }
    }
}

/// Ten minutes, as many megabytes as such a recording has.
fn ten_minutes(flags: &str, extension: &str) -> PathBuf {
    let both = format!("{} {}", picture("1280x720", 30, 6.0), tone(6.0));
    let part = ffmpeg(&format!("{both} {H264} -crf 12 -g 60 -c:a aac"), "mp4");
    ffmpeg(&format!("-stream_loop 99 -i {} -c copy {flags}", part.display()), extension)
}

#[test]
fn a_span_of_a_long_file_reads_a_small_share_of_it() {
    let settings = PlanSettings { segment_ms: 4_000, span_ms: 8_000, ..PlanSettings::default() };
    let sources = [
        ("MP4, index at the end", ten_minutes("", "mp4")),
        ("MP4, index at the front", ten_minutes("-movflags +faststart", "mp4")),
        ("Matroska", ten_minutes("", "mkv")),
    ];
    for (what, source) in sources {
        let size = std::fs::metadata(&source).unwrap().len();
        let all = all_work(&source, &settings);
        let spans = all.iter().filter(|work| matches!(work, Work::Span(..))).count();
        assert!(spans > 70, "{what}: {spans}");
        // The probe, a span at the beginning, in the middle, the last one.
        for (name, at, most) in [
            ("probe", 0, 0.10),
            ("first span", 1, 0.10),
            ("a span", spans / 2, 0.10),
            ("last span", spans, 0.10),
        ] {
            let work = &all[at];
            let store = remote(&source, Mood::Good);
            let (_, _, took) = fetched(&store, work, work.limits(), None).unwrap();
            let share = took.bytes as f64 / size as f64;
            println!(
                "{what}, {} MiB, {name}: {:.1} MiB in {} requests, {:.2} %",
                size >> 20,
                took.bytes as f64 / 1_048_576.0,
                took.requests,
                share * 100.0
            );
            assert!(share < most, "{what} {name}: {share}");
            assert!(took.outstanding <= 2 << 20, "{what} {name}: {took:?}");
        }
    }
}

/// However long the recording goes on before the in point and after the out point.
#[test]
fn a_part_of_a_long_file_reads_a_small_share_of_it() {
    for (what, source) in [("MP4", ten_minutes("", "mp4")), ("Matroska", ten_minutes("", "mkv"))] {
        let size = std::fs::metadata(&source).unwrap().len();
        let trim = Trim::new(Some(500_500), Some(508_000)).unwrap();
        let all = part_work(&source, trim, &PlanSettings::default());
        assert_eq!(all.len(), 3, "{what}: a probe, a span and a sound");
        for (name, work) in [("span", &all[1]), ("sound", &all[2])] {
            let store = remote(&source, Mood::Good);
            let (_, made, took) = fetched(&store, work, work.limits(), None).unwrap();
            let share = took.bytes as f64 / size as f64;
            println!("{what}, {name}: {:.1} MiB, {:.2} %", took.bytes as f64 / 1_048_576.0, share * 100.0);
            assert!(share < 0.10 && made.len() > 1, "{what} {name}: {share}");
        }
    }
}

#[test]
fn sound_of_a_long_file_keeps_within_its_bounds() {
    for (what, source) in [("MP4", ten_minutes("", "mp4")), ("Matroska", ten_minutes("", "mkv"))] {
        let size = std::fs::metadata(&source).unwrap().len();
        assert!(size > 300 << 20, "{what}: {size} bytes would fit into the bound");
        let work = all_work(&source, &PlanSettings::default()).pop().unwrap();
        let store = remote(&source, Mood::Good);
        let started = Instant::now();
        let (_, _, took) = fetched(&store, &work, work.limits(), None).unwrap();
        println!(
            "{what}, {} MiB, sound: {:.0} MiB in {} requests and {:.1} s; at most {} MiB on disk, {} KiB in memory",
            size >> 20,
            took.bytes as f64 / 1_048_576.0,
            took.requests,
            started.elapsed().as_secs_f64(),
            took.resident >> 20,
            took.outstanding >> 10,
        );
        assert!(took.bytes <= size + size / 10, "{what}: {took:?}");
        assert!(took.resident <= 136 << 20, "{what}: {took:?}");
        assert!(took.on_disk <= 136 << 20, "{what}: holes were punched: {took:?}");
        assert!(took.outstanding <= 2 << 20, "{what}: {took:?}");
    }
}

#[test]
fn a_source_that_is_broken_is_called_so() {
    let half = changed("cut data", &plain(), "mp4", |bytes| bytes[..bytes.len() / 2].to_vec());
    let error = fetched(&remote(&half, Mood::Good), &Work::Probe, Work::Probe.limits(), None).unwrap_err();
    assert_eq!(error.code(), FailureCode::SourceCorrupt, "{error}");
    assert!(!error.is_retryable());
}

/// The work that reads the most of the plain source.
fn one_span() -> Work {
    all_work(&plain(), &PlanSettings::default()).remove(1)
}

#[test]
fn what_the_store_does_wrong_is_not_the_sources_fault() {
    let source = plain();
    let span = one_span();
    let expected = fetched(&remote(&source, Mood::Good), &span, span.limits(), None).unwrap().2.requests;
    assert!(expected >= 3, "{expected} requests");
    let mut moods = Vec::new();
    for request in 1..=expected {
        moods.extend([Mood::FailsFrom(request), Mood::VanishesAt(request), Mood::BreaksOffAt(request)]);
    }
    moods.push(Mood::ChangesAt(2));
    moods.push(Mood::HangsAt(2));
    for mood in moods {
        let started = Instant::now();
        let bound = Some(Duration::from_secs(1));
        let error = fetched(&remote(&source, mood), &span, span.limits(), bound).unwrap_err();
        assert!(matches!(error, ChildError::Store(_)), "{mood:?}: {error}");
        assert!(error.is_retryable() && error.code() == FailureCode::Internal, "{mood:?}: {error}");
        assert!(error.to_string().contains(KEY), "{mood:?}: {error}");
        assert!(started.elapsed() < Duration::from_secs(10), "{mood:?}: {:?}", started.elapsed());
    }
}

#[test]
fn waiting_for_the_store_is_no_standstill() {
    let (source, span) = (plain(), one_span());
    let (_, expected, _) = fetched(&remote(&source, Mood::Good), &span, span.limits(), None).unwrap();
    // Every wait is longer than the work may stand still.
    let limits = Limits { stall: Duration::from_millis(1_500), ..span.limits() };
    let slow = remote(&source, Mood::Slow(Duration::from_secs(3)));
    let (_, made, _) = fetched(&slow, &span, limits, None).unwrap();
    assert!(made == expected);
    // And the bound on everything blames the store when the time went there.
    let limits = Limits { wall: Duration::from_secs(5), ..span.limits() };
    let error =
        fetched(&remote(&source, Mood::Slow(Duration::from_secs(4))), &span, limits, None).unwrap_err();
    assert!(matches!(error, ChildError::Slow(_)) && error.is_retryable(), "{error}");
}
