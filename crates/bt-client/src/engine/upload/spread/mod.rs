//! Spreading by an initial seeder (super-seeding, BEP 16): each piece is shown to one peer, which then shows it on.
//!
//! We pretend to have nothing and reveal pieces one by one, different ones to different peers, so that close to one
//! copy leaves us before the swarm holds one. Nothing is revealed to a peer before it has said what it has. What is revealed at any time is little more than what the line carries in
//! a moment: a piece that has the line for itself is whole, and passed on, much sooner than sixteen that share it. A
//! peer that is alone is shown many more ahead: there is nobody to spread to, yet others may come. It must not know
//! connections.

mod audit;
#[cfg(any(test, feature = "fuzz"))]
mod plain;
mod pupil;
mod roll;
mod turns;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_metainfo::{Layout, PieceIndex};
use bt_wire::Bitfield;

use self::pupil::{Pending, Pupil};
use self::roll::Roll;
use self::turns::Turns;
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
#[derive(Debug, Clone, Copy)]
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
#[cfg_attr(any(test, feature = "fuzz"), derive(Clone, PartialEq))]
pub(crate) struct Spread {
    layout: Arc<Layout>,
    /// To how many peers each piece has been given: revealed, and not taken back since.
    reveals: Vec<u16>,
    /// Pieces given to nobody, each once, in random order; taken from the end.
    fresh: Vec<PieceIndex>,
    /// The same as a set.
    is_fresh: Bitfield,
    roll: Roll,
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
            roll: Roll::new(layout),
            turns: 0,
            is_due: true,
            left_since: 0,
            is_offering: false,
            offer_first: None,
        }
    }

    pub(crate) fn joined(&mut self, now: Instant, peer: PeerKey) {
        let pupil = Pupil::new(now, self.layout.piece_count());
        self.roll.insert(peer, pupil);
    }

    /// `peer` has said what it `has`, for the first time: what nobody has comes before that. It is no less fresh for it, as
    /// `peer` may be slow, or not say the truth.
    pub(crate) fn introduced(&mut self, now: Instant, peer: PeerKey, has: &Bitfield) {
        let is_here = self.roll.change(peer, |pupil| {
            pupil.listens = true;
            pupil.progress = now;
            pupil.pending.retain(|pending| !has.get(pending.piece));
        });
        if is_here.is_none() {
            return;
        }
        // Most newcomers have nothing. Pieces are taken from the end.
        if !has.is_empty() {
            self.fresh.sort_by_key(|piece| !has.get(*piece));
        }
        self.is_due = true;
    }

    /// `peer`, which `has` these, is gone: what only it was given or had has to be given to another.
    pub(crate) fn left(
        &mut self,
        peer: PeerKey,
        has: &Bitfield,
        availability: impl Fn(PieceIndex) -> u32,
    ) {
        let Some(pupil) = self.roll.remove(peer) else {
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
        if self.is_fresh.clear(piece)
            && let Some(at) = self.fresh.iter().position(|fresh| *fresh == piece)
        {
            self.fresh.remove(at);
        }
    }

    /// What peers have been shown and do not take is for others again.
    fn give_up_on_stalled<'a>(
        &mut self,
        now: Instant,
        look: impl Fn(PeerKey) -> Option<Listener<'a>>,
        availability: impl Fn(PieceIndex) -> u32,
    ) {
        let owing: Vec<PeerKey> = self.roll.owing().collect();
        for key in owing {
            let (Some(listener), Some(pupil)) = (look(key), self.roll.get(key)) else {
                continue;
            };
            if pupil.deaf || !pupil.is_stalled(now, listener.interested) {
                continue;
            }
            for piece in self.roll.deafen(key, listener.interested.then_some(now)) {
                self.take_back(piece, &availability);
            }
        }
    }

    /// Deaf peers may want only pieces that they were not shown, those of some files.
    fn offer_to_deaf<'a>(
        &mut self,
        now: Instant,
        look: impl Fn(PeerKey) -> Option<Listener<'a>>,
        out: &mut Vec<(PeerKey, PieceIndex)>,
    ) {
        let deaf: Vec<PeerKey> = self.roll.deaf_from(self.offer_first).collect();
        self.is_offering = false;
        for listener in deaf.into_iter().filter_map(look) {
            let most = MAX_TOLD_AT_ONCE.saturating_sub(out.len());
            if most == 0 {
                (self.offer_first, self.is_offering) = (Some(listener.key), true);
                return;
            }
            let offer = self.offer(now, &listener, most.min(MAX_TOLD_TO_ONE));
            out.extend(offer.into_iter().map(|piece| (listener.key, piece)));
        }
    }

    /// A deaf peer is shown more each time, and none of it is kept from others. At most `most` pieces are for now.
    fn offer(&mut self, now: Instant, listener: &Listener<'_>, most: usize) -> Vec<PieceIndex> {
        let pieces = self.layout.piece_count();
        let offer = |pupil: &mut Pupil| (pupil.offer(now, listener, pieces, most), pupil.offering);
        let Some((offer, offering)) = self.roll.change(listener.key, offer) else {
            return Vec::new();
        };
        self.is_offering |= offering > 0;
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
        self.roll.change(peer, |pupil| {
            if !pupil.shown.get(piece) {
                pupil.progress = now;
            }
            (pupil.deaf, pupil.listens) = (false, true);
        });
        self.roll.took(peer, piece);
        self.is_due = true;
        if availability > 1 {
            self.roll.is_shared(piece);
        }
    }

    /// `peer` no longer has `piece`, and `availability` others do.
    pub(crate) fn lost(&mut self, peer: PeerKey, piece: PieceIndex, availability: u32) {
        self.roll.change(peer, |pupil| {
            pupil.listens = true;
            pupil.seen = pupil.seen.min(piece);
            pupil.exhausted = false;
        });
        self.is_gone(piece, availability);
        self.is_due = true;
    }

    /// `bytes` of `piece` are queued for `peer`. A piece that is on its way as a whole counts as taken: some clients tell
    /// only much later what they have, and must not be kept waiting for that.
    pub(crate) fn serving(&mut self, now: Instant, peer: PeerKey, piece: PieceIndex, bytes: u32) {
        let serving = self.roll.change(peer, |pupil| {
            pupil.queued += u64::from(bytes);
            let was_deaf = std::mem::take(&mut pupil.deaf);
            if was_deaf {
                pupil.moved = now;
            }
            let is_new = pupil.counted.set(piece);
            let mut pending = pupil.pending.iter_mut();
            let pending = pending.find(|pending| pending.piece == piece);
            let is_whole = pending.is_some_and(|pending| {
                pending.left = pending.left.saturating_sub(bytes);
                pending.left == 0
            });
            (was_deaf, is_new, is_whole)
        });
        let Some((was_deaf, is_new, is_whole)) = serving else {
            return;
        };
        self.is_due |= was_deaf || is_whole;
        if is_new {
            // It was only offered, or taken back: from now on others need not be given it first.
            self.reveals[piece.0 as usize] = self.reveals[piece.0 as usize].saturating_add(1);
            self.is_given(piece);
        }
        if is_whole {
            self.roll.took(peer, piece);
        }
    }

    /// `bytes` have left for `peer`.
    pub(crate) fn sent(&mut self, now: Instant, peer: PeerKey, bytes: u64) {
        let is_last = self.roll.change(peer, |pupil| {
            (pupil.moved, pupil.deaf) = (now, false);
            let queued = pupil.queued;
            pupil.queued = queued.saturating_sub(bytes);
            queued > 0 && queued <= bytes
        });
        self.is_due |= is_last == Some(true);
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
        let size = self.layout.piece_size(piece);
        let is_asked_later = bytes > 0 && !has.get(piece);
        let is_here = self.roll.change(peer, |pupil| {
            pupil.queued = pupil.queued.saturating_sub(u64::from(bytes));
            // It need not ask again for what it has from another by now, nor for nothing.
            let mut pending = pupil.pending.iter_mut().filter(|_| is_asked_later);
            if let Some(pending) = pending.find(|pending| pending.piece == piece) {
                // It may have asked for the same more than once.
                pending.left = pending.left.saturating_add(bytes).min(size);
            }
        });
        if is_here.is_none() {
            return;
        }
        self.is_due = true;
        if is_asked_later {
            // It may not have all of it after all.
            let left = bytes.min(size);
            self.roll.keeps_no_more(peer, Pending { piece, left });
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
        self.roll.change(peer, |pupil| pupil.queued = 0);
    }

    /// Whether `peer` was shown `piece`, so that it may ask for it.
    pub(crate) fn is_shown(&self, peer: PeerKey, piece: PieceIndex) -> bool {
        let pupil = self.roll.get(peer);
        pupil.is_some_and(|pupil| pupil.shown.get(piece))
    }

    /// All that `peer` was shown; it is forgotten here.
    pub(crate) fn take_shown(&mut self, peer: PeerKey) -> Option<Bitfield> {
        Some(self.roll.remove(peer)?.shown)
    }

    /// What to reveal to whom now, at most [`MAX_TOLD_AT_ONCE`] pieces. `look` gives what is known of a peer, `None` of those
    /// that cannot be told anything, `rates` is what all of them together get from us, and `availability` says how many
    /// peers (not we) have a piece.
    pub(crate) fn reveal<'a>(
        &mut self,
        now: Instant,
        rates: f64,
        look: impl Fn(PeerKey) -> Option<Listener<'a>>,
        availability: impl Fn(PieceIndex) -> u32,
    ) -> Vec<(PeerKey, PieceIndex)> {
        (self.is_due, self.left_since) = (false, 0);
        self.give_up_on_stalled(now, &look, &availability);
        let alone = self.roll.len() == 1;
        let window = (rates * WINDOW).max(LEAST_WINDOW);
        let holds_up = |key| Some(self.roll.get(key)?.holds_up(now, look(key)?.rate));
        let mut under_way: f64 = self.roll.owing().filter_map(holds_up).sum();
        let mut out = Vec::new();
        self.offer_to_deaf(now, &look, &mut out);
        for hoarders in [false, true] {
            let mut turns = Turns::new(&self.roll, &look, alone, hoarders);
            // The one that is owed least comes first, of equals the one that was told longest ago.
            while (alone || under_way < window)
                && out.len() < MAX_TOLD_AT_ONCE
                && let Some(turn) = turns.next(&self.roll, now, self.fresh.is_empty())
            {
                let Some(listener) = look(turn.key()) else {
                    // It is back as soon as it says something.
                    turns.pass(&self.roll, turn);
                    self.roll.change(turn.key(), |pupil| pupil.listens = false);
                    continue;
                };
                let Some(piece) = self.piece_for(now, &listener, alone, &availability) else {
                    turns.pass(&self.roll, turn);
                    continue;
                };
                let size = self.tell(now, listener.key, piece);
                under_way += size;
                out.push((listener.key, piece));
                turns.told(turn, &self.roll, &listener);
            }
        }
        out
    }

    fn piece_for(
        &mut self,
        now: Instant,
        listener: &Listener<'_>,
        alone: bool,
        availability: impl Fn(PieceIndex) -> u32,
    ) -> Option<PieceIndex> {
        let pupil = self.roll.get(listener.key)?;
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
        let is_exhausted = rarest.is_none();
        self.roll
            .change(listener.key, |pupil| pupil.exhausted = is_exhausted);
        rarest
    }

    /// Books that `piece` is revealed to `peer`. Gives its size.
    fn tell(&mut self, now: Instant, peer: PeerKey, piece: PieceIndex) -> f64 {
        let left = self.layout.piece_size(piece);
        self.turns += 1;
        let turns = self.turns;
        let is_new = self.roll.change(peer, |pupil| {
            pupil.shown.set(piece);
            pupil.pending.push(Pending { piece, left });
            pupil.told = (now, turns);
            pupil.counted.set(piece)
        });
        if is_new == Some(true) {
            self.reveals[piece.0 as usize] = self.reveals[piece.0 as usize].saturating_add(1);
        }
        f64::from(left)
    }
}

#[cfg(test)]
mod tests;
