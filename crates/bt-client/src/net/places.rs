//! How many peers a session has at once, over all of its torrents.
//!
//! The last quarter of the places is for peers that torrents dial which are not complete: callers and seeds alone must
//! not keep us from whom we need. It must not know torrents.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::MAX_SESSION_PEERS;

/// Places there are however few descriptors the system gives.
const LEAST: usize = 8;

/// See the module.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    for_needed: usize,
}

/// The place of one peer, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// For a session whose torrents may have `max_peers` each, in a process that may open `descriptors`, of which files
    /// and the rest need half.
    pub(crate) fn new(max_peers: usize, descriptors: usize) -> Self {
        // Three quarters of the places are as many as one torrent may have.
        let for_one = max_peers.saturating_add(max_peers / 3).saturating_add(1);
        let wanted = MAX_SESSION_PEERS.max(for_one);
        let count = wanted
            .min(descriptors / 2)
            .clamp(LEAST, Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(count)),
            for_needed: count / 4,
        }
    }

    /// Whether it is worth to dial somebody, for a torrent that is `needy` or not.
    pub(crate) fn is_one_free(&self, needy: bool) -> bool {
        let kept = if needy { 0 } else { self.for_needed };
        self.free.available_permits() > kept
    }

    /// A place for a peer that is `needed` or not, if there is one.
    pub(crate) fn take(&self, needed: bool) -> Option<Place> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        let kept = if needed { 0 } else { self.for_needed };
        // Taken first and given back if it was one of those that are kept: two threads that look first may both take.
        (self.free.available_permits() >= kept).then_some(Place { _permit: permit })
    }
}

#[cfg(test)]
mod tests {
    use super::{LEAST, Place, Places};
    use crate::limits::MAX_SESSION_PEERS;

    fn all(places: &Places, needed: bool) -> Vec<Place> {
        std::iter::from_fn(|| places.take(needed)).collect()
    }

    #[test]
    fn there_are_as_many_places_as_the_limit_says_and_descriptors_allow() {
        let count = |max_peers, descriptors| all(&Places::new(max_peers, descriptors), true).len();
        assert_eq!(count(200, 20_000), MAX_SESSION_PEERS);
        assert_eq!(count(200, 64), 32);
        assert_eq!(count(200, 0), LEAST);
        assert!(count(usize::MAX, 1 << 20) == 1 << 19);
        for max_peers in [400, 800, 6_000] {
            let callers = all(&Places::new(max_peers, 100_000), false).len();
            assert!(callers >= max_peers, "{callers} of {max_peers}");
        }
    }

    #[test]
    fn a_quarter_of_the_places_is_for_those_whom_we_need() {
        let places = Places::new(200, 64);
        let mut others = all(&places, false);
        assert_eq!(others.len(), 24);
        assert!(places.is_one_free(true) && !places.is_one_free(false));
        let needed = all(&places, true);
        assert!(needed.len() == 8 && !places.is_one_free(true));
        others.pop();
        assert!(places.take(false).is_none(), "it is for who is needed");
        drop(needed);
        assert!(places.take(false).is_some());
    }

    #[test]
    fn no_place_of_those_that_are_kept_is_taken_by_threads_that_come_together() {
        for _ in 0..200 {
            let places = Places::new(200, 64);
            let taken: usize = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|_| scope.spawn(|| all(&places, false)))
                    .collect();
                let kept: Vec<_> = threads.into_iter().map(|one| one.join().unwrap()).collect();
                kept.iter().map(Vec::len).sum()
            });
            assert!(taken <= 24, "{taken} places of 24");
        }
    }
}
