//! Which piece is read from the disk next, only to see whether it is still what it was, and when.
//!
//! All pieces of all torrents come in turn, at a pace that nobody notices. Pure: it must not know disks, nor what follows
//! when a piece is bad.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

use std::time::{Duration, Instant};

use bt_metainfo::{InfoHash, PieceIndex};

use crate::limits::{MAX_SCRUB_TURN, SCRUB_TURN};

/// How late a piece may be read for the time to be made up for: timers and disks are late by moments all the time.
const LATE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Scrub {
    /// Bytes per second, at least 1.
    rate: u64,
    /// No piece before.
    due: Instant,
    /// The last one.
    at: Option<(InfoHash, PieceIndex)>,
}

impl Scrub {
    /// Begins with the first piece of the first torrent; `rate` is in bytes per second.
    pub(crate) fn new(now: Instant, rate: u64) -> Self {
        Self {
            rate: rate.max(1),
            due: now,
            at: None,
        }
    }

    /// Bytes to read at once, when the time has come for the next piece: a pause between any two small pieces would take
    /// longer than the rate allows.
    pub(crate) fn turn(&self) -> u64 {
        let bytes = u128::from(self.rate) * SCRUB_TURN.as_millis() / 1000;
        u64::try_from(bytes).map_or(MAX_SCRUB_TURN, |bytes| bytes.min(MAX_SCRUB_TURN))
    }

    /// How long the next piece has to wait.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now)
    }

    /// The next piece. `torrents` are those that there are, in ascending order; `next` gives the first piece of a torrent
    /// from a number on that is here.
    pub(crate) fn pick(
        &mut self,
        torrents: &[InfoHash],
        next: impl Fn(InfoHash, u32) -> Option<PieceIndex>,
    ) -> Option<(InfoHash, PieceIndex)> {
        let (from, start) = match self.at {
            Some((torrent, piece)) => {
                let place = torrents.partition_point(|other| *other < torrent);
                let is_there = torrents.get(place) == Some(&torrent);
                (
                    place,
                    if is_there {
                        piece.0.saturating_add(1)
                    } else {
                        0
                    },
                )
            }
            None => (0, 0),
        };
        // The one that was left may begin anew when all others have had their turn.
        let order = (from..torrents.len()).chain(0..torrents.len().min(from + 1));
        let mut starts = std::iter::once(start).chain(std::iter::repeat(0));
        let mut found = order.filter_map(|place| {
            let start = starts.next().unwrap_or(0);
            let torrent = *torrents.get(place)?;
            Some((torrent, next(torrent, start)?))
        });
        self.at = found.next();
        self.at
    }

    /// There is nothing to read: the next look is after this pause.
    pub(crate) fn rest(&mut self, now: Instant, pause: Duration) {
        self.due = now.checked_add(pause).unwrap_or(now);
    }

    /// A piece of `bytes` bytes is read.
    pub(crate) fn read(&mut self, now: Instant, bytes: u64) {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate);
        let pause = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        // Moments that were lost are made up for, but neither a disk that is slower nor time without anything to do.
        let is_late = now.saturating_duration_since(self.due) > LATE;
        let from = if is_late { now } else { self.due };
        self.due = from.checked_add(pause).unwrap_or(self.due);
    }
}

#[cfg(test)]
mod tests {
    use super::Scrub;
    use crate::limits::MAX_SCRUB_TURN;
    use bt_metainfo::{InfoHash, PieceIndex};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    fn hash(number: u8) -> InfoHash {
        InfoHash::from([number; 20])
    }

    #[test]
    fn the_pace_is_kept_and_nothing_is_made_up_for() {
        let now = Instant::now();
        let mut scrub = Scrub::new(now, 1000);
        assert_eq!(scrub.wait(now), Duration::ZERO);
        scrub.read(now, 500);
        scrub.read(now, 500);
        assert_eq!(scrub.wait(now), Duration::from_secs(1));
        let later = now + Duration::from_secs(100);
        scrub.read(later, 2000);
        assert_eq!(scrub.wait(later), Duration::from_secs(2));
        scrub.read(later, u64::MAX);
        assert!(scrub.wait(later) > Duration::from_secs(2), "no overflow");
        assert!(Scrub::new(now, 0).rate > 0);
    }

    #[test]
    fn moments_that_are_lost_are_made_up_for() {
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        let mut scrub = Scrub::new(now, 1000);
        scrub.read(now, 100);
        scrub.read(at(150), 100);
        assert_eq!(scrub.wait(at(150)), Duration::from_millis(50));
        scrub.read(at(1200), 100);
        assert_eq!(scrub.wait(at(1200)), Duration::ZERO, "a second late");
        scrub.read(at(1250), 100);
        assert_eq!(scrub.wait(at(1250)), Duration::ZERO);
        scrub.read(at(2600), 100);
        assert_eq!(
            scrub.wait(at(2600)),
            Duration::from_millis(100),
            "more than a second late"
        );
        scrub.rest(at(2600), Duration::from_secs(3));
        assert_eq!(scrub.wait(at(2600)), Duration::from_secs(3));
    }

    #[test]
    fn a_turn_is_a_part_of_a_second_and_has_a_bound() {
        let turn = |rate| Scrub::new(Instant::now(), rate).turn();
        assert_eq!(turn(1_000), 50);
        assert_eq!(turn(100_000_000), 5_000_000);
        assert_eq!(turn(MAX_SCRUB_TURN * 20), MAX_SCRUB_TURN);
        assert_eq!(turn(u64::MAX), MAX_SCRUB_TURN);
    }

    #[test]
    fn torrents_may_come_and_go() {
        let mut scrub = Scrub::new(Instant::now(), 1);
        let all = |_, from: u32| (from < 2).then_some(PieceIndex(from));
        assert_eq!(scrub.pick(&[], all), None);
        assert_eq!(scrub.pick(&[hash(2)], all), Some((hash(2), PieceIndex(0))));
        let now = [hash(1), hash(3)];
        assert_eq!(scrub.pick(&now, all), Some((hash(3), PieceIndex(0))));
        assert_eq!(scrub.pick(&now, all), Some((hash(3), PieceIndex(1))));
        assert_eq!(scrub.pick(&now, all), Some((hash(1), PieceIndex(0))));
        assert_eq!(scrub.pick(&now, |_, _| None), None);
    }

    proptest! {
        /// Whatever is here, each piece has its turn once before any has its second.
        #[test]
        fn each_piece_has_its_turn(here in proptest::collection::btree_set((0u8..4, 0u32..6), 1..20)) {
            let torrents: Vec<InfoHash> = (0..4).map(hash).collect();
            let next = |torrent: InfoHash, from: u32| {
                let of = here.iter().filter(|(other, piece)| hash(*other) == torrent && *piece >= from);
                of.map(|(_, piece)| PieceIndex(*piece)).next()
            };
            let mut scrub = Scrub::new(Instant::now(), 1);
            for _ in 0..2 {
                let turn: BTreeSet<_> = here.iter().filter_map(|_| scrub.pick(&torrents, next)).collect();
                prop_assert_eq!(turn.len(), here.len());
            }
        }
    }
}
