//! Peers come and go: who is let in, what a newcomer is told, what is forgotten when it leaves.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bt_metainfo::PieceIndex;
use bt_wire::{Message, allowed_fast_set};
use bytes::Bytes;
use thiserror::Error;

use super::Torrent;
use crate::engine::peers::{Crowd, Direction, Ended, Peer, PeerInfo, Source, same_host};
use crate::engine::{CloseReason, Notice, Output, Outputs, PeerKey, State};
use crate::limits::{
    GIFT_COPIES, MAX_ADDRESSES, MAX_HALF_OPEN, NEEDS_NO_GIFT, OPTIMISTIC_ROUND, TURNOVER_PAUSE,
    USELESS_AFTER, WAITED_FOR,
};

/// Pieces that a newcomer may fetch while choked (BEP 6 proposes ten).
const ALLOWED_FAST: usize = 10;

/// Why a connection was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The torrent is checking, paused, stopped, or failed.
    #[error("the torrent is not active")]
    NotActive,
    /// The address sent data that was proved bad.
    #[error("the address is banned")]
    Banned,
    /// The connection leads to ourselves.
    #[error("the connection leads to ourselves")]
    Ourselves,
    /// The peer is connected already.
    #[error("the peer is connected already")]
    Duplicate,
    /// The torrent is private, and the tracker that named the address is no longer ours (BEP 27).
    #[error("the address was named by another tracker")]
    OtherTracker,
    /// There is no room for another peer, or for another one of this address.
    #[error("no room for another peer")]
    Full,
}

impl Torrent {
    /// A handshake is done: lets the peer in and appends what it is to be told, or refuses it.
    ///
    /// # Errors
    /// See [`Refusal`]; the connection is to be closed and is not spoken of again.
    pub fn open(
        &mut self,
        now: Instant,
        info: PeerInfo,
        out: &mut Outputs,
    ) -> Result<PeerKey, Refusal> {
        if info.direction == Direction::Outgoing {
            self.candidates.connected(info.addr);
        }
        let replaced = match self.admit(now, &info, out) {
            Ok(replaced) => replaced,
            Err(refusal) => {
                if info.direction == Direction::Outgoing {
                    self.refused_outgoing(now, &info, refusal);
                }
                return Err(refusal);
            }
        };
        if info.direction == Direction::Incoming {
            self.vacancy.called(now);
        }
        let key = PeerKey(self.next_key);
        self.next_key = self.next_key.wrapping_add(1);
        self.addresses.insert(key, info.addr.ip());
        let mut peer = Peer::new(now, info, self.layout.piece_count());
        // It is the same client, and has not waited for a turn in vain.
        peer.waiting_since = replaced.unwrap_or(now);
        self.peers.insert(key, peer);
        if let Some(spread) = &mut self.spread {
            spread.joined(now, key);
        }
        self.greet(key, out);
        self.spread_more(now, out);
        self.arm(now);
        Ok(key)
    }

    /// What becomes of an address that we dialed in vain.
    fn refused_outgoing(&mut self, now: Instant, info: &PeerInfo, refusal: Refusal) {
        if refusal == Refusal::Ourselves {
            return self.candidates.is_ours(info.addr);
        }
        let twin = self.peers.values_mut().find(|peer| peer.is_at(info));
        // It came to us from another port: this is where it listens, and there is nobody else to find there.
        let is_twin = twin.is_some_and(|twin| twin.listens_at(info.addr));
        if !is_twin || refusal != Refusal::Duplicate {
            // Also when it is we who are full: there is no end to it while the host has its share of the places.
            let ended = Ended {
                seed: false,
                useful: false,
            };
            self.candidates.closed(now, info.addr, ended);
        }
    }

