//! The packager's jobs: build and publish a package; remove clear intermediates; remove a deleted asset's objects.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use lectern_domain::{
    asset::AssetState,
    failure::FailureCode,
    ids::{AssetId, PackageId},
    job::{JobPayload, JobState, WorkClass},
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
    Db,
    assets::{self, Asset},
    jobs::{self, Job},
    packages,
    pipeline::{Completion, JobFailure},
};

use crate::{
    build::{Build, BuildError},
    layout::PackageKeys,
    planned::{self, Part},
};

/// Does the jobs of [`WorkClass::Packaging`].
#[derive(Debug, Clone)]
pub struct PackagerJobs {
    /// The database.
    pub db: Db,
    /// The object store.
    pub objects: SharedObjects,
    /// Unwraps asset secrets.
    pub vault: Arc<dyn Vault>,
}

pub(crate) fn unavailable(error: impl std::fmt::Display) -> JobFailure {
    JobFailure::Unavailable(error.to_string())
}

pub(crate) fn internal(detail: impl std::fmt::Display) -> JobFailure {
    JobFailure::Fail { failure: FailureCode::Internal.into(), detail: detail.to_string() }
}

#[async_trait]
impl Handler for PackagerJobs {
    fn classes(&self) -> &'static [WorkClass] {
        &[WorkClass::Packaging]
    }

    async fn run(&self, job: &Job, context: &JobContext) -> Result<Completion, JobFailure> {
        match job.payload {
            JobPayload::Package { asset, package } => self.package(asset, package, context).await,
            JobPayload::AddTexts { asset, .. } => self.add_texts(asset, job).await,
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
        let found = assets::find(&self.db, asset)
            .await
            .map_err(unavailable)?
            .ok_or_else(|| internal("no such asset"))?;
        let target = packages::find(&self.db, package)
            .await
            .map_err(unavailable)?
            .ok_or_else(|| internal("no package row"))?;
        let names = packages::keys(&self.db, package).await.map_err(unavailable)?;
        let (outputs, sources) = self.outputs(&found).await?;
        let secret = match target.protection {
            Protection::None => None,
            Protection::Aes128 => {
                let wrapped = found
                    .wrapped_secret
                    .as_deref()
                    .ok_or_else(|| internal("the asset's secret was shredded"))?;
                let bytes = self.vault.unwrap(&secret_context(asset), wrapped).await.map_err(unavailable)?;
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
            BuildError::Objects(_) => unavailable(error),
            other => internal(other),
        })?;
        self.add_stills(&found, package, &sources).await?;
        self.add_source_texts(&found, package, &sources).await?;
        tracing::info!(%asset, %package, segments = built.segments, renditions = built.renditions.len(), "package built");
        Ok(Completion::Packaged { renditions: built.renditions, duration_ms: built.duration_ms })
    }

    /// Results of the asset's transcode jobs in the order of packaging, with where their files lie: exactly one for each part
    /// of the plan, and each of what was planned. Anything else is a bug of ours that must not reach learners.
    async fn outputs(&self, asset: &Asset) -> Result<(Vec<TranscodeOutput>, Vec<String>), JobFailure> {
        let plan = asset.plan.as_ref().ok_or_else(|| internal("the asset has no plan"))?;
        let mut made = BTreeMap::new();
        for job in jobs::of_asset(&self.db, asset.id).await.map_err(unavailable)? {
            let part = match (job.state, &job.payload) {
                (JobState::Done, JobPayload::TranscodeSpan { span, .. }) => Part::Span(*span),
                (JobState::Done, JobPayload::TranscodeAudio { audio, .. }) => Part::Audio(*audio),
                _ => continue,
            };
            let result =
                job.result.ok_or_else(|| internal(format!("{} is done without a result", job.id)))?;
            let output: TranscodeOutput = serde_json::from_value(result).map_err(internal)?;
            let prefix = storage_key::work_attempt_prefix(asset.id, job.id, job.attempt);
            if made.insert(part, (output, prefix)).is_some() {
                return Err(internal(format!("the reports do not match the plan: {part}: reported twice")));
            }
        }
        let expected = planned::parts(plan);
        if let Some(missing) = expected.iter().find(|part| !made.contains_key(part)) {
            return Err(internal(format!("the reports do not match the plan: {missing}: no report")));
        }
        if let Some(extra) = made.keys().find(|part| !expected.contains(part)) {
            return Err(internal(format!("the reports do not match the plan: {extra}: not planned")));
        }
        let (outputs, sources): (Vec<_>, Vec<_>) = made.into_values().unzip();
        planned::check(plan, &outputs).map_err(internal)?;
        Ok((outputs, sources))
    }

    async fn clean(&self, asset: AssetId) -> Result<Completion, JobFailure> {
        self.objects.delete_prefix(&storage_key::work_prefix(asset)).await.map_err(unavailable)?;
        let found = assets::find(&self.db, asset).await.map_err(unavailable)?;
        let unusable = found.is_some_and(|found| {
            found.state == AssetState::Failed
                && found.failure.is_some_and(|failure| !failure.code.retryable())
        });
        if unusable {
            // The same file would fail again, and half a package helps nobody.
            self.objects.delete_prefix(&storage_key::source_prefix(asset)).await.map_err(unavailable)?;
            self.objects.delete_prefix(&storage_key::packages_prefix(asset)).await.map_err(unavailable)?;
        }
        Ok(Completion::Removed)
    }

    async fn delete(&self, asset: AssetId) -> Result<Completion, JobFailure> {
        for prefix in [
            storage_key::packages_prefix(asset),
            storage_key::work_prefix(asset),
            storage_key::source_prefix(asset),
        ] {
            self.objects.delete_prefix(&prefix).await.map_err(unavailable)?;
        }
        Ok(Completion::Removed)
    }
}
