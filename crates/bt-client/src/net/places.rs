//! How many peers a session has at once, over all of its torrents.
//!
//! The last quarter of the places is for peers that we dial: callers alone must not keep us from whom we need. It must
//! not know torrents.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::engine::Direction;
use crate::limits::MAX_SESSION_PEERS;

/// Places there are however few descriptors the system gives.
const LEAST: usize = 8;

/// See the module.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    for_dialed: usize,
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
        let wanted = MAX_SESSION_PEERS.max(max_peers);
        let count = wanted
            .min(descriptors / 2)
            .clamp(LEAST, Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(count)),
            for_dialed: count / 4,
        }
    }

    /// Whether it is worth to dial somebody.
    pub(crate) fn is_one_free(&self) -> bool {
        self.free.available_permits() > 0
    }

    /// A place for a peer that came in this `direction`, if there is one.
    pub(crate) fn take(&self, direction: Direction) -> Option<Place> {
        let is_caller = direction == Direction::Incoming;
        if is_caller && self.free.available_permits() <= self.for_dialed {
            return None;
        }
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Place { _permit: permit })
    }
}

#[cfg(test)]
mod tests {
    use super::{LEAST, Places};
    use crate::engine::Direction::{Incoming, Outgoing};
    use crate::limits::MAX_SESSION_PEERS;

    fn all(places: &Places, direction: crate::engine::Direction) -> Vec<super::Place> {
        std::iter::from_fn(|| places.take(direction)).collect()
    }

    #[test]
    fn there_are_as_many_places_as_the_limit_says_and_descriptors_allow() {
        let count =
            |max_peers, descriptors| all(&Places::new(max_peers, descriptors), Outgoing).len();
        assert_eq!(count(200, 20_000), MAX_SESSION_PEERS);
        assert_eq!(count(5_000, 20_000), 5_000);
        assert_eq!(count(200, 64), 32);
        assert_eq!(count(200, 0), LEAST);
        assert!(count(usize::MAX, 1 << 20) == 1 << 19);
    }

    #[test]
    fn callers_leave_a_quarter_of_the_places_to_those_whom_we_dial() {
        let places = Places::new(200, 64);
        let mut callers = all(&places, Incoming);
        assert_eq!(callers.len(), 24);
        assert!(places.is_one_free());
        let dialed = all(&places, Outgoing);
        assert!(dialed.len() == 8 && !places.is_one_free());
        callers.pop();
        assert!(places.take(Incoming).is_none(), "it is for who is dialed");
        drop(dialed);
        assert!(places.take(Incoming).is_some());
    }
}
