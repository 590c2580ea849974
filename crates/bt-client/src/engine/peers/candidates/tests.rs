//! Addresses that answer, fail, send us away, and wait for their turn.

use super::{Candidates, Ended, Source};
use crate::engine::rng::Rng;
use crate::limits::{
    DIAL_BACKOFF, MAX_BACKOFF_IN_VAIN, MAX_CANDIDATES, MAX_DIAL_BACKOFF, MAX_DIAL_FAILURES,
    MAX_OWN_ADDRESSES,
};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

fn addr(n: u32) -> SocketAddr {
    SocketAddr::from(((0x0a00_0000 + n).to_be_bytes(), 6881))
}

#[test]
fn each_candidate_gets_its_turn_and_backs_off_when_it_fails() {
    let now = Instant::now();
    let mut candidates = Candidates::new(MAX_CANDIDATES, Rng::new(1));
    assert!(candidates.add(addr(1), Source::Tracker));
    assert!(candidates.add(addr(2), Source::Tracker));
    assert!(!candidates.add(addr(2), Source::Tracker));
    let both = [candidates.next(now, false), candidates.next(now, false)];
    assert!(
        both.contains(&Some(addr(1))) && both.contains(&Some(addr(2))),
        "{both:?}"
    );
    assert_eq!(candidates.dialing(), 2);
    candidates.failed(now, addr(1));
    candidates.connected(addr(2));
    assert_eq!(candidates.dialing(), 0);
    assert_eq!(candidates.next(now, false), None);
    assert_eq!(candidates.next_due(false), Some(now + DIAL_BACKOFF));
    assert_eq!(candidates.next(now + DIAL_BACKOFF, false), Some(addr(1)));
}

#[test]
fn two_torrents_dial_the_same_addresses_in_different_orders() {
    let order = |seed| {
        let mut candidates = Candidates::new(MAX_CANDIDATES, Rng::new(seed));
        for n in 1..50 {
            candidates.add(addr(n), Source::Tracker);
        }
        let now = Instant::now();
        std::iter::from_fn(|| candidates.next(now, false)).collect::<Vec<_>>()
    };
    let (one, other) = (order(1), order(2));
    assert_eq!((one.len(), other.len()), (49, 49));
    assert_ne!(one[..5], other[..5]);
    assert_eq!(order(1), one);
}

#[test]
fn a_candidate_that_always_fails_is_forgotten() {
    let mut now = Instant::now();
    let mut candidates = Candidates::new(MAX_CANDIDATES, Rng::new(1));
    candidates.add(addr(1), Source::Tracker);
    for _ in 0..MAX_DIAL_FAILURES {
        assert_eq!(candidates.next(now, false), Some(addr(1)));
        candidates.failed(now, addr(1));
        now += DIAL_BACKOFF * 64;
    }
    assert_eq!(candidates.len(), 0);
}

#[test]
fn the_number_is_bounded_and_impossible_addresses_are_refused() {
    let mut candidates = Candidates::new(MAX_CANDIDATES, Rng::new(1));
    for n in 0..u32::try_from(MAX_CANDIDATES).unwrap() {
        assert!(candidates.add(addr(n), Source::Tracker));
    }
    assert!(!candidates.add(addr(1_000_000), Source::Tracker));
    let mut candidates = Candidates::new(MAX_CANDIDATES, Rng::new(1));
    for bad in [
        "0.0.0.0:1",
        "1.2.3.4:0",
        "224.0.0.1:6881",
        "255.255.255.255:1",
        "[ff02::1]:1",
    ] {
        assert!(
            !candidates.add(bad.parse().unwrap(), Source::Tracker),
            "{bad}"
        );
    }
}

/// A tracker that named as many as there is room for kept out whom the user named.
#[test]
fn what_the_user_names_has_room_in_place_of_what_a_tracker_named() {
    let now = Instant::now();
    let mut candidates = Candidates::new(3, Rng::new(1));
    for n in 1..=3 {
        assert!(candidates.add(addr(n), Source::Tracker));
    }
    let dialed = candidates.next(now, false).unwrap();
    assert!(!candidates.add(addr(4), Source::Tracker));
    assert!(candidates.add(addr(5), Source::User) && candidates.add(addr(6), Source::User));
    // One is being dialed, and what the user named before stays.
    assert!(!candidates.add(addr(7), Source::User));
    let rest: BTreeSet<_> = std::iter::from_fn(|| candidates.next(now, false)).collect();
    assert_eq!(rest, BTreeSet::from([addr(5), addr(6)]));
    assert!(candidates.being_dialed().any(|one| one == dialed));
    assert_eq!(candidates.len(), 3);

    // Also one that a tracker has named before.
    let mut candidates = Candidates::new(2, Rng::new(1));
    assert!(candidates.add(addr(1), Source::Tracker) && candidates.add(addr(2), Source::Tracker));
    assert!(!candidates.add(addr(1), Source::User) && candidates.add(addr(3), Source::User));
    let rest: BTreeSet<_> = std::iter::from_fn(|| candidates.next(now, false)).collect();
    assert_eq!(rest, BTreeSet::from([addr(1), addr(3)]));
}

