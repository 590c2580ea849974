//! What follows when a piece has been hashed: it is ours, or somebody sent us rubbish.

use std::net::IpAddr;
use std::time::Instant;

use bt_metainfo::PieceIndex;
use bt_wire::Message;

use super::Torrent;
use crate::engine::{BlockDigest, Notice, Output, Outputs, PeerKey, PieceVerdict, State};

impl Torrent {
    pub(super) fn verdict(
        &mut self,
        now: Instant,
        piece: PieceIndex,
        verdict: PieceVerdict,
        out: &mut Outputs,
    ) {
        match verdict {
            PieceVerdict::Good { digests } => {
                for ip in self.trust.piece_verified(piece, &digests) {
                    self.ban(now, ip, out);
                }
                self.piece_is_here(now, piece, out);
            }
            // A verdict on blocks from before a pause; the piece has been begun anew since.
            PieceVerdict::Bad { .. } if self.pieces.is_incomplete(piece) => {}
            PieceVerdict::Bad { digests } => {
                let senders = self.pieces.failed(piece);
                let address = |key| self.addresses.get(key).copied();
                let ips: Option<Vec<IpAddr>> = senders.iter().map(address).collect();
                self.counters.hash_failures += 1;
                self.counters.piece_failed(self.payload(piece));
                out.push(Output::Notice(Notice::PieceFailed(piece)));
                // While the address of one sender is unknown, nobody can be told to have sent all of it.
                let ips = ips.unwrap_or_default();
                let guilty = self.blame(now, piece, ips, digests);
                if self.trust.is_watched(piece) {
                    out.push(Output::Watch(piece));
                }
                if self.pieces.wants(piece) {
                    self.list(piece);
                }
                for ip in guilty {
                    self.ban(now, ip, out);
                }
                self.request_more_of_all(now, out);
            }
        }
    }

    /// Bytes of a piece that peers send: padding is not among them.
    fn payload(&self, piece: PieceIndex) -> u64 {
        let blocks = self.layout.blocks(piece);
        let sent = blocks.filter(|block| !self.layout.is_padding(*block));
        sent.map(|block| u64::from(block.length)).sum()
    }

    /// Judges who sent a piece that failed. Gives those who are proved guilty of it; `senders` is empty when not all of
    /// them are known.
    fn blame(
        &mut self,
        now: Instant,
        piece: PieceIndex,
        senders: Vec<IpAddr>,
        digests: Vec<BlockDigest>,
    ) -> Vec<IpAddr> {
        // What a peer had under way when it was banned comes to nothing one piece after the other; that proves nothing new.
        if senders.iter().all(|sender| self.trust.is_banned(*sender)) {
            return Vec::new();
        }
        let suspects = senders.clone();
        let guilty = self.trust.piece_failed(piece, senders, digests);
        if guilty.is_empty() {
            let size = self.layout.piece_size(piece);
            self.suspects.failed(now, piece, size, &suspects);
        }
        guilty
    }

    fn piece_is_here(&mut self, now: Instant, piece: PieceIndex, out: &mut Outputs) {
        if self.pieces.has(piece) {
            return;
        }
        let wanted = self.pieces.wants(piece);
        self.call_off(now, piece, out);
        self.unlist(piece);
        self.suspects.verified(piece);
        self.pieces.verified(piece);
        self.shortage = self
            .shortage
            .take()
            .filter(|_| self.state == State::DiskFull);
        out.push(Output::Notice(Notice::Piece(piece)));
        for (&key, peer) in &mut self.peers {
            // Also to peers that have it: an initial seeder that spreads waits to hear that its pieces arrive. Those that
            // have everything have no use for it.
            if !peer.is_seed() {
                self.backlog.told(key, piece);
                out.push(Output::Send(key, Message::Have(piece)));
            }
            if wanted && peer.has.get(piece) {
                peer.useful = peer.useful.saturating_sub(1);
            }
        }
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            self.update_interest(key, out);
        }
        if self.is_complete() && matches!(self.state, State::Downloading | State::DiskFull) {
            self.completed(now, out);
        }
    }

    /// The piece is here, from before a pause: whoever has been asked for parts of it since need not send them.
    fn call_off(&mut self, now: Instant, piece: PieceIndex, out: &mut Outputs) {
        if !self.pieces.is_incomplete(piece) {
            return;
        }
        for (&key, peer) in &mut self.peers {
            for block in peer.call_off_where(now, |block| block.piece == piece) {
                out.push(Output::Send(key, Message::Cancel(block)));
            }
        }
        self.write_off(piece);
        // What came of them since is no part of the piece that is here.
        out.push(Output::ForgetPiece(piece));
    }

    /// What outlives us is said only of what outlives us: trackers hear of a completion when it is on the disk to stay.
    pub(super) fn completion_is_safe(&mut self, now: Instant) {
        // A selection that is complete is no complete copy: only seeds announce `completed`.
        if !self.has_everything() {
            return;
        }
        if self.is_active() {
            self.announcing.complete(now);
        } else {
            self.owes_completed = true;
        }
    }

    pub(super) fn completed(&mut self, now: Instant, out: &mut Outputs) {
        self.endgame = false;
        self.update_partial_seed();
        self.set_state(self.working_state(), out);
        if !self.completed_before {
            self.completed_before = true;
            out.push(Output::Notice(Notice::Completed));
        }
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            if let Some(peer) = self.peers.get_mut(&key) {
                // Nothing more is wanted, so what is still under way is called off.
                for block in peer.call_all_off(now) {
                    out.push(Output::Send(key, Message::Cancel(block)));
                }
            }
            self.dismiss_fellow_seed(now, key, out);
        }
    }
}
