//! What an owner may choose about a schedule.

use std::time::Duration;

use crate::limits::{
    ANNOUNCE_TIMEOUT, MAX_INTERVAL, MIN_INTERVAL, NEXT_TRACKER_AFTER, STOP_TIMEOUT,
};

/// The choices. The defaults suit the open internet; a private network may want shorter times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How many trackers hear from us.
    pub breadth: Breadth,
    /// The floor of every interval, and of the time between two announces that
    /// [`force`](super::Schedule::force) asks for. Default [`MIN_INTERVAL`].
    pub min_interval: Duration,
    /// The ceiling of every interval. Default [`MAX_INTERVAL`].
    pub max_interval: Duration,
    /// How long an announce may take when no other tracker is left to try. Default
    /// [`ANNOUNCE_TIMEOUT`].
    pub timeout: Duration,
    /// How long an announce may take when another tracker could be tried instead. Default
    /// [`NEXT_TRACKER_AFTER`].
    pub next_after: Duration,
    /// How long a `stopped` may take. Default [`STOP_TIMEOUT`].
    pub stop_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            breadth: Breadth::default(),
            min_interval: MIN_INTERVAL,
            max_interval: MAX_INTERVAL,
            timeout: ANNOUNCE_TIMEOUT,
            next_after: NEXT_TRACKER_AFTER,
            stop_timeout: STOP_TIMEOUT,
        }
    }
}

/// How many of a torrent's trackers hear from us at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Breadth {
    /// One, as BEP 12 says, and as BEP 27 demands for private torrents.
    #[default]
    OneTracker,
    /// One of every tier.
    AllTiers,
    /// All.
    AllTrackers,
}
