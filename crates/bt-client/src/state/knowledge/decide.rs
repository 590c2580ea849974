//! What to believe when a torrent starts: the journal's knowledge against what the files look like now.
//!
//! Plain data in, plain data out. It must not know how files are looked at, hashed, or named.

use bt_metainfo::{FileIndex, Layout, PieceIndex};
use bt_wire::Bitfield;

use super::record::{Origin, Stamp};
use super::replay::{FileThen, Known};

/// What a file looks like now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileNow {
    /// There is none.
    Missing,
    /// There it is.
    There(Stamp),
}

/// A file that is not as it was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is gone.
    Missing(FileIndex),
    /// It ends before bytes that were there.
    Short(FileIndex),
    /// Somebody else has written to it.
    Touched(FileIndex),
}

/// What to do with each piece; a piece is in at most one of the three sets, and in none if it is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Proven, and nothing speaks against it.
    pub trust: Bitfield,
    /// To be hashed. What was under way when the program ended is among them, if its bytes can have been written.
    pub hash: Bitfield,
    /// Was proven, and cannot be there any more.
    pub forget: Bitfield,
    /// Why, for people.
    pub changes: Vec<Change>,
    /// The pieces of `hash` were written by a run that was cut short: what memory holds of them may not be what the
    /// disk holds.
    pub was_cut_short: bool,
}

/// What a file says about the pieces that touch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// Proven pieces are right, others are not there.
    AsLeft,
    /// Proven pieces are right, others may have been written since.
    UnderWay,
    /// Nothing is proven.
    Unproven,
}

/// Decides piece by piece. A file that was closed is trusted if its size and time are as they were left. A file that
/// was open when the program was killed has another time in any case: its proven pieces are trusted, because a record
/// is never written before its bytes are on the disk.
#[must_use]
pub fn decide(layout: &Layout, known: &Known, now: impl Fn(FileIndex) -> FileNow) -> Plan {
    let count = layout.piece_count();
    let mut plan = Plan {
        trust: Bitfield::new(count),
        hash: Bitfield::new(count),
        forget: Bitfield::new(count),
        changes: Vec::new(),
        was_cut_short: known.looked,
    };
    let mut proven = Bitfield::new(count);
    for piece in known.pieces.iter().filter(|piece| *piece < count) {
        proven.set(PieceIndex(piece));
    }
    // Per piece: it may be there (no file it touches is missing or too short), all of its files vouch for it, and
    // one of them may have been written since.
    let mut possible = Bitfield::full(count);
    let mut vouched = Bitfield::full(count);
    let mut under_way = Bitfield::new(count);
    for file in layout.files().filter(|file| !layout.is_pad(*file)) {
        let pieces = layout.pieces_of_file(file);
        if pieces.is_empty() {
            continue;
        }
        let was_there = || pieces.clone().any(|piece| proven.get(PieceIndex(piece)));
        let size = match now(file) {
            FileNow::Missing => 0,
            FileNow::There(stamp) => stamp.size,
        };
        let lost = first_lost(layout, file, size);
        let is_missing = now(file) == FileNow::Missing;
        let word = word(known, file, now(file));
        if is_missing && was_there() {
            plan.changes.push(Change::Missing(file));
        } else if (lost..pieces.end).any(|piece| proven.get(PieceIndex(piece))) {
            plan.changes.push(Change::Short(file));
        } else if word == Word::Unproven && known.files.contains_key(&file.0) && was_there() {
            plan.changes.push(Change::Touched(file));
        }
        for piece in pieces.clone().map(PieceIndex) {
            if is_missing || piece.0 >= lost {
                possible.clear(piece);
            }
            match word {
                Word::AsLeft => {}
                Word::UnderWay => {
                    under_way.set(piece);
                }
                Word::Unproven => {
                    under_way.set(piece);
                    vouched.clear(piece);
                }
            }
        }
    }
    for piece in layout.pieces() {
        let set = match (
            proven.get(piece),
            possible.get(piece),
            vouched.get(piece),
            under_way.get(piece),
        ) {
            (true, true, true, _) => &mut plan.trust,
            (true, true, false, _) => &mut plan.hash,
            (true, false, ..) => &mut plan.forget,
            (false, true, _, under_way) if under_way || !known.looked => &mut plan.hash,
            (false, ..) => continue,
        };
        set.set(piece);
    }
    plan
}

