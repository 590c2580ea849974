//! The hash trees of v2 files (BEP 52): from a layer of hashes to the root.
//!
//! Pure arithmetic on hashes; knows nothing of files or torrents.

use sha2::{Digest, Sha256};

use crate::index::BLOCK_SIZE;

/// One node of a tree: SHA-256 of its two children, or of 16 KiB of content.
pub(crate) type Node = [u8; 32];

/// The root above a layer in which each hash stands for `piece_length` bytes of content.
///
/// The layer is filled up to a power of two with the roots of trees whose leaves are all zero.
/// `piece_length` must be a power of two from 16 KiB up. Without any hash the root is zero.
pub(crate) fn root_of_layer(layer: &[Node], piece_length: u32) -> Node {
    let levels_below = (piece_length / BLOCK_SIZE).max(1).ilog2();
    let mut filler = (0..levels_below).fold([0; 32], |below, _| parent(&below, &below));
    let mut layer = layer.to_vec();
    while layer.len() > 1 {
        layer = layer
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => parent(left, right),
                [left, ..] => parent(left, &filler),
                [] => filler,
            })
            .collect();
        filler = parent(&filler, &filler);
    }
    layer.first().copied().unwrap_or_default()
}

fn parent(left: &Node, right: &Node) -> Node {
    let mut hash = Sha256::new();
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds the whole tree from its leaves, as the text of BEP 52 describes it.
    fn naive(leaves: &[Node]) -> Node {
        let mut layer = leaves.to_vec();
        layer.resize(leaves.len().next_power_of_two(), [0; 32]);
        while layer.len() > 1 {
            layer = layer
                .chunks(2)
                .map(|pair| parent(&pair[0], &pair[1]))
                .collect();
        }
        layer[0]
    }

    fn leaves(count: u8) -> Vec<Node> {
        (0..count).map(|n| Sha256::digest([n]).into()).collect()
    }

    #[test]
    fn a_layer_of_leaves_is_filled_with_zeros() {
        for count in 1..20 {
            assert_eq!(
                root_of_layer(&leaves(count), BLOCK_SIZE),
                naive(&leaves(count)),
                "{count}"
            );
        }
    }

    #[test]
    fn a_layer_of_pieces_is_filled_with_empty_trees() {
        // Only roots of whole pieces are in a layer, so each piece is a tree of its own.
        for (count, per_piece) in [(1, 4), (5, 4), (9, 2), (17, 8), (64, 4)] {
            let leaves = leaves(count);
            let layer: Vec<Node> = leaves
                .chunks(per_piece)
                .map(|piece| {
                    let mut piece = piece.to_vec();
                    piece.resize(per_piece, [0; 32]);
                    naive(&piece)
                })
                .collect();
            let mut whole = leaves.clone();
            whole.resize(leaves.len().next_multiple_of(per_piece), [0; 32]);
            let piece_length = BLOCK_SIZE * u32::try_from(per_piece).unwrap();
            assert_eq!(
                root_of_layer(&layer, piece_length),
                naive(&whole),
                "{count} {per_piece}"
            );
        }
    }
}
