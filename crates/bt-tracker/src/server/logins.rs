//! How often a source may show a wrong token: so many times a minute, in a table that never grows
//! beyond its bound. The right one is always welcome.
//!
//! Pure: moments come in. A source is an IPv4 address or the /64 of an IPv6 address. Must not know
//! HTTP, nor what the token is for.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::limits::{LOGINS_PER_MINUTE, MAX_LOGIN_SOURCES};

/// How long a failure counts.
const MINUTE: Duration = Duration::from_secs(60);

/// What comes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Welcome,
    Wrong,
    /// Wrong, and one too many: so is any other wrong one before this time has passed.
    Wait(Duration),
}

/// The failures of all sources.
#[derive(Debug)]
pub(super) struct Logins {
    /// At most `most`, each with at least one failure and at most [`LOGINS_PER_MINUTE`], the oldest
    /// first.
    failures: HashMap<u128, VecDeque<Instant>>,
    most: usize,
}

impl Default for Logins {
    fn default() -> Self {
        Self::new(MAX_LOGIN_SOURCES)
    }
}

impl Logins {
    /// Remembers as many sources.
    pub(super) fn new(most: usize) -> Self {
        Self {
            failures: HashMap::new(),
            most,
        }
    }

    /// Judges an attempt whose token is right or not. The right one passes however often its source
    /// has failed: a source is no person, and whoever shares the address of the operator, or a
    /// script that has an old token, must not keep the operator out. So this bounds what wrong ones
    /// cost and tells who sends them; that a token is not guessed rests on its length.
    pub(super) fn judge(&mut self, source: IpAddr, is_right: bool, now: Instant) -> Verdict {
        if is_right {
            return Verdict::Welcome;
        }
        let source = network(source);
        if let Some(failures) = self.failures.get_mut(&source) {
            while failures.front().is_some_and(|at| is_over(*at, now)) {
                failures.pop_front();
            }
            if failures.len() >= LOGINS_PER_MINUTE
                && let Some(oldest) = failures.front()
            {
                let passed = now.saturating_duration_since(*oldest);
                return Verdict::Wait(MINUTE.saturating_sub(passed));
            }
        }
        self.make_room_for(source, now);
        self.failures.entry(source).or_default().push_back(now);
        Verdict::Wrong
    }

    /// How many sources are remembered.
    #[cfg(any(test, feature = "fuzz"))]
    pub(super) fn sources(&self) -> usize {
        self.failures.len()
    }

    fn make_room_for(&mut self, source: u128, now: Instant) {
        if self.failures.len() < self.most || self.failures.contains_key(&source) {
            return;
        }
        let is_late =
            |failures: &VecDeque<Instant>| failures.back().is_none_or(|at| is_over(*at, now));
        self.failures.retain(|_, failures| !is_late(failures));
        if self.failures.len() < self.most {
            return;
        }
        let last = |(_, failures): &(&u128, &VecDeque<Instant>)| failures.back().copied();
        let quietest = self.failures.iter().min_by_key(last);
        if let Some(quietest) = quietest.map(|(source, _)| *source) {
            self.failures.remove(&quietest);
        }
    }
}

fn is_over(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) >= MINUTE
}

fn network(source: IpAddr) -> u128 {
    match source.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Wait, Welcome, Wrong};
    use super::*;

    fn ip(n: usize) -> IpAddr {
        IpAddr::from(u32::try_from(n).unwrap().to_be_bytes())
    }

    #[test]
    fn so_many_wrong_tokens_a_minute_and_the_right_one_is_welcome_all_the_same() {
        let (mut logins, start) = (Logins::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for n in 0..LOGINS_PER_MINUTE as u64 {
            assert_eq!(logins.judge(ip(1), true, at(n)), Welcome, "{n} failures");
            assert_eq!(logins.judge(ip(1), false, at(n)), Wrong, "{n} failures");
        }
        for _ in 0..3 {
            let verdict = logins.judge(ip(1), false, at(10));
            assert_eq!(verdict, Wait(Duration::from_secs(50)));
            // A neighbor who guesses, or a script with an old token, keeps nobody out.
            assert_eq!(logins.judge(ip(1), true, at(10)), Welcome);
        }
        assert_eq!(logins.judge(ip(2), false, at(10)), Wrong, "another one");
        let nearly = at(60) - Duration::from_nanos(1);
        let verdict = logins.judge(ip(1), false, nearly);
        assert_eq!(verdict, Wait(Duration::from_nanos(1)));
        // The first failure is a minute old, and what had to wait counts for nothing.
        assert_eq!(logins.judge(ip(1), false, at(60)), Wrong);
        let verdict = logins.judge(ip(1), false, at(60));
        assert_eq!(verdict, Wait(Duration::from_secs(1)));
    }

    #[test]
    fn an_ipv6_source_is_a_network_and_a_mapped_address_is_that_of_ipv4() {
        let now = Instant::now();
        let mut logins = Logins::default();
        let neighbor = |net, n| IpAddr::from([0x2001, 0xdb8, 0, net, 0, 0, 0, n]);
        for n in 0..LOGINS_PER_MINUTE {
            let n = u16::try_from(n).unwrap();
            assert_eq!(logins.judge(neighbor(1, n), false, now), Wrong);
        }
        assert_eq!(logins.judge(neighbor(1, 99), false, now), Wait(MINUTE));
        assert_eq!(logins.judge(neighbor(2, 1), false, now), Wrong);
        for _ in 0..LOGINS_PER_MINUTE {
            logins.judge("::ffff:192.0.2.1".parse().unwrap(), false, now);
        }
        let plain = logins.judge([192, 0, 2, 1].into(), false, now);
        assert_eq!(plain, Wait(MINUTE));
    }

    #[test]
    fn so_many_sources_are_remembered_and_who_has_waited_longest_makes_room() {
        let (mut logins, start) = (Logins::default(), Instant::now());
        let at = |milliseconds: usize| start + Duration::from_millis(milliseconds as u64);
        for n in 0..MAX_LOGIN_SOURCES {
            for _ in 0..LOGINS_PER_MINUTE {
                assert_eq!(logins.judge(ip(n), false, at(n)), Wrong);
            }
        }
        assert_eq!(logins.sources(), MAX_LOGIN_SOURCES);
        let now = at(MAX_LOGIN_SOURCES);
        let waits = |logins: &mut Logins, n| matches!(logins.judge(ip(n), false, now), Wait(_));
        assert!(waits(&mut logins, 0), "at the limit");
        // The right token of somebody new takes no place.
        assert_eq!(logins.judge(ip(MAX_LOGIN_SOURCES), true, now), Welcome);
        assert!(waits(&mut logins, 0));
        assert_eq!(logins.judge(ip(MAX_LOGIN_SOURCES), false, now), Wrong);
        assert_eq!(logins.sources(), MAX_LOGIN_SOURCES);
        assert!(waits(&mut logins, 1));
        assert_eq!(logins.judge(ip(0), false, now), Wrong, "one above");
        assert_eq!(logins.sources(), MAX_LOGIN_SOURCES);
        // A minute later nobody has to make room.
        let later = now + MINUTE;
        assert_eq!(logins.judge(ip(MAX_LOGIN_SOURCES + 1), false, later), Wrong);
        assert_eq!(logins.sources(), 1);
    }
}
