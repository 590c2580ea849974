//! How fast connections are begun. Pure: the time comes in, and how long to wait comes out.

use std::time::{Duration, Instant};

/// So many at once after a pause, and then one every so often.
#[derive(Debug)]
pub(crate) struct Pace {
    every: Duration,
    burst: u32,
    /// When all that was begun so far would have been begun at an even pace.
    paid_until: Option<Instant>,
}

impl Pace {
    /// `per_second` at once, and as many each second; at least one.
    pub(crate) fn new(per_second: u32) -> Self {
        let burst = per_second.max(1);
        Self {
            every: Duration::from_secs(1) / burst,
            burst,
            paid_until: None,
        }
    }

    /// Books one more, which is to begin after the time that is given back; `None` if that would be later than `most`.
    pub(crate) fn book(&mut self, now: Instant, most: Duration) -> Option<Duration> {
        let paid = self.paid_until.map_or(now, |paid| paid.max(now)) + self.every;
        let wait = paid
            .saturating_duration_since(now)
            .saturating_sub(self.every * self.burst);
        if wait > most {
            return None;
        }
        self.paid_until = Some(paid);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Pace;
    use crate::limits::DIALS_PER_SECOND;

    #[test]
    fn after_a_pause_many_begin_at_once_and_then_one_after_the_other() {
        let (mut pace, start) = (Pace::new(DIALS_PER_SECOND), Instant::now());
        let mut book = |at| pace.book(at, Duration::MAX).unwrap();
        for _ in 0..DIALS_PER_SECOND {
            assert_eq!(book(start), Duration::ZERO);
        }
        let waits: Vec<Duration> = (0..DIALS_PER_SECOND).map(|_| book(start)).collect();
        assert!(waits[0] > Duration::from_millis(30) && waits.is_sorted());
        let last = *waits.last().unwrap();
        assert!(last > Duration::from_millis(990) && last <= Duration::from_secs(1));
        // Two seconds later all of them have begun, and it begins anew.
        let later = start + Duration::from_secs(2);
        assert_eq!(book(later), Duration::ZERO);
    }

    #[test]
    fn nobody_books_behind_more_than_it_may_wait_for() {
        let (mut pace, start) = (Pace::new(DIALS_PER_SECOND), Instant::now());
        let second = Duration::from_secs(1);
        let booked = (0..1_000).filter(|_| pace.book(start, second).is_some());
        assert!((59..=60).contains(&booked.count()), "a burst and a second");
        // Whoever has more patience comes right behind them, and what was refused cost nothing.
        let wait = pace.book(start, 30 * second).unwrap();
        assert!(wait <= second + second / 15, "{wait:?}");
    }

    #[test]
    fn over_any_time_no_more_begin_than_the_pace_and_one_burst() {
        let (mut pace, start) = (Pace::new(10), Instant::now());
        let begin = |ms: u64, pace: &mut Pace| {
            let now = start + Duration::from_millis(ms);
            now + pace.book(now, Duration::MAX).unwrap()
        };
        let begun: Vec<Instant> = (0..500).map(|n| begin(n * 7, &mut pace)).collect();
        for (at, from) in begun.iter().enumerate() {
            let within = begun[at..]
                .iter()
                .take_while(|b| **b < *from + Duration::from_secs(2));
            assert!(within.count() <= 31);
        }
    }
}
