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
    /// Written to its place in the file, unverified, to make room in memory; or padding, which has no place.
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
    if let Slot::Memory(data) = slot {
        data.len()
    } else {
        0
    }
}

#[derive(Debug)]
struct Partial {
    /// Which attempt at the piece it is: one that was dropped and begun anew has another number.
    attempt: u64,
    blocks: Vec<Slot>,
    empty: usize,
    /// Its blocks are being written to make room; until that is done it is not handed out, whole or not.
    spilling: bool,
}

impl Partial {
    fn held(&self) -> usize {
        self.blocks.iter().map(in_memory).sum()
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Assembly {
    layout: Arc<Layout>,
    partial: BTreeMap<PieceIndex, Partial>,
    watched: BTreeSet<PieceIndex>,
    attempts: u64,
    /// Of each piece that was handed out whole: it waits for its verdict, or has got a good one. Blocks that come for it
    /// all the same must not be written over it before they are verified.
    settled: Vec<bool>,
}

/// Blocks that are to be written to make room in memory, unverified.
#[derive(Debug)]
pub(crate) struct Spill {
    pub(crate) piece: PieceIndex,
    attempt: u64,
    pub(crate) blocks: Vec<(BlockRef, Bytes)>,
}

impl Assembly {
    pub(crate) fn new(layout: Arc<Layout>) -> Self {
        Self {
            layout,
            partial: BTreeMap::new(),
            watched: BTreeSet::new(),
            attempts: 0,
            settled: Vec::new(),
        }
    }

    /// Adds a block. Gives back the piece if this was the last block of it. A block that is there already, or does not
    /// fit the layout, is ignored and its bytes are returned as not kept.
    pub(crate) fn add(&mut self, block: BlockRef, data: Bytes) -> Added {
        if !self.layout.is_block(block) || data.len() != block.length as usize {
            return Added::Ignored;
        }
        let layout = &self.layout;
        let attempts = &mut self.attempts;
        let partial = self.partial.entry(block.piece).or_insert_with(|| {
            *attempts += 1;
            let slot = |block| match layout.is_padding(block) {
                true => Slot::Spilled,
                false => Slot::Empty,
            };
            let blocks: Vec<Slot> = layout.blocks(block.piece).map(slot).collect();
            let is_empty = |slot: &&Slot| matches!(slot, Slot::Empty);
            Partial {
                attempt: *attempts,
                empty: blocks.iter().filter(is_empty).count(),
                blocks,
                spilling: false,
            }
        });
        let slot = &mut partial.blocks[self.layout.block_number(block.begin) as usize];
        if !matches!(slot, Slot::Empty) {
            return Added::Ignored;
        }
        *slot = Slot::Memory(data);
        partial.empty -= 1;
        if partial.empty > 0 || partial.spilling {
            return Added::Kept;
        }
        self.take_whole(block.piece)
            .map_or(Added::Kept, Added::Whole)
    }

    fn take_whole(&mut self, piece: PieceIndex) -> Option<WholePiece> {
        let blocks = self.partial.remove(&piece)?.blocks;
        let watched = self.watched.remove(&piece);
        self.keep_off_the_disk(piece);
        Some(WholePiece {
            piece,
            blocks,
            watched,
        })
    }

    /// Blocks of this piece are not written before all of it has been verified: good ones may be there already, ours or those
    /// of somebody who has the same file.
    pub(crate) fn keep_off_the_disk(&mut self, piece: PieceIndex) {
        self.settled
            .resize(self.layout.piece_count() as usize, false);
        self.settle(piece, true);
    }

    fn settle(&mut self, piece: PieceIndex, settled: bool) {
        if let Some(place) = self.settled.get_mut(piece.0 as usize) {
            *place = settled;
        }
    }

    /// A piece that was handed out turned out bad, or could not be written.
    pub(crate) fn was_bad(&mut self, piece: PieceIndex) {
        self.settle(piece, false);
    }

    /// Bytes held in memory.
    pub(crate) fn held(&self) -> usize {
        self.partial.values().map(Partial::held).sum()
    }

    /// The next verdict on `piece` should come with the digests of its blocks.
    pub(crate) fn watch(&mut self, piece: PieceIndex) {
        self.watched.insert(piece);
    }

    /// The blocks in memory of the incomplete piece that holds the most. They stay where they are until
    /// [`Assembly::end_spill`] says that they are on the disk.
    pub(crate) fn begin_spill(&mut self) -> Option<Spill> {
        let settled = &self.settled;
        let is_settled = |piece: &PieceIndex| settled.get(piece.0 as usize) == Some(&true);
        let idle = self.partial.iter_mut().filter(|(piece, partial)| {
            !partial.spilling && partial.held() > 0 && !is_settled(piece)
        });
        let (&piece, partial) = idle.max_by_key(|(_, partial)| partial.held())?;
        partial.spilling = true;
        let layout = &self.layout;
        let in_memory = |(number, slot): (u32, &Slot)| match slot {
            Slot::Memory(data) => Some((layout.block(piece, number), data.clone())),
            Slot::Empty | Slot::Spilled => None,
        };
        Some(Spill {
            piece,
            attempt: partial.attempt,
            blocks: (0u32..)
                .zip(&partial.blocks)
                .filter_map(in_memory)
                .collect(),
        })
    }

    /// The blocks of `spill` have been written, or could not be. Gives the number of bytes that are no longer held, and
    /// the piece if it became whole meanwhile.
    pub(crate) fn end_spill(
        &mut self,
        spill: &Spill,
        is_written: bool,
    ) -> (usize, Option<WholePiece>) {
        let piece = spill.piece;
        let partial = self.partial.get_mut(&piece);
        // Another attempt at the piece has not received what was written for this one.
        let Some(partial) = partial.filter(|partial| partial.attempt == spill.attempt) else {
            return (0, None);
        };
        partial.spilling = false;
        let mut freed = 0;
        for (block, _) in spill.blocks.iter().filter(|_| is_written) {
            let slot = &mut partial.blocks[self.layout.block_number(block.begin) as usize];
            freed += in_memory(slot);
            *slot = Slot::Spilled;
        }
        let whole = partial.empty == 0;
        (freed, whole.then(|| self.take_whole(piece)).flatten())
    }

    /// Drops one incomplete piece; gives the number of bytes that were held.
    pub(crate) fn clear_piece(&mut self, piece: PieceIndex) -> usize {
        self.watched.remove(&piece);
        self.partial
            .remove(&piece)
            .map_or(0, |partial| partial.held())
    }

    /// Drops everything; gives the number of bytes that were held.
    pub(crate) fn clear(&mut self) -> usize {
        let held = self.held();
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
        let layout = Arc::new(
            Layout::new(4 * BLOCK_SIZE, [(6 * u64::from(BLOCK_SIZE) + 100, false)]).unwrap(),
        );
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
            assert!(matches!(
                assembly.add(block, data(block.length)),
                Added::Kept
            ));
            assert!(
                matches!(assembly.add(block, data(block.length)), Added::Ignored),
                "twice"
            );
        }
        let block = layout.block(last, 1);
        let Added::Whole(whole) = assembly.add(block, data(block.length)) else {
            panic!("not whole")
        };
        assert_eq!(whole.memory(), 2 * BLOCK_SIZE as usize + 100);
    }

    #[test]
    fn blocks_that_do_not_fit_are_ignored() {
        let (layout, mut assembly) = assembly();
        let mut block = layout.block(PieceIndex(0), 0);
        assert!(matches!(assembly.add(block, data(5)), Added::Ignored));
        block.begin = 1;
        assert!(matches!(
            assembly.add(block, data(block.length)),
            Added::Ignored
        ));
        block.piece = PieceIndex(9);
        assert!(matches!(
            assembly.add(block, data(block.length)),
            Added::Ignored
        ));
    }

    #[test]
    fn spilled_blocks_count_as_received() {
        let (layout, mut assembly) = assembly();
        for number in 0..3 {
            let block = layout.block(PieceIndex(0), number);
            assembly.add(block, data(block.length));
        }
        let spill = assembly.begin_spill().unwrap();
        assert_eq!((spill.piece, spill.blocks.len()), (PieceIndex(0), 3));
        assert!(assembly.begin_spill().is_none(), "it is being written");
        // The last block comes while the others are being written: the piece waits for that.
        let block = layout.block(PieceIndex(0), 3);
        assert!(matches!(
            assembly.add(block, data(block.length)),
            Added::Kept
        ));
        let (freed, whole) = assembly.end_spill(&spill, true);
        assert_eq!(freed, 3 * BLOCK_SIZE as usize);
        let whole = whole.unwrap();
        assert_eq!(
            whole
                .blocks
                .iter()
                .filter(|slot| matches!(slot, Slot::Spilled))
                .count(),
            3
        );
        assert_eq!(assembly.clear(), 0);
    }

    #[test]
    fn blocks_written_for_an_attempt_that_was_dropped_are_not_those_of_the_next() {
        let (layout, mut assembly) = assembly();
        let add = |assembly: &mut Assembly, number| {
            let block = layout.block(PieceIndex(0), number);
            assembly.add(block, data(block.length))
        };
        add(&mut assembly, 0);
        let spill = assembly.begin_spill().unwrap();
        // Paused and resumed while they are being written: block 0 is asked for once more.
        assembly.clear();
        add(&mut assembly, 1);
        assert_eq!(assembly.end_spill(&spill, true).0, 0);
        assert!(
            matches!(add(&mut assembly, 0), Added::Kept),
            "it was not received since"
        );
        add(&mut assembly, 2);
        assert!(matches!(add(&mut assembly, 3), Added::Whole(_)));
    }

    #[test]
    fn a_spill_that_failed_is_tried_again() {
        let (layout, mut assembly) = assembly();
        let block = layout.block(PieceIndex(0), 0);
        assembly.add(block, data(block.length));
        let spill = assembly.begin_spill().unwrap();
        assert_eq!(assembly.end_spill(&spill, false).0, 0);
        assert_eq!(assembly.begin_spill().unwrap().blocks.len(), 1);
    }

    #[test]
    fn nothing_unverified_is_written_over_a_piece_that_is_here_or_may_be_soon() {
        let (layout, mut assembly) = assembly();
        let piece = PieceIndex(1);
        let fill = |assembly: &mut Assembly| {
            for number in 0..3 {
                let block = layout.block(piece, number);
                assembly.add(block, data(block.length));
            }
        };
        fill(&mut assembly);
        let late = layout.block(piece, 0);
        assembly.add(late, data(late.length));
        assert!(assembly.begin_spill().is_none());
        // It was bad: what comes now is a new attempt like any other.
        assembly.was_bad(piece);
        assert!(assembly.begin_spill().is_some());
        assembly.clear();
        fill(&mut assembly);
        assembly.add(late, data(late.length));
        assert!(assembly.begin_spill().is_none());
    }
}
