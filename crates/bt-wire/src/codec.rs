//! Checked big-endian reads: the only place that takes numbers out of bytes.
//!
//! Knows nothing of messages. A read past the end is `None`, never a panic.

use bt_metainfo::{BlockRef, PieceIndex};

/// The big-endian number at `offset`, if there are four bytes.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let end = offset.checked_add(4)?;
    let bytes = bytes.get(offset..end)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// The big-endian number at `offset`, if there are two bytes.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let end = offset.checked_add(2)?;
    let bytes = bytes.get(offset..end)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

/// The `N` bytes at `offset`, if they are there.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    let end = offset.checked_add(N)?;
    bytes.get(offset..end)?.try_into().ok()
}

/// The piece index at `offset`.
pub(crate) fn piece_at(bytes: &[u8], offset: usize) -> Option<PieceIndex> {
    u32_at(bytes, offset).map(PieceIndex)
}

/// The three numbers of a request, a cancel or a reject at `offset`.
pub(crate) fn block_at(bytes: &[u8], offset: usize) -> Option<BlockRef> {
    let piece = piece_at(bytes, offset)?;
    let begin = u32_at(bytes, offset.checked_add(4)?)?;
    let length = u32_at(bytes, offset.checked_add(8)?)?;
    Some(BlockRef {
        piece,
        begin,
        length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stop_at_the_end() {
        let bytes = [0, 0, 1, 2, 3];
        assert_eq!(u32_at(&bytes, 0), Some(0x0102));
        assert_eq!(u32_at(&bytes, 1), Some(0x01_0203));
        assert_eq!(u32_at(&bytes, 2), None);
        assert_eq!(u32_at(&bytes, usize::MAX), None);
        assert_eq!(u16_at(&bytes, 3), Some(0x0203));
        assert_eq!(u16_at(&bytes, 4), None);
        assert_eq!(array_at::<2>(&bytes, 4), None);
        assert_eq!(
            block_at(&[0; 12], 0),
            Some(BlockRef::new(PieceIndex(0), 0, 0))
        );
        assert_eq!(block_at(&[0; 11], 0), None);
    }
}
