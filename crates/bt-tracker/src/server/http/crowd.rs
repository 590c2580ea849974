//! The connections that are kept: how many there may be, in all and of one source, and which make
//! room for new ones.
//!
//! Whoever has been idle for the longest leaves first, several at once, so that a full house costs
//! newcomers little. Knows nothing of sockets and requests.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::limits::{
    ASKING_GRACE, BROWSER_PATIENCE, EVICTED_PART, FILE_EVICTION_PAUSE, FILE_EVICTIONS,
};

#[derive(Debug)]
pub(super) struct Crowd {
    epoch: Instant,
    most: usize,
    most_of_source: usize,
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    /// By source; those of trusted proxies are under `None`, where their number has no bound of its
    /// own. No list is empty.
    taken: HashMap<Option<IpAddr>, Vec<Arc<Place>>>,
    /// The sum of their lengths.
    count: usize,
    /// When some were last sent away for the system's sake, in milliseconds since the epoch.
    spared: Option<u64>,
}

/// What a connection and the crowd know of each other.
#[derive(Debug)]
struct Place {
    source: Option<IpAddr>,
    /// Where it is in the list of its source; only used under the lock.
    at: AtomicUsize,
    /// When the connection came or was last answered, in milliseconds since the epoch of the crowd;
    /// [`BUSY`] while it must not be sent away.
    since: AtomicU64,
    /// When the request began to come that is not whole yet, in the same unit; [`NOTHING`] if there
    /// is none.
    asking: AtomicU64,
    /// A browser, which speaks once in minutes.
    is_browser: AtomicBool,
    is_evicted: AtomicBool,
    leave: CancellationToken,
}

const BUSY: u64 = u64::MAX;
const NOTHING: u64 = u64::MAX;

/// The place of one connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    place: Arc<Place>,
}

impl Crowd {
    pub(super) fn new(now: Instant, most: usize, most_of_source: usize) -> Arc<Self> {
        Arc::new(Self {
            epoch: now,
            most,
            most_of_source,
            seats: Mutex::default(),
        })
    }

    /// Takes a connection in, if need be by sending idle ones away. `source` is `None` for proxies,
    /// which speak for many. `None` when nobody can make room.
    pub(super) fn enter(
        self: &Arc<Self>,
        source: Option<IpAddr>,
        now: Instant,
        stop: &CancellationToken,
    ) -> Option<Seat> {
        let source = source.map(network);
        let moment = self.milliseconds(now);
        let mut seats = self.lock();
        if source.is_some() {
            let of_source = seats.taken.get(&source).map_or(0, Vec::len);
            if of_source >= self.most_of_source && !seats.make_room(Some(source), moment) {
                return None;
            }
        }
        if seats.count >= self.most && !seats.make_room(None, moment) {
            return None;
        }
        let of_source = seats.taken.entry(source).or_default();
        let place = Arc::new(Place {
            source,
            at: AtomicUsize::new(of_source.len()),
            since: AtomicU64::new(moment),
            asking: AtomicU64::new(NOTHING),
            is_browser: AtomicBool::new(false),
            is_evicted: AtomicBool::new(false),
            leave: stop.child_token(),
        });
        of_source.push(Arc::clone(&place));
        seats.count += 1;
        Some(Seat {
            crowd: Arc::clone(self),
            place,
        })
    }

    /// Sends a few of the idlest away although there are places: the system has nothing left for new
    /// ones. Nobody is cut off in the middle of a request, unless it takes long to come. However many
    /// ask at one time, it is done once. Returns false when nobody can leave.
    pub(super) fn spare_files(&self, now: Instant) -> bool {
        let moment = self.milliseconds(now);
        let mut seats = self.lock();
        let is_recent = |at| moment.saturating_sub(at) < milliseconds(FILE_EVICTION_PAUSE);
        if seats.spared.is_some_and(is_recent) {
            return true;
        }
        seats.spared = Some(moment);
        let idle = |place: &Place| place.idle(moment).filter(|_| !place.is_asking(moment));
        seats.send_away(None, idle, |all| part(all).min(FILE_EVICTIONS))
    }

