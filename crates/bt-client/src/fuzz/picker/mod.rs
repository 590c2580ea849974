//! The choice of blocks: a download of a few pieces from a few peers, whose every block is judged by a book that is kept
//! the slow way.

mod book;

use std::sync::Arc;

use bt_metainfo::{BLOCK_SIZE, BlockRef, Layout, PieceIndex};
use bt_wire::Bitfield;

use self::book::{Asked, BLOCKS, Book, PEERS, PIECES};
use crate::engine::parts::{Ask, Availability, Pieces, Received, Rng, next_blocks};
use crate::engine::{PeerKey, Priority};
use crate::limits::MAX_ENDGAME_REQUESTS;

/// Each two bytes are one thing that happens to a download; the first byte says what there is of it and of padding.
///
/// # Panics
/// If a block is chosen that the peer does not have, that is not wanted, is here, is padding or has been asked for; if
/// another one had to come before it, or none is chosen although there is one; if rarity or what is left differ from a
/// count of all; if in the end a peer that has everything is not asked for all that is lacking, each block once; or if
/// the same story goes another way the second time.
pub fn picker(data: &[u8]) {
    let once = Driven::play(data);
    assert_eq!(once, Driven::play(data), "the same story, another way");
}

struct Driven {
    pieces: Pieces,
    availability: Availability,
    rng: Rng,
    layout: Arc<Layout>,
    peers: [Peer; PEERS],
    book: Book,
    chosen: Vec<BlockRef>,
}

#[derive(Debug)]
struct Peer {
    has: Bitfield,
    current: Option<PieceIndex>,
    in_flight: Vec<BlockRef>,
}

impl Driven {
    /// The blocks that are chosen, in this order.
    fn play(data: &[u8]) -> Vec<BlockRef> {
        let (first, steps) = data.split_first().unwrap_or((&0, &[]));
        let mut driven = Self::new(*first);
        for &[what, how] in steps.as_chunks().0 {
            driven.step(what, how);
            driven.check();
        }
        driven.everything_comes_in_the_end();
        driven.chosen
    }

    fn new(first: u8) -> Self {
        let (piece, block) = (u64::from(BLOCKS * BLOCK_SIZE), u64::from(BLOCK_SIZE));
        // The last block is short, and its piece has one block less than the others.
        let end = u64::from(PIECES) * piece - block - 1_000;
        let is_padded = first & 1 == 1;
        let files = match is_padded {
            true => vec![(block, false), (2 * block, true), (end - piece, false)],
            false => vec![(end, false)],
        };
        let layout = Layout::new(BLOCKS * BLOCK_SIZE, files);
        let layout = Arc::new(layout.expect("a sound layout"));
        let mut rng = Rng::new(u64::from(first));
        let mut here = Bitfield::new(PIECES);
        // With four pieces the choice is no longer by lot.
        for piece in 0..u32::from(first >> 1 & 7).min(PIECES - 1) {
            here.set(PieceIndex(piece));
        }
        let mut availability = Availability::new(PIECES, &mut rng);
        here.iter_ones()
            .for_each(|piece| availability.unlist(piece));
        Self {
            book: Book::new(&here, is_padded),
            pieces: Pieces::new(Arc::clone(&layout), here, Bitfield::full(PIECES)),
            availability,
            rng,
            layout,
            peers: std::array::from_fn(|_| Peer {
                has: Bitfield::new(PIECES),
                current: None,
                in_flight: Vec::new(),
            }),
            chosen: Vec::new(),
        }
    }

