//! The rate meter and the token bucket, driven by what happens when, against sums that are kept the slow way.
#![allow(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a story starts at the present moment, and rates are fractions"
)]

use std::time::{Duration, Instant};

use crate::engine::{RateMeter, TokenBucket};

/// A bucket holds a quarter of a second, or two blocks.
const LEAST_BURST: f64 = 32.0 * 1024.0;

/// A bucket says no longer wait than this.
const LONGEST: Duration = Duration::from_secs(60);

/// Four bytes a step: how long it takes, what is done, and how much of it. The first byte is the limit.
///
/// # Panics
/// If a bucket gives more than its rate and a burst, or nothing after the wait that it said, or if the meter shows more
/// than ever came in its shortest stretch, or shows more the longer nothing comes.
pub fn rates(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let start = Instant::now();
    let mut now = start;
    // From a byte a second up to sixteen gigabytes.
    let rate = (first > 0).then(|| 1u64 << (first % 35));
    let mut bucket = TokenBucket::new(start, rate);
    let mut meter = RateMeter::new(start);
    let (mut taken, mut came) = (0u64, 0u64);
    for &[what, wait, low, high] in rest.as_chunks().0 {
        let unit = [1, 10, 100, 60_000][usize::from(what >> 6)];
        now += Duration::from_millis(u64::from(wait) * unit);
        let amount = u64::from(u16::from_le_bytes([low, high])) << (what & 7);
        match what >> 3 & 3 {
            0 | 1 => {
                let want = usize::try_from(amount).unwrap_or(usize::MAX);
                let given = bucket.take(now, want);
                assert!(given <= want);
                taken += given as u64;
                if rate.is_none() {
                    assert_eq!(given, want, "there is no limit");
                }
            }
            2 => bucket.charge(now, amount),
            _ => {
                meter.add(now, amount);
                came += amount;
            }
        }
        assert_eq!(bucket.is_limited(), rate.is_some());
        if let Some(rate) = rate {
            let burst = (rate as f64 / 4.0).max(LEAST_BURST);
            let line = now.duration_since(start).as_secs_f64() * rate as f64 + burst;
            assert!(
                taken as f64 <= line * 1.000_001 + 1.0,
                "{taken} taken, {line} allowed"
            );
        }
        let shown = meter.rate(now);
        assert!(shown.is_finite() && shown >= 0.0, "{shown}");
        assert!(
            came > 0 || shown == 0.0,
            "nothing came, and it shows {shown}"
        );
    }
    let wait = bucket.wait(now);
    assert!(wait <= LONGEST);
    if wait < LONGEST {
        let given = bucket.take(now + wait + Duration::from_millis(1), 16 * 1024);
        assert!(given > 0, "it said {wait:?}, and gives nothing then");
    }
    let mut before = f64::INFINITY;
    for second in 1..40 {
        let shown = meter.rate(now + Duration::from_secs(second));
        assert!(
            shown <= before,
            "silence looks faster: {shown} after {before}"
        );
        before = shown;
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::parts::Rng;

    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_rates", 3, super::rates);
    }

    #[test]
    fn random_steps_keep_the_limit() {
        let mut rng = Rng::new(3);
        for _ in 0..3000 {
            let length = rng.below(200);
            let data: Vec<u8> = (0..length)
                .map(|_| u8::try_from(rng.below(256)).unwrap())
                .collect();
            super::rates(&data);
        }
    }
}
