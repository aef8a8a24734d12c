//! The embedded queue: announcements in the memory of one process. What it forgets when the process ends, the jobs table
//! remembers.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use lectern_domain::job::WorkClass;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{Announcement, Deliveries, Delivery, Events, Queue, QueueError, Receipt};
use crate::events::Event;

#[derive(Debug, Default)]
struct Waiting {
    announcements: Mutex<VecDeque<(Announcement, bool)>>,
    more: Notify,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(Announcement, bool)>> {
        // Nothing here can panic half way through a change.
        self.announcements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, announcement: Announcement, again: bool) {
        self.lock().push_back((announcement, again));
        self.more.notify_one();
    }
}

/// Announcements within one process.
#[derive(Debug, Clone, Default)]
pub struct LocalQueue([Arc<Waiting>; WorkClass::ALL.len()]);

impl LocalQueue {
    fn of(&self, class: WorkClass) -> &Arc<Waiting> {
        let position = WorkClass::ALL.iter().position(|one| *one == class);
        &self.0[position.expect("every class is among them")]
    }
}

#[async_trait]
impl Queue for LocalQueue {
    async fn announce(&self, work: &[Announcement]) -> Result<(), QueueError> {
        for one in work {
            self.of(one.class).push(one.clone(), false);
        }
        Ok(())
    }

    async fn publish(&self, _: &[Event]) -> Result<(), QueueError> {
        Ok(())
    }

    fn subscribe(&self, class: WorkClass, prefetch: u16) -> Box<dyn Deliveries> {
        let free = Arc::new(Semaphore::new(prefetch.into()));
        Box::new(LocalDeliveries { waiting: self.of(class).clone(), free })
    }

    fn listen(&self) -> Option<Box<dyn Events>> {
        None
    }

    async fn depth(&self, class: Option<WorkClass>) -> Result<u64, QueueError> {
        Ok(class.map_or(0, |class| self.of(class).lock().len() as u64))
    }

    async fn check(&self) -> Result<(), QueueError> {
        Ok(())
    }
}

struct LocalDeliveries {
    waiting: Arc<Waiting>,
    free: Arc<Semaphore>,
}

#[async_trait]
impl Deliveries for LocalDeliveries {
    async fn next(&mut self) -> Delivery {
        let permit = self.free.clone().acquire_owned().await.expect("it is never closed");
        loop {
            let more = self.waiting.more.notified();
            let found = self.waiting.lock().pop_front();
            if let Some((announcement, redelivered)) = found {
                // One notice may have stood for several announcements.
                self.waiting.more.notify_one();
                let back = Some((self.waiting.clone(), announcement.clone()));
                let receipt = Box::new(LocalReceipt { back, _permit: permit });
                return Delivery { announcement, redelivered, receipt };
            }
            more.await;
        }
    }
}

#[derive(Debug)]
struct LocalReceipt {
    /// Where it goes when it is dropped without a word.
    back: Option<(Arc<Waiting>, Announcement)>,
    _permit: OwnedSemaphorePermit,
}

#[async_trait]
impl Receipt for LocalReceipt {
    async fn done(mut self: Box<Self>) {
        self.back = None;
    }

    async fn again(self: Box<Self>) {}
}

impl Drop for LocalReceipt {
    fn drop(&mut self) {
        if let Some((waiting, announcement)) = self.back.take() {
            waiting.push(announcement, true);
        }
    }
}