    /// A peer that dialed us says on which port it listens (BEP 10): we need not dial it there.
    pub(super) fn peer_listens(&mut self, key: PeerKey, port: u16) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let addr = SocketAddr::new(peer.info.addr.ip(), port);
        let is_idle = self.candidates.is_idle(addr);
        // A tracker may name it later.
        let may_be_dialed = is_idle || !self.candidates.is_known(addr);
        let is_news = peer.info.direction == Direction::Incoming && may_be_dialed;
        if is_news && peer.listens_at(addr) && is_idle {
            self.candidates.connected(addr);
        }
    }

    /// Whether a connection is let in. If it takes the place of another one to the same client, gives since when that
    /// client has waited for its turn; not if it has it, as nobody is to get another one by calling again.
    fn admit(
        &mut self,
        now: Instant,
        info: &PeerInfo,
        out: &mut Outputs,
    ) -> Result<Option<Instant>, Refusal> {
        let mut replaced = None;
        let ip = info.addr.ip();
        if !self.is_active() {
            return Err(Refusal::NotActive);
        }
        let is_dialed = info.direction == Direction::Outgoing;
        if self.config.private && is_dialed && !self.candidates.is_known(info.addr) {
            return Err(Refusal::OtherTracker);
        }
        if self.trust.is_banned(ip) {
            return Err(Refusal::Banned);
        }
        if info.id == self.config.peer_id {
            return Err(Refusal::Ourselves);
        }
        let twin = self.peers.iter().find(|(_, peer)| peer.is_at(info));
        if let Some((&twin, other)) = twin {
            // When both sides dial at once, both keep the connection that the greater id opened, or none would remain; the
            // greater one since that is libtorrent's choice as well.
            let opener_is_us = self.config.peer_id > info.id;
            let keep_new = info.direction != other.info.direction
                && opener_is_us == (info.direction == Direction::Outgoing);
            if !keep_new {
                return Err(Refusal::Duplicate);
            }
            replaced = other.am_choking.then_some(other.waiting_since);
            out.push(Output::Close(twin, CloseReason::Duplicate));
            self.close(now, twin, out);
        }
        let connected = self.peers.values().map(|peer| peer.info.addr.ip());
        let has_share = Crowd::around(ip, connected, self.config.max_peers).has_share(ip);
        if has_share || (self.is_full() && !self.make_room(now, out)) {
            return Err(Refusal::Full);
        }
        Ok(replaced)
    }

    fn is_full(&self) -> bool {
        self.peers.len() >= self.config.max_peers
    }

    /// Sends away the peer that has been of no use either way for longest; false if each was of use lately, or may soon
    /// be.
    pub(super) fn make_room(&mut self, now: Instant, out: &mut Outputs) -> bool {
        let is_useless = |peer: &Peer| {
            let we_wait = self.state == State::Downloading && peer.am_interested;
            // Whoever got its turn a moment ago has not had the time to take anything.
            let begins = |at| now.saturating_duration_since(at) < OPTIMISTIC_ROUND;
            let has_begun = peer.unchoked_since.is_none_or(begins);
            let it_waits = peer.peer_interested && (peer.am_choking || has_begun);
            let waits = (we_wait && peer.peer_choking) || it_waits;
            let patience = if waits { WAITED_FOR } else { USELESS_AFTER };
            now.saturating_duration_since(peer.last_use) >= patience
        };
        let useless = self.peers.iter().filter(|(_, peer)| is_useless(peer));
        let longest = useless.min_by_key(|(_, peer)| peer.last_use);
        let Some(key) = longest.map(|(key, _)| *key) else {
            return false;
        };
        self.dismiss(now, key, CloseReason::Useless, out);
        true
    }

    /// We have as many peers as we dial, and none of them has anything for us: those that others know may.
    pub(super) fn turn_over(&mut self, now: Instant, out: &mut Outputs) {
        let dialing = self.candidates.dialing();
        if self.state == State::Downloading
            && self.peers.len() + dialing >= self.vacancy.dial_limit()
            && now >= self.next_turnover
            && !self.peers.values().any(|peer| peer.am_interested)
            && self.candidates.is_one_due(now)
        {
            self.next_turnover = now + TURNOVER_PAUSE;
            self.make_room(now, out);
        }
    }

    /// The first words to a newcomer: what we have (BEP 3, 6), and what it may fetch at once.
    fn greet(&mut self, key: PeerKey, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let have = self.pieces.have();
        let fast = peer.info.fast;
        if self.spread.is_some() {
            if fast {
                out.push(Output::Send(key, Message::HaveNone));
            }
            return;
        }
        if fast && have.is_full() {
            out.push(Output::Send(key, Message::HaveAll));
        } else if fast && have.is_empty() {
            out.push(Output::Send(key, Message::HaveNone));
        } else if !have.is_empty() {
            out.push(Output::Send(
                key,
                Message::Bitfield(Bytes::copy_from_slice(have.as_bytes())),
            ));
        }
    }

    /// What a newcomer that has next to nothing may fetch while we choke it (BEP 6).
    pub(super) fn grant(&mut self, key: PeerKey, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let is_poor = peer.has.count_ones() < NEEDS_NO_GIFT;
        let IpAddr::V4(ip) = peer.info.addr.ip() else {
            return;
        };
        if self.spread.is_some() || !peer.info.fast || !is_poor {
            return;
        }
        let have = self.pieces.have();
        let set = allowed_fast_set(
            ip,
            self.config.info_hash,
            self.layout.piece_count(),
            ALLOWED_FAST,
        );
        for piece in set.into_iter().filter(|piece| have.get(*piece)) {
            peer.granted.push(piece);
            peer.gift += GIFT_COPIES * u64::from(self.layout.piece_size(piece));
            out.push(Output::Send(key, Message::AllowedFast(piece)));
        }
    }

    /// Forgets a peer whose connection is gone.
    pub(super) fn close(&mut self, now: Instant, key: PeerKey, out: &mut Outputs) {
        let Some(peer) = self.peers.remove(&key) else {
            return;
        };
        self.suspects
            .released(now, key, peer.info.addr.ip(), |_| true);
        for flying in &peer.in_flight {
            self.pieces.unrequest(flying.block);
        }
        self.relist_untouched(peer.in_flight.iter().map(|flying| flying.block.piece));
        let seed = peer.is_seed();
        if seed {
            self.availability.seed_left();
        } else {
            for piece in peer.has.iter_ones() {
                self.availability.lost(piece, &mut self.rng);
            }
        }
        if let Some(spread) = &mut self.spread {
            let availability = &self.availability;
            spread.left(key, &peer.has, |piece| availability.of(piece));
        }
        self.backlog.forget(key);
        let ended = Ended {
            seed: seed || peer.upload_only,
            useful: peer.was_useful(now),
        };
        let dialed = (peer.info.direction == Direction::Outgoing).then_some(peer.info.addr);
        for addr in [dialed, peer.listens].into_iter().flatten() {
            self.candidates.closed(now, addr, ended);
        }
        self.prune_addresses();
        let freed_slot = !peer.am_choking;
        if freed_slot {
            self.fill_slots(now, out);
        }
        self.request_more_of_all(now, out);
        self.dial(now, out);
        self.arm(now);
    }

    pub(super) fn close_all(&mut self, now: Instant, out: &mut Outputs) {
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        let state = self.state;
        // Nobody is asked or dialed while everyone is sent away.
        self.state = State::Paused;
        for key in keys {
            out.push(Output::Close(key, CloseReason::Leaving));
            self.close(now, key, out);
        }
        self.state = state;
        self.drop_all_partials();
    }

    /// Sends a peer away and forgets it.
    pub(super) fn dismiss(
        &mut self,
        now: Instant,
        key: PeerKey,
        reason: CloseReason,
        out: &mut Outputs,
    ) {
        out.push(Output::Close(key, reason));
        self.close(now, key, out);
    }

    pub(super) fn ban(&mut self, now: Instant, ip: IpAddr, out: &mut Outputs) {
        out.push(Output::Notice(Notice::Banned(ip)));
        self.candidates.forget_ips(|known| same_host(known, ip));
        let keys: Vec<PeerKey> = self
            .peers
            .iter()
            .filter(|(_, peer)| same_host(peer.info.addr.ip(), ip))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            self.dismiss(now, key, CloseReason::Banned, out);
        }
    }

    pub(super) fn add_candidates(
        &mut self,
        now: Instant,
        source: Source,
        addrs: Vec<SocketAddr>,
        out: &mut Outputs,
    ) {
        if self.candidates.len() == 0 {
            // Until now nobody could know of us.
            self.vacancy.begins(now);
        }
        let listening = self.peers.values().filter_map(|peer| peer.listens);
        let listening: BTreeSet<SocketAddr> = listening.collect();
        for addr in addrs {
            if self.config.families.include(addr.ip())
                && !self.trust.is_banned(addr.ip())
                && self.candidates.add(addr, source)
                && listening.contains(&addr)
            {
                self.candidates.connected(addr);
            }
        }
        self.dial(now, out);
    }

    pub(super) fn dial_failed(&mut self, now: Instant, addr: SocketAddr, out: &mut Outputs) {
        self.candidates.failed(now, addr);
        self.dial(now, out);
    }

    /// We have called ourselves.
    pub(super) fn dialed_ourselves(&mut self, now: Instant, addr: SocketAddr, out: &mut Outputs) {
        self.candidates.is_ours(addr);
        self.dial(now, out);
    }

    /// There is room for another peer, and for another connection that is not up yet.
    pub(super) fn may_dial(&self) -> bool {
        let dialing = self.candidates.dialing();
        self.is_active()
            && dialing < MAX_HALF_OPEN
            && self.peers.len() + dialing < self.vacancy.dial_limit()
    }

    /// Places are kept for callers, and there is somebody to dial once it turns out that none come.
    pub(super) fn may_dial_later(&self) -> bool {
        let there = self.peers.len() + self.candidates.dialing();
        self.is_active() && there >= self.vacancy.dial_limit() && self.candidates.len() > there
    }

    /// Dials while there is room and somebody to dial.
    pub(super) fn dial(&mut self, now: Instant, out: &mut Outputs) {
        let needs_no_seed = self.is_complete();
        self.candidates.end_hold(now);
        // Most of the time nobody is due, and nobody has to be counted.
        let mut crowd = None;
        while self.may_dial() {
            let Some(addr) = self.candidates.next(now, needs_no_seed) else {
                break;
            };
            let crowd = crowd.get_or_insert_with(|| {
                let connected = self.peers.values().map(|peer| peer.info.addr.ip());
                let dialing = self.candidates.being_dialed().filter(|one| *one != addr);
                let there = connected.chain(dialing.map(|one| one.ip()));
                Crowd::new(there, self.config.max_peers)
            });
            if crowd.has_share(addr.ip()) {
                // It would be let in by nobody: us.
                self.candidates.skipped(now, addr);
            } else {
                crowd.add(addr.ip());
                out.push(Output::Dial(addr));
            }
        }
    }

    /// Pieces whose last request was taken back go to the list of pieces to be started.
    pub(super) fn relist_untouched(&mut self, pieces: impl Iterator<Item = PieceIndex>) {
        for piece in pieces {
            if self.pieces.drop_if_untouched(piece) {
                self.suspects.begun_anew(piece);
                if self.pieces.wants(piece) {
                    self.list(piece);
                }
            }
        }
    }

    /// Addresses are kept while blocks of that peer may still be judged: as long as it is here or any of its blocks is in
    /// a piece under way.
    fn prune_addresses(&mut self) {
        let peers = &self.peers;
        if self.pieces.partial_count() == 0 {
            self.addresses.retain(|key, _| peers.contains_key(key));
        } else if self.addresses.len() >= self.prune_addresses_at {
            let needed: BTreeSet<PeerKey> = self.pieces.senders().collect();
            self.addresses
                .retain(|key, _| peers.contains_key(key) || needed.contains(key));
            self.prune_addresses_at = MAX_ADDRESSES.max(self.addresses.len() * 2);
        }
    }
}
