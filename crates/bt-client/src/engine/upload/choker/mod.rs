//! Whom to upload to: the ten-second round of tit-for-tat, the optimistic unchoke, and the seed's rotation (BEP 3).
//!
//! Plain data in, plain data out; it must not know connections, pieces, or the torrent.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use crate::engine::PeerKey;
use crate::engine::rng::Rng;
use crate::limits::OPTIMISTIC_ROUND;

/// Bytes per second below which a rate is only what a meter remembers: nothing has come for a minute or more.
pub(crate) const NO_RATE: f64 = 1.0;

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
        // Those that give nothing get what the others leave, and take turns: when nobody gives anything, which is so for
        // hours where nobody has what we lack, whoever came first must not keep the slots from all others. Those that
        // leave our requests unanswered come last; no slot is kept empty.
        interested.sort_by(|a, b| {
            let rank = |c: &ChokeCandidate| match (c.snubbing, c.rate < NO_RATE) {
                (false, false) => 0u8,
                (false, true) => 1,
                (true, _) => 2,
            };
            let within = match rank(a) {
                0 => b.rate.total_cmp(&a.rate),
                _ => by_turn(now, a, b),
            };
            let order = rank(a).cmp(&rank(b)).then(within);
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
        // Of those who have a slot the fastest come first.
        interested.sort_by(|a, b| {
            let (turn_a, turn_b) = (turn(now, a), turn(now, b));
            let within = match turn_a {
                Turn::Waits => a.waiting_since.cmp(&b.waiting_since),
                Turn::Lasts | Turn::IsOver => b.rate.total_cmp(&a.rate),
            };
            turn_a.cmp(&turn_b).then(within).then(a.peer.cmp(&b.peer))
        });
        interested.into_iter().take(slots).map(|c| c.peer).collect()
    }
}

/// How it stands with a peer's turn, in the order in which slots are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// It has a slot, and has not had it for long.
    Lasts,
    Waits,
    IsOver,
}

fn turn(now: Instant, candidate: &ChokeCandidate) -> Turn {
    match candidate.unchoked_since {
        None => Turn::Waits,
        Some(at) if now.saturating_duration_since(at) < OPTIMISTIC_ROUND => Turn::Lasts,
        Some(_) => Turn::IsOver,
    }
}

/// By turn: of those who wait whoever has waited longest comes first, of those who have a slot whoever got it last.
fn by_turn(now: Instant, a: &ChokeCandidate, b: &ChokeCandidate) -> Ordering {
    let by_wait = a.waiting_since.cmp(&b.waiting_since);
    let by_slot = b.unchoked_since.cmp(&a.unchoked_since);
    turn(now, a)
        .cmp(&turn(now, b))
        .then(if a.unchoked_since.is_none() {
            by_wait
        } else {
            by_slot
        })
}

#[cfg(test)]
mod tests;
