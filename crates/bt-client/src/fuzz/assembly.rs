//! Pieces put together from blocks: what is kept, handed out and written to make room, against plain lists of blocks that
//! are gone through anew each time.

use std::sync::Arc;

use bt_metainfo::{BLOCK_SIZE, BlockRef, Layout, PieceIndex};
use bytes::Bytes;

use crate::disk::assembly::{Added, Assembly, Slot, Spill, WholePiece};

/// A file, padding that fills up a piece and the whole one after it, and a file that ends in a short piece.
const FILES: [(u64, bool); 3] = {
    let block = BLOCK_SIZE as u64;
    [
        (5 * block + 7, false),
        (7 * block - 7, true),
        (4 * block + 100, false),
    ]
};

/// Blocks of a piece.
const BLOCKS: u32 = 4;

/// Each two bytes are one thing that happens.
///
/// # Panics
/// If a block is kept, a piece handed out or a block chosen to be written other than the lists say, if the bytes held are
/// other than theirs, or if in the end anything of what was dropped is still there.
pub fn assembly(data: &[u8]) {
    let mut desk = Desk::new();
    for &[what, how] in data.as_chunks().0 {
        let piece = desk.piece(how);
        match what & 7 {
            0..=2 => desk.bring(what >> 3, how),
            3 => desk.fill(piece),
            4 => desk.begin_spill(),
            5 => desk.end_spill(usize::from(how & 127), how >= 128),
            6 => desk.say(piece, what >> 3),
            _ => desk.drop_some(piece, what >> 3),
        }
        assert_eq!(desk.assembly.held(), desk.held(), "after {what} {how}");
        assert_eq!(desk.counted, desk.held(), "after {what} {how}");
    }
    desk.ends_empty();
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Missing,
    /// Here, and its first byte.
    Held(u8),
    /// On the disk, or padding.
    Written,
}

struct OpenSpill {
    spill: Spill,
    piece: usize,
    /// Its attempt at the piece has been given up.
    is_stale: bool,
}

struct Desk {
    layout: Arc<Layout>,
    assembly: Assembly,
    /// What blocks are parts of: each one begins with another byte.
    buffer: Bytes,
    last_tag: u8,
    /// The blocks of each piece that has been begun.
    begun: Vec<Option<Vec<Place>>>,
    settled: Vec<bool>,
    watched: Vec<bool>,
    spills: Vec<OpenSpill>,
    /// Bytes as a budget counts them, by what the assembly says.
    counted: usize,
}

impl Desk {
    fn new() -> Self {
        let layout = Layout::new(BLOCKS * BLOCK_SIZE, FILES).expect("a layout");
        let layout = Arc::new(layout);
        let pieces = layout.piece_count() as usize;
        let bytes = (0..BLOCK_SIZE + 256).map(|at| at.to_le_bytes()[0]);
        Self {
            assembly: Assembly::new(Arc::clone(&layout)),
            buffer: bytes.collect(),
            last_tag: 0,
            begun: vec![None; pieces],
            settled: vec![false; pieces],
            watched: vec![false; pieces],
            spills: Vec::new(),
            counted: 0,
            layout,
        }
    }

    fn piece(&self, how: u8) -> PieceIndex {
        PieceIndex(u32::from(how) % self.layout.piece_count())
    }

    fn held(&self) -> usize {
        (0..self.begun.len()).map(|piece| self.held_of(piece)).sum()
    }

    fn held_of(&self, piece: usize) -> usize {
        let places = self.begun[piece].iter().flatten();
        let held = (0..).zip(places).filter_map(|(number, place)| {
            let length = self.block(piece, number).length as usize;
            matches!(place, Place::Held(_)).then_some(length)
        });
        held.sum()
    }

    fn block(&self, piece: usize, number: u32) -> BlockRef {
        let piece = u32::try_from(piece).expect("few pieces");
        self.layout.block(PieceIndex(piece), number)
    }

