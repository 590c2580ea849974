//! What one peer was shown by an initial seeder, and what it has made of it.
//!
//! It must not know other peers.

use std::time::Instant;

use bt_metainfo::{Layout, PieceIndex};
use bt_wire::Bitfield;

use super::{
    AHEAD, AHEAD_SECONDS, ALONE_AHEAD, ALONE_SECONDS, ALONE_SHARE, HOLD_UP, PATIENCE, UNMOVED,
    UNSHARED, WINDOW,
};

#[derive(Debug)]
pub(super) struct Pupil {
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
pub(super) struct Pending {
    pub(super) piece: PieceIndex,
    pub(super) left: u32,
}

impl Pupil {
    pub(super) fn took(&mut self, piece: PieceIndex) {
        let at = self
            .pending
            .iter()
            .position(|pending| pending.piece == piece);
        if let Some(at) = at {
            self.pending.swap_remove(at);
            self.unshared.push(piece);
        }
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
    #[expect(clippy::cast_precision_loss, reason = "compared, not counted")]
    pub(super) fn owed(&self) -> f64 {
        let asked = self.pending.iter().map(|pending| u64::from(pending.left));
        (asked.sum::<u64>() + self.queued) as f64
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
        #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
        let revealed = self.pending.len() as f64 * piece_length;
        let shares = alone || hoarders || self.unshared.len() < UNSHARED;
        !self.exhausted && !self.deaf && revealed < ahead && shares
    }
}
