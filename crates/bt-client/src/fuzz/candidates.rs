//! The addresses that a torrent might dial, driven by what happens to them, against a plain book of who is where.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::engine::Source;
use crate::engine::parts::{Candidates, Ended, Rng};
use crate::limits::{
    DIAL_BACKOFF, HOST_IS_FULL, MAX_BACKOFF_IN_VAIN, MAX_DIAL_BACKOFF, MAX_DIAL_FAILURES,
};

/// So few that bytes reach the bounds.
const MOST: usize = 6;

/// What a hold may last in these stories.
const LONGEST_HOLD: Duration = Duration::from_secs(30);

/// Each two bytes are one thing that happens to an address; the first byte is the seed.
///
/// # Panics
/// If anybody is dialed twice at once, before the time, after it was forgotten or although it is ourselves; if the
/// candidates know, count or wait for others than the book; if in the end not everybody who is left gets a turn; or if
/// the same story goes another way the second time.
pub fn candidates(data: &[u8]) {
    let once = Driven::play(data);
    assert_eq!(once, Driven::play(data), "the same story, another way");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Idle,
    Dialed,
    Here,
}

/// What the book says of an address.
#[derive(Debug, Clone)]
struct Entry {
    by_hand: bool,
    failures: u8,
    in_vain: u8,
    not_before: Option<Instant>,
    place: Where,
    seed: bool,
}

struct Driven {
    candidates: Candidates,
    now: Instant,
    book: BTreeMap<SocketAddr, Entry>,
    ours: BTreeSet<SocketAddr>,
    /// Until when nobody is dialed, and how often in a row that was so.
    hold: Option<Instant>,
    holds: u8,
    dialed: Vec<SocketAddr>,
}

impl Driven {
    /// Who is dialed, in this order.
    fn play(data: &[u8]) -> Vec<SocketAddr> {
        let (seed, steps) = data.split_first().unwrap_or((&0, &[]));
        let mut driven = Self {
            candidates: Candidates::new(MOST, Rng::new(u64::from(*seed))),
            now: Instant::now(),
            book: BTreeMap::new(),
            ours: BTreeSet::new(),
            hold: None,
            holds: 0,
            dialed: Vec::new(),
        };
        for &[what, how] in steps.as_chunks().0 {
            driven.step(what, how);
            driven.check();
        }
        driven.everybody_gets_a_turn();
        driven.dialed
    }

    fn step(&mut self, what: u8, how: u8) {
        let addr = address(what >> 4);
        let now = self.now;
        match what & 15 {
            0 | 1 => self.add(addr, what & 1 == 1),
            2 | 3 => _ = self.dial(how & 1 == 1),
            4 => {
                self.candidates.connected(addr);
                self.holds = 0;
                self.change(addr, |entry| {
                    (entry.place, entry.failures) = (Where::Here, 0);
                });
            }
            5 => {
                self.candidates.failed(now, addr);
                self.change(addr, |entry| {
                    entry.failures = entry.failures.saturating_add(1);
                    entry.waits(now + doubled(entry.failures, MAX_DIAL_BACKOFF));
                });
                let gone = |entry: &Entry| !entry.by_hand && entry.failures >= MAX_DIAL_FAILURES;
                self.book.retain(|_, entry| !gone(entry));
            }
            6 => {
                self.candidates.skipped(now, addr);
                self.change(addr, |entry| entry.waits(now + HOST_IS_FULL));
            }
            7 => self.put_off(addr, how),
            8 | 9 => {
                let (seed, useful) = (how & 1 == 1, how & 2 == 2);
                self.candidates.closed(now, addr, Ended { seed, useful });
                self.change(addr, |entry| {
                    entry.seed = seed;
                    entry.in_vain = match useful {
                        true => 0,
                        false => entry.in_vain.saturating_add(1),
                    };
                    entry.waits(now + doubled(entry.in_vain, MAX_BACKOFF_IN_VAIN));
                });
            }
            10 => {
                self.candidates.is_ours(addr);
                self.book.remove(&addr);
                self.ours.insert(addr);
            }
            11 => {
                self.candidates.forget_ips(|ip| ip == addr.ip());
                self.book.retain(|other, _| other.ip() != addr.ip());
            }
            12 if how & 3 == 0 => {
                self.candidates.clear();
                self.book.retain(|_, entry| entry.by_hand);
            }
            12 => {
                self.candidates.release();
                (self.hold, self.holds) = (None, 0);
            }
            13 => {
                self.candidates.end_hold(now);
                self.hold = self.hold.filter(|until| *until > now);
            }
            _ => self.now += Duration::from_secs(u64::from(how)) / 4,
        }
    }

    fn change(&mut self, addr: SocketAddr, how: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.book.get_mut(&addr) {
            how(entry);
        }
    }

    fn add(&mut self, addr: SocketAddr, by_hand: bool) {
        let source = match by_hand {
            true => Source::User,
            false => Source::Tracker,
        };
        if let Some(known) = self.book.get_mut(&addr) {
            known.by_hand |= by_hand;
        }
        let mut is_new =
            can_be_dialed(addr) && !self.ours.contains(&addr) && !self.book.contains_key(&addr);
        if is_new && self.book.len() == MOST {
            // What a tracker named makes room for whom the user names.
            let may_go = |entry: &Entry| !entry.by_hand && entry.place == Where::Idle;
            let goes = self.book.iter().find(|(_, entry)| may_go(entry));
            let goes = goes.map(|(addr, _)| *addr).filter(|_| by_hand);
            is_new = goes.is_some_and(|addr| self.book.remove(&addr).is_some());
        }
        assert_eq!(self.candidates.add(addr, source), is_new, "{addr}");
        if !is_new {
            return;
        }
        if by_hand {
            (self.hold, self.holds) = (None, 0);
        }
        let entry = Entry {
            by_hand,
            failures: 0,
            in_vain: 0,
            not_before: None,
            place: Where::Idle,
            seed: false,
        };
        self.book.insert(addr, entry);
    }

