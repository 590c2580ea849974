//! Asking for blocks: filling each peer's pipeline, the end-game, peers that do not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bt_metainfo::{BLOCK_SIZE, BlockRef, PieceIndex};
use bt_wire::Message;

use super::Torrent;
use crate::engine::download::{Ask, next_blocks};
use crate::engine::peers::{InFlight, Standing};
use crate::engine::{Output, Outputs, PeerKey, State};
use crate::limits::{MAX_ENDGAME_REQUESTS, MAX_VAIN_REQUESTS, REFUSAL_PAUSE, SNUB_AFTER};

/// A block is asked of a second peer only when the first has kept us waiting this long: at the end of a healthy
/// download nothing is sent twice.
const ENDGAME_AGE: Duration = Duration::from_millis(750);

/// However slowly we read, a peer that sent nothing for so long is given up.
const MOST_HELD_UP: Duration = Duration::from_secs(600);

impl Torrent {
    /// All that a peer sent in one read was looked at: what follows from it for requests and for what is revealed.
    pub(super) fn flush(&mut self, now: Instant, key: PeerKey, out: &mut Outputs) {
        if std::mem::take(&mut self.ask_others) {
            // Others get their turn first: it has just given up blocks that they may have.
            for other in self.in_turn(now) {
                if other != key {
                    self.request_more(now, other, out);
                }
            }
        }
        self.request_more(now, key, out);
        self.spread_if_due(now, out);
    }

    /// Puts `piece` on the list of those that nobody has been asked for.
    pub(super) fn list(&mut self, piece: PieceIndex) {
        if !self.availability.is_listed(piece) {
            self.availability.list(piece, &mut self.rng);
            for peer in self.peers.values_mut().filter(|p| p.has.get(piece)) {
                peer.open += 1;
            }
        }
    }

    /// Takes `piece` off that list.
    pub(super) fn unlist(&mut self, piece: PieceIndex) {
        if self.availability.is_listed(piece) {
            self.availability.unlist(piece);
            self.was_unlisted(piece);
        }
    }

    fn was_unlisted(&mut self, piece: PieceIndex) {
        for peer in self.peers.values_mut().filter(|p| p.has.get(piece)) {
            peer.open = peer.open.saturating_sub(1);
        }
    }

    /// Fills the pipeline of `key`.
    pub(super) fn request_more(&mut self, now: Instant, key: PeerKey, out: &mut Outputs) {
        if self.state != State::Downloading {
            return;
        }
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if !peer.am_interested || (peer.peer_choking && peer.allowed.is_empty()) {
            return;
        }
        let sulks = |at| now.saturating_duration_since(at) < REFUSAL_PAUSE;
        let room = peer.room();
        if room == 0 || peer.refused.is_some_and(sulks) {
            return;
        }
        let ip = peer.info.addr.ip();
        let mut reserved = self.suspects.reserved(now, key, ip);
        reserved.barred.extend(peer.withheld(now));
        let (mut blocks, mut started) = (Vec::new(), Vec::new());
        let mut ask = Ask {
            has: &peer.has,
            only: peer.peer_choking.then_some(peer.allowed.as_slice()),
            suggested: &peer.suggested,
            current: &mut peer.current,
            sequential: self.config.sequential,
            first: &reserved.first,
            barred: &reserved.barred,
            open: peer.open,
            started: &mut started,
        };
        next_blocks(
            &mut self.pieces,
            &mut self.availability,
            &mut ask,
            room,
            &mut self.rng,
            &mut blocks,
        );
        let choking = peer.peer_choking;
        for piece in started {
            self.was_unlisted(piece);
            if self.trust.is_watched(piece) {
                // What watched it on the disk may have gone with the last attempt.
                out.push(Output::Watch(piece));
            }
        }
        for block in &blocks {
            self.suspects.asked(now, block.piece, key, ip);
        }
        if blocks.is_empty() && !choking {
            self.relieve_others(now, key, room, &reserved.barred, &mut blocks, out);
        }
        if blocks.is_empty() && !choking {
            self.endgame(now, key, room, &mut blocks);
        }
        self.ask(now, key, &blocks, out);
    }

