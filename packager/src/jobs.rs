//! The packager's jobs: build and publish a package; remove clear intermediates; remove a deleted asset's objects.

use std::sync::Arc;

use async_trait::async_trait;
use lectern_domain::{
    asset::AssetState,
    failure::FailureCode,
    ids::{AssetId, PackageId},
    job::{JobKind, JobPayload, JobState},
    keys::{AssetSecret, Protection, TrackClass, secret_context},
    media::TranscodeOutput,
    storage_key,
};
use lectern_platform::{
    objects::SharedObjects,
    vault::Vault,
    worker::{Handler, JobContext},
};
use lectern_store::{
    Db, assets,
    jobs::{self, Job},
    packages,
    pipeline::{Completion, JobFailure},
};

use crate::{
    build::{Build, BuildError},
    layout::PackageKeys,
};

/// Does [`JobKind::Package`], [`JobKind::CleanWork`] and [`JobKind::DeleteAsset`].
#[derive(Debug, Clone)]
pub struct PackagerJobs {
    /// The database.
    pub db: Db,
    /// The object store.
    pub objects: SharedObjects,
    /// Unwraps asset secrets.
    pub vault: Arc<dyn Vault>,
}

fn retry(error: impl std::fmt::Display) -> JobFailure {
    JobFailure::Retry(error.to_string())
}

fn internal(detail: impl std::fmt::Display) -> JobFailure {
    JobFailure::Fail { failure: FailureCode::Internal.into(), detail: detail.to_string() }
}

#[async_trait]
impl Handler for PackagerJobs {
    fn kinds(&self) -> &'static [JobKind] {
        &[JobKind::Package, JobKind::CleanWork, JobKind::DeleteAsset]
    }

    async fn run(&self, job: &Job, context: &JobContext) -> Result<Completion, JobFailure> {
        match job.payload {
            JobPayload::Package { asset, package } => self.package(asset, package, context).await,
            JobPayload::CleanWork { asset } => self.clean(asset).await,
            JobPayload::DeleteAsset { asset } => self.delete(asset).await,
            _ => Err(internal("a job of another role reached the packager")),
        }
    }
}

impl PackagerJobs {
    async fn package(
        &self,
        asset: AssetId,
        package: PackageId,
        context: &JobContext,
    ) -> Result<Completion, JobFailure> {
        let found =
            assets::find(&self.db, asset).await.map_err(retry)?.ok_or_else(|| internal("no such asset"))?;
        let target = packages::find(&self.db, package)
            .await
            .map_err(retry)?
            .ok_or_else(|| internal("no package row"))?;
        let names = packages::keys(&self.db, package).await.map_err(retry)?;
        let (outputs, sources) = self.outputs(asset).await?;
        let secret = match target.protection {
            Protection::None => None,
            Protection::Aes128 => {
                let wrapped =
                    found.wrapped_secret.ok_or_else(|| internal("the asset's secret was shredded"))?;
                let bytes = self.vault.unwrap(&secret_context(asset), &wrapped).await.map_err(retry)?;
                let bytes: [u8; 32] = bytes
                    .as_slice()
                    .try_into()
                    .map_err(|_| internal("expected an asset secret of 32 bytes"))?;
                Some(AssetSecret::from_bytes(bytes))
            }
        };
        let keys = match &secret {
            None => None,
            Some(secret) => {
                let of = |class| {
                    names
                        .iter()
                        .copied()
                        .find(|name| name.class == class)
                        .ok_or_else(|| internal("the package lacks a key name"))
                };
                Some((PackageKeys { video: of(TrackClass::Video)?, audio: of(TrackClass::Audio)? }, secret))
            }
        };
        let target = storage_key::package_prefix(asset, package);
        let build = Build {
            objects: self.objects.as_ref(),
            outputs: &outputs,
            sources: &sources,
            target: &target,
            keys,
        };
        let built = build.run(|share| context.progress(share)).await.map_err(|error| match error {
            BuildError::Objects(_) => retry(error),
            other => internal(other),
        })?;
        tracing::info!(%asset, %package, segments = built.segments, renditions = built.renditions.len(), "package built");
        Ok(Completion::Packaged { renditions: built.renditions, duration_ms: built.duration_ms })
    }

    /// Results of the asset's transcode jobs, spans in order and then audio tracks, with where their files lie.
    async fn outputs(&self, asset: AssetId) -> Result<(Vec<TranscodeOutput>, Vec<String>), JobFailure> {
        let mut parts = Vec::new();
        for job in jobs::of_asset(&self.db, asset).await.map_err(retry)? {
            let order = match (job.state, &job.payload) {
                (JobState::Done, JobPayload::TranscodeSpan { span, .. }) => (0, *span),
                (JobState::Done, JobPayload::TranscodeAudio { audio, .. }) => (1, *audio),
                _ => continue,
            };
            let result =
                job.result.ok_or_else(|| internal(format!("{} is done without a result", job.id)))?;
            let output: TranscodeOutput = serde_json::from_value(result).map_err(internal)?;
            parts.push((order, job.id, output, storage_key::work_attempt_prefix(asset, job.id, job.attempt)));
        }
        // After a retry the same span exists twice: ids grow with time, and the later one wins.
        parts.sort_by_key(|(order, id, ..)| (*order, std::cmp::Reverse(*id)));
        parts.dedup_by_key(|(order, ..)| *order);
        Ok(parts.into_iter().map(|(_, _, output, prefix)| (output, prefix)).unzip())
    }

    async fn clean(&self, asset: AssetId) -> Result<Completion, JobFailure> {
        self.objects.delete_prefix(&storage_key::work_prefix(asset)).await.map_err(retry)?;
        let found = assets::find(&self.db, asset).await.map_err(retry)?;
        let unusable = found.is_some_and(|found| {
            found.state == AssetState::Failed
                && found.failure.is_some_and(|failure| !failure.code.retryable())
        });
        if unusable {
            // The same file would fail again, and half a package helps nobody.
            self.objects.delete_prefix(&storage_key::source_prefix(asset)).await.map_err(retry)?;
            self.objects.delete_prefix(&storage_key::packages_prefix(asset)).await.map_err(retry)?;
        }
        Ok(Completion::Removed)
    }

    async fn delete(&self, asset: AssetId) -> Result<Completion, JobFailure> {
        for prefix in [
            storage_key::packages_prefix(asset),
            storage_key::work_prefix(asset),
            storage_key::source_prefix(asset),
        ] {
            self.objects.delete_prefix(&prefix).await.map_err(retry)?;
        }
        Ok(Completion::Removed)
    }
}
