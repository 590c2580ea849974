//! Where bytes of files that nobody selected lie, when a piece that is wanted for another file holds them.
//!
//! Such pieces have a place each in one file beside the content, in their order. It knows lengths
//! only, so that the same torrent has the same places in every run.

use super::Layout;
use crate::index::FileIndex;

/// The places of all pieces that more than one file shares; pad files do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartsMap {
    piece_length: u64,
    /// Ascending.
    shared: Box<[u32]>,
}

impl PartsMap {
    /// The places of a torrent of this layout.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        let mut shared = Vec::new();
        let mut last_seen = None;
        for file in layout.files().filter(|file| !layout.is_pad(*file)) {
            let pieces = layout.pieces_of_file(file);
            if pieces.is_empty() {
                continue;
            }
            if last_seen == Some(pieces.start) && shared.last() != Some(&pieces.start) {
                shared.push(pieces.start);
            }
            last_seen = Some(pieces.end - 1);
        }
        Self {
            piece_length: u64::from(layout.piece_length()),
            shared: shared.into(),
        }
    }

    /// Where the byte at `offset` of `file` lies among the parts; `None` when its piece holds no
    /// bytes of another file.
    #[must_use]
    pub fn place(&self, layout: &Layout, file: FileIndex, offset: u64) -> Option<u64> {
        let at = layout.file_offset(file) + offset;
        let piece = u32::try_from(at / self.piece_length).ok()?;
        let place = self.shared.binary_search(&piece).ok()?;
        Some(u64::try_from(place).ok()? * self.piece_length + at % self.piece_length)
    }
}

#[cfg(test)]
mod tests {
    use super::PartsMap;
    use crate::{FileIndex, Layout};

    #[test]
    fn pieces_of_several_files_have_a_place_each_and_others_have_none() {
        // Pieces of 10: file 0 has 0..2, file 2 has 2 (from its middle), 3 and 4, file 3 the rest of 4.
        let files = [(25, false), (0, false), (20, false), (3, false), (2, true)];
        let layout = Layout::new(10, files).unwrap();
        let map = PartsMap::new(&layout);
        let place = |file, offset| map.place(&layout, FileIndex(file), offset);
        assert_eq!(place(0, 19), None);
        assert_eq!(place(0, 20), Some(0));
        assert_eq!(place(0, 24), Some(4));
        assert_eq!(place(2, 0), Some(5));
        assert_eq!(place(2, 4), Some(9));
        assert_eq!((place(2, 5), place(2, 14)), (None, None));
        assert_eq!(place(2, 15), Some(10));
        assert_eq!(place(3, 2), Some(17));
        assert_eq!(place(9, 0), None);
    }

    #[test]
    fn a_piece_of_many_files_has_one_place_and_padding_shares_nothing() {
        let small = Layout::new(10, (0..7).map(|_| (3, false))).unwrap();
        let map = PartsMap::new(&small);
        assert_eq!(
            map.shared.as_ref(),
            [0, 1],
            "the last byte shares its piece with none"
        );
        let padded = Layout::new(10, [(3, false), (7, true), (3, false), (7, true)]).unwrap();
        assert_eq!(PartsMap::new(&padded).shared.as_ref(), [0_u32; 0]);
    }
}
