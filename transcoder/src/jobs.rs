//! The transcoder's jobs: probe a source, make one span, make one audio track. Each runs in a child process of its own
//! and leaves its files under the attempt's own prefix.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use lectern_domain::{
    captions,
    failure::{Failure, FailureCode},
    ids::{AssetId, Kid, PackageId},
    job::{JobPayload, WorkClass},
    keys::{KeyName, Protection, TrackClass},
    media::TranscodeOutput,
    plan::{PlanSettings, plan},
    stills, storage_key, waveform,
};
use lectern_platform::{
    clock::{Clock, new_id},
    objects::SharedObjects,
    worker::{Handler, JobContext},
};
use lectern_store::{
    Db,
    assets::{self, Asset},
    jobs::Job,
    packages::NewPackage,
    pipeline::{Completion, JobFailure},
};

use tokio::sync::mpsc;

use crate::child::{self, ChildError, Done, Feed, Launch, Limits, News, Reply, Request};

/// Does the jobs of [`WorkClass::FirstVideo`], [`WorkClass::Audio`] and [`WorkClass::BulkVideo`].
#[derive(Debug, Clone)]
pub struct TranscoderJobs {
    /// Which of them.
    pub classes: &'static [WorkClass],
    /// The database.
    pub db: Db,
    /// The object store.
    pub objects: SharedObjects,
    /// The time, for ids.
    pub clock: Arc<dyn Clock>,
    /// How children are started; their limits are for transcoding.
    pub launch: Launch,
    /// A local folder for work in progress, on the object store's file system where that is a disk.
    pub scratch: PathBuf,
    /// What operators set about plans.
    pub plan: PlanSettings,
    /// How packages will be protected.
    pub protection: Protection,
}

/// How far spans that nobody waits for stand back from those that somebody does; about a tenth of their share of a core.
const BULK_NICENESS: i32 = 10;

fn unavailable(error: impl std::fmt::Display) -> JobFailure {
    JobFailure::Unavailable(error.to_string())
}

fn retry(error: impl std::fmt::Display) -> JobFailure {
    JobFailure::Retry(error.to_string())
}

fn fail(code: FailureCode, detail: impl std::fmt::Display) -> JobFailure {
    JobFailure::Fail { failure: Failure::from(code), detail: detail.to_string() }
}

fn child_failure(error: &ChildError) -> JobFailure {
    match error {
        ChildError::Store(_) => unavailable(error),
        _ if error.is_retryable() => retry(error),
        _ => fail(error.code(), error),
    }
}

#[async_trait]
impl Handler for TranscoderJobs {
    fn classes(&self) -> &'static [WorkClass] {
        self.classes
    }

    async fn run(&self, job: &Job, context: &JobContext) -> Result<Completion, JobFailure> {
        let id = job.payload.asset();
        let asset = assets::find(&self.db, id)
            .await
            .map_err(unavailable)?
            .ok_or_else(|| fail(FailureCode::Internal, "no such asset"))?;
        if !matches!(job.payload, JobPayload::Probe { .. }) && !asset.planned_as_asked() {
            return Err(fail(
                FailureCode::Internal,
                "the plan is of another part of the source than was asked for",
            ));
        }
        match job.payload {
            JobPayload::Probe { .. } => self.probe(&asset, job, context).await,
            JobPayload::TranscodeSpan { span, .. } => {
                let plan = asset.plan.as_ref().and_then(|plan| plan.video.clone());
                let missing = || fail(FailureCode::Internal, format!("the plan has no span {span}"));
                let plan = plan.ok_or_else(missing)?;
                let span = *plan.spans.get(span as usize).ok_or_else(missing)?;
                let info = asset.source_info.clone().ok_or_else(missing)?;
                let request = |source, folder| Request::Span { source, info, plan, span, folder };
                self.transcode(&asset, job, context, request).await
            }
            JobPayload::TranscodeAudio { audio, .. } => {
                let missing = || fail(FailureCode::Internal, format!("the plan has no audio {audio}"));
                let plan = asset.plan.as_ref().and_then(|plan| plan.audio.get(audio as usize).cloned());
                let plan = plan.ok_or_else(missing)?;
                let info = asset.source_info.clone().ok_or_else(missing)?;
                let request = |source, folder| Request::Audio { source, info, plan, folder };
                self.transcode(&asset, job, context, request).await
            }
            _ => Err(fail(FailureCode::Internal, "a job of another role reached the transcoder")),
        }
    }
}

