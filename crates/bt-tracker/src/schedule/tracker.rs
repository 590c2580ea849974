//! What a schedule knows about one tracker in this session.

use std::time::{Duration, Instant};

use super::{Announce, Options, Problem, TrackerState, TrackerStatus, backoff};
use crate::limits::{MAX_TRACKERS, MAX_URL};
use crate::seed::Numbers;
use crate::{AnnounceResponse, Event};

#[derive(Debug)]
pub(super) struct Tracker {
    pub(super) url: String,
    tier: usize,
    pub(super) in_flight: Option<InFlight>,
    /// It has accepted `started` in this session and not yet been told `stopped`.
    pub(super) started: bool,
    /// It accepted `started` before the torrent became complete and has not heard of that yet.
    /// Implies `started`.
    pub(super) owes_completed: bool,
    /// A `stopped` was reported, well or badly; nothing follows it.
    stopped: bool,
    off: bool,
    tracker_id: Option<Vec<u8>>,
    /// When the next regular announce is due; `None` before the first success.
    next: Option<Instant>,
    /// No announce without an event before this.
    quiet_until: Option<Instant>,
    /// No announce at all before this: back-off.
    retry_at: Option<Instant>,
    /// The tracker itself named that time (BEP 31).
    retry_is_demanded: bool,
    failures: u32,
    error: Option<String>,
    last: Option<Last>,
}

/// The announce that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InFlight {
    pub(super) event: Event,
    /// Whether the torrent was complete when the announce was made, so that the tracker knows.
    pub(super) complete: bool,
    /// The session in which it was made.
    pub(super) session: u32,
}

/// When a tracker may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    Now,
    /// An announce of an earlier session is under way.
    Busy,
    At(Instant),
    Never,
}

/// The last answer, for people.
#[derive(Debug)]
struct Last {
    at: Instant,
    interval: Duration,
    warning: Option<String>,
    peers: usize,
    complete: Option<u32>,
    incomplete: Option<u32>,
    downloaded: Option<u32>,
}

/// Appends the trackers of one tier that are new and short enough.
pub(super) fn collect(trackers: &mut Vec<Tracker>, tier: usize, urls: &[String]) {
    for url in urls {
        let known = trackers.iter().any(|tracker| tracker.url == *url);
        if !known && trackers.len() < MAX_TRACKERS && !url.is_empty() && url.len() <= MAX_URL {
            trackers.push(Tracker::new(url.clone(), tier));
        }
    }
}

impl Tracker {
    fn new(url: String, tier: usize) -> Self {
        Self {
            url,
            tier,
            in_flight: None,
            started: false,
            owes_completed: false,
            stopped: false,
            off: false,
            tracker_id: None,
            next: None,
            quiet_until: None,
            retry_at: None,
            retry_is_demanded: false,
            failures: 0,
            error: None,
            last: None,
        }
    }

    /// What the tracker has to hear next while the session runs.
    pub(super) fn next_event(&self, partial_seed: bool) -> Event {
        if !self.started {
            Event::Started
        } else if self.owes_completed {
            Event::Completed
        } else if partial_seed {
            Event::Paused
        } else {
            Event::None
        }
    }

    pub(super) fn allowed(&self, now: Instant, partial_seed: bool) -> Allowed {
        if self.off {
            return Allowed::Never;
        }
        if self.in_flight.is_some() {
            return Allowed::Busy;
        }
        let at = self.allowed_at(now, self.next_event(partial_seed));
        if at <= now {
            Allowed::Now
        } else {
            Allowed::At(at)
        }
    }

    /// The earliest time for an announce: news goes out at once, a regular announce respects `min
    /// interval`, and back-off holds for all.
    pub(super) fn allowed_at(&self, now: Instant, event: Event) -> Instant {
        let quiet = match event {
            Event::None | Event::Paused => self.quiet_until,
            Event::Started | Event::Completed | Event::Stopped => None,
        };
        now.max(quiet.unwrap_or(now))
            .max(self.retry_at.unwrap_or(now))
    }

