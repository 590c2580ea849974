//! A download written down block by block, and which piece the next block may be of.
//!
//! It must not know how the parts under test keep any of it.

use std::collections::{BTreeMap, BTreeSet};

use bt_metainfo::{BLOCK_SIZE, BlockRef, PieceIndex};
use bt_wire::Bitfield;

use crate::engine::Priority;

pub(super) const PIECES: u32 = 7;
/// Of a piece; the last piece has one less.
pub(super) const BLOCKS: u32 = 3;
pub(super) const PEERS: usize = 4;

/// As long as fewer pieces are here, the next one comes by lot.
const BY_LOT: usize = 4;

/// One block of a piece under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody has been asked for it.
    Free,
    /// These have been asked.
    Asked(BTreeSet<usize>),
    /// It came from this one.
    Here(usize),
    /// Zeros that nobody sends.
    Padding,
}

/// In which way a peer is asked.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Only for these.
    pub(super) only: Option<Vec<PieceIndex>>,
    /// New ones rather of these.
    pub(super) suggested: Vec<PieceIndex>,
    /// For these before all others.
    pub(super) first: Vec<PieceIndex>,
    /// Not for these.
    pub(super) barred: Vec<PieceIndex>,
    /// In the order of their numbers.
    pub(super) sequential: bool,
}

impl Asked {
    fn allows(&self, piece: PieceIndex) -> bool {
        let is_allowed = |only: &Vec<PieceIndex>| only.contains(&piece);
        self.only.as_ref().is_none_or(is_allowed) && !self.barred.contains(&piece)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) classes: Vec<Priority>,
    pub(super) here: BTreeSet<PieceIndex>,
    /// Those under way, with their blocks.
    pub(super) pieces: BTreeMap<PieceIndex, Vec<State>>,
    /// Of the first piece all but the first block is padding.
    is_padded: bool,
}

impl Book {
    pub(super) fn new(here: &Bitfield, is_padded: bool) -> Self {
        Self {
            classes: vec![Priority::Normal; PIECES as usize],
            here: here.iter_ones().collect(),
            pieces: BTreeMap::new(),
            is_padded,
        }
    }

    pub(super) fn class(&self, piece: PieceIndex) -> Priority {
        self.classes[piece.0 as usize]
    }

    pub(super) fn wants(&self, piece: PieceIndex) -> bool {
        self.class(piece) != Priority::Skip && !self.here.contains(&piece)
    }

    /// Whether it is wanted and not begun.
    pub(super) fn is_listed(&self, piece: PieceIndex) -> bool {
        self.wants(piece) && !self.pieces.contains_key(&piece)
    }

    /// Blocks of a piece under way that nobody has been asked for.
    fn free_of(&self, piece: PieceIndex) -> usize {
        let blocks = self.pieces.get(&piece);
        let free = |blocks: &Vec<State>| blocks.iter().filter(|one| **one == State::Free).count();
        blocks.map_or(0, free)
    }

    pub(super) fn free(&self) -> usize {
        self.pieces.keys().map(|piece| self.free_of(*piece)).sum()
    }

    /// Every piece of which the next block for a peer that `has` these may be. `current` is the one that its last block
    /// was of, `rarity` tells how many peers have a piece.
    pub(super) fn right(
        &self,
        has: &Bitfield,
        current: Option<PieceIndex>,
        asked: &Asked,
        rarity: impl Fn(PieceIndex) -> usize,
    ) -> BTreeSet<PieceIndex> {
        let may = |piece: &PieceIndex| has.get(*piece) && asked.allows(*piece);
        let is_open = |piece: &PieceIndex| self.free_of(*piece) > 0 || self.is_listed(*piece);
        if let Some(current) = current.filter(|piece| may(piece) && self.free_of(*piece) > 0) {
            return BTreeSet::from([current]);
        }
        let mut first = asked.first.iter().filter(|piece| may(piece));
        if let Some(first) = first.find(|piece| is_open(piece)) {
            return BTreeSet::from([*first]);
        }
        for class in [Priority::High, Priority::Normal, Priority::Low] {
            let of_class = (0..PIECES).map(PieceIndex).filter(may);
            let of_class = of_class.filter(|piece| self.class(*piece) == class);
            let (begun, fresh): (Vec<_>, Vec<_>) = of_class
                .filter(is_open)
                .partition(|piece| self.free_of(*piece) > 0);
            if let Some(least) = begun.iter().map(|piece| self.free_of(*piece)).min() {
                let nearest = begun.into_iter();
                return nearest.filter(|one| self.free_of(*one) == least).collect();
            }
            if !fresh.is_empty() {
                return self.right_to_start(&fresh.into_iter().collect(), asked, rarity);
            }
        }
        BTreeSet::new()
    }

