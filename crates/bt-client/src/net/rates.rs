//! The session's rate limits: one bucket down, one up, shared by all connections.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::TokenBucket;
use crate::limits::SMALL_RECEIVE_BUFFER;

/// Under a limit connections take turns block by block: a longer turn would leave the others without for seconds.
const LIMITED_TURN: usize = 16 * 1024;

/// The same for reading, where a block comes with its header.
const LIMITED_READ: usize = SMALL_RECEIVE_BUFFER;

/// See the module. Without a limit nothing is locked.
#[derive(Debug)]
pub(crate) struct RateLimits {
    down: Option<Mutex<TokenBucket>>,
    up: Option<Mutex<TokenBucket>>,
}

impl RateLimits {
    /// Bytes per second; `None` does not limit.
    pub(crate) fn new(now: Instant, down: Option<u64>, up: Option<u64>) -> Self {
        let bucket =
            |rate: Option<u64>| rate.map(|rate| Mutex::new(TokenBucket::new(now, Some(rate))));
        Self {
            down: bucket(down),
            up: bucket(up),
        }
    }

    /// Books bytes that were received.
    pub(crate) fn received(&self, now: Instant, bytes: usize) {
        charge(self.down.as_ref(), now, bytes as u64);
    }

    /// Books payload that was sent.
    pub(crate) fn sent(&self, now: Instant, bytes: u64) {
        charge(self.up.as_ref(), now, bytes);
    }

    /// How long reading has to wait.
    pub(crate) fn down_wait(&self, now: Instant) -> Option<Duration> {
        wait(self.down.as_ref(), now)
    }

    /// How long sending the next block has to wait.
    pub(crate) fn up_wait(&self, now: Instant) -> Option<Duration> {
        wait(self.up.as_ref(), now)
    }

    /// Payload that one turn may send before it is booked.
    pub(crate) fn up_turn(&self, unlimited: u64) -> u64 {
        if self.up.is_some() {
            LIMITED_TURN as u64
        } else {
            unlimited
        }
    }

    /// Bytes that one turn may read before they are booked.
    pub(crate) fn down_turn(&self, unlimited: usize) -> usize {
        if self.down.is_some() {
            LIMITED_READ
        } else {
            unlimited
        }
    }
}

fn charge(bucket: Option<&Mutex<TokenBucket>>, now: Instant, bytes: u64) {
    if let Some(bucket) = bucket {
        bucket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .charge(now, bytes);
    }
}

fn wait(bucket: Option<&Mutex<TokenBucket>>, now: Instant) -> Option<Duration> {
    let wait = bucket?
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .wait(now);
    (!wait.is_zero()).then_some(wait)
}