    pub(super) fn request_more_of_all(&mut self, now: Instant, out: &mut Outputs) {
        if self.state != State::Downloading {
            return;
        }
        for key in self.in_turn(now) {
            self.request_more(now, key, out);
        }
    }

    /// All peers: first those that have sent us something, last those that do not answer, who get what the others leave.
    /// They would have back at once what was taken from them a moment ago.
    fn in_turn(&self, now: Instant) -> Vec<PeerKey> {
        let held_up = self.held_up();
        let mut keys: Vec<(Standing, PeerKey)> = (self.peers.iter())
            .map(|(&key, peer)| (peer.standing(now, held_up), key))
            .collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key).collect()
    }

    fn ask(&mut self, now: Instant, key: PeerKey, blocks: &[BlockRef], out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if peer.in_flight.is_empty() && !blocks.is_empty() {
            peer.last_block = now;
        }
        for &block in blocks {
            peer.asked(now, block);
            out.push(Output::Send(key, Message::Request(block)));
        }
    }

    /// There is nothing left to ask of `key`: ask it for blocks that others keep us waiting for. While there are
    /// pieces that nobody was asked for, this is not the end, and only what was given up is asked twice: in a swarm where
    /// all lines are busy most blocks take long, and asking others for them too would cost it half of its bandwidth.
    fn endgame(&mut self, now: Instant, key: PeerKey, room: usize, blocks: &mut Vec<BlockRef>) {
        let Some(peer) = self.peers.get(&key) else {
            return;
        };
        let is_end = self.pieces.unrequested_blocks() == 0 && self.availability.is_nothing_listed();
        let age = if is_end { ENDGAME_AGE } else { SNUB_AFTER } + self.held_up();
        let late = |flying: &&InFlight| now.saturating_duration_since(flying.at) >= age;
        // In flight is ordered by age, and most peers have nothing that is late.
        let others = self.peers.iter().filter(|(other, _)| **other != key);
        let late = others.flat_map(|(_, other)| other.in_flight.iter().take_while(late));
        let late: BTreeSet<BlockRef> = late
            .map(|flying| flying.block)
            .filter(|block| peer.has.get(block.piece))
            .filter(|block| self.suspects.may_share(now, block.piece))
            .collect();
        if late.is_empty() {
            return;
        }
        let mine: BTreeSet<BlockRef> = peer.in_flight.iter().map(|flying| flying.block).collect();
        if late.is_subset(&mine) {
            return;
        }
        // Who does not answer helps only where nobody else is likely to.
        let (most, in_all) = match peer.standing(now, self.held_up()) {
            Standing::Silent => (1, MAX_VAIN_REQUESTS),
            Standing::New => (MAX_ENDGAME_REQUESTS, MAX_VAIN_REQUESTS),
            Standing::Proven => (MAX_ENDGAME_REQUESTS, u16::MAX),
        };
        let hopes = self.hopes(now, &late);
        for block in late.difference(&mine).copied() {
            if blocks.len() >= room {
                break;
            }
            let is_open = hopes.get(&block).is_none_or(|hopes| *hopes < most);
            if is_open && self.pieces.request_again(block, in_all) {
                self.endgame = true;
                blocks.push(block);
            }
        }
    }

    /// Of each of these blocks, how many peers were asked for it from whom it may come any moment; none if there is no
    /// entry.
    fn hopes(&self, now: Instant, blocks: &BTreeSet<BlockRef>) -> BTreeMap<BlockRef, u16> {
        let held_up = self.held_up();
        let mut hopes = BTreeMap::new();
        for peer in self.peers.values() {
            if peer.standing(now, held_up) != Standing::Silent {
                let asked = peer.in_flight.iter().map(|flying| flying.block);
                for block in asked.filter(|block| blocks.contains(block)) {
                    *hopes.entry(block).or_default() += 1;
                }
            }
        }
        hopes
    }

    /// `block` is here: whoever else was asked for it need not send it.
    pub(super) fn cancel_elsewhere(
        &mut self,
        now: Instant,
        from: PeerKey,
        block: BlockRef,
        out: &mut Outputs,
    ) {
        for (&key, peer) in self.peers.iter_mut().filter(|(key, _)| **key != from) {
            // With the Fast extension a reject (or the block) still comes, and is then no longer expected.
            if peer.call_off(now, block) {
                out.push(Output::Send(key, Message::Cancel(block)));
            }
        }
    }

    /// Requests that `key` will not answer become missing again. Others are asked at the end of what is being handled: a
    /// peer that says no a thousand times in one breath must not cost a thousand rounds.
    pub(super) fn take_back(&mut self, now: Instant, key: PeerKey, blocks: &[BlockRef]) {
        let Some(peer) = self.peers.get_mut(&key).filter(|_| !blocks.is_empty()) else {
            return;
        };
        peer.current = None;
        let ip = peer.info.addr.ip();
        let is_among = |piece| blocks.iter().any(|block| block.piece == piece);
        self.suspects.released(now, key, ip, is_among);
        for &block in blocks {
            self.pieces.unrequest(block);
        }
        self.relist_untouched(blocks.iter().map(|block| block.piece));
        self.ask_others = true;
    }

    /// The second-by-second look: how fast, who does not answer, who can be asked for more.
    pub(super) fn look_at_peers(&mut self, now: Instant, out: &mut Outputs) {
        self.last_look = (now, self.counters.received);
        let (mut silent, mut overtaken) = (Vec::new(), Vec::new());
        let patience = SNUB_AFTER + self.held_up();
        for (&key, peer) in &mut self.peers {
            let rate = peer.down.rate(now);
            if !peer.in_flight.is_empty() {
                peer.pipeline.adjust(rate);
                if now.saturating_duration_since(peer.last_block) >= patience {
                    silent.push(key);
                } else if peer.has_lost_request(now) {
                    overtaken.push(key);
                }
            }
        }
        for key in silent {
            self.give_up_on(now, key, out);
        }
        for key in overtaken {
            self.give_up_overtaken(now, key, out);
        }
        self.endgame = self.endgame && self.pieces.requested().any(|(_, by)| by > 1);
        self.ask_others = false;
        self.request_more_of_all(now, out);
    }

    /// Nothing could come since the peers were last looked at, as we have not read: their clocks stand. A disk that is
    /// merely slow lets something through each second, and then who is silent is silent.
    pub(super) fn held_up_since_last_look(&mut self, now: Instant) {
        let (before, received) = self.last_look;
        if received == self.counters.received {
            let stood = now.saturating_duration_since(before);
            for peer in self.peers.values_mut() {
                peer.clock_stood(now, stood);
            }
        }
        self.last_look = (now, self.counters.received);
    }

    /// How long what was asked for takes at the rate at which we read: a limit of ours is no fault of the peers, which
    /// wait for their turn.
    pub(super) fn held_up(&self) -> Duration {
        let Some(rate) = self.config.down_rate else {
            return Duration::ZERO;
        };
        let blocks: usize = self.peers.values().map(|peer| peer.in_flight.len()).sum();
        let bytes = (blocks as u64).saturating_mul(BLOCK_SIZE.into());
        Duration::from_millis(bytes.saturating_mul(1_000) / rate.max(1)).min(MOST_HELD_UP)
    }

    /// A peer that has let us wait too long: its blocks are asked of others, it may still send them.
    fn give_up_on(&mut self, now: Instant, key: PeerKey, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        peer.snubbing = true;
        peer.pipeline.snubbed();
        peer.last_block = now;
        let blocks = peer.call_all_off(now);
        for &block in &blocks {
            out.push(Output::Send(key, Message::Cancel(block)));
        }
        self.take_back(now, key, &blocks);
    }

    /// A peer that answers, but not everything: only what it has passed over is asked of others.
    fn give_up_overtaken(&mut self, now: Instant, key: PeerKey, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let blocks = peer.take_lost_requests(now);
        for &block in &blocks {
            out.push(Output::Send(key, Message::Cancel(block)));
        }
        self.take_back(now, key, &blocks);
    }
}
