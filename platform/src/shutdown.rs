//! Two-stage shutdown. Soft: take no new work, finish what runs. Hard: stop now, give leases back.

use std::{future::Future, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The two stages as tokens, and the tasks that must end before the process does. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Cancelled when no new work should begin.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when running work should be given up.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Runs a task that shutdown waits for.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task);
    }

    /// Begins the soft stage.
    pub fn begin(&self) {
        self.soft.cancel();
    }

    /// Waits for SIGTERM or SIGINT (or [`Shutdown::begin`]), then drains: at most `grace`, or until a second signal;
    /// then the hard stage, which has five seconds.
    pub async fn run(&self, grace: Duration) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: finishing what runs, a second one stops at once"),
            _ = interrupt.recv() => tracing::info!("interrupted: finishing what runs, a second time stops at once"),
            () = self.soft.cancelled() => {}
        }
        self.soft.cancel();
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => return Ok(()),
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = tokio::time::sleep(grace) => tracing::warn!(grace_s = grace.as_secs(), "work is still running after the grace time; giving it back"),
        }
        self.hard.cancel();
        if tokio::time::timeout(Duration::from_secs(5), self.tasks.wait()).await.is_err() {
            tracing::error!("some tasks did not end; their leases run out by themselves");
        }
        Ok(())
    }
}
