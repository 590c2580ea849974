//! Spreading by an initial seeder (super-seeding, BEP 16): each piece is shown to one peer, which then shows it on.
//!
//! We pretend to have nothing and reveal pieces one by one, different ones to different peers, so that close to one
//! copy leaves us before the swarm holds one. Nothing is revealed to a peer before it has said what it has. What is revealed at any time is little more than what the line carries in
//! a moment: a piece that has the line for itself is whole, and passed on, much sooner than sixteen that share it. A
//! peer that is alone is shown many more ahead: there is nobody to spread to, yet others may come. It must not know
//! connections.

mod audit;
mod pupil;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_metainfo::{Layout, PieceIndex};
use bt_wire::Bitfield;

use self::pupil::{Pending, Pupil};
use crate::engine::PeerKey;
use crate::engine::rng::Rng;
use crate::limits::{MAX_TOLD_AT_ONCE, MAX_TOLD_TO_ONE};

/// What is revealed and has not left yet, in seconds of the rate at which we send: enough to bridge the time until a
/// peer has heard of its next piece and asked for it, and little more.
const WINDOW: f64 = 0.33;

/// Bytes that are revealed at once at least: rates are not known yet, or so low that a piece takes seconds.
const LEAST_WINDOW: f64 = 2.0 * 1024.0 * 1024.0;

/// A peer that has not taken what it was shown for this long no longer holds up the others: only what it takes at its
/// own rate counts.
const HOLD_UP: Duration = Duration::from_secs(1);

/// Bytes revealed to one peer before it has fetched them, at least, and seconds of its present rate.
const AHEAD: f64 = 512.0 * 1024.0;
const AHEAD_SECONDS: f64 = 1.0;

/// The same for a peer that is alone, so that a fast link is filled soon. More would go to one peer before the others
/// have come, and the swarm would wait for that peer to pass it on.
const ALONE_AHEAD: f64 = 4.0 * 1024.0 * 1024.0;
const ALONE_SECONDS: f64 = 2.0;

/// The same as a part of the content: what was revealed to one peer cannot be taken back, and of a small torrent the
/// bytes above may be all of it.
const ALONE_SHARE: f64 = 1.0 / 32.0;

/// Pieces a peer may hold that nobody else has shown, before others come first. A peer that keeps what it takes must not
/// drain us; while the others want nothing, it gets more all the same.
const UNSHARED: usize = 16;

/// A peer that got nothing from others for this long is given pieces again that others have been given: without it, a
/// swarm whose members do not connect to each other would stall. And a peer that took nothing of what it was shown for
/// this long has to do without: its pieces are for others again.
const PATIENCE: Duration = Duration::from_secs(4);

/// A peer that wants nothing of what it was shown says so, by not being interested: after this long it has heard of it,
/// and is offered more.
const UNMOVED: Duration = Duration::from_secs(1);

/// Pieces that such a peer is offered at first, and how many times as many each time after that: it wants few pieces,
/// and to be shown those that it does not want costs a message each.
const FIRST_OFFER: usize = 16;
const MORE_EACH_TIME: usize = 8;

/// What is known elsewhere of a peer that is not a seed.
#[derive(Debug)]
pub(crate) struct Listener<'a> {
    pub(crate) key: PeerKey,
    /// What it has.
    pub(crate) has: &'a Bitfield,
    /// Whether it wants anything of what it was shown.
    pub(crate) interested: bool,
    /// Bytes per second that it gets from us.
    pub(crate) rate: f64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Spread {
    layout: Arc<Layout>,
    /// To how many peers each piece has been given: revealed, and not taken back since.
    reveals: Vec<u16>,
    /// Pieces given to nobody, each once, in random order; taken from the end.
    fresh: Vec<PieceIndex>,
    /// The same as a set.
    is_fresh: Bitfield,
    pupils: BTreeMap<PeerKey, Pupil>,
    /// Pieces shown so far, to anyone.
    turns: u64,
    /// Something has changed by which more may have to be revealed.
    is_due: bool,
    /// Bytes that left since it was last looked at what to reveal.
    left_since: u64,
    /// An offer goes on that was too long for one call.
    is_offering: bool,
    /// Whose turn it is to be offered pieces first, so that those in front do not keep the others waiting.
    offer_first: Option<PeerKey>,
}

