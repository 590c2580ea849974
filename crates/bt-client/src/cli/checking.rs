//! Which `checking` events of a check are told: the first, the last, and one a second in between. Pure: `now` comes in,
//! and it must not know what is checked.

use std::time::{Duration, Instant};

/// How often events come while a check goes on.
const EVERY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Checking {
    told: Option<Told>,
    /// Bytes of the check that goes on or was the last, once they are known.
    total: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    at: Instant,
    done: u64,
    total: u64,
}

impl Checking {
    /// Whether this is to be told; it then counts as told.
    pub(crate) fn is_due(&mut self, now: Instant, done: u64, total: u64) -> bool {
        self.total = Some(total);
        let is_due = self.told.is_none_or(|told| {
            let is_same = (done, total) == (told.done, told.total);
            let begins_or_ends = done == total || done < told.done || total != told.total;
            let is_time = now.saturating_duration_since(told.at) >= EVERY;
            !is_same && (begins_or_ends || is_time)
        });
        if is_due {
            let at = now;
            self.told = Some(Told { at, done, total });
        }
        is_due
    }

    /// The check is of so many bytes.
    pub(crate) fn is_of(&mut self, total: u64) {
        self.total = Some(total);
    }

    /// The check has ended after so many bytes were hashed; gives its size if there was anything to check. What was
    /// never written needs no hashing, and counts in the size all the same.
    pub(crate) fn end(&self, hashed: u64) -> Option<u64> {
        let is_open = self.told.is_some_and(|told| told.done < told.total);
        (is_open || hashed > 0).then(|| self.total.unwrap_or(hashed))
    }
}

#[cfg(test)]
mod tests {
    use super::{Checking, EVERY};
    use std::time::Instant;

    #[test]
    fn a_check_is_told_first_last_and_once_a_second() {
        let start = Instant::now();
        let mut checking = Checking::default();
        assert_eq!(checking.end(0), None);
        assert_eq!(checking.end(7), Some(7));
        let table = [
            (0, 0, 100, true),
            (0, 0, 100, false),
            (1, 30, 100, false),
            (2, 60, 100, true),
            (3, 90, 100, false),
            (3, 100, 100, true),
            (9, 100, 100, false),
            // Another check.
            (9, 5, 100, true),
            (9, 5, 7, true),
        ];
        for (half, done, total, due) in table {
            let now = start + EVERY * half / 2;
            assert_eq!(checking.is_due(now, done, total), due, "{half} {done}");
        }
        assert_eq!(checking.end(0), Some(7));
    }

    #[test]
    fn a_check_between_two_looks_ends_with_its_whole_size() {
        let mut checking = Checking::default();
        checking.is_of(100);
        assert_eq!(checking.end(30), Some(100));
        assert!(checking.is_due(Instant::now(), 100, 100));
        assert_eq!(checking.end(0), None);
    }
}