impl TranscoderJobs {
    /// Runs a request in a child. `request` gets the path under which the child finds the source: its place on this
    /// machine's disk, or a file in `work` that holds what is fetched.
    async fn run_child(
        &self,
        asset: AssetId,
        launch: &Launch,
        work: &Path,
        request: impl FnOnce(PathBuf) -> Request,
        context: &JobContext,
        made: mpsc::UnboundedSender<TranscodeOutput>,
    ) -> Result<Done, JobFailure> {
        let key = storage_key::source(asset);
        let size = self.objects.size(&key).await.map_err(unavailable)?;
        let size =
            size.ok_or_else(|| fail(FailureCode::Internal, "the source is not in the object store"))?;
        let news = move |news| match news {
            News::Progress(share) => context.progress(share),
            // Heard by nobody once the job is given up.
            News::Made(part) => drop(made.send(part)),
        };
        let done = if let Some(path) = self.objects.path(&key) {
            child::run(launch, &request(path), news, context.cancelled()).await
        } else {
            let mut feed =
                Feed::create(self.objects.clone(), key, size, &work.join("source")).map_err(retry)?;
            let request = request(feed.path().to_owned());
            let done = child::run_fetching(launch, &request, &mut feed, news, context.cancelled()).await;
            tracing::debug!(
                asset = %asset,
                fetched_bytes = feed.fetched_bytes(),
                of_bytes = size,
                waited_ms = feed.waited().as_millis() as u64,
                "read the source from its store"
            );
            done
        };
        done.map_err(|error| child_failure(&error))
    }

    /// A folder for one attempt, removed when dropped.
    async fn work_folder(&self, job: &Job) -> Result<tempfile::TempDir, JobFailure> {
        tokio::fs::create_dir_all(&self.scratch).await.map_err(retry)?;
        let prefix = format!("{}-{}-", job.id, job.attempt);
        tempfile::Builder::new().prefix(&prefix).tempdir_in(&self.scratch).map_err(retry)
    }

    async fn probe(&self, asset: &Asset, job: &Job, context: &JobContext) -> Result<Completion, JobFailure> {
        let launch = Launch { limits: self.launch.limits.clone().for_probe(), ..self.launch.clone() };
        let work = self.work_folder(job).await?;
        let request = |source| Request::Probe { source, trim: asset.trim };
        let (made, _) = mpsc::unbounded_channel();
        let done = self.run_child(asset.id, &launch, work.path(), request, context, made).await?;
        let Reply::Probed { info } = done.reply else {
            return Err(fail(FailureCode::Internal, "the child answered another question"));
        };
        let plan = plan(&info, &self.plan).map_err(|code| fail(code, "the source cannot be planned"))?;
        tracing::info!(
            asset = %asset.id,
            container = info.container,
            trim = ?info.trim,
            duration_ms = plan.duration_ns / 1_000_000,
            rungs = plan.video.as_ref().map_or(0, |video| video.rungs.len()),
            spans = plan.video.as_ref().map_or(0, |video| video.spans.len()),
            audio = plan.audio.len(),
            "source examined and planned"
        );
        Ok(Completion::Probed { source: info, plan: Box::new(plan) })
    }

