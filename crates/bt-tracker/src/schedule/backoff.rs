//! How long a failing tracker is left alone.

use std::time::Duration;

use super::Problem;
use crate::RetryIn;
use crate::limits::{BACKOFF_REFUSED, BACKOFF_UNREACHABLE, MAX_BACKOFF, MAX_RETRY_IN};
use crate::seed::Numbers;

/// When to try again after the `failures`-th failure in a row; `None` means never.
///
/// The wait doubles up to [`MAX_BACKOFF`] and varies by a quarter in both directions, so that the
/// peers of a tracker that comes back do not all return in the same second. What the tracker says
/// itself (BEP 31) wins.
pub(super) fn wait(problem: &Problem, failures: u32, numbers: &mut Numbers) -> Option<Duration> {
    match problem.retry_in {
        Some(RetryIn::Never) => return None,
        Some(RetryIn::Minutes(minutes)) => {
            let wait = Duration::from_secs(u64::from(minutes.max(1)) * 60);
            return Some(wait.min(MAX_RETRY_IN));
        }
        None => {}
    }
    let first = if problem.refused {
        BACKOFF_REFUSED
    } else {
        BACKOFF_UNREACHABLE
    };
    let doublings = failures.saturating_sub(1).min(16);
    let wait = first.saturating_mul(1 << doublings).min(MAX_BACKOFF);
    let percent = 75 + u32::try_from(numbers.below(51)).unwrap_or(0);
    Some(wait * percent / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(retry_in: Option<RetryIn>, refused: bool) -> Problem {
        Problem {
            retry_in,
            refused,
            ..Problem::new("x")
        }
    }

    #[test]
    fn waits_double_up_to_the_limit_and_vary_by_a_quarter() {
        let mut numbers = Numbers::new(7);
        for (refused, first) in [(false, BACKOFF_UNREACHABLE), (true, BACKOFF_REFUSED)] {
            for failures in [0, 1, 2, 3, 5, 9, 10, 17, 40, u32::MAX] {
                let middle = first
                    .saturating_mul(1 << failures.saturating_sub(1).min(16))
                    .min(MAX_BACKOFF);
                for _ in 0..50 {
                    let wait = wait(&problem(None, refused), failures, &mut numbers).unwrap();
                    assert!(
                        wait >= middle * 3 / 4 && wait <= middle * 5 / 4,
                        "{failures} {wait:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_trackers_own_wish_wins() {
        let mut numbers = Numbers::new(7);
        for (retry_in, expected) in [
            (RetryIn::Never, None),
            (RetryIn::Minutes(0), Some(Duration::from_secs(60))),
            (RetryIn::Minutes(5), Some(Duration::from_secs(300))),
            (RetryIn::Minutes(u32::MAX), Some(MAX_RETRY_IN)),
        ] {
            assert_eq!(
                wait(&problem(Some(retry_in), true), 3, &mut numbers),
                expected
            );
        }
    }
}
