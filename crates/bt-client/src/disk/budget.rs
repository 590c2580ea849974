//! How much memory the pieces under way may take, and who waits when it is used up.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A bound on the bytes of received blocks that are not on the disk yet.
///
/// It is checked before a socket is read, not before a block is kept: it may be exceeded by one read of each
/// connection, never by more.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
    room: Notify,
}

impl Budget {
    /// At most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
            room: Notify::new(),
        }
    }

    /// Bytes held now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether reading from sockets has to wait.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.used() >= self.limit
    }

    /// Whether the disk had better take blocks of incomplete pieces out of memory.
    pub(crate) fn is_tight(&self) -> bool {
        self.used() >= self.limit - self.limit / 4
    }

    /// Whether waiting to hash more pieces at once would cost memory that may be needed.
    pub(crate) fn is_half_used(&self) -> bool {
        self.used() >= self.limit / 2
    }

    /// Returns when there is room.
    pub async fn wait(&self) {
        while self.is_exhausted() {
            let waiting = self.room.notified();
            tokio::pin!(waiting);
            // Registered before the second look, so that a release between the two is not missed.
            waiting.as_mut().enable();
            if !self.is_exhausted() {
                return;
            }
            waiting.await;
        }
    }

    pub(crate) fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "more memory was given back than taken");
        if before >= self.limit && before - bytes < self.limit {
            self.room.notify_waiters();
        }
    }
}
