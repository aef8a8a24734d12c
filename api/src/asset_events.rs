//! An asset's changes as server-sent events (HTML standard, 9.2). News is only a hint: every event is read from the
//! database, as the caller sees it at that moment.

use std::{convert::Infallible, pin::Pin, time::Duration};

use axum::response::sse::Event;
use futures::{Stream, stream};
use lectern_domain::ids::AssetId;
use lectern_platform::http::Caller;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{ApiState, assets};

/// A stream of `event: asset`.
pub(crate) type Events = Pin<Box<dyn Stream<Item = Result<Event, Infallible>> + Send>>;

/// At least this long between two events: nobody can see progress change faster.
const PACE: Duration = Duration::from_millis(200);
/// How often to look without news: another process may have changed the asset.
const POLL: Duration = Duration::from_secs(3);

struct Follower {
    state: ApiState,
    caller: Caller,
    asset: AssetId,
    news: Receiver<AssetId>,
    /// The last event's data.
    sent: Option<String>,
    finished: bool,
}

/// The asset now, then on every change, until a final state, the server's shutdown, or the caller may not see it any more.
pub(crate) fn follow(state: ApiState, caller: Caller, asset: AssetId, news: Receiver<AssetId>) -> Events {
    let follower = Follower { state, caller, asset, news, sent: None, finished: false };
    Box::pin(stream::unfold(follower, |mut follower| async move {
        let data = follower.next().await?;
        follower.sent = Some(data.clone());
        Some((Ok(Event::default().event("asset").data(data)), follower))
    }))
}

impl Follower {
    async fn next(&mut self) -> Option<String> {
        if self.finished {
            return None;
        }
        loop {
            if self.sent.is_some() {
                let shutdown = self.state.shutdown.soft().clone();
                tokio::select! {
                    () = shutdown.cancelled() => return None,
                    () = self.change() => {}
                }
            }
            let view = assets::visible(&self.state, self.caller, self.asset).await.ok()?;
            let data = serde_json::to_string(&view).ok()?;
            if self.sent.as_ref() != Some(&data) {
                self.finished = view.state.is_final();
                return Some(data);
            }
        }
    }

    /// Waits until the asset may have changed.
    async fn change(&mut self) {
        tokio::time::sleep(PACE).await;
        let news = async {
            loop {
                match self.news.recv().await {
                    Ok(changed) if changed != self.asset => {}
                    // Lagging behind, anything may have changed.
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        // The end of the wait without news is as good as news.
        let _ = tokio::time::timeout(POLL, news).await;
    }
}
