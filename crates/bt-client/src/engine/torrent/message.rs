//! What each message of a peer means for us.

use std::time::Instant;

use bt_metainfo::{BlockRef, PieceIndex};
use bt_wire::{Bitfield, Message};

use super::Torrent;
use crate::engine::download::Received;
use crate::engine::peers::Peer;
use crate::engine::{CloseReason, Output, Outputs, PeerKey, State};
use crate::limits::OUR_REQQ;

impl Torrent {
    pub(super) fn message(
        &mut self,
        now: Instant,
        key: PeerKey,
        message: Message,
        out: &mut Outputs,
    ) {
        match message {
            Message::Choke => self.peer_chokes(now, key),
            Message::Unchoke => self.peer_unchokes(now, key, out),
            Message::Interested => self.peer_interested(now, key, out),
            Message::NotInterested => self.peer_not_interested(now, key, out),
            Message::Have(piece) => self.peer_has(now, key, piece, out),
            Message::Bitfield(payload) => {
                match Bitfield::from_wire(self.layout.piece_count(), &payload) {
                    Ok(has) if self.has_announced(key) => self.peer_has_more(now, key, &has, out),
                    Ok(has) => self.peer_announces(now, key, has, out),
                    Err(error) => {
                        self.dismiss(now, key, CloseReason::Misbehaved(error.to_string()), out)
                    }
                }
            }
            Message::HaveAll => {
                self.peer_announces(now, key, Bitfield::full(self.layout.piece_count()), out)
            }
            Message::HaveNone => {
                self.peer_announces(now, key, Bitfield::new(self.layout.piece_count()), out)
            }
            Message::Request(block) => {
                self.peer_requests(now, key, block, out);
            }
            Message::Reject(block) => self.peer_rejects(now, key, block),
            Message::Suggest(piece) => {
                self.with_valid_piece(key, piece, |peer| peer.suggest(piece))
            }
            Message::AllowedFast(piece) => {
                self.with_valid_piece(key, piece, |peer| peer.allow(piece));
            }
            // Ports of DHT nodes are for a room that does not exist yet; unknown messages are never fatal. Extensions come
            // read already.
            // Cancels are answered where the queue to the peer is, in the connection.
            Message::Cancel(block) => {
                if let (Some(spread), Some(peer)) = (&mut self.spread, self.peers.get(&key)) {
                    spread.canceled(key, &peer.has, block.piece, block.length);
                }
            }
            Message::Piece { .. } | Message::KeepAlive | Message::Port(_) => {}
            Message::Extended { .. } | Message::Unknown { .. } => {}
        }
    }

    /// A peer sent `block`. True: keep its bytes; they go to the disk. False: we have no use for them.
    pub fn block(
        &mut self,
        now: Instant,
        key: PeerKey,
        block: BlockRef,
        out: &mut Outputs,
    ) -> bool {
        let bytes = u64::from(block.length);
        self.counters.received += bytes;
        self.down.add(now, bytes);
        let Some(peer) = self.peers.get_mut(&key) else {
            self.counters.is_unasked(bytes);
            return false;
        };
        let latency = peer.arrived(now, block);
        if latency.is_none() && !peer.answers_called_off(now, block) {
            // Nobody asked it for this. What is pushed into pieces under way may be rubbish, and earns nothing.
            self.counters.is_unasked(bytes);
            return false;
        }
        peer.down.add(now, bytes);
        peer.downloaded += bytes;
        peer.has_sent = true;
        peer.last_block = now;
        peer.snubbing = false;
        if let Some(latency) = latency {
            peer.pipeline.received(now, latency);
        }
        // What comes after its request was called off must not get into a piece that is to be of one sender.
        let late = latency.is_none() && self.suspects.is_anothers(block.piece, key);
        if late {
            self.counters.wasted += bytes;
            return false;
        }
        match self.pieces.receive(block, key) {
            Received::New if self.state == State::Downloading => {
                // In the end-game others have been asked too; and what comes from a peer that was given up has been asked
                // of another since.
                peer.last_use = now;
                if self.endgame || latency.is_none() {
                    self.cancel_elsewhere(now, key, block, out);
                }
                true
            }
            Received::New | Received::Duplicate => {
                self.counters.wasted += bytes;
                false
            }
        }
    }

