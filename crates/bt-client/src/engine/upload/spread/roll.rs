//! The peers of an initial seeder, and in which order they are looked at: an event of one of them costs no look at the
//! others.
//!
//! It must not know pieces that are fresh, nor what is revealed next.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::time::Instant;

use bt_metainfo::{Layout, PieceIndex};

use super::Listener;
use super::pupil::{Pending, Pupil};
use crate::engine::PeerKey;

/// When it is somebody's turn: what it is owed in bytes, and how many pieces had been shown when it was last told one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn(u64, u64, PeerKey);

impl Turn {
    pub(super) fn of(key: PeerKey, pupil: &Pupil) -> Self {
        Self(pupil.owed_bytes(), pupil.told.1, key)
    }

    pub(super) fn key(self) -> PeerKey {
        self.2
    }
}

/// Where a pupil stands in the orders below.
#[derive(Debug, Default, PartialEq, Eq)]
struct Standing {
    is_owed: bool,
    is_deaf: bool,
    /// If it may be told something: whether it is a hoarder, its turn, and its progress.
    ready: Option<(usize, Turn, Instant)>,
}

/// See the module.
#[derive(Debug)]
#[cfg_attr(any(test, feature = "fuzz"), derive(Clone, PartialEq))]
pub(super) struct Roll {
    layout: Arc<Layout>,
    pupils: BTreeMap<PeerKey, Pupil>,
    /// Those to whom something is owed: few, as what is under way is bounded for all together.
    owing: BTreeSet<PeerKey>,
    /// Those that are deaf and lack something, or whose offer goes on.
    deaf: BTreeSet<PeerKey>,
    /// Those that are ready, in turn: first those that share, then hoarders.
    ready: [BTreeSet<Turn>; 2],
    /// All of these by their progress.
    by_progress: BTreeSet<(Instant, PeerKey)>,
    /// Who holds a piece that nobody else has shown.
    keepers: BTreeMap<PieceIndex, BTreeSet<PeerKey>>,
}

