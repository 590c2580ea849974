//! The books of an initial seeder, checked against each other. Costs time in proportion to all pieces and peers, so it is
//! for tests and for whoever drives the engine and wants to be sure.

use std::collections::BTreeSet;

use bt_metainfo::{Layout, PieceIndex};
#[cfg(any(test, feature = "fuzz"))]
use bt_wire::Bitfield;

use super::Spread;
use super::pupil::{Pending, Pupil};
#[cfg(any(test, feature = "fuzz"))]
use crate::engine::PeerKey;

impl Spread {
    /// Whether each piece that nobody was given and nobody has is fresh once, none that was given is, and the counts are
    /// right; `availability` says how many peers have a piece.
    pub(crate) fn audit(&self, availability: impl Fn(PieceIndex) -> u32) -> Result<(), String> {
        let mut unlisted = self.is_fresh.clone();
        if let Some(piece) = self.fresh.iter().find(|piece| !unlisted.clear(**piece)) {
            return Err(format!("{piece} is fresh twice, or no more"));
        }
        if let Some(piece) = unlisted.iter_ones().next() {
            return Err(format!("{piece} is fresh and not on the list"));
        }
        let mut reveals = vec![0; self.reveals.len()];
        self.roll.audit()?;
        for (_, pupil) in self.roll.all() {
            pupil.audit(&self.layout)?;
            for piece in pupil.counted.iter_ones() {
                reveals[piece.0 as usize] += 1;
            }
        }
        for (piece, count) in self.layout.pieces().zip(reveals) {
            let booked = self.reveals[piece.0 as usize];
            if booked != count {
                return Err(format!("{piece} was given to {count}, booked {booked}"));
            }
            let is_fresh = self.is_fresh.get(piece);
            if is_fresh && count > 0 {
                return Err(format!("{piece} is fresh and was given to {count}"));
            }
            if !is_fresh && count == 0 && availability(piece) == 0 {
                return Err(format!("nobody was given {piece} or has it: it is fresh"));
            }
        }
        Ok(())
    }

    /// Whether `piece` was given to `peer` and not taken back, so that others are given it last.
    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn is_given_to(&self, peer: PeerKey, piece: PieceIndex) -> bool {
        let pupil = self.roll.get(peer);
        pupil.is_some_and(|pupil| pupil.counted.get(piece))
    }

    /// All that `peer` was shown.
    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn shown(&self, peer: PeerKey) -> Option<&Bitfield> {
        Some(&self.roll.get(peer)?.shown)
    }

    /// A piece that is fresh and that `peer`, which `has` these, was not shown.
    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn fresh_for(&self, peer: PeerKey, has: &Bitfield) -> Option<PieceIndex> {
        let lacking = |piece: &PieceIndex| !has.get(*piece) && !self.is_shown(peer, *piece);
        self.is_fresh.iter_ones().find(lacking)
    }
}

impl Pupil {
    /// Whether what is kept for it is kept once, was shown to it and counts.
    fn audit(&self, layout: &Layout) -> Result<(), String> {
        let is_whole = |pending: &&Pending| pending.left <= layout.piece_size(pending.piece);
        if let Some(more) = self.pending.iter().find(|pending| !is_whole(pending)) {
            return Err(format!("{} lacks {} bytes", more.piece, more.left));
        }
        let pending = self.pending.iter().map(|pending| pending.piece);
        let kept: Vec<PieceIndex> = pending.chain(self.unshared.iter().copied()).collect();
        let distinct: BTreeSet<PieceIndex> = kept.iter().copied().collect();
        if distinct.len() != kept.len() {
            return Err(format!("a piece is kept twice for one peer: {kept:?}"));
        }
        if let Some(piece) = kept.iter().find(|piece| !self.counted.get(**piece)) {
            return Err(format!("{piece} is kept for a peer and does not count"));
        }
        if let Some(piece) = self.counted.iter_and_not(&self.shown).next() {
            return Err(format!("{piece} counts and was not shown"));
        }
        if self.deaf && !kept.is_empty() {
            return Err(format!("{kept:?} are kept for a peer that takes nothing"));
        }
        Ok(())
    }
}
