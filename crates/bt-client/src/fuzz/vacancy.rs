//! How many peers are dialed before others get the places, against the same rule written down the slow way.

use std::time::{Duration, Instant};

use crate::engine::parts::Vacancy;

/// Places of a torrent.
const PLACES: [usize; 8] = [0, 1, 4, 9, 20, 39, 200, 1 << 40];

/// How much later it is, in milliseconds.
const PAUSES: [u64; 8] = [0, 1, 249, 250, 251, 1_000, 59_000, 100_000_000];

/// Steps after which the limit is as high as it gets: from a fifth to three fifths, by a twentieth each; places that
/// cannot be divided by twenty take a few more.
const MOST_STEPS: usize = 20;

/// A byte is one thing that happens; the first says how many places there are.
///
/// # Panics
/// If more or fewer are dialed than the rule says; if the limit falls without a caller; if it is looked at for nothing; or
/// if it does not get to its end by itself.
pub fn vacancy(data: &[u8]) {
    let (&first, steps) = data.split_first().unwrap_or((&0, &[]));
    let places = PLACES[usize::from(first & 7)];
    let mut now = Instant::now();
    let mut vacancy = Vacancy::new(now, places);
    let mut book = Book {
        places,
        began: now,
        quiet_since: now,
    };
    book.check(&vacancy, now);
    for &step in steps {
        now += Duration::from_millis(PAUSES[usize::from(step & 7)]);
        let before = vacancy.dial_limit();
        match step >> 3 {
            0..=9 => {
                vacancy.look(now);
                assert!(vacancy.dial_limit() >= before, "nobody called");
            }
            10 => {
                vacancy.begins(now);
                (book.began, book.quiet_since) = (now, now);
            }
            11..=19 => {
                // Just when it is told to be looked at.
                now = vacancy.next_look().map_or(now, |at| at.max(now));
                vacancy.look(now);
            }
            _ => {
                vacancy.called(now);
                book.called(now);
            }
        }
        book.check(&vacancy, now);
    }
    for _ in 0..MOST_STEPS {
        let Some(next) = vacancy.next_look() else {
            break;
        };
        let before = vacancy.dial_limit();
        vacancy.look(next);
        assert!(vacancy.dial_limit() > before, "looked at for nothing");
        book.check(&vacancy, next);
    }
    assert_eq!(vacancy.next_look(), None, "{places} places");
}

struct Book {
    places: usize,
    began: Instant,
    quiet_since: Instant,
}

impl Book {
    /// Callers count for a minute.
    fn called(&mut self, now: Instant) {
        if now - self.began < Duration::from_secs(60) {
            self.quiet_since = now;
        }
    }

    fn check(&self, vacancy: &Vacancy, now: Instant) {
        let percent = |part: u128| self.places as u128 * part / 100;
        let quarters = (now - self.quiet_since).as_millis() / 250;
        let end = percent(60).max(8).min(self.places as u128);
        let rises = percent(20).max(4) + quarters * percent(5).max(1);
        assert_eq!(
            vacancy.dial_limit() as u128,
            rises.min(end).max(1),
            "of {} places after {quarters} quarters of a second",
            self.places
        );
        match vacancy.next_look() {
            Some(next) => assert!(next > now && next - now <= Duration::from_millis(250)),
            None => assert!(rises >= end, "it still rises"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_vacancy", 4, super::vacancy);
    }

    proptest! {
        #[test]
        fn so_many_are_dialed_as_the_rule_says(story in vec(any::<u8>(), 0..80)) {
            super::vacancy(&story);
        }
    }
}
