//! Pieces that failed with blocks of several senders: until it verifies, all of such a piece is asked of one peer, its
//! owner, so that the next verdict names somebody.
//!
//! Those who took part before come after those who did not. Nothing waits for an owner that left, chokes us, lost a
//! request or is silent: the piece is for the next one, with the blocks that are here. It must not know the bytes, or
//! what was requested.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bt_metainfo::PieceIndex;

use super::host_of;
use crate::engine::PeerKey;
use crate::limits::{MAX_FAILED_PIECES_KEPT, MAX_SUSPECTS_PER_PIECE, OTHERS_FIRST};

/// How long an owner has the piece for itself. At the end of a download others are asked for what it has not sent by then.
const OWNER_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Suspect {
    /// Who sent blocks of a failed attempt, or gave the piece up.
    tried: BTreeSet<IpAddr>,
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
    /// `piece` failed, and `senders` had a part in it.
    pub(crate) fn failed(&mut self, now: Instant, piece: PieceIndex, senders: &[IpAddr]) {
        if !self.pieces.contains_key(&piece) && self.pieces.len() >= MAX_FAILED_PIECES_KEPT {
            return;
        }
        let suspect = self.pieces.entry(piece).or_insert_with(|| Suspect {
            tried: BTreeSet::new(),
            since: now,
            owner: None,
        });
        (suspect.since, suspect.owner) = (now, None);
        for sender in senders {
            suspect.has_tried(*sender);
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
                Some((owner, _)) => owner == key,
                None => {
                    let waited = now.saturating_duration_since(suspect.since) >= OTHERS_FIRST;
                    waited || !suspect.tried.contains(&host_of(ip))
                }
            };
            if may {
                reserved.first.push(piece);
            } else {
                reserved.barred.push(piece);
            }
        }
        reserved
    }

    /// `key` has been asked for a block of `piece`: it is the owner unless there is one.
    pub(crate) fn asked(&mut self, now: Instant, piece: PieceIndex, key: PeerKey) {
        if let Some(suspect) = self.pieces.get_mut(&piece) {
            suspect.owner.get_or_insert((key, now));
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
                suspect.has_tried(ip);
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
        self.pieces.get(&piece).is_none_or(|suspect| {
            suspect
                .owner
                .is_some_and(|(_, at)| now.saturating_duration_since(at) >= OWNER_PATIENCE)
        })
    }
}

impl Suspect {
    fn has_tried(&mut self, ip: IpAddr) {
        if self.tried.len() < MAX_SUSPECTS_PER_PIECE {
            self.tried.insert(host_of(ip));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OWNER_PATIENCE, Suspects};
    use crate::engine::PeerKey;
    use crate::limits::{MAX_FAILED_PIECES_KEPT, MAX_SUSPECTS_PER_PIECE, OTHERS_FIRST};
    use bt_metainfo::PieceIndex;
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    const PIECE: PieceIndex = PieceIndex(3);
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
        suspects.failed(now, PIECE, &[ip(1)]);
        assert!(!may(&suspects, now, A, ip(1)) && may(&suspects, now, B, ip(2)));
        let later = now + OTHERS_FIRST;
        assert!(may(&suspects, later, A, ip(1)));
        assert!(!may(&suspects, later - Duration::from_millis(1), A, ip(1)));
    }

    #[test]
    fn a_piece_has_one_owner_until_it_gives_the_piece_up() {
        let now = Instant::now();
        let mut suspects = Suspects::default();
        suspects.failed(now, PIECE, &[ip(9)]);
        suspects.asked(now, PIECE, A);
        suspects.asked(now, PIECE, B);
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

    #[test]
    fn at_the_end_an_owner_that_takes_its_time_is_helped() {
        let now = Instant::now();
        let mut suspects = Suspects::default();
        assert!(suspects.may_share(now, PIECE));
        suspects.failed(now, PIECE, &[ip(9)]);
        suspects.asked(now, PIECE, A);
        let almost = now + OWNER_PATIENCE - Duration::from_millis(1);
        assert!(!suspects.may_share(almost, PIECE));
        assert!(suspects.may_share(now + OWNER_PATIENCE, PIECE));
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
            suspects.failed(now, PieceIndex(piece), &crowd);
        }
        assert_eq!(suspects.pieces.len(), MAX_FAILED_PIECES_KEPT);
        let tried = &suspects.pieces[&PIECE].tried;
        assert_eq!(tried.len(), MAX_SUSPECTS_PER_PIECE);
        // A piece that is kept may fail again when the books are full.
        suspects.asked(now, PIECE, A);
        suspects.failed(now, PIECE, &[]);
        assert!(suspects.pieces[&PIECE].owner.is_none());
    }
}
