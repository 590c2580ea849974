//! What is revealed, found in the plain way: all peers are looked at each time, whatever has changed. It takes too long to
//! be used, and says what is right.
//!
//! It must not use the orders of the roll.

use std::time::Instant;

use bt_metainfo::PieceIndex;

use super::{LEAST_WINDOW, Listener, Spread, WINDOW};
use crate::engine::PeerKey;
use crate::limits::{MAX_TOLD_AT_ONCE, MAX_TOLD_TO_ONE};

/// Whoever waits for a piece: what it is owed, and how many had been shown when it was last told one.
type Waiting<'a, 'b> = (f64, u64, &'a Listener<'b>);

impl Spread {
    /// What [`reveal`](Self::reveal) does, with `listeners` in the order of their keys.
    pub(crate) fn reveal_plainly(
        &mut self,
        now: Instant,
        listeners: &[Listener<'_>],
        availability: impl Fn(PieceIndex) -> u32,
    ) -> Vec<(PeerKey, PieceIndex)> {
        (self.is_due, self.left_since) = (false, 0);
        let mut back = Vec::new();
        for listener in listeners {
            let pupil = self.roll.get(listener.key);
            if pupil.is_some_and(|pupil| !pupil.deaf && pupil.is_stalled(now, listener.interested))
            {
                let offered = listener.interested.then_some(now);
                back.extend(self.roll.deafen(listener.key, offered));
            }
        }
        for piece in back {
            self.take_back(piece, &availability);
        }
        let alone = self.roll.len() == 1;
        let rates: f64 = listeners.iter().map(|listener| listener.rate).sum();
        let window = (rates * WINDOW).max(LEAST_WINDOW);
        let holds_up = |l: &Listener<'_>| Some(self.roll.get(l.key)?.holds_up(now, l.rate));
        let mut under_way: f64 = listeners.iter().filter_map(holds_up).sum();
        let mut out = Vec::new();
        self.offer_plainly(now, listeners, &mut out);
        for hoarders in [false, true] {
            let mut waiting = self.waiting(listeners, alone, hoarders);
            while (alone || under_way < window)
                && out.len() < MAX_TOLD_AT_ONCE
                && let Some(at) = first(&waiting)
            {
                let (_, _, listener) = waiting[at];
                let Some(piece) = self.piece_for(now, listener, alone, &availability) else {
                    waiting.swap_remove(at);
                    continue;
                };
                let size = self.tell(now, listener.key, piece);
                under_way += size;
                out.push((listener.key, piece));
                if self.roll.may_be_told(listener, alone, hoarders) {
                    waiting[at].0 += size;
                    waiting[at].1 = self.turns;
                } else {
                    waiting.swap_remove(at);
                }
            }
        }
        out
    }

    fn offer_plainly(
        &mut self,
        now: Instant,
        listeners: &[Listener<'_>],
        out: &mut Vec<(PeerKey, PieceIndex)>,
    ) {
        let is_first = |listener: &Listener<'_>| Some(listener.key) >= self.offer_first;
        let first = listeners.iter().position(is_first).unwrap_or(0);
        let (last, next) = listeners.split_at(first);
        self.is_offering = false;
        for listener in next.iter().chain(last) {
            let most = MAX_TOLD_AT_ONCE.saturating_sub(out.len());
            if most == 0 {
                (self.offer_first, self.is_offering) = (Some(listener.key), true);
                return;
            }
            let offer = self.offer(now, listener, most.min(MAX_TOLD_TO_ONE));
            out.extend(offer.into_iter().map(|piece| (listener.key, piece)));
        }
    }

    fn waiting<'a, 'b>(
        &self,
        listeners: &'a [Listener<'b>],
        alone: bool,
        hoarders: bool,
    ) -> Vec<Waiting<'a, 'b>> {
        let may = |listener: &&Listener<'_>| self.roll.may_be_told(listener, alone, hoarders);
        let waiting = listeners.iter().filter(may).filter_map(|listener| {
            let pupil = self.roll.get(listener.key)?;
            Some((pupil.owed(), pupil.told.1, listener))
        });
        waiting.collect()
    }

    /// Whether the books are the same, but for who was found not to listen.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let mut other = other.clone();
        for (key, pupil) in self.roll.all() {
            other.roll.change(key, |its| its.listens = pupil.listens);
        }
        *self == other
    }
}

/// The least of `waiting`.
fn first(waiting: &[Waiting<'_, '_>]) -> Option<usize> {
    let order = |a: &usize, b: &usize| {
        let (a, b) = (&waiting[*a], &waiting[*b]);
        a.0.total_cmp(&b.0)
            .then((a.1, a.2.key).cmp(&(b.1, b.2.key)))
    };
    (0..waiting.len()).min_by(order)
}
