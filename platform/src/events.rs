//! News of assets inside one process: a hint to look again at the database, never the news itself.

use lectern_domain::ids::AssetId;
use tokio::sync::broadcast;

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