    fn milliseconds(&self, now: Instant) -> u64 {
        milliseconds(now.saturating_duration_since(self.epoch)).min(BUSY - 1)
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    /// Sends away a part of the idlest, of one source or of all. Returns whether there were any.
    fn make_room(&mut self, of: Option<Option<IpAddr>>, now: u64) -> bool {
        self.send_away(of, |place| place.idle(now), part)
    }

    /// Sends away as many as `number` says of those that are `idle`, the idlest first.
    fn send_away(
        &mut self,
        of: Option<Option<IpAddr>>,
        idle: impl Fn(&Place) -> Option<u64>,
        number: impl Fn(usize) -> usize,
    ) -> bool {
        let lists = self
            .taken
            .iter()
            .filter(|(source, _)| of.is_none_or(|of| of == **source));
        let mut idle: Vec<_> = lists
            .flat_map(|(_, places)| places)
            .filter_map(|place| Some((idle(place)?, place)))
            .collect();
        let Some(last) = number(idle.len()).min(idle.len()).checked_sub(1) else {
            return false;
        };
        idle.select_nth_unstable_by_key(last, |(idle, _)| Reverse(*idle));
        let leaving: Vec<_> = idle
            .into_iter()
            .take(last + 1)
            .map(|(_, place)| Arc::clone(place))
            .collect();
        for place in leaving {
            place.is_evicted.store(true, Ordering::Relaxed);
            self.remove(&place);
            place.leave.cancel();
        }
        true
    }

    fn remove(&mut self, place: &Arc<Place>) {
        let Some(places) = self.taken.get_mut(&place.source) else {
            return;
        };
        let at = place.at.load(Ordering::Relaxed);
        // Whoever was sent away is not there any more.
        if places
            .get(at)
            .is_some_and(|other| Arc::ptr_eq(other, place))
        {
            places.swap_remove(at);
            if let Some(moved) = places.get(at) {
                moved.at.store(at, Ordering::Relaxed);
            }
            self.count -= 1;
        }
        if places.is_empty() {
            self.taken.remove(&place.source);
        }
    }
}

impl Place {
    /// How long it has been idle, in milliseconds; `None` while it must not be sent away. A browser
    /// has the patience of several others.
    fn idle(&self, now: u64) -> Option<u64> {
        let since = self.since.load(Ordering::Relaxed);
        if since == BUSY {
            return None;
        }
        let idle = now.saturating_sub(since);
        let is_browser = self.is_browser.load(Ordering::Relaxed);
        Some(if is_browser {
            idle / BROWSER_PATIENCE
        } else {
            idle
        })
    }

    /// Whether a request has begun to come and may still become whole soon.
    fn is_asking(&self, now: u64) -> bool {
        let since = self.asking.load(Ordering::Relaxed);
        since != NOTHING && now.saturating_sub(since) < milliseconds(ASKING_GRACE)
    }
}

impl Seat {
    /// Is cancelled when the connection has to leave, or the server stops.
    pub(super) fn leave(&self) -> &CancellationToken {
        &self.place.leave
    }

    /// Whether it has to leave because others came.
    pub(super) fn is_evicted(&self) -> bool {
        self.place.is_evicted.load(Ordering::Relaxed)
    }

    /// Says that the connection has just been answered, and may be sent away if it is idle from now
    /// on.
    pub(super) fn is_idle_since(&self, now: Instant) {
        let now = self.crowd.milliseconds(now);
        self.place.since.store(now, Ordering::Relaxed);
    }

    /// Says that a request has begun to come.
    pub(super) fn asks_since(&self, now: Instant) {
        let now = self.crowd.milliseconds(now);
        self.place.asking.store(now, Ordering::Relaxed);
    }

    /// Says that no request is coming any more.
    pub(super) fn asks_nothing(&self) {
        self.place.asking.store(NOTHING, Ordering::Relaxed);
    }

    /// Says that a browser has just announced: it counts as idle from now on.
    #[cfg(feature = "websocket")]
    pub(super) fn is_browser_since(&self, now: Instant) {
        self.place.is_browser.store(true, Ordering::Relaxed);
        self.is_idle_since(now);
    }

    /// Says that the connection must not be sent away for now.
    pub(super) fn is_busy(&self) {
        self.place.since.store(BUSY, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.lock().remove(&self.place);
    }
}

/// How many of those who could leave make room at once.
fn part(all: usize) -> usize {
    all / EVICTED_PART + 1
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// An IPv4 address, or the /64 of an IPv6 address.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn the_idlest_makes_room_and_whoever_is_busy_does_not() {
        let (start, stop) = (Instant::now(), CancellationToken::new());
        let crowd = Crowd::new(start, 3, 3);
        let at = |seconds| start + Duration::from_secs(seconds);
        let enter = |last, seconds| crowd.enter(ip(last), at(seconds), &stop);
        let seats = [enter(1, 1), enter(2, 2), enter(3, 3)].map(Option::unwrap);
        seats[0].is_idle_since(at(9));
        seats[1].is_busy();
        let fourth = enter(4, 4).unwrap();
        let evicted = |seats: &[Seat]| seats.iter().map(Seat::is_evicted).collect::<Vec<_>>();
        assert_eq!(evicted(&seats), [false, false, true]);
        assert!(seats[2].leave().is_cancelled() && !seats[0].leave().is_cancelled());
        fourth.is_busy();
        let fifth = enter(5, 5).unwrap();
        assert_eq!(evicted(&seats), [true, false, true]);
        fifth.is_busy();
        assert!(enter(6, 6).is_none());
        // Those that were sent away do not give a place back a second time.
        drop(seats);
        assert_eq!(crowd.lock().count, 2);
        assert!(enter(6, 6).is_some());
        drop((fourth, fifth));
        assert!(crowd.lock().taken.is_empty() && crowd.lock().count == 0);
    }

