//! What one peer was shown by an initial seeder, and what it has made of it.
//!
//! It must not know other peers.

use std::time::Instant;

use bt_metainfo::{Layout, PieceIndex};
use bt_wire::Bitfield;

use super::{
    AHEAD, AHEAD_SECONDS, ALONE_AHEAD, ALONE_SECONDS, ALONE_SHARE, FIRST_OFFER, HOLD_UP, Listener,
    MORE_EACH_TIME, PATIENCE, UNMOVED, UNSHARED, WINDOW,
};

#[derive(Debug)]
#[cfg_attr(any(test, feature = "fuzz"), derive(Clone, PartialEq))]
pub(super) struct Pupil {
    /// It can be told something, as far as we know: nothing was heard to the contrary since it last said something.
    pub(super) listens: bool,
    /// Revealed to this peer.
    pub(super) shown: Bitfield,
    /// Of these, what counts in `reveals`: nobody else is given it first.
    pub(super) counted: Bitfield,
    /// Revealed, and the peer has yet to fetch it.
    pub(super) pending: Vec<Pending>,
    /// Bytes on their way to it, as far as we know: what is canceled is not taken off.
    pub(super) queued: u64,
    /// The peer has it, or has it on its way, and nobody else has shown it.
    pub(super) unshared: Vec<PieceIndex>,
    /// When it last got a piece that it was not shown: from others, that is.
    pub(super) progress: Instant,
    /// When bytes last left for it.
    pub(super) moved: Instant,
    /// It takes nothing of what it was shown, and nothing is kept for it until it does.
    pub(super) deaf: bool,
    /// When a deaf peer was last offered pieces, and how many.
    pub(super) offered: (Instant, usize),
    /// Of these, how many it has not been told of yet.
    pub(super) offering: usize,
    /// It has or was shown every piece before this one.
    pub(super) seen: PieceIndex,
    /// When it was last shown a piece, and how many had been shown to anyone by then.
    pub(super) told: (Instant, u64),
    /// It has or was shown every piece: there is nothing to look for until it loses one.
    pub(super) exhausted: bool,
}

/// A piece that was revealed, and how many of its bytes have not been asked for.
#[derive(Debug)]
#[cfg_attr(any(test, feature = "fuzz"), derive(Clone, PartialEq))]
pub(super) struct Pending {
    pub(super) piece: PieceIndex,
    pub(super) left: u32,
}

impl Pupil {
    pub(super) fn new(now: Instant, pieces: u32) -> Self {
        Self {
            listens: true,
            shown: Bitfield::new(pieces),
            counted: Bitfield::new(pieces),
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
        }
    }

    /// It has `piece`, or has it on its way. False if it was not waited for that.
    pub(super) fn took(&mut self, piece: PieceIndex) -> bool {
        let mut pending = self.pending.iter();
        let at = pending.position(|pending| pending.piece == piece);
        if let Some(at) = at {
            self.pending.swap_remove(at);
            self.unshared.push(piece);
        }
        at.is_some()
    }

    /// While it is deaf it is shown more each time, and none of it is kept from others. At most `most` of `pieces` are for
    /// now.
    pub(super) fn offer(
        &mut self,
        now: Instant,
        listener: &Listener<'_>,
        pieces: u32,
        most: usize,
    ) -> Vec<PieceIndex> {
        let (patience, first, factor) = if listener.interested {
            (PATIENCE, 1, 2)
        } else {
            (UNMOVED, FIRST_OFFER, MORE_EACH_TIME)
        };
        let waited = now.saturating_duration_since(self.offered.0) >= patience;
        if !self.deaf || self.exhausted || self.queued > 0 {
            self.offering = 0;
            return Vec::new();
        }
        if self.offering == 0 {
            if !waited {
                return Vec::new();
            }
            self.offering = self.offered.1.saturating_mul(factor).max(first);
            self.offered.1 = self.offering;
        }
        let count = self.offering.min(most);
        let lacking = |piece: &PieceIndex| !listener.has.get(*piece) && !self.shown.get(*piece);
        let unseen = (self.seen.0..pieces).map(PieceIndex);
        let offer: Vec<_> = unseen.filter(lacking).take(count).collect();
        self.exhausted = offer.len() < count;
        if let Some(last) = offer.last() {
            self.seen = *last;
        }
        self.offering -= offer.len();
        if self.exhausted {
            self.offering = 0;
        }
        // The next offer waits from here on.
        self.offered.0 = now;
        // They stay with those that are given to nobody: most likely it takes none of them.
        for piece in &offer {
            self.shown.set(*piece);
        }
        offer
    }

    /// It has got nothing from others for a while.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.progress) >= PATIENCE
    }

    /// It was shown something a while ago, and nothing of it leaves.
    pub(super) fn is_stalled(&self, now: Instant, interested: bool) -> bool {
        let since = self.moved.max(self.told.0);
        let patience = if interested { PATIENCE } else { UNMOVED };
        self.owed() > 0.0 && now.saturating_duration_since(since) >= patience
    }

    /// Bytes that were revealed to it and have not left.
    pub(super) fn owed_bytes(&self) -> u64 {
        let asked = self.pending.iter().map(|pending| u64::from(pending.left));
        asked.sum::<u64>() + self.queued
    }

    #[expect(clippy::cast_precision_loss, reason = "compared, not counted")]
    pub(super) fn owed(&self) -> f64 {
        self.owed_bytes() as f64
    }

    /// The part of it that others have to wait for.
    pub(super) fn holds_up(&self, now: Instant, rate: f64) -> f64 {
        let owed = self.owed();
        if now.saturating_duration_since(self.told.0) < HOLD_UP {
            owed
        } else {
            owed.min(rate * WINDOW)
        }
    }

    /// Whether it may be shown another piece; `hoarders` may although they hold pieces that nobody else has shown.
    pub(super) fn may_be_told(
        &self,
        layout: &Layout,
        rate: f64,
        alone: bool,
        hoarders: bool,
    ) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
        let share = layout.total_length() as f64 * ALONE_SHARE;
        let piece_length = f64::from(layout.piece_length());
        let ahead = if alone {
            ALONE_AHEAD.min(share).max(rate * ALONE_SECONDS)
        } else {
            AHEAD.max(rate * AHEAD_SECONDS)
        };
        let shares = alone || hoarders || self.shares();
        !self.exhausted && !self.deaf && self.revealed(piece_length) < ahead && shares
    }

    /// Whether it may be told another piece at any rate, be it a hoarder or not, if it is not alone.
    pub(super) fn is_ready(&self, piece_length: u32) -> bool {
        let revealed = self.revealed(piece_length.into());
        self.listens && !self.exhausted && !self.deaf && revealed < AHEAD
    }

    /// It does not hold many pieces that nobody else has shown.
    pub(super) fn shares(&self) -> bool {
        self.unshared.len() < UNSHARED
    }

    #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
    fn revealed(&self, piece_length: f64) -> f64 {
        self.pending.len() as f64 * piece_length
    }
}
