//! Callers between their connection and their handshake: how many there may be, in all and of one host, and who makes
//! room for a newcomer.
//!
//! Whoever has been silent for longest leaves first, among those of the host that holds most places: an honest caller
//! says what it wants within a round trip, so places that others hold open cost it nothing. It must not know sockets or
//! torrents.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use crate::limits::{MAX_PENDING_INCOMING, MAX_PENDING_PER_HOST};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    /// Those of each host, in the order in which they came. No list is empty.
    by_host: HashMap<IpAddr, VecDeque<Place>>,
    /// The sum of their lengths.
    all: usize,
    /// How many have ever come.
    came: u64,
}

#[derive(Debug)]
struct Place {
    number: u64,
    leave: CancellationToken,
}

/// A caller that was let in; it makes room when it is dropped.
#[derive(Debug)]
pub(crate) struct Caller {
    callers: Arc<Callers>,
    host: IpAddr,
    number: u64,
    leave: CancellationToken,
}

impl Callers {
    /// Lets a caller from `ip` in, and sends another one away if there is no room.
    pub(crate) fn enter(self: &Arc<Self>, ip: IpAddr) -> Caller {
        let host = host(ip);
        let mut pending = self.pending();
        if pending.of(host) >= MAX_PENDING_PER_HOST {
            pending.send_away(host);
        } else if pending.all >= MAX_PENDING_INCOMING
            && let Some(crowded) = pending.crowded()
        {
            pending.send_away(crowded);
        }
        pending.came += 1;
        pending.all += 1;
        let (number, leave) = (pending.came, CancellationToken::new());
        let place = Place {
            number,
            leave: leave.clone(),
        };
        pending.by_host.entry(host).or_default().push_back(place);
        Caller {
            callers: Arc::clone(self),
            host,
            number,
            leave,
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn of(&self, host: IpAddr) -> usize {
        self.by_host.get(&host).map_or(0, VecDeque::len)
    }

    /// The host that holds most places; of several, the one whose first caller waits longest.
    fn crowded(&self) -> Option<IpAddr> {
        let first = |places: &VecDeque<Place>| places.front().map_or(u64::MAX, |p| p.number);
        self.by_host
            .iter()
            .max_by_key(|(_, places)| (places.len(), std::cmp::Reverse(first(places))))
            .map(|(host, _)| *host)
    }

    fn send_away(&mut self, host: IpAddr) {
        let number = self.by_host.get(&host).and_then(|places| places.front());
        if let Some(number) = number.map(|place| place.number)
            && let Some(place) = self.remove(host, number)
        {
            place.leave.cancel();
        }
    }

    /// Nothing for whoever was sent away.
    fn remove(&mut self, host: IpAddr, number: u64) -> Option<Place> {
        let places = self.by_host.get_mut(&host)?;
        let at = places
            .binary_search_by_key(&number, |place| place.number)
            .ok()?;
        let place = places.remove(at);
        if places.is_empty() {
            self.by_host.remove(&host);
        }
        self.all -= 1;
        place
    }
}

impl Caller {
    /// Ends when it has to leave because others came.
    pub(crate) fn sent_away(&self) -> WaitForCancellationFuture<'_> {
        self.leave.cancelled()
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.callers.pending().remove(self.host, self.number);
    }
}

/// Of IPv6 one line has a whole network of 64 bits.
fn host(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use super::{Caller, Callers};
    use crate::limits::{MAX_PENDING_INCOMING, MAX_PENDING_PER_HOST};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn left(caller: &Caller) -> bool {
        caller.leave.is_cancelled()
    }

    #[test]
    fn the_newest_of_a_host_takes_the_place_of_its_oldest() {
        let callers = Arc::new(Callers::default());
        // Two addresses of one line.
        let pair = [ip("2001:db8::1"), ip("2001:db8::ffff:2")];
        let other = callers.enter(ip("2001:db8:0:1::1"));
        let inside: Vec<_> = (0..MAX_PENDING_PER_HOST)
            .map(|n| callers.enter(pair[n % 2]))
            .collect();
        assert!(!inside.iter().any(left));
        let newest = callers.enter(pair[0]);
        let gone: Vec<_> = inside.iter().map(left).collect();
        assert!(gone[0] && !gone[1..].contains(&true) && !left(&newest) && !left(&other));
        drop((inside, newest, other));
        let pending = callers.pending();
        assert!(
            pending.all == 0 && pending.by_host.is_empty(),
            "{pending:?}"
        );
    }

    #[test]
    fn when_all_places_are_taken_the_host_with_most_makes_room() {
        let callers = Arc::new(Callers::default());
        let honest = callers.enter(ip("192.0.2.1"));
        let hosts = MAX_PENDING_INCOMING / MAX_PENDING_PER_HOST;
        let flood: Vec<_> = (0..MAX_PENDING_INCOMING * 2)
            .map(|n| callers.enter(ip(&format!("10.0.0.{}", n % hosts))))
            .collect();
        assert_eq!(callers.pending().all, MAX_PENDING_INCOMING);
        assert!(!left(&honest), "it holds one place, the others many");
        let newcomer = callers.enter(ip("192.0.2.2"));
        assert!(!left(&newcomer) && !left(&honest));
        assert_eq!(callers.pending().all, MAX_PENDING_INCOMING);
        // Those who came last are there, the oldest have gone.
        assert!(left(&flood[0]) && !left(&flood[flood.len() - 1]));
    }

    #[test]
    fn of_hosts_with_one_caller_each_the_oldest_leaves() {
        let callers = Arc::new(Callers::default());
        let from = |n: usize| {
            let n = u16::try_from(n).unwrap().to_be_bytes();
            IpAddr::from([10, 0, n[0], n[1]])
        };
        let inside: Vec<_> = (0..=MAX_PENDING_INCOMING)
            .map(|n| callers.enter(from(n)))
            .collect();
        assert!(left(&inside[0]) && inside.iter().filter(|c| left(c)).count() == 1);
    }
}
