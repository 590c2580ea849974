//! The owner changes what is wanted, and how much, while the torrent runs.
//!
//! It must not know files: priorities come piece by piece.

use std::collections::BTreeSet;
use std::time::Instant;

use bt_metainfo::{BlockRef, PieceIndex};
use bt_wire::Message;

use super::Torrent;
use crate::engine::{Output, Outputs, PeerKey, Priority};

impl Torrent {
    /// `priorities` has one entry a piece; missing ones are normal.
    pub(super) fn prioritize(&mut self, now: Instant, priorities: &[Priority], out: &mut Outputs) {
        let mut given_up = BTreeSet::new();
        for piece in self.layout.pieces() {
            let priority = priorities
                .get(piece.0 as usize)
                .copied()
                .unwrap_or_default();
            self.availability.unlist(piece);
            self.availability.set_priority(piece, priority);
            self.pieces.set_priority(piece, priority);
            if self.pieces.wants(piece) {
                if self.pieces.partial(piece).is_none() {
                    self.availability.list(piece, &mut self.rng);
                }
            } else if self.pieces.is_incomplete(piece) {
                given_up.insert(piece);
            }
        }
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            self.call_off_where(now, key, |block| given_up.contains(&block.piece), out);
        }
        for piece in given_up {
            self.write_off(piece);
            self.pieces.failed(piece);
            // Whoever was to send all of a piece that had failed before need not any more.
            self.suspects.begun_anew(piece);
            out.push(Output::ForgetPiece(piece));
        }
        self.selection_or_pieces_changed(now, out);
    }

    /// Takes back the requests to one peer that `which` names. With the Fast extension a reject (or the block) still
    /// comes, and is then no longer expected.
    pub(super) fn call_off_where(
        &mut self,
        now: Instant,
        key: PeerKey,
        which: impl Fn(BlockRef) -> bool,
        out: &mut Outputs,
    ) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        for block in peer.call_off_where(now, which) {
            self.pieces.unrequest(block);
            out.push(Output::Send(key, Message::Cancel(block)));
        }
    }

    /// How much `piece` is wanted.
    #[must_use]
    pub fn priority(&self, piece: PieceIndex) -> Priority {
        self.pieces.priority(piece)
    }
}
