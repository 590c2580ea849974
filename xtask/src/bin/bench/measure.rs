//! Times a piece of work and prints its line.

use std::time::{Duration, Instant};

/// Runs each piece of work again and again for a given time.
#[derive(Debug)]
pub(crate) struct Meter {
    time: Duration,
}

impl Meter {
    pub(crate) const fn new(time: Duration) -> Self {
        Self { time }
    }

    /// Work on `bytes` bytes: prints gigabytes (10^9) per second.
    pub(crate) fn throughput(&self, name: &str, bytes: usize, mut work: impl FnMut()) {
        let best = self.best(|| (), |()| work());
        print(name, bytes as f64 / best.as_secs_f64() / 1e9, "GB/s");
    }

    /// Work on `count` things that `prepare` makes, off the clock: prints nanoseconds for each.
    pub(crate) fn each<T>(
        &self,
        name: &str,
        count: usize,
        prepare: impl FnMut() -> T,
        work: impl FnMut(T),
    ) {
        let best = self.best(prepare, work);
        print(name, best.as_secs_f64() * 1e9 / count as f64, "ns");
    }

    /// Work on `count` blocks that `prepare` makes, off the clock: prints millions of them per second.
    pub(crate) fn rate<T>(
        &self,
        name: &str,
        count: usize,
        prepare: impl FnMut() -> T,
        work: impl FnMut(T),
    ) {
        let best = self.best(prepare, work);
        print(name, count as f64 / best.as_secs_f64() / 1e6, "M blocks/s");
    }

    /// The shortest run; at least three are made.
    pub(crate) fn best<T>(
        &self,
        mut prepare: impl FnMut() -> T,
        mut work: impl FnMut(T),
    ) -> Duration {
        let begin = Instant::now();
        let mut best = Duration::MAX;
        let mut runs = 0;
        while runs < 3 || begin.elapsed() < self.time {
            let prepared = prepare();
            let start = Instant::now();
            work(prepared);
            best = best.min(start.elapsed());
            runs += 1;
        }
        best
    }
}

/// The one in the middle, or the mean of the two there.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (upper, lower) = (values.len() / 2, values.len().saturating_sub(1) / 2);
    match (values.get(lower), values.get(upper)) {
        (Some(lower), Some(upper)) => f64::midpoint(*lower, *upper),
        _ => 0.0,
    }
}

fn print(name: &str, value: f64, unit: &str) {
    println!("{name:<44} {value:>10.2} {unit}");
}
