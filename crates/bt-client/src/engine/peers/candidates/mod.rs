//! Addresses that we might dial: where we heard of them, how often they failed, when to try again.
//!
//! It must not know sockets, or peers that are connected beyond the fact that they are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::engine::rng::Rng;
use crate::limits::{
    DIAL_BACKOFF, HOST_IS_FULL, MAX_BACKOFF_IN_VAIN, MAX_DIAL_BACKOFF, MAX_DIAL_FAILURES,
    MAX_OWN_ADDRESSES,
};

/// Who told us of an address. There is nobody else to ask yet, so private torrents (BEP 27) need no filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Source {
    /// The user named it.
    User,
    /// A tracker's reply.
    Tracker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Idle,
    Dialing,
    Connected,
}

#[derive(Debug)]
struct Candidate {
    source: Source,
    /// Dials in a row that ended in nothing.
    failures: u8,
    /// Connections in a row that came up and were of no use.
    in_vain: u8,
    not_before: Option<Instant>,
    status: Status,
    /// It had everything when we last saw it, so a seed has no reason to dial it.
    seed: bool,
}

impl Candidate {
    fn is_due(&self, now: Instant, we_seed: bool) -> bool {
        self.status == Status::Idle
            && !(we_seed && self.seed)
            && self.not_before.is_none_or(|at| at <= now)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Candidates {
    known: BTreeMap<SocketAddr, Candidate>,
    /// `known.len() <= most`, and `order.len() <= 2 * most`.
    most: usize,
    /// All that are known, in the order in which they are dialed; may hold some that are known no more. By lot: if all
    /// peers of a swarm dialed in the order of addresses, or as a tracker lists them, those in front would be full at once
    /// and the swarm would fall apart into those that came in time and those that did not.
    order: Vec<SocketAddr>,
    /// Where in `order` the search for the next one goes on, so that all get their turn.
    cursor: usize,
    dialing: usize,
    /// Those that wait until they may be dialed again, by time: first those that lacked something when we last saw them,
    /// then the seeds.
    waiting: [BTreeSet<(Instant, SocketAddr)>; 2],
    /// Nobody is dialed before: when last asked, the session had no room. It stays until somebody is looked for after it.
    held_until: Option<Instant>,
    /// How often in a row that was so.
    held: u8,
    /// Where we have met ourselves.
    ours: BTreeSet<SocketAddr>,
    rng: Rng,
}

/// What a connection was that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The peer had everything.
    pub(crate) seed: bool,
    /// It lasted, or blocks were exchanged.
    pub(crate) useful: bool,
}

impl Candidates {
    /// Room for `most` of them; that is [`MAX_CANDIDATES`](crate::limits::MAX_CANDIDATES) but in tests.
    pub(crate) fn new(most: usize, rng: Rng) -> Self {
        Self {
            known: BTreeMap::new(),
            most,
            order: Vec::new(),
            cursor: 0,
            dialing: 0,
            waiting: Default::default(),
            held_until: None,
            held: 0,
            ours: BTreeSet::new(),
            rng,
        }
    }

    /// Remembers `addr`; false if it is known, impossible, or there is no room. What the user names has room in place of
    /// what a tracker named: trackers can name more than there is room for.
    pub(crate) fn add(&mut self, addr: SocketAddr, source: Source) -> bool {
        if let Some(known) = self.known.get_mut(&addr) {
            if source == Source::User {
                // It stays, whoever else has named it.
                known.source = Source::User;
            }
            return false;
        }
        if !is_dialable(addr) || self.ours.contains(&addr) {
            return false;
        }
        if self.known.len() >= self.most && !(source == Source::User && self.make_room()) {
            return false;
        }
        if source == Source::User {
            self.release();
        }
        let fresh = Candidate {
            source,
            failures: 0,
            in_vain: 0,
            not_before: None,
            status: Status::Idle,
            seed: false,
        };
        self.known.insert(addr, fresh);
        self.insert_by_lot(addr);
        true
    }

    /// Forgets one that a tracker named and that nothing is under way with; false if there is none.
    fn make_room(&mut self) -> bool {
        let may_go = |one: &Candidate| one.source != Source::User && one.status == Status::Idle;
        let first = self.known.iter().find(|(_, one)| may_go(one));
        let Some(addr) = first.map(|(addr, _)| *addr) else {
            return false;
        };
        self.remove(addr);
        true
    }

    /// The next address to dial, if one is due; it counts as being dialed from now on.
    pub(crate) fn next(&mut self, now: Instant, we_seed: bool) -> Option<SocketAddr> {
        if self.is_held(now) {
            return None;
        }
        let due = |candidate: &Candidate| candidate.is_due(now, we_seed);
        let count = self.order.len();
        let at = (0..count)
            .map(|step| (self.cursor + step) % count)
            .find(|at| self.known.get(&self.order[*at]).is_some_and(due))?;
        let addr = self.order[at];
        self.set(addr, Status::Dialing);
        self.cursor = at + 1;
        Some(addr)
    }

