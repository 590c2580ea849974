//! The layout against a model that writes every byte down.

use bt_metainfo::{BLOCK_SIZE, BlockRef, Extent, FileIndex, Layout, PieceIndex};
use proptest::prelude::*;

/// For each position of the space, the file and the offset in it; `None` in a gap.
type Bytes = Vec<Option<(u32, u64)>>;

fn model(piece_length: u32, files: &[(u64, bool)], aligned: bool) -> Bytes {
    let mut bytes: Bytes = Vec::new();
    for (file, &(length, _)) in (0..).zip(files) {
        if aligned && length > 0 {
            let start = bytes.len().next_multiple_of(piece_length as usize);
            bytes.resize(start, None);
        }
        bytes.extend((0..length).map(|offset| Some((file, offset))));
    }
    bytes
}

/// Joins neighbors of one file.
fn model_extents(bytes: &[Option<(u32, u64)>]) -> Vec<Extent> {
    let mut extents: Vec<Extent> = Vec::new();
    for &(file, offset) in bytes.iter().flatten() {
        match extents.last_mut() {
            Some(last) if last.file.0 == file && last.offset + last.length == offset => {
                last.length += 1
            }
            _ => extents.push(Extent {
                file: FileIndex(file),
                offset,
                length: 1,
            }),
        }
    }
    extents
}

fn slice(bytes: &Bytes, offset: u64, length: u64) -> &[Option<(u32, u64)>] {
    let end = offset.saturating_add(length).min(bytes.len() as u64) as usize;
    bytes
        .get((offset.min(bytes.len() as u64)) as usize..end)
        .unwrap_or_default()
}

prop_compose! {
    fn files()(
        lengths in proptest::collection::vec(prop_oneof![2 => Just(0_u64), 3 => 0_u64..40, 1 => 0_u64..400, 1 => Just(64)], 0..12),
        pads in proptest::collection::vec(any::<bool>(), 12),
    ) -> Vec<(u64, bool)> {
        lengths.into_iter().zip(pads).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn extents_are_the_bytes(
        files in files(),
        piece_length in prop_oneof![Just(1_u32), Just(64), 1_u32..100],
        aligned in any::<bool>(),
        offset in prop_oneof![0_u64..600, Just(u64::MAX)],
        length in prop_oneof![0_u64..600, Just(u64::MAX)],
    ) {
        let layout = if aligned { Layout::piece_aligned(piece_length, files.clone()) } else { Layout::new(piece_length, files.clone()) }.unwrap();
        let bytes = model(piece_length, &files, aligned);
        let found: Vec<Extent> = layout.extents(offset, length).collect();
        prop_assert_eq!(found, model_extents(slice(&bytes, offset, length)));
    }

    #[test]
    fn pieces_and_files_are_the_bytes(files in files(), piece_length in 1_u32..100, aligned in any::<bool>()) {
        let layout = if aligned { Layout::piece_aligned(piece_length, files.clone()) } else { Layout::new(piece_length, files.clone()) }.unwrap();
        let bytes = model(piece_length, &files, aligned);
        prop_assert_eq!(layout.piece_count() as usize, bytes.len().div_ceil(piece_length as usize));
        prop_assert_eq!(layout.total_length(), files.iter().map(|file| file.0).sum::<u64>());
        prop_assert_eq!(layout.content_length(), files.iter().filter(|file| !file.1).map(|file| file.0).sum::<u64>());
        for piece in layout.pieces() {
            let range = slice(&bytes, layout.piece_offset(piece), u64::from(piece_length));
            let size = range.iter().flatten().count();
            prop_assert_eq!(layout.piece_size(piece) as usize, size);
            // A gap is only ever at the end of a piece.
            prop_assert!(range[..size].iter().all(Option::is_some));
            prop_assert_eq!(layout.piece_at(layout.piece_offset(piece)), Some(piece));
            prop_assert!(layout.piece_extents(piece).eq(model_extents(range)));
        }
        prop_assert_eq!(layout.piece_at(bytes.len() as u64), None);
        prop_assert_eq!(layout.piece_size(PieceIndex(layout.piece_count())), 0);
        for file in layout.files() {
            let at: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i].is_some_and(|(f, _)| f == file.0)).collect();
            prop_assert_eq!(layout.file_length(file), at.len() as u64);
            prop_assert_eq!(layout.is_pad(file), files[file.0 as usize].1);
            let pieces = layout.pieces_of_file(file);
            match (at.first(), at.last()) {
                (Some(&first), Some(&last)) => {
                    prop_assert_eq!(layout.file_offset(file), first as u64);
                    let number = |i: usize| u32::try_from(i / piece_length as usize).unwrap();
                    prop_assert_eq!(pieces, number(first)..number(last) + 1);
                }
                _ => prop_assert!(pieces.is_empty()),
            }
        }
    }

    #[test]
    fn blocks_fill_pieces(total in 1_u64..3_000_000, piece_length in 1_u32..600_000) {
        let layout = Layout::new(piece_length, [(total, false)]).unwrap();
        // The first, the last and some in between.
        let last = layout.piece_count() - 1;
        for piece in [0, last / 2, last].map(PieceIndex) {
            let mut begin = 0;
            for n in 0..layout.block_count(piece) {
                let block = layout.block(piece, n);
                prop_assert_eq!((block.piece, block.begin), (piece, begin));
                prop_assert!(block.length == BLOCK_SIZE || n + 1 == layout.block_count(piece));
                prop_assert_eq!(layout.block_number(block.begin), n);
                prop_assert!(layout.contains(block) && layout.is_block(block));
                prop_assert!(layout.block_extents(block).map(|extent| extent.length).sum::<u64>() == u64::from(block.length));
                begin += block.length;
            }
            prop_assert_eq!(begin, layout.piece_size(piece));
            prop_assert!(layout.blocks(piece).eq((0..layout.block_count(piece)).map(|n| layout.block(piece, n))));
            prop_assert_eq!(layout.block(piece, layout.block_count(piece)).length, 0);
            prop_assert_eq!(layout.block(piece, u32::MAX).length, 0);
        }
    }

    #[test]
    fn any_numbers_from_a_peer_have_an_answer(total in 0_u64..100_000, piece_length in 1_u32..50_000, piece in any::<u32>(), begin in any::<u32>(), length in any::<u32>()) {
        let layout = Layout::new(piece_length, [(total, false)]).unwrap();
        for piece in [piece, piece % 4] {
            let block = BlockRef::new(PieceIndex(piece), begin, length);
            let start = u64::from(piece) * u64::from(piece_length) + u64::from(begin);
            let inside = length > 0
                && u64::from(begin) + u64::from(length) <= u64::from(layout.piece_size(block.piece))
                && start + u64::from(length) <= total;
            prop_assert_eq!(layout.contains(block), inside);
            let covered: u64 = layout.block_extents(block).map(|extent| extent.length).sum();
            prop_assert!(covered <= u64::from(length));
            prop_assert!(!inside || covered == u64::from(length));
        }
    }
}
