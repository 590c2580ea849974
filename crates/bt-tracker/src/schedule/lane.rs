//! One walk through tiers of trackers, for one announce at a time (BEP 12, "Order of Processing").
//!
//! A round begins when the lane is due. It tries tracker after tracker, each at most once, until
//! one accepts; then the lane is due again at that tracker's interval. A round without success
//! makes the lane due when the first of its trackers may be tried again.

use std::time::Instant;

use super::Breadth;
use super::tracker::Allowed;

#[derive(Debug)]
pub(super) struct Lane {
    /// Trackers by tier, in the order in which they are asked.
    tiers: Vec<Vec<usize>>,
    due: Due,
    /// The trackers that this round has tried; `None` between rounds.
    round: Option<Vec<usize>>,
    /// The tracker whose announce is under way.
    in_flight: Option<usize>,
    /// The tracker that accepted last.
    current: Option<usize>,
}

/// When the next round begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// At the first poll: nobody has told the time yet.
    AtOnce,
    At(Instant),
    /// Not unless something changes: every tracker is off.
    Never,
}

/// What a lane wants to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Wait,
    Announce {
        index: usize,
        /// No other tracker could be tried in this round.
        last_hope: bool,
    },
}

/// Deals the tiers out to lanes.
pub(super) fn arrange(tiers: Vec<Vec<usize>>, breadth: Breadth) -> Vec<Lane> {
    let lanes: Vec<Vec<Vec<usize>>> = match breadth {
        Breadth::OneTracker => vec![tiers],
        Breadth::AllTiers => tiers.into_iter().map(|tier| vec![tier]).collect(),
        Breadth::AllTrackers => tiers
            .into_iter()
            .flatten()
            .map(|tracker| vec![vec![tracker]])
            .collect(),
    };
    lanes.into_iter().map(Lane::new).collect()
}

impl Lane {
    fn new(tiers: Vec<Vec<usize>>) -> Self {
        Self {
            tiers,
            due: Due::AtOnce,
            round: None,
            in_flight: None,
            current: None,
        }
    }

    pub(super) fn order(&self) -> impl Iterator<Item = usize> + '_ {
        self.tiers.iter().flatten().copied()
    }

    pub(super) fn contains(&self, tracker: usize) -> bool {
        self.order().any(|member| member == tracker)
    }

    pub(super) fn in_flight(&self) -> Option<usize> {
        self.in_flight
    }

    pub(super) fn current(&self) -> Option<usize> {
        self.current
    }

    pub(super) fn due(&self) -> Option<Instant> {
        match self.due {
            Due::At(due) => Some(due),
            Due::AtOnce | Due::Never => None,
        }
    }

    /// Begins or goes on with a round. `allowed` says when a tracker may be asked.
    pub(super) fn turn(&mut self, now: Instant, allowed: impl Fn(usize) -> Allowed) -> Turn {
        if self.in_flight.is_some() {
            return Turn::Wait;
        }
        if self.round.is_none() {
            match self.due {
                Due::At(due) if now < due => return Turn::Wait,
                Due::Never => return Turn::Wait,
                Due::At(_) | Due::AtOnce => self.round = Some(Vec::new()),
            }
        }
        let tried = self.round.as_deref().unwrap_or_default();
        let mut open = self
            .tiers
            .iter()
            .flatten()
            .copied()
            .filter(|index| !tried.contains(index))
            .map(|index| (index, allowed(index)))
            .filter(|(_, allowed)| matches!(allowed, Allowed::Now | Allowed::Busy));
        if let Some((index, allowed)) = open.next() {
            let last_hope = open.next().is_none();
            self.in_flight = Some(index);
            return match allowed {
                Allowed::Busy => Turn::Wait,
                _ => Turn::Announce { index, last_hope },
            };
        }
        // The round has failed. Those that it tried are in back-off now.
        self.round = None;
        let earliest = self
            .order()
            .filter_map(|index| match allowed(index) {
                Allowed::Now | Allowed::Busy => Some(now),
                Allowed::At(at) => Some(at),
                Allowed::Never => None,
            })
            .min();
        self.due = earliest.map_or(Due::Never, Due::At);
        Turn::Wait
    }

    /// Ends the round, moves the tracker to the front of its tier, and says whether another one was
    /// in use before.
    pub(super) fn succeeded(&mut self, tracker: usize, due: Instant) -> bool {
        self.round = None;
        self.in_flight = None;
        self.due = Due::At(due);
        for tier in &mut self.tiers {
            if let Some(place) = tier.iter().position(|&member| member == tracker) {
                // The others keep their order (BEP 12, second example).
                if let Some(front) = tier.get_mut(..=place) {
                    front.rotate_right(1);
                }
            }
        }
        self.current
            .replace(tracker)
            .is_some_and(|before| before != tracker)
    }

    /// Lets the round go on with the next tracker.
    pub(super) fn failed(&mut self, tracker: usize) {
        self.in_flight = None;
        if let Some(tried) = &mut self.round {
            tried.push(tracker);
        }
    }

    /// The tracker for which the lane has waited is free.
    pub(super) fn release(&mut self, tracker: usize) {
        if self.in_flight == Some(tracker) {
            self.in_flight = None;
        }
    }

    /// Makes the lane due at `at`, unless it is due earlier. A lane whose trackers are all off stays
    /// off.
    pub(super) fn hurry(&mut self, at: Instant) {
        if let Due::At(due) = self.due {
            self.due = Due::At(due.min(at));
        }
    }

    /// Forgets the last session but keeps the order that it has found.
    pub(super) fn restart(&mut self, now: Instant) {
        self.round = None;
        self.in_flight = None;
        self.current = None;
        self.due = Due::At(now);
    }
}
