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
mod tests;
