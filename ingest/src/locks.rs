//! One request at a time per upload, and who gives way to whom.
//!
//! | who comes | what holds the upload | what happens |
//! |---|---|---|
//! | HEAD, DELETE | a PATCH that receives | the PATCH stops taking bytes, keeps and syncs what came, answers 423; then HEAD or DELETE goes on |
//! | PATCH | a PATCH that received bytes in the last [`STALLED_AFTER`] | 423 with `Retry-After` at once |
//! | PATCH | a PATCH that received nothing for longer | as for HEAD: the older one is taken for dead |
//! | any | a request that does not receive (HEAD, finishing, DELETE) | waits for it, at most [`PATIENCE`], then 423 |
//! | sweep | anything | leaves this upload for the next minute |
//!
//! A tus client asks HEAD only when it is about to resume, so HEAD means that the transfer before it was given up, even
//! where a proxy has not noticed yet. Two living clients on one upload take turns at best; their bytes never interleave,
//! because each PATCH begins at the offset that the one before it left.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lectern_domain::ids::UploadId;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// A PATCH that received nothing for this long gives way to the next PATCH.
pub const STALLED_AFTER: Duration = Duration::from_secs(2);
/// How long a request waits for the one before it to sync and leave.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How often a waiting request looks at what the one before it does.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What the request that comes is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// HEAD, DELETE: whoever receives gives way.
    Resume,
    /// PATCH: whoever receives gives way only if it seems dead.
    Send,
}

#[derive(Debug, Default)]
struct Holder {
    give_way: CancellationToken,
    gone: CancellationToken,
    /// When bytes last came; absent while it does not receive.
    received: Mutex<Option<Instant>>,
}

/// The uploads that a request works on in this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Locks(Arc<Mutex<HashMap<UploadId, Arc<Holder>>>>);

/// The right to work on an upload, given back when dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    locks: Locks,
    upload: UploadId,
    holder: Arc<Holder>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here can panic half way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Locks {
    /// Takes the upload if it is free.
    pub(crate) fn try_hold(&self, upload: UploadId) -> Option<Hold> {
        self.take(upload).ok()
    }

    /// Takes the upload as the table above says. `None`: it stays with whoever has it.
    pub(crate) async fn hold(&self, upload: UploadId, claim: Claim) -> Option<Hold> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let holder = match self.take(upload) {
                Ok(hold) => return Some(hold),
                Err(holder) => holder,
            };
            let received = *lock(&holder.received);
            match (claim, received) {
                (Claim::Send, Some(at)) if at.elapsed() < STALLED_AFTER => return None,
                (_, Some(_)) => holder.give_way.cancel(),
                (_, None) => {}
            }
            // Not all the patience at once: whoever prepares now may receive, or fall silent, in a moment.
            let now = Instant::now();
            if now >= deadline {
                return None;
            }
            let _ = timeout_at(deadline.min(now + LOOK_AGAIN), holder.gone.cancelled()).await;
        }
    }

    fn take(&self, upload: UploadId) -> Result<Hold, Arc<Holder>> {
        let mut held = lock(&self.0);
        if let Some(holder) = held.get(&upload) {
            return Err(holder.clone());
        }
        let holder = Arc::new(Holder::default());
        held.insert(upload, holder.clone());
        Ok(Hold { locks: self.clone(), upload, holder })
    }
}

impl Hold {
    /// From now on this request receives: it may be asked to give way.
    pub(crate) fn receiving(&self) {
        *lock(&self.holder.received) = Some(Instant::now());
    }

    /// From now on it does not: others wait for it.
    pub(crate) fn settled(&self) {
        *lock(&self.holder.received) = None;
    }

    /// Completes when another request wants the upload.
    pub(crate) async fn must_give_way(&self) {
        self.holder.give_way.cancelled().await;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        lock(&self.locks.0).remove(&self.upload);
        self.holder.gone.cancel();
    }
}

#[cfg(test)]
mod tests {
    use lectern_domain::Timestamp;

    use super::*;

    fn id(n: u8) -> UploadId {
        UploadId::generate(Timestamp::UNIX_EPOCH, &[n; 10])
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_way_to_whom() {
        let locks = Locks::default();
        let first = locks.hold(id(1), Claim::Send).await.unwrap();
        assert!(locks.try_hold(id(1)).is_none());
        assert!(locks.try_hold(id(2)).is_some());

        // Receiving and alive: a PATCH is refused at once, and the holder hears nothing of it.
        first.receiving();
        let asked = Instant::now();
        assert!(locks.hold(id(1), Claim::Send).await.is_none());
        assert_eq!(asked.elapsed(), Duration::ZERO);
        assert!(!first.holder.give_way.is_cancelled());

        // Stalled: it has to give way.
        tokio::time::advance(STALLED_AFTER).await;
        let next = tokio::spawn({
            let locks = locks.clone();
            async move { locks.hold(id(1), Claim::Send).await }
        });
        first.must_give_way().await;
        drop(first);
        let second = next.await.unwrap().unwrap();

        // HEAD takes over from a living one.
        second.receiving();
        let head = tokio::spawn({
            let locks = locks.clone();
            async move { locks.hold(id(1), Claim::Resume).await }
        });
        second.must_give_way().await;
        drop(second);
        let third = head.await.unwrap().unwrap();

        // Whoever does not receive is waited for, but not for ever.
        let asked = Instant::now();
        assert!(locks.hold(id(1), Claim::Send).await.is_none());
        assert_eq!(asked.elapsed(), PATIENCE);
        assert!(!third.holder.give_way.is_cancelled());
        drop(third);
        assert!(locks.try_hold(id(1)).is_some());
        assert!(lock(&locks.0).is_empty());
    }
}
