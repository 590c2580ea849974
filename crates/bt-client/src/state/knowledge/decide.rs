//! What to believe when a torrent starts: the journal's knowledge against what the files look like now.
//!
//! Plain data in, plain data out. It must not know how files are looked at, hashed, or named.

use std::collections::BTreeSet;

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
    /// Pieces of `hash` that nobody but us can have written since the content was looked at: where the file system knows
    /// a hole in them, they were not.
    pub may_be_hole: Bitfield,
    /// Something of what was proven is where it was.
    pub is_anything_left: bool,
    /// An earlier run looked at all of the content, or may have written to a file. What it has written may be in memory and
    /// not on the disk.
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
/// is never written before its bytes are on the disk. Where a file's bytes of a piece lie `apart` from it, what the file
/// looks like says nothing of that piece, and no note is taken of how the parts were left: it is hashed.
#[must_use]
pub fn decide(
    layout: &Layout,
    known: &Known,
    now: impl Fn(FileIndex) -> FileNow,
    apart: &BTreeSet<(FileIndex, PieceIndex)>,
) -> Plan {
    let count = layout.piece_count();
    let mut plan = Plan {
        trust: Bitfield::new(count),
        hash: Bitfield::new(count),
        forget: Bitfield::new(count),
        changes: Vec::new(),
        may_be_hole: Bitfield::new(count),
        is_anything_left: false,
        was_cut_short: was_at_work(known),
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
    let mut ours = Bitfield::full(count);
    for file in layout.files().filter(|file| !layout.is_pad(*file)) {
        let pieces = layout.pieces_of_file(file);
        if pieces.is_empty() {
            continue;
        }
        let is_apart = |piece: u32| apart.contains(&(file, PieceIndex(piece)));
        let was_here = |piece: u32| proven.get(PieceIndex(piece)) && !is_apart(piece);
        let was_there = || pieces.clone().any(was_here);
        let size = match now(file) {
            FileNow::Missing => 0,
            FileNow::There(stamp) => stamp.size,
        };
        let lost = first_lost(layout, file, size);
        let is_missing = now(file) == FileNow::Missing;
        let word = word(known, file, now(file));
        let is_ours = known.looked && known.files.get(&file.0) == Some(&FileThen::Opened);
        plan.is_anything_left |= !is_missing && was_there();
        if is_missing && was_there() {
            plan.changes.push(Change::Missing(file));
        } else if (lost..pieces.end).any(was_here) {
            plan.changes.push(Change::Short(file));
        } else if word == Word::Unproven && known.files.contains_key(&file.0) && was_there() {
            plan.changes.push(Change::Touched(file));
        }
        for piece in pieces.clone().map(PieceIndex) {
            if is_apart(piece.0) {
                under_way.set(piece);
                vouched.clear(piece);
                continue;
            }
            if is_missing || piece.0 >= lost {
                possible.clear(piece);
            }
            if !is_ours {
                ours.clear(piece);
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
        if plan.hash.get(piece) && !proven.get(piece) && ours.get(piece) {
            plan.may_be_hole.set(piece);
        }
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

/// Whether the directory is on another device than the one used before, and nothing of the content is there: then a disk
/// is not mounted, most likely, and downloading would fill the one below. Devices get other numbers at a reboot too, so
/// that alone says nothing. `device` is that of the directory, or of the
/// nearest one above it that is there.
#[must_use]
pub fn is_elsewhere(origin: &Origin, device: u64, plan: &Plan) -> bool {
    let is_gone = |change: &Change| matches!(change, Change::Missing(_));
    let is_another = origin.device != device && !plan.is_anything_left;
    is_another && plan.changes.iter().any(is_gone)
}
fn was_at_work(known: &Known) -> bool {
    // The second alone is left of a journal that was damaged.
    known.looked || known.files.values().any(|then| *then == FileThen::Opened)
}