    /// Somewhere among those whose turn is still to come.
    fn insert_by_lot(&mut self, addr: SocketAddr) {
        if self.order.len() >= 2 * self.most {
            self.order.retain(|addr| self.known.contains_key(addr));
            self.cursor = 0;
        }
        if self.order.contains(&addr) {
            return;
        }
        let last = self.order.len();
        self.order.push(addr);
        let first = self.cursor.min(last);
        let at = first + self.rng.below(last + 1 - first);
        self.order.swap(at, last);
    }

    /// When the next idle candidate becomes due.
    pub(crate) fn next_due(&self, we_seed: bool) -> Option<Instant> {
        let [lacking, seeds] = &self.waiting;
        let seeds = seeds.first().filter(|_| !we_seed);
        let first = lacking.first().into_iter().chain(seeds);
        let due = first.map(|(at, _)| *at).min();
        // When the hold ends, also those are looked for that wait for nothing else.
        self.held_until.or(due)
    }

    /// Ends a hold whose time has come; how often there was one is remembered.
    pub(crate) fn end_hold(&mut self, now: Instant) {
        self.held_until.take_if(|until| *until <= now);
    }

    /// Somebody is needed: what the session had no room for is asked for again.
    pub(crate) fn release(&mut self) {
        self.held_until = None;
        self.held = 0;
    }

    fn is_held(&self, now: Instant) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    /// Whether one could be dialed now.
    pub(crate) fn is_one_due(&self, now: Instant) -> bool {
        !self.is_held(now) && self.known.values().any(|one| one.is_due(now, false))
    }

    /// Those that are being dialed.
    pub(crate) fn being_dialed(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let dialing = |one: &Candidate| one.status == Status::Dialing;
        let known = self.known.iter().filter(move |(_, one)| dialing(one));
        known.map(|(addr, _)| *addr)
    }

    /// There is a connection to `addr`; unknown addresses are none of our business.
    pub(crate) fn connected(&mut self, addr: SocketAddr) {
        self.set(addr, Status::Connected);
        self.held = 0;
        if let Some(candidate) = self.known.get_mut(&addr) {
            candidate.failures = 0;
        }
    }

    /// A dial came to nothing.
    pub(crate) fn failed(&mut self, now: Instant, addr: SocketAddr) {
        self.set(addr, Status::Idle);
        let Some(candidate) = self.known.get_mut(&addr) else {
            return;
        };
        candidate.failures = candidate.failures.saturating_add(1);
        if candidate.failures >= MAX_DIAL_FAILURES && candidate.source != Source::User {
            self.remove(addr);
        } else {
            let wait = back_off(candidate.failures).min(MAX_DIAL_BACKOFF);
            self.wait_until(addr, now + wait);
        }
    }

    /// It was not dialed after all, which says nothing of it: the session has no room. Nobody else is dialed for a while
    /// either, for `most` at the longest; of many that are put off together, the first counts.
    pub(crate) fn put_off(&mut self, now: Instant, addr: SocketAddr, most: Duration) {
        self.set(addr, Status::Idle);
        let until = match self.held_until {
            Some(until) if now < until => until.min(now + most),
            _ => {
                self.held = self.held.saturating_add(1);
                now + back_off(self.held).min(most)
            }
        };
        self.held_until = Some(until);
        self.wait_until(addr, now + DIAL_BACKOFF);
    }

    /// Its host or network has all the places that it may have: it has to wait until some of them leave.
    pub(crate) fn skipped(&mut self, now: Instant, addr: SocketAddr) {
        self.set(addr, Status::Idle);
        self.wait_until(addr, now + HOST_IS_FULL);
    }

    /// A connection that had come up closed. Whoever lets us in and sends us away at once is full, or knows us already:
    /// it is tried less and less often, and not forgotten.
    pub(crate) fn closed(&mut self, now: Instant, addr: SocketAddr, ended: Ended) {
        self.set(addr, Status::Idle);
        let Some(candidate) = self.known.get_mut(&addr) else {
            return;
        };
        if let Some(at) = candidate.not_before.take() {
            self.waiting[usize::from(candidate.seed)].remove(&(at, addr));
        }
        candidate.seed = ended.seed;
        candidate.in_vain = match ended.useful {
            true => 0,
            false => candidate.in_vain.saturating_add(1),
        };
        let wait = back_off(candidate.in_vain).min(MAX_BACKOFF_IN_VAIN);
        self.wait_until(addr, now + wait);
    }

