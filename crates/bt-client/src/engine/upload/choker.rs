//! Whom to upload to: the ten-second round of tit-for-tat, the optimistic unchoke, and the seed's rotation (BEP 3).
//!
//! Plain data in, plain data out; it must not know connections, pieces, or the torrent.

use std::time::{Duration, Instant};

use crate::engine::PeerKey;
use crate::engine::rng::Rng;
use crate::limits::OPTIMISTIC_ROUND;

/// How long a peer is a newcomer.
const NEWCOMER: Duration = Duration::from_secs(45);

/// What the choker needs to know of one peer.
#[derive(Debug, Clone)]
pub(crate) struct ChokeCandidate {
    pub(crate) peer: PeerKey,
    /// It wants something of us. Only interested peers take slots.
    pub(crate) interested: bool,
    /// Bytes per second that it sends us while we download, that it takes from us while we seed.
    pub(crate) rate: f64,
    /// It has left our requests unanswered, so it earns no slot but the optimistic one.
    pub(crate) snubbing: bool,
    /// When it was last unchoked, if it is unchoked now.
    pub(crate) unchoked_since: Option<Instant>,
    /// When it was last choked or connected.
    pub(crate) waiting_since: Instant,
    /// When it connected.
    pub(crate) joined: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Choker {
    optimistic: Option<(PeerKey, Instant)>,
}

impl Choker {
    /// The peers to be unchoked from now on, at most `slots`.
    pub(crate) fn round(
        &mut self,
        now: Instant,
        candidates: &[ChokeCandidate],
        seeding: bool,
        slots: usize,
        rng: &mut Rng,
    ) -> Vec<PeerKey> {
        let mut interested: Vec<&ChokeCandidate> =
            candidates.iter().filter(|c| c.interested).collect();
        if interested.len() <= slots {
            self.optimistic = None;
            return interested.into_iter().map(|c| c.peer).collect();
        }
        if seeding {
            return Self::rotate(now, interested, slots);
        }
        let optimistic = self.optimistic(now, &interested, rng);
        interested.retain(|c| Some(c.peer) != optimistic);
        // Those that leave our requests unanswered get what the others leave: no slot is kept empty. Of them, whoever has
        // a slot keeps it, so that nobody is choked and unchoked in turn.
        interested.sort_by(|a, b| {
            let by_rate = b.rate.total_cmp(&a.rate);
            let by_wait = (a.unchoked_since.is_none(), a.waiting_since)
                .cmp(&(b.unchoked_since.is_none(), b.waiting_since));
            let within = if a.snubbing { by_wait } else { by_rate };
            let order = a.snubbing.cmp(&b.snubbing).then(within);
            order.then(a.peer.cmp(&b.peer))
        });
        let regular = slots - usize::from(optimistic.is_some());
        let chosen = interested.into_iter().take(regular).map(|c| c.peer);
        chosen.chain(optimistic).collect()
    }

    /// The peer on the optimistic slot; it moves on every thirty seconds to whoever has waited, by lot.
    fn optimistic(
        &mut self,
        now: Instant,
        interested: &[&ChokeCandidate],
        rng: &mut Rng,
    ) -> Option<PeerKey> {
        if let Some((peer, since)) = self.optimistic
            && now.saturating_duration_since(since) < OPTIMISTIC_ROUND
            && interested.iter().any(|c| c.peer == peer)
        {
            return Some(peer);
        }
        let waiting: Vec<&&ChokeCandidate> = interested
            .iter()
            .filter(|c| c.unchoked_since.is_none())
            .collect();
        // Newcomers have nothing to trade yet: they count three times, as in the original client.
        let lots_of = |c: &ChokeCandidate| {
            let is_new = now.saturating_duration_since(c.joined) < NEWCOMER;
            if is_new { 3 } else { 1 }
        };
        let lots: Vec<PeerKey> = waiting
            .iter()
            .flat_map(|c| std::iter::repeat_n(c.peer, lots_of(c)))
            .collect();
        let peer = *lots.get(rng.below(lots.len()))?;
        self.optimistic = Some((peer, now));
        Some(peer)
    }

    /// A seed gives everyone a turn: peers keep a slot for thirty seconds, then whoever waited longest comes next.
    fn rotate(now: Instant, mut interested: Vec<&ChokeCandidate>, slots: usize) -> Vec<PeerKey> {
        let turn_over = |c: &ChokeCandidate| {
            c.unchoked_since
                .is_some_and(|at| now.saturating_duration_since(at) >= OPTIMISTIC_ROUND)
        };
        // First those whose turn is not over, fastest first; then the waiting, longest first; then those who had theirs.
        interested.sort_by(|a, b| {
            let class = |c: &ChokeCandidate| (c.unchoked_since.is_none(), turn_over(c));
            let rank = |c: &ChokeCandidate| match class(c) {
                (false, false) => 0u8,
                (true, _) => 1,
                (false, true) => 2,
            };
            let (ra, rb) = (rank(a), rank(b));
            let waited = a.waiting_since.cmp(&b.waiting_since);
            let by_class = if ra == 1 && rb == 1 {
                waited
            } else {
                b.rate.total_cmp(&a.rate)
            };
            ra.cmp(&rb).then(by_class).then(a.peer.cmp(&b.peer))
        });
        interested.into_iter().take(slots).map(|c| c.peer).collect()
    }
}

#[cfg(test)]
mod tests {
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
}