/// So many bytes leave before it is looked again at what to reveal: a part of the least that is on its way, so that a
/// seeder that sends ten thousand blocks a second does not look at all peers for each of them.
const LOOK_AFTER: u64 = 128 * 1024;

impl Spread {
    pub(crate) fn new(layout: &Arc<Layout>, rng: &mut Rng) -> Self {
        let mut fresh: Vec<PieceIndex> = layout.pieces().collect();
        rng.shuffle(&mut fresh);
        Self {
            layout: Arc::clone(layout),
            reveals: vec![0; fresh.len()],
            fresh,
            is_fresh: Bitfield::full(layout.piece_count()),
            pupils: BTreeMap::new(),
            turns: 0,
            is_due: true,
            left_since: 0,
            is_offering: false,
            offer_first: None,
        }
    }

    pub(crate) fn joined(&mut self, now: Instant, peer: PeerKey) {
        let pupil = Pupil {
            shown: Bitfield::new(self.layout.piece_count()),
            counted: Bitfield::new(self.layout.piece_count()),
            pending: Vec::new(),
            queued: 0,
            unshared: Vec::new(),
            progress: now,
            moved: now,
            deaf: false,
            offered: (now, 0),
            offering: 0,
            seen: PieceIndex(0),
            told: (now, 0),
            exhausted: false,
        };
        self.pupils.insert(peer, pupil);
    }

    /// `peer` has said what it `has`, for the first time: what nobody has comes before that. It is no less fresh for it, as
    /// `peer` may be slow, or not say the truth.
    pub(crate) fn introduced(&mut self, now: Instant, peer: PeerKey, has: &Bitfield) {
        let Some(pupil) = self.pupils.get_mut(&peer) else {
            return;
        };
        pupil.progress = now;
        pupil.pending.retain(|pending| !has.get(pending.piece));
        // Pieces are taken from the end.
        self.fresh.sort_by_key(|piece| !has.get(*piece));
        self.is_due = true;
    }

    /// `peer`, which `has` these, is gone: what only it was given or had has to be given to another.
    pub(crate) fn left(
        &mut self,
        peer: PeerKey,
        has: &Bitfield,
        availability: impl Fn(PieceIndex) -> u32,
    ) {
        let Some(pupil) = self.pupils.remove(&peer) else {
            return;
        };
        for piece in pupil.counted.iter_ones() {
            self.take_back(piece, &availability);
        }
        for piece in has.iter_and_not(&pupil.counted) {
            self.is_gone(piece, availability(piece));
        }
        self.is_due = true;
    }

    /// One peer fewer has been given `piece`.
    fn take_back(&mut self, piece: PieceIndex, availability: impl Fn(PieceIndex) -> u32) {
        let reveals = &mut self.reveals[piece.0 as usize];
        *reveals = reveals.saturating_sub(1);
        if *reveals == 0 {
            self.is_gone(piece, availability(piece));
        }
    }

    /// If nobody was given `piece` or has it any more, it is as it was at first.
    fn is_gone(&mut self, piece: PieceIndex, availability: u32) {
        let is_given = self.reveals[piece.0 as usize] > 0;
        if !is_given && availability == 0 && self.is_fresh.set(piece) {
            self.fresh.push(piece);
        }
    }

    /// `piece` is given to somebody.
    fn is_given(&mut self, piece: PieceIndex) {
        if self.is_fresh.clear(piece) {
            self.fresh.retain(|fresh| *fresh != piece);
        }
    }

