//! Pieces that failed with blocks of several senders: until it verifies, all of such a piece is asked of one peer, its
//! owner, so that the next verdict names somebody.
//!
//! Those who took part before come after those who did not, and those who have been the owner after those who have not:
//! however often the piece fails, an honest peer that has all of it gets its turn alone. Nothing waits for an owner that
//! left, chokes us, lost a request or is silent: the piece is for the next one, with the blocks that are here. It must
//! not know the bytes, or what was requested.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bt_metainfo::PieceIndex;

use super::host_of;
use crate::engine::PeerKey;
use crate::limits::{MAX_FAILED_PIECES_KEPT, MAX_SUSPECTS_PER_PIECE, OTHERS_FIRST};

/// How long an owner has the piece for itself, besides the time that its size needs at `OWNER_RATE`. Then it is everybody's.
const OWNER_PATIENCE: Duration = Duration::from_secs(30);

/// Bytes per second that an owner sends at least: slow, but of a piece of usual size no more than minutes are lost.
const OWNER_RATE: u32 = 64 * 1024;

/// The most turns of a host that make it wait for its next one.
const MOST_TURNS: u32 = 11;

#[derive(Debug)]
struct Suspect {
    /// Who sent blocks of a failed attempt, or gave the piece up, and how often each was the owner.
    tried: BTreeMap<IpAddr, u32>,
    /// How long an owner has it for itself.
    patience: Duration,
    /// When it failed or was given up last.
    since: Instant,
    owner: Option<(PeerKey, Instant)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    pieces: BTreeMap<PieceIndex, Suspect>,
}

/// What the suspect pieces mean for one peer.
#[derive(Debug, Default)]
pub(crate) struct Reserved {
    /// It may be asked for these, before all others.
    pub(crate) first: Vec<PieceIndex>,
    /// It must not be asked for these.
    pub(crate) barred: Vec<PieceIndex>,
}

impl Suspects {
    /// `piece` of `size` bytes failed, and `senders` had a part in it.
    pub(crate) fn failed(
        &mut self,
        now: Instant,
        piece: PieceIndex,
        size: u32,
        senders: &[IpAddr],
    ) {
        if !self.pieces.contains_key(&piece) && self.pieces.len() >= MAX_FAILED_PIECES_KEPT {
            return;
        }
        let suspect = self.pieces.entry(piece).or_insert_with(|| Suspect {
            tried: BTreeMap::new(),
            patience: OWNER_PATIENCE + Duration::from_secs((size / OWNER_RATE).into()),
            since: now,
            owner: None,
        });
        (suspect.since, suspect.owner) = (now, None);
        for sender in senders {
            suspect.has_tried(*sender, 0);
        }
    }

    /// `piece` verified.
    pub(crate) fn verified(&mut self, piece: PieceIndex) {
        self.pieces.remove(&piece);
    }

    /// Whose turn it is with each piece, for the peer `key` at `ip`.
    pub(crate) fn reserved(&self, now: Instant, key: PeerKey, ip: IpAddr) -> Reserved {
        let mut reserved = Reserved::default();
        for (&piece, suspect) in &self.pieces {
            let may = match suspect.owner {
                Some((owner, _)) => owner == key || suspect.is_everybodys(now),
                None => suspect.tried.get(&host_of(ip)).is_none_or(|turns| {
                    let wait = OTHERS_FIRST * (1 + turns.min(&MOST_TURNS));
                    now.saturating_duration_since(suspect.since) >= wait
                }),
            };
            if may {
                reserved.first.push(piece);
            } else {
                reserved.barred.push(piece);
            }
        }
        reserved
    }

    /// The peer `key` at `ip` has been asked for a block of `piece`: it is the owner unless there is one.
    pub(crate) fn asked(&mut self, now: Instant, piece: PieceIndex, key: PeerKey, ip: IpAddr) {
        if let Some(suspect) = self.pieces.get_mut(&piece)
            && suspect.owner.is_none()
        {
            suspect.owner = Some((key, now));
            suspect.has_tried(ip, 1);
        }
    }

