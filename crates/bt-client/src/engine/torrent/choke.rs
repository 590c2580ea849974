//! Choking and unchoking: the rounds, the slots that are free at once, and what an initial seeder reveals.

use std::time::Instant;

use bt_wire::Message;

use super::Torrent;
use crate::engine::upload::{ChokeCandidate, Listener, NO_RATE, Spread};
use crate::engine::{Output, Outputs, PeerKey};
use crate::limits::CHOKE_ROUND;

impl Torrent {
    pub(super) fn choke_round(&mut self, now: Instant, out: &mut Outputs) {
        self.next_choke = now + CHOKE_ROUND;
        let seeding = self.is_complete();
        let candidates: Vec<ChokeCandidate> = self
            .peers
            .iter()
            .map(|(&peer, p)| ChokeCandidate {
                peer,
                interested: p.peer_interested,
                // Who sends all at once just before the round is no faster than who sends as much all the time.
                rate: if seeding {
                    p.up.rate_over(now, CHOKE_ROUND)
                } else {
                    p.down.rate_over(now, CHOKE_ROUND)
                },
                snubbing: p.snubbing,
                unchoked_since: p.unchoked_since,
                waiting_since: p.waiting_since,
                joined: p.joined,
            })
            .collect();
        let slots = self.slots();
        let chosen = self
            .choker
            .round(now, &candidates, seeding, slots, &mut self.rng);
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            if chosen.contains(&key) {
                self.unchoke(now, key, out);
            } else {
                self.choke(now, key, out);
            }
        }
    }

    /// From now on so many peers may be unchoked.
    pub(super) fn set_slots(&mut self, now: Instant, slots: usize, out: &mut Outputs) {
        self.config.upload_slots = slots;
        if self.slots_taken() > self.slots() {
            self.choke_round(now, out);
        } else {
            self.fill_slots(now, out);
        }
    }

    /// A slot became free or somebody became interested: nobody waits for the next round while slots are free.
    pub(super) fn fill_slots(&mut self, now: Instant, out: &mut Outputs) {
        let mut free = self.slots().saturating_sub(self.slots_taken());
        while free > 0 {
            let waiting = self
                .peers
                .iter()
                .filter(|(_, peer)| peer.am_choking && peer.peer_interested);
            let Some(key) = waiting
                .min_by_key(|(_, peer)| (peer.snubbing, peer.waiting_since))
                .map(|(key, _)| *key)
            else {
                break;
            };
            self.unchoke(now, key, out);
            free -= 1;
        }
    }

    /// Peers that may be unchoked at once.
    pub(super) fn slots(&self) -> usize {
        self.config.upload_slots.max(1)
    }

    /// Peers that are unchoked and want something.
    pub(super) fn slots_taken(&self) -> usize {
        self.peers
            .values()
            .filter(|peer| !peer.am_choking && peer.peer_interested)
            .count()
    }

    fn unchoke(&mut self, now: Instant, key: PeerKey, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if peer.am_choking {
            peer.am_choking = false;
            peer.unchoked_since = Some(now);
            out.push(Output::Send(key, Message::Unchoke));
        }
    }

    pub(super) fn choke(&mut self, now: Instant, key: PeerKey, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if !peer.am_choking {
            peer.am_choking = true;
            peer.unchoked_since = None;
            peer.waiting_since = now;
            if let Some(spread) = &mut self.spread {
                spread.choked(key);
            }
            out.push(Output::Send(key, Message::Choke));
        }
    }

    /// An initial seeder reveals more if something happened by which it may have to.
    pub(super) fn spread_if_due(&mut self, now: Instant, out: &mut Outputs) {
        if self.spread.as_ref().is_some_and(Spread::is_due) {
            self.spread_more(now, out);
        }
    }

    /// An initial seeder reveals what is due.
    pub(super) fn spread_more(&mut self, now: Instant, out: &mut Outputs) {
        let Some(spread) = &mut self.spread else {
            return;
        };
        let peers = &self.peers;
        let look = |key| {
            let peer = peers.get(&key)?;
            // With the Fast extension what a peer has is the first thing that it says; without, it may say nothing.
            let listens = !peer.is_seed() && (peer.announced || !peer.info.fast);
            listens.then(|| Listener {
                key,
                has: &peer.has,
                interested: peer.peer_interested,
                rate: peer.up.rate(now),
            })
        };
        // A few of thousands are sent something; of the others a meter remembers less than a byte a second.
        let mut rates = 0.0;
        self.fed.retain(|key| {
            let rate = look(*key).map_or(0.0, |listener| listener.rate);
            rates += rate;
            rate >= NO_RATE
        });
        let availability = &self.availability;
        let revealed = spread.reveal(now, rates, look, |piece| availability.of(piece));
        for (key, piece) in revealed {
            out.push(Output::Send(key, Message::Have(piece)));
        }
    }
}
