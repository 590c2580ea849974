//! Whose turn it is to be told a piece, one after the other, in one look at what to reveal. Those that cannot be told
//! anything are not looked at.
//!
//! It must not know which piece.

use std::collections::BTreeSet;
use std::time::Instant;

use super::roll::{Roll, Turn};
use super::{Listener, PATIENCE};
use crate::engine::PeerKey;

/// See the module.
#[derive(Debug)]
pub(super) struct Turns {
    alone: bool,
    /// Also those that hold pieces that nobody else has shown.
    hoarders: bool,
    /// All that are ready have their turn; with `false` only those in `some`.
    all: bool,
    /// Of those that are ready, whose turn was the last: sharers, hoarders.
    last: [Option<Turn>; 2],
    /// Turns besides.
    some: BTreeSet<Turn>,
}

impl Turns {
    pub(super) fn new<'a>(
        roll: &Roll,
        look: impl Fn(PeerKey) -> Option<Listener<'a>>,
        alone: bool,
        hoarders: bool,
    ) -> Self {
        let mut turns = Self {
            alone,
            hoarders,
            all: !alone,
            last: [None; 2],
            some: BTreeSet::new(),
        };
        // Those that are fast may have more ahead than others. There are few of them: they are owed something.
        let one = roll.all().take(usize::from(alone)).map(|(key, _)| key);
        let fast = roll.owing().filter(|_| !alone);
        for listener in one.chain(fast).filter_map(look) {
            turns.add(roll, &listener);
        }
        turns
    }

    /// One more turn of `listener`, if it may be told another piece.
    fn add(&mut self, roll: &Roll, listener: &Listener<'_>) {
        let Some(pupil) = roll.get(listener.key) else {
            return;
        };
        let ready = roll.ready_turn(listener.key);
        let has_turn = ready.is_some_and(|(hoards, _)| self.all && (hoards == 0 || self.hoarders));
        if !has_turn && roll.may_be_told(listener, self.alone, self.hoarders) {
            self.some.insert(Turn::of(listener.key, pupil));
        }
    }

    /// Whoever is next: of those that lack something fresh or are stuck at `now`, and maybe of others. If nothing is
    /// fresh there are only the latter.
    pub(super) fn next(&mut self, roll: &Roll, now: Instant, none_is_fresh: bool) -> Option<Turn> {
        if self.all && none_is_fresh {
            self.all = false;
            // Whoever was passed over before was not stuck.
            let stuck = now.checked_sub(PATIENCE);
            let stuck = stuck.into_iter().flat_map(|until| roll.stuck(until));
            let hoarders = self.hoarders;
            let may = stuck.filter(|(hoards, _)| *hoards == 0 || hoarders);
            self.some.extend(may.map(|(_, turn)| turn));
        }
        let lists = 1 + usize::from(self.hoarders);
        let ready = (0..lists).filter(|_| self.all);
        let ready = ready.filter_map(|hoards| roll.next_ready(hoards, self.last[hoards]));
        ready.chain(self.some.first().copied()).min()
    }

    /// It could not be told anything.
    pub(super) fn pass(&mut self, roll: &Roll, turn: Turn) {
        if !self.some.remove(&turn)
            && let Some((hoards, _)) = roll.ready_turn(turn.key())
        {
            self.last[hoards] = Some(turn);
        }
    }

    /// It was told a piece.
    pub(super) fn told(&mut self, turn: Turn, roll: &Roll, listener: &Listener<'_>) {
        self.some.remove(&turn);
        self.add(roll, listener);
    }
}