    #[cfg(feature = "websocket")]
    #[test]
    fn a_browser_that_has_not_announced_for_long_makes_room_before_who_has_just_come() {
        let (start, stop) = (Instant::now(), CancellationToken::new());
        let at = |seconds| start + Duration::from_secs(seconds);
        for (announced, came, leaves) in [
            // Nobody has said anything for minutes but the last.
            (0, 599, "browser"),
            // It announces every two minutes, as it was told.
            (480, 541, "other"),
            (480, 559, "other"),
            (480, 561, "browser"),
        ] {
            let crowd = Crowd::new(start, 2, 2);
            let browser = crowd.enter(ip(1), at(0), &stop).unwrap();
            browser.is_browser_since(at(announced));
            let other = crowd.enter(ip(2), at(came), &stop).unwrap();
            let _third = crowd.enter(ip(3), at(600), &stop).unwrap();
            let left = if browser.is_evicted() {
                "browser"
            } else {
                "other"
            };
            assert_eq!(left, leaves, "announced {announced}, came {came}");
            assert_ne!(browser.is_evicted(), other.is_evicted());
        }
    }

    #[test]
    fn a_source_that_has_its_share_makes_room_for_itself_and_proxies_have_no_share() {
        let (now, stop) = (Instant::now(), CancellationToken::new());
        let crowd = Crowd::new(now, 100, 2);
        let v6 = |last: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]));
        let quiet = crowd.enter(ip(1), now, &stop).unwrap();
        let later = now + Duration::from_secs(5);
        let many: Vec<_> = (0..10)
            .map(|n| crowd.enter(v6(n), later, &stop).unwrap())
            .collect();
        assert_eq!(many.iter().filter(|seat| !seat.is_evicted()).count(), 2);
        assert!(!quiet.is_evicted());
        let proxied: Vec<_> = (0..50).map(|_| crowd.enter(None, now, &stop)).collect();
        assert!(proxied.iter().flatten().all(|seat| !seat.is_evicted()));
        assert_eq!(proxied.iter().flatten().count(), 50);
    }

    #[test]
    fn without_files_a_few_leave_however_many_see_it_and_nobody_in_the_middle_of_a_request() {
        let (start, stop) = (Instant::now(), CancellationToken::new());
        let crowd = Crowd::new(start, 10_000, 10_000);
        let seats: Vec<_> = (0..5_000)
            .map(|n| crowd.enter(ip(1), start + Duration::from_millis(n), &stop))
            .collect::<Option<_>>()
            .unwrap();
        let now = start + Duration::from_secs(60);
        let gone = || seats.iter().filter(|seat| seat.is_evicted()).count();
        // The idlest have just begun to ask, and one has been asking for long.
        seats[..100].iter().for_each(|seat| seat.asks_since(now));
        seats[99].asks_since(now - ASKING_GRACE);
        for _ in 0..16 {
            assert!(crowd.spare_files(now));
        }
        assert_eq!(gone(), FILE_EVICTIONS);
        assert!(!seats[..99].iter().any(Seat::is_evicted));
        assert!(seats[99..][..FILE_EVICTIONS].iter().all(Seat::is_evicted));
        let early = now + FILE_EVICTION_PAUSE - Duration::from_millis(1);
        assert!(crowd.spare_files(early) && gone() == FILE_EVICTIONS);
        seats[..50].iter().for_each(Seat::asks_nothing);
        assert!(crowd.spare_files(now + FILE_EVICTION_PAUSE));
        assert_eq!(gone(), 2 * FILE_EVICTIONS);
        assert!(seats[..FILE_EVICTIONS].iter().all(Seat::is_evicted));
        drop(seats);
        assert!(!crowd.spare_files(now + 2 * FILE_EVICTION_PAUSE));
    }

    #[test]
    fn many_leave_at_once_in_a_large_house() {
        let (now, stop) = (Instant::now(), CancellationToken::new());
        for (most, leave) in [(EVICTED_PART - 1, 1), (EVICTED_PART, 2), (6_400, 101)] {
            let crowd = Crowd::new(now, most, most);
            let at = |n| now + Duration::from_millis(n);
            let seats: Vec<_> = (0..=most as u64)
                .map(|n| crowd.enter(ip(1), at(n), &stop).unwrap())
                .collect();
            let evicted = seats.iter().position(|seat| !seat.is_evicted());
            assert_eq!(evicted, Some(leave), "the oldest have left");
            assert!(seats[leave..].iter().all(|seat| !seat.is_evicted()));
        }
    }
}
