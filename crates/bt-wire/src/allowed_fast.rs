//! Which pieces a peer may fetch while choked (BEP 6, "Allowed Fast Set Generation").
//!
//! Knows nothing of who has which pieces.

use std::net::Ipv4Addr;

use bt_metainfo::{InfoHash, PieceIndex};
use sha1::{Digest, Sha1};

use crate::limits;

/// The first `k` pieces of the set for a peer at `ip`, in canonical order.
///
/// Every client computes the same set, so that a peer gains nothing from asking around; and peers
/// in one /24 network share it. At most `piece_count` and [`limits::MAX_ALLOWED_FAST`] pieces.
/// BEP 6 defines no set for IPv6.
pub fn allowed_fast_set(
    ip: Ipv4Addr,
    info_hash: InfoHash,
    piece_count: u32,
    k: usize,
) -> Vec<PieceIndex> {
    let wanted = k.min(limits::MAX_ALLOWED_FAST);
    let wanted = wanted.min(usize::try_from(piece_count).unwrap_or(usize::MAX));
    if wanted == usize::try_from(piece_count).unwrap_or(usize::MAX) {
        // All pieces. The random sequence would take long to find the last ones.
        return (0..piece_count).map(PieceIndex).collect();
    }
    let network = u32::from(ip) & 0xffff_ff00;
    let mut set = Vec::with_capacity(wanted);
    let mut hash = Sha1::new_with_prefix(network.to_be_bytes())
        .chain_update(info_hash)
        .finalize();
    while set.len() < wanted {
        let (words, _) = hash.as_chunks::<4>();
        for word in words {
            let piece = PieceIndex(u32::from_be_bytes(*word) % piece_count);
            if set.len() < wanted && !set.contains(&piece) {
                set.push(piece);
            }
        }
        hash = Sha1::digest(hash);
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ip: [u8; 4], count: u32, k: usize) -> Vec<u32> {
        let hash = InfoHash::from([0xaa; 20]);
        allowed_fast_set(Ipv4Addr::from(ip), hash, count, k)
            .into_iter()
            .map(|p| p.0)
            .collect()
    }

    #[test]
    fn the_examples_of_the_bep() {
        let nine = [1059, 431, 808, 1217, 287, 376, 1188, 353, 508];
        assert_eq!(set([80, 4, 4, 200], 1313, 7), nine[..7]);
        assert_eq!(set([80, 4, 4, 200], 1313, 9), nine);
    }

    #[test]
    fn a_network_shares_one_set() {
        assert_eq!(set([80, 4, 4, 1], 1313, 10), set([80, 4, 4, 200], 1313, 10));
        assert_ne!(set([80, 4, 5, 1], 1313, 10), set([80, 4, 4, 1], 1313, 10));
    }

    #[test]
    fn small_torrents_and_large_wishes_end() {
        assert_eq!(set([80, 4, 4, 200], 0, 10), []);
        assert_eq!(set([80, 4, 4, 200], 3, 10), [0, 1, 2]);
        assert_eq!(set([80, 4, 4, 200], 1313, 0), []);
        assert_eq!(
            set([80, 4, 4, 200], u32::MAX, usize::MAX).len(),
            limits::MAX_ALLOWED_FAST
        );
        let mut almost = set([80, 4, 4, 200], 11, 10);
        almost.sort_unstable();
        almost.dedup();
        assert_eq!(almost.len(), 10);
    }
}
