//! News: inside one process, of assets; between processes, of all that the outbox tells. Always a hint to look again at
//! the database, never the news itself.

use lectern_domain::ids::AssetId;
use serde::Deserialize;
use tokio::sync::broadcast;
use uuid::Uuid;

/// Something that other processes may want to hear of.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `asset.STATE`, `entitlement.changed`, `key.revoked`.
    pub topic: String,
    /// Ids of what it is about, as UUIDs.
    pub body: serde_json::Value,
}

impl Event {
    /// The asset that it is about.
    pub fn asset(&self) -> Option<AssetId> {
        #[derive(Deserialize)]
        struct OfAsset {
            asset: Uuid,
        }
        OfAsset::deserialize(&self.body).ok().map(|body| AssetId::from_uuid(body.asset))
    }
}

/// Tells whoever listens that an asset changed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AssetNews(broadcast::Sender<AssetId>);

impl Default for AssetNews {
    fn default() -> Self {
        Self(broadcast::channel(1_024).0)
    }
}

impl AssetNews {
    /// Something about the asset changed.
    pub fn changed(&self, asset: AssetId) {
        // An error means that nobody listens, which is fine.
        let _ = self.0.send(asset);
    }

    /// From now on. A listener that falls behind gets a `Lagged` error and should look at the database.
    pub fn listen(&self) -> broadcast::Receiver<AssetId> {
        self.0.subscribe()
    }
}
