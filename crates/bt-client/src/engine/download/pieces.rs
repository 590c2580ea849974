//! What we have, what is under way, block by block.
//!
//! Invariant: a piece is in exactly one of *have*, *partial* (at least one block requested or received), *checking*
//! (every block received, verdict outstanding) and *missing*; each block of a partial piece is in exactly one of
//! missing, requested by k >= 1 peers, and received. It must not know rarity, rates, or where bytes are kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use bt_metainfo::{BlockRef, Layout, PieceIndex};
use bt_wire::Bitfield;

use crate::engine::{PeerKey, Priority};

/// One block of a piece under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Missing,
    Requested {
        by: u16,
    },
    Received {
        from: PeerKey,
    },
    /// Zeros of a pad file (BEP 47): never asked for, and counted as received.
    Padding,
}

impl Block {
    fn sender(&self) -> Option<PeerKey> {
        match self {
            Self::Received { from } => Some(*from),
            Self::Missing | Self::Requested { .. } | Self::Padding => None,
        }
    }
}

/// A piece of which something has been asked or received.
#[derive(Debug)]
pub(crate) struct Partial {
    blocks: Vec<Block>,
    /// Blocks in `Missing`.
    missing: u32,
    /// Blocks in `Received` or `Padding`.
    received: u32,
    /// Blocks in `Padding`.
    padding: u32,
    /// No block before this one is `Missing`.
    first_missing: u32,
}

impl Partial {
    /// Blocks that nobody has been asked for.
    pub(crate) fn missing(&self) -> u32 {
        self.missing
    }

    fn is_complete(&self) -> bool {
        self.received as usize == self.blocks.len()
    }
}

/// What became of a block that a peer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// Keep it.
    New,
    /// We have it already, or did not want it.
    Duplicate,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Pieces {
    layout: Arc<Layout>,
    have: Bitfield,
    wanted: Bitfield,
    /// Of wanted pieces, how much; pieces behind the end are normal.
    priorities: Vec<Priority>,
    /// Wanted pieces that we do not have.
    left: u32,
    /// Bytes of the pieces that we have, and of those that are left.
    bytes_have: u64,
    bytes_left: u64,
    partial: BTreeMap<PieceIndex, Partial>,
    /// Blocks in `Missing` over all partial pieces.
    unrequested: u32,
}

impl Pieces {
    /// `have` and `wanted` have one bit a piece of `layout`.
    pub(crate) fn new(layout: Arc<Layout>, have: Bitfield, wanted: Bitfield) -> Self {
        let left = count_left(&have, &wanted);
        let bytes_have = bytes(&layout, have.iter_ones());
        let bytes_left = bytes(&layout, wanted.iter_and_not(&have));
        Self {
            layout,
            have,
            wanted,
            priorities: Vec::new(),
            left,
            bytes_have,
            bytes_left,
            partial: BTreeMap::new(),
            unrequested: 0,
        }
    }

    pub(crate) fn have(&self) -> &Bitfield {
        &self.have
    }

    pub(crate) fn has(&self, piece: PieceIndex) -> bool {
        self.have.get(piece)
    }

    /// Whether we want `piece` and do not have it.
    pub(crate) fn wants(&self, piece: PieceIndex) -> bool {
        self.wanted.get(piece) && !self.have.get(piece)
    }

    /// How much `piece` is wanted.
    pub(crate) fn priority(&self, piece: PieceIndex) -> Priority {
        if !self.wanted.get(piece) {
            return Priority::Skip;
        }
        let given = self.priorities.get(piece.0 as usize);
        given.copied().unwrap_or_default()
    }

