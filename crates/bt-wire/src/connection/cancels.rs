//! How many cancels for nothing a peer may send: so many at once, and so many more each second.
//!
//! Pure arithmetic on the times that are passed in. Knows nothing of requests.

use std::time::{Duration, Instant};

use crate::limits::{MAX_VAIN_CANCELS, VAIN_CANCELS_PER_SECOND};

/// What one cancel costs.
const EACH: Duration = Duration::from_secs(1)
    .checked_div(VAIN_CANCELS_PER_SECOND)
    .expect("the rate is not 0");

/// What may be owed.
const MOST: Duration = EACH.saturating_mul(MAX_VAIN_CANCELS);

/// The allowance of one peer.
#[derive(Debug, Default)]
pub(super) struct VainCancels {
    /// The time by which all that came would have come at an even rate, less the time of the last.
    ///
    /// Invariant: `owed <= MOST`.
    owed: Duration,
    last: Option<Instant>,
}

impl VainCancels {
    /// Notes one more; false if it is one too many, which is not noted.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = self
            .last
            .map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        self.last = Some(now);
        self.owed = self.owed.saturating_sub(passed);
        let owed = self.owed.saturating_add(EACH);
        let fits = owed <= MOST;
        if fits {
            self.owed = owed;
        }
        fits
    }
}
