//! What is believed at a start: any journal against any look of the files, in a torrent of a few files.

use std::collections::{BTreeMap, BTreeSet};

use bt_metainfo::{BLOCK_SIZE, FileIndex, Layout, PieceIndex};

use crate::state::knowledge::{
    Change, FileNow, FileThen, Known, Origin, Plan, Stamp, decide as decided,
};

/// Bytes of a piece.
const PIECE: u32 = BLOCK_SIZE;

/// A torrent, what the journal says of it, and what its files look like.
struct Story {
    layout: Layout,
    known: Known,
    /// One entry a file.
    now: Vec<FileNow>,
    apart: BTreeSet<(FileIndex, PieceIndex)>,
}

/// How many files, and for each four bytes: its length, what was known of it, what it looks like now, and how far off that
/// is. The rest are pieces that were proven.
///
/// # Panics
/// If a piece that was not proven is trusted, if one is trusted although a file of it is gone, short or has been touched, if
/// one that was proven is neither trusted nor hashed nor forgotten, or if it is in two of the sets.
pub fn decide(data: &[u8]) {
    let Some(story) = Story::new(data) else {
        return;
    };
    let Story {
        layout,
        known,
        apart,
        ..
    } = &story;
    let plan = decided(layout, known, |file| story.look(file), apart);
    for piece in layout.pieces() {
        let proven = known.pieces.contains(piece.0);
        let sets = [&plan.trust, &plan.hash, &plan.forget];
        let places = sets.iter().filter(|set| set.get(piece)).count();
        assert!(places <= 1, "{piece:?} is in {places} sets");
        assert!(
            !proven || places == 1,
            "{piece:?} was proven, and nothing is done about it"
        );
        let is_trusted = plan.trust.get(piece);
        assert!(proven || !is_trusted, "{piece:?} is trusted for no reason");
        assert!(proven || !plan.forget.get(piece), "{piece:?} was not known");
        assert!(!plan.may_be_hole.get(piece) || plan.hash.get(piece) && !proven);
        for file in layout.files().filter(|file| !layout.is_pad(*file)) {
            let of_file = layout.pieces_of_file(file);
            if of_file.contains(&piece.0) && !apart.contains(&(file, piece)) {
                story.check(&plan, piece, file);
            }
        }
    }
    let named = plan.changes.iter().map(|change| match change {
        Change::Missing(file) | Change::Short(file) | Change::Touched(file) => *file,
    });
    let distinct: BTreeSet<FileIndex> = named.collect();
    assert_eq!(distinct.len(), plan.changes.len(), "a file is named twice");
    let is_open = known.files.values().any(|then| *then == FileThen::Opened);
    assert_eq!(plan.was_cut_short, known.looked || is_open);
}

impl Story {
    fn new(data: &[u8]) -> Option<Self> {
        let (&first, rest) = data.split_first()?;
        let count = usize::from(first % 8) + 1;
        let (files, pieces) = rest.split_at(rest.len().min(count * 4));
        let files: &[[u8; 4]] = files.as_chunks().0;
        let lengths = files.iter().map(|file| (length(file), file[1] & 0x80 != 0));
        let mut story = Self {
            layout: Layout::new(PIECE, lengths).ok()?,
            known: Known {
                origin: Origin {
                    info_hash: [1; 20],
                    device: 1,
                    inode: 2,
                    directory: b"/d".to_vec(),
                },
                pieces: pieces.iter().copied().map(u32::from).collect(),
                looked: first & 0x80 != 0,
                files: BTreeMap::new(),
            },
            now: Vec::new(),
            apart: BTreeSet::new(),
        };
        for (number, file) in (0..).zip(files) {
            story.add(number, file);
        }
        Some(story)
    }

    fn add(&mut self, number: u32, file: &[u8; 4]) {
        let [_, then, look, off] = *file;
        let left = Stamp {
            size: length(file),
            seconds: 7,
            nanos: 0,
        };
        let files = &mut self.known.files;
        match then & 3 {
            0 => drop(files.insert(number, FileThen::Opened)),
            1 | 2 => drop(files.insert(number, FileThen::Closed(left))),
            _ => {}
        }
        // What a journal says may be of another torrent.
        if then & 4 != 0 {
            files.insert(1000 + number, FileThen::Opened);
        }
        if then & 8 != 0 {
            let first = self.layout.pieces_of_file(FileIndex(number)).start;
            self.apart.insert((FileIndex(number), PieceIndex(first)));
        }
        let grown = left.size + u64::from(look >> 2) * 512;
        self.now.push(match look & 3 {
            0 => FileNow::Missing,
            1 => FileNow::There(left),
            2 => FileNow::There(Stamp { seconds: 8, ..left }),
            _ => FileNow::There(Stamp {
                size: grown.saturating_sub(u64::from(off) * 1_024),
                seconds: 7 + i64::from(off & 1),
                nanos: 0,
            }),
        });
    }

    fn look(&self, file: FileIndex) -> FileNow {
        self.now[file.0 as usize]
    }

    /// What a file that has bytes of a piece says against the plan for it.
    fn check(&self, plan: &Plan, piece: PieceIndex, file: FileIndex) {
        // Where the piece ends in the file.
        let begin = self.layout.file_offset(file);
        let end = (u64::from(piece.0) + 1) * u64::from(PIECE);
        let end = end.min(begin + self.layout.file_length(file)) - begin;
        let (is_there, is_touched) = match self.look(file) {
            FileNow::Missing => (false, false),
            FileNow::There(stamp) => {
                let is_other = |then: &FileThen| match then {
                    FileThen::Closed(then) => *then != stamp,
                    FileThen::Opened => false,
                };
                let then = self.known.files.get(&file.0);
                (stamp.size >= end, then.is_some_and(is_other))
            }
        };
        let (trust, hash) = (plan.trust.get(piece), plan.hash.get(piece));
        assert!(is_there || !trust, "{piece:?} is trusted, {file:?} short");
        assert!(!is_touched || !trust, "{piece:?} is trusted, {file:?} not");
        assert!(is_there || !hash, "{piece:?} cannot be there");
    }
}

/// Bytes of a file.
fn length(file: &[u8; 4]) -> u64 {
    u64::from(file[0]) * 1_024
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_decide", 3, super::decide);
    }
}