    /// The classes that any piece may be in, the most urgent first.
    pub(crate) fn classes(&self) -> &'static [Priority] {
        if self.priorities.is_empty() {
            &[Priority::Normal]
        } else {
            &Priority::WANTED
        }
    }

    /// From now on `piece` is wanted so much.
    pub(crate) fn set_priority(&mut self, piece: PieceIndex, priority: Priority) {
        let was_left = self.wants(piece);
        let size = u64::from(self.layout.piece_size(piece));
        if priority == Priority::Skip {
            self.wanted.clear(piece);
        } else {
            self.wanted.set(piece);
            if self.priorities.is_empty() && priority != Priority::Normal {
                self.priorities = vec![Priority::Normal; self.layout.piece_count() as usize];
            }
            if let Some(place) = self.priorities.get_mut(piece.0 as usize) {
                *place = priority;
            }
        }
        let is_left = self.wants(piece);
        self.left = self.left + u32::from(is_left) - u32::from(was_left);
        self.bytes_left = self.bytes_left + size * u64::from(is_left) - size * u64::from(was_left);
    }

    /// Wanted pieces that we do not have.
    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    /// Bytes of the pieces that we have.
    pub(crate) fn bytes_have(&self) -> u64 {
        self.bytes_have
    }

    /// Bytes of the wanted pieces that we do not have.
    pub(crate) fn bytes_left(&self) -> u64 {
        self.bytes_left
    }

    pub(crate) fn is_everything_here(&self) -> bool {
        self.have.is_full()
    }

    /// Pieces under way, with their state.
    pub(crate) fn partials(&self) -> impl Iterator<Item = (PieceIndex, &Partial)> {
        self.partial
            .iter()
            .map(|(&piece, partial)| (piece, partial))
    }

    pub(crate) fn partial(&self, piece: PieceIndex) -> Option<&Partial> {
        self.partial.get(&piece)
    }

    /// Whether it is under way and some of its blocks are not here.
    pub(crate) fn is_incomplete(&self, piece: PieceIndex) -> bool {
        self.partial
            .get(&piece)
            .is_some_and(|partial| !partial.is_complete())
    }

    pub(crate) fn partial_count(&self) -> usize {
        self.partial.len()
    }

    /// Blocks of started pieces that nobody has been asked for.
    pub(crate) fn unrequested_blocks(&self) -> u32 {
        self.unrequested
    }

    /// Begins `piece`; nothing happens if it is under way or here.
    pub(crate) fn start(&mut self, piece: PieceIndex) {
        if self.has(piece) || self.partial.contains_key(&piece) {
            return;
        }
        let state = |block| match self.layout.is_padding(block) {
            true => Block::Padding,
            false => Block::Missing,
        };
        let blocks: Vec<Block> = self.layout.blocks(piece).map(state).collect();
        let padding = blocks.iter().filter(|b| **b == Block::Padding).count();
        let padding = u32::try_from(padding).unwrap_or(u32::MAX);
        let count = self.layout.block_count(piece) - padding;
        self.unrequested += count;
        self.partial.insert(
            piece,
            Partial {
                blocks,
                missing: count,
                received: padding,
                padding,
                first_missing: 0,
            },
        );
    }

    /// Takes the first block of `piece` that nobody has been asked for and marks it requested.
    pub(crate) fn take_missing(&mut self, piece: PieceIndex) -> Option<BlockRef> {
        let partial = self.partial.get_mut(&piece)?;
        if partial.missing == 0 {
            return None;
        }
        let from = partial.first_missing as usize;
        let at = from
            + partial.blocks[from..]
                .iter()
                .position(|block| *block == Block::Missing)?;
        partial.blocks[at] = Block::Requested { by: 1 };
        partial.missing -= 1;
        self.unrequested -= 1;
        let at = u32::try_from(at).ok()?;
        partial.first_missing = at + 1;
        Some(self.layout.block(piece, at))
    }

    /// Asks one more peer for a block that others have been asked for; false when it is not in that state or `limit`
    /// peers have been asked.
    pub(crate) fn request_again(&mut self, block: BlockRef, limit: u16) -> bool {
        match self.block_mut(block) {
            Some(Block::Requested { by }) if *by < limit => {
                *by += 1;
                true
            }
            _ => false,
        }
    }

    /// Whether exactly one peer has been asked for `block`, and it is not here.
    pub(crate) fn is_asked_once(&self, block: BlockRef) -> bool {
        let number = self.layout.block_number(block.begin) as usize;
        let partial = self.partial.get(&block.piece);
        let state = partial.and_then(|partial| partial.blocks.get(number));
        state == Some(&Block::Requested { by: 1 })
    }

    /// One peer will not send `block` after all.
    pub(crate) fn unrequest(&mut self, block: BlockRef) {
        let number = self.layout.block_number(block.begin);
        let Some(partial) = self.partial.get_mut(&block.piece) else {
            return;
        };
        let Some(state) = partial.blocks.get_mut(number as usize) else {
            return;
        };
        match state {
            Block::Requested { by } if *by > 1 => *by -= 1,
            Block::Requested { .. } => {
                *state = Block::Missing;
                partial.missing += 1;
                partial.first_missing = partial.first_missing.min(number);
                self.unrequested += 1;
            }
            Block::Missing | Block::Received { .. } | Block::Padding => {}
        }
    }

    /// A peer sent `block`.
    pub(crate) fn receive(&mut self, block: BlockRef, from: PeerKey) -> Received {
        let number = self.layout.block_number(block.begin);
        if self.layout.block_count(block.piece) <= number
            || self.layout.block(block.piece, number) != block
        {
            return Received::Duplicate;
        }
        let Some(partial) = self.partial.get_mut(&block.piece) else {
            return Received::Duplicate;
        };
        let state = &mut partial.blocks[number as usize];
        match state {
            Block::Received { .. } | Block::Padding => return Received::Duplicate,
            Block::Missing => {
                partial.missing -= 1;
                self.unrequested -= 1;
            }
            Block::Requested { .. } => {}
        }
        *state = Block::Received { from };
        partial.received += 1;
        Received::New
    }

    /// `piece` verified: it is ours now.
    pub(crate) fn verified(&mut self, piece: PieceIndex) {
        self.forget_partial(piece);
        if self.have.set(piece) {
            let size = u64::from(self.layout.piece_size(piece));
            self.bytes_have += size;
            if self.wanted.get(piece) {
                self.left -= 1;
                self.bytes_left -= size;
            }
        }
    }

    /// `piece` did not verify, or its bytes were lost on the way to the disk: everything of it is missing again.
    /// Returns who sent its blocks, in block order.
    pub(crate) fn failed(&mut self, piece: PieceIndex) -> Vec<PeerKey> {
        let Some(partial) = self.forget_partial(piece) else {
            return Vec::new();
        };
        // Padding is never wrong, so whoever it is booked on is not blamed for it; the list has an entry a block.
        let mut last = partial.blocks.iter().find_map(Block::sender);
        let sender = |block: &Block| match block {
            Block::Received { from } => {
                last = Some(*from);
                last
            }
            Block::Padding => last,
            Block::Missing | Block::Requested { .. } => None,
        };
        partial.blocks.iter().filter_map(sender).collect()
    }

    /// Who sent blocks of pieces under way, some several times.
    pub(crate) fn senders(&self) -> impl Iterator<Item = PeerKey> + '_ {
        let partials = self.partial.values();
        partials.flat_map(|partial| partial.blocks.iter().filter_map(Block::sender))
    }

    /// `piece` is here no more; false if it was not.
    pub(crate) fn lost(&mut self, piece: PieceIndex) -> bool {
        let was_here = piece.0 < self.have.len() && self.have.clear(piece);
        if was_here {
            let size = u64::from(self.layout.piece_size(piece));
            self.bytes_have -= size;
            if self.wanted.get(piece) {
                self.left += 1;
                self.bytes_left += size;
            }
        }
        was_here
    }

    /// Drops every piece under way; gives them.
    pub(crate) fn drop_partials(&mut self) -> Vec<PieceIndex> {
        self.unrequested = 0;
        std::mem::take(&mut self.partial).into_keys().collect()
    }

    /// Drops a piece under way of which no block is here and none is requested.
    pub(crate) fn drop_if_untouched(&mut self, piece: PieceIndex) -> bool {
        let untouched = self
            .partial
            .get(&piece)
            .is_some_and(|p| (p.missing + p.padding) as usize == p.blocks.len());
        if untouched {
            self.forget_partial(piece);
        }
        untouched
    }

    /// Bytes of wanted pieces that are verified or received.
    pub(crate) fn bytes_received_of_partials(&self) -> u64 {
        self.partial
            .values()
            .map(|partial| u64::from(partial.received) * u64::from(bt_metainfo::BLOCK_SIZE))
            .sum()
    }

    /// Bytes of a piece under way that have been received.
    pub(crate) fn bytes_received(&self, piece: PieceIndex) -> u64 {
        let blocks = self.partial.get(&piece).map(|partial| &partial.blocks);
        let blocks = (0u32..).zip(blocks.into_iter().flatten());
        blocks
            .filter(|(_, block)| block.sender().is_some())
            .map(|(number, _)| u64::from(self.layout.block(piece, number).length))
            .sum()
    }

    /// Every block that has been asked for and is not here, and of how many peers.
    pub(crate) fn requested(&self) -> impl Iterator<Item = (BlockRef, u16)> + '_ {
        self.partial.iter().flat_map(move |(&piece, partial)| {
            (0u32..)
                .zip(&partial.blocks)
                .filter_map(move |(number, block)| match block {
                    Block::Requested { by } => Some((self.layout.block(piece, number), *by)),
                    Block::Missing | Block::Received { .. } | Block::Padding => None,
                })
        })
    }

    /// Whether the counters agree with the blocks they count.
    pub(crate) fn audit(&self) -> Result<(), String> {
        let mut unrequested = 0;
        for (piece, partial) in &self.partial {
            let count = |wanted: fn(&Block) -> bool| {
                partial.blocks.iter().filter(|block| wanted(block)).count()
            };
            let missing = count(|block| *block == Block::Missing);
            let received = count(|block| matches!(block, Block::Received { .. } | Block::Padding));
            if missing != partial.missing as usize || received != partial.received as usize {
                return Err(format!(
                    "piece {piece}: the counts of missing or received blocks are wrong"
                ));
            }
            if partial
                .blocks
                .iter()
                .take(partial.first_missing as usize)
                .any(|block| *block == Block::Missing)
            {
                return Err(format!(
                    "piece {piece}: a block before the first missing one is missing"
                ));
            }
            if self.has(*piece) {
                return Err(format!("piece {piece} is here and under way"));
            }
            unrequested += partial.missing;
        }
        if unrequested != self.unrequested || self.left != count_left(&self.have, &self.wanted) {
            return Err("the totals of missing blocks or pieces are wrong".to_owned());
        }
        let here = bytes(&self.layout, self.have.iter_ones());
        let left = bytes(&self.layout, self.wanted.iter_and_not(&self.have));
        if (here, left) != (self.bytes_have, self.bytes_left) {
            return Err("the totals of bytes are wrong".to_owned());
        }
        Ok(())
    }

    fn forget_partial(&mut self, piece: PieceIndex) -> Option<Partial> {
        let partial = self.partial.remove(&piece)?;
        self.unrequested -= partial.missing;
        Some(partial)
    }

    fn block_mut(&mut self, block: BlockRef) -> Option<&mut Block> {
        let number = self.layout.block_number(block.begin) as usize;
        self.partial.get_mut(&block.piece)?.blocks.get_mut(number)
    }
}

fn count_left(have: &Bitfield, wanted: &Bitfield) -> u32 {
    let both = wanted.iter_ones().filter(|&piece| have.get(piece)).count();
    u32::try_from(wanted.iter_ones().count() - both).expect("a torrent has fewer than 2^32 pieces")
}

fn bytes(layout: &Layout, pieces: impl Iterator<Item = PieceIndex>) -> u64 {
    pieces
        .map(|piece| u64::from(layout.piece_size(piece)))
        .sum()
}
