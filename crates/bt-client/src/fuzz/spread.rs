//! An initial seeder's spreading: peers come, are shown pieces, take them or not, say what they like and go, and who was
//! shown what is judged by a plain book.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_metainfo::{BLOCK_SIZE, Layout, PieceIndex};
use bt_wire::Bitfield;

use crate::engine::PeerKey;
use crate::engine::parts::{Listener, Rng, Spread};
use crate::limits::MAX_TOLD_AT_ONCE;

/// Peers that are there at once.
const MOST: usize = 5;

/// Pieces of a torrent.
const PIECES: [u32; 8] = [1, 2, 3, 7, 12, 20, 50, 120];

/// The same of a large one, of which a peer that wants nothing is in the end offered more than one call may tell it.
const MANY: u32 = 6_000;
const SIZES: [u32; 4] = [BLOCK_SIZE, 1 << 18, 1 << 20, 1 << 22];

/// In so small a torrent everybody gets everything in the end; in a larger one every piece gets out.
const SMALL: u32 = 20;

/// Bytes per second that a peer takes.
const RATES: [f64; 8] = [0.0, 1.0, 1e4, 1e5, 1e6, 1e7, 1e8, 1e12];

/// How much later it is, in milliseconds.
const PAUSES: [u64; 8] = [0, 0, 10, 250, 1_000, 1_500, 4_000, 60_000];

/// Nobody is left alone for longer than it takes to give up on another.
const PATIENCE: Duration = Duration::from_secs(4);

/// Calls in which the longest offers are told to all.
const CALLS: usize = MOST * 2;

/// Each two bytes are one thing that happens; the first says of how many pieces the torrent is and how large they are, the
/// second is the seed and says who takes nothing in the end.
///
/// # Panics
/// If the books disagree, if anybody is shown a piece twice, one that it has, or one that others were given while it lacks
/// one that nobody was; if anything else is told than is found by looking at all peers each time; if more is told at once than may be; if there is more to show although nothing happened; if
/// anything is left of who has gone; if in the end those who take what they are shown do not get it all, whatever the
/// others do; or if the same story goes another way the second time.
pub fn spread(data: &[u8]) {
    let once = Driven::play(data);
    // Half of the stories are enough for that.
    if data.len() & 1 == 0 {
        assert_eq!(once, Driven::play(data), "the same story, another way");
    }
}

struct Peer {
    key: PeerKey,
    has: Bitfield,
    told: Bitfield,
    /// What it was told, in this order.
    order: Vec<PieceIndex>,
    /// What is queued for it.
    queue: Vec<(PieceIndex, u32)>,
    /// It may be told something.
    listens: bool,
    announced: bool,
    interested: bool,
    rate: f64,
}

struct Driven {
    layout: Arc<Layout>,
    spread: Spread,
    now: Instant,
    peers: Vec<Peer>,
    last_key: u32,
    told: Vec<(PeerKey, PieceIndex)>,
}

impl Driven {
    /// Who was told what, in this order.
    fn play(data: &[u8]) -> Vec<(PeerKey, PieceIndex)> {
        let (&[torrent, seed], steps) = data.split_first_chunk().unwrap_or((&[0, 0], &[]));
        let (count, size) = match torrent & 63 {
            63 => (MANY, BLOCK_SIZE),
            both => (
                PIECES[usize::from(both & 7)],
                SIZES[usize::from(both >> 3 & 3)],
            ),
        };
        // The last piece is shorter.
        let total = u64::from(count) * u64::from(size) - u64::from(size / 3);
        let layout = Layout::new(size, [(total, false)]).expect("a layout");
        let layout = Arc::new(layout);
        let mut driven = Self {
            spread: Spread::new(&layout, &mut Rng::new(u64::from(seed))),
            layout,
            now: Instant::now(),
            peers: Vec::new(),
            last_key: 0,
            told: Vec::new(),
        };
        let is_large = driven.layout.piece_count() == MANY;
        for &[what, how] in steps.as_chunks().0 {
            driven.step(what, how);
            if !is_large {
                driven.check();
            }
        }
        driven.check();
        if !is_large {
            driven.who_takes_gets_it_all(seed);
        }
        driven.everybody_leaves();
        driven.told
    }

