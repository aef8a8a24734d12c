//! `lectern encode`: the transcoder and the packager on one file, with no server and no database.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use lectern_domain::{
    failure::FailureCode,
    ids::Kid,
    keys::{AssetSecret, Protection},
    ladder::Quality,
    media::{RenditionKind, TranscodeOutput},
    plan::{TranscodePlan, plan},
    source::{SourceInfo, VideoTrack},
    trim::Trim,
};
use lectern_packager::{
    build::{Build, Playlists},
    layout::PackageKeys,
};
use lectern_platform::{
    clock::{SystemClock, new_id, random_bytes},
    objects::{DiskObjects, Objects as _},
};
use lectern_transcoder::child::{self, Launch, Limits, News, Reply, Request, Usage};
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// What to encode and how.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The source file
    file: PathBuf,
    /// Folder for the package; made if missing, must be empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// none or aes-128
    #[arg(long, default_value = "none", value_parser = protection)]
    protection: Protection,
    /// x264 preset (default: the configured one)
    #[arg(long)]
    preset: Option<String>,
    /// economy, balanced or high (default: the configured one)
    #[arg(long, value_parser = quality)]
    quality: Option<Quality>,
    /// How loud the sound shall be, LUFS, e.g. -16 (default: the configured loudness)
    #[arg(long, value_name = "LUFS", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-40..=-5))]
    loudness: Option<i32>,
    /// Where the lesson begins, milliseconds of the source (default: with it)
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    trim_in: Option<u64>,
    /// Where the lesson ends, milliseconds of the source (default: with it)
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    trim_out: Option<u64>,
    /// Encode frames that repeat the one before, too
    #[arg(long)]
    keep_all_frames: bool,
    /// Writes the content keys as KID:KEY lines in hex, for testing
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Prints one JSON object about what was made instead of a progress bar
    #[arg(long)]
    json: bool,
}

fn quality(text: &str) -> Result<Quality, String> {
    Quality::parse(text).ok_or_else(|| format!("expected economy, balanced or high, got {text:?}"))
}

fn protection(text: &str) -> Result<Protection, String> {
    Protection::parse(text).ok_or_else(|| format!("expected none or aes-128, got {text:?}"))
}

/// What the media children of one encode cost.
#[derive(Debug, Default)]
struct Cost {
    cpu_ms: AtomicU64,
    /// Peaks of all children: those that ran at the same time are the largest ones at worst.
    peaks: Mutex<Vec<u64>>,
}

impl Cost {
    fn add(&self, usage: Usage) {
        self.cpu_ms.fetch_add(usage.cpu_ms, Ordering::Relaxed);
        self.peaks.lock().expect("no holder panics").push(usage.peak_rss_bytes);
    }

    /// The sum of the `at_once` largest peaks.
    fn peak(&self, at_once: usize) -> u64 {
        let mut peaks = self.peaks.lock().expect("no holder panics").clone();
        peaks.sort_unstable_by(|a, b| b.cmp(a));
        peaks.iter().take(at_once).sum()
    }
}

/// Makes the package, or leaves the folder as it was.
pub(crate) async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let trim = Trim::new(arguments.trim_in, arguments.trim_out)
        .map_err(|error| anyhow::anyhow!(error.named("--trim-in", "--trim-out")))?;
    let source = arguments.file.canonicalize().with_context(|| arguments.file.display().to_string())?;
    let was_there = arguments.out.exists();
    std::fs::create_dir_all(&arguments.out).with_context(|| arguments.out.display().to_string())?;
    let out = arguments.out.canonicalize()?;
    if std::fs::read_dir(&out)?.next().is_some() {
        bail!(
            "{} is not empty; give a folder that is, so that nothing of yours is overwritten",
            out.display()
        );
    }
    let made = encode(config, &arguments, trim, source, &out).await;
    if made.is_err() {
        clear(&out, !was_there);
    }
    made
}

