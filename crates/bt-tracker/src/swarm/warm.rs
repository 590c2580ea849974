//! Bringing near what a batch of announces will need, all of it at once.
//!
//! Each step asks for the next place of every announce; by the time the last one has asked, the
//! first one's is there. Nothing is changed and nothing is waited for: a part of the store that
//! another thread has locked is left out. Knows nothing of what is announced.

use std::sync::TryLockError;

use bt_metainfo::InfoHash;

use super::Swarms;
use super::shard::Shard;

/// Torrents that are about to be announced in. Use one again for the next batch: its buffer stays.
#[derive(Debug, Default)]
pub struct Expected {
    /// The hash of each, and where it seems to be.
    torrents: Vec<(u64, Option<usize>)>,
}

impl Swarms {
    /// Notes that an announce in this torrent comes soon; see [`Swarms::warm`].
    pub fn expect(&self, info_hash: &InfoHash, expected: &mut Expected) {
        let hash = self.hash(info_hash);
        self.glance(hash, |shard| shard.warm_slot(hash));
        expected.torrents.push((hash, None));
    }

    /// Has the memory that the noted announces need brought near, and forgets that they were noted.
    /// Only time depends on it: announces of a batch take less when it is called before the first.
    pub fn warm(&self, expected: &mut Expected) {
        for (hash, at) in &mut expected.torrents {
            self.glance(*hash, |shard| *at = shard.warm_torrent(*hash));
        }
        for step in [Shard::warm_swarm, Shard::warm_peers] {
            for &(hash, at) in &expected.torrents {
                if let Some(at) = at {
                    self.glance(hash, |shard| step(shard, at));
                }
            }
        }
        expected.torrents.clear();
    }

    fn glance(&self, hash: u64, look: impl FnOnce(&Shard)) {
        match self.try_shard_of(hash) {
            Ok(shard) => look(&shard),
            Err(TryLockError::Poisoned(shard)) => look(&shard.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
    }
}
