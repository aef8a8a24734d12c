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
    plan::TranscodePlan,
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
    packages::{self, Package},
    pipeline::{Completion, JobFailure},
};

use crate::{
    build::{Build, BuildError, Built, Playlists},
    hls::target_duration_s,
    layout::PackageKeys,
    manifests::Growing,
    planned::{self, Made, Part},
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

/// A package and what it is made of.
struct Making {
    asset: Asset,
    plan: TranscodePlan,
    package: Package,
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
            JobPayload::Grow { asset, package, .. } => self.grow(asset, package, context).await,
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
        let of = self.making(asset, package).await?;
        let parts = self.parts(&of.asset, &of.plan).await?;
        if let Some(missing) = parts.iter().find(|part| !part.whole) {
            return Err(internal(format!("the reports do not match the plan: {}: no report", missing.part)));
        }
        let (outputs, sources): (Vec<_>, Vec<_>) =
            parts.into_iter().map(|part| (part.output, part.source)).unzip();
        planned::check(&of.plan, &outputs).map_err(internal)?;
        let growing = Growing::of(&of.plan);
        let playlists = match of.package.grown {
            Some(_) => Playlists::Grown(&growing),
            None => Playlists::Whole,
        };
        let built = self.build(&of, &outputs, &sources, playlists, context).await?;
        self.add_stills(&of.asset, package, &outputs, &sources).await?;
        self.add_source_texts(&of.asset, package, &sources).await?;
        tracing::info!(%asset, %package, segments = built.segments, renditions = built.renditions.len(), "package built");
        Ok(Completion::Packaged { renditions: built.renditions, duration_ms: built.duration_ms })
    }

    /// Publishes what there is, from the beginning and as far as every span before is there.
    async fn grow(
        &self,
        asset: AssetId,
        package: PackageId,
        context: &JobContext,
    ) -> Result<Completion, JobFailure> {
        let of = self.making(asset, package).await?;
        let before = of.package.grown.clone().unwrap_or_default();
        let there = planned::beginning(self.parts(&of.asset, &of.plan).await?);
        let growing = Growing::of(&of.plan);
        let (reach, longest_us) = planned::reach(&there);
        // A segment longer than the playlists said that any would be: nothing more is published until all is made.
        if !planned::goes_on(&reach, &before) || target_duration_s([longest_us]) > growing.target_duration_s {
            return Ok(Completion::Grown { renditions: of.package.renditions, grown: before });
        }
        let (outputs, sources): (Vec<_>, Vec<_>) =
            there.into_iter().map(|part| (part.output, part.source)).unzip();
        planned::check_beginning(&of.plan, &outputs).map_err(internal)?;
        let built = self.build(&of, &outputs, &sources, Playlists::Growing(&growing), context).await?;
        tracing::info!(%asset, %package, until_ms = reach.until_ms, segments = built.segments, "package grew");
        Ok(Completion::Grown { renditions: built.renditions, grown: reach })
    }

    async fn making(&self, asset: AssetId, package: PackageId) -> Result<Making, JobFailure> {
        let found = assets::find(&self.db, asset)
            .await
            .map_err(unavailable)?
            .ok_or_else(|| internal("no such asset"))?;
        let target = packages::find(&self.db, package)
            .await
            .map_err(unavailable)?
            .ok_or_else(|| internal("no package row"))?;
        let plan = found.plan.clone().ok_or_else(|| internal("the asset has no plan"))?;
        if !found.planned_as_asked() {
            return Err(internal("the plan is of another part of the source than was asked for"));
        }
        Ok(Making { asset: found, plan, package: target })
    }

    async fn build(
        &self,
        of: &Making,
        outputs: &[TranscodeOutput],
        sources: &[String],
        playlists: Playlists<'_>,
        context: &JobContext,
    ) -> Result<Built, JobFailure> {
        let (asset, package) = (of.asset.id, of.package.id);
        let names = packages::keys(&self.db, package).await.map_err(unavailable)?;
        let secret = match of.package.protection {
            Protection::None => None,
            Protection::Aes128 => {
                let wrapped = of
                    .asset
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
        let done = of.package.grown.as_ref().map(|grown| grown.segments.clone()).unwrap_or_default();
        let build = Build {
            objects: self.objects.as_ref(),
            outputs,
            sources,
            target: &storage_key::package_prefix(asset, package),
            keys,
            done: &done,
            playlists,
        };
        build.run(|share| context.progress(share)).await.map_err(|error| match error {
            BuildError::Objects(_) => unavailable(error),
            other => internal(other),
        })
    }

    /// What there is of each part of an asset's plan, in the order of packaging. Anything that was not planned, or is there twice,
    /// is a bug of ours that must not reach learners.
    async fn parts(&self, asset: &Asset, plan: &TranscodePlan) -> Result<Vec<Made>, JobFailure> {
        let wrong =
            |part: Part, what: &str| internal(format!("the reports do not match the plan: {part}: {what}"));
        let expected = planned::parts(plan);
        let mut made = BTreeMap::new();
        for job in jobs::of_asset(&self.db, asset.id).await.map_err(unavailable)? {
            let part = match &job.payload {
                JobPayload::TranscodeSpan { span, .. } => Part::Span(*span),
                JobPayload::TranscodeAudio { audio, .. } => Part::Audio(*audio),
                _ => continue,
            };
            let source = storage_key::work_attempt_prefix(asset.id, job.id, job.attempt);
            let one = match job.state {
                JobState::Done => {
                    let result =
                        job.result.ok_or_else(|| internal(format!("{} is done without a result", job.id)))?;
                    let output = serde_json::from_value(result).map_err(internal)?;
                    Made { part, output, source, whole: true }
                }
                JobState::Queued | JobState::Leased => {
                    let told = match part {
                        // A span is published whole: another attempt might make its pictures otherwise.
                        Part::Span(_) => Vec::new(),
                        Part::Audio(_) => jobs::parts(&self.db, job.id).await.map_err(unavailable)?,
                    };
                    Made { part, output: planned::joined(told), source, whole: false }
                }
                JobState::Failed | JobState::Parked | JobState::Cancelled => continue,
            };
            if !expected.contains(&part) {
                return Err(wrong(part, "not planned"));
            }
            if made.insert(part, one).is_some() {
                return Err(wrong(part, "reported twice"));
            }
        }
        match expected.into_iter().find(|part| !made.contains_key(part)) {
            Some(missing) => Err(wrong(missing, "no report")),
            None => Ok(made.into_values().collect()),
        }
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
