//! Jobs: what they carry, their states, when a failed attempt is tried again.

use serde::{Deserialize, Serialize};
use time::Duration;

use crate::{
    Timestamp,
    ids::{AssetId, JobId, PackageId},
};

/// What a job does. Stored as JSON; a new field needs a default so that jobs written by an older version still read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobPayload {
    /// Examine the source and plan.
    Probe {
        /// The asset.
        asset: AssetId,
    },
    /// Make all rungs of one span.
    TranscodeSpan {
        /// The asset.
        asset: AssetId,
        /// Position in the plan's spans.
        span: u32,
    },
    /// Make one audio track whole.
    TranscodeAudio {
        /// The asset.
        asset: AssetId,
        /// Position in the plan's audio list.
        audio: u32,
    },
    /// Encrypt what has been made so far of an asset, from its beginning, and publish it in playlists that grow.
    Grow {
        /// The asset.
        asset: AssetId,
        /// The version being made.
        package: PackageId,
        /// How much had been made when this was queued; see `packages.landed`.
        landed: u64,
    },
    /// Encrypt, write manifests, publish.
    Package {
        /// The asset.
        asset: AssetId,
        /// The version being made.
        package: PackageId,
    },
    /// Make a package version with the asset's captions, of the segments of the one that was transcoded, and publish it.
    AddTexts {
        /// The asset.
        asset: AssetId,
        /// The change of its captions that caused this.
        version: u64,
    },
    /// Delete clear intermediates once a package is published (the asset becomes ready) or the asset failed (its
    /// source goes too, unless a retry could use it).
    CleanWork {
        /// The asset.
        asset: AssetId,
    },
    /// Delete everything stored for a deleted asset.
    DeleteAsset {
        /// The asset.
        asset: AssetId,
    },
}

/// The kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// See [`JobPayload::Probe`].
    Probe,
    /// See [`JobPayload::TranscodeSpan`].
    TranscodeSpan,
    /// See [`JobPayload::TranscodeAudio`].
    TranscodeAudio,
    /// See [`JobPayload::Grow`].
    Grow,
    /// See [`JobPayload::Package`].
    Package,
    /// See [`JobPayload::AddTexts`].
    AddTexts,
    /// See [`JobPayload::CleanWork`].
    CleanWork,
    /// See [`JobPayload::DeleteAsset`].
    DeleteAsset,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Probe,
        Self::TranscodeSpan,
        Self::TranscodeAudio,
        Self::Grow,
        Self::Package,
        Self::AddTexts,
        Self::CleanWork,
        Self::DeleteAsset,
    ];

    /// The name in the database, in metrics and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::TranscodeSpan => "transcode_span",
            Self::TranscodeAudio => "transcode_audio",
            Self::Grow => "grow",
            Self::Package => "package",
            Self::AddTexts => "add_texts",
            Self::CleanWork => "clean_work",
            Self::DeleteAsset => "delete_asset",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether such a job is parked when it has failed too often. Removing objects is not: nobody waits for it, no other
    /// upload would help, and giving it up would keep for ever what should be gone.
    pub const fn gives_up(self) -> bool {
        !matches!(self, Self::CleanWork | Self::DeleteAsset)
    }
}

/// The class of work: each has a queue of its own in a broker, so that short and urgent work never waits behind long
/// work. The database derives the same words from kind and payload (column `jobs.class`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkClass {
    /// What a learner waits for before the first picture: probing, and the first span.
    FirstVideo,
    /// Audio tracks and stills.
    Audio,
    /// Every later span.
    BulkVideo,
    /// Packaging, and removing objects.
    Packaging,
}

impl WorkClass {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::FirstVideo, Self::Audio, Self::BulkVideo, Self::Packaging];

    /// The name in the database, in queue names, in metrics and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstVideo => "first_video",
            Self::Audio => "audio",
            Self::BulkVideo => "bulk_video",
            Self::Packaging => "packaging",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }
}

/// Added to the priority of jobs whose lesson is released soon: they come before all others.
pub const URGENT: i64 = 1_000_000;

/// A lesson that is released within this time is urgent.
pub const RELEASED_SOON: Duration = Duration::hours(48);

/// The priority that a release date adds at a moment. A date that has passed adds nothing: such lessons take turns with
/// everybody's.
pub fn urgency(release_at: Option<Timestamp>, now: Timestamp) -> i64 {
    match release_at {
        Some(at) if at > now && at <= now + RELEASED_SOON => URGENT,
        _ => 0,
    }
}

/// W3C trace context of a job (`traceparent`, level 1): an asset is one trace, whose id is the asset's UUID; each job is a
/// span of it.
pub fn trace_parent(asset: AssetId, job: JobId) -> String {
    let job = job.uuid().simple().to_string();
    format!("00-{}-{}-01", asset.uuid().simple(), &job[16..])
}

