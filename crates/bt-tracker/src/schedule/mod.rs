//! When to announce what to which tracker: one pure state machine for each torrent (BEP 3, 12, 21,
//! 27, 31).
//!
//! [`Schedule`] decides; its owner performs. It must not know transports, sockets or clocks: URLs
//! are only names to it, and `now` and the seed are arguments.
//!
//! **The law of events**, for each tracker and session: the first announce that it accepts is
//! `started`, and `started` is repeated until it has accepted one; `completed` follows at most
//! once, and never when the torrent was complete at the start; `stopped` comes last and only where
//! `started` was accepted. A session is the time between [`Schedule::new`] or
//! [`Schedule::start`] and [`Schedule::stop`].
//!
//! **The order of trackers** (BEP 12): every tier is shuffled once, by the seed. An announce goes
//! to the first tracker of the first tier; when it fails, to the next, tier after tier; the one
//! that accepts moves to the front of its tier, and the next announce starts at the top again. So
//! one tracker at a time hears from us. [`Breadth`] widens this to one of every tier, or to all.
//!
//! **The calls**: ask [`poll`](Schedule::poll) until it gives nothing, perform each [`Announce`],
//! report each with [`succeeded`](Schedule::succeeded) or [`failed`](Schedule::failed), and ask
//! again at [`next_deadline`](Schedule::next_deadline) and after every call that changes anything.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod announce;
mod backoff;
mod lane;
mod options;
mod problem;
mod status;
mod tracker;

use std::time::Instant;

pub use announce::{Accepted, Announce};
pub use options::{Breadth, Options};
pub use problem::Problem;
pub use status::{TrackerState, TrackerStatus};

use self::lane::{Lane, Turn};
use self::tracker::{InFlight, Tracker};
use crate::seed::Numbers;
use crate::{AnnounceResponse, Event};

/// The announces of one torrent.
///
/// ```
/// use std::time::{Duration, Instant};
/// use bt_tracker::schedule::{Problem, Schedule};
/// use bt_tracker::{AnnounceResponse, Event};
///
/// let now = Instant::now();
/// let tiers = [vec!["http://one.example/announce".to_owned()],
///              vec!["udp://two.example:6969/announce".to_owned()]];
/// let mut schedule = Schedule::new(&tiers, 42, false);
///
/// let first = schedule.poll(now).unwrap();
/// assert_eq!((first.url.as_str(), first.event), ("http://one.example/announce", Event::Started));
/// schedule.failed(now, &first.url, Problem::new("connection refused"));
///
/// let second = schedule.poll(now).unwrap();
/// assert_eq!((second.url.as_str(), second.event), ("udp://two.example:6969/announce", Event::Started));
/// schedule.succeeded(now, &second.url, &AnnounceResponse::new(Duration::from_secs(1800)));
///
/// assert_eq!(schedule.poll(now), None);
/// assert_eq!(schedule.next_deadline(), Some(now + Duration::from_secs(1800)));
/// ```
#[derive(Debug)]
pub struct Schedule {
    trackers: Vec<Tracker>,
    /// Walks that are independent of each other; exactly one with [`Breadth::OneTracker`]. Every
    /// tracker is in exactly one.
    lanes: Vec<Lane>,
    options: Options,
    numbers: Numbers,
    key: u32,
    phase: Phase,
    /// Counts the sessions, so that a late report of an earlier one is told from a current one.
    session: u32,
    complete: bool,
    partial_seed: bool,
    /// The torrent became complete in this session while no tracker had accepted `started`; the
    /// first that does is told.
    unreported_completion: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Stopping,
}

impl Schedule {
    /// A schedule with the default options. Ready to be polled: the first announce is due at once.
    ///
    /// `tiers` is `announce-list`, or one tier with `announce`; a URL that comes twice counts the
    /// first time, and at most [`MAX_TRACKERS`](crate::limits::MAX_TRACKERS) are used. Without any
    /// tracker the schedule never asks for an announce.
    #[must_use]
    pub fn new(tiers: &[Vec<String>], seed: u64, complete_at_start: bool) -> Self {
        Self::with_options(tiers, seed, complete_at_start, Options::default())
    }

