//! Rounds with peers of all kinds: who gets a slot, who keeps it, whose turn comes.

use super::{ChokeCandidate, Choker, NEWCOMER};
use crate::engine::PeerKey;
use crate::engine::rng::Rng;
use crate::limits::{CHOKE_ROUND, OPTIMISTIC_ROUND};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fn peers(now: Instant, rates: &[f64]) -> Vec<ChokeCandidate> {
    (0u32..)
        .zip(rates)
        .map(|(n, &rate)| ChokeCandidate {
            peer: PeerKey(n),
            interested: true,
            rate,
            snubbing: false,
            unchoked_since: None,
            waiting_since: now,
            joined: now,
        })
        .collect()
}

#[test]
fn the_fastest_get_the_regular_slots_and_one_is_optimistic() {
    let now = Instant::now();
    let candidates = peers(now, &[10.0, 90.0, 50.0, 70.0, 20.0, 1.0]);
    let chosen = Choker::default().round(now, &candidates, false, 4, &mut Rng::new(3));
    assert_eq!(chosen.len(), 4);
    let set: BTreeSet<PeerKey> = chosen.into_iter().collect();
    let fast = [PeerKey(1), PeerKey(3), PeerKey(2)];
    assert!(
        fast.iter().filter(|p| set.contains(p)).count() >= 3,
        "{set:?}"
    );
}

#[test]
fn everyone_is_unchoked_while_slots_are_free_but_not_the_uninterested() {
    let now = Instant::now();
    let mut candidates = peers(now, &[1.0, 2.0, 3.0]);
    candidates[1].interested = false;
    let chosen = Choker::default().round(now, &candidates, false, 4, &mut Rng::new(3));
    assert_eq!(chosen, vec![PeerKey(0), PeerKey(2)]);
}

#[test]
fn a_snubbing_peer_earns_no_regular_slot() {
    let now = Instant::now();
    let mut candidates = peers(now, &[90.0, 5.0, 4.0, 3.0]);
    candidates[0].snubbing = true;
    candidates[0].unchoked_since = Some(now);
    let chosen = Choker::default().round(now, &candidates, false, 2, &mut Rng::new(9));
    assert!(!chosen.contains(&PeerKey(0)), "{chosen:?}");
}

#[test]
fn peers_that_snub_us_take_what_is_left_and_keep_it() {
    let now = Instant::now();
    let mut candidates = peers(now, &[9.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    for candidate in &mut candidates[1..] {
        candidate.snubbing = true;
    }
    let mut choker = Choker::default();
    let first = choker.round(now, &candidates, false, 4, &mut Rng::new(9));
    assert_eq!(first.len(), 4, "no slot stays empty: {first:?}");
    assert!(first.contains(&PeerKey(0)));
    for candidate in &mut candidates {
        if first.contains(&candidate.peer) {
            candidate.unchoked_since = Some(now);
        }
    }
    let later = now + CHOKE_ROUND;
    let second = choker.round(later, &candidates, false, 4, &mut Rng::new(9));
    let (first, second): (BTreeSet<_>, BTreeSet<_>) =
        (first.into_iter().collect(), second.into_iter().collect());
    assert_eq!(
        first, second,
        "and nobody is choked for another one like it"
    );
}

#[test]
fn newcomers_get_the_optimistic_slot_three_times_as_often() {
    let now = Instant::now();
    let mut candidates = peers(now, &[9.0, 8.0, 0.0, 0.0, 0.0, 0.0]);
    for candidate in &mut candidates {
        candidate.joined = now - NEWCOMER;
        // Whoever was choked last is no newcomer.
        candidate.waiting_since = now;
    }
    for candidate in &mut candidates[..2] {
        candidate.unchoked_since = Some(now);
    }
    // It has waited for twenty seconds, the others were choked just now.
    candidates[5].joined = now - CHOKE_ROUND * 2;
    candidates[5].waiting_since = now - CHOKE_ROUND * 2;
    let mut rng = Rng::new(4);
    let lucky = (0..600).filter(|_| {
        let chosen = Choker::default().round(now, &candidates, false, 3, &mut rng);
        chosen.contains(&PeerKey(5))
    });
    let lucky = lucky.count();
    assert!((250..350).contains(&lucky), "{lucky} of 600, expected half");
}

#[test]
fn over_time_every_interested_peer_is_unchoked_by_leech_and_by_seed() {
    for seeding in [false, true] {
        let start = Instant::now();
        let mut candidates = peers(
            start,
            &[90.0, 80.0, 70.0, 60.0, 50.0, 40.0, 30.0, 20.0, 10.0, 5.0],
        );
        let (mut choker, mut rng) = (Choker::default(), Rng::new(1));
        let mut lucky = BTreeSet::new();
        for round in 0..200u32 {
            let now = start + CHOKE_ROUND * round;
            let chosen = choker.round(now, &candidates, seeding, 4, &mut rng);
            assert!(chosen.len() <= 4);
            for c in &mut candidates {
                let unchoked = chosen.contains(&c.peer);
                if unchoked {
                    lucky.insert(c.peer);
                    c.unchoked_since.get_or_insert(now);
                } else if c.unchoked_since.take().is_some() {
                    c.waiting_since = now;
                }
            }
        }
        assert_eq!(lucky.len(), 10, "seeding: {seeding}");
    }
}

/// The nineteen that came first kept their slots for ever, whether they took anything or not.
#[test]
fn while_nobody_gives_anything_everyone_gets_as_much_time_as_the_others() {
    let start = Instant::now();
    let mut candidates = peers(start, &[0.0; 50]);
    // What a meter remembers is no rate.
    candidates[0].rate = 0.5;
    // These have left requests unanswered, and wait for what the others leave: nothing.
    candidates[48].snubbing = true;
    candidates[49].snubbing = true;
    let (mut choker, mut rng) = (Choker::default(), Rng::new(1));
    let mut served = [0; 50];
    for round in 0..360u32 {
        let now = start + CHOKE_ROUND * round;
        let chosen = choker.round(now, &candidates, false, 20, &mut rng);
        assert_eq!(chosen.len(), 20);
        for (c, served) in candidates.iter_mut().zip(&mut served) {
            if chosen.contains(&c.peer) {
                *served += 1;
                c.unchoked_since.get_or_insert(now);
            } else if let Some(since) = c.unchoked_since.take() {
                assert!(now - since >= OPTIMISTIC_ROUND, "no turn is cut short");
                c.waiting_since = now;
            }
        }
    }
    // An hour of twenty slots for forty-eight is 25 minutes for each.
    let (least, most) = (served[..48].iter().min(), served[..48].iter().max());
    assert!(least >= Some(&100) && most <= Some(&200), "{served:?}");
}

#[test]
fn the_optimistic_peer_keeps_its_slot_for_thirty_seconds() {
    let now = Instant::now();
    let candidates = peers(now, &[9.0, 8.0, 7.0, 0.0, 0.0, 0.0, 0.0]);
    let (mut choker, mut rng) = (Choker::default(), Rng::new(5));
    choker.round(now, &candidates, false, 4, &mut rng);
    let first = choker.optimistic;
    choker.round(
        now + OPTIMISTIC_ROUND - Duration::from_secs(1),
        &candidates,
        false,
        4,
        &mut rng,
    );
    assert_eq!(choker.optimistic, first);
}