    pub(super) fn cut_back_off(&mut self) {
        if !self.retry_is_demanded {
            self.retry_at = None;
        }
    }

    /// When the next regular announce is due after a success.
    pub(super) fn next_regular(&self) -> Instant {
        self.next
            .expect("a tracker that has accepted an announce has a next one")
    }

    /// Whether a `stopped` is to be sent now.
    pub(super) fn wants_stop(&self) -> bool {
        self.started && !self.stopped && !self.off && self.in_flight.is_none()
    }

    pub(super) fn announce(&self, event: Event, timeout: Duration, key: u32) -> Announce {
        Announce {
            url: self.url.clone(),
            event,
            tracker_id: self.tracker_id.clone(),
            key,
            timeout,
        }
    }

    pub(super) fn accepted(
        &mut self,
        now: Instant,
        sent: InFlight,
        response: &AnnounceResponse,
        options: &Options,
    ) {
        match sent.event {
            Event::Started => self.started = true,
            Event::Completed => self.owes_completed = false,
            Event::Stopped => self.stopped = true,
            Event::None | Event::Paused => {}
        }
        self.failures = 0;
        self.error = None;
        self.retry_at = None;
        self.retry_is_demanded = false;
        if let Some(tracker_id) = &response.tracker_id {
            self.tracker_id = Some(tracker_id.clone());
        }
        let floor = options.min_interval;
        let ceiling = options.max_interval.max(floor);
        let quiet = response.min_interval.unwrap_or(floor).clamp(floor, ceiling);
        let interval = response.interval.clamp(floor, ceiling).max(quiet);
        self.quiet_until = Some(now + quiet);
        self.next = Some(now + interval);
        self.last = Some(Last {
            at: now,
            interval,
            warning: response.warning.clone(),
            peers: response.peers.len(),
            complete: response.complete,
            incomplete: response.incomplete,
            downloaded: response.downloaded,
        });
    }

    pub(super) fn refused(
        &mut self,
        now: Instant,
        sent: InFlight,
        problem: Problem,
        numbers: &mut Numbers,
    ) {
        if sent.event == Event::Stopped {
            self.stopped = true;
        }
        self.failures = self.failures.saturating_add(1);
        match backoff::wait(&problem, self.failures, numbers) {
            Some(wait) => {
                self.retry_at = Some(now + wait);
                self.retry_is_demanded = problem.retry_in.is_some();
            }
            None => self.off = true,
        }
        self.error = Some(problem.message);
    }

    pub(super) fn restart(&mut self) {
        let (url, tier) = (std::mem::take(&mut self.url), self.tier);
        *self = Self {
            in_flight: self.in_flight,
            off: self.off,
            retry_at: self.retry_at,
            retry_is_demanded: self.retry_is_demanded,
            failures: self.failures,
            error: self.error.take(),
            last: self.last.take(),
            tracker_id: self.tracker_id.take(),
            ..Self::new(url, tier)
        };
    }

    pub(super) fn status(&self, current: bool, due: Option<Instant>) -> TrackerStatus {
        let state = if self.off {
            TrackerState::Off
        } else if self.error.is_some() {
            TrackerState::Failing
        } else if self.last.is_none() {
            TrackerState::Unused
        } else if current {
            TrackerState::Working
        } else {
            TrackerState::Standby
        };
        let next_announce = match state {
            TrackerState::Working => due,
            TrackerState::Failing => self.retry_at,
            TrackerState::Unused | TrackerState::Standby | TrackerState::Off => None,
        };
        let last = self.last.as_ref();
        TrackerStatus {
            url: self.url.clone(),
            tier: self.tier,
            state,
            announcing: self.in_flight.map(|sent| sent.event),
            error: self.error.clone(),
            warning: last.and_then(|last| last.warning.clone()),
            failures: self.failures,
            last_success: last.map(|last| last.at),
            next_announce,
            interval: last.map(|last| last.interval),
            peers: last.map_or(0, |last| last.peers),
            complete: last.and_then(|last| last.complete),
            incomplete: last.and_then(|last| last.incomplete),
            downloaded: last.and_then(|last| last.downloaded),
        }
    }
}