    /// What peers have been shown and do not take is for others again.
    fn give_up_on_stalled(
        &mut self,
        now: Instant,
        listeners: &[Listener<'_>],
        availability: impl Fn(PieceIndex) -> u32,
    ) {
        let mut back = Vec::new();
        for listener in listeners {
            let Some(pupil) = self.pupils.get_mut(&listener.key) else {
                continue;
            };
            if !pupil.deaf && pupil.is_stalled(now, listener.interested) {
                pupil.deaf = true;
                if listener.interested {
                    pupil.offered.0 = now;
                }
                let pending = pupil.pending.drain(..).map(|pending| pending.piece);
                let kept = pending.chain(pupil.unshared.drain(..));
                back.extend(kept.filter(|piece| pupil.counted.clear(*piece)));
            }
        }
        for piece in back {
            self.take_back(piece, &availability);
        }
    }

    /// Deaf peers may want only pieces that they were not shown, those of some files.
    fn offer_to_deaf(
        &mut self,
        now: Instant,
        listeners: &[Listener<'_>],
        out: &mut Vec<(PeerKey, PieceIndex)>,
    ) {
        let first = listeners
            .iter()
            .position(|l| Some(l.key) >= self.offer_first);
        let (last, next) = listeners.split_at(first.unwrap_or(0));
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

    /// A deaf peer is shown more each time, and none of it is kept from others. At most `most` pieces are for now.
    fn offer(&mut self, now: Instant, listener: &Listener<'_>, most: usize) -> Vec<PieceIndex> {
        let Some(pupil) = self.pupils.get_mut(&listener.key) else {
            return Vec::new();
        };
        let (patience, first, factor) = if listener.interested {
            (PATIENCE, 1, 2)
        } else {
            (UNMOVED, FIRST_OFFER, MORE_EACH_TIME)
        };
        let waited = now.saturating_duration_since(pupil.offered.0) >= patience;
        if !pupil.deaf || pupil.exhausted || pupil.queued > 0 {
            pupil.offering = 0;
            return Vec::new();
        }
        if pupil.offering == 0 {
            if !waited {
                return Vec::new();
            }
            pupil.offering = pupil.offered.1.saturating_mul(factor).max(first);
            pupil.offered.1 = pupil.offering;
        }
        let count = pupil.offering.min(most);
        let lacking = |piece: &PieceIndex| !listener.has.get(*piece) && !pupil.shown.get(*piece);
        let unseen = (pupil.seen.0..self.layout.piece_count()).map(PieceIndex);
        let offer: Vec<_> = unseen.filter(lacking).take(count).collect();
        pupil.exhausted = offer.len() < count;
        if let Some(last) = offer.last() {
            pupil.seen = *last;
        }
        pupil.offering -= offer.len();
        if pupil.exhausted {
            pupil.offering = 0;
        }
        self.is_offering |= pupil.offering > 0;
        // The next offer waits from here on.
        pupil.offered.0 = now;
        // They stay with those that are given to nobody: most likely it takes none of them.
        for piece in &offer {
            pupil.shown.set(*piece);
        }
        offer
    }

    /// `peer` says that it has `piece`.
    pub(crate) fn has(
        &mut self,
        now: Instant,
        peer: PeerKey,
        piece: PieceIndex,
        availability: u32,
    ) {
        if let Some(pupil) = self.pupils.get_mut(&peer) {
            if !pupil.shown.get(piece) {
                pupil.progress = now;
            }
            pupil.deaf = false;
            pupil.took(piece);
        }
        self.is_due = true;
        if availability > 1 {
            for pupil in self.pupils.values_mut() {
                pupil.unshared.retain(|unshared| *unshared != piece);
            }
        }
    }

    /// `peer` no longer has `piece`, and `availability` others do.
    pub(crate) fn lost(&mut self, peer: PeerKey, piece: PieceIndex, availability: u32) {
        if let Some(pupil) = self.pupils.get_mut(&peer) {
            pupil.seen = pupil.seen.min(piece);
            pupil.exhausted = false;
        }
        self.is_gone(piece, availability);
        self.is_due = true;
    }

    /// `bytes` of `piece` are queued for `peer`. A piece that is on its way as a whole counts as taken: some clients tell
    /// only much later what they have, and must not be kept waiting for that.
    pub(crate) fn serving(&mut self, now: Instant, peer: PeerKey, piece: PieceIndex, bytes: u32) {
        let Some(pupil) = self.pupils.get_mut(&peer) else {
            return;
        };
        pupil.queued += u64::from(bytes);
        if pupil.deaf {
            (pupil.deaf, pupil.moved) = (false, now);
            self.is_due = true;
        }
        if pupil.counted.set(piece) {
            // It was only offered, or taken back: from now on others need not be given it first.
            self.reveals[piece.0 as usize] = self.reveals[piece.0 as usize].saturating_add(1);
            self.is_given(piece);
        }
        let Some(pupil) = self.pupils.get_mut(&peer) else {
            return;
        };
        let Some(pending) = pupil
            .pending
            .iter_mut()
            .find(|pending| pending.piece == piece)
        else {
            return;
        };
        pending.left = pending.left.saturating_sub(bytes);
        if pending.left == 0 {
            pupil.took(piece);
            self.is_due = true;
        }
    }

    /// `bytes` have left for `peer`.
    pub(crate) fn sent(&mut self, now: Instant, peer: PeerKey, bytes: u64) {
        if let Some(pupil) = self.pupils.get_mut(&peer) {
            (pupil.moved, pupil.deaf) = (now, false);
            self.is_due |= pupil.queued > 0 && pupil.queued <= bytes;
            pupil.queued = pupil.queued.saturating_sub(bytes);
        }
        self.left_since = self.left_since.saturating_add(bytes);
        self.is_due |= self.left_since >= LOOK_AFTER;
    }

    /// `peer`, which `has` these, no longer wants `bytes` of `piece` that were queued for it.
    pub(crate) fn canceled(
        &mut self,
        peer: PeerKey,
        has: &Bitfield,
        piece: PieceIndex,
        bytes: u32,
    ) {
        let Some(pupil) = self.pupils.get_mut(&peer) else {
            return;
        };
        pupil.queued = pupil.queued.saturating_sub(u64::from(bytes));
        self.is_due = true;
        // It need not ask again for what it has from another by now, nor for nothing.
        if bytes == 0 || has.get(piece) {
            return;
        }
        let pending = pupil.pending.iter_mut().find(|p| p.piece == piece);
        if let Some(pending) = pending {
            // It may have asked for the same more than once.
            let size = self.layout.piece_size(piece);
            pending.left = pending.left.saturating_add(bytes).min(size);
        } else if let Some(at) = pupil.unshared.iter().position(|p| *p == piece) {
            // It does not have all of it after all.
            pupil.unshared.swap_remove(at);
            let left = bytes.min(self.layout.piece_size(piece));
            pupil.pending.push(Pending { piece, left });
        }
    }

    /// Whether it is worth to look at what to reveal. Time alone may make it so as well, which is for the owner's clock.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due
    }

    /// Whether an offer goes on that was too long for one call.
    pub(crate) fn is_offering(&self) -> bool {
        self.is_offering
    }

    /// Nothing that was queued for `peer` will leave.
    pub(crate) fn choked(&mut self, peer: PeerKey) {
        if let Some(pupil) = self.pupils.get_mut(&peer) {
            pupil.queued = 0;
        }
    }

    /// Whether `peer` was shown `piece`, so that it may ask for it.
    pub(crate) fn is_shown(&self, peer: PeerKey, piece: PieceIndex) -> bool {
        self.pupils
            .get(&peer)
            .is_some_and(|pupil| pupil.shown.get(piece))
    }

    /// All that `peer` was shown; it is forgotten here.
    pub(crate) fn take_shown(&mut self, peer: PeerKey) -> Option<Bitfield> {
        Some(self.pupils.remove(&peer)?.shown)
    }

    /// What to reveal to whom now, at most [`MAX_TOLD_AT_ONCE`] pieces; `availability` says how many peers (not we) have a piece.
    pub(crate) fn reveal(
        &mut self,
        now: Instant,
        listeners: &[Listener<'_>],
        availability: impl Fn(PieceIndex) -> u32,
    ) -> Vec<(PeerKey, PieceIndex)> {
        (self.is_due, self.left_since) = (false, 0);
        self.give_up_on_stalled(now, listeners, &availability);
        let alone = self.pupils.len() == 1;
        let rates: f64 = listeners.iter().map(|listener| listener.rate).sum();
        let window = (rates * WINDOW).max(LEAST_WINDOW);
        let mut under_way: f64 = listeners
            .iter()
            .filter_map(|l| Some(self.pupils.get(&l.key)?.holds_up(now, l.rate)))
            .sum();
        let mut out = Vec::new();
        self.offer_to_deaf(now, listeners, &mut out);
        for hoarders in [false, true] {
            let mut waiting = self.waiting(listeners, alone, hoarders);
            // The one that is owed least comes first, of equals the one that was told longest ago.
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
                if self.may_be_told(listener, alone, hoarders) {
                    waiting[at].0 += size;
                    waiting[at].1 = self.turns;
                } else {
                    waiting.swap_remove(at);
                }
            }
        }
        out
    }

    fn may_be_told(&self, listener: &Listener<'_>, alone: bool, hoarders: bool) -> bool {
        self.pupils
            .get(&listener.key)
            .is_some_and(|pupil| pupil.may_be_told(&self.layout, listener.rate, alone, hoarders))
    }

    /// Those who may be told a piece: what they are owed, and when they were last told one.
    fn waiting<'a>(
        &self,
        listeners: &'a [Listener<'a>],
        alone: bool,
        hoarders: bool,
    ) -> Vec<(f64, u64, &'a Listener<'a>)> {
        listeners
            .iter()
            .filter(|listener| self.may_be_told(listener, alone, hoarders))
            .filter_map(|listener| {
                let pupil = self.pupils.get(&listener.key)?;
                Some((pupil.owed(), pupil.told.1, listener))
            })
            .collect()
    }

