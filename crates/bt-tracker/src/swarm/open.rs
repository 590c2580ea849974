//! How many torrents a store has that nobody registered: the one number that all shards share.
//!
//! It must not know shards or torrents.

use super::sync::{AtomicU32, Ordering};

/// How many torrents that nobody registered the store has, and how many it may have.
#[derive(Debug)]
pub(super) struct Open {
    count: AtomicU32,
    most: u32,
}

impl Open {
    pub(super) fn new(most: u32) -> Self {
        Self {
            count: AtomicU32::new(0),
            most,
        }
    }

    /// Counts one more, unless there are as many as may be. Two threads at once may go one over.
    pub(super) fn enter(&self) -> bool {
        let fits = self.count.load(Ordering::Relaxed) < self.most;
        if fits {
            self.force();
        }
        fits
    }

    /// Counts one more, whether it fits or not.
    pub(super) fn force(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one less.
    pub(super) fn leave(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
