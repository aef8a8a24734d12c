//! Jobs: what they carry, their states, when a failed attempt is tried again.

use serde::{Deserialize, Serialize};
use time::Duration;

use crate::ids::{AssetId, PackageId};

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
    /// Encrypt, write manifests, publish.
    Package {
        /// The asset.
        asset: AssetId,
        /// The version being made.
        package: PackageId,
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

/// The class of work, which decides the queue and the worker that takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// See [`JobPayload::Probe`].
    Probe,
    /// See [`JobPayload::TranscodeSpan`].
    TranscodeSpan,
    /// See [`JobPayload::TranscodeAudio`].
    TranscodeAudio,
    /// See [`JobPayload::Package`].
    Package,
    /// See [`JobPayload::CleanWork`].
    CleanWork,
    /// See [`JobPayload::DeleteAsset`].
    DeleteAsset,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Probe,
        Self::TranscodeSpan,
        Self::TranscodeAudio,
        Self::Package,
        Self::CleanWork,
        Self::DeleteAsset,
    ];

    /// The name in the database, in metrics and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::TranscodeSpan => "transcode_span",
            Self::TranscodeAudio => "transcode_audio",
            Self::Package => "package",
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

impl JobPayload {
    /// The class of work.
    pub const fn kind(&self) -> JobKind {
        match self {
            Self::Probe { .. } => JobKind::Probe,
            Self::TranscodeSpan { .. } => JobKind::TranscodeSpan,
            Self::TranscodeAudio { .. } => JobKind::TranscodeAudio,
            Self::Package { .. } => JobKind::Package,
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
            | Self::Package { asset, .. }
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
    fn backoff_doubles_to_a_ceiling() {
        assert_eq!(backoff(1, 1.0), Duration::seconds(2));
        assert_eq!(backoff(2, 1.0), Duration::seconds(4));
        assert_eq!(backoff(1, 0.0), Duration::seconds(1));
        assert_eq!(backoff(u32::MAX, 1.0), Duration::seconds(300));
    }
}
