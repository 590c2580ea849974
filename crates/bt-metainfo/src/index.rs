//! Small keys for the parts of a torrent: which piece, which file, which block.
//!
//! Knows nothing of any torrent: whether a key is in range is [`Layout`](crate::Layout)'s to say.

use std::fmt;

/// The most bytes a peer asks for at once: 16 KiB, the unit of transfer of every client (BEP 3).
pub const BLOCK_SIZE: u32 = 16 * 1024;

/// The number of a piece, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceIndex(pub u32);

impl fmt::Display for PieceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u32> for PieceIndex {
    fn from(index: u32) -> Self {
        Self(index)
    }
}

/// The number of a file in the order of the torrent, counted from 0, pad files included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileIndex(pub u32);

impl fmt::Display for FileIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u32> for FileIndex {
    fn from(index: u32) -> Self {
        Self(index)
    }
}

/// A run of bytes inside one piece, as requests and blocks name it on the wire (BEP 3).
///
/// It can hold any three numbers a peer sends;
/// [`Layout::contains`](crate::Layout::contains) tells whether they lie inside a torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockRef {
    /// The piece.
    pub piece: PieceIndex,
    /// Bytes from the start of the piece.
    pub begin: u32,
    /// Bytes.
    pub length: u32,
}

impl BlockRef {
    /// Names `length` bytes at `begin` of `piece`.
    pub const fn new(piece: PieceIndex, begin: u32, length: u32) -> Self {
        Self {
            piece,
            begin,
            length,
        }
    }
}

impl fmt::Display for BlockRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            piece,
            begin,
            length,
        } = self;
        write!(f, "piece {piece} +{begin} ({length} bytes)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_reads_as_a_place() {
        let block = BlockRef::new(PieceIndex(3), BLOCK_SIZE, BLOCK_SIZE);
        assert_eq!(block.to_string(), "piece 3 +16384 (16384 bytes)");
    }
}
