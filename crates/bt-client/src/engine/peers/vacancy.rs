//! How many peers we have before we stop to dial: the other places are for those who come later and dial us.
//!
//! Where all dial until they are full, those who begin together fill each other's places, and whoever comes later finds
//! room only with those who come as late: the swarm becomes a chain in the order of arrival, and every piece has to
//! travel along it. So we dial a few at first, and more with each moment in which nobody calls. It must not know who is
//! connected.

use std::time::{Duration, Instant};

/// Peers that are dialed at once, as a part of the places: a fifth of them leaves room for four times as many callers as
/// each newcomer dials, so that places last also with those who came early.
const AT_ONCE: usize = 5;

/// How long nobody must have called for the limit to rise, each time: whole fleets begin within less, and who is alone
/// does not wait for long.
const STEP: Duration = Duration::from_millis(250);

/// By how much, as a part of the places.
const EACH_STEP: usize = 20;

/// Up to which part of the places we dial in the end, in percent: others have to find room with us at any time.
const IN_THE_END: usize = 60;

/// For how long callers keep the limit low: whoever calls without end must not keep us from dialing others for good.
const MOST_KEPT: Duration = Duration::from_secs(60);

/// Peers that are dialed whatever the places are, at once and in the end: few peers are worse than an island.
const ALWAYS_AT_ONCE: usize = 4;
const ALWAYS_IN_THE_END: usize = 8;

/// See the module.
#[derive(Debug)]
pub(crate) struct Vacancy {
    places: usize,
    began: Instant,
    /// Nobody has called since.
    quiet_since: Instant,
    limit: usize,
    /// When it rises, if it does.
    next_look: Option<Instant>,
}

impl Vacancy {
    /// Of so many `places`; from `now` on callers may come.
    pub(crate) fn new(now: Instant, places: usize) -> Self {
        let mut vacancy = Self {
            places,
            began: now,
            quiet_since: now,
            limit: 0,
            next_look: None,
        };
        vacancy.look(now);
        vacancy
    }

    /// Peers, among them those who are being dialed, up to which another one is dialed: at least 1, at most the places.
    pub(crate) fn dial_limit(&self) -> usize {
        self.limit
    }

    /// From now on others may know of us.
    pub(crate) fn begins(&mut self, now: Instant) {
        (self.began, self.quiet_since) = (now, now);
        self.look(now);
    }

    /// Somebody dialed us and was let in.
    pub(crate) fn called(&mut self, now: Instant) {
        if now.saturating_duration_since(self.began) < MOST_KEPT {
            self.quiet_since = now;
        }
        self.look(now);
    }

    /// When the limit rises, if nobody calls until then.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        self.next_look
    }

    /// Time has passed.
    pub(crate) fn look(&mut self, now: Instant) {
        let quiet = now.saturating_duration_since(self.quiet_since);
        let steps = usize::try_from(quiet.as_millis() / STEP.as_millis()).unwrap_or(usize::MAX);
        let at_once = (self.places / AT_ONCE).max(ALWAYS_AT_ONCE);
        let end = (self.places.saturating_mul(IN_THE_END) / 100).max(ALWAYS_IN_THE_END);
        let end = end.min(self.places);
        let more = steps.saturating_mul((self.places / EACH_STEP).max(1));
        self.next_look = (at_once.saturating_add(more) < end).then(|| {
            let step = u32::try_from(steps).unwrap_or(u32::MAX).saturating_add(1);
            self.quiet_since + STEP.saturating_mul(step)
        });
        self.limit = at_once.saturating_add(more).min(end).max(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{MOST_KEPT, Vacancy};

    #[test]
    fn a_fifth_is_dialed_at_once_and_more_while_nobody_calls() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut vacancy = Vacancy::new(start, 200);
        assert_eq!(vacancy.dial_limit(), 40);
        for (millis, limit) in [(249, 40), (250, 50), (900, 70), (3_600_000, 120)] {
            vacancy.look(after(millis));
            assert_eq!(vacancy.dial_limit(), limit, "after {millis} ms");
        }
        assert_eq!(vacancy.next_look(), None, "it is as high as it gets");
        vacancy.called(after(3_600_500));
        assert_eq!(
            vacancy.dial_limit(),
            120,
            "callers do not lower it for ever"
        );
    }

    #[test]
    fn places_are_kept_as_long_as_callers_come_and_not_for_ever() {
        let start = Instant::now();
        let mut vacancy = Vacancy::new(start, 200);
        let begins = start + Duration::from_secs(5);
        vacancy.look(begins);
        assert_eq!(vacancy.dial_limit(), 120);
        vacancy.begins(begins);
        let mut now = begins;
        while now < begins + MOST_KEPT {
            vacancy.called(now);
            assert_eq!(vacancy.dial_limit(), 40);
            now += Duration::from_millis(200);
        }
        for _ in 0..8 {
            vacancy.called(vacancy.next_look().unwrap());
        }
        assert_eq!((vacancy.dial_limit(), vacancy.next_look()), (120, None));
    }

    #[test]
    fn of_few_places_most_are_dialed_and_of_none_too_many() {
        let start = Instant::now();
        let late = start + Duration::from_secs(60);
        let limits = |places| {
            let mut vacancy = Vacancy::new(start, places);
            let at_once = vacancy.dial_limit();
            vacancy.look(late);
            (at_once, vacancy.dial_limit())
        };
        assert_eq!(limits(0), (1, 1));
        assert_eq!(limits(1), (1, 1));
        assert_eq!(limits(4), (4, 4));
        assert_eq!(limits(8), (4, 8));
        assert_eq!(limits(20), (4, 12));
        let most = usize::MAX;
        let (at_once, end) = limits(most);
        assert!(at_once <= most / 4 && end <= most / 4 * 3);
    }
}
