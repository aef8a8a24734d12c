//! The audit log's writer: decisions that come while it writes are made durable together by the next write, so that
//! their rate is not bounded by the rate at which a disk syncs. Whoever gave a decision waits until it is durable.

use lectern_domain::Timestamp;
use lectern_store::{
    Db,
    playback::{self, AuditRow, SessionChange},
};
use tokio::sync::{mpsc, oneshot};

/// Decisions written at once, and decisions that may wait to be.
const BATCH: usize = 512;

/// The decision was not made durable: it must not take effect.
#[derive(Debug)]
pub(crate) struct NotWritten;

struct Entry {
    row: AuditRow,
    change: Option<(SessionChange, Timestamp)>,
    written: oneshot::Sender<bool>,
}

/// A handle on the writer. Cheap to clone; the writer ends with its last handle.
#[derive(Clone)]
pub(crate) struct AuditLog(mpsc::Sender<Entry>);

impl AuditLog {
    /// Starts the writer.
    pub(crate) fn start(db: Db) -> Self {
        let (sender, mut entries) = mpsc::channel(BATCH);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while entries.recv_many(&mut batch, BATCH).await > 0 {
                write(&db, std::mem::take(&mut batch)).await;
            }
        });
        Self(sender)
    }

    /// Returns once the decision, and what it does to its session, is durable.
    pub(crate) async fn append(
        &self,
        row: AuditRow,
        change: Option<SessionChange>,
    ) -> Result<(), NotWritten> {
        let (written, is_written) = oneshot::channel();
        let change = change.map(|change| (change, row.at));
        self.0.send(Entry { row, change, written }).await.map_err(|_| NotWritten)?;
        if is_written.await.unwrap_or(false) { Ok(()) } else { Err(NotWritten) }
    }
}

async fn write(db: &Db, batch: Vec<Entry>) {
    let all = store(db, &batch).await;
    // One that cannot be written (its lesson was deleted a moment ago) must not stop those it came with.
    let alone = all.is_err() && batch.len() > 1;
    for entry in batch {
        let outcome = if alone { store(db, std::slice::from_ref(&entry)).await } else { Ok(()) };
        if alone && let Err(error) = &outcome {
            tracing::error!(%error, session = ?entry.row.session, "a decision could not be written to the audit log");
        }
        // Nobody waits any more: the client left. The decision stands in the log all the same.
        let _ = entry.written.send(if alone { outcome.is_ok() } else { all.is_ok() });
    }
    if !alone && let Err(error) = all {
        tracing::error!(%error, "a decision could not be written to the audit log");
    }
}

async fn store(db: &Db, entries: &[Entry]) -> Result<(), lectern_store::Error> {
    let rows: Vec<AuditRow> = entries.iter().map(|entry| entry.row.clone()).collect();
    let changes: Vec<_> = entries.iter().filter_map(|entry| entry.change).collect();
    playback::record(db, &rows, &changes).await
}
