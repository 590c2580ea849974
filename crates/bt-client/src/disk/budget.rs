//! How much memory the pieces under way may take, and who waits when it is used up.

use std::pin::pin;

use super::sync::{AtomicUsize, Notify, Ordering};

/// A bound on the bytes of received blocks that are not on the disk yet.
///
/// It is checked before a socket is read, not before a block is kept: it may be exceeded by one turn of each thread
/// that serves connections, never by more.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
    /// The part of it that is in whole pieces, which wait for a thread or are being hashed and written.
    whole: AtomicUsize,
    room: Notify,
}

impl Budget {
    /// At most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
            whole: AtomicUsize::new(0),
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
        self.used() >= self.limit || self.whole.load(Ordering::Relaxed) >= self.whole_limit()
    }

    /// Whole pieces beyond this are not hashed any sooner for being here already: where the disk threads are the slow
    /// part, the memory that waits for them stays small.
    fn whole_limit(&self) -> usize {
        (self.limit / 8 * 3).max(1)
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
            let mut waiting = pin!(self.room.notified());
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

    /// Bytes that have been taken are those of a whole piece now.
    pub(crate) fn became_whole(&self, bytes: usize) {
        self.whole.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A whole piece is no longer held.
    pub(crate) fn give_back_whole(&self, bytes: usize) {
        let before = self.whole.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "more pieces left than came");
        let limit = self.whole_limit();
        if before >= limit && before - bytes < limit {
            self.room.notify_waiters();
        }
        self.give_back(bytes);
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "more memory was given back than taken");
        if before >= self.limit && before - bytes < self.limit {
            self.room.notify_waiters();
        }
    }
}
