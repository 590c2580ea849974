//! Who is let in: callers, places of a session, the pace of dials and the shares of hosts and networks, against lists
//! that are counted anew each time.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::engine::parts::Crowd;
use crate::limits::{
    LEAST_OF_NETWORK, MAX_PEERS_PER_IP, MAX_PEERS_PER_PRIVATE_IP, MAX_PENDING_INCOMING,
    MAX_PENDING_PER_HOST, MAX_SESSION_PEERS, NETWORK_SHARE,
};
use crate::net::{Caller, Callers, Pace, Place, Places};

/// An address, and the numbers of its line (a /64 of IPv6), its host and its network, if that is public.
type Address = (&'static str, u8, u8, Option<u8>);

const ADDRESSES: [Address; 14] = [
    ("203.0.113.1", 0, 0, Some(0)),
    ("203.0.113.2", 1, 1, Some(0)),
    ("203.0.113.255", 2, 2, Some(0)),
    ("203.0.112.1", 3, 3, Some(1)),
    ("10.0.0.1", 4, 4, None),
    ("10.0.0.2", 5, 5, None),
    ("127.0.0.1", 6, 6, None),
    ("2001:db8:1:1::1", 7, 7, Some(2)),
    ("2001:db8:1:1:ffff::2", 7, 7, Some(2)),
    ("2001:db8:1:2::1", 8, 8, Some(2)),
    ("2001:db8:2:1::1", 9, 9, Some(3)),
    ("fd00::1", 10, 10, None),
    ("fd00::2", 10, 11, None),
    ("fe80::1", 11, 12, None),
];

/// Peers that a torrent may have, and descriptors that the system gives.
const PEERS: [usize; 4] = [0, 50, 200, 600];
const DESCRIPTORS: [usize; 4] = [0, 40, 200, 1 << 20];

/// Places that a session has at least.
const LEAST: usize = 8;

/// Dials of a second.
const PACES: [u32; 4] = [0, 1, 10, 30];

/// How much later it is, in milliseconds.
const PAUSES: [u64; 8] = [0, 0, 1, 33, 34, 500, 1_000, 10_000];

/// Each two bytes are one thing that happens; the first byte says how many places there are and how fast is dialed.
///
/// # Panics
/// If a caller has to leave, or a place, a share or a dial is refused or granted, other than the lists say; if more is begun
/// in any time than the pace and one burst; or if in the end, with everybody gone, anything is still taken.
pub fn places(data: &[u8]) {
    let (&first, steps) = data.split_first().unwrap_or((&0, &[]));
    let mut hall = Hall::default();
    let mut session = Session::new(first);
    let mut dials = Dials::new(PACES[usize::from(first >> 4 & 3)]);
    let mut shares = Shares {
        there: Vec::new(),
        places: PEERS[usize::from(first & 3)],
    };
    for &[what, how] in steps.as_chunks().0 {
        match what & 7 {
            0 | 1 => hall.come(what >> 3, how),
            2 => hall.go(usize::from(what >> 3), usize::from(how)),
            3 => session.take(what & 8 == 0, how),
            4 => session.give_back(how),
            5 => dials.book(what >> 3, how),
            6 => shares.add(how),
            _ => shares.remove(how),
        }
    }
    hall.ends_empty();
    session.ends_empty();
    dials.rest();
}

/// Callers that have not said what they want.
#[derive(Default)]
struct Hall {
    callers: Arc<Callers>,
    /// In the order in which they came.
    book: Vec<Entry>,
    last_line: u32,
}

struct Entry {
    caller: Caller,
    line: u32,
    /// It was sent away.
    left: bool,
}

impl Hall {
    /// Up to sixteen come, from one address or each from one of its own.
    fn come(&mut self, from: u8, how: u8) {
        for _ in 0..=how & 15 {
            let (ip, line) = if how & 16 == 0 {
                let (ip, line, ..) = ADDRESSES[usize::from(from) % ADDRESSES.len()];
                (ip.parse().expect("an address"), u32::from(line))
            } else {
                self.last_line += 1;
                let line = 0x0b00_0000 + self.last_line;
                (IpAddr::from(line.to_be_bytes()), line)
            };
            self.enter(ip, line);
        }
        self.check();
    }

    /// The oldest of a line that has its share makes room, or of the line with most callers if all places are taken; of
    /// several such lines, the one whose oldest has waited longest.
    fn enter(&mut self, ip: IpAddr, line: u32) {
        let inside = |entry: &&mut Entry| !entry.left;
        let of_line = self.book.iter_mut().filter(inside);
        let of_line = of_line.filter(|entry| entry.line == line).count();
        let crowded = if of_line == MAX_PENDING_PER_HOST {
            Some(line)
        } else if self.book.iter_mut().filter(inside).count() == MAX_PENDING_INCOMING {
            let mut lines: BTreeMap<u32, usize> = BTreeMap::new();
            let all = self.book.iter_mut().filter(inside);
            all.for_each(|entry| *lines.entry(entry.line).or_default() += 1);
            let most = lines.values().copied().max();
            let mut all = self.book.iter_mut().filter(inside);
            let first = all.find(|entry| lines.get(&entry.line).copied() == most);
            first.map(|entry| entry.line)
        } else {
            None
        };
        let mut inside = self.book.iter_mut().filter(inside);
        if let Some(oldest) = inside.find(|entry| Some(entry.line) == crowded) {
            oldest.left = true;
        }
        self.book.push(Entry {
            caller: self.callers.enter(ip),
            line,
            left: false,
        });
    }

    /// Some have said what they want, or hung up; that they were sent away before makes no difference.
    fn go(&mut self, from: usize, how: usize) {
        let first = (from * 8).min(self.book.len());
        let last = (first + how % 64).min(self.book.len());
        self.book.drain(first..last);
        if how >= 128 {
            self.book.retain(|entry| !entry.left);
        }
        self.check();
    }

    fn check(&self) {
        for (at, entry) in self.book.iter().enumerate() {
            let left = is_sent_away(&entry.caller);
            assert_eq!(left, entry.left, "number {at} of line {}", entry.line);
        }
    }

    fn ends_empty(mut self) {
        self.book.clear();
        for line in (0..).take(MAX_PENDING_INCOMING) {
            self.enter(IpAddr::from(u32::to_be_bytes(line)), line);
        }
        let is_inside = |entry: &Entry| !is_sent_away(&entry.caller);
        assert!(self.book.iter().all(is_inside), "a place is still taken");
        self.come(0, 16);
        assert!(
            is_sent_away(&self.book[0].caller),
            "one more than there are"
        );
    }
}

fn is_sent_away(caller: &Caller) -> bool {
    let future = std::pin::pin!(caller.sent_away());
    let mut context = Context::from_waker(Waker::noop());
    future.poll(&mut context) == Poll::Ready(())
}

/// The places of all torrents.
struct Session {
    places: Places,
    count: usize,
    taken: Vec<Place>,
}

impl Session {
    fn new(first: u8) -> Self {
        let peers = PEERS[usize::from(first & 3)];
        let descriptors = DESCRIPTORS[usize::from(first >> 2 & 3)];
        let places = Places::new(peers, descriptors);
        let all: Vec<Place> = std::iter::from_fn(|| places.take(true)).collect();
        let count = all.len();
        assert!(count >= LEAST && count <= LEAST.max(descriptors / 2));
        if descriptors / 2 > MAX_SESSION_PEERS.max(2 * peers) {
            assert!(count - count / 4 >= peers && count >= MAX_SESSION_PEERS);
        }
        Self {
            places,
            count,
            taken: Vec::new(),
        }
    }

    /// The last quarter is for those who are needed.
    fn take(&mut self, needed: bool, how: u8) {
        for _ in 0..=how {
            let free = self.count - self.taken.len();
            let may = |needed: bool| free > if needed { 0 } else { self.count / 4 };
            assert_eq!(self.places.is_one_free(true), may(true));
            assert_eq!(self.places.is_one_free(false), may(false));
            let place = self.places.take(needed);
            assert_eq!(
                place.is_some(),
                may(needed),
                "{free} of {} are free",
                self.count
            );
            self.taken.extend(place);
        }
    }

    fn give_back(&mut self, how: u8) {
        let left = self.taken.len().saturating_sub(usize::from(how));
        self.taken.truncate(left);
    }

    fn ends_empty(mut self) {
        self.taken.clear();
        let all: Vec<Place> = std::iter::from_fn(|| self.places.take(true)).collect();
        assert_eq!(all.len(), self.count, "a place is still taken");
    }
}

/// Dials that were begun, or will be.
struct Dials {
    pace: Pace,
    burst: u32,
    start: Instant,
    now: Instant,
    /// When each of them begins, after the start.
    begun: Vec<Duration>,
}

impl Dials {
    fn new(per_second: u32) -> Self {
        let start = Instant::now();
        Self {
            pace: Pace::new(per_second),
            burst: per_second.max(1),
            start,
            now: start,
            begun: Vec::new(),
        }
    }

    fn book(&mut self, patience: u8, how: u8) {
        self.now += Duration::from_millis(PAUSES[usize::from(how & 7)]);
        for _ in 0..=how >> 3 {
            let most = Duration::from_millis(u64::from(patience) * 200);
            let wait = self.pace.book(self.now, most).unwrap_or_else(|| {
                let patient = self.pace.book(self.now, Duration::MAX);
                let wait = patient.expect("somebody who waits for ever");
                assert!(wait > most, "refused, although it would take {wait:?}");
                wait
            });
            self.begin(wait);
        }
    }

    fn begin(&mut self, wait: Duration) {
        let at = self.now + wait - self.start;
        assert!(self.begun.last().is_none_or(|last| *last <= at));
        self.begun.push(at);
        // Of all stretches that end now, but for long ones, none has more than a burst besides its even pace.
        let every = Duration::from_secs(1) / self.burst;
        for (count, from) in (1..=200).zip(self.begun.iter().rev()) {
            let above: u32 = u32::saturating_sub(count, self.burst);
            assert!(
                every * above <= at - *from,
                "{count} since {from:?}, now {at:?}"
            );
        }
    }

    /// A second after the last one has begun, so many may begin at once again.
    fn rest(mut self) {
        let last = self.begun.last().copied().unwrap_or_default();
        self.now = self.start + last + Duration::from_secs(1);
        for _ in 0..self.burst {
            let wait = self.pace.book(self.now, Duration::ZERO);
            assert_eq!(wait, Some(Duration::ZERO), "it is at rest");
        }
        assert_eq!(self.pace.book(self.now, Duration::ZERO), None);
    }
}

/// Peers of one torrent.
struct Shares {
    there: Vec<Address>,
    places: usize,
}

impl Shares {
    fn add(&mut self, how: u8) {
        let address = ADDRESSES[usize::from(how & 15) % ADDRESSES.len()];
        let mut crowd = self.crowd();
        for _ in 0..=how >> 4 {
            crowd.add(ip(address));
            self.there.push(address);
        }
        self.check(&crowd);
    }

    fn remove(&mut self, how: u8) {
        let left = self.there.len().saturating_sub(usize::from(how >> 4));
        let first = usize::from(how & 15).min(left);
        let last = first + self.there.len() - left;
        self.there.drain(first..last);
        self.check(&self.crowd());
    }

    fn crowd(&self) -> Crowd {
        Crowd::new(self.there.iter().copied().map(ip), self.places)
    }

    fn check(&self, crowd: &Crowd) {
        for address in ADDRESSES {
            let (text, _, host, network) = address;
            let ip = ip(address);
            let of_host = self.there.iter().filter(|one| one.2 == host).count();
            let of_network = self.there.iter().filter(|one| one.3 == network).count();
            let has_share = match network {
                None => of_host >= MAX_PEERS_PER_PRIVATE_IP,
                Some(_) => {
                    let share = (self.places / NETWORK_SHARE).max(LEAST_OF_NETWORK);
                    of_host >= MAX_PEERS_PER_IP || of_network >= share
                }
            };
            assert_eq!(crowd.has_share(ip), has_share, "{text}");
            let there = self.there.iter().copied().map(self::ip);
            let around = Crowd::around(ip, there, self.places);
            assert_eq!(
                around.has_share(ip),
                has_share,
                "{text}, of those around it"
            );
        }
    }
}

fn ip((text, ..): Address) -> IpAddr {
    text.parse().expect("an address")
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_places", 4, super::places);
    }

    proptest! {
        #[test]
        fn who_is_let_in_is_as_the_lists_say(story in vec(any::<u8>(), 0..160)) {
            super::places(&story);
        }
    }
}
