//! Places of browsers in torrents: how many there may be, in all and of one source, and who gives one
//! up when there is none left.
//!
//! Whoever has not announced for longest gives its place up, among those of the source that holds most:
//! however many places somebody takes, a newcomer finds one. A source is an IPv4 address, behind which
//! a whole provider may be, or the /48 of an IPv6 address, which a site has as a whole. It must not
//! know what the places are in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use crate::limits::{MAX_SIGNAL_PLACES, MAX_SIGNAL_PLACES_OF_SOURCE};

/// All places that are taken, each with who holds it.
#[derive(Debug)]
pub(super) struct Places<H> {
    /// By source, in the order of their last announces. No map is empty.
    by_source: HashMap<IpAddr, BTreeMap<Ticket, H>>,
    /// The sources by how many places they have.
    by_number: BTreeSet<(usize, IpAddr)>,
    /// The sum of their numbers; at most `most`.
    taken: usize,
    next: u64,
    most: usize,
    most_of_source: usize,
}

/// What a place is known by until its holder announces again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

impl<H> Default for Places<H> {
    fn default() -> Self {
        Self::new(MAX_SIGNAL_PLACES, MAX_SIGNAL_PLACES_OF_SOURCE)
    }
}

impl<H> Places<H> {
    pub(super) fn new(most: usize, most_of_source: usize) -> Self {
        Self {
            by_source: HashMap::new(),
            by_number: BTreeSet::new(),
            taken: 0,
            next: 0,
            most,
            most_of_source,
        }
    }

    /// Takes a place, and returns whoever has to leave for it.
    pub(super) fn take(&mut self, source: IpAddr, holder: H) -> (Ticket, Option<H>) {
        let source = site(source);
        let of_source = self.number(source);
        let gone = if of_source >= self.most_of_source {
            self.free(source)
        } else if self.taken >= self.most {
            let busiest = self.by_number.last().copied();
            // Between equals nobody gains a place at the other's cost.
            let busiest = busiest.filter(|(number, _)| *number > of_source);
            self.free(busiest.map_or(source, |(_, busiest)| busiest))
        } else {
            None
        };
        let ticket = self.ticket();
        self.change(source, |places| drop(places.insert(ticket, holder)));
        (ticket, gone)
    }

    /// Says that the holder of a place has announced again. `None` if it has lost the place.
    pub(super) fn renew(&mut self, source: IpAddr, ticket: Ticket) -> Option<Ticket> {
        let renewed = self.ticket();
        let places = self.by_source.get_mut(&site(source))?;
        let holder = places.remove(&ticket)?;
        places.insert(renewed, holder);
        Some(renewed)
    }

    /// Gives a place back, unless it was lost before.
    pub(super) fn give_back(&mut self, source: IpAddr, ticket: Ticket) {
        self.change(site(source), |places| drop(places.remove(&ticket)));
    }

    /// Frees the place of a source whose holder has not announced for longest.
    fn free(&mut self, source: IpAddr) -> Option<H> {
        let mut gone = None;
        self.change(source, |places| gone = places.pop_first());
        gone.map(|(_, holder)| holder)
    }

    /// Changes the places of a source, and what follows from how many there are.
    fn change(&mut self, source: IpAddr, change: impl FnOnce(&mut BTreeMap<Ticket, H>)) {
        let places = self.by_source.entry(source).or_default();
        let before = places.len();
        change(places);
        let after = places.len();
        if after == 0 {
            self.by_source.remove(&source);
        }
        if after != before {
            self.by_number.remove(&(before, source));
            if after > 0 {
                self.by_number.insert((after, source));
            }
            self.taken = self.taken - before + after;
        }
    }

    #[cfg(any(test, feature = "fuzz"))]
    pub(super) fn is_held(&self, source: IpAddr, ticket: Ticket) -> bool {
        let places = self.by_source.get(&site(source));
        places.is_some_and(|places| places.contains_key(&ticket))
    }

    /// How many are taken, once all sums have been made anew.
    #[cfg(any(test, feature = "fuzz"))]
    pub(super) fn audit(&self) -> usize {
        let numbers = self.by_source.iter();
        let numbers: BTreeSet<_> = numbers.map(|(ip, places)| (places.len(), *ip)).collect();
        assert_eq!(self.by_number, numbers, "places of a source");
        assert!(
            numbers.iter().all(|(number, _)| *number > 0),
            "an empty map"
        );
        let taken = numbers.iter().map(|(number, _)| number).sum();
        assert_eq!(self.taken, taken, "places");
        taken
    }

    fn number(&self, source: IpAddr) -> usize {
        self.by_source.get(&source).map_or(0, BTreeMap::len)
    }

    fn ticket(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }
}

/// What counts as one source: see the module.
fn site(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 80 << 80).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn four_sources_cannot_hold_all_places() {
        let mut places = Places::new(40, 10);
        let hoard = |places: &mut Places<(u8, usize)>| {
            for source in 1..=4 {
                for n in 0..10 {
                    places.take(ip(source), (source, n));
                }
            }
        };
        hoard(&mut places);
        assert_eq!((places.taken, places.number(ip(4))), (40, 10));
        let newcomer: Vec<_> = (0..8).map(|n| places.take(ip(9), (9, n))).collect();
        let gone: Vec<_> = newcomer.iter().map(|(_, gone)| gone.unwrap()).collect();
        assert!(gone.iter().all(|(source, n)| *source < 5 && *n < 2));
        // All have equally many, and nobody takes more from others.
        assert_eq!((1..=4).map(|n| places.number(ip(n))).max(), Some(8));
        assert!(
            places
                .take(ip(9), (9, 8))
                .1
                .is_some_and(|(source, _)| source == 9)
        );
        hoard(&mut places);
        assert_eq!((places.taken, places.number(ip(9))), (40, 8));
    }

    #[test]
    fn a_source_that_has_its_share_gives_up_what_was_silent_for_longest() {
        let mut places = Places::new(40, 3);
        let tickets = [0, 1, 2].map(|n| places.take(ip(1), n).0);
        let renewed = places.renew(ip(1), tickets[0]).unwrap();
        assert!(places.renew(ip(1), tickets[0]).is_none());
        assert_eq!(places.take(ip(1), 3).1, Some(1));
        assert_eq!(places.take(ip(1), 4).1, Some(2));
        assert_eq!(places.take(ip(1), 5).1, Some(0));
        assert!(places.renew(ip(1), renewed).is_none());
        // What was lost is not given back a second time.
        places.give_back(ip(1), renewed);
        assert_eq!((places.taken, places.number(ip(1))), (3, 3));
    }

    #[test]
    fn an_ipv6_source_is_a_site_and_nothing_is_left_of_one_that_has_left() {
        let at = |site: u16, network: u16| IpAddr::from([0x2001, 0xdb8, site, network, 0, 0, 0, 1]);
        let mut places = Places::new(100, 10);
        let tickets: Vec<_> = (0..20).map(|n| places.take(at(1, n), n).0).collect();
        assert_eq!((places.taken, places.by_source.len()), (10, 1));
        places.take(at(2, 0), 0);
        assert_eq!(places.by_source.len(), 2);
        tickets
            .iter()
            .for_each(|&ticket| places.give_back(at(1, 7), ticket));
        assert_eq!((places.taken, places.by_source.len()), (1, 1));
        assert_eq!(places.by_number.len(), 1);
    }
}