    async fn transcode(
        &self,
        asset: &Asset,
        job: &Job,
        context: &JobContext,
        request: impl FnOnce(PathBuf, PathBuf) -> Request,
    ) -> Result<Completion, JobFailure> {
        let work = self.work_folder(job).await?;
        // Not the work folder itself: the child may write into its own, and must not write what it reads.
        let folder = work.path().join("made");
        tokio::fs::create_dir(&folder).await.map_err(retry)?;
        let request = |source| request(source, folder.clone());
        let (made, mut parts) = mpsc::unbounded_channel();
        let mut stored = HashSet::new();
        // Parts are stored while the child goes on.
        let store_parts = async {
            while let Some(part) = parts.recv().await {
                self.store(asset.id, job, &part, &folder, &mut stored).await?;
                context.made(&part, &self.next_package()).await;
            }
            Ok(())
        };
        let niceness = if job.payload.class() == WorkClass::BulkVideo { BULK_NICENESS } else { 0 };
        let launch =
            Launch { limits: Limits { niceness, ..self.launch.limits.clone() }, ..self.launch.clone() };
        let child = self.run_child(asset.id, &launch, work.path(), request, context, made);
        let (done, ()) = tokio::try_join!(child, store_parts)?;
        let Reply::Made { output } = done.reply else {
            return Err(fail(FailureCode::Internal, "the child answered another question"));
        };
        self.store(asset.id, job, &output, &folder, &mut stored).await?;
        self.store_beside(asset.id, job, &folder).await?;
        tracing::info!(
            asset = %asset.id,
            job = %job.id,
            attempt = job.attempt,
            segments = output.tracks.iter().map(|track| track.segments.len()).sum::<usize>(),
            cpu_ms = done.usage.cpu_ms,
            peak_rss_mib = done.usage.peak_rss_bytes >> 20,
            "encoded"
        );
        Ok(Completion::Transcoded { output, package: self.next_package() })
    }

    /// Moves the files of a report to the attempt's prefix, but for those that are `stored`.
    async fn store(
        &self,
        asset: AssetId,
        job: &Job,
        output: &TranscodeOutput,
        folder: &Path,
        stored: &mut HashSet<String>,
    ) -> Result<(), JobFailure> {
        let prefix = storage_key::work_attempt_prefix(asset, job.id, job.attempt);
        for track in &output.tracks {
            let segments = track.segments.iter().map(|segment| segment.file.as_str());
            for file in std::iter::once(track.init.as_str()).chain(segments) {
                if stored.contains(file) {
                    continue;
                }
                let path = folder.join(file);
                // The child has read the source: what it names must be a file that it made, nothing elsewhere.
                let found = tokio::fs::symlink_metadata(&path).await;
                if file.contains('/') || !found.is_ok_and(|found| found.is_file()) {
                    return Err(retry(format!("{file:?} is not a file that the child made")));
                }
                self.objects.put_file(&format!("{prefix}{file}"), &path).await.map_err(unavailable)?;
                stored.insert(file.to_owned());
            }
        }
        Ok(())
    }

    /// Moves what a child leaves besides tracks.
    async fn store_beside(&self, asset: AssetId, job: &Job, folder: &Path) -> Result<(), JobFailure> {
        let prefix = storage_key::work_attempt_prefix(asset, job.id, job.attempt);
        for file in [stills::REPORT, stills::PICTURES, captions::TEXTS, waveform::FILE] {
            let path = folder.join(file);
            if path.exists() {
                self.objects.put_file(&format!("{prefix}{file}"), &path).await.map_err(unavailable)?;
            }
        }
        Ok(())
    }

    /// Names for the package that follows if this was the asset's last transcode job.
    fn next_package(&self) -> NewPackage {
        let clock = self.clock.as_ref();
        let keys = match self.protection {
            Protection::None => Vec::new(),
            Protection::Aes128 => [TrackClass::Video, TrackClass::Audio]
                .map(|class| KeyName { kid: new_id(clock, Kid::generate), class, period: 0 })
                .to_vec(),
        };
        NewPackage { id: new_id(clock, PackageId::generate), protection: self.protection, keys }
    }
}
