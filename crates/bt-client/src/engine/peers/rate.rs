//! How fast something goes: a decaying meter and a token bucket, both fed with `now`.

use std::time::{Duration, Instant};

/// How long a byte counts: long enough to smooth TCP's bursts, short enough for the choker's 10 s round.
const METER_WINDOW: Duration = Duration::from_secs(4);

/// Bytes that arrive within this time are folded into the average together: exponentials per block would cost more
/// than the block's bookkeeping.
const METER_FOLD: Duration = Duration::from_millis(100);

/// Before this much time has passed since the first byte, the bytes count as if it had.
const METER_LEAST: Duration = Duration::from_millis(500);

/// After a silence this long what comes is a new beginning: hardly anything of the old average is left.
const METER_SILENCE: Duration = Duration::from_secs(16);

/// An exponentially decaying average of bytes per second. While it is young it averages over the time since the first
/// byte, so that a fast peer does not look slow for seconds.
#[derive(Debug, Clone)]
pub struct RateMeter {
    rate: f64,
    pending: u64,
    last: Instant,
    /// The first byte after a silence.
    since: Option<Instant>,
}

impl RateMeter {
    /// A meter that has seen nothing.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            rate: 0.0,
            pending: 0,
            last: now,
            since: None,
        }
    }

    /// Counts `bytes` that moved at `now`.
    pub fn add(&mut self, now: Instant, bytes: u64) {
        let silence = now.saturating_duration_since(self.last) >= METER_SILENCE;
        if self.since.is_none() || silence {
            (self.rate, self.pending, self.last, self.since) = (0.0, 0, now, Some(now));
        }
        // What came before is folded without what comes now: it was silent in between.
        if now.saturating_duration_since(self.last) >= METER_FOLD {
            self.rate = self.folded(now);
            self.pending = 0;
            self.last = now;
        }
        self.pending = self.pending.saturating_add(bytes);
    }

    /// Bytes per second as of `now`.
    #[must_use]
    pub fn rate(&self, now: Instant) -> f64 {
        self.rate_over(now, METER_LEAST)
    }

    /// The same, of what may not have moved for as long as `least`: then it counts as if it had, so that a burst is not
    /// taken for a rate.
    #[must_use]
    pub fn rate_over(&self, now: Instant, least: Duration) -> f64 {
        let Some(since) = self.since else {
            return 0.0;
        };
        let average = if now.saturating_duration_since(self.last) < METER_FOLD {
            self.rate
        } else {
            self.folded(now)
        };
        let age = now.saturating_duration_since(since).max(least);
        let covered = 1.0 - (-age.as_secs_f64() / METER_WINDOW.as_secs_f64()).exp();
        average / covered
    }

    /// The average at `now`: what is pending came within the first [`METER_FOLD`], and nothing after it.
    fn folded(&self, now: Instant) -> f64 {
        let keep = |time: Duration| (-time.as_secs_f64() / METER_WINDOW.as_secs_f64()).exp();
        let elapsed = now.saturating_duration_since(self.last);
        let busy = elapsed.clamp(Duration::from_millis(1), METER_FOLD);
        #[expect(
            clippy::cast_precision_loss,
            reason = "rates are shown and compared, not counted"
        )]
        let fresh = self.pending as f64 / busy.as_secs_f64();
        let rate = self.rate * keep(busy) + fresh * (1.0 - keep(busy));
        rate * keep(elapsed.saturating_sub(busy))
    }
}

/// A token bucket: `rate` bytes per second with a burst of a quarter of a second, at least one block.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    rate: Option<u64>,
    tokens: f64,
    last: Instant,
}

/// A limit never hands out less than this at once, or a block could never be paid for.
const MIN_BURST: f64 = 32.0 * 1024.0;

impl TokenBucket {
    /// A bucket of `rate` bytes per second; `None` never limits.
    #[must_use]
    pub fn new(now: Instant, rate: Option<u64>) -> Self {
        Self {
            rate,
            tokens: MIN_BURST,
            last: now,
        }
    }