    fn step(&mut self, what: u8, how: u8) {
        let peer = usize::from(what >> 4) % self.peers.len().max(1);
        match what & 15 {
            0 | 1 => self.join(how & 1 == 1),
            2 => self.introduce(peer, how),
            3 => self.has(peer, PieceIndex(self.scaled(how))),
            4 => self.lose(peer, how),
            5 | 6 => self.serve(peer, how),
            7 | 8 => self.send(peer, how),
            9 => self.cancel(peer, how),
            10 if peer < self.peers.len() && how & 1 == 0 => {
                self.peers[peer].queue.clear();
                self.spread.choked(self.peers[peer].key);
            }
            11 if how & 3 == 0 => self.leave(peer),
            12 => {
                let is_large = self.layout.piece_count() == MANY;
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.interested = how & 1 == 0;
                    // A piece that is not fresh is looked for among all.
                    let most = if is_large { 1e6 } else { f64::MAX };
                    peer.rate = RATES[usize::from(how >> 5)].min(most);
                }
            }
            13 => {
                if let Some(told) = self.peers.get(peer).and_then(|peer| peer.order.last()) {
                    self.has(peer, *told);
                }
            }
            _ => {
                self.now += Duration::from_millis(PAUSES[usize::from(how & 7)]);
                self.reveal();
            }
        }
    }

    /// Some piece, near to both ends as well.
    fn scaled(&self, how: u8) -> u32 {
        let count = self.layout.piece_count();
        u32::from(how).min(count - 1) * (1 + (count - 1) / 256) % count
    }

    fn availability(&self, piece: PieceIndex) -> u32 {
        let those = self.peers.iter().filter(|peer| peer.has.get(piece));
        u32::try_from(those.count()).expect("a few")
    }

    /// What it has is the first thing that it says, or it may say nothing.
    fn join(&mut self, says_first: bool) {
        if self.peers.len() == MOST {
            return;
        }
        self.last_key += 1;
        let key = PeerKey(self.last_key);
        let nothing = Bitfield::new(self.layout.piece_count());
        self.spread.joined(self.now, key);
        self.peers.push(Peer {
            key,
            has: nothing.clone(),
            told: nothing,
            order: Vec::new(),
            queue: Vec::new(),
            listens: !says_first,
            announced: false,
            interested: true,
            rate: 0.0,
        });
    }

    fn introduce(&mut self, peer: usize, how: u8) {
        let some = self.scaled(how >> 2);
        let pieces = self.layout.pieces().filter(|piece| match how & 3 {
            0 => false,
            1 => piece.0 == some,
            2 => piece.0 % 3 == some % 3,
            // Not all, or it would be a seed, and nothing is kept from anybody then.
            _ => piece.0 != some,
        });
        let Some(peer) = self.peers.get_mut(peer).filter(|peer| !peer.announced) else {
            return;
        };
        (peer.announced, peer.listens) = (true, true);
        pieces.for_each(|piece| _ = peer.has.set(piece));
        self.spread.introduced(self.now, peer.key, &peer.has);
    }

    fn has(&mut self, peer: usize, piece: PieceIndex) {
        let Some(peer) = self.peers.get_mut(peer) else {
            return;
        };
        if peer.has.set(piece) {
            (peer.announced, peer.listens) = (true, true);
            let key = peer.key;
            let availability = self.availability(piece);
            self.spread.has(self.now, key, piece, availability);
        }
    }

    fn lose(&mut self, peer: usize, how: u8) {
        let Some(peer) = self.peers.get_mut(peer) else {
            return;
        };
        let count = peer.has.count_ones().max(1);
        if let Some(piece) = peer.has.iter_ones().nth((u32::from(how) % count) as usize) {
            peer.has.clear(piece);
            let key = peer.key;
            let availability = self.availability(piece);
            self.spread.lost(key, piece, availability);
        }
    }

    /// It asks for a piece that it was shown, one of the last ones, or some of it.
    fn serve(&mut self, peer: usize, how: u8) {
        let piece = self.peers.get(peer).and_then(|peer| {
            let back = usize::from(how >> 3) % peer.order.len().max(1);
            peer.order.iter().rev().nth(back).copied()
        });
        let Some(piece) = piece else {
            return;
        };
        let size = self.layout.piece_size(piece);
        let bytes = match how & 7 {
            0 => 1,
            1..=3 => size.min(BLOCK_SIZE),
            _ => size,
        };
        self.ask(peer, piece, bytes);
    }

    fn ask(&mut self, peer: usize, piece: PieceIndex, bytes: u32) {
        let peer = &mut self.peers[peer];
        assert!(self.spread.is_shown(peer.key, piece));
        peer.queue.push((piece, bytes));
        self.spread.serving(self.now, peer.key, piece, bytes);
    }

    fn send(&mut self, peer: usize, how: u8) {
        let Some(peer) = self.peers.get_mut(peer) else {
            return;
        };
        let queued = peer.queue.len();
        let leaving = peer
            .queue
            .drain(..if how & 1 == 0 { queued } else { queued.min(1) });
        let mut bytes: u64 = leaving.map(|(_, bytes)| u64::from(bytes)).sum();
        if how & 6 == 6 {
            // What was on its way when it was choked leaves as well.
            bytes += u64::from(BLOCK_SIZE);
        }
        self.spread.sent(self.now, peer.key, bytes);
    }

    /// It takes a request back, or says that it does.
    fn cancel(&mut self, peer: usize, how: u8) {
        let some = PieceIndex(self.scaled(how));
        let Some(peer) = self.peers.get_mut(peer) else {
            return;
        };
        let (piece, bytes) = match how & 7 {
            0 => (PieceIndex(u32::MAX), u32::MAX),
            1 => (some, u32::MAX),
            2 => (some, 0),
            3 => (some, BLOCK_SIZE),
            _ => match peer.queue.pop() {
                Some(asked) => asked,
                None => return,
            },
        };
        self.spread.canceled(peer.key, &peer.has, piece, bytes);
    }

    fn leave(&mut self, peer: usize) {
        if peer >= self.peers.len() {
            return;
        }
        let gone = self.peers.remove(peer);
        let peers = &self.peers;
        self.spread.left(gone.key, &gone.has, |piece| {
            let those = peers.iter().filter(|peer| peer.has.get(piece));
            u32::try_from(those.count()).expect("a few")
        });
        assert_eq!(self.spread.shown(gone.key), None);
    }

    /// What is told in one call and those that go on with it.
    fn reveal(&mut self) {
        let mut calls = 0;
        self.reveal_once();
        while self.spread.is_offering() {
            calls += 1;
            assert!(calls <= CALLS, "an offer has no end");
            self.reveal_once();
        }
        let more = self.reveal_once();
        assert!(more.is_empty(), "nothing happened, and there is {more:?}");
    }

    fn reveal_once(&mut self) -> Vec<(PeerKey, PieceIndex)> {
        let may = |peer: &&Peer| peer.listens && !peer.has.is_full();
        let peers = &self.peers;
        let listeners = peers.iter().filter(may).map(|peer| Listener {
            key: peer.key,
            has: &peer.has,
            interested: peer.interested,
            rate: peer.rate,
        });
        let listeners: Vec<Listener<'_>> = listeners.collect();
        let availability = |piece| {
            let those = peers.iter().filter(|peer| peer.has.get(piece));
            u32::try_from(those.count()).expect("a few")
        };
        let mut plain = self.spread.clone();
        let expected = plain.reveal_plainly(self.now, &listeners, availability);
        let rates = listeners.iter().map(|listener| listener.rate).sum();
        let look = |key| listeners.iter().find(|one| one.key == key).copied();
        let told = self.spread.reveal(self.now, rates, look, availability);
        assert_eq!(told, expected, "found in the plain way");
        assert!(
            self.spread.is_like(&plain),
            "other books than in the plain way"
        );
        assert!(told.len() <= MAX_TOLD_AT_ONCE);
        assert!(!self.spread.is_due(), "it has just been looked at");
        for &(key, piece) in &told {
            let peer = self.peers.iter_mut().find(|peer| peer.key == key);
            let peer = peer.expect("somebody who is there");
            assert!(may(&&*peer), "{key} cannot be told anything");
            assert!(!peer.has.get(piece), "{key} has {piece}");
            assert!(peer.told.set(piece), "{key} was told of {piece} before");
            peer.order.push(piece);
        }
        self.check_order(&told);
        self.told.extend(&told);
        told
    }

    /// Nobody is given what another was given before while there is something that nobody was.
    fn check_order(&self, told: &[(PeerKey, PieceIndex)]) {
        let mut later = BTreeSet::new();
        for &(key, piece) in told.iter().rev() {
            // What is only offered is given to nobody.
            if !self.spread.is_given_to(key, piece) || !later.insert(piece) {
                continue;
            }
            let is_given = |peer: &&Peer| self.spread.is_given_to(peer.key, piece);
            if self.peers.iter().filter(is_given).count() > 1 {
                let peer = self.peers.iter().find(|peer| peer.key == key);
                let has = &peer.expect("somebody who is there").has;
                let fresh = self.spread.fresh_for(key, has);
                assert_eq!(fresh, None, "{key} was given {piece}, as others were");
            }
        }
    }

    fn check(&self) {
        let books = self.spread.audit(|piece| self.availability(piece));
        books.unwrap_or_else(|wrong| panic!("{wrong}"));
        for peer in &self.peers {
            assert_eq!(self.spread.shown(peer.key), Some(&peer.told));
        }
    }

    /// Whoever takes what it is shown gets all that there is, although others take nothing.
    fn who_takes_gets_it_all(&mut self, silent: u8) {
        while let Some(seed) = self.peers.iter().position(|peer| peer.has.is_full()) {
            self.leave(seed);
        }
        if self.peers.is_empty() {
            self.join(false);
        }
        for number in 0..self.peers.len() {
            self.introduce(number, 0);
            let peer = &mut self.peers[number];
            (peer.interested, peer.rate, peer.listens) = (true, 0.0, true);
        }
        let takes = |number: &usize| *number == 0 || silent >> number & 1 == 0;
        let takers: Vec<usize> = (0..self.peers.len()).filter(takes).collect();
        let is_small = self.layout.piece_count() <= SMALL;
        let pieces = self.layout.piece_count() as usize;
        let mut rounds = 0;
        loop {
            for &taker in &takers {
                self.take_all(taker);
            }
            let is_done = if is_small {
                self.check();
                takers.iter().all(|taker| self.peers[*taker].has.is_full())
            } else {
                let mut pieces = self.layout.pieces();
                pieces.all(|piece| self.availability(piece) > 0)
            };
            if is_done {
                break;
            }
            rounds += 1;
            let most = 8 + takers.len() * pieces;
            assert!(rounds <= most, "not all is out after {rounds} rounds");
            self.now += PATIENCE;
            self.reveal();
        }
        self.check();
    }

    /// It fetches all that it was shown and lacks.
    fn take_all(&mut self, taker: usize) {
        self.send(taker, 0);
        let lacking: Vec<PieceIndex> = {
            let peer = &self.peers[taker];
            peer.told.iter_and_not(&peer.has).collect()
        };
        for piece in lacking {
            self.ask(taker, piece, self.layout.piece_size(piece));
            self.send(taker, 0);
            self.has(taker, piece);
        }
    }

    /// When nobody is left, everything is as it was at first.
    fn everybody_leaves(&mut self) {
        while !self.peers.is_empty() {
            self.leave(0);
        }
        self.check();
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_spread", 4, super::spread);
    }

    proptest! {
        #[test]
        fn every_piece_gets_out_and_nobody_hears_of_one_twice(story in vec(any::<u8>(), 0..160)) {
            super::spread(&story);
        }
    }
}
