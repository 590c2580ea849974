//! What people see about a tracker.

use std::time::{Duration, Instant};

use crate::Event;

/// One tracker of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackerStatus {
    /// The URL as in the torrent. It may hold a passkey: show
    /// [`redacted`](crate::http::redacted) text.
    pub url: String,
    /// Number of its tier, from 0, as in the torrent.
    pub tier: usize,
    /// How it is doing.
    pub state: TrackerState,
    /// What is being announced right now.
    pub announcing: Option<Event>,
    /// Why the last announce failed; `None` after a success.
    pub error: Option<String>,
    /// What a working tracker wants people to read.
    pub warning: Option<String>,
    /// Failures since the last success.
    pub failures: u32,
    /// When the tracker last accepted an announce.
    pub last_success: Option<Instant>,
    /// When it will be asked next, if that is known: with one tracker at a time, only for the one
    /// in use and for those in back-off.
    pub next_announce: Option<Instant>,
    /// The interval it gave, after clamping.
    pub interval: Option<Duration>,
    /// Peers in its last answer.
    pub peers: usize,
    /// Seeds, by its last answer.
    pub complete: Option<u32>,
    /// Other peers, by its last answer.
    pub incomplete: Option<u32>,
    /// Completed downloads, by its last answer.
    pub downloaded: Option<u32>,
}

/// How a tracker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrackerState {
    /// It has not been needed yet.
    Unused,
    /// It answered, and is the one in use.
    Working,
    /// It answered earlier; another one is in use now.
    Standby,
    /// The last announce failed; it will be tried again.
    Failing,
    /// It asked not to be tried again in this session (BEP 31).
    Off,
}