    pub(super) fn peer_queues(&mut self, key: PeerKey, reqq: u32) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.reqq = reqq.clamp(1, OUR_REQQ);
        }
    }

    pub(super) fn uploaded(&mut self, now: Instant, key: PeerKey, bytes: u64, out: &mut Outputs) {
        self.counters.uploaded += bytes;
        self.up.add(now, bytes);
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.up.add(now, bytes);
            peer.uploaded += bytes;
            peer.last_use = now;
        }
        if let Some(spread) = &mut self.spread {
            self.fed.insert(key);
            spread.sent(now, key, bytes);
            self.spread_if_due(now, out);
        }
    }

    fn peer_chokes(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        peer.peer_choking = true;
        let ip = peer.info.addr.ip();
        self.suspects.released(now, key, ip, |_| true);
        // With the Fast extension each request is answered by a reject of its own (BEP 6); without, all are void.
        if !peer.info.fast {
            let dropped = peer.call_all_off(now);
            self.take_back(now, key, &dropped);
        }
    }

    fn peer_unchokes(&mut self, now: Instant, key: PeerKey, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        peer.peer_choking = false;
        peer.has_sent = false;
        // What it owes is as old as before, or one word a second would make up for never sending a block.
        self.request_more(now, key, out);
    }

    fn peer_interested(&mut self, now: Instant, key: PeerKey, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if peer.peer_interested {
            return;
        }
        peer.peer_interested = true;
        // A peer that lost interest keeps being unchoked until the next round; its slot may have been given away.
        if !peer.am_choking && self.slots_taken() > self.slots() {
            self.choke(now, key, out);
        }
        self.fill_slots(now, out);
    }

    fn peer_not_interested(&mut self, now: Instant, key: PeerKey, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        peer.peer_interested = false;
        self.fill_slots(now, out);
    }

    fn peer_has(&mut self, now: Instant, key: PeerKey, piece: PieceIndex, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if piece.0 >= self.layout.piece_count() || peer.has.get(piece) {
            return;
        }
        peer.has.set(piece);
        peer.announced = true;
        let became_seed = peer.has.is_full();
        if self.pieces.wants(piece) {
            peer.useful += 1;
        }
        if self.availability.is_listed(piece) {
            peer.open += 1;
        }
        self.availability.gained(piece, &mut self.rng);
        if became_seed {
            self.count_as_seed(key);
        }
        let shown_by = self.availability.of(piece);
        if let Some(spread) = &mut self.spread {
            spread.has(now, key, piece, shown_by);
        }
        // It is asked for more when all that came with this was looked at.
        if !self.dismiss_fellow_seed(now, key, out) {
            self.update_interest(key, out);
        }
    }

    fn has_announced(&self, key: PeerKey) -> bool {
        self.peers.get(&key).is_some_and(|peer| peer.announced)
    }

    /// A bitfield in place of many `have` messages. Pieces cannot be taken back by it.
    fn peer_has_more(&mut self, now: Instant, key: PeerKey, has: &Bitfield, out: &mut Outputs) {
        let Some(peer) = self.peers.get(&key) else {
            return;
        };
        let news: Vec<PieceIndex> = has.iter_and_not(&peer.has).collect();
        for piece in news {
            self.peer_has(now, key, piece, out);
        }
    }

    /// The first word on what a peer has.
    fn peer_announces(&mut self, now: Instant, key: PeerKey, has: Bitfield, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if peer.announced {
            let why = "it said twice what it has".to_owned();
            self.dismiss(now, key, CloseReason::Misbehaved(why), out);
            return;
        }
        peer.announced = true;
        let useful = has
            .iter_and_not(self.pieces.have())
            .filter(|piece| self.pieces.wants(*piece))
            .count();
        peer.useful = u32::try_from(useful).unwrap_or(u32::MAX);
        let listed = has
            .iter_and_not(self.pieces.have())
            .filter(|piece| self.availability.is_listed(*piece))
            .count();
        peer.open = u32::try_from(listed).unwrap_or(u32::MAX);
        let is_seed = has.is_full();
        peer.has = has;
        if is_seed {
            self.availability.seed_joined();
            self.stop_spreading(out);
        } else {
            let Some(peer) = self.peers.get(&key) else {
                return;
            };
            for piece in peer.has.iter_ones() {
                self.availability.gained(piece, &mut self.rng);
            }
            if let Some(spread) = &mut self.spread {
                spread.introduced(now, key, &peer.has);
            }
            self.spread_more(now, out);
            self.grant(key, out);
        }
        self.after_news_of(now, key, out);
    }

    /// A peer has more than before: do we want something of it, or nothing of each other?
    fn after_news_of(&mut self, now: Instant, key: PeerKey, out: &mut Outputs) {
        if self.dismiss_fellow_seed(now, key, out) {
            return;
        }
        self.update_interest(key, out);
        self.request_more(now, key, out);
    }

    pub(super) fn update_interest(&mut self, key: PeerKey, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let interested = peer.useful > 0;
        if interested != peer.am_interested {
            peer.am_interested = interested;
            let message = if interested {
                Message::Interested
            } else {
                Message::NotInterested
            };
            out.push(Output::Send(key, message));
        }
    }

    /// A peer that has everything and we, who have all that we want, have nothing to say to each other.
    pub(super) fn dismiss_fellow_seed(
        &mut self,
        now: Instant,
        key: PeerKey,
        out: &mut Outputs,
    ) -> bool {
        let wants_nothing = |peer: &Peer| peer.is_seed() || peer.upload_only;
        let fellow = self.peers.get(&key).is_some_and(wants_nothing) && self.is_complete();
        if fellow {
            self.dismiss(now, key, CloseReason::BothSeeds, out);
        }
        fellow
    }

    /// From now on `key` is counted among the seeds instead of piece by piece.
    fn count_as_seed(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get(&key) else {
            return;
        };
        for piece in peer.has.iter_ones() {
            self.availability.lost(piece, &mut self.rng);
        }
        self.availability.seed_joined();
    }

    fn peer_requests(&mut self, now: Instant, key: PeerKey, block: BlockRef, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let shown = self
            .spread
            .as_ref()
            .is_none_or(|spread| spread.is_shown(key, block.piece));
        let here = self.layout.contains(block) && self.pieces.has(block.piece) && shown;
        let gift = peer.granted.contains(&block.piece) && peer.gift >= u64::from(block.length);
        let allowed = !peer.am_choking || gift;
        if here && allowed {
            if peer.am_choking {
                peer.gift -= u64::from(block.length);
            }
            out.push(Output::Serve(key, block));
            if let Some(spread) = &mut self.spread {
                spread.serving(now, key, block.piece, block.length);
            }
        } else {
            // Without the Fast extension nothing goes over the wire, but the connection stops waiting for an answer.
            out.push(Output::Send(key, Message::Reject(block)));
        }
    }

    fn peer_rejects(&mut self, now: Instant, key: PeerKey, block: BlockRef) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        // It may answer a request that was called off before the block was asked for again: the later one still waits.
        if peer.answers_called_off(now, block) || peer.arrived(now, block).is_none() {
            return;
        }
        if peer.peer_choking {
            // It allowed the piece and rejects it all the same: asking again would loop.
            peer.allowed.retain(|piece| *piece != block.piece);
        } else {
            // Others get their turn first, or peers that reject everything would hand the same block around for ever.
            peer.refused = Some(now);
        }
        peer.suggested.retain(|piece| *piece != block.piece);
        self.take_back(now, key, &[block]);
    }

    fn with_valid_piece(&mut self, key: PeerKey, piece: PieceIndex, then: impl FnOnce(&mut Peer)) {
        if piece.0 < self.layout.piece_count()
            && let Some(peer) = self.peers.get_mut(&key)
        {
            then(peer);
        }
    }
}