    fn put_off(&mut self, addr: SocketAddr, how: u8) {
        let (now, most) = (self.now, LONGEST_HOLD / u32::from(how % 4 + 1));
        self.candidates.put_off(now, addr, most);
        let until = match self.hold.filter(|until| now < *until) {
            Some(until) => until.min(now + most),
            None => {
                self.holds = self.holds.saturating_add(1);
                now + doubled(self.holds, most)
            }
        };
        self.hold = Some(until);
        self.change(addr, |entry| entry.waits(now + DIAL_BACKOFF));
    }

    /// Whether the book says that this address may be dialed.
    fn may(&self, entry: &Entry, we_seed: bool) -> bool {
        let is_held = self.hold.is_some_and(|until| self.now < until);
        let is_late = entry.not_before.is_none_or(|at| at <= self.now);
        !is_held && is_late && entry.place == Where::Idle && !(we_seed && entry.seed)
    }

    fn dial(&mut self, we_seed: bool) -> Option<SocketAddr> {
        let chosen = self.candidates.next(self.now, we_seed);
        let mut book = self.book.values();
        let Some(addr) = chosen else {
            assert!(!book.any(|entry| self.may(entry, we_seed)), "one was due");
            return None;
        };
        let entry = self.book.get(&addr).expect("it is in the book");
        assert!(self.may(entry, we_seed), "{addr} is dialed: {entry:?}");
        assert!(!self.ours.contains(&addr));
        self.change(addr, |entry| entry.place = Where::Dialed);
        self.dialed.push(addr);
        chosen
    }

    /// The candidates say what the book says.
    fn check(&self) {
        let candidates = &self.candidates;
        candidates.audit().unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(candidates.len(), self.book.len());
        assert!(candidates.addresses().eq(self.book.keys().copied()));
        let dialed = self.book.iter();
        let dialed = dialed.filter(|(_, entry)| entry.place == Where::Dialed);
        assert!(candidates.being_dialed().eq(dialed.map(|(addr, _)| *addr)));
        assert_eq!(candidates.dialing(), candidates.being_dialed().count());
        let one_is_due = self.book.values().any(|entry| self.may(entry, false));
        assert_eq!(candidates.is_one_due(self.now), one_is_due);
        for we_seed in [false, true] {
            let waits = |entry: &&Entry| entry.place == Where::Idle && !(we_seed && entry.seed);
            let waiting = self.book.values().filter(waits);
            let first = waiting.filter_map(|entry| entry.not_before).min();
            assert_eq!(candidates.next_due(we_seed), self.hold.or(first));
        }
        for number in 0..16 {
            let addr = address(number);
            let entry = self.book.get(&addr);
            assert_eq!(candidates.is_known(addr), entry.is_some());
            let is_idle = entry.is_some_and(|entry| entry.place == Where::Idle);
            assert_eq!(candidates.is_idle(addr), is_idle);
        }
    }

    /// When nothing else happens any more, whoever is idle is dialed: a seed dials all that are none, then others dial
    /// the rest.
    fn everybody_gets_a_turn(&mut self) {
        self.candidates.release();
        (self.hold, self.holds) = (None, 0);
        self.now += MAX_BACKOFF_IN_VAIN;
        for we_seed in [true, false] {
            let idle = |entry: &&Entry| entry.place == Where::Idle && !(we_seed && entry.seed);
            let left = self.book.values().filter(idle).count();
            let turns = std::iter::from_fn(|| self.dial(we_seed)).count();
            assert_eq!(turns, left, "everybody gets one turn");
        }
        self.check();
    }
}

impl Entry {
    fn waits(&mut self, until: Instant) {
        (self.place, self.not_before) = (Where::Idle, Some(until));
    }
}

/// Ten seconds, and twice as long with each further time.
fn doubled(times: u8, most: Duration) -> Duration {
    let more = (1..times).take(16);
    more.fold(DIAL_BACKOFF, |wait, _| (wait * 2).min(most))
        .min(most)
}

/// Some share an address or are of IPv6, and the last ones are impossible.
fn address(number: u8) -> SocketAddr {
    let port = 6_881 + u16::from(number);
    match number {
        0..=8 => ([10, 0, 0, number / 2], port).into(),
        9..=11 => ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], port).into(),
        12 => ([10, 0, 0, 9], 0).into(),
        13 => ([0, 0, 0, 0], port).into(),
        14 => ([224, 0, 0, 1], port).into(),
        _ => ([255, 255, 255, 255], port).into(),
    }
}

fn can_be_dialed(addr: SocketAddr) -> bool {
    (0..12).any(|number| address(number) == addr)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_candidates", 4, super::candidates);
    }

    proptest! {
        #[test]
        fn candidates_are_dialed_when_due_and_their_books_agree(story in vec(any::<u8>(), 0..240)) {
            super::candidates(&story);
        }
    }
}