    /// The peer `key` at `ip` will not send all of what it was asked for of the pieces that `which` names.
    pub(crate) fn released(
        &mut self,
        now: Instant,
        key: PeerKey,
        ip: IpAddr,
        which: impl Fn(PieceIndex) -> bool,
    ) {
        for (&piece, suspect) in &mut self.pieces {
            if suspect.owner.is_some_and(|(owner, _)| owner == key) && which(piece) {
                (suspect.since, suspect.owner) = (now, None);
                suspect.has_tried(ip, 0);
            }
        }
    }

    /// Whether all of `piece` is asked of another peer than `key`.
    pub(crate) fn is_anothers(&self, piece: PieceIndex, key: PeerKey) -> bool {
        let suspect = self.pieces.get(&piece);
        let owner = suspect.and_then(|suspect| suspect.owner);
        owner.is_some_and(|(owner, _)| owner != key)
    }

    /// Nobody has anything of `piece`: whoever is asked first is the owner.
    pub(crate) fn begun_anew(&mut self, piece: PieceIndex) {
        if let Some(suspect) = self.pieces.get_mut(&piece) {
            suspect.owner = None;
        }
    }

    /// Whether others may be asked for blocks that one peer keeps us waiting for.
    pub(crate) fn may_share(&self, now: Instant, piece: PieceIndex) -> bool {
        self.pieces
            .get(&piece)
            .is_none_or(|suspect| suspect.is_everybodys(now))
    }
}

impl Suspect {
    /// Whether its owner has had it for long enough.
    fn is_everybodys(&self, now: Instant) -> bool {
        self.owner
            .is_some_and(|(_, at)| now.saturating_duration_since(at) >= self.patience)
    }

