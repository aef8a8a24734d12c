//! The outbox relay: takes what the database has written for others to the broker, and forgets it once the broker has it.
//!
//! One process at a time does it; another takes over when that one is gone. Between confirmation and forgetting a crash
//! makes the next relay say it twice, which is harmless: announcements and events are hints.

use std::{sync::Arc, time::Duration};

use lectern_domain::{
    ids::{AssetId, JobId, ProcessId},
    job::WorkClass,
};
use lectern_store::{
    Db,
    outbox::{self, Outgoing},
    processes,
};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    clock::Clock,
    events::Event,
    queue::{Announcement, QueueError, SharedQueue},
    shutdown::Shutdown,
    worker::Wakeups,
};

const DUTY: &str = "relay";
/// How long the duty belongs to a relay that is not heard of.
const TERM: Duration = Duration::from_secs(10);
const RENEW: Duration = Duration::from_secs(3);
/// How often the outbox is looked at: rarely enough to cost nothing, often enough that nobody waits for it.
const LOOK: Duration = Duration::from_millis(50);
const BATCH: u64 = 500;

/// Takes the outbox to the broker.
#[derive(Debug, Clone)]
pub struct Relay {
    /// The database with the outbox.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// This process.
    pub process: ProcessId,
    /// The broker.
    pub queue: SharedQueue,
    /// Told of work that this process may do itself.
    pub wakeups: Wakeups,
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Store(#[from] lectern_store::Error),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Relay {
    /// Starts it.
    pub fn start(self, shutdown: &Shutdown) {
        let soft = shutdown.soft().clone();
        shutdown.spawn(async move {
            tokio::select! {
                () = soft.cancelled() => {}
                () = self.run() => {}
            }
            // So that another need not wait for the term to end.
            let _ = processes::release(&self.db, DUTY, self.process).await;
        });
    }

    async fn run(&self) {
        loop {
            match self.hold().await {
                Ok(true) => {
                    tracing::info!(process = %self.process, "relays the outbox");
                    if let Err(error) = self.serve().await {
                        tracing::warn!(%error, "the outbox could not be relayed; will try again");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
                Ok(false) => tokio::time::sleep(RENEW).await,
                Err(error) => {
                    tracing::warn!(%error, "nobody knows who relays the outbox; will ask again");
                    tokio::time::sleep(RENEW).await;
                }
            }
        }
    }

    async fn hold(&self) -> Result<bool, lectern_store::Error> {
        let now = self.clock.now();
        processes::hold(&self.db, DUTY, self.process, now + TERM, now).await
    }

    /// Relays for as long as the duty is held.
    async fn serve(&self) -> Result<(), RelayError> {
        let mut renewed = tokio::time::Instant::now();
        loop {
            if renewed.elapsed() >= RENEW {
                if !self.hold().await? {
                    return Ok(());
                }
                renewed = tokio::time::Instant::now();
            }
            let rows = outbox::due(&self.db, self.clock.now(), BATCH).await?;
            if rows.is_empty() {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            let (work, events) = sort(&rows);
            if !work.is_empty() {
                self.queue.announce(&work).await?;
                self.wakeups.wake();
            }
            if !events.is_empty() {
                self.queue.publish(&events).await?;
            }
            let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
            outbox::relayed(&self.db, &ids).await?;
            metrics::counter!("lectern_outbox_relayed_total").increment(ids.len() as u64);
        }
    }
}

/// Rows of the outbox as announcements and events. A row that cannot be read is an event that nobody understands.
fn sort(rows: &[Outgoing]) -> (Vec<Announcement>, Vec<Event>) {
    let (mut work, mut events) = (Vec::new(), Vec::new());
    for row in rows {
        match announcement(row) {
            Some(announcement) => work.push(announcement),
            None => events.push(Event { topic: row.topic.clone(), body: row.body.clone() }),
        }
    }
    (work, events)
}

fn announcement(row: &Outgoing) -> Option<Announcement> {
    #[derive(Deserialize)]
    struct Body {
        job: Uuid,
        asset: Uuid,
        attempt: u32,
    }
    let class = WorkClass::parse(row.topic.strip_prefix("job.")?)?;
    let body = Body::deserialize(&row.body).ok()?;
    let (job, asset) = (JobId::from_uuid(body.job), AssetId::from_uuid(body.asset));
    Some(Announcement { class, job, asset, attempt: body.attempt })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_sorted_into_work_and_events() {
        let (job, asset) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let body = json!({ "job": job, "asset": asset, "attempt": 3 });
        let row = |topic: &str| Outgoing { id: 1, topic: topic.into(), body: body.clone() };
        let (work, events) = sort(&[row("job.audio"), row("asset.ready"), row("job.unheard_of")]);
        let announced = Announcement {
            class: WorkClass::Audio,
            job: JobId::from_uuid(job),
            asset: AssetId::from_uuid(asset),
            attempt: 3,
        };
        assert_eq!(work, [announced]);
        let topics: Vec<_> = events.iter().map(|event| event.topic.as_str()).collect();
        assert_eq!(topics, ["asset.ready", "job.unheard_of"]);
        assert_eq!(events[0].asset(), Some(AssetId::from_uuid(asset)));
    }
}