    fn is_spilling(&self, piece: usize) -> bool {
        let mut spills = self.spills.iter();
        spills.any(|open| open.piece == piece && !open.is_stale)
    }

    /// A block, or something that is none.
    fn bring(&mut self, kind: u8, how: u8) {
        let piece = self.piece(how);
        let count = self.layout.block_count(piece);
        let number = u32::from(how) / self.layout.piece_count() % count;
        let mut block = self.layout.block(piece, number);
        let mut length = block.length;
        match kind {
            28 => length -= 1,
            29 => block.begin += 1,
            30 => block.piece.0 += self.layout.piece_count(),
            31 => {
                block.length -= 1;
                length -= 1;
            }
            _ => return self.add(piece, number),
        }
        let data = self.buffer.slice(..length as usize);
        let added = self.assembly.add(block, data);
        assert!(matches!(added, Added::Ignored), "{block:?} is none");
    }

    /// All blocks but padding, which nobody is asked for.
    fn fill(&mut self, piece: PieceIndex) {
        for number in 0..self.layout.block_count(piece) {
            if !self.layout.is_padding(self.layout.block(piece, number)) {
                self.add(piece, number);
            }
        }
    }

    fn add(&mut self, piece: PieceIndex, number: u32) {
        let block = self.layout.block(piece, number);
        let index = piece.0 as usize;
        self.last_tag = self.last_tag.wrapping_add(1);
        let tag = self.last_tag;
        let layout = &self.layout;
        let places = self.begun[index].get_or_insert_with(|| {
            let place = |block| match layout.is_padding(block) {
                true => Place::Written,
                false => Place::Missing,
            };
            layout.blocks(piece).map(place).collect()
        });
        let place = &mut places[number as usize];
        let is_new = *place == Place::Missing;
        if is_new {
            *place = Place::Held(tag);
        }
        let is_whole = is_new && !places.contains(&Place::Missing) && !self.is_spilling(index);
        let first = usize::from(tag);
        let data = self.buffer.slice(first..first + block.length as usize);
        match self.assembly.add(block, data) {
            Added::Ignored => assert!(!is_new, "{block:?} was needed"),
            Added::Kept => {
                assert!(is_new && !is_whole, "{block:?}: {is_new}, {is_whole}");
                self.counted += block.length as usize;
            }
            Added::Whole(whole) => {
                assert!(is_whole, "{block:?} was not the last");
                self.counted += block.length as usize;
                self.hand_out(index, &whole);
            }
        }
    }

    /// Every block is there as it came first, and it is not there any more.
    fn hand_out(&mut self, piece: usize, whole: &WholePiece) {
        assert_eq!(whole.piece.0 as usize, piece);
        let places = self.begun[piece].take().expect("it was begun");
        assert_eq!(whole.blocks.len(), places.len());
        for ((number, slot), place) in (0..).zip(&whole.blocks).zip(places) {
            match (slot, place) {
                (Slot::Memory(data), Place::Held(tag)) => {
                    assert_eq!(data.len(), self.block(piece, number).length as usize);
                    assert_eq!(data.first(), Some(&tag), "block {number} of {piece}");
                }
                (Slot::Spilled, Place::Written) => {}
                (slot, place) => panic!("block {number} of {piece}: {slot:?} and {place:?}"),
            }
        }
        assert_eq!(whole.watched, std::mem::take(&mut self.watched[piece]));
        self.counted -= whole.memory();
        self.settled[piece] = true;
    }

