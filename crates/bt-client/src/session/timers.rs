//! When which torrent wants to be woken: one list for the whole session, so that idle torrents cost nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bt_metainfo::InfoHash;
use tokio::sync::Notify;

#[derive(Debug, Default)]
struct Table {
    due: BTreeSet<(Instant, InfoHash)>,
    of: HashMap<InfoHash, Instant>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    table: Mutex<Table>,
    earlier: Notify,
}

impl Timers {
    /// `torrent` wants to be woken at `at`, or not at all.
    pub(crate) fn set(&self, torrent: InfoHash, at: Option<Instant>) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.of.get(&torrent).copied() == at {
            return;
        }
        let first = table.due.first().map(|(at, _)| *at);
        if let Some(before) = table.of.remove(&torrent) {
            table.due.remove(&(before, torrent));
        }
        if let Some(at) = at {
            table.of.insert(torrent, at);
            table.due.insert((at, torrent));
            if first.is_none_or(|first| at < first) {
                self.earlier.notify_one();
            }
        }
    }

    /// Takes the torrents that are due, and says when the next one is.
    pub(crate) fn take_due(&self, now: Instant) -> (Vec<InfoHash>, Option<Instant>) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        while let Some(&(at, torrent)) = table.due.first()
            && at <= now
        {
            table.due.pop_first();
            table.of.remove(&torrent);
            due.push(torrent);
        }
        (due, table.due.first().map(|(at, _)| *at))
    }

    /// Returns when something is due earlier than before.
    pub(crate) async fn changed(&self) {
        self.earlier.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::Timers;
    use bt_metainfo::InfoHash;
    use std::time::{Duration, Instant};

    #[test]
    fn each_torrent_has_one_time_and_is_taken_once() {
        let timers = Timers::default();
        let now = Instant::now();
        let (a, b) = (InfoHash::from([1; 20]), InfoHash::from([2; 20]));
        timers.set(a, Some(now + Duration::from_secs(5)));
        timers.set(a, Some(now));
        timers.set(b, Some(now + Duration::from_secs(1)));
        assert_eq!(
            timers.take_due(now),
            (vec![a], Some(now + Duration::from_secs(1)))
        );
        timers.set(b, None);
        assert_eq!(
            timers.take_due(now + Duration::from_secs(9)),
            (vec![], None)
        );
    }
}
