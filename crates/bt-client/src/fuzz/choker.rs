//! The choker, round after round: peers come, go and change, and who gets a slot is judged by the rules as they are
//! written, the slow way.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::engine::PeerKey;
use crate::engine::parts::{ChokeCandidate, Choker, Rng};
use crate::limits::{CHOKE_ROUND, OPTIMISTIC_ROUND};

/// Peers that are there at once.
const MOST: usize = 8;

/// What peers give or take, in bytes per second: nothing, what a meter remembers, and more; some are equally fast.
const RATES: [f64; 8] = [0.0, 0.5, 1.0, 2.0, 2.0, 30.0, 1e6, 1e9];

/// Each two bytes are one thing that happens to a peer, or a round; the first byte is the seed and the number of slots.
///
/// # Panics
/// If a slot is empty while somebody wants it, given twice or to somebody who wants nothing; if those who earn it are
/// passed over; if the optimistic slot does not stay for its time and then go to somebody who waits; if a turn of a seed
/// is cut short; if in the end anybody is left out for longer than it takes to serve all others; or if the same story
/// goes another way the second time.
pub fn choker(data: &[u8]) {
    let once = Driven::play(data);
    assert_eq!(once, Driven::play(data), "the same story, another way");
}

/// Who may be on the optimistic slot, and since when.
type Lucky = Option<(PeerKey, Instant)>;

struct Driven {
    choker: Choker,
    rng: Rng,
    now: Instant,
    peers: Vec<ChokeCandidate>,
    last_key: u32,
    slots: usize,
    seeding: bool,
    /// All that the optimistic slot can be by what has been seen of it.
    lucky: Vec<Lucky>,
    rounds: Vec<Vec<PeerKey>>,
}

impl Driven {
    /// Who was chosen in each round.
    fn play(data: &[u8]) -> Vec<Vec<PeerKey>> {
        let (seed, steps) = data.split_first().unwrap_or((&0, &[]));
        let mut driven = Self {
            choker: Choker::default(),
            rng: Rng::new(u64::from(*seed)),
            now: Instant::now(),
            peers: Vec::new(),
            last_key: 0,
            slots: usize::from(seed % 4) + 1,
            seeding: false,
            lucky: vec![None],
            rounds: Vec::new(),
        };
        for &[what, how] in steps.as_chunks().0 {
            driven.step(what, how);
        }
        driven.everybody_gets_a_turn();
        driven.rounds
    }

    fn step(&mut self, what: u8, how: u8) {
        let count = self.peers.len().max(1);
        let peer = usize::from(what >> 3) % count;
        match what & 7 {
            0 => self.join(how),
            1 if how & 3 == 0 && peer < self.peers.len() => drop(self.peers.remove(peer)),
            2 if how & 4 == 0 => self.slots = usize::from(how & 3) + 1,
            2 => self.seeding = how & 1 == 1,
            3..=5 => {
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.interested = how & 1 == 0;
                    peer.snubbing = how & 6 == 6;
                    peer.rate = RATES[usize::from(how >> 5)];
                }
            }
            _ => {
                // Now and then one comes between two rounds, as when slots become fewer.
                self.now += match how & 3 {
                    0 => Duration::from_millis(u64::from(how) * 250),
                    _ => CHOKE_ROUND,
                };
                self.round();
            }
        }
    }

    fn join(&mut self, how: u8) {
        if self.peers.len() == MOST {
            return;
        }
        self.last_key += 1;
        let wanting = self.peers.iter().filter(|one| one.interested);
        let taken = wanting.filter(|one| one.unchoked_since.is_some()).count();
        let interested = how & 1 == 0;
        // Nobody waits for a round while slots are free.
        let is_served = interested && taken < self.slots;
        self.peers.push(ChokeCandidate {
            peer: PeerKey(self.last_key),
            interested,
            rate: RATES[usize::from(how >> 5)],
            snubbing: false,
            unchoked_since: is_served.then_some(self.now),
            waiting_since: self.now,
            joined: self.now,
        });
    }

    /// Whoever is chosen is unchoked, and nobody else.
    fn round(&mut self) -> BTreeSet<PeerKey> {
        let (now, slots) = (self.now, self.slots);
        let list = self
            .choker
            .round(now, &self.peers, self.seeding, slots, &mut self.rng);
        let chosen: BTreeSet<PeerKey> = list.iter().copied().collect();
        assert_eq!(chosen.len(), list.len(), "nobody is chosen twice");
        let wanting: Vec<&ChokeCandidate> =
            self.peers.iter().filter(|one| one.interested).collect();
        assert_eq!(chosen.len(), wanting.len().min(slots), "no slot is empty");
        let is_wanting = |key: &PeerKey| wanting.iter().any(|one| one.peer == *key);
        assert!(chosen.iter().all(is_wanting), "{chosen:?} of {wanting:?}");
        if wanting.len() <= slots {
            self.lucky = vec![None];
        } else if self.seeding {
            check_turns(now, &chosen, &wanting);
        } else {
            self.lucky = check_trade(now, &chosen, &wanting, slots, &self.lucky);
        }
        for peer in &mut self.peers {
            if chosen.contains(&peer.peer) {
                peer.unchoked_since.get_or_insert(now);
            } else if peer.unchoked_since.take().is_some() {
                peer.waiting_since = now;
            }
        }
        self.rounds.push(list);
        chosen
    }

    /// When nothing changes any more and nobody gives anything, everybody is served within the time that it takes to
    /// serve all others.
    fn everybody_gets_a_turn(&mut self) {
        for peer in &mut self.peers {
            (peer.interested, peer.snubbing, peer.rate) = (true, false, 0.0);
        }
        // One slot of a leecher is by lot, which may take any time.
        self.slots = self.slots.max(2);
        let slots = self.slots - usize::from(!self.seeding);
        let turns = self.peers.len().div_ceil(slots) + 1;
        let rounds = turns * usize::from(ROUNDS_OF_A_TURN);
        let mut left: BTreeSet<PeerKey> = self.peers.iter().map(|one| one.peer).collect();
        for _ in 0..rounds {
            self.now += CHOKE_ROUND;
            let chosen = self.round();
            left.retain(|peer| !chosen.contains(peer));
        }
        assert!(left.is_empty(), "{left:?} got nothing in {rounds} rounds");
    }
}

