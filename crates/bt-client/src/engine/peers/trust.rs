//! Who sent bad data: blame by block, ban on proof.
//!
//! When a piece fails that one address alone sent, that address is guilty. When several sent it, the digests of its
//! blocks are kept; once the piece verifies, every block that differs from the good one convicts its sender. Nobody
//! is banned on suspicion. It must not know the bytes themselves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use bt_metainfo::PieceIndex;

use super::{host_of, same_host};
use crate::limits::{MAX_BANNED, MAX_FAILED_PIECES_KEPT};

/// SHA-1 of one block, computed by whoever has the bytes.
pub type BlockDigest = [u8; 20];

#[derive(Debug)]
struct Failure {
    senders: Vec<IpAddr>,
    digests: Vec<BlockDigest>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    failures: BTreeMap<PieceIndex, Vec<Failure>>,
    banned: BTreeSet<IpAddr>,
    banned_order: VecDeque<IpAddr>,
}

impl Trust {
    pub(crate) fn is_banned(&self, ip: IpAddr) -> bool {
        self.banned.contains(&host_of(ip))
    }

    /// How many addresses are banned.
    pub(crate) fn banned(&self) -> usize {
        self.banned.len()
    }

    /// Whether block digests are needed with the next verdict on `piece`.
    pub(crate) fn is_watched(&self, piece: PieceIndex) -> bool {
        self.failures.contains_key(&piece)
    }

    /// `piece` failed. `senders` and `digests` are in block order. Returns the addresses proved guilty.
    pub(crate) fn piece_failed(
        &mut self,
        piece: PieceIndex,
        senders: Vec<IpAddr>,
        digests: Vec<BlockDigest>,
    ) -> Vec<IpAddr> {
        let Some(&first) = senders.first() else {
            return Vec::new();
        };
        if senders.iter().all(|sender| same_host(*sender, first)) {
            self.ban(first);
            return vec![first];
        }
        let known = self.failures.contains_key(&piece);
        if senders.len() == digests.len() && (known || self.failures.len() < MAX_FAILED_PIECES_KEPT)
        {
            let kept = self.failures.entry(piece).or_default();
            // Four attempts are proof enough for the next good one.
            if kept.len() < 4 {
                kept.push(Failure { senders, digests });
            }
        }
        Vec::new()
    }

    /// `piece` verified with blocks of these digests. Returns the addresses proved guilty by it.
    pub(crate) fn piece_verified(
        &mut self,
        piece: PieceIndex,
        digests: &[BlockDigest],
    ) -> Vec<IpAddr> {
        let mut guilty = Vec::new();
        for failure in self.failures.remove(&piece).unwrap_or_default() {
            for ((sender, bad), good) in failure.senders.iter().zip(&failure.digests).zip(digests) {
                if bad != good && !self.is_banned(*sender) {
                    self.ban(*sender);
                    guilty.push(*sender);
                }
            }
        }
        guilty
    }

    /// Whether the bounds hold and everybody who is banned can be let go again in turn.
    pub(crate) fn audit(&self) -> Result<(), String> {
        let turns = self.banned_order.iter().filter(|ip| self.is_banned(**ip));
        if turns.count() != self.banned.len() || self.banned.len() != self.banned_order.len() {
            return Err(format!(
                "{} are banned, {} have a turn",
                self.banned.len(),
                self.banned_order.len()
            ));
        }
        if self.banned.len() > MAX_BANNED || self.failures.len() > MAX_FAILED_PIECES_KEPT {
            return Err(format!(
                "{} bans, {} pieces under suspicion",
                self.banned.len(),
                self.failures.len()
            ));
        }
        Ok(())
    }

    fn ban(&mut self, ip: IpAddr) {
        let ip = host_of(ip);
        if self.banned.insert(ip) {
            self.banned_order.push_back(ip);
        }
        if self.banned_order.len() > MAX_BANNED
            && let Some(oldest) = self.banned_order.pop_front()
        {
            self.banned.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Trust;
    use crate::limits::{MAX_BANNED, MAX_FAILED_PIECES_KEPT};
    use bt_metainfo::PieceIndex;
    use std::net::IpAddr;

    const PIECE: PieceIndex = PieceIndex(3);

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[test]
    fn a_sole_sender_is_banned_at_once() {
        let mut trust = Trust::default();
        assert_eq!(
            trust.piece_failed(PIECE, vec![ip(1); 4], vec![[0; 20]; 4]),
            vec![ip(1)]
        );
        assert!(trust.is_banned(ip(1)));
    }

    #[test]
    fn only_the_sender_of_the_block_that_differs_is_banned() {
        let mut trust = Trust::default();
        let senders = vec![ip(1), ip(2), ip(3), ip(1)];
        assert!(
            trust
                .piece_failed(PIECE, senders, vec![[1; 20], [9; 20], [3; 20], [4; 20]])
                .is_empty()
        );
        assert!(trust.is_watched(PIECE));
        let guilty = trust.piece_verified(PIECE, &[[1; 20], [2; 20], [3; 20], [4; 20]]);
        assert_eq!(guilty, vec![ip(2)]);
        assert!(!trust.is_banned(ip(1)) && !trust.is_banned(ip(3)));
        assert!(!trust.is_watched(PIECE));
    }

    #[test]
    fn bans_and_suspicions_are_bounded_and_the_oldest_makes_room() {
        let mut trust = Trust::default();
        let address =
            |n: usize| IpAddr::from((0x0a00_0000 + u32::try_from(n).unwrap()).to_be_bytes());
        for n in 0..MAX_BANNED {
            trust.piece_failed(PIECE, vec![address(n)], Vec::new());
        }
        assert_eq!(trust.banned(), MAX_BANNED);
        assert!(trust.is_banned(address(0)));
        trust.piece_failed(PIECE, vec![address(MAX_BANNED)], Vec::new());
        assert_eq!(trust.banned(), MAX_BANNED);
        assert!(!trust.is_banned(address(0)) && trust.is_banned(address(1)));
        assert!(trust.is_banned(address(MAX_BANNED)));

        let mut trust = Trust::default();
        let limit = u32::try_from(MAX_FAILED_PIECES_KEPT).unwrap();
        for piece in (0..=limit).chain([u32::MAX]) {
            let senders = vec![ip(1), ip(2)];
            trust.piece_failed(PieceIndex(piece), senders, vec![[1; 20], [2; 20]]);
        }
        assert!(trust.is_watched(PieceIndex(limit - 1)));
        assert!(!trust.is_watched(PieceIndex(limit)));
        assert!(!trust.is_watched(PieceIndex(u32::MAX)));
    }

    #[test]
    fn without_digests_nobody_is_suspected() {
        let mut trust = Trust::default();
        assert!(
            trust
                .piece_failed(PIECE, vec![ip(1), ip(2)], Vec::new())
                .is_empty()
        );
        assert!(trust.piece_verified(PIECE, &[]).is_empty());
    }
}