    /// As [`new`](Self::new), with options.
    #[must_use]
    pub fn with_options(
        tiers: &[Vec<String>],
        seed: u64,
        complete_at_start: bool,
        options: Options,
    ) -> Self {
        let mut numbers = Numbers::new(seed);
        let mut trackers = Vec::new();
        let mut order: Vec<Vec<usize>> = Vec::new();
        for (tier, urls) in tiers.iter().enumerate() {
            let first = trackers.len();
            tracker::collect(&mut trackers, tier, urls);
            let mut members: Vec<usize> = (first..trackers.len()).collect();
            if !members.is_empty() {
                numbers.shuffle(&mut members);
                order.push(members);
            }
        }
        // BEP 7 wants 32 random bits; 0 would read as "no key".
        let key = u32::try_from(numbers.next() >> 32).unwrap_or(1).max(1);
        Self {
            trackers,
            lanes: lane::arrange(order, options.breadth),
            options,
            numbers,
            key,
            phase: Phase::Running,
            session: 0,
            complete: complete_at_start,
            partial_seed: false,
            unreported_completion: false,
        }
    }

    /// The `key` of this torrent's announces, the same for all trackers and address families
    /// (BEP 7). Never 0.
    #[must_use]
    pub fn key(&self) -> u32 {
        self.key
    }

    /// The next announce to perform now, or `None`. Several may be under way at the same time: one
    /// for each lane of [`Breadth`], and all `stopped` ones.
    #[must_use = "an announce that is not performed blocks its tracker"]
    pub fn poll(&mut self, now: Instant) -> Option<Announce> {
        match self.phase {
            Phase::Running => self.poll_running(now),
            Phase::Stopping => self.poll_stopping(),
        }
    }

