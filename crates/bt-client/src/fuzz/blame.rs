//! Who is banned for what is bad, and who gets a suspect piece: a story in which the truth is known.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bt_metainfo::PieceIndex;

use crate::engine::parts::{Suspects, Trust, host_of};
use crate::engine::{BlockDigest, PeerKey};
use crate::limits::{OTHERS_FIRST, SNUB_AFTER};

const PIECES: u32 = 3;
const BLOCKS: u8 = 3;
/// Bytes of a piece.
const SIZE: u32 = 256 * 1024;

/// Peers that may lie, by their numbers; the others never do.
const LIARS: std::ops::Range<u8> = 0..4;
const PEERS: u8 = 8;

/// Attempts of a piece that are kept as proof.
const PROOFS: usize = 4;

/// How long an owner has a piece of this size for itself.
const PATIENCE: Duration = Duration::from_secs(34);

/// Whoever had a part in a piece waits so much longer for each time that it was the owner, up to this often.
const MOST_TURNS: u32 = 11;

/// Each four bytes are one thing that happens to a piece: an attempt and who sent which block of it, or what is done
/// about its owner.
///
/// # Panics
/// If anybody is banned who sent nothing bad, if somebody is not who sent all of a bad piece or whose bad block can be
/// told from the good one, if a piece has two owners, or if in the end a peer that never had a part in it does not get a
/// suspect piece in the time that those need who keep it.
pub fn blame(data: &[u8]) {
    let mut driven = Driven {
        trust: Trust::default(),
        suspects: Suspects::default(),
        now: Instant::now(),
        banned: BTreeSet::new(),
        proofs: BTreeMap::new(),
        books: BTreeMap::new(),
    };
    for &step in data.as_chunks().0 {
        driven.step(step);
        driven.check();
    }
    driven.a_newcomer_gets_its_turn();
}

/// An attempt that failed: who sent each block, and whether it was good.
type Proof = Vec<(u8, bool)>;

struct Driven {
    trust: Trust,
    suspects: Suspects,
    now: Instant,
    /// Hosts.
    banned: BTreeSet<IpAddr>,
    proofs: BTreeMap<PieceIndex, Vec<Proof>>,
    /// Of each suspect piece.
    books: BTreeMap<PieceIndex, Book>,
}

/// What the story says of a suspect piece.
#[derive(Debug)]
struct Book {
    /// Who has it for itself, and since when.
    owner: Option<(u8, Instant)>,
    /// Hosts that had a part in it.
    tried: BTreeSet<IpAddr>,
    /// When it failed or was given up last.
    since: Instant,
}

impl Driven {
    fn step(&mut self, [what, who, bad, wait]: [u8; 4]) {
        self.now += Duration::from_secs(u64::from(wait)) / 8;
        let piece = PieceIndex(u32::from(what >> 4) % PIECES);
        let peer = who % PEERS;
        match what & 7 {
            0..=2 => {
                let number = |block: u8| (who >> (2 * block)).wrapping_add(bad >> 4) % PEERS;
                let is_good = |block: u8| !LIARS.contains(&number(block)) || bad >> block & 1 == 0;
                let blocks = (0..BLOCKS).map(|block| (number(block), is_good(block)));
                self.attempt(piece, blocks.collect(), what & 8 == 8);
            }
            3 => self.attempt(piece, vec![(peer, !LIARS.contains(&peer)); 3], false),
            4 | 5 => self.ask(piece, peer),
            6 => {
                self.suspects
                    .released(self.now, key(peer), ip(peer), |one| one == piece);
                if let Some(book) = self.books.get_mut(&piece)
                    && book.owner.take_if(|(owner, _)| *owner == peer).is_some()
                {
                    book.since = self.now;
                }
            }
            _ => {
                self.suspects.begun_anew(piece);
                if let Some(book) = self.books.get_mut(&piece) {
                    book.owner = None;
                }
            }
        }
    }

    /// All blocks of a piece are here; without digests, nobody can be told by a block.
    fn attempt(&mut self, piece: PieceIndex, blocks: Proof, has_digests: bool) {
        let senders: Vec<IpAddr> = blocks.iter().map(|(peer, _)| ip(*peer)).collect();
        let digests: Vec<BlockDigest> = blocks.iter().map(digest).collect();
        let hosts: BTreeSet<IpAddr> = senders.iter().map(|ip| host_of(*ip)).collect();
        let (guilty, right) = if blocks.iter().all(|(_, is_good)| *is_good) {
            let proofs = self.proofs.remove(&piece).unwrap_or_default();
            let mut right = BTreeSet::new();
            let bad = proofs.iter().flatten().filter(|(_, is_good)| !is_good);
            right.extend(bad.map(|(peer, _)| host_of(ip(*peer))));
            right.retain(|host| !self.banned.contains(host));
            self.suspects.verified(piece);
            self.books.remove(&piece);
            (self.trust.piece_verified(piece, &digests), right)
        } else if senders.iter().all(|ip| self.trust.is_banned(*ip)) {
            // What was under way when they were banned proves nothing new.
            return;
        } else {
            let digests = if has_digests { digests } else { Vec::new() };
            let guilty = self.trust.piece_failed(piece, senders.clone(), digests);
            if hosts.len() > 1 {
                if has_digests {
                    let proofs = self.proofs.entry(piece).or_default();
                    proofs.extend((proofs.len() < PROOFS).then_some(blocks));
                }
                self.suspects.failed(self.now, piece, SIZE, &senders);
                let fresh = || Book {
                    owner: None,
                    tried: BTreeSet::new(),
                    since: self.now,
                };
                let book = self.books.entry(piece).or_insert_with(fresh);
                (book.owner, book.since) = (None, self.now);
                book.tried.extend(hosts);
                (guilty, BTreeSet::new())
            } else {
                (guilty, hosts)
            }
        };
        let guilty: BTreeSet<IpAddr> = guilty.into_iter().map(host_of).collect();
        assert_eq!(guilty, right, "who sent something bad");
        let mut honest = (LIARS.end..PEERS).map(ip);
        assert!(
            honest.all(|ip| !guilty.contains(&host_of(ip))),
            "an honest peer"
        );
        self.banned.extend(guilty);
    }