/// Removes what lies in a folder, and the folder itself if `altogether`. Why nothing was made matters more than what cannot be
/// removed.
fn clear(folder: &Path, altogether: bool) {
    if altogether {
        let _ = std::fs::remove_dir_all(folder);
        return;
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
}

async fn encode(
    config: &Config,
    arguments: &Arguments,
    trim: Option<Trim>,
    source: PathBuf,
    out: &Path,
) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let objects = DiskObjects::open(out.to_owned()).await?;
    let work = tempfile::Builder::new().prefix(".work-").tempdir_in(out)?;
    let bar = if arguments.json {
        ProgressBar::hidden()
    } else {
        let style =
            ProgressStyle::with_template("{msg:12} [{bar:40}] {percent:>3} %  {elapsed} (eta {eta})")?;
        ProgressBar::new(1_000).with_style(style.progress_chars("=> "))
    };
    let mut settings = config.plan_settings();
    if let Some(preset) = &arguments.preset {
        settings.preset.clone_from(preset);
    }
    settings.keep_all_frames |= arguments.keep_all_frames;
    settings.loudness_lufs = arguments.loudness.or(settings.loudness_lufs);
    settings.quick_start = false;
    settings.quality = arguments.quality.unwrap_or(settings.quality);
    let cache = cache_folder().unwrap_or_else(|| work.path().to_owned());
    let launch = launch(config, &cache)?;
    let cost = Cost::default();

    bar.set_message("examining");
    let cancel = CancellationToken::new();
    let probe = Launch { limits: launch.limits.clone().for_probe(), ..launch.clone() };
    let done = child::run(&probe, &Request::Probe { source: source.clone(), trim }, |_| {}, &cancel)
        .await
        .map_err(|error| sentence(&error))?;
    cost.add(done.usage);
    let Reply::Probed { info } = done.reply else { bail!("the child answered another question") };
    let plan =
        plan(&info, &settings).map_err(|code| anyhow::anyhow!("{}: {}", code.as_str(), code.sentence()))?;

    bar.set_message("encoding");
    let calm = info.video.as_ref().is_some_and(VideoTrack::is_calm);
    // A span of film keeps two cores busy. The sound is little work beside a span, but lasts as long as one of slides.
    let slots = if calm { config.media_slots() + 1 } else { config.media_slots().div_ceil(2) };
    let (outputs, sources) =
        transcode(&launch, &source, &info, &plan, work.path(), slots, &bar, &cost).await?;
    lectern_packager::planned::check(&plan, &outputs).map_err(ours)?;
    if outputs.iter().all(|output| output.tracks.is_empty()) {
        let code = FailureCode::SourceCorrupt;
        bail!("{}: {} (no track has anything in it)", code.as_str(), code.sentence());
    }

    bar.set_message("packaging");
    let secret = AssetSecret::from_bytes(random_bytes());
    let names = PackageKeys::new(new_id(&SystemClock, Kid::generate), new_id(&SystemClock, Kid::generate));
    let work_name = work.path().file_name().and_then(|name| name.to_str()).context("folder name")?;
    let sources: Vec<String> = sources.iter().map(|name| format!("{work_name}/{name}/")).collect();
    let keys = (arguments.protection == Protection::Aes128).then_some((names, &secret));
    let build = Build {
        objects: &objects,
        outputs: &outputs,
        sources: &sources,
        target: "",
        keys,
        done: &BTreeMap::new(),
        playlists: Playlists::Whole,
    };
    let built = build.run(|share| bar.set_position(950 + (share * 50.0) as u64)).await.map_err(ours)?;
    drop(work);
    objects.delete_prefix(".partial/").await?;
    if let (Some(path), Some(_)) = (&arguments.key_file, keys) {
        write_key_file(path, &secret, names)?;
    }
    bar.finish_and_clear();

    let own = own_usage()?;
    let video_frames = |name: &str| frames(&outputs, name);
    let renditions = |kind| built.renditions.iter().filter(move |rendition| rendition.kind == kind);
    let summary = serde_json::json!({
        "plan": plan,
        "segments": built.segments,
        "renditions": renditions(RenditionKind::Video).map(|r| serde_json::json!({
            "name": r.name, "width": r.width, "height": r.height, "frames": video_frames(&r.name),
            "bytes": r.bytes, "codecs": r.codecs, "average_bandwidth": r.average_bandwidth, "bandwidth": r.bandwidth,
        })).collect::<Vec<_>>(),
        "audio": renditions(RenditionKind::Audio).map(|r| serde_json::json!({
            "name": r.name, "bytes": r.bytes, "codecs": r.codecs,
        })).collect::<Vec<_>>(),
        "duration_ms": built.duration_ms,
        "wall_ms": started.elapsed().as_millis() as u64,
        "cpu_ms": cost.cpu_ms.load(Ordering::Relaxed) + own.cpu_ms,
        "peak_rss_bytes": cost.peak(slots + 1) + own.peak_rss_bytes,
    });
    if arguments.json {
        println!("{summary}");
    } else {
        println!(
            "{} segments in {} renditions, {:.1} s of media in {:.1} s, at {}",
            built.segments,
            built.renditions.len(),
            built.duration_ms as f64 / 1e3,
            started.elapsed().as_secs_f64(),
            out.join(lectern_domain::storage_key::MULTIVARIANT).display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the user's programs keep what they can make again (XDG Base Directory Specification): GStreamer's list of plugins takes a
/// third of a second to make. None where there is no such place.
fn cache_folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?.join("lectern");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder)
}

/// How children of this program are started.
pub(crate) fn launch(config: &Config, cache: &Path) -> anyhow::Result<Launch> {
    Ok(Launch {
        program: std::env::current_exe().context("finding this program's own file")?,
        cache: cache.to_owned(),
        limits: Limits {
            memory_bytes: config.transcode.memory_limit_mib << 20,
            stall: Duration::from_secs(config.transcode.stall_seconds),
            allow_without_landlock: config.transcode.allow_unconfined,
            ..Limits::transcode()
        },
    })
}

/// What goes wrong once everything is decoded and encoded is never the source's fault.
fn ours(error: impl std::fmt::Display) -> anyhow::Error {
    let code = FailureCode::Internal;
    anyhow::anyhow!("{}: {} ({error})", code.as_str(), code.sentence())
}

fn sentence(error: &child::ChildError) -> anyhow::Error {
    let code = error.code();
    anyhow::anyhow!("{}: {} ({error})", code.as_str(), code.sentence())
}

/// Runs every span and audio track, a few at a time. The outputs in packaging order, and the folder of each.
#[allow(clippy::too_many_arguments, reason = "called once, and each is another thing")]
async fn transcode(
    launch: &Launch,
    source: &Path,
    info: &SourceInfo,
    plan: &TranscodePlan,
    work: &Path,
    slots: usize,
    bar: &ProgressBar,
    cost: &Cost,
) -> anyhow::Result<(Vec<TranscodeOutput>, Vec<String>)> {
    let mut requests = Vec::new();
    // The longest first.
    for audio in &plan.audio {
        let (source, folder) = (source.to_owned(), work.join(&audio.name));
        let request = Request::Audio { source, info: info.clone(), plan: audio.clone(), folder };
        requests.push((audio.name.clone(), request, 0.05));
    }
    if let Some(video) = &plan.video {
        for span in &video.spans {
            let name = format!("span-{}", span.index);
            let (source, folder) = (source.to_owned(), work.join(&name));
            let request =
                Request::Span { source, info: info.clone(), plan: video.clone(), span: *span, folder };
            requests.push((name, request, 1.0));
        }
    }
    let total: f64 = requests.iter().map(|(.., weight)| weight).sum();
    let shares = Arc::new(Mutex::new(vec![0.0; requests.len()]));
    let cancel = CancellationToken::new();
    let jobs = requests.iter().enumerate().map(|(at, (name, request, weight))| {
        let (shares, cancel) = (shares.clone(), cancel.clone());
        async move {
            tokio::fs::create_dir_all(work.join(name)).await?;
            let report = |news| {
                let News::Progress(share) = news else { return };
                let mut shares = shares.lock().expect("no holder panics");
                shares[at] = share * weight / total;
                bar.set_position((shares.iter().sum::<f64>() * 950.0) as u64);
            };
            let done =
                child::run(launch, request, report, &cancel).await.map_err(|error| sentence(&error))?;
            cost.add(done.usage);
            let Reply::Made { output } = done.reply else { bail!("the child answered another question") };
            Ok((output, name.clone()))
        }
    });
    let mut done: Vec<_> = futures::stream::iter(jobs).buffered(slots).try_collect().await?;
    done.rotate_left(plan.audio.len());
    Ok(done.into_iter().unzip())
}

fn frames(outputs: &[TranscodeOutput], name: &str) -> u64 {
    let tracks = outputs.iter().flat_map(|output| &output.tracks).filter(|track| track.name == name);
    tracks.flat_map(|track| &track.segments).map(|segment| u64::from(segment.samples)).sum()
}

/// Content keys leave the process here only when they were asked for by name, into a file of the owner's alone.
fn write_key_file(path: &Path, secret: &AssetSecret, names: PackageKeys) -> anyhow::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        // A file that is there already may be readable by others, and the mode would not change that.
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("making the key file {}", path.display()))?;
    for name in [names.video, names.audio] {
        let key = secret.content_key(name.kid, name.period, name.class);
        writeln!(file, "{}:{}", name.kid.uuid().simple(), hex::encode(key.expose()))?;
    }
    Ok(())
}

fn own_usage() -> anyhow::Result<Usage> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').context("/proc/self/stat")?.1;
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak_kib: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok())
        .context("/proc/self/status has no VmHWM")?;
    // Linux counts these in hundredths of a second on every architecture it runs on here.
    Ok(Usage { cpu_ms: ticks * 10, peak_rss_bytes: peak_kib * 1_024 })
}
