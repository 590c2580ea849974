//! Pieces being put together from blocks in memory.
//!
//! A block is a slice of the buffer it was received in; nothing is copied here. It must not know files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bt_metainfo::{BlockRef, Layout, PieceIndex};
use bytes::Bytes;

/// Where a block of a piece under way is.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    /// Not received.
    Empty,
    /// Here.
    Memory(Bytes),
    /// Written to its place in the file, unverified, to make room in memory.
    Spilled,
}

/// A piece all of whose blocks are here.
#[derive(Debug)]
pub(crate) struct WholePiece {
    pub(crate) piece: PieceIndex,
    pub(crate) blocks: Vec<Slot>,
    /// Somebody wants to know the digests of the blocks.
    pub(crate) watched: bool,
}

impl WholePiece {
    /// Bytes held in memory.
    pub(crate) fn memory(&self) -> usize {
        self.blocks.iter().map(in_memory).sum()
    }
}

fn in_memory(slot: &Slot) -> usize {
    if let Slot::Memory(data) = slot { data.len() } else { 0 }
}

#[derive(Debug)]
struct Partial {
    blocks: Vec<Slot>,
    empty: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Assembly {
    layout: Arc<Layout>,
    partial: BTreeMap<PieceIndex, Partial>,
    watched: BTreeSet<PieceIndex>,
}

impl Assembly {
    pub(crate) fn new(layout: Arc<Layout>) -> Self {
        Self { layout, partial: BTreeMap::new(), watched: BTreeSet::new() }
    }

    /// Adds a block. Gives back the piece if this was the last block of it. A block that is there already, or does not
    /// fit the layout, is ignored and its bytes are returned as not kept.
    pub(crate) fn add(&mut self, block: BlockRef, data: Bytes) -> Added {
        if !self.layout.is_block(block) || data.len() != block.length as usize {
            return Added::Ignored;
        }
        let count = self.layout.block_count(block.piece) as usize;
        let partial = self
            .partial
            .entry(block.piece)
            .or_insert_with(|| Partial { blocks: vec![Slot::Empty; count], empty: count });
        let slot = &mut partial.blocks[self.layout.block_number(block.begin) as usize];
        if !matches!(slot, Slot::Empty) {
            return Added::Ignored;
        }
        *slot = Slot::Memory(data);
        partial.empty -= 1;
        if partial.empty > 0 {
            return Added::Kept;
        }
        let Some(partial) = self.partial.remove(&block.piece) else { return Added::Kept };
        let watched = self.watched.remove(&block.piece);
        Added::Whole(WholePiece { piece: block.piece, blocks: partial.blocks, watched })
    }

    /// The next verdict on `piece` should come with the digests of its blocks.
    pub(crate) fn watch(&mut self, piece: PieceIndex) {
        self.watched.insert(piece);
    }

    /// Takes the blocks in memory of the incomplete piece that holds the most; they count as spilled from now on.
    pub(crate) fn spill(&mut self) -> Vec<(BlockRef, Bytes)> {
        let held = |partial: &Partial| partial.blocks.iter().map(in_memory).sum::<usize>();
        let most = self.partial.iter().max_by_key(|(_, partial)| held(partial));
        let Some(piece) = most.filter(|(_, partial)| held(partial) > 0).map(|(piece, _)| *piece) else {
            return Vec::new();
        };
        let Some(partial) = self.partial.get_mut(&piece) else { return Vec::new() };
        let mut out = Vec::new();
        for (number, slot) in (0u32..).zip(&mut partial.blocks) {
            if let Slot::Memory(data) = slot {
                out.push((self.layout.block(piece, number), std::mem::take(data)));
                *slot = Slot::Spilled;
            }
        }
        out
    }

    /// Drops everything; gives the number of bytes that were held.
    pub(crate) fn clear(&mut self) -> usize {
        let held = self.partial.values().flat_map(|partial| &partial.blocks).map(in_memory).sum();
        self.partial.clear();
        held
    }
}

/// What became of a block.
#[derive(Debug)]
pub(crate) enum Added {
    /// It is held.
    Kept,
    /// It is held, and its piece is complete.
    Whole(WholePiece),
    /// It is not held.
    Ignored,
}

#[cfg(test)]
mod tests {
    use super::{Added, Assembly, Slot};
    use bt_metainfo::{BLOCK_SIZE, Layout, PieceIndex};
    use bytes::Bytes;
    use std::sync::Arc;

    fn assembly() -> (Arc<Layout>, Assembly) {
        let layout = Arc::new(Layout::new(4 * BLOCK_SIZE, [(6 * u64::from(BLOCK_SIZE) + 100, false)]).unwrap());
        (Arc::clone(&layout), Assembly::new(layout))
    }

    fn data(len: u32) -> Bytes {
        Bytes::from(vec![1; len as usize])
    }

    #[test]
    fn a_piece_comes_out_when_its_last_block_comes_in_whatever_the_order() {
        let (layout, mut assembly) = assembly();
        let last = PieceIndex(1);
        for number in [2, 0] {
            let block = layout.block(last, number);
            assert!(matches!(assembly.add(block, data(block.length)), Added::Kept));
            assert!(matches!(assembly.add(block, data(block.length)), Added::Ignored), "twice");
        }
        let block = layout.block(last, 1);
        let Added::Whole(whole) = assembly.add(block, data(block.length)) else { panic!("not whole") };
        assert_eq!(whole.memory(), 2 * BLOCK_SIZE as usize + 100);
    }

    #[test]
    fn blocks_that_do_not_fit_are_ignored() {
        let (layout, mut assembly) = assembly();
        let mut block = layout.block(PieceIndex(0), 0);
        assert!(matches!(assembly.add(block, data(5)), Added::Ignored));
        block.begin = 1;
        assert!(matches!(assembly.add(block, data(block.length)), Added::Ignored));
        block.piece = PieceIndex(9);
        assert!(matches!(assembly.add(block, data(block.length)), Added::Ignored));
    }

    #[test]
    fn spilled_blocks_count_as_received() {
        let (layout, mut assembly) = assembly();
        for number in 0..3 {
            let block = layout.block(PieceIndex(0), number);
            assembly.add(block, data(block.length));
        }
        assert_eq!(assembly.spill().len(), 3);
        assert!(assembly.spill().is_empty());
        let block = layout.block(PieceIndex(0), 3);
        let Added::Whole(whole) = assembly.add(block, data(block.length)) else { panic!("not whole") };
        assert_eq!(whole.blocks.iter().filter(|slot| matches!(slot, Slot::Spilled)).count(), 3);
        assert_eq!(assembly.clear(), 0);
    }
}