/// Whoever calls us under ever more addresses of ours must not fill our memory.
#[test]
fn so_many_addresses_of_ours_are_remembered() {
    let most = u32::try_from(MAX_OWN_ADDRESSES).unwrap();
    let mut candidates = Candidates::new(MAX_CANDIDATES, Rng::new(1));
    for n in 1..=most + 1 {
        candidates.is_ours(addr(n));
    }
    assert!(!candidates.add(addr(1), Source::Tracker));
    assert!(!candidates.add(addr(most), Source::Tracker));
    assert!(candidates.add(addr(most + 1), Source::Tracker));
}

#[test]
fn a_seed_does_not_dial_seeds() {
    let now = Instant::now();
    let mut candidates = Candidates::new(MAX_CANDIDATES, Rng::new(1));
    candidates.add(addr(1), Source::Tracker);
    candidates.next(now, true);
    candidates.connected(addr(1));
    let ended = Ended {
        seed: true,
        useful: true,
    };
    candidates.closed(now, addr(1), ended);
    assert_eq!(candidates.next(now + DIAL_BACKOFF * 2, true), None);
    assert_eq!(
        candidates.next(now + DIAL_BACKOFF * 2, false),
        Some(addr(1))
    );
}

#[test]
fn connections_of_no_use_are_tried_less_and_less_often_and_not_forgotten() {
    let mut now = Instant::now();
    let mut candidates = Candidates::new(MAX_CANDIDATES, Rng::new(1));
    candidates.add(addr(1), Source::Tracker);
    let mut round = |candidates: &mut Candidates, useful| {
        assert_eq!(candidates.next(now, false), Some(addr(1)));
        assert_eq!(candidates.next_due(false), None, "it is being dialed");
        candidates.connected(addr(1));
        candidates.closed(
            now,
            addr(1),
            Ended {
                seed: false,
                useful,
            },
        );
        let due = candidates.next_due(false).unwrap();
        let wait = due - now;
        now = due;
        wait
    };
    let waits: Vec<_> = (0..12).map(|_| round(&mut candidates, false)).collect();
    assert_eq!(
        waits[..3],
        [DIAL_BACKOFF, DIAL_BACKOFF * 2, DIAL_BACKOFF * 4]
    );
    assert_eq!(waits[11], MAX_BACKOFF_IN_VAIN);
    assert_eq!(round(&mut candidates, true), DIAL_BACKOFF);
    assert_eq!(round(&mut candidates, false), DIAL_BACKOFF);
}

#[test]
fn an_address_of_the_user_is_tried_for_ever_at_the_longest_wait() {
    let mut now = Instant::now();
    let mut candidates = Candidates::new(MAX_CANDIDATES, Rng::new(1));
    candidates.add(addr(1), Source::User);
    for round in 0..300 {
        assert_eq!(candidates.next(now, false), Some(addr(1)), "round {round}");
        candidates.failed(now, addr(1));
        let due = candidates.next_due(false).unwrap();
        assert!(due > now && due - now <= MAX_DIAL_BACKOFF);
        assert!(round < 5 || due - now == MAX_DIAL_BACKOFF, "round {round}");
        now = due;
    }
}

#[test]
fn who_waits_is_known_whatever_happens_to_them() {
    let now = Instant::now();
    let mut candidates = Candidates::new(MAX_CANDIDATES, Rng::new(1));
    for n in 1..=4 {
        candidates.add(
            addr(n),
            if n == 1 {
                Source::User
            } else {
                Source::Tracker
            },
        );
    }
    let used = |seed| Ended { seed, useful: true };
    while let Some(addr) = candidates.next(now, false) {
        candidates.connected(addr);
    }
    candidates.closed(now, addr(2), used(true));
    assert_eq!(candidates.next_due(true), None, "we would not dial a seed");
    assert!(candidates.next_due(false).is_some());
    candidates.connected(addr(2));
    assert_eq!(candidates.next_due(false), None, "it came by itself");
    candidates.closed(now, addr(2), used(false));
    candidates.failed(now, addr(3));
    candidates.closed(now, addr(1), used(true));
    candidates.forget_ips(|ip| ip == addr(3).ip());
    candidates.clear();
    assert_eq!((candidates.len(), candidates.next_due(true)), (1, None));
    candidates.forget(addr(1));
    assert_eq!(candidates.next_due(false), None);
    assert_eq!(candidates.dialing(), 0);
}
