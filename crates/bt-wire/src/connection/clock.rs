//! Deadlines of one connection, from the times its owner tells.
//!
//! Knows nothing of messages. The only times there are were passed in.

use std::time::{Duration, Instant};

use super::Timeouts;
use crate::error::TimedOut;

/// When what happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// The latest time seen; every other time here is one that `now` had.
    now: Instant,
    start: Instant,
    heard: Instant,
    /// For how long its owner has not listened since then; at most as long as a peer may be silent.
    unheard: Duration,
    /// When bytes were last handed out.
    ///
    /// Handing out takes no time argument, so this is the latest time seen then: never later than
    /// the truth, so that a keep-alive may come early but never late.
    sent: Instant,
    /// Since when a first message is due.
    owed: Option<Instant>,
}

impl Clock {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            now,
            start: now,
            heard: now,
            unheard: Duration::ZERO,
            sent: now,
            owed: None,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// Moves on; a time before the latest one changes nothing.
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    pub(super) fn heard(&mut self) {
        self.heard = self.now;
        self.unheard = Duration::ZERO;
    }

    /// Nobody has listened since `since`: what is due of the peer is due later.
    pub(super) fn did_not_listen(&mut self, since: Instant, timeouts: &Timeouts) {
        let time = self.now.saturating_duration_since(since);
        let time = time.min(timeouts.silence.saturating_sub(self.unheard));
        self.unheard += time;
        let now = self.now;
        let moved = |at: Instant| at.checked_add(time).map_or(now, |at| at.min(now));
        (self.heard, self.owed) = (moved(self.heard), self.owed.map(moved));
    }

    pub(super) fn sent(&mut self) {
        self.sent = self.now;
    }

    /// The handshake is over; `first_message` tells whether the peer has to speak now.
    pub(super) fn opened(&mut self, first_message: bool) {
        self.owed = first_message.then_some(self.now);
    }

    /// The first message came.
    pub(super) fn first_message(&mut self) {
        self.owed = None;
    }

    /// The earliest time at which something is due.
    pub(super) fn deadline(&self, timeouts: &Timeouts, open: bool) -> Instant {
        if !open {
            return later(self.start, timeouts.handshake);
        }
        let first = self.owed.map(|since| later(since, timeouts.first_message));
        let idle = later(self.sent, timeouts.keep_alive);
        let silent = later(self.heard, timeouts.silence);
        first.into_iter().fold(idle.min(silent), Instant::min)
    }

    /// Why the peer has to be given up, if it has to.
    pub(super) fn expired(&self, timeouts: &Timeouts, open: bool) -> Option<TimedOut> {
        if !open {
            let over = self.now >= later(self.start, timeouts.handshake);
            return over.then_some(TimedOut::Handshake);
        }
        if self
            .owed
            .is_some_and(|since| self.now >= later(since, timeouts.first_message))
        {
            return Some(TimedOut::FirstMessage);
        }
        (self.now >= later(self.heard, timeouts.silence)).then_some(TimedOut::Silence)
    }

    pub(super) fn keep_alive_due(&self, timeouts: &Timeouts) -> bool {
        self.now >= later(self.sent, timeouts.keep_alive)
    }
}

/// `time + wait`, or a day later if that is more than a clock can say.
fn later(time: Instant, wait: Duration) -> Instant {
    const DAY: Duration = Duration::from_secs(86_400);
    time.checked_add(wait)
        .or_else(|| time.checked_add(DAY))
        .unwrap_or(time)
}