    fn step(&mut self, what: u8, how: u8) {
        let peer = usize::from(what >> 4) % PEERS;
        let piece = PieceIndex(u32::from(how) % PIECES);
        let number = usize::from(how >> 3);
        match what & 15 {
            0 | 1 => self.has(peer, piece),
            2 => self.has_no_more(peer, piece),
            3 if how < 16 => self.leaves(peer),
            3 => (0..PIECES).for_each(|piece| self.has(peer, PieceIndex(piece))),
            4..=7 => self.ask(peer, usize::from(how & 3) + 1, &asked(how)),
            8..=10 => {
                if let Some(block) = self.peers[peer].under_way(number) {
                    self.comes(peer, block);
                }
            }
            11 => {
                if let Some(block) = self.peers[peer].under_way(number) {
                    self.take_back(peer, |one| one == block);
                }
            }
            12 => self.ask_again(peer, number),
            13 => _ = self.judge(how & 1 == 0),
            14 if how & 1 == 0 => self.is_lost(piece),
            // Nobody asked for it.
            14 => self.comes(peer, self.layout.block(piece, u32::from(how >> 4) % BLOCKS)),
            _ => self.prioritize(piece, class(how >> 4)),
        }
    }

    fn has(&mut self, peer: usize, piece: PieceIndex) {
        let has = &mut self.peers[peer].has;
        if !has.set(piece) {
            return;
        }
        self.availability.gained(piece, &mut self.rng);
        if has.is_full() {
            for piece in has.iter_ones() {
                self.availability.lost(piece, &mut self.rng);
            }
            self.availability.seed_joined();
        }
    }

    fn has_no_more(&mut self, peer: usize, piece: PieceIndex) {
        let has = &mut self.peers[peer].has;
        if !has.get(piece) {
            return;
        }
        if has.is_full() {
            self.availability.seed_left();
            for piece in has.iter_ones() {
                self.availability.gained(piece, &mut self.rng);
            }
        }
        has.clear(piece);
        self.availability.lost(piece, &mut self.rng);
        self.take_back(peer, |block| block.piece == piece);
    }

    fn leaves(&mut self, peer: usize) {
        self.take_back(peer, |_| true);
        let has = std::mem::replace(&mut self.peers[peer].has, Bitfield::new(PIECES));
        if has.is_full() {
            self.availability.seed_left();
        } else {
            for piece in has.iter_ones() {
                self.availability.lost(piece, &mut self.rng);
            }
        }
    }

    /// A peer is asked for up to `count` blocks, each of which has to be a right one.
    fn ask(&mut self, peer: usize, count: usize, asked: &Asked) {
        let Peer { has, current, .. } = &mut self.peers[peer];
        let mut at = *current;
        let listed = |piece: &PieceIndex| self.availability.is_listed(*piece);
        let open = has.iter_ones().filter(listed).count();
        let (mut out, mut started) = (Vec::new(), Vec::new());
        let mut ask = Ask {
            has,
            only: asked.only.as_deref(),
            suggested: &asked.suggested,
            current,
            sequential: asked.sequential,
            first: &asked.first,
            barred: &asked.barred,
            open: u32::try_from(open).expect("there are few"),
            started: &mut started,
        };
        next_blocks(
            &mut self.pieces,
            &mut self.availability,
            &mut ask,
            count,
            &mut self.rng,
            &mut out,
        );
        assert!(out.len() <= count, "more than it was asked for");
        for block in &out {
            let rarity = |piece| self.peers.iter().filter(|peer| peer.has.get(piece)).count();
            let has = &self.peers[peer].has;
            let right = self.book.right(has, at, asked, rarity);
            assert!(right.contains(&block.piece), "{block} is none of {right:?}");
            let is_new = !self.book.pieces.contains_key(&block.piece);
            assert_eq!(is_new, started.contains(&block.piece), "{block}");
            started.retain(|piece| *piece != block.piece);
            self.book.ask(peer, *block);
            at = Some(block.piece);
        }
        assert!(started.is_empty(), "{started:?} were started for nothing");
        if out.len() < count {
            let right = self.book.right(&self.peers[peer].has, at, asked, |_| 0);
            assert!(right.is_empty(), "nothing was chosen of {right:?}");
        }
        self.peers[peer].in_flight.extend(&out);
        self.chosen.extend(out);
    }

