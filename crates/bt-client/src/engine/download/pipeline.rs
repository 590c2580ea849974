//! How many blocks to have under way at one peer: enough to fill the link, few enough not to hoard.
//!
//! The depth follows the bandwidth-delay product, measured: blocks per second times the least time that a block took,
//! plus a slack for the peer's own scheduling. Until the rate stops growing, every block received allows one more
//! (so the depth doubles each round trip). It must not know pieces.

use std::time::{Duration, Instant};

use bt_metainfo::BLOCK_SIZE;

use crate::limits::{MAX_OUTSTANDING_REQUESTS, MIN_OUTSTANDING_REQUESTS};

/// Time that a peer may need to turn to our requests besides the round trip: its disk, its own rounds, our batches.
/// Transmission looks at requests every half second: with less, so few are there each time that it seems slow, and is
/// asked for ever fewer.
const SLACK: Duration = Duration::from_millis(600);

/// How long a least latency is believed before it is measured afresh, as routes and queues change.
const LATENCY_WINDOW: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Pipeline {
    depth: u32,
    slow_start: bool,
    last_rate: f64,
    least: Duration,
    least_at: Instant,
    fresh: Duration,
}

impl Pipeline {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            depth: MIN_OUTSTANDING_REQUESTS,
            slow_start: true,
            last_rate: 0.0,
            least: Duration::MAX,
            least_at: now,
            fresh: Duration::MAX,
        }
    }

    /// Blocks to keep under way, at most `reqq` of the peer.
    pub(crate) fn depth(&self, reqq: u32) -> u32 {
        self.depth.min(reqq.max(1))
    }

    /// A block arrived `latency` after it was asked for.
    pub(crate) fn received(&mut self, now: Instant, latency: Duration) {
        self.least = self.least.min(latency);
        self.fresh = self.fresh.min(latency);
        if now.saturating_duration_since(self.least_at) > LATENCY_WINDOW {
            (self.least, self.fresh, self.least_at) = (self.fresh, Duration::MAX, now);
        }
        if self.slow_start {
            if latency > self.target() {
                self.slow_start = false;
                self.depth = (self.depth / 2).max(MIN_OUTSTANDING_REQUESTS);
            } else {
                self.depth = (self.depth + 1).min(MAX_OUTSTANDING_REQUESTS);
            }
        }
    }

    /// Once a second: `rate` is what the peer sends, in bytes per second.
    pub(crate) fn adjust(&mut self, rate: f64) {
        if self.slow_start && rate < self.last_rate * 1.1 + 5_000.0 && self.last_rate > 0.0 {
            self.slow_start = false;
        }
        self.last_rate = rate;
        if !self.slow_start {
            let blocks = rate * self.target().as_secs_f64() / f64::from(BLOCK_SIZE);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "floats saturate in casts"
            )]
            {
                self.depth = (blocks.ceil() as u32)
                    .clamp(MIN_OUTSTANDING_REQUESTS, MAX_OUTSTANDING_REQUESTS);
            }
        }
    }

    /// How long a block may take.
    pub(crate) fn target(&self) -> Duration {
        self.least.min(Duration::from_secs(2)) * 2 + SLACK
    }

    /// The peer sent nothing for too long: start again from one block.
    pub(crate) fn snubbed(&mut self) {
        self.depth = 1;
        self.slow_start = true;
        self.last_rate = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::Pipeline;
    use crate::limits::{MAX_OUTSTANDING_REQUESTS, MIN_OUTSTANDING_REQUESTS};
    use std::time::{Duration, Instant};

    #[test]
    fn a_long_fat_link_is_filled_and_a_slow_one_is_not_overloaded() {
        let start = Instant::now();
        let mut fat = Pipeline::new(start);
        for i in 0..600u64 {
            fat.received(start + Duration::from_millis(i), Duration::from_millis(100));
        }
        // 500 Mbit/s at 100 ms hold 381 blocks.
        assert!(fat.depth(2000) >= 381, "{}", fat.depth(2000));
        fat.adjust(62_500_000.0);
        fat.adjust(62_500_000.0);
        assert!(fat.depth(2000) >= 381, "{}", fat.depth(2000));
        assert_eq!(fat.depth(250), 250, "the peer's own limit holds");

        let mut slow = Pipeline::new(start);
        slow.received(start, Duration::from_millis(50));
        slow.adjust(20_000.0);
        slow.adjust(20_000.0);
        assert_eq!(slow.depth(2000), MIN_OUTSTANDING_REQUESTS);
    }

    #[test]
    fn no_rate_and_no_claim_asks_for_more_than_the_limit() {
        let start = Instant::now();
        let mut pipeline = Pipeline::new(start);
        for _ in 0..MAX_OUTSTANDING_REQUESTS * 2 {
            pipeline.received(start, Duration::from_secs(2));
        }
        assert_eq!(pipeline.depth(u32::MAX), MAX_OUTSTANDING_REQUESTS);
        assert_eq!(
            pipeline.depth(MAX_OUTSTANDING_REQUESTS - 1),
            MAX_OUTSTANDING_REQUESTS - 1
        );
        assert_eq!(
            pipeline.depth(0),
            1,
            "a peer that takes none is asked for one"
        );
        for rate in [1e18, f64::MAX, f64::INFINITY] {
            pipeline.adjust(rate);
            pipeline.adjust(rate);
            assert_eq!(pipeline.depth(u32::MAX), MAX_OUTSTANDING_REQUESTS, "{rate}");
        }
    }
}