    fn is_watched(&self, piece: PieceIndex) -> bool {
        self.proofs.contains_key(&piece)
    }

    /// A peer is asked for a piece if it may be.
    fn ask(&mut self, piece: PieceIndex, peer: u8) {
        let reserved = self.suspects.reserved(self.now, key(peer), ip(peer));
        if reserved.barred.contains(&piece) {
            return;
        }
        self.suspects.asked(self.now, piece, key(peer), ip(peer));
        if let Some(book) = self.books.get_mut(&piece)
            && book.owner.is_none()
        {
            book.owner = Some((peer, self.now));
            book.tried.insert(host_of(ip(peer)));
        }
    }

    fn check(&self) {
        self.trust.audit().unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(self.trust.banned(), self.banned.len());
        for piece in (0..PIECES).map(PieceIndex) {
            assert_eq!(self.trust.is_watched(piece), self.is_watched(piece));
            let book = self.books.get(&piece);
            let is_free = book.is_none_or(|book| {
                let owner = book.owner;
                owner.is_some_and(|(_, at)| self.now - at >= PATIENCE)
            });
            assert_eq!(self.suspects.may_share(self.now, piece), is_free);
        }
        for peer in 0..PEERS {
            let is_banned = self.banned.contains(&host_of(ip(peer)));
            assert_eq!(self.trust.is_banned(ip(peer)), is_banned);
            self.check_turns(peer);
        }
    }

    /// Each suspect piece is either for a peer or not, and as long as it has an owner, for that one alone.
    fn check_turns(&self, peer: u8) {
        let reserved = self.suspects.reserved(self.now, key(peer), ip(peer));
        let mut all: Vec<PieceIndex> = reserved.first.clone();
        all.extend(&reserved.barred);
        all.sort_unstable();
        assert!(all.iter().eq(self.books.keys()), "{reserved:?}");
        for (&piece, book) in &self.books {
            let is_anothers = book.owner.is_some_and(|(owner, _)| owner != peer);
            assert_eq!(self.suspects.is_anothers(piece, key(peer)), is_anothers);
            let may = reserved.first.contains(&piece);
            let waited = self.now - book.since;
            let (must, must_not) = match book.owner {
                Some((owner, at)) if owner == peer || self.now - at >= PATIENCE => (true, false),
                Some(_) => (false, true),
                None if !book.tried.contains(&host_of(ip(peer))) => (true, false),
                None => (
                    waited >= OTHERS_FIRST * (1 + MOST_TURNS),
                    waited < OTHERS_FIRST,
                ),
            };
            assert!(may || !must, "{piece} is kept from {peer}: {book:?}");
            assert!(!may || !must_not, "{piece} is no turn of {peer}: {book:?}");
        }
    }

    /// All others are there first each time, take every suspect piece that they may and keep it for as long as a silent
    /// peer may.
    fn a_newcomer_gets_its_turn(&mut self) {
        for (piece, book) in std::mem::take(&mut self.books) {
            if let Some((owner, _)) = book.owner {
                self.release(piece, owner);
            }
            let mut kept = 0;
            loop {
                let mut peers = 0..=PEERS;
                let may = |peer: &u8| {
                    let reserved = self.suspects.reserved(self.now, key(*peer), ip(*peer));
                    reserved.first.contains(&piece)
                };
                let first = peers.find(may).expect("the newcomer may always have it");
                if first == PEERS {
                    break;
                }
                self.suspects.asked(self.now, piece, key(first), ip(first));
                self.now += SNUB_AFTER;
                self.release(piece, first);
                kept += 1;
                assert!(kept <= PEERS, "{piece} goes round among the others");
            }
        }
    }

    fn release(&mut self, piece: PieceIndex, owner: u8) {
        self.suspects
            .released(self.now, key(owner), ip(owner), |one| one == piece);
    }
}

/// The good digest of a block is the same each time, and each bad one is another.
fn digest((peer, is_good): &(u8, bool)) -> BlockDigest {
    [if *is_good { u8::MAX } else { *peer }; 20]
}

fn key(peer: u8) -> PeerKey {
    PeerKey(u32::from(peer))
}

/// The first two are one host, and so are the honest ones but for two; whoever comes last is alone.
fn ip(peer: u8) -> IpAddr {
    let v6 = |host| IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, host]);
    match peer {
        0 | 1 => v6(u16::from(peer)),
        6 | 7 => IpAddr::from([203, 0, 113, 6]),
        _ => IpAddr::from([203, 0, 113, peer]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_blame", 4, super::blame);
    }

    proptest! {
        #[test]
        fn only_who_lies_is_banned_and_a_suspect_piece_has_one_owner(story in vec(any::<u8>(), 0..240)) {
            super::blame(&story);
        }
    }
}
