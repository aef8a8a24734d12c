//! The registry of processes: each says that it lives, and hears whether it shall take no new job.

use std::{sync::Arc, time::Duration};

use lectern_domain::ids::ProcessId;
use lectern_store::{
    Db,
    processes::{self, Process},
};
use tokio::task::AbortHandle;

use crate::{clock::Clock, shutdown::Shutdown, worker::Drain};

/// How often a process says that it lives, and hears of a drain.
const SEEN: Duration = Duration::from_secs(3);
/// After so long without a word a process is forgotten.
const GONE: time::Duration = time::Duration::minutes(2);

/// A process that is entered.
#[derive(Debug)]
pub struct Entry {
    db: Db,
    process: ProcessId,
    staying: AbortHandle,
}

impl Entry {
    /// The process ends, its jobs have ended.
    pub async fn leave(self) {
        self.staying.abort();
        if let Err(error) = processes::leave(&self.db, self.process).await {
            tracing::debug!(%error, "could not leave the registry; it forgets by itself");
        }
    }
}

/// Enters a process and keeps it entered, also while it shuts down. `drain` hears whether it shall take no new job.
pub async fn enter(
    db: &Db,
    clock: Arc<dyn Clock>,
    process: Process,
    drain: Drain,
    shutdown: &Shutdown,
) -> Result<Entry, lectern_store::Error> {
    processes::enter(db, &process).await?;
    let (id, soft) = (process.id, shutdown.soft().clone());
    let staying = tokio::spawn({
        let db = db.clone();
        async move {
            loop {
                let was_stopping = soft.is_cancelled();
                tokio::select! {
                    () = soft.cancelled(), if !was_stopping => {
                        // For whoever looks: it takes nothing more.
                        let _ = processes::drain(&db, process.id, true).await;
                    }
                    () = tokio::time::sleep(SEEN) => {}
                }
                match stay(&db, clock.as_ref(), &process).await {
                    Ok(asked) => {
                        let changed = drain.set(asked) && !soft.is_cancelled();
                        if changed && asked {
                            tracing::info!(process = %process.id, "drains: takes no new job, finishes what runs");
                        } else if changed {
                            tracing::info!(process = %process.id, "takes jobs again");
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "could not say that this process lives; will try again");
                    }
                }
            }
        }
    });
    Ok(Entry { db: db.clone(), process: id, staying: staying.abort_handle() })
}

async fn stay(db: &Db, clock: &dyn Clock, process: &Process) -> Result<bool, lectern_store::Error> {
    let now = clock.now();
    processes::forget(db, now - GONE).await?;
    if let Some(drain) = processes::seen(db, process.id, now).await? {
        return Ok(drain);
    }
    // Forgotten while the database was away.
    processes::enter(db, &Process { seen_at: now, ..process.clone() }).await?;
    Ok(false)
}
