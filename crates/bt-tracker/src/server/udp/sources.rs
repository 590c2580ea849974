//! How much each source may ask: a rate with a burst for each address, in a table that never
//! grows.
//!
//! Pure: moments come in. A source is an IPv4 address or the /64 of an IPv6 address. The table has
//! sets of four places; a source that is not there takes the place of the one in its set that has
//! been quiet for the longest, which for a quiet source forgets nothing. So a flood of made-up
//! sources costs no memory and does not free a busy one of its past.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use siphasher::sip::SipHasher13;

/// Places that one source may have.
const WAYS: usize = 4;

/// The sources of one worker.
#[derive(Debug)]
pub(super) struct Sources {
    hasher: SipHasher13,
    epoch: Instant,
    /// `SETS * WAYS` places.
    places: Box<[Place]>,
    /// Nanoseconds that one request costs.
    cost: u64,
    /// Nanoseconds that a source may be ahead.
    burst: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    tag: u64,
    /// When all that was asked would have been asked at the rate, in nanoseconds since the epoch.
    even: u64,
}

impl Sources {
    /// `rate` requests a second for each source, and `burst` at once. `places` is rounded up to a
    /// power of two.
    pub(super) fn new(
        key: &[u8; 16],
        epoch: Instant,
        places: usize,
        rate: u32,
        burst: u32,
    ) -> Self {
        let cost = 1_000_000_000 / u64::from(rate.max(1));
        let places = places.max(WAYS).next_power_of_two();
        Self {
            hasher: SipHasher13::new_with_key(key),
            epoch,
            places: vec![Place::default(); places].into_boxed_slice(),
            cost,
            burst: cost * u64::from(burst.max(1)),
        }
    }

    /// Whether the source may ask once more now.
    pub(super) fn allow(&mut self, source: IpAddr, now: Instant) -> bool {
        let elapsed: Duration = now.saturating_duration_since(self.epoch);
        let now = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let tag = self.tag(source);
        let sets = self.places.len() / WAYS;
        let first = usize::try_from(tag >> 32).unwrap_or(0) % sets * WAYS;
        let set = self.places.get_mut(first..first + WAYS).unwrap_or_default();
        let known = set.iter().position(|place| place.tag == tag);
        let quietest = || (0..set.len()).min_by_key(|&at| set[at].even);
        let Some(place) = known.or_else(quietest).and_then(|at| set.get_mut(at)) else {
            return true;
        };
        if place.tag != tag {
            *place = Place { tag, even: now };
        }
        let even = place.even.max(now).saturating_add(self.cost);
        if even - now > self.burst {
            return false;
        }
        place.even = even;
        true
    }

    /// How many sources can be remembered.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    fn tag(&self, source: IpAddr) -> u64 {
        let octets = match source {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => (ip.to_bits() >> 64 << 64).to_be_bytes(),
        };
        // Zero is nobody.
        self.hasher.hash(&octets) | 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    fn sources(places: usize, epoch: Instant) -> Sources {
        Sources::new(&[5; 16], epoch, places, 10, 30)
    }

    #[test]
    fn a_source_gets_its_burst_then_its_rate_and_nobody_elses() {
        let epoch = Instant::now();
        let mut sources = sources(1024, epoch);
        let at = |milliseconds| epoch + Duration::from_millis(milliseconds);
        for n in 0..30 {
            assert!(sources.allow(ip(1), at(0)), "{n}");
        }
        assert!(!sources.allow(ip(1), at(0)) && !sources.allow(ip(1), at(99)));
        assert!(sources.allow(ip(1), at(100)) && !sources.allow(ip(1), at(100)));
        assert!(sources.allow(ip(2), at(100)));
        // What is refused does not count.
        for _ in 0..1000 {
            sources.allow(ip(1), at(150));
        }
        assert!(sources.allow(ip(1), at(200)));
        // After a pause the burst is whole again, and not larger.
        let again = (0..100)
            .filter(|_| sources.allow(ip(1), at(60_000)))
            .count();
        assert_eq!(again, 30);
    }

    #[test]
    fn an_ipv6_source_is_a_network() {
        let epoch = Instant::now();
        let mut sources = sources(1024, epoch);
        let neighbor = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, n]);
        let let_in = (0..100)
            .filter(|&n| sources.allow(neighbor(n), epoch))
            .count();
        assert_eq!(let_in, 30);
        assert!(sources.allow(IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]), epoch));
    }

    #[test]
    fn a_flood_of_made_up_sources_neither_grows_the_table_nor_frees_a_busy_one() {
        let epoch = Instant::now();
        let mut sources = sources(64, epoch);
        while sources.allow(ip(1), epoch) {}
        let mut freed = 0;
        for n in 2..200_000 {
            sources.allow(ip(n), epoch);
            freed += u32::from(sources.allow(ip(1), epoch));
        }
        assert_eq!((freed, sources.places.len()), (0, 64));
        // Somebody new is let in all the same.
        assert!(sources.allow(ip(1_000_000), epoch + Duration::from_millis(1)));
    }
}