/// A turn lasts for so many rounds.
const ROUNDS_OF_A_TURN: u8 = 3;

/// How it stands with a turn, and how long it has been so: slots go to the first ones in this order.
fn turn(now: Instant, one: &ChokeCandidate) -> (u8, Duration) {
    match one.unchoked_since {
        Some(at) if now.duration_since(at) < OPTIMISTIC_ROUND => (0, now.duration_since(at)),
        None => (1, Duration::MAX - now.duration_since(one.waiting_since)),
        Some(at) => (2, now.duration_since(at)),
    }
}

/// Whether a seed's choice is right: turns that last are kept, then whoever waited longest comes, then the others.
fn check_turns(now: Instant, chosen: &BTreeSet<PeerKey>, wanting: &[&ChokeCandidate]) {
    let rank = |one: &ChokeCandidate| match turn(now, one) {
        // Of those who have a slot the fastest come first.
        (has @ (0 | 2), _) => (has, Duration::ZERO, Reverse(one.rate.to_bits())),
        (waits, so_long) => (waits, so_long, Reverse(0)),
    };
    let one_by_one = wanting.iter().copied();
    let (inside, outside): (Vec<_>, Vec<_>) =
        one_by_one.partition(|one| chosen.contains(&one.peer));
    let last = inside.iter().map(|one| rank(one)).max();
    let first = outside.iter().map(|one| rank(one)).min();
    assert!(
        first.is_none() || last <= first,
        "{inside:?} before {outside:?}"
    );
}

/// Whether a leecher's choice is right by anything that the optimistic slot can be. Gives all that it can be from now on.
fn check_trade(
    now: Instant,
    chosen: &BTreeSet<PeerKey>,
    wanting: &[&ChokeCandidate],
    slots: usize,
    before: &[Lucky],
) -> Vec<Lucky> {
    let is_right = |lucky: Option<PeerKey>| best_but(now, lucky, wanting, slots) == *chosen;
    let waiting = wanting.iter().filter(|one| one.unchoked_since.is_none());
    let waiting: Vec<PeerKey> = waiting.map(|one| one.peer).collect();
    let mut after: Vec<Lucky> = Vec::new();
    for &lucky in before {
        let stays = lucky.filter(|(peer, since)| {
            now.duration_since(*since) < OPTIMISTIC_ROUND
                && wanting.iter().any(|one| one.peer == *peer)
        });
        if let Some((peer, _)) = stays {
            after.extend(is_right(Some(peer)).then_some(lucky));
        } else if waiting.is_empty() {
            after.extend(is_right(None).then_some(lucky));
        } else {
            let next = waiting.iter().copied().filter(|peer| is_right(Some(*peer)));
            after.extend(next.map(|peer| Some((peer, now))));
        }
    }
    after.sort_unstable();
    after.dedup();
    assert!(
        !after.is_empty(),
        "{chosen:?} of {wanting:?}, with {before:?}"
    );
    after
}

/// Who has the slots if `lucky` has the optimistic one: the fastest of those that give and answer. What they leave is for
/// those that give nothing, then for those that do not answer, by turns.
fn best_but(
    now: Instant,
    lucky: Option<PeerKey>,
    wanting: &[&ChokeCandidate],
    slots: usize,
) -> BTreeSet<PeerKey> {
    let mut others: Vec<&ChokeCandidate> = wanting.to_vec();
    others.retain(|one| Some(one.peer) != lucky);
    others.sort_by_key(|one| {
        let earns = !one.snubbing && one.rate >= 1.0;
        // Rates are no negative numbers, whose bits are in the order of what they stand for.
        let (rate, turn) = match earns {
            true => (one.rate.to_bits(), (0, Duration::ZERO)),
            false => (0, turn(now, one)),
        };
        (!earns, one.snubbing, Reverse(rate), turn, one.peer)
    });
    let regular = slots - usize::from(lucky.is_some());
    let best = others.iter().take(regular).map(|one| one.peer);
    best.chain(lucky).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_choker", 4, super::choker);
    }

    proptest! {
        #[test]
        fn the_choker_serves_the_fastest_and_one_more_and_a_seed_gives_turns(story in vec(any::<u8>(), 0..240)) {
            super::choker(&story);
        }
    }
}