    /// A block that others were asked for is asked of one more.
    fn ask_again(&mut self, peer: usize, number: usize) {
        let requested = self.pieces.requested().map(|(block, _)| block);
        let mine = &self.peers[peer];
        let theirs =
            |block: &BlockRef| mine.has.get(block.piece) && !mine.in_flight.contains(block);
        let theirs: Vec<BlockRef> = requested.filter(theirs).collect();
        let Some(block) = theirs.get(number % theirs.len().max(1)) else {
            return;
        };
        let is_new = self.book.peers_of(*block) < usize::from(MAX_ENDGAME_REQUESTS);
        let asked = self.pieces.request_again(*block, MAX_ENDGAME_REQUESTS);
        assert_eq!(asked, is_new, "{block}");
        if asked {
            self.book.ask(peer, *block);
            self.peers[peer].in_flight.push(*block);
        }
    }

    /// Takes back what `which` names, and lets go of what nobody has begun.
    fn take_back(&mut self, peer: usize, which: impl Fn(BlockRef) -> bool) {
        let Peer {
            current, in_flight, ..
        } = &mut self.peers[peer];
        let (gone, stays) = in_flight.iter().partition(|block| which(**block));
        *in_flight = stays;
        *current = None;
        for block in gone {
            let block: BlockRef = block;
            self.pieces.unrequest(block);
            self.book.take_back(peer, block);
            let untouched = self.book.drop_if_untouched(block.piece);
            assert_eq!(self.pieces.drop_if_untouched(block.piece), untouched);
            if untouched && self.pieces.wants(block.piece) {
                self.availability.list(block.piece, &mut self.rng);
            }
        }
    }

    fn comes(&mut self, peer: usize, block: BlockRef) {
        let key = PeerKey(u32::try_from(peer).expect("there are few"));
        let is_new = self.book.comes(peer, block);
        let received = self.pieces.receive(block, key);
        assert_eq!(received == Received::New, is_new, "{block}");
        for peer in &mut self.peers {
            peer.in_flight.retain(|one| *one != block);
        }
    }

    /// The verdict on the first piece that waits for one.
    fn judge(&mut self, is_good: bool) -> bool {
        let Some((piece, senders)) = self.book.whole() else {
            return false;
        };
        assert!(!self.pieces.is_incomplete(piece));
        self.book.pieces.remove(&piece);
        if is_good {
            self.pieces.verified(piece);
            self.book.here.insert(piece);
        } else {
            let blamed = self.pieces.failed(piece);
            let blamed: Vec<usize> = blamed.iter().map(|key| key.0 as usize).collect();
            assert_eq!(blamed, senders, "who sent {piece}");
            if self.pieces.wants(piece) {
                self.availability.list(piece, &mut self.rng);
            }
        }
        true
    }

    fn is_lost(&mut self, piece: PieceIndex) {
        let was_here = self.book.here.remove(&piece);
        assert_eq!(self.pieces.lost(piece), was_here);
        if was_here && self.pieces.wants(piece) {
            self.availability.list(piece, &mut self.rng);
        }
    }

    /// The owner has another wish: what is not wanted any more is given up, unless it is whole.
    fn prioritize(&mut self, piece: PieceIndex, class: Priority) {
        self.availability.unlist(piece);
        self.availability.set_priority(piece, class);
        self.pieces.set_priority(piece, class);
        self.book.classes[piece.0 as usize] = class;
        if self.pieces.wants(piece) {
            if self.pieces.partial(piece).is_none() {
                self.availability.list(piece, &mut self.rng);
            }
        } else if self.pieces.is_incomplete(piece) {
            for peer in &mut self.peers {
                peer.in_flight.retain(|block| block.piece != piece);
            }
            self.pieces.failed(piece);
            self.book.pieces.remove(&piece);
        }
    }

