//! Trackers: when to announce is for the schedule to say; here it is asked, and its answers become outputs.

use std::time::Instant;

use bt_tracker::AnnounceResponse;
use bt_tracker::schedule::{Problem, Schedule, TrackerStatus};

use super::Torrent;
use crate::engine::{Notice, Output, Outputs, Source};
use crate::limits::{MAX_NUMWANT, MIN_NUMWANT};

/// A schedule that has not begun, runs, or has been told to stop.
#[derive(Debug)]
pub(super) struct Announcing {
    schedule: Schedule,
    begun: bool,
}

impl Announcing {
    pub(super) fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            begun: false,
        }
    }

    /// Only now is it known whether trackers are ever to hear of a completion. A schedule that has begun is kept: its
    /// `stopped` may be under way, which `started` must not overtake.
    pub(super) fn content_is_known(&mut self, complete: bool, fresh: impl FnOnce() -> Schedule) {
        if self.begun {
            self.schedule.set_complete_at_start(complete);
        } else {
            self.schedule = fresh();
        }
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.begun = true;
        self.schedule.start(now);
    }

    pub(super) fn stop(&mut self, now: Instant) {
        self.schedule.stop(now);
    }

    pub(super) fn force(&mut self, now: Instant) {
        self.schedule.force(now);
    }

    pub(super) fn withdrawn(&mut self, url: &str) {
        self.schedule.withdrawn(url);
    }

    pub(super) fn complete(&mut self, now: Instant) {
        self.schedule.complete(now);
    }

    pub(super) fn set_partial_seed(&mut self, partial: bool) {
        self.schedule.set_partial_seed(partial);
    }

    pub(super) fn is_stopped(&self) -> bool {
        !self.begun || self.schedule.is_stopped()
    }

    pub(super) fn is_running(&self) -> bool {
        self.begun && self.schedule.is_running()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.begun {
            self.schedule.next_deadline()
        } else {
            None
        }
    }

    pub(super) fn trackers(&self) -> Vec<TrackerStatus> {
        self.schedule.status()
    }
}

impl Torrent {
    /// Whether trackers are to hear of it: not while it is paused, and not once it has stopped or failed.
    #[must_use]
    pub fn is_announcing(&self) -> bool {
        self.announcing.is_running()
    }

    /// Whether a stopped torrent has told all trackers that heard of it.
    #[must_use]
    pub fn has_said_goodbye(&self) -> bool {
        self.announcing.is_stopped()
    }

    pub(super) fn announce_due(&mut self, now: Instant, out: &mut Outputs) {
        if !self.announcing.begun {
            return;
        }
        while let Some(announce) = self.announcing.schedule.poll(now) {
            let room = self.config.max_peers.saturating_sub(self.peers.len());
            let numwant = u32::try_from(room).unwrap_or(MAX_NUMWANT);
            let numwant = if room == 0 {
                0
            } else {
                numwant.clamp(MIN_NUMWANT, MAX_NUMWANT)
            };
            out.push(Output::Announce { announce, numwant });
        }
    }

    pub(super) fn announced(
        &mut self,
        now: Instant,
        url: &str,
        result: Result<AnnounceResponse, Problem>,
        out: &mut Outputs,
    ) {
        match result {
            Ok(response) => {
                let accepted = self.announcing.schedule.succeeded(now, url, &response);
                if accepted.tracker_changed && self.config.private {
                    // Peers of one tracker of a private torrent must not meet those of another (BEP 27).
                    self.candidates.clear();
                    self.close_all(now, out);
                    out.push(Output::Forget);
                }
                if let Some(warning) = &response.warning {
                    out.push(Output::Notice(Notice::TrackerWarning(
                        url.to_owned(),
                        warning.clone(),
                    )));
                }
                let addrs = response.peers.iter().map(|peer| peer.addr).collect();
                self.add_candidates(now, Source::Tracker, addrs, out);
            }
            Err(problem) => {
                out.push(Output::Notice(Notice::TrackerFailed(
                    url.to_owned(),
                    problem.message.clone(),
                )));
                self.announcing.schedule.failed(now, url, problem);
            }
        }
    }
}
