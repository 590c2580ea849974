//! Tests of the arithmetic at its edges.

use super::*;

fn extents(layout: &Layout, offset: u64, length: u64) -> Vec<(u32, u64, u64)> {
    layout
        .extents(offset, length)
        .map(
            |Extent {
                 file,
                 offset,
                 length,
             }| (file.0, offset, length),
        )
        .collect()
}

#[test]
fn an_empty_torrent_has_no_pieces() {
    for files in [vec![], vec![(0, false)], vec![(0, false), (0, true)]] {
        let layout = Layout::new(16_384, files).unwrap();
        assert_eq!(layout.piece_count(), 0);
        assert_eq!(layout.piece_size(PieceIndex(0)), 0);
        assert_eq!(extents(&layout, 0, u64::MAX), []);
        assert_eq!(layout.pieces_of_file(FileIndex(0)), 0..0);
        assert!(!layout.contains(BlockRef::new(PieceIndex(0), 0, 1)));
    }
}

#[test]
fn a_block_is_inside_only_when_every_byte_is() {
    let layout = Layout::new(40_000, [(100_000, false)]).unwrap();
    let inside =
        |piece, begin, length| layout.contains(BlockRef::new(PieceIndex(piece), begin, length));
    assert!(inside(0, 0, 40_000));
    assert!(inside(2, 19_999, 1));
    assert!(!inside(0, 0, 0));
    assert!(!inside(0, 0, 40_001));
    assert!(!inside(2, 20_000, 1));
    assert!(!inside(2, 19_999, 2));
    assert!(!inside(3, 0, 1));
    assert!(!inside(0, u32::MAX, u32::MAX));
    assert!(!inside(u32::MAX, 0, 1));
    assert!(layout.is_block(BlockRef::new(PieceIndex(2), 16_384, 20_000 - 16_384)));
    assert!(!layout.is_block(BlockRef::new(PieceIndex(2), 16_384, 16_384)));
    assert!(!layout.is_block(BlockRef::new(PieceIndex(0), 1, 16_384)));
    assert!(!layout.is_block(BlockRef::new(PieceIndex(0), 49_152, 0)));
}

#[test]
fn extents_skip_empty_files_and_cut_at_the_end() {
    let layout = Layout::new(
        8,
        [
            (0, false),
            (3, false),
            (0, false),
            (0, false),
            (5, true),
            (4, false),
            (0, false),
        ],
    )
    .unwrap();
    assert_eq!(extents(&layout, 0, 8), [(1, 0, 3), (4, 0, 5)]);
    assert_eq!(extents(&layout, 2, 7), [(1, 2, 1), (4, 0, 5), (5, 0, 1)]);
    assert_eq!(extents(&layout, 3, 1), [(4, 0, 1)]);
    assert_eq!(extents(&layout, 11, u64::MAX), [(5, 3, 1)]);
    assert_eq!(extents(&layout, 12, 1), []);
    assert_eq!(extents(&layout, u64::MAX, u64::MAX), []);
    assert_eq!(extents(&layout, 4, 0), []);
    assert_eq!(layout.content_length(), 7);
    assert!(
        layout.is_pad(FileIndex(4))
            && !layout.is_pad(FileIndex(5))
            && !layout.is_pad(FileIndex(99))
    );
}

#[test]
fn aligned_files_have_short_last_pieces_each() {
    let layout = Layout::piece_aligned(
        16_384,
        [(1, false), (0, false), (16_384, false), (20_000, false)],
    )
    .unwrap();
    let sizes: Vec<u32> = layout
        .pieces()
        .map(|piece| layout.piece_size(piece))
        .collect();
    assert_eq!(sizes, [1, 16_384, 16_384, 3_616]);
    assert_eq!(layout.total_length(), 36_385);
    assert_eq!(layout.file_offset(FileIndex(2)), 16_384);
    assert_eq!(layout.pieces_of_file(FileIndex(3)), 2..4);
    assert_eq!(
        extents(&layout, 0, 40_000),
        [(0, 0, 1), (2, 0, 16_384), (3, 0, 7_232)]
    );
    assert_eq!(extents(&layout, 5, 100), []);
}

#[test]
fn limits_hold_at_the_limit_and_not_above() {
    let one = |piece_length, length| Layout::new(piece_length, [(length, false)]);
    assert!(one(MAX_PIECE_LENGTH, 1).is_ok());
    for bad in [0, MAX_PIECE_LENGTH + 1, u32::MAX] {
        assert!(matches!(one(bad, 1), Err(LayoutError::PieceLength { .. })));
    }
    assert_eq!(
        one(1, u64::from(MAX_PIECES)).unwrap().piece_count(),
        MAX_PIECES
    );
    assert!(
        matches!(one(1, u64::from(MAX_PIECES) + 1), Err(LayoutError::TooManyPieces { found }) if found == u64::from(MAX_PIECES) + 1)
    );
    // A total at its limit always has too many pieces, so the two errors tell them apart.
    assert!(matches!(
        one(MAX_PIECE_LENGTH, MAX_TOTAL_LENGTH),
        Err(LayoutError::TooManyPieces { .. })
    ));
    assert_eq!(
        one(MAX_PIECE_LENGTH, MAX_TOTAL_LENGTH + 1),
        Err(LayoutError::TooLong)
    );
    assert_eq!(one(MAX_PIECE_LENGTH, u64::MAX), Err(LayoutError::TooLong));
    let halves = [(MAX_TOTAL_LENGTH, false), (1, false)];
    assert_eq!(
        Layout::new(MAX_PIECE_LENGTH, halves),
        Err(LayoutError::TooLong)
    );
    let many = |count| Layout::new(1, std::iter::repeat_n((0, false), count));
    assert_eq!(many(MAX_FILES).unwrap().file_count(), MAX_FILES);
    assert_eq!(many(MAX_FILES + 1), Err(LayoutError::TooManyFiles));
}

#[test]
fn a_million_empty_files_between_two_bytes_cost_nothing_to_cross() {
    let mut files = vec![(0, false); 900_000];
    files.insert(0, (1, false));
    files.push((1, false));
    let layout = Layout::new(16_384, files).unwrap();
    for _ in 0..10_000 {
        assert_eq!(extents(&layout, 0, 2), [(0, 0, 1), (900_001, 0, 1)]);
    }
}