    /// Of the pieces that may be written to, one that holds the most.
    fn begin_spill(&mut self) {
        let all = 0..self.begun.len();
        let may = all.filter(|piece| !self.settled[*piece] && !self.is_spilling(*piece));
        let most = may.map(|piece| self.held_of(piece)).max().unwrap_or(0);
        let Some(spill) = self.assembly.begin_spill() else {
            assert_eq!(most, 0, "nothing is written");
            return;
        };
        let piece = spill.piece.0 as usize;
        assert!(!self.settled[piece], "{piece} is here, or may be so soon");
        assert!(!self.is_spilling(piece), "{piece} is being written");
        assert!(most > 0 && self.held_of(piece) == most, "{piece}");
        let places = self.begun[piece].as_deref().unwrap_or_default();
        let held = (0..).zip(places).filter_map(|(number, place)| match place {
            Place::Held(tag) => Some((self.block(piece, number), Some(*tag))),
            Place::Missing | Place::Written => None,
        });
        let chosen = spill.blocks.iter();
        let chosen = chosen.map(|(block, data)| (*block, data.first().copied()));
        assert!(chosen.eq(held), "not the blocks of {piece} that are held");
        self.spills.push(OpenSpill {
            spill,
            piece,
            is_stale: false,
        });
    }

    fn end_spill(&mut self, which: usize, is_written: bool) {
        if self.spills.is_empty() {
            return;
        }
        let open = self.spills.swap_remove(which % self.spills.len());
        let before = self.held();
        let mut is_whole = false;
        if !open.is_stale {
            let places = self.begun[open.piece].as_mut().expect("it goes on");
            for (block, _) in open.spill.blocks.iter().filter(|_| is_written) {
                let place = &mut places[self.layout.block_number(block.begin) as usize];
                assert!(matches!(place, Place::Held(_)), "{block:?} twice");
                *place = Place::Written;
            }
            is_whole = !places.contains(&Place::Missing);
        }
        let (freed, whole) = self.assembly.end_spill(&open.spill, is_written);
        assert_eq!(freed, before - self.held(), "{}", open.piece);
        self.counted -= freed;
        assert_eq!(whole.is_some(), is_whole, "{}", open.piece);
        if let Some(whole) = whole {
            self.hand_out(open.piece, &whole);
        }
    }

    /// Somebody says something of a piece.
    fn say(&mut self, piece: PieceIndex, what: u8) {
        let index = piece.0 as usize;
        match what % 3 {
            0 => {
                self.assembly.was_bad(piece);
                self.settled[index] = false;
            }
            1 => {
                self.assembly.keep_off_the_disk(piece);
                self.settled[index] = true;
            }
            _ => {
                self.assembly.watch(piece);
                self.watched[index] = true;
            }
        }
    }

    /// Gives up one piece, or all; those who watch all the same do so until a verdict, unless it was that piece alone.
    fn drop_some(&mut self, piece: PieceIndex, what: u8) {
        let index = piece.0 as usize;
        let before = self.held();
        let dropped = if what & 3 == 0 {
            self.begun.fill(None);
            self.spills.iter_mut().for_each(|open| open.is_stale = true);
            self.assembly.clear()
        } else {
            self.begun[index] = None;
            self.watched[index] = false;
            let of_it = self.spills.iter_mut().filter(|open| open.piece == index);
            of_it.for_each(|open| open.is_stale = true);
            self.assembly.clear_piece(piece)
        };
        assert_eq!(dropped, before - self.held());
        self.counted -= dropped;
    }

    /// Whatever was begun ends, and then each piece is put together as if nothing had been before.
    fn ends_empty(mut self) {
        while !self.spills.is_empty() {
            self.end_spill(0, self.spills.len().is_multiple_of(2));
        }
        self.drop_some(PieceIndex(0), 0);
        assert_eq!((self.assembly.held(), self.counted), (0, 0));
        assert!(self.assembly.begin_spill().is_none(), "nothing is here");
        for index in 0..self.layout.piece_count() {
            let piece = PieceIndex(index);
            self.assembly.was_bad(piece);
            self.settled[index as usize] = false;
            self.fill(piece);
            assert!(self.begun[index as usize].is_none(), "{index} is not whole");
        }
        assert_eq!((self.assembly.held(), self.counted), (0, 0));
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_assembly", 4, super::assembly);
    }

    proptest! {
        #[test]
        fn pieces_are_put_together_as_the_lists_say(story in vec(any::<u8>(), 0..160)) {
            super::assembly(&story);
        }
    }
}
