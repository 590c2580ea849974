//! What the engine of a node may hold in memory: measured by `heap.rs`, and held to a budget after every step (19).
//!
//! It must not know what an engine keeps where.

use std::time::Duration;

use bt_client::limits::MAX_ADDRESSES;
use bt_metainfo::BLOCK_SIZE;

use super::plan::Plan;
use super::wire::End;
use super::world::World;

/// Steps after which it is looked what there is to hold memory for; besides whenever there is more of it than before.
const LOOK_EVERY: u64 = 8;

/// What memory of an engine is kept for.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    pieces: usize,
    /// Pieces of which something was asked for or has come.
    partial: usize,
    blocks_per_piece: usize,
    peers: usize,
    /// Requests of ours, those that lapsed included, and of peers, that may be answered.
    requests: usize,
    /// Addresses that it knows.
    candidates: usize,
    /// Connections that it has had.
    connections: usize,
    /// Pieces that did not verify.
    failed: usize,
}

/// Bytes that an engine may hold. A tree may be twice as large as what is in it, and so may a list that grows; each figure
/// has that in it.
fn budget(load: &Load) -> usize {
    // Settings, addresses of trackers and what they said last, lists of what one call does; and the first leaf of the tree
    // of peers, which takes room for eleven.
    const BASE: usize = 16 * 1024;
    // How many have it (4 bytes), its place in an order and the order (8), its rank and priority (2), four sets of bits; of
    // one that spreads whom it was shown (2) and the list of those that are new (4).
    const PIECE: usize = 32;
    // A tree's entry.
    const PARTIAL: usize = 128;
    // Its state and who sent it.
    const BLOCK: usize = 16;
    // Flags, rates, times, name, where it listens, and what the choker and an initial seeder keep of it.
    const PEER: usize = 3 * 1024;
    // Which block, since when, and the same once more when it is called off.
    const REQUEST: usize = 128;
    // Address, history, and its places in an order and in a queue of those that wait.
    const CANDIDATE: usize = 512;
    // The address of whoever was connected, for as long as blocks of it may be judged.
    const CONNECTION: usize = 64;
    // Senders and digests of its blocks come besides.
    const FAILED: usize = 512;
    let of_peer = PEER + 2 * load.pieces.div_ceil(8);
    let of_failed = FAILED + load.blocks_per_piece * 64;
    BASE + load.pieces * PIECE
        + load.partial * (PARTIAL + load.blocks_per_piece * BLOCK)
        + load.peers * of_peer
        + load.requests * REQUEST
        + load.candidates * CANDIDATE
        + load.connections.min(MAX_ADDRESSES) * CONNECTION
        + load.failed * of_failed
}

/// What an engine held at most, and why it may, in one life of its node.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    /// After any step.
    pub(crate) most: usize,
    /// As far as is known: more is looked into.
    may: usize,
    load: Load,
}

impl Load {
    /// Of each the greater number: lists and queues keep their room.
    fn grow(&mut self, other: Self) {
        self.partial = self.partial.max(other.partial);
        self.peers = self.peers.max(other.peers);
        self.requests = self.requests.max(other.requests);
        self.candidates = self.candidates.max(other.candidates);
        let Self {
            pieces,
            blocks_per_piece,
            connections,
            failed,
            ..
        } = other;
        *self = Self {
            pieces,
            blocks_per_piece,
            connections,
            failed,
            ..*self
        };
    }
}

impl World {
    /// What there is now, but for candidates.
    fn load(&self, number: usize) -> Load {
        let node = &self.nodes[number];
        let ends = node.ends.values();
        let asked: usize = ends.clone().map(End::asked).sum();
        let waiting: usize = ends.map(End::waiting_requests).sum();
        let pieces = self.layout.piece_count() as usize;
        Load {
            pieces,
            partial: (node.disk.held() + asked).min(pieces),
            blocks_per_piece: self.layout.piece_length().div_ceil(BLOCK_SIZE) as usize,
            peers: node.ends.len(),
            requests: asked + waiting,
            candidates: 0,
            connections: node.log.connections,
            failed: node.log.failed_pieces as usize,
        }
    }

    /// 19: what the engine of a node holds is within its budget.
    pub(crate) fn weigh(&mut self, number: usize) {
        let held = self.owners[number].held();
        let so_far = self.nodes[number].log.held;
        self.nodes[number].log.held.most = so_far.most.max(held);
        let is_more = held > so_far.may;
        if !is_more && !self.steps.is_multiple_of(LOOK_EVERY) {
            return;
        }
        let mut load = so_far.load;
        load.grow(self.load(number));
        if is_more {
            let status = self.nodes[number].engine.status(self.instant(number));
            load.candidates = load.candidates.max(status.candidates as usize);
            let may = budget(&load);
            if held > may {
                let what =
                    format!("its engine holds {held} bytes, and {may} are enough for {load:?}");
                self.broken(number, &what);
            }
            self.nodes[number].log.held.may = may;
        }
        self.nodes[number].log.held.load = load;
    }
}

/// Sixteen bytes of each third event, kept in the name of one engine.
#[test]
fn an_engine_that_keeps_a_little_of_what_it_hears_is_noticed() {
    let mut world = World::new(0, Plan::swarm(400, 64 * 1024, 2, 10.0));
    let (mut kept, mut at) = (Vec::new(), Duration::ZERO);
    let run = std::panic::AssertUnwindSafe(|| {
        while at < Duration::from_secs(60) {
            at += Duration::from_millis(10);
            world.run(at, |_| false);
            let _inside = world.owners[1].enter();
            kept.resize_with(world.steps as usize / 3, || Box::new([0_u64; 2]));
        }
    });
    let noticed = std::panic::catch_unwind(run).expect_err("nobody noticed");
    let words = noticed.downcast::<String>().expect("words");
    assert!(words.contains("node 1: its engine holds "), "{words}");
    assert!(std::hint::black_box(kept).len() > 100);
}