    fn has_tried(&mut self, ip: IpAddr, turns: u32) {
        let host = host_of(ip);
        if self.tried.len() < MAX_SUSPECTS_PER_PIECE || self.tried.contains_key(&host) {
            let so_far = self.tried.entry(host).or_insert(0);
            *so_far = so_far.saturating_add(turns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OWNER_PATIENCE, OWNER_RATE, Suspects};
    use crate::engine::PeerKey;
    use crate::limits::{MAX_FAILED_PIECES_KEPT, MAX_SUSPECTS_PER_PIECE, OTHERS_FIRST};
    use bt_metainfo::PieceIndex;
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    const PIECE: PieceIndex = PieceIndex(3);
    const SIZE: u32 = 256 * 1024;
    const A: PeerKey = PeerKey(1);
    const B: PeerKey = PeerKey(2);

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn may(suspects: &Suspects, now: Instant, key: PeerKey, ip: IpAddr) -> bool {
        let reserved = suspects.reserved(now, key, ip);
        assert_ne!(
            reserved.first.contains(&PIECE),
            reserved.barred.contains(&PIECE)
        );
        reserved.first.contains(&PIECE)
    }

    #[test]
    fn those_who_had_no_part_come_first_and_the_others_a_little_later() {
        let now = Instant::now();
        let mut suspects = Suspects::default();
        suspects.failed(now, PIECE, SIZE, &[ip(1)]);
        assert!(!may(&suspects, now, A, ip(1)) && may(&suspects, now, B, ip(2)));
        let later = now + OTHERS_FIRST;
        assert!(may(&suspects, later, A, ip(1)));
        assert!(!may(&suspects, later - Duration::from_millis(1), A, ip(1)));
    }

    #[test]
    fn a_piece_has_one_owner_until_it_gives_the_piece_up() {
        let now = Instant::now();
        let mut suspects = Suspects::default();
        suspects.failed(now, PIECE, SIZE, &[ip(9)]);
        suspects.asked(now, PIECE, A, ip(1));
        suspects.asked(now, PIECE, B, ip(2));
        assert!(may(&suspects, now, A, ip(1)) && !may(&suspects, now, B, ip(2)));
        suspects.released(now, B, ip(2), |_| true);
        suspects.released(now, A, ip(1), |piece| piece != PIECE);
        assert!(!may(&suspects, now, B, ip(2)), "A still has it");
        suspects.released(now, A, ip(1), |_| true);
        assert!(may(&suspects, now, B, ip(2)));
        assert!(!may(&suspects, now, A, ip(1)), "others come first");
        suspects.verified(PIECE);
        assert!(suspects.reserved(now, A, ip(1)).barred.is_empty());
    }

    /// It failed for ever: whoever had connected first was the owner each time, and kept its last block back until others
    /// were asked for it.
    #[test]
    fn whoever_was_the_owner_comes_after_those_who_were_not() {
        let mut now = Instant::now();
        let mut suspects = Suspects::default();
        suspects.failed(now, PIECE, SIZE, &[ip(1), ip(2)]);
        now += OTHERS_FIRST;
        assert!(may(&suspects, now, A, ip(1)));
        suspects.asked(now, PIECE, A, ip(1));
        let patience = OWNER_PATIENCE + Duration::from_secs(u64::from(SIZE / OWNER_RATE));
        assert!(!may(&suspects, now + patience / 2, B, ip(2)));
        now += patience;
        assert!(may(&suspects, now, B, ip(2)) && suspects.may_share(now, PIECE));
        suspects.failed(now, PIECE, SIZE, &[ip(1), ip(2)]);
        now += OTHERS_FIRST;
        assert!(!may(&suspects, now, A, ip(1)) && may(&suspects, now, B, ip(2)));
        // It is not left out for ever.
        assert!(may(&suspects, now + OTHERS_FIRST, A, ip(1)));
        for _ in 0..100 {
            suspects.failed(now, PIECE, SIZE, &[]);
            suspects.asked(now, PIECE, A, ip(1));
        }
        suspects.failed(now, PIECE, SIZE, &[]);
        assert!(may(&suspects, now + Duration::from_secs(60), A, ip(1)));
    }

    #[test]
    fn at_the_end_an_owner_that_takes_its_time_is_helped() {
        let now = Instant::now();
        let mut suspects = Suspects::default();
        assert!(suspects.may_share(now, PIECE));
        suspects.failed(now, PIECE, SIZE, &[ip(9)]);
        suspects.asked(now, PIECE, A, ip(1));
        let patience = OWNER_PATIENCE + Duration::from_secs(u64::from(SIZE / OWNER_RATE));
        let almost = now + patience - Duration::from_millis(1);
        assert!(!suspects.may_share(almost, PIECE));
        assert!(suspects.may_share(now + patience, PIECE));
    }

    #[test]
    fn suspicions_are_bounded() {
        let now = Instant::now();
        let mut suspects = Suspects::default();
        let limit = u32::try_from(MAX_FAILED_PIECES_KEPT).unwrap();
        let crowd: Vec<IpAddr> = (0..=u32::try_from(MAX_SUSPECTS_PER_PIECE).unwrap())
            .map(|n| IpAddr::from(n.to_be_bytes()))
            .collect();
        for piece in (0..=limit).chain([u32::MAX]) {
            suspects.failed(now, PieceIndex(piece), SIZE, &crowd);
        }
        assert_eq!(suspects.pieces.len(), MAX_FAILED_PIECES_KEPT);
        let tried = &suspects.pieces[&PIECE].tried;
        assert_eq!(tried.len(), MAX_SUSPECTS_PER_PIECE);
        // A piece that is kept may fail again when the books are full.
        suspects.asked(now, PIECE, A, ip(1));
        suspects.failed(now, PIECE, SIZE, &[]);
        assert!(suspects.pieces[&PIECE].owner.is_none());
    }
}
