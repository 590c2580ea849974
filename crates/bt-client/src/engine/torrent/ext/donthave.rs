//! A piece is gone (BEP 54, `lt_donthave`): theirs, and nobody asks them for it in vain; or ours, and they need not ask.

use std::time::Instant;

use bt_metainfo::PieceIndex;
use bt_wire::ext::{DontHave, Message};

use crate::engine::torrent::Torrent;
use crate::engine::{CloseReason, Output, Outputs, PeerKey};
use crate::limits::{MAX_SEEDS_LOST, MAX_TOLD_AS_LOST, MAX_TOLD_AT_ONCE};

impl Torrent {
    /// The peer no longer has `piece`. What it never told of changes nothing.
    pub(super) fn peer_lost(
        &mut self,
        now: Instant,
        key: PeerKey,
        piece: PieceIndex,
        out: &mut Outputs,
    ) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if !peer.has.get(piece) {
            return;
        }
        if peer.is_seed() {
            peer.seeds_lost += 1;
            if peer.seeds_lost > MAX_SEEDS_LOST {
                let why = "it loses pieces and gets them back all the time".to_owned();
                return self.dismiss(now, key, CloseReason::Misbehaved(why), out);
            }
            self.availability.seed_left();
            for one in self.layout.pieces() {
                self.availability.gained(one, &mut self.rng);
            }
        }
        let ip = peer.info.addr.ip();
        peer.has.clear(piece);
        peer.suggested.retain(|one| *one != piece);
        peer.allowed.retain(|one| *one != piece);
        if self.pieces.wants(piece) {
            peer.useful = peer.useful.saturating_sub(1);
        }
        if self.availability.is_listed(piece) {
            peer.open = peer.open.saturating_sub(1);
        }
        // Most of the time nothing was asked of it, and a peer may say this again and again.
        let is_asked = peer
            .in_flight
            .iter()
            .any(|flying| flying.block.piece == piece);
        let void = match is_asked {
            true => peer.call_off_where(now, |block| block.piece == piece),
            false => Vec::new(),
        };
        self.availability.lost(piece, &mut self.rng);
        if let Some(spread) = &mut self.spread {
            spread.lost(key, piece, self.availability.of(piece));
        }
        self.take_back(now, key, &void);
        // Also when nothing was asked of it at the moment: others must not wait for what it does not have.
        self.suspects.released(now, key, ip, |one| one == piece);
        self.update_interest(key, out);
    }

    /// Tells everybody who may believe that we have these pieces; of very many, some.
    pub(in crate::engine::torrent) fn tell_lost(&self, lost: &[PieceIndex], out: &mut Outputs) {
        let bound = MAX_TOLD_AT_ONCE / self.peers.len().max(1);
        for &piece in lost.iter().take(bound.min(MAX_TOLD_AS_LOST)) {
            for &key in self.peers.keys() {
                out.push(Output::Extend(key, Message::DontHave(DontHave(piece))));
            }
        }
    }
}