    /// When [`poll`](Self::poll) will have something to say, if nothing happens before. Ask it after
    /// `poll` has returned `None`. `None` means: not before an announce is reported or a call
    /// changes something.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running => {
                let idle = self.lanes.iter().filter(|lane| lane.in_flight().is_none());
                idle.filter_map(Lane::due).min()
            }
            Phase::Stopping => None,
        }
    }

    /// Notes that a tracker accepted the announce that [`poll`](Self::poll) gave for `url`.
    /// Unknown URLs and reports that nobody waits for are ignored.
    pub fn succeeded(&mut self, now: Instant, url: &str, response: &AnnounceResponse) -> Accepted {
        let Some(index) = self.index_of(url) else {
            return Accepted::default();
        };
        let Some(tracker) = self.trackers.get_mut(index) else {
            return Accepted::default();
        };
        let Some(sent) = tracker.in_flight.take() else {
            return Accepted::default();
        };
        if sent.session != self.session {
            self.release(index);
            return Accepted::default();
        }
        tracker.accepted(now, sent, response, &self.options);
        if sent.event == Event::Started && self.complete {
            let first = std::mem::take(&mut self.unreported_completion);
            // A completion after this `started` went out is news to the tracker.
            if first || !sent.complete {
                tracker.owes_completed = true;
            }
        }
        let due = tracker.next_regular();
        let owes = tracker.owes_completed;
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.contains(index)) else {
            return Accepted::default();
        };
        let tracker_changed = lane.succeeded(index, due);
        if owes {
            lane.hurry(now);
        }
        Accepted { tracker_changed }
    }

    /// Notes that the announce that [`poll`](Self::poll) gave for `url` came to nothing. Unknown
    /// URLs and reports that nobody waits for are ignored.
    pub fn failed(&mut self, now: Instant, url: &str, problem: impl Into<Problem>) {
        let Some(index) = self.index_of(url) else {
            return;
        };
        let Some(tracker) = self.trackers.get_mut(index) else {
            return;
        };
        let Some(sent) = tracker.in_flight.take() else {
            return;
        };
        if sent.session != self.session {
            self.release(index);
            return;
        }
        tracker.refused(now, sent, problem.into(), &mut self.numbers);
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.contains(index)) {
            lane.failed(index);
        }
    }

    /// Notes that the announce that [`poll`](Self::poll) gave for `url` was never made, as the session ended before its
    /// turn came: nobody was asked, so nobody failed and nobody needs a `stopped`. Unknown URLs and reports that nobody
    /// waits for are ignored.
    pub fn withdrawn(&mut self, url: &str) {
        let Some(index) = self.index_of(url) else {
            return;
        };
        let tracker = self.trackers.get_mut(index);
        if tracker.is_some_and(|tracker| tracker.in_flight.take().is_some()) {
            self.release(index);
        }
    }

    /// Asks for an announce as soon as the trackers allow it: not before the `min interval` of the
    /// one that answered last, or [`Options::min_interval`] when it gave none, and not before a
    /// `retry in`. Back-off of our own choice is cut short, since a person has asked.
    pub fn force(&mut self, now: Instant) {
        for tracker in &mut self.trackers {
            tracker.cut_back_off();
        }
        for lane in &mut self.lanes {
            let allowed = lane.current().and_then(|index| self.trackers.get(index));
            lane.hurry(allowed.map_or(now, |tracker| tracker.allowed_at(now, Event::None)));
        }
    }

    /// Notes that the torrent has become complete. The trackers that accepted `started` are told
    /// `completed`, each once; does nothing when the torrent was complete already.
    pub fn complete(&mut self, now: Instant) {
        if std::mem::replace(&mut self.complete, true) || self.phase != Phase::Running {
            return;
        }
        let mut told = false;
        for (index, tracker) in self.trackers.iter_mut().enumerate() {
            if !tracker.started {
                continue;
            }
            told = true;
            tracker.owes_completed = true;
            if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.contains(index)) {
                lane.hurry(now);
            }
        }
        self.unreported_completion = !told;
    }

    /// Whether the torrent is a partial seed now: it lacks pieces and wants none. Regular announces
    /// then say `paused` (BEP 21).
    pub fn set_partial_seed(&mut self, partial_seed: bool) {
        self.partial_seed = partial_seed;
    }

    /// Ends the session: from now on [`poll`](Self::poll) gives a `stopped` with a short time-out
    /// for every tracker that accepted `started`, all at once, and nothing else. A tracker whose
    /// announce is under way is told after that announce was reported.
    pub fn stop(&mut self, _now: Instant) {
        if self.phase == Phase::Stopping {
            return;
        }
        self.phase = Phase::Stopping;
        self.unreported_completion = false;
        for tracker in &mut self.trackers {
            tracker.owes_completed = false;
        }
    }

    /// Whether it has begun and was not stopped since.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Whether a stopped schedule has nothing more to do: every `stopped` was reported.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let silent = |tracker: &Tracker| tracker.in_flight.is_none() && !tracker.wants_stop();
        self.phase == Phase::Stopping && self.trackers.iter().all(silent)
    }

    /// Begins a new session after [`stop`](Self::stop): a paused torrent is resumed. A tracker whose
    /// announce is still under way is asked again once that was reported, so that `started` never
    /// overtakes `stopped`.
    pub fn start(&mut self, now: Instant) {
        if self.phase == Phase::Running {
            return;
        }
        self.phase = Phase::Running;
        self.session = self.session.wrapping_add(1);
        for tracker in &mut self.trackers {
            tracker.restart();
        }
        for lane in &mut self.lanes {
            lane.restart(now);
        }
    }

    /// Says what a session that has yet to [`start`](Self::start) begins with: the content has been looked at anew, and is
    /// complete or not. What trackers demanded, what is under way and the `key` stay, as in every session of this torrent.
    pub fn set_complete_at_start(&mut self, complete: bool) {
        self.complete = complete;
        self.unreported_completion = false;
    }

    /// What there is to say about each tracker, by tier and in the order in which they are asked.
    #[must_use]
    pub fn status(&self) -> Vec<TrackerStatus> {
        let order = self.lanes.iter().flat_map(Lane::order);
        let mut list: Vec<TrackerStatus> = order
            .filter_map(|index| {
                let tracker = self.trackers.get(index)?;
                let lane = self.lanes.iter().find(|lane| lane.contains(index))?;
                Some(tracker.status(lane.current() == Some(index), lane.due()))
            })
            .collect();
        list.sort_by_key(|status| status.tier);
        list
    }

    fn poll_running(&mut self, now: Instant) -> Option<Announce> {
        for lane in &mut self.lanes {
            let partial_seed = self.partial_seed;
            let turn = lane.turn(now, |index| match self.trackers.get(index) {
                Some(tracker) => tracker.allowed(now, partial_seed),
                None => tracker::Allowed::Never,
            });
            let Turn::Announce { index, last_hope } = turn else {
                continue;
            };
            let Some(tracker) = self.trackers.get_mut(index) else {
                continue;
            };
            let event = tracker.next_event(self.partial_seed);
            let (complete, session) = (self.complete, self.session);
            tracker.in_flight = Some(InFlight {
                event,
                complete,
                session,
            });
            let patience = if last_hope {
                self.options.timeout
            } else {
                self.options.next_after
            };
            return Some(tracker.announce(event, patience, self.key));
        }
        None
    }

    fn poll_stopping(&mut self) -> Option<Announce> {
        let tracker = self
            .trackers
            .iter_mut()
            .find(|tracker| tracker.wants_stop())?;
        let (complete, session) = (self.complete, self.session);
        tracker.in_flight = Some(InFlight {
            event: Event::Stopped,
            complete,
            session,
        });
        Some(tracker.announce(Event::Stopped, self.options.stop_timeout, self.key))
    }

    /// A tracker is free again after a report of an earlier session.
    fn release(&mut self, index: usize) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.contains(index)) {
            lane.release(index);
        }
    }

    fn index_of(&self, url: &str) -> Option<usize> {
        self.trackers.iter().position(|tracker| tracker.url == url)
    }
}

#[cfg(test)]
mod tests;
