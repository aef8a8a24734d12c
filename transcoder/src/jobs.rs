//! The transcoder's jobs: probe a source, make one span, make one audio track. Each runs in a child process of its own
//! and leaves its files under the attempt's own prefix.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use lectern_domain::{
    failure::{Failure, FailureCode},
    ids::{AssetId, Kid, PackageId},
    job::{JobKind, JobPayload},
    keys::{KeyName, Protection, TrackClass},
    media::TranscodeOutput,
    plan::{PlanSettings, plan},
    storage_key,
};
use lectern_platform::{
    clock::{Clock, new_id},
    objects::{LocalFile, SharedObjects},
    worker::{Handler, JobContext},
};
use lectern_store::{
    Db,
    assets::{self, Asset},
    jobs::Job,
    packages::NewPackage,
    pipeline::{Completion, JobFailure},
};

use crate::child::{self, ChildError, Launch, Reply, Request};

/// Does [`JobKind::Probe`], [`JobKind::TranscodeSpan`] and [`JobKind::TranscodeAudio`].
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

fn retry(error: impl std::fmt::Display) -> JobFailure {
    JobFailure::Retry(error.to_string())
}

fn fail(code: FailureCode, detail: impl std::fmt::Display) -> JobFailure {
    JobFailure::Fail { failure: Failure::from(code), detail: detail.to_string() }
}

fn child_failure(error: &ChildError) -> JobFailure {
    if error.is_retryable() { retry(error) } else { fail(error.code(), error) }
}

#[async_trait]
impl Handler for TranscoderJobs {
    fn kinds(&self) -> &'static [JobKind] {
        &[JobKind::Probe, JobKind::TranscodeSpan, JobKind::TranscodeAudio]
    }

    async fn run(&self, job: &Job, context: &JobContext) -> Result<Completion, JobFailure> {
        let id = job.payload.asset();
        let asset = assets::find(&self.db, id)
            .await
            .map_err(retry)?
            .ok_or_else(|| fail(FailureCode::Internal, "no such asset"))?;
        match job.payload {
            JobPayload::Probe { .. } => self.probe(&asset, context).await,
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
    async fn source(&self, asset: AssetId) -> Result<LocalFile, JobFailure> {
        self.objects
            .local(&storage_key::source(asset))
            .await
            .map_err(retry)?
            .ok_or_else(|| fail(FailureCode::Internal, "the source is not in the object store"))
    }

    async fn probe(&self, asset: &Asset, context: &JobContext) -> Result<Completion, JobFailure> {
        let source = self.source(asset.id).await?;
        let launch = Launch { limits: self.launch.limits.clone().for_probe(), ..self.launch.clone() };
        let request = Request::Probe { source: source.path.clone() };
        let done = child::run(&launch, &request, |share| context.progress(share), context.cancelled())
            .await
            .map_err(|error| child_failure(&error))?;
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
        let source = self.source(asset.id).await?;
        tokio::fs::create_dir_all(&self.scratch).await.map_err(retry)?;
        let folder = tempfile::Builder::new()
            .prefix(&format!("{}-{}-", job.id, job.attempt))
            .tempdir_in(&self.scratch)
            .map_err(retry)?;
        let request = request(source.path.clone(), folder.path().to_owned());
        let done = child::run(&self.launch, &request, |share| context.progress(share), context.cancelled())
            .await
            .map_err(|error| child_failure(&error))?;
        let Reply::Made { output } = done.reply else {
            return Err(fail(FailureCode::Internal, "the child answered another question"));
        };
        self.store(asset.id, job, &output, folder.path()).await?;
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
        folder: &std::path::Path,
    ) -> Result<(), JobFailure> {
        let prefix = storage_key::work_attempt_prefix(asset, job.id, job.attempt);
        for track in &output.tracks {
            let segments = track.segments.iter().map(|segment| segment.file.as_str());
            for file in std::iter::once(track.init.as_str()).chain(segments) {
                self.objects.put_file(&format!("{prefix}{file}"), &folder.join(file)).await.map_err(retry)?;
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