    fn piece_for(
        &mut self,
        now: Instant,
        listener: &Listener<'_>,
        alone: bool,
        availability: impl Fn(PieceIndex) -> u32,
    ) -> Option<PieceIndex> {
        let pupil = self.pupils.get_mut(&listener.key)?;
        let lacking = |piece: &PieceIndex| !listener.has.get(*piece) && !pupil.shown.get(*piece);
        if let Some(at) = self.fresh.iter().rposition(lacking) {
            let piece = self.fresh.swap_remove(at);
            self.is_fresh.clear(piece);
            return Some(piece);
        }
        if !alone && !pupil.is_stuck(now) {
            return None;
        }
        // Nothing is fresh: the piece that the fewest have and the fewest were given.
        let rarest = self
            .layout
            .pieces()
            .filter(lacking)
            .min_by_key(|piece| (availability(*piece), self.reveals[piece.0 as usize]));
        pupil.exhausted = rarest.is_none();
        rarest
    }

    /// Books that `piece` is revealed to `peer`. Gives its size.
    fn tell(&mut self, now: Instant, peer: PeerKey, piece: PieceIndex) -> f64 {
        let left = self.layout.piece_size(piece);
        self.turns += 1;
        if let Some(pupil) = self.pupils.get_mut(&peer) {
            pupil.shown.set(piece);
            if pupil.counted.set(piece) {
                self.reveals[piece.0 as usize] = self.reveals[piece.0 as usize].saturating_add(1);
            }
            pupil.pending.push(Pending { piece, left });
            pupil.told = (now, self.turns);
        }
        f64::from(left)
    }
}

/// The least of `waiting`.
fn first(waiting: &[(f64, u64, &Listener<'_>)]) -> Option<usize> {
    let order = |a: &usize, b: &usize| {
        let (a, b) = (&waiting[*a], &waiting[*b]);
        a.0.total_cmp(&b.0)
            .then((a.1, a.2.key).cmp(&(b.1, b.2.key)))
    };
    (0..waiting.len()).min_by(order)
}

#[cfg(test)]
mod tests;
