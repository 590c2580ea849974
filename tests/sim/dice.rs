//! Seeded chance for the world around the engine (SplitMix64); equal seeds give equal worlds on every machine.
//!
//! It must not know what is decided with it.

use std::time::Duration;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..high`; `low` when there is none.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % high.saturating_sub(low).max(1)
    }

    /// An index below `bound`; 0 when `bound` is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.between(0, bound as u64)).expect("below an index")
    }

    /// True in `percent` of all cases.
    pub(crate) fn chance(&mut self, percent: u8) -> bool {
        self.between(0, 100) < u64::from(percent)
    }

    pub(crate) fn moment(&mut self, low: Duration, high: Duration) -> Duration {
        let millis = |time: Duration| u64::try_from(time.as_millis()).expect("short runs");
        Duration::from_millis(self.between(millis(low), millis(high)))
    }
}
