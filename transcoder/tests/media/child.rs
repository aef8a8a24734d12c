//! Runs the child the way the product does.

use std::path::{Path, PathBuf};

use lectern_domain::{
    failure::FailureCode,
    media::TrackOutput,
    plan::{PlanSettings, TranscodePlan, plan},
    source::SourceInfo,
    trim::Trim,
};
use lectern_transcoder::child::{ChildError, Done, Launch, Limits, News, Reply, Request, run};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// How these tests start children.
pub(crate) fn launch(limits: Limits) -> Launch {
    Launch {
        program: PathBuf::from(env!("CARGO_BIN_EXE_lectern-media-child")),
        cache: crate::fixtures::folder().join("cache"),
        limits,
    }
}

pub(crate) fn ask(request: &Request, limits: Limits) -> Result<Done, ChildError> {
    block_on(async {
        let mut furthest = 0.0;
        let mut told = Vec::new();
        let on_news = |news| match news {
            News::Progress(done) => {
                assert!(done > furthest && done <= 1.0, "progress went from {furthest} to {done}");
                furthest = done;
            }
            News::Made(part) => told.extend(part.tracks.into_iter().flat_map(|track| track.segments)),
        };
        let done = run(&launch(limits), request, on_news, &CancellationToken::new()).await;
        if let Ok(Done { reply: Reply::Made { output }, .. }) = &done {
            let all: Vec<_> = output.tracks.iter().flat_map(|track| &track.segments).collect();
            assert!(told.iter().eq(all.into_iter().take(told.len())), "{told:?} of {output:?}");
        }
        done
    })
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn probe(source: &Path) -> Result<SourceInfo, FailureCode> {
    probe_part(source, None)
}

pub(crate) fn probe_part(source: &Path, trim: Option<Trim>) -> Result<SourceInfo, FailureCode> {
    match ask(&Request::Probe { source: source.to_owned(), trim }, Limits::transcode().for_probe()) {
        Ok(Done { reply: Reply::Probed { info }, .. }) => Ok(*info),
        Ok(other) => panic!("expected facts, got {other:?}"),
        Err(error) => {
            eprintln!("{error}");
            Err(error.code())
        }
    }
}

/// Everything made of one source.
pub(crate) struct Made {
    pub(crate) info: SourceInfo,
    pub(crate) plan: TranscodePlan,
    pub(crate) folder: TempDir,
    /// Tracks as each job reported them, in the order of the jobs.
    pub(crate) outputs: Vec<TrackOutput>,
}

/// Probes, plans and makes every span and audio track, as separate jobs.
pub(crate) fn make(source: &Path, settings: &PlanSettings) -> Result<Made, FailureCode> {
    make_part(source, None, settings)
}

/// The same of a part of it.
pub(crate) fn make_part(
    source: &Path,
    trim: Option<Trim>,
    settings: &PlanSettings,
) -> Result<Made, FailureCode> {
    let info = probe_part(source, trim)?;
    let plan = plan(&info, settings)?;
    let folder = tempfile::tempdir().unwrap();
    let mut outputs = Vec::new();
    let mut requests = Vec::new();
    if let Some(video) = &plan.video {
        requests.extend(video.spans.iter().map(|span| Request::Span {
            source: source.to_owned(),
            info: info.clone(),
            plan: video.clone(),
            span: *span,
            folder: folder.path().to_owned(),
        }));
    }
    requests.extend(plan.audio.iter().map(|audio| Request::Audio {
        source: source.to_owned(),
        info: info.clone(),
        plan: audio.clone(),
        folder: folder.path().to_owned(),
    }));
    for request in requests {
        match ask(&request, Limits::transcode()) {
            Ok(Done { reply: Reply::Made { output }, usage }) => {
                assert!(usage.peak_rss_bytes > 0);
                outputs.extend(output.tracks);
            }
            Ok(other) => panic!("expected tracks, got {other:?}"),
            Err(error) => {
                eprintln!("{error}");
                return Err(error.code());
            }
        }
    }
    Ok(Made { info, plan, folder, outputs })
}

impl Made {
    /// Names of the tracks, each once, in the order of the jobs.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for track in &self.outputs {
            if !names.contains(&track.name) {
                names.push(track.name.clone());
            }
        }
        names
    }

    /// One file of a track: its init segment and all its segments, across spans.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.mp4"));
        let mut bytes = Vec::new();
        for track in self.outputs.iter().filter(|track| track.name == name) {
            if bytes.is_empty() {
                bytes = std::fs::read(self.folder.path().join(&track.init)).unwrap();
            }
            for segment in &track.segments {
                let segment = std::fs::read(self.folder.path().join(&segment.file)).unwrap();
                bytes.extend(segment);
            }
        }
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// `(index, start, duration, samples)` of every segment of a track.
    pub(crate) fn grid(&self, name: &str) -> Vec<(u32, u64, u64, u32)> {
        self.outputs
            .iter()
            .filter(|track| track.name == name)
            .flat_map(|track| &track.segments)
            .map(|segment| (segment.index, segment.start_ticks, segment.duration_ticks, segment.samples))
            .collect()
    }

    /// Names of the video tracks.
    pub(crate) fn rungs(&self) -> Vec<String> {
        self.names().into_iter().filter(|name| !name.starts_with("audio")).collect()
    }
}
