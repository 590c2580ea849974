//! The line of one node: blocks leave one after the other at the line's rate, and no faster than its own limit.
//!
//! It must not know what is at the other end.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bt_client::engine::PeerKey;
use bt_metainfo::BlockRef;

/// How good a node's line is.
#[derive(Debug, Clone, Copy, PartialEq)]
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
        Self::asymmetric(rate, rate)
    }

    /// Rates up and down in Mbit/s.
    pub(crate) fn asymmetric(up: f64, down: f64) -> Self {
        Self {
            up: up * 1e6 / 8.0,
            down: down * 1e6 / 8.0,
            latency: Duration::from_millis(2),
        }
    }

    /// The same line farther away.
    pub(crate) fn far(mut self, millis: u64) -> Self {
        self.latency = Duration::from_millis(millis);
        self
    }
}

/// Blocks that wait to leave: each peer has its queue, and they take turns.
#[derive(Debug, Default)]
pub(crate) struct Uplink {
    queues: BTreeMap<PeerKey, VecDeque<BlockRef>>,
    turns: VecDeque<PeerKey>,
    /// A block is leaving, or the limit holds the next one back.
    pub(crate) busy: bool,
}

impl Uplink {
    pub(crate) fn push(&mut self, peer: PeerKey, block: BlockRef) {
        let queue = self.queues.entry(peer).or_insert_with(|| {
            self.turns.push_back(peer);
            VecDeque::new()
        });
        queue.push_back(block);
    }

    /// Takes `block` off the queue; false if it has left.
    pub(crate) fn remove(&mut self, peer: PeerKey, block: BlockRef) -> bool {
        let Some(queue) = self.queues.get_mut(&peer) else {
            return false;
        };
        let at = queue.iter().position(|queued| *queued == block);
        at.is_some_and(|at| queue.remove(at).is_some())
    }

    /// Forgets everything that waits for `peer`.
    pub(crate) fn drop_peer(&mut self, peer: PeerKey) {
        if self.queues.remove(&peer).is_some() {
            self.turns.retain(|turn| *turn != peer);
        }
    }

    /// The next block to leave.
    pub(crate) fn next(&mut self) -> Option<(PeerKey, BlockRef)> {
        while let Some(peer) = self.turns.pop_front() {
            let block = self.queues.get_mut(&peer).and_then(VecDeque::pop_front);
            match block {
                Some(block) => {
                    self.turns.push_back(peer);
                    return Some((peer, block));
                }
                None => self.queues.remove(&peer),
            };
        }
        None
    }
}
