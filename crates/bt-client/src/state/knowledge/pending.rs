//! Group commit: which pieces are written and not recorded yet, and when it is time to record them.
//!
//! The order is in the types: pieces come out of [`Pending`] as a [`Batch`], a batch becomes [`Synced`] only through the
//! sync of its data, and only what is synced can be recorded.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::record::Record;
use super::set::{IndexSet, spans};
use crate::limits::{COMMIT_AFTER, COMMIT_AFTER_BYTES};

/// Pieces that verified and are written, in the order of torrents.
#[derive(Debug, Default)]
pub struct Pending {
    torrents: BTreeMap<u32, IndexSet>,
    bytes: u64,
    since: Option<Instant>,
}

impl Pending {
    /// A piece of `bytes` bytes has been written.
    pub fn note(&mut self, now: Instant, torrent: u32, piece: u32, bytes: u64) {
        self.torrents.entry(torrent).or_default().insert(piece);
        self.bytes = self.bytes.saturating_add(bytes);
        self.since.get_or_insert(now);
    }

    /// How long the next commit may wait; `None` if there is nothing to commit.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let since = self.since?;
        if self.bytes >= COMMIT_AFTER_BYTES {
            return Some(Duration::ZERO);
        }
        Some((since + COMMIT_AFTER).saturating_duration_since(now))
    }

    /// Takes all of them.
    pub fn take(&mut self) -> Batch {
        self.bytes = 0;
        self.since = None;
        Batch(std::mem::take(&mut self.torrents))
    }

    /// Takes those of one torrent, which nobody is to record any more.
    pub fn drop_torrent(&mut self, torrent: u32) -> IndexSet {
        self.torrents.remove(&torrent).unwrap_or_default()
    }

    /// Takes some of one torrent, of which nobody is to record anything any more.
    pub fn drop_pieces(&mut self, torrent: u32, pieces: &IndexSet) {
        let Some(left) = self.torrents.get_mut(&torrent) else {
            return;
        };
        pieces.iter().for_each(|piece| left.remove(piece));
        if left.is_empty() {
            self.torrents.remove(&torrent);
        }
    }
}

/// Pieces to be recorded once their data is synced.
#[derive(Debug)]
#[must_use]
pub struct Batch(BTreeMap<u32, IndexSet>);

impl Batch {
    /// Calls `sync` once for each torrent. What could not be synced is handed back with the error: it is lost for
    /// good, since the system may take a failed page for a clean one from now on.
    pub fn sync<E>(
        self,
        mut sync: impl FnMut(u32, &IndexSet) -> Result<(), E>,
    ) -> (Synced, Vec<(u32, IndexSet, E)>) {
        let mut synced = BTreeMap::new();
        let mut failed = Vec::new();
        for (torrent, pieces) in self.0 {
            match sync(torrent, &pieces) {
                Ok(()) => {
                    synced.insert(torrent, pieces);
                }
                Err(error) => failed.push((torrent, pieces, error)),
            }
        }
        (Synced(synced), failed)
    }
}

/// Pieces whose data is on the disk to stay.
#[derive(Debug, Default)]
#[must_use]
pub struct Synced(BTreeMap<u32, IndexSet>);

impl Synced {
    /// Torrent by torrent.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &IndexSet)> {
        self.0.iter().map(|(torrent, pieces)| (*torrent, pieces))
    }

    /// What is to be recorded of them.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let of = |(&torrent, pieces): (&u32, &IndexSet)| {
            spans(pieces)
                .into_iter()
                .map(move |pieces| Record::Verified { torrent, pieces })
        };
        self.0.iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Pending;
    use crate::limits::{COMMIT_AFTER, COMMIT_AFTER_BYTES};
    use crate::state::knowledge::Record;
    use std::time::{Duration, Instant};

    #[test]
    fn it_is_time_after_a_second_or_many_bytes() {
        let mut pending = Pending::default();
        let now = Instant::now();
        assert_eq!(pending.wait(now), None);
        pending.note(now, 0, 1, COMMIT_AFTER_BYTES - 1);
        assert_eq!(pending.wait(now), Some(COMMIT_AFTER));
        assert_eq!(pending.wait(now + COMMIT_AFTER), Some(Duration::ZERO));
        pending.note(now, 0, 2, 1);
        assert_eq!(pending.wait(now), Some(Duration::ZERO));
        let (synced, _) = pending.take().sync(|_, _| Ok::<_, ()>(()));
        assert_eq!(synced.records().len(), 1);
        assert_eq!(pending.wait(now), None);
    }

    #[test]
    fn what_is_dropped_is_not_taken_and_others_are() {
        let mut pending = Pending::default();
        let now = Instant::now();
        for (torrent, piece) in [(1, 3), (1, 4), (2, 3)] {
            pending.note(now, torrent, piece, 1);
        }
        pending.drop_pieces(1, &[3, 9].into_iter().collect());
        let (synced, _) = pending.take().sync(|_, _| Ok::<_, ()>(()));
        let left: Vec<(u32, Vec<u32>)> = synced
            .iter()
            .map(|(torrent, pieces)| (torrent, pieces.iter().collect()))
            .collect();
        assert_eq!(left, [(1, vec![4]), (2, vec![3])]);
    }

    #[test]
    fn what_did_not_sync_is_not_recorded() {
        let mut pending = Pending::default();
        let now = Instant::now();
        for torrent in [1, 2, 3] {
            pending.note(now, torrent, torrent * 10, 1);
        }
        let (synced, failed) = pending
            .take()
            .sync(|torrent, _| if torrent == 2 { Err("EIO") } else { Ok(()) });
        let recorded: Vec<u32> = synced
            .records()
            .iter()
            .map(|record| match record {
                Record::Verified { torrent, .. } => *torrent,
                _ => 0,
            })
            .collect();
        assert_eq!(recorded, [1, 3]);
        assert_eq!(failed.len(), 1);
        assert!(failed[0].0 == 2 && failed[0].1.contains(20));
    }
}
