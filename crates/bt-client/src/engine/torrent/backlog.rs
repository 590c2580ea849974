//! Pieces that peers have yet to be told of once an initial seeder stops to spread: told in portions, since all of them
//! at once to everyone are millions of messages.
//!
//! It must not know why the spreading ended.

use std::collections::BTreeMap;

use bt_metainfo::PieceIndex;
use bt_wire::{Bitfield, Message};

use super::Torrent;
use crate::engine::peers::Peer;
use crate::engine::{Output, Outputs, PeerKey};
use crate::limits::{MAX_TOLD_AT_ONCE, MAX_TOLD_TO_ONE};

/// What one peer has not been told yet.
#[derive(Debug)]
struct Untold {
    /// It knows of all pieces before this one.
    next: PieceIndex,
    /// It was told of these before their turn: they were shown to it, or came meanwhile.
    told: Bitfield,
}

impl Untold {
    /// Appends what comes next, at most `most` pieces; false when that was all.
    fn tell(
        &mut self,
        key: PeerKey,
        peer: &Peer,
        have: &Bitfield,
        most: usize,
        out: &mut Outputs,
    ) -> bool {
        let mut left = most;
        while self.next.0 < have.len() {
            let piece = self.next;
            if have.get(piece) && !peer.has.get(piece) && !self.told.get(piece) {
                if left == 0 {
                    return true;
                }
                left -= 1;
                out.push(Output::Send(key, Message::Have(piece)));
            }
            self.next = PieceIndex(piece.0 + 1);
        }
        false
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    peers: BTreeMap<PeerKey, Untold>,
    /// Whose turn is next, so that those in front do not keep the others waiting.
    turn: Option<PeerKey>,
}

impl Backlog {
    /// Somebody has not been told everything.
    pub(super) fn is_open(&self) -> bool {
        !self.peers.is_empty()
    }

    /// `key` is told of `piece` out of turn.
    pub(super) fn told(&mut self, key: PeerKey, piece: PieceIndex) {
        if let Some(untold) = self.peers.get_mut(&key) {
            untold.told.set(piece);
        }
    }

    /// Whether all whom it waits for are of those that `are_here` names.
    pub(super) fn is_of(&self, are_here: impl Fn(PeerKey) -> bool) -> bool {
        self.peers.keys().all(|key| are_here(*key))
    }

    pub(super) fn forget(&mut self, key: PeerKey) {
        self.peers.remove(&key);
    }
}

impl Torrent {
    /// A peer came that has everything already: the content is safe, and everyone may ask for anything. Peers that
    /// complete while we watch do not end it: the others get from them what they lack.
    pub(super) fn stop_spreading(&mut self, out: &mut Outputs) {
        let Some(mut spread) = self.spread.take() else {
            return;
        };
        self.fed.clear();
        for &key in self.peers.keys() {
            let told = spread
                .take_shown(key)
                .unwrap_or_else(|| Bitfield::new(self.layout.piece_count()));
            let next = PieceIndex(0);
            self.backlog.peers.insert(key, Untold { next, told });
        }
        self.tell_backlog(out);
    }

    /// Tells a portion of what is left to be told.
    pub(super) fn tell_backlog(&mut self, out: &mut Outputs) {
        let Backlog {
            peers: untold,
            turn,
        } = &mut self.backlog;
        let first = turn.unwrap_or(PeerKey(0));
        let waiting = untold.range(first..).chain(untold.range(..first));
        let waiting: Vec<PeerKey> = waiting.map(|(key, _)| *key).collect();
        let mut left = MAX_TOLD_AT_ONCE;
        for key in waiting {
            if left == 0 {
                *turn = Some(key);
                return;
            }
            let before = out.len();
            let is_open = match (self.peers.get(&key), untold.get_mut(&key)) {
                (Some(peer), Some(untold)) => {
                    let most = left.min(MAX_TOLD_TO_ONE);
                    untold.tell(key, peer, self.pieces.have(), most, out)
                }
                _ => false,
            };
            if !is_open {
                untold.remove(&key);
            }
            left -= out.len() - before;
        }
    }
}