    /// It leads to ourselves: whoever names it again is not heeded.
    pub(crate) fn is_ours(&mut self, addr: SocketAddr) {
        self.forget(addr);
        if self.ours.len() < MAX_OWN_ADDRESSES {
            self.ours.insert(addr);
        }
    }

    fn forget(&mut self, addr: SocketAddr) {
        self.set(addr, Status::Idle);
        self.remove(addr);
    }

    /// Forgets all that nobody named by hand.
    pub(crate) fn clear(&mut self) {
        self.forget_where(|_, candidate| candidate.source != Source::User);
    }

    /// Forgets all addresses that `which` names.
    pub(crate) fn forget_ips(&mut self, which: impl Fn(IpAddr) -> bool) {
        self.forget_where(|addr, _| which(addr.ip()));
    }

    fn forget_where(&mut self, which: impl Fn(&SocketAddr, &Candidate) -> bool) {
        let gone = self.known.iter().filter(|(addr, c)| which(addr, c));
        let gone: Vec<SocketAddr> = gone.map(|(addr, _)| *addr).collect();
        for addr in gone {
            self.forget(addr);
        }
    }

    /// Whether somebody named `addr`, and it has not been forgotten since.
    pub(crate) fn is_known(&self, addr: SocketAddr) -> bool {
        self.known.contains_key(&addr)
    }

    /// Whether `addr` is known, and nobody is there or asked to come.
    pub(crate) fn is_idle(&self, addr: SocketAddr) -> bool {
        let candidate = self.known.get(&addr);
        candidate.is_some_and(|candidate| candidate.status == Status::Idle)
    }

    pub(crate) fn dialing(&self) -> usize {
        self.dialing
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// All that are known.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.known.keys().copied()
    }

    /// Whether the counter, the order and the bounds agree with what is known.
    pub(crate) fn audit(&self) -> Result<(), String> {
        let dialing = self
            .known
            .values()
            .filter(|one| one.status == Status::Dialing);
        let dialing = dialing.count();
        if dialing != self.dialing {
            return Err(format!(
                "{dialing} candidates are being dialed, booked are {}",
                self.dialing
            ));
        }
        if self.known.len() > self.most || self.order.len() > 2 * self.most {
            return Err(format!(
                "{} candidates, {} in the order",
                self.known.len(),
                self.order.len()
            ));
        }
        for (place, waiting) in self.waiting.iter().enumerate() {
            let of_place = self.known.iter().filter_map(|(addr, one)| {
                let waits = one.status == Status::Idle && usize::from(one.seed) == place;
                Some((one.not_before.filter(|_| waits)?, *addr))
            });
            if of_place.collect::<BTreeSet<_>>() != *waiting {
                return Err(format!("those who wait are not {waiting:?}"));
            }
        }
        let mut order: Vec<&SocketAddr> = self.order.iter().collect();
        order.sort_unstable();
        if order.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("a candidate has two turns".to_owned());
        }
        let mut known = self.known.keys();
        match known.find(|addr| order.binary_search(addr).is_err()) {
            Some(addr) => Err(format!("{addr} is known and never gets its turn")),
            None => Ok(()),
        }
    }

    fn set(&mut self, addr: SocketAddr, status: Status) {
        let Some(candidate) = self.known.get_mut(&addr) else {
            return;
        };
        self.dialing -= usize::from(candidate.status == Status::Dialing);
        self.dialing += usize::from(status == Status::Dialing);
        candidate.status = status;
        if let Some(at) = candidate.not_before.filter(|_| status != Status::Idle) {
            self.waiting[usize::from(candidate.seed)].remove(&(at, addr));
        }
    }

    /// An idle candidate is not dialed before `at`.
    fn wait_until(&mut self, addr: SocketAddr, at: Instant) {
        if let Some(candidate) = self.known.get_mut(&addr) {
            let waiting = &mut self.waiting[usize::from(candidate.seed)];
            if let Some(before) = candidate.not_before.replace(at) {
                waiting.remove(&(before, addr));
            }
            waiting.insert((at, addr));
        }
    }

    fn remove(&mut self, addr: SocketAddr) {
        if let Some(candidate) = self.known.remove(&addr)
            && let Some(at) = candidate.not_before
        {
            self.waiting[usize::from(candidate.seed)].remove(&(at, addr));
        }
    }
}

/// Ten seconds after the first time in a row, and twice as long each time; the caller bounds it.
fn back_off(times: u8) -> Duration {
    DIAL_BACKOFF * 2u32.pow(u32::from(times.clamp(1, 16)) - 1)
}

/// Nobody listens on port 0, the unspecified address, or a group.
fn is_dialable(addr: SocketAddr) -> bool {
    let ip = addr.ip();
    addr.port() != 0
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && ip != IpAddr::from([255, 255, 255, 255])
}

#[cfg(test)]
mod tests;