    fn right_to_start(
        &self,
        fresh: &BTreeSet<PieceIndex>,
        asked: &Asked,
        rarity: impl Fn(PieceIndex) -> usize,
    ) -> BTreeSet<PieceIndex> {
        let first_of =
            |list: &[PieceIndex]| list.iter().copied().find(|piece| fresh.contains(piece));
        if let Some(only) = &asked.only {
            return first_of(only).into_iter().collect();
        }
        if asked.sequential {
            return fresh.first().copied().into_iter().collect();
        }
        if let Some(suggested) = first_of(&asked.suggested) {
            return BTreeSet::from([suggested]);
        }
        if self.here.len() < BY_LOT {
            return fresh.clone();
        }
        let least = fresh.iter().map(|piece| rarity(*piece)).min();
        let rarest = |piece: &PieceIndex| Some(rarity(*piece)) == least;
        fresh.iter().copied().filter(rarest).collect()
    }

    /// `peer` is asked for `block`.
    pub(super) fn ask(&mut self, peer: usize, block: BlockRef) {
        let is_padded = self.is_padded && block.piece == PieceIndex(0);
        let fresh = || {
            let blocks = if block.piece.0 == PIECES - 1 {
                BLOCKS - 1
            } else {
                BLOCKS
            };
            let state = |number| match is_padded && number > 0 {
                true => State::Padding,
                false => State::Free,
            };
            (0..blocks).map(state).collect()
        };
        let blocks = self.pieces.entry(block.piece).or_insert_with(fresh);
        let state = &mut blocks[(block.begin / BLOCK_SIZE) as usize];
        match state {
            State::Free => *state = State::Asked(BTreeSet::from([peer])),
            State::Asked(peers) => assert!(peers.insert(peer), "{block} twice of one peer"),
            State::Here(_) | State::Padding => panic!("{block} is {state:?}"),
        }
    }

    /// How many have been asked for `block`.
    pub(super) fn peers_of(&self, block: BlockRef) -> usize {
        match self.state(block) {
            Some(State::Asked(peers)) => peers.len(),
            _ => 0,
        }
    }

    fn state(&self, block: BlockRef) -> Option<&State> {
        let blocks = self.pieces.get(&block.piece)?;
        blocks.get((block.begin / BLOCK_SIZE) as usize)
    }

    /// `peer` will not send `block`.
    pub(super) fn take_back(&mut self, peer: usize, block: BlockRef) {
        let blocks = self.pieces.get_mut(&block.piece);
        let state = blocks.and_then(|blocks| blocks.get_mut((block.begin / BLOCK_SIZE) as usize));
        if let Some(state) = state
            && let State::Asked(peers) = state
        {
            peers.remove(&peer);
            if peers.is_empty() {
                *state = State::Free;
            }
        }
    }

    /// Forgets a piece of which nothing is here and nothing is on its way.
    pub(super) fn drop_if_untouched(&mut self, piece: PieceIndex) -> bool {
        let is_nothing = |state: &State| matches!(state, State::Free | State::Padding);
        let blocks = self.pieces.get(&piece);
        let untouched = blocks.is_some_and(|blocks| blocks.iter().all(is_nothing));
        if untouched {
            self.pieces.remove(&piece);
        }
        untouched
    }

    /// `peer` sent `block`; whether it is of use.
    pub(super) fn comes(&mut self, peer: usize, block: BlockRef) -> bool {
        let is_lacking = matches!(self.state(block), Some(State::Free | State::Asked(_)));
        if is_lacking && let Some(blocks) = self.pieces.get_mut(&block.piece) {
            blocks[(block.begin / BLOCK_SIZE) as usize] = State::Here(peer);
        }
        is_lacking
    }

    /// The first piece of which every block is here, with who is to answer for each.
    pub(super) fn whole(&self) -> Option<(PieceIndex, Vec<usize>)> {
        let mut pieces = self.pieces.iter();
        pieces.find_map(|(piece, blocks)| {
            let mut last = None;
            let sender = |state: &State| match state {
                State::Here(peer) => {
                    last = Some(*peer);
                    last
                }
                // Nobody sent it, and whoever sent what is before it is as good as any.
                State::Padding => last,
                State::Free | State::Asked(_) => None,
            };
            let senders: Option<Vec<usize>> = blocks.iter().map(sender).collect();
            Some((*piece, senders?))
        })
    }

    /// What has been asked for: piece, place in it, and of how many.
    pub(super) fn requested(&self) -> impl Iterator<Item = (PieceIndex, u32, usize)> + '_ {
        self.pieces.iter().flat_map(|(piece, blocks)| {
            let begins = (0..).step_by(BLOCK_SIZE as usize);
            begins.zip(blocks).filter_map(|(begin, state)| match state {
                State::Asked(peers) => Some((*piece, begin, peers.len())),
                _ => None,
            })
        })
    }
}