    /// Takes up to `want` bytes. Zero means: ask again after [`TokenBucket::wait`].
    pub fn take(&mut self, now: Instant, want: usize) -> usize {
        let Some(rate) = self.rate else { return want };
        self.refill(now, rate);
        if self.tokens < 1.0 {
            return 0;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "tokens are between 0 and the burst"
        )]
        let granted = want.min(self.tokens as usize);
        #[expect(clippy::cast_precision_loss, reason = "grants are below 2^53")]
        {
            self.tokens -= granted as f64;
        }
        granted
    }

    /// Books `bytes` that moved without asking; the bucket may go into debt, which later takes pay back.
    pub fn charge(&mut self, now: Instant, bytes: u64) {
        if let Some(rate) = self.rate {
            self.refill(now, rate);
            #[expect(
                clippy::cast_precision_loss,
                reason = "single transfers are below 2^53"
            )]
            {
                self.tokens -= bytes as f64;
            }
        }
    }

    /// Whether the bucket limits anything.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.rate.is_some()
    }

    /// How long until at least a block can be taken; zero when it can be now.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        let Some(rate) = self.rate else {
            return Duration::ZERO;
        };
        #[expect(clippy::cast_precision_loss, reason = "rates are below 2^53")]
        let rate = (rate as f64).max(1.0);
        let tokens = self.tokens + now.saturating_duration_since(self.last).as_secs_f64() * rate;
        let missing = (16.0 * 1024.0 - tokens).max(0.0);
        Duration::from_secs_f64((missing / rate).min(60.0))
    }

    fn refill(&mut self, now: Instant, rate: u64) {
        #[expect(clippy::cast_precision_loss, reason = "rates are below 2^53")]
        let rate = rate as f64;
        let dt = now.saturating_duration_since(self.last).as_secs_f64();
        self.tokens = (self.tokens + dt * rate).min((rate / 4.0).max(MIN_BURST));
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::{RateMeter, TokenBucket};
    use std::time::{Duration, Instant};

    #[test]
    fn a_steady_stream_is_measured_within_five_percent() {
        let start = Instant::now();
        let mut meter = RateMeter::new(start);
        for i in 1..=3000u64 {
            meter.add(start + Duration::from_millis(10 * i), 10_000);
        }
        let rate = meter.rate(start + Duration::from_secs(30));
        assert!((950_000.0..1_050_000.0).contains(&rate), "{rate}");
        assert!(meter.rate(start + Duration::from_secs(90)) < 2_000.0);
    }

    /// It looked forty times as fast as it was, and took a slot from others.
    #[test]
    fn a_burst_before_the_round_is_no_rate() {
        let start = Instant::now();
        let mut meter = RateMeter::new(start);
        let round = Duration::from_secs(10);
        let mut now = start;
        for _ in 0..5 {
            now += 2 * round;
            meter.add(now, 320_000);
        }
        now += Duration::from_millis(500);
        let over = meter.rate_over(now, round);
        assert!(over < 6.0 * 16_000.0, "{over}");
        assert!(meter.rate(now) > 30.0 * 16_000.0);
        // What goes on for longer than that is the same either way.
        let mut steady = RateMeter::new(start);
        for tenth in 0..300 {
            steady.add(start + Duration::from_millis(tenth * 100), 10_000);
        }
        let end = start + Duration::from_secs(30);
        assert!((steady.rate(end) - steady.rate_over(end, round)).abs() < 1.0);
    }

    #[test]
    fn a_burst_is_forgotten_as_fast_as_a_stream() {
        let start = Instant::now();
        let mut meter = RateMeter::new(start);
        for i in 0..100u64 {
            meter.add(start + Duration::from_millis(i), 100_000);
        }
        let after = |seconds| meter.rate(start + Duration::from_secs(seconds));
        assert!(after(1) > 5_000_000.0, "{}", after(1));
        // Five windows later less than one part in a hundred of ten megabytes a window is left.
        assert!(after(20) < 25_000.0, "{}", after(20));
    }

    #[test]
    fn a_beginning_is_measured_at_once_also_after_a_silence() {
        let start = Instant::now();
        let mut meter = RateMeter::new(start);
        assert!(meter.rate(start) < 1.0);
        for begin in [
            start + Duration::from_secs(7),
            start + Duration::from_secs(60),
        ] {
            for i in 0..=100u64 {
                meter.add(begin + Duration::from_millis(10 * i), 10_000);
            }
            let rate = meter.rate(begin + Duration::from_secs(1));
            assert!((900_000.0..1_200_000.0).contains(&rate), "{rate}");
        }
        let alone = start + Duration::from_secs(120);
        meter.add(alone, 10_000);
        assert!(meter.rate(alone) < 25_000.0, "one block is not a stream");
    }

    #[test]
    fn a_bucket_gives_no_more_than_rate_and_one_burst() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(start, Some(1_000_000));
        let mut given = 0;
        for i in 0..2000u64 {
            given += bucket.take(start + Duration::from_millis(i), 16_384);
        }
        assert!((1_900_000..=2_300_000).contains(&given), "{given}");
    }

    #[test]
    fn a_debt_is_paid_back_before_more_is_given() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(start, Some(100_000));
        bucket.charge(start, 132_768);
        assert_eq!(bucket.take(start, 1), 0);
        assert!(bucket.wait(start) > Duration::from_secs(1));
        assert!(bucket.take(start + Duration::from_secs(2), 16_384) > 0);
    }
}
