//! What is known of one peer besides its endpoint, in 16 bits: when it was last heard, what it
//! does, and whether it has been counted as completed. Knows nothing of lists and torrents.

use std::time::{Duration, Instant};

const TICK_BITS: u32 = 12;
const TICK_MASK: u16 = (1 << TICK_BITS) - 1;
const CLASS_MASK: u16 = 0b11 << TICK_BITS;
const COMPLETED: u16 = 1 << 14;

/// Ticks in one time-to-live. 4,096 ticks later a stamp would look fresh again, so a sweep must
/// come by at least every 15 lifetimes; it comes several times in one.
const TICKS_PER_TTL: u32 = 256;

/// What a peer does in a swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Wants pieces.
    Downloader,
    /// Lacks pieces and wants none (BEP 21).
    Partial,
    /// Has everything.
    Seed,
}

/// Packed: bits 0–11 tick, 12–13 class, 14 completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp(u16);

impl Stamp {
    pub(super) fn new(tick: Tick, class: Class, completed: bool) -> Self {
        let class = match class {
            Class::Downloader => 0,
            Class::Partial => 1,
            Class::Seed => 2,
        };
        Self(tick.0 | class << TICK_BITS | if completed { COMPLETED } else { 0 })
    }

    pub(super) fn class(self) -> Class {
        match (self.0 & CLASS_MASK) >> TICK_BITS {
            0 => Class::Downloader,
            1 => Class::Partial,
            _ => Class::Seed,
        }
    }

    pub(super) fn completed(self) -> bool {
        self.0 & COMPLETED != 0
    }

    /// Ticks since the peer was last heard.
    pub(super) fn age(self, now: Tick) -> u16 {
        now.0.wrapping_sub(self.0) & TICK_MASK
    }

    pub(super) fn is_expired(self, now: Tick) -> bool {
        u32::from(self.age(now)) > TICKS_PER_TTL
    }
}

/// A moment on the store's clock, modulo 4,096.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick(u16);

impl Tick {
    /// The moment `age` ticks before this one.
    pub(super) fn minus(self, age: u16) -> Self {
        Self(self.0.wrapping_sub(age) & TICK_MASK)
    }
}

/// Turns moments into ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    epoch: Instant,
    /// Microseconds, at least 1.
    tick: u64,
}

impl Clock {
    /// Ticks are a 256th of the time-to-live.
    pub(super) fn new(epoch: Instant, ttl: Duration) -> Self {
        let tick = (ttl / TICKS_PER_TTL).as_micros();
        Self {
            epoch,
            tick: u64::try_from(tick).unwrap_or(u64::MAX).max(1),
        }
    }

    /// The moment at which the clock was made.
    pub(super) fn start(self) -> Tick {
        Tick(0)
    }

    pub(super) fn tick_length(self) -> Duration {
        Duration::from_micros(self.tick)
    }

    pub(super) fn tick(self, now: Instant) -> Tick {
        let elapsed = now.saturating_duration_since(self.epoch).as_micros();
        let ticks = u64::try_from(elapsed).unwrap_or(u64::MAX) / self.tick;
        Tick(u16::try_from(ticks & u64::from(TICK_MASK)).unwrap_or(0))
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests start now and count to small numbers"
)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_keeps_its_three_parts_apart() {
        for class in [Class::Downloader, Class::Partial, Class::Seed] {
            for completed in [false, true] {
                for tick in [0, 1, 4095] {
                    let stamp = Stamp::new(Tick(tick), class, completed);
                    assert_eq!(stamp.class(), class);
                    assert_eq!(stamp.completed(), completed);
                    assert_eq!(stamp.age(Tick(tick)), 0);
                    assert_eq!(stamp.age(Tick((tick + 7) & 4095)), 7);
                }
            }
        }
    }

    #[test]
    fn a_peer_expires_just_after_its_time_to_live_even_across_the_wrap() {
        let epoch = Instant::now();
        let ttl = Duration::from_secs(256);
        let clock = Clock::new(epoch, ttl);
        for start in [0, 4000, 4095, 123_456] {
            let born = epoch + Duration::from_secs(start);
            let stamp = Stamp::new(clock.tick(born), Class::Seed, false);
            assert!(!stamp.is_expired(clock.tick(born + ttl)));
            assert!(stamp.is_expired(clock.tick(born + ttl + Duration::from_secs(1))));
            assert!(stamp.is_expired(clock.tick(born + ttl * 15)));
        }
    }
}
