//! An initial seeder of very many pieces: everyone hears of all of them in the end, and no call says more than a portion.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_metainfo::{BLOCK_SIZE, InfoHash, Layout, PieceIndex};
use bt_wire::{Bitfield, Message, PeerId};

use super::super::{Config, Torrent};
use crate::engine::{Direction, Input, Output, PeerInfo, PeerKey, PieceVerdict};
use crate::limits::{MAX_TOLD_AT_ONCE, MAX_TOLD_TO_ONE};

const PIECES: u32 = 1 << 18;
const PEERS: u8 = 20;

/// What a call may say besides portions: news of a piece to everyone, notices, what is granted to a newcomer.
const OTHER_WORDS: usize = 100;

/// A seed that spreads, its peers, and what each of them heard of.
struct School {
    torrent: Torrent,
    now: Instant,
    heard: BTreeMap<PeerKey, Bitfield>,
    /// The most that one of them heard of in one call.
    most_at_once: usize,
}

impl School {
    fn new() -> Self {
        let length = u64::from(PIECES) * u64::from(BLOCK_SIZE);
        let layout = Arc::new(Layout::new(BLOCK_SIZE, [(length, false)]).unwrap());
        let mut config = Config::new(InfoHash::from([1; 20]), PeerId::from([50; 20]), 7);
        config.spread = true;
        let now = Instant::now();
        let torrent = Torrent::new(now, config, layout, Bitfield::full(PIECES));
        let heard = BTreeMap::new();
        let mut school = Self {
            torrent,
            now,
            heard,
            most_at_once: 0,
        };
        school.tell(Input::Checked(Bitfield::full(PIECES)));
        for last in 1..=PEERS {
            let key = school.join(last);
            school.heard.insert(key, Bitfield::new(PIECES));
            school.tell(Input::Message(key, Message::HaveNone));
        }
        school
    }

    fn join(&mut self, last: u8) -> PeerKey {
        let info = PeerInfo {
            addr: SocketAddr::from(([10, 0, 0, last], 6881)),
            id: PeerId::from([last; 20]),
            direction: Direction::Incoming,
            fast: true,
        };
        let mut out = Vec::new();
        let key = self.torrent.open(self.now, info, &mut out).unwrap();
        self.listen(out);
        key
    }

    fn tell(&mut self, input: Input) {
        let mut out = Vec::new();
        self.torrent.handle(self.now, input, &mut out);
        self.listen(out);
    }

    fn listen(&mut self, out: Vec<Output>) {
        assert!(out.len() <= MAX_TOLD_AT_ONCE + OTHER_WORDS, "{}", out.len());
        let mut told: BTreeMap<PeerKey, usize> = BTreeMap::new();
        for output in out {
            if let Output::Send(key, Message::Have(piece)) = output
                && let Some(heard) = self.heard.get_mut(&key)
            {
                assert!(heard.set(piece), "{key} heard of {piece} twice");
                *told.entry(key).or_default() += 1;
            }
        }
        let most = told.into_values().max().unwrap_or(0);
        self.most_at_once = self.most_at_once.max(most);
    }

    fn has_ended(&self) -> bool {
        self.heard.values().all(Bitfield::is_full)
    }

    /// Waits until everyone has heard of everything.
    fn wait(&mut self) {
        let end = self.now + Duration::from_secs(120);
        while !self.has_ended() {
            self.now = self.torrent.poll_timeout().unwrap().max(self.now);
            assert!(self.now < end, "somebody was never told of something");
            self.tell(Input::Timeout);
        }
        self.torrent.audit().unwrap();
    }
}

#[test]
fn when_a_seed_ends_the_spreading_all_is_told_in_portions_and_once() {
    let mut school = School::new();
    let seed = school.join(PEERS + 1);
    school.tell(Input::Message(seed, Message::HaveAll));
    assert!(!school.has_ended());
    // One is lost and comes back before its turn, one comes back after it, and two peers are gone by then.
    let (soon, late) = (PieceIndex(PIECES - 1), PieceIndex(PIECES - 2));
    school.tell(Input::Lost(vec![soon, late]));
    let digests = Vec::new;
    let good = |piece| Input::PieceChecked(piece, PieceVerdict::Good { digests: digests() });
    school.tell(good(soon));
    let gone: Vec<PeerKey> = school.heard.keys().copied().take(2).collect();
    for key in gone {
        school.heard.remove(&key);
        school.tell(Input::PeerClosed(key));
    }
    let almost = |heard: &Bitfield| heard.count_ones() == PIECES - 1 && !heard.get(late);
    while !school.heard.values().all(almost) {
        school.now = school.torrent.poll_timeout().unwrap();
        school.tell(Input::Timeout);
    }
    // A while after, nothing is said twice.
    for _ in 0..5 {
        school.now = school.torrent.poll_timeout().unwrap();
        school.tell(Input::Timeout);
    }
    school.tell(good(late));
    assert!(school.has_ended());
    school.torrent.audit().unwrap();
}

#[test]
fn peers_that_want_nothing_are_offered_all_in_portions_and_once() {
    let mut school = School::new();
    school.wait();
    assert_eq!(school.most_at_once, MAX_TOLD_TO_ONE);
}
