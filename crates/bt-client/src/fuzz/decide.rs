//! What is believed at a start: any journal against any look of the files, in a torrent of a few files.

use std::collections::BTreeSet;

use bt_metainfo::{BLOCK_SIZE, FileIndex, Layout, PieceIndex};

use crate::state::knowledge::{
    Change, FileNow, FileThen, IndexSet, Known, Origin, Stamp, decide as decided,
};

/// Bytes of a piece.
const PIECE: u32 = BLOCK_SIZE;

/// How many files, and for each four bytes: its length, what was known of it, what it looks like now, and how far off that
/// is. The rest are pieces that were proven.
///
/// # Panics
/// If a piece that was not proven is trusted, if one is trusted although a file of it is gone, short or has been touched, if
/// one that was proven is neither trusted nor hashed nor forgotten, or if it is in two of the sets.
pub fn decide(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let count = usize::from(first % 8) + 1;
    let (files, pieces) = rest.split_at(rest.len().min(count * 4));
    let files: Vec<[u8; 4]> = files.as_chunks().0.to_vec();
    let length = |file: &[u8; 4]| u64::from(file[0]) * 1_024;
    let lengths = files.iter().map(|file| (length(file), file[1] & 0x80 != 0));
    let Ok(layout) = Layout::new(PIECE, lengths) else {
        return;
    };
    let mut known = Known {
        origin: Origin {
            info_hash: [1; 20],
            device: 1,
            inode: 2,
            directory: b"/d".to_vec(),
        },
        pieces: IndexSet::default(),
        looked: first & 0x80 != 0,
        files: Default::default(),
    };
    let mut apart = BTreeSet::new();
    let mut now = Vec::new();
    for (number, &[_, then, look, off]) in (0u32..).zip(&files) {
        let whole = length(&files[number as usize]);
        let left = Stamp {
            size: whole,
            seconds: 7,
            nanos: 0,
        };
        match then & 3 {
            0 => drop(known.files.insert(number, FileThen::Opened)),
            1 | 2 => drop(known.files.insert(number, FileThen::Closed(left))),
            _ => {}
        }
        // What a journal says may be of another torrent.
        if then & 4 != 0 {
            known.files.insert(1000 + number, FileThen::Opened);
        }
        if then & 8 != 0 {
            let pieces = layout.pieces_of_file(FileIndex(number));
            apart.insert((FileIndex(number), PieceIndex(pieces.start)));
        }
        now.push(match look & 3 {
            0 => FileNow::Missing,
            1 => FileNow::There(left),
            2 => FileNow::There(Stamp { seconds: 8, ..left }),
            _ => FileNow::There(Stamp {
                size: (whole + u64::from(look >> 2) * 512).saturating_sub(u64::from(off) * 1_024),
                seconds: 7 + i64::from(off & 1),
                nanos: 0,
            }),
        });
    }
    for piece in pieces {
        known.pieces.insert(u32::from(*piece));
    }
    let look = |file: FileIndex| now[file.0 as usize];
    let plan = decided(&layout, &known, look, &apart);
    for piece in layout.pieces() {
        let proven = known.pieces.contains(piece.0);
        let sets = [&plan.trust, &plan.hash, &plan.forget];
        let places = sets.iter().filter(|set| set.get(piece)).count();
        assert!(places <= 1, "{piece:?} is in {places} sets");
        assert!(
            !proven || places == 1,
            "{piece:?} was proven, and nothing is done about it"
        );
        assert!(
            proven || !plan.trust.get(piece),
            "{piece:?} is trusted without a reason"
        );
        assert!(proven || !plan.forget.get(piece), "{piece:?} was not known");
        assert!(!plan.may_be_hole.get(piece) || plan.hash.get(piece) && !proven);
        for file in layout.files().filter(|file| !layout.is_pad(*file)) {
            let of_file = layout.pieces_of_file(file);
            if !of_file.contains(&piece.0) || apart.contains(&(file, piece)) {
                continue;
            }
            // The bytes of the piece in this file, as offsets in the file.
            let begin = layout.file_offset(file);
            let end = (u64::from(piece.0) + 1) * u64::from(PIECE);
            let end = end.min(begin + layout.file_length(file)) - begin;
            let (is_there, is_touched) = match look(file) {
                FileNow::Missing => (false, false),
                FileNow::There(stamp) => {
                    let is_other = |then: &FileThen| match then {
                        FileThen::Closed(then) => *then != stamp,
                        FileThen::Opened => false,
                    };
                    let then = known.files.get(&file.0);
                    (stamp.size >= end, then.is_some_and(is_other))
                }
            };
            let is_trusted = plan.trust.get(piece);
            assert!(
                is_there || !is_trusted,
                "{piece:?} is trusted, and {file:?} is short"
            );
            assert!(
                !is_touched || !is_trusted,
                "{piece:?} is trusted, and {file:?} was touched"
            );
            assert!(
                is_there || !plan.hash.get(piece),
                "{piece:?} cannot be there"
            );
        }
    }
    let named: Vec<FileIndex> = plan
        .changes
        .iter()
        .map(|change| match change {
            Change::Missing(file) | Change::Short(file) | Change::Touched(file) => *file,
        })
        .collect();
    let distinct: BTreeSet<FileIndex> = named.iter().copied().collect();
    assert_eq!(distinct.len(), named.len(), "a file is named twice");
    assert_eq!(plan.was_cut_short, known.looked);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_decide", 3, super::decide);
    }
}
