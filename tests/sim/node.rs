//! One client of the simulated swarm: the real engine, and a model of its disk.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bt_client::engine::{Notice, PeerKey, Torrent};
use bt_metainfo::{BlockRef, Layout, PieceIndex};

use super::link::{Line, Uplink};

/// How a node behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// As the protocol wants.
    Honest,
    /// Every block it sends is rubbish.
    Poisoner,
    /// It asks and takes and answers no request.
    Snubber,
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remote {
    pub(crate) node: usize,
    pub(crate) key: PeerKey,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) addr: SocketAddr,
    pub(crate) engine: Torrent,
    pub(crate) line: Line,
    pub(crate) conduct: Conduct,
    pub(crate) online: bool,
    pub(crate) uplink: Uplink,
    /// When the downlink is free again.
    pub(crate) down_free: Duration,
    pub(crate) remotes: BTreeMap<PeerKey, Remote>,
    /// Blocks of pieces under way: is it good?
    pub(crate) under_way: BTreeMap<PieceIndex, BTreeMap<u32, bool>>,
    pub(crate) wake: Option<Instant>,
    pub(crate) uploaded: u64,
    pub(crate) completed: Option<Duration>,
    pub(crate) completions: u32,
    pub(crate) banned: Vec<SocketAddr>,
    pub(crate) announced: Vec<bt_tracker::Event>,
}

impl Node {
    /// Keeps a block; tells whether its piece is whole now.
    pub(crate) fn store(&mut self, layout: &Layout, block: BlockRef, good: bool) -> bool {
        let piece = self.under_way.entry(block.piece).or_default();
        piece.insert(block.begin, good);
        piece.len() == layout.block_count(block.piece) as usize
    }

    /// The verdict on a whole piece: good or not, and the digests of its blocks.
    pub(crate) fn hash(&mut self, piece: PieceIndex) -> (bool, Vec<[u8; 20]>) {
        let blocks = self.under_way.remove(&piece).unwrap_or_default();
        let good = blocks.values().all(|good| *good);
        (
            good,
            blocks.values().map(|good| [u8::from(*good); 20]).collect(),
        )
    }

    pub(crate) fn notice(&mut self, now: Duration, notice: &Notice) {
        if *notice == Notice::Completed {
            self.completed = Some(now);
            self.completions += 1;
        }
        if let Notice::Banned(ip) = notice {
            self.banned.push(SocketAddr::new(*ip, self.addr.port()));
        }
    }
}
