//! What the schedule asks its owner to do, and what it says about an accepted announce.

use std::time::Duration;

use crate::{AnnounceRequest, Event};

/// An announce to be performed now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Announce {
    /// The tracker, exactly as in the torrent; also the name under which the outcome is reported.
    pub url: String,
    /// What to tell it.
    pub event: Event,
    /// What it gave as `tracker id` earlier, to be sent back.
    pub tracker_id: Option<Vec<u8>>,
    /// The `key` to send.
    pub key: u32,
    /// When to give up and report a failure.
    pub timeout: Duration,
}

impl Announce {
    /// Writes event, tracker id and key into a request. A `stopped` also asks for no peers.
    pub fn apply(&self, request: &mut AnnounceRequest) {
        request.event = self.event;
        request.tracker_id.clone_from(&self.tracker_id);
        request.key = self.key;
        if self.event == Event::Stopped {
            request.numwant = Some(0);
        }
    }
}

/// What follows from an accepted announce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// Another tracker than before answered. The owner of a private torrent must then close all
    /// connections that came from the tracker before (BEP 27).
    pub tracker_changed: bool,
}
