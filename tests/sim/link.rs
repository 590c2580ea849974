//! The links of one node: bytes leave and arrive one block after the other, at the link's rate.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bt_client::engine::PeerKey;
use bt_metainfo::BlockRef;

/// How good a node's line is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    /// Bytes per second out.
    pub(crate) up: f64,
    /// Bytes per second in.
    pub(crate) down: f64,
    /// One way to the middle of the network.
    pub(crate) latency: Duration,
}

impl Line {
    /// The same rate both ways, in Mbit/s.
    pub(crate) fn mbit(rate: f64) -> Self {
        let bytes = rate * 1e6 / 8.0;
        Self {
            up: bytes,
            down: bytes,
            latency: Duration::from_millis(2),
        }
    }
}

/// Blocks that wait to leave: each peer has its queue, and they take turns.
#[derive(Debug, Default)]
pub(crate) struct Uplink {
    queues: BTreeMap<PeerKey, VecDeque<BlockRef>>,
    last: Option<PeerKey>,
    pub(crate) busy: bool,
}

impl Uplink {
    pub(crate) fn push(&mut self, peer: PeerKey, block: BlockRef) {
        self.queues.entry(peer).or_default().push_back(block);
    }

    /// Takes `block` off the queue; false if it has left.
    pub(crate) fn remove(&mut self, peer: PeerKey, block: BlockRef) -> bool {
        let Some(queue) = self.queues.get_mut(&peer) else {
            return false;
        };
        let Some(at) = queue.iter().position(|queued| *queued == block) else {
            return false;
        };
        queue.remove(at);
        true
    }

    /// Everything that waits for `peer`.
    pub(crate) fn drain(&mut self, peer: PeerKey) -> Vec<BlockRef> {
        self.queues.remove(&peer).map(Vec::from).unwrap_or_default()
    }

    /// The next block to leave.
    pub(crate) fn next(&mut self) -> Option<(PeerKey, BlockRef)> {
        self.queues.retain(|_, queue| !queue.is_empty());
        let after = self.last.map_or(0, |key| key.0.wrapping_add(1));
        let key = self
            .queues
            .range(PeerKey(after)..)
            .next()
            .or_else(|| self.queues.iter().next())
            .map(|(key, _)| *key)?;
        self.last = Some(key);
        let block = self.queues.get_mut(&key)?.pop_front()?;
        Some((key, block))
    }
}