    /// The parts say what the book says.
    fn check(&mut self) {
        let sound = self.pieces.audit().and_then(|()| self.availability.audit());
        sound.unwrap_or_else(|wrong| panic!("{wrong}"));
        let rarity = |piece| self.peers.iter().filter(|peer| peer.has.get(piece)).count();
        let mut bytes = (0, 0);
        let mut left = 0;
        for piece in self.layout.pieces() {
            let size = u64::from(self.layout.piece_size(piece));
            let (is_here, is_wanted) = (self.book.here.contains(&piece), self.book.wants(piece));
            assert_eq!(
                self.availability.of(piece) as usize,
                rarity(piece),
                "{piece}"
            );
            assert_eq!(
                self.availability.is_listed(piece),
                self.book.is_listed(piece)
            );
            assert_eq!(self.pieces.priority(piece), self.book.class(piece));
            assert_eq!(self.pieces.has(piece), is_here);
            assert_eq!(self.pieces.wants(piece), is_wanted);
            bytes.0 += size * u64::from(is_here);
            bytes.1 += size * u64::from(is_wanted);
            left += u32::from(is_wanted);
        }
        let least = self.layout.pieces().map(rarity).min();
        let copies = self.availability.distributed_copies() as usize;
        assert_eq!(Some(copies), least, "the rarest piece");
        assert_eq!(self.pieces.left(), left);
        assert_eq!((self.pieces.bytes_have(), self.pieces.bytes_left()), bytes);
        assert_eq!(self.pieces.unrequested_blocks() as usize, self.book.free());
        let requested = self.pieces.requested();
        let requested = requested.map(|(block, by)| (block.piece, block.begin, usize::from(by)));
        assert!(requested.eq(self.book.requested()));
        for class in Priority::WANTED {
            let listed = |piece: &PieceIndex| {
                self.book.is_listed(*piece) && self.book.class(*piece) == class
            };
            let listed = self.layout.pieces().filter(listed);
            assert!(self.availability.in_sequence(class).eq(listed), "{class:?}");
            let order = self.availability.of_class(class).iter();
            let order = order.map(|piece| rarity(PieceIndex(*piece)));
            assert!(order.is_sorted(), "the rarest come first");
        }
    }

    /// Only one peer stays, which has everything and sends what it is asked for.
    fn everything_comes_in_the_end(&mut self) {
        (1..PEERS).for_each(|peer| self.leaves(peer));
        (0..PIECES).for_each(|piece| self.has(0, PieceIndex(piece)));
        loop {
            while let Some(block) = self.peers[0].under_way(0) {
                self.comes(0, block);
            }
            while self.judge(true) {}
            self.check();
            let before = self.chosen.len();
            self.ask(0, (PIECES * BLOCKS) as usize, &Asked::default());
            if self.chosen.len() == before {
                break;
            }
        }
        assert_eq!(self.pieces.left(), 0, "all that is wanted is here");
        assert_eq!(self.pieces.partial_count(), 0, "nothing is under way");
        assert!(self.availability.is_nothing_listed());
    }
}

impl Peer {
    /// One of the blocks that it was asked for.
    fn under_way(&self, number: usize) -> Option<BlockRef> {
        let count = self.in_flight.len().max(1);
        self.in_flight.get(number % count).copied()
    }
}

/// In which way a peer is asked: the middle bits say how, the upper ones for which pieces. One of them is named twice.
fn asked(how: u8) -> Asked {
    let first = u32::from(how >> 5);
    let list = [first, first + 2, first, first + 3];
    let list: Vec<PieceIndex> = list.map(|piece| PieceIndex(piece % PIECES)).into();
    let mut asked = Asked::default();
    match how >> 2 & 7 {
        0 => asked.sequential = true,
        1 => asked.only = Some(list),
        2 => asked.suggested = list,
        3 => asked.first = list,
        4 => asked.barred = list,
        5 => (asked.only, asked.barred) = (Some(list.clone()), vec![list[1]]),
        _ => {}
    }
    asked
}

fn class(number: u8) -> Priority {
    [
        Priority::Skip,
        Priority::Low,
        Priority::Normal,
        Priority::High,
    ][usize::from(number % 4)]
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_picker", 4, super::picker);
    }

    proptest! {
        #[test]
        fn the_picker_takes_what_the_slow_way_would_take(story in vec(any::<u8>(), 0..240)) {
            super::picker(&story);
        }
    }
}