impl Roll {
    pub(super) fn new(layout: &Arc<Layout>) -> Self {
        Self {
            layout: Arc::clone(layout),
            pupils: BTreeMap::new(),
            owing: BTreeSet::new(),
            deaf: BTreeSet::new(),
            ready: Default::default(),
            by_progress: BTreeSet::new(),
            keepers: BTreeMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.pupils.len()
    }

    pub(super) fn get(&self, key: PeerKey) -> Option<&Pupil> {
        self.pupils.get(&key)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (PeerKey, &Pupil)> {
        self.pupils.iter().map(|(key, pupil)| (*key, pupil))
    }

    pub(super) fn insert(&mut self, key: PeerKey, pupil: Pupil) {
        self.remove(key);
        let stands = self.standing(key, &pupil);
        self.pupils.insert(key, pupil);
        self.moves(key, &Standing::default(), &stands);
    }

    pub(super) fn remove(&mut self, key: PeerKey) -> Option<Pupil> {
        let pupil = self.pupils.remove(&key)?;
        for piece in &pupil.unshared {
            self.keeps_not(key, *piece);
        }
        let stood = self.standing(key, &pupil);
        self.moves(key, &stood, &Standing::default());
        Some(pupil)
    }

    /// Changes what is known of one, but for what it keeps to itself. `None` if it is not there.
    pub(super) fn change<T>(
        &mut self,
        key: PeerKey,
        change: impl FnOnce(&mut Pupil) -> T,
    ) -> Option<T> {
        let pupil = self.pupils.get_mut(&key)?;
        let piece_length = self.layout.piece_length();
        let stood = standing(piece_length, key, pupil);
        let result = change(pupil);
        let stands = standing(piece_length, key, pupil);
        self.moves(key, &stood, &stands);
        Some(result)
    }

    /// One has a piece that it was waited for to take, and keeps it to itself so far.
    pub(super) fn took(&mut self, key: PeerKey, piece: PieceIndex) {
        if self.change(key, |pupil| pupil.took(piece)) == Some(true) {
            self.keepers.entry(piece).or_default().insert(key);
        }
    }

    /// Another has shown `piece` as well.
    pub(super) fn is_shared(&mut self, piece: PieceIndex) {
        for key in self.keepers.remove(&piece).into_iter().flatten() {
            self.change(key, |pupil| pupil.unshared.retain(|one| *one != piece));
        }
    }

    /// It does not have all of what it kept to itself, if it did.
    pub(super) fn keeps_no_more(&mut self, key: PeerKey, pending: Pending) {
        let piece = pending.piece;
        let kept = self.change(key, |pupil| {
            let at = pupil.unshared.iter().position(|one| *one == piece);
            at.map(|at| {
                pupil.unshared.swap_remove(at);
                pupil.pending.push(pending);
            })
        });
        if kept.flatten().is_some() {
            self.keeps_not(key, piece);
        }
    }

    /// One takes nothing of what it was shown; an offer to it waits from `offered` on. Gives what it was given, which is
    /// for others again.
    pub(super) fn deafen(&mut self, key: PeerKey, offered: Option<Instant>) -> Vec<PieceIndex> {
        let deafened = self.change(key, |pupil| {
            pupil.deaf = true;
            pupil.offered.0 = offered.unwrap_or(pupil.offered.0);
            let pending = pupil.pending.drain(..).map(|pending| pending.piece);
            let mut back: Vec<PieceIndex> = pending.collect();
            let kept = std::mem::take(&mut pupil.unshared);
            back.extend(&kept);
            back.retain(|piece| pupil.counted.clear(*piece));
            (back, kept)
        });
        let (back, kept) = deafened.unwrap_or_default();
        for piece in kept {
            self.keeps_not(key, piece);
        }
        back
    }

    fn keeps_not(&mut self, key: PeerKey, piece: PieceIndex) {
        if let Some(keepers) = self.keepers.get_mut(&piece) {
            keepers.remove(&key);
            if keepers.is_empty() {
                self.keepers.remove(&piece);
            }
        }
    }

    /// Those to whom something is owed.
    pub(super) fn owing(&self) -> impl Iterator<Item = PeerKey> {
        self.owing.iter().copied()
    }

    /// Those that may be offered something, `first` or whoever comes after it first.
    pub(super) fn deaf_from(&self, first: Option<PeerKey>) -> impl Iterator<Item = PeerKey> {
        let first = first.unwrap_or(PeerKey(0));
        let (next, last) = (self.deaf.range(first..), self.deaf.range(..first));
        next.chain(last).copied()
    }

    /// The next turn after `last` of those that are ready: of those that share, or of hoarders.
    pub(super) fn next_ready(&self, hoards: usize, last: Option<Turn>) -> Option<Turn> {
        let after = last.map_or(Unbounded, Excluded);
        self.ready[hoards].range((after, Unbounded)).next().copied()
    }

    /// The turns of those that are ready and made their last progress at `until` or before.
    pub(super) fn stuck(&self, until: Instant) -> impl Iterator<Item = (usize, Turn)> {
        let stuck = self.by_progress.range(..=(until, PeerKey(u32::MAX)));
        stuck.filter_map(|(_, key)| self.ready_turn(*key))
    }

    /// The turn of one that is ready, and whether it is a hoarder.
    pub(super) fn ready_turn(&self, key: PeerKey) -> Option<(usize, Turn)> {
        let ready = self.standing(key, self.get(key)?).ready;
        ready.map(|(hoards, turn, _)| (hoards, turn))
    }

    /// Whether one may be told another piece, of those that listen.
    pub(super) fn may_be_told(&self, listener: &Listener<'_>, alone: bool, hoarders: bool) -> bool {
        self.get(listener.key)
            .is_some_and(|pupil| pupil.may_be_told(&self.layout, listener.rate, alone, hoarders))
    }

    fn standing(&self, key: PeerKey, pupil: &Pupil) -> Standing {
        standing(self.layout.piece_length(), key, pupil)
    }

    fn moves(&mut self, key: PeerKey, from: &Standing, to: &Standing) {
        if from == to {
            return;
        }
        belongs(&mut self.owing, key, to.is_owed);
        belongs(&mut self.deaf, key, to.is_deaf);
        if from.ready == to.ready {
            return;
        }
        if let Some((hoards, turn, progress)) = from.ready {
            self.ready[hoards].remove(&turn);
            self.by_progress.remove(&(progress, key));
        }
        if let Some((hoards, turn, progress)) = to.ready {
            self.ready[hoards].insert(turn);
            self.by_progress.insert((progress, key));
        }
    }

    /// Whether the orders are those of what is known of each.
    pub(super) fn audit(&self) -> Result<(), String> {
        let mut plain = Self::new(&self.layout);
        for (key, pupil) in self.all() {
            plain.moves(key, &Standing::default(), &self.standing(key, pupil));
            for piece in &pupil.unshared {
                plain.keepers.entry(*piece).or_default().insert(key);
            }
        }
        let orders = |roll: &Self| {
            let sets = (&roll.owing, &roll.deaf, &roll.ready, &roll.by_progress);
            format!("{sets:?} {:?}", roll.keepers)
        };
        if orders(self) == orders(&plain) {
            Ok(())
        } else {
            Err(format!("{} should be {}", orders(self), orders(&plain)))
        }
    }
}

fn standing(piece_length: u32, key: PeerKey, pupil: &Pupil) -> Standing {
    let ready = pupil.is_ready(piece_length).then(|| {
        let hoards = usize::from(!pupil.shares());
        (hoards, Turn::of(key, pupil), pupil.progress)
    });
    Standing {
        is_owed: pupil.owed_bytes() > 0,
        is_deaf: (pupil.deaf && !pupil.exhausted) || pupil.offering > 0,
        ready,
    }
}

fn belongs(set: &mut BTreeSet<PeerKey>, key: PeerKey, belongs: bool) {
    if belongs {
        set.insert(key);
    } else {
        set.remove(&key);
    }
}