fn word(known: &Known, file: FileIndex, now: FileNow) -> Word {
    match (known.files.get(&file.0), now) {
        (Some(FileThen::Opened), _) => Word::UnderWay,
        (Some(FileThen::Closed(then)), FileNow::There(now)) if *then == now => Word::AsLeft,
        // Said by `possible`.
        (_, FileNow::Missing) => Word::AsLeft,
        (Some(FileThen::Closed(_)), FileNow::There(_)) => Word::Unproven,
        // Pieces that were proven while nobody had taken a note of the file: their bytes were synced all the same.
        (None, FileNow::There(_)) => Word::UnderWay,
    }
}

/// The first piece of `file` whose bytes cannot all be there if the file has only `size` bytes.
fn first_lost(layout: &Layout, file: FileIndex, size: u64) -> u32 {
    let pieces = layout.pieces_of_file(file);
    if size >= layout.file_length(file) {
        return pieces.end;
    }
    let end = layout.file_offset(file) + size;
    layout
        .piece_at(end)
        .map_or(pieces.end, |piece| piece.0.clamp(pieces.start, pieces.end))
}

/// Whether the directory is on another device than the one used before, and the content is not there: then a disk is
/// not mounted, most likely, and downloading would fill the one below. `device` is that of the directory, or of the
/// nearest one above it that is there.
#[must_use]
pub fn is_elsewhere(origin: &Origin, device: u64, plan: &Plan) -> bool {
    let is_gone = |change: &Change| matches!(change, Change::Missing(_));
    origin.device != device && plan.changes.iter().any(is_gone)
}

#[cfg(test)]
mod tests {
    use super::{Change, FileNow, Plan, decide, is_elsewhere};
    use crate::state::knowledge::{FileThen, Known, Origin, Stamp};
    use bt_metainfo::{FileIndex, Layout};
    use std::collections::BTreeMap;

    const LENGTHS: [u64; 3] = [25, 20, 15];

    /// Six pieces of ten bytes: 0-2 in file 0, 2-4 in file 1, 4-5 in file 2.
    fn layout() -> Layout {
        Layout::new(10, LENGTHS.map(|length| (length, false))).unwrap()
    }

    fn stamp(size: u64, seconds: i64) -> Stamp {
        Stamp {
            size,
            seconds,
            nanos: 0,
        }
    }

    fn closed(file: u32) -> (u32, FileThen) {
        (
            file,
            FileThen::Closed(stamp(LENGTHS[file as usize], i64::from(file))),
        )
    }

    fn known(pieces: &[u32], files: impl IntoIterator<Item = (u32, FileThen)>) -> Known {
        Known {
            origin: Origin {
                info_hash: [1; 20],
                device: 1,
                inode: 1,
                directory: Vec::new(),
            },
            pieces: pieces.iter().copied().collect(),
            looked: true,
            files: files.into_iter().collect::<BTreeMap<_, _>>(),
        }
    }

    /// Every file as [`closed`] says it was left, but for `other`.
    fn check(
        known: &Known,
        other: Option<(u32, FileNow)>,
        expected: [&[u32]; 3],
        changes: &[Change],
    ) -> Plan {
        let plan = decide(&layout(), known, |file: FileIndex| match other {
            Some((index, now)) if index == file.0 => now,
            _ => FileNow::There(stamp(LENGTHS[file.0 as usize], i64::from(file.0))),
        });
        let list = |set: &bt_wire::Bitfield| set.iter_ones().map(|p| p.0).collect::<Vec<_>>();
        let found = [list(&plan.trust), list(&plan.hash), list(&plan.forget)];
        assert_eq!(found, expected.map(<[u32]>::to_vec));
        assert_eq!(plan.changes, changes);
        plan
    }

