//! The only place of the library that asks what time it is.

use std::time::Instant;

/// The monotonic clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}
