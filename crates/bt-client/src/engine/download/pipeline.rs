//! How many blocks to have under way at one peer: enough to fill the link, few enough not to hoard.
//!
//! The depth follows the bandwidth-delay product, measured: blocks per second times the least time that a block took,
//! plus a slack for the peer's own rhythm, measured too: the longest that it left requests waiting between two blocks.
//! Until the rate stops growing, every block received allows one more
//! (so the depth doubles each round trip). It must not know pieces.

use std::time::{Duration, Instant};

use bt_metainfo::BLOCK_SIZE;

use crate::limits::{MAX_OUTSTANDING_REQUESTS, MIN_OUTSTANDING_REQUESTS};

/// Time that a peer may need to turn to our requests besides the round trip: its disk, our batches. More of it fills no
/// link: it only settles earlier which peer sends what, and a swarm ends later (16 leechers: 1.27 times the ideal with
/// this, 1.37 with `MOST_SLACK`).
const LEAST_SLACK: Duration = Duration::from_millis(150);

/// The most that a peer is granted that works in bursts. Transmission looks at requests every half second: with less, so
/// few are there each time that it seems slow, and is asked for ever fewer.
const MOST_SLACK: Duration = Duration::from_millis(600);

/// The longest round trip that is believed: longer ones are queues.
const MOST_ROUND_TRIP: Duration = Duration::from_secs(2);

/// How long a least latency and a longest pause are believed before they are measured afresh, as routes and queues
/// change.
const WINDOW: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Pipeline {
    depth: u32,
    slow_start: bool,
    last_rate: f64,
    least: Duration,
    fresh_least: Duration,
    /// The longest wait for a block in which no other came.
    pause: Duration,
    fresh_pause: Duration,
    window_from: Instant,
    last_block: Option<Instant>,
}

impl Pipeline {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            depth: MIN_OUTSTANDING_REQUESTS,
            slow_start: true,
            last_rate: 0.0,
            least: Duration::MAX,
            fresh_least: Duration::MAX,
            pause: Duration::ZERO,
            fresh_pause: Duration::ZERO,
            window_from: now,
            last_block: None,
        }
    }

    /// Blocks to keep under way, at most `reqq` of the peer.
    pub(crate) fn depth(&self, reqq: u32) -> u32 {
        self.depth.min(reqq.max(1))
    }

    /// A block arrived `latency` after it was asked for.
    pub(crate) fn received(&mut self, now: Instant, latency: Duration) {
        self.least = self.least.min(latency);
        self.fresh_least = self.fresh_least.min(latency);
        // Only while this block was asked for can silence be the peer's.
        let silence = self.last_block.map_or(Duration::ZERO, |last| {
            now.saturating_duration_since(last).min(latency)
        });
        self.last_block = Some(now);
        let pause = silence.saturating_sub(self.least);
        self.pause = self.pause.max(pause);
        self.fresh_pause = self.fresh_pause.max(pause);
        if now.saturating_duration_since(self.window_from) > WINDOW {
            (self.least, self.fresh_least) = (self.fresh_least, Duration::MAX);
            (self.pause, self.fresh_pause) = (self.fresh_pause, Duration::ZERO);
            self.window_from = now;
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

    /// How long a block may take with all that a peer may be granted.
    pub(crate) fn at_most(&self) -> Duration {
        self.round_trip() * 2 + MOST_SLACK
    }

    /// The least time that a block took, from asking to having it: the round trip, if the peer had nothing else to send.
    /// Not more than [`MOST_ROUND_TRIP`], which is also what counts before the first block.
    pub(crate) fn round_trip(&self) -> Duration {
        self.least.min(MOST_ROUND_TRIP)
    }

    /// How long a block may take.
    fn target(&self) -> Duration {
        // A quarter more than it was silent, or its bursts would end just before its next turn.
        let slack = (self.pause + self.pause / 4).clamp(LEAST_SLACK, MOST_SLACK);
        self.round_trip() * 2 + slack
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
    fn a_peer_that_answers_every_half_second_is_asked_for_all_it_can_send() {
        const CAPACITY: u32 = 400;
        let start = Instant::now();
        let mut pipeline = Pipeline::new(start);
        let mut turns = 0u32;
        // It takes what lies there at each turn, at most what its link carries in half a second.
        let sent: Vec<u32> = (1..=40u64)
            .map(|turn| {
                let now = start + Duration::from_millis(500 * turn);
                let blocks = pipeline.depth(2000).min(CAPACITY);
                for block in 0..blocks {
                    // What is asked for when the first ones come waits for the next turn.
                    pipeline.received(
                        now + Duration::from_micros(u64::from(block)),
                        Duration::from_millis(500),
                    );
                }
                turns += 1;
                if turns.is_multiple_of(2) {
                    pipeline.adjust(f64::from(blocks) * 2.0 * 16_384.0);
                }
                blocks
            })
            .collect();
        assert!(sent.ends_with(&[CAPACITY; 20]), "{sent:?}");
    }

    #[test]
    fn silence_that_nobody_asked_to_end_is_no_pause() {
        let start = Instant::now();
        let mut pipeline = Pipeline::new(start);
        let before = pipeline.target();
        for second in 0..8 {
            let now = start + Duration::from_secs(second);
            pipeline.received(now, Duration::from_millis(20));
        }
        assert!(pipeline.target() < before);
        assert_eq!(
            pipeline.target(),
            Duration::from_millis(40) + super::LEAST_SLACK
        );
        // One that was asked for and kept waiting is, and it is forgotten when it was the only one.
        let late = start + Duration::from_secs(9);
        pipeline.received(late, Duration::from_millis(420));
        assert_eq!(pipeline.target(), Duration::from_millis(40 + 500));
        for second in 10..=32 {
            let now = start + Duration::from_secs(second);
            pipeline.received(now, Duration::from_millis(20));
        }
        assert_eq!(
            pipeline.target(),
            Duration::from_millis(40) + super::LEAST_SLACK
        );
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