    #[test]
    fn after_a_clean_stop_everything_is_as_it_was_left() {
        let all = [0, 1, 2, 3, 4, 5];
        check(
            &known(&all, [0, 1, 2].map(closed)),
            None,
            [&all, &[], &[]],
            &[],
        );
        check(
            &known(&[1], [0, 1, 2].map(closed)),
            None,
            [&[1], &[], &[]],
            &[],
        );
    }

    #[test]
    fn after_a_crash_only_what_was_under_way_is_hashed() {
        let files = [closed(0), (1, FileThen::Opened), closed(2)];
        let touched = Some((1, FileNow::There(stamp(20, 999))));
        check(
            &known(&[0, 1, 3, 5], files),
            touched,
            [&[0, 1, 3, 5], &[2, 4], &[]],
            &[],
        );
    }

    #[test]
    fn a_file_that_changed_is_hashed_and_its_neighbors_are_not() {
        let files = [0, 1, 2].map(closed);
        let all = [0, 1, 2, 3, 4, 5];
        let now = Some((1, FileNow::There(stamp(20, 999))));
        check(
            &known(&all, files),
            now,
            [&[0, 1, 5], &[2, 3, 4], &[]],
            &[Change::Touched(FileIndex(1))],
        );
        let longer = Some((1, FileNow::There(stamp(21, 1))));
        check(
            &known(&all, files),
            longer,
            [&[0, 1, 5], &[2, 3, 4], &[]],
            &[Change::Touched(FileIndex(1))],
        );
    }

    #[test]
    fn pieces_of_a_missing_or_short_file_are_forgotten() {
        let all = [0, 1, 2, 3, 4, 5];
        let gone = known(&all, [0, 1, 2].map(closed));
        check(
            &gone,
            Some((1, FileNow::Missing)),
            [&[0, 1, 5], &[], &[2, 3, 4]],
            &[Change::Missing(FileIndex(1))],
        );
        // 5 of 20 bytes are left: they are in piece 2, and the rest of it is in file 0.
        let short = Some((1, FileNow::There(stamp(5, 9))));
        check(
            &gone,
            short,
            [&[0, 1, 5], &[2], &[3, 4]],
            &[Change::Short(FileIndex(1))],
        );
        let open = known(&all, [closed(0), (1, FileThen::Opened), closed(2)]);
        check(
            &open,
            short,
            [&[0, 1, 2, 5], &[], &[3, 4]],
            &[Change::Short(FileIndex(1))],
        );
        let none_proven = known(&[], [0, 1, 2].map(closed));
        check(
            &none_proven,
            Some((1, FileNow::Missing)),
            [&[], &[], &[]],
            &[],
        );
    }

    #[test]
    fn content_that_nobody_looked_at_is_hashed() {
        let mut fresh = known(&[], []);
        fresh.looked = false;
        let plan = check(&fresh, None, [&[], &[0, 1, 2, 3, 4, 5], &[]], &[]);
        assert!(!plan.was_cut_short);
        let gone = Some((0, FileNow::Missing));
        check(&fresh, gone, [&[], &[3, 4, 5], &[]], &[]);
        // The look was cut short: what it had proven stays proven.
        fresh.pieces = [3].into_iter().collect();
        check(&fresh, None, [&[3], &[0, 1, 2, 4, 5], &[]], &[]);
    }

    #[test]
    fn a_disk_that_is_not_mounted_is_not_refilled() {
        let all = known(&[0, 1, 2, 3, 4, 5], [0, 1, 2].map(closed));
        let there = check(&all, None, [&[0, 1, 2, 3, 4, 5], &[], &[]], &[]);
        assert!(
            !is_elsewhere(&all.origin, 2, &there),
            "numbers of devices change, the content is there"
        );
        let plan = decide(&layout(), &all, |_| FileNow::Missing);
        assert!(is_elsewhere(&all.origin, 2, &plan));
        assert!(
            !is_elsewhere(&all.origin, 1, &plan),
            "deleted by its owner, as it seems"
        );
    }
}