impl JobPayload {
    /// What does it.
    pub const fn class(&self) -> WorkClass {
        match self {
            Self::Probe { .. } | Self::TranscodeSpan { span: 0, .. } => WorkClass::FirstVideo,
            Self::TranscodeSpan { .. } => WorkClass::BulkVideo,
            Self::TranscodeAudio { .. } => WorkClass::Audio,
            Self::Grow { .. }
            | Self::Package { .. }
            | Self::AddTexts { .. }
            | Self::CleanWork { .. }
            | Self::DeleteAsset { .. } => WorkClass::Packaging,
        }
    }

    /// Claimed higher first, within one tier of urgency: what lets a learner begin, then what ends an asset's wait, then
    /// the rest.
    pub const fn priority(&self) -> i64 {
        match (self, self.class()) {
            (Self::Probe { .. }, _) => 110_000,
            (_, WorkClass::FirstVideo) => 100_000,
            // What it waits for has been made: it is all that is between a learner and the first picture.
            (Self::Grow { .. }, _) => 95_000,
            (Self::Package { .. }, _) => 90_000,
            (Self::AddTexts { .. }, _) => 85_000,
            (Self::CleanWork { .. }, _) => 80_000,
            (_, WorkClass::Audio) => 60_000,
            (_, WorkClass::BulkVideo) => 50_000,
            (Self::DeleteAsset { .. }, _) | (_, WorkClass::Packaging) => 10_000,
        }
    }

    /// The kind of work.
    pub const fn kind(&self) -> JobKind {
        match self {
            Self::Probe { .. } => JobKind::Probe,
            Self::TranscodeSpan { .. } => JobKind::TranscodeSpan,
            Self::TranscodeAudio { .. } => JobKind::TranscodeAudio,
            Self::Grow { .. } => JobKind::Grow,
            Self::Package { .. } => JobKind::Package,
            Self::AddTexts { .. } => JobKind::AddTexts,
            Self::CleanWork { .. } => JobKind::CleanWork,
            Self::DeleteAsset { .. } => JobKind::DeleteAsset,
        }
    }

    /// The asset the job works on.
    pub const fn asset(&self) -> AssetId {
        match self {
            Self::Probe { asset }
            | Self::TranscodeSpan { asset, .. }
            | Self::TranscodeAudio { asset, .. }
            | Self::Grow { asset, .. }
            | Self::Package { asset, .. }
            | Self::AddTexts { asset, .. }
            | Self::CleanWork { asset }
            | Self::DeleteAsset { asset } => *asset,
        }
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a worker (perhaps for a later time).
    Queued,
    /// A worker holds the lease.
    Leased,
    /// Completed.
    Done,
    /// Failed by its own decision: trying again cannot help.
    Failed,
    /// Out of attempts; waits for an operator.
    Parked,
    /// No longer wanted.
    Cancelled,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Leased, Self::Done, Self::Failed, Self::Parked, Self::Cancelled];

    /// The name in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Parked => "parked",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Attempts that report a failure before a job is parked.
pub const MAX_FAILURES: u32 = 5;

/// Attempts of any kind before a job is parked: bounds a job that takes its worker down without a word.
pub const MAX_ATTEMPTS: u32 = 100;

/// How long to wait after failed attempt number `attempt` (from 1): doubling from two seconds to five minutes, spread
/// over its upper half by `jitter` (0 to 1) so that jobs that failed together do not return together.
pub fn backoff(attempt: u32, jitter: f64) -> Duration {
    let ceiling = 2.0 * 2f64.powi(attempt.saturating_sub(1).min(16) as i32);
    Duration::seconds_f64(ceiling.min(300.0) * (0.5 + jitter.clamp(0.0, 1.0) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_urgent_from_two_days_before_until_it_comes() {
        let now = Timestamp::UNIX_EPOCH;
        for (hours, urgent) in [(-1, false), (0, false), (1, true), (48, true), (49, false)] {
            let at = now + Duration::hours(hours);
            assert_eq!(urgency(Some(at), now) == URGENT, urgent, "{hours}");
        }
        assert_eq!(urgency(None, now), 0);
    }

    #[test]
    fn a_trace_is_an_asset_and_a_span_a_job() {
        let (asset, job) = (
            AssetId::generate(Timestamp::UNIX_EPOCH, &[1; 10]),
            JobId::generate(Timestamp::UNIX_EPOCH, &[2; 10]),
        );
        let text = trace_parent(asset, job);
        let parts: Vec<_> = text.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2]);
        assert_eq!(parts[1], asset.uuid().simple().to_string());
        assert!(parts[2].chars().any(|c| c != '0'));
    }

    #[test]
    fn backoff_doubles_to_a_ceiling() {
        assert_eq!(backoff(1, 1.0), Duration::seconds(2));
        assert_eq!(backoff(2, 1.0), Duration::seconds(4));
        assert_eq!(backoff(1, 0.0), Duration::seconds(1));
        assert_eq!(backoff(u32::MAX, 1.0), Duration::seconds(300));
    }
}
