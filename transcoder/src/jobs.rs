//! The transcoder's jobs: probe a source, make one span, make one audio track. Each runs in a child process of its own
//! and leaves its files under the attempt's own prefix.

use std::{
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
    stills, storage_key,
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

use crate::child::{self, ChildError, Done, Feed, Launch, Reply, Request};

/// Does the jobs of [`WorkClass::FirstVideo`], [`WorkClass::Audio`] and [`WorkClass::BulkVideo`].
#[derive(Debug, Clone)]
pub struct TranscoderJobs {
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
        &[WorkClass::FirstVideo, WorkClass::Audio, WorkClass::BulkVideo]
    }

    async fn run(&self, job: &Job, context: &JobContext) -> Result<Completion, JobFailure> {
        let id = job.payload.asset();
        let asset = assets::find(&self.db, id)
            .await
            .map_err(unavailable)?
            .ok_or_else(|| fail(FailureCode::Internal, "no such asset"))?;
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
    ) -> Result<Done, JobFailure> {
        let key = storage_key::source(asset);
        let size = self.objects.size(&key).await.map_err(unavailable)?;
        let size =
            size.ok_or_else(|| fail(FailureCode::Internal, "the source is not in the object store"))?;
        let progress = |share| context.progress(share);
        let done = if let Some(path) = self.objects.path(&key) {
            child::run(launch, &request(path), progress, context.cancelled()).await
        } else {
            let mut feed =
                Feed::create(self.objects.clone(), key, size, &work.join("source")).map_err(retry)?;
            let request = request(feed.path().to_owned());
            let done = child::run_fetching(launch, &request, &mut feed, progress, context.cancelled()).await;
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
        let request = |source| Request::Probe { source };
        let done = self.run_child(asset.id, &launch, work.path(), request, context).await?;
        let Reply::Probed { info } = done.reply else {
            return Err(fail(FailureCode::Internal, "the child answered another question"));
        };
        let plan = plan(&info, &self.plan).map_err(|code| fail(code, "the source cannot be planned"))?;
        tracing::info!(
            asset = %asset.id,
            container = info.container,
            duration_ms = plan.duration_ns / 1_000_000,
            rungs = plan.video.as_ref().map_or(0, |video| video.rungs.len()),
            spans = plan.video.as_ref().map_or(0, |video| video.spans.len()),
            audio = plan.audio.len(),
            "source examined and planned"
        );
        Ok(Completion::Probed { source: Box::new(info), plan: Box::new(plan) })
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
        let done = self.run_child(asset.id, &self.launch, work.path(), request, context).await?;
        let Reply::Made { output } = done.reply else {
            return Err(fail(FailureCode::Internal, "the child answered another question"));
        };
        self.store(asset.id, job, &output, &folder).await?;
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

    async fn store(
        &self,
        asset: AssetId,
        job: &Job,
        output: &TranscodeOutput,
        folder: &Path,
    ) -> Result<(), JobFailure> {
        let prefix = storage_key::work_attempt_prefix(asset, job.id, job.attempt);
        for track in &output.tracks {
            let segments = track.segments.iter().map(|segment| segment.file.as_str());
            for file in std::iter::once(track.init.as_str()).chain(segments) {
                self.objects
                    .put_file(&format!("{prefix}{file}"), &folder.join(file))
                    .await
                    .map_err(unavailable)?;
            }
        }
        for file in [stills::REPORT, stills::PICTURES, captions::TEXTS] {
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
