//! An asset's states. They only move forward; `failed` and `deleted` end the line, and only an explicit retry
//! leaves `failed`.

use serde::{Deserialize, Serialize};

/// Where an asset stands on its way from upload to play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetState {
    /// The upload was announced; no byte has come.
    AwaitingUpload,
    /// Bytes are arriving.
    Uploading,
    /// The source is complete and is being examined.
    Probing,
    /// Renditions are being made.
    Processing,
    /// A learner can press play; work remains.
    Playable,
    /// Everything planned is published and the clear intermediates are gone.
    Ready,
    /// Stopped, with a reason.
    Failed,
    /// Removed by its owner.
    Deleted,
}

impl AssetState {
    const ALL: [Self; 8] = [
        Self::AwaitingUpload,
        Self::Uploading,
        Self::Probing,
        Self::Processing,
        Self::Playable,
        Self::Ready,
        Self::Failed,
        Self::Deleted,
    ];

    /// The name in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingUpload => "awaiting_upload",
            Self::Uploading => "uploading",
            Self::Probing => "probing",
            Self::Processing => "processing",
            Self::Playable => "playable",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether a learner can play it now.
    pub const fn is_playable(self) -> bool {
        matches!(self, Self::Playable | Self::Ready)
    }

    /// Whether nothing more will happen by itself.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Ready | Self::Failed | Self::Deleted)
    }

    /// Whether this state may be followed by `next`. Staying is not a transition.
    pub const fn may_become(self, next: Self) -> bool {
        use AssetState::{AwaitingUpload, Deleted, Failed, Playable, Probing, Processing, Ready, Uploading};
        match (self, next) {
            (Deleted, _) => false,
            (_, Deleted)
            | (AwaitingUpload, Uploading | Probing | Failed)
            | (Uploading, Probing | Failed)
            | (Probing, Processing | Failed)
            | (Processing, Playable | Failed)
            | (Playable, Ready | Failed)
            // A retry starts again from the stored source.
            | (Failed, Probing) => true,
            _ => false,
        }
    }

    /// The states that may be followed by `next`: the guard of a conditional update.
    pub fn before(next: Self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |state| state.may_become(next))
    }
}

#[cfg(test)]
mod tests {
    use super::AssetState::{self, *};

    #[test]
    fn the_main_line_is_allowed_and_never_runs_backwards() {
        let line = [AwaitingUpload, Uploading, Probing, Processing, Playable, Ready];
        for (at, from) in line.iter().enumerate() {
            for (to, next) in line.iter().enumerate() {
                let allowed = to == at + 1 || (*from == AwaitingUpload && *next == Probing);
                assert_eq!(from.may_become(*next), allowed, "{from:?} -> {next:?}");
            }
        }
    }

    #[test]
    fn deleted_is_the_end_and_everything_reaches_it() {
        for state in AssetState::ALL {
            assert!(!Deleted.may_become(state));
            assert_eq!(state.may_become(Deleted), state != Deleted);
        }
    }

    #[test]
    fn names_read_back() {
        for state in AssetState::ALL {
            assert_eq!(AssetState::parse(state.as_str()), Some(state));
        }
    }
}
