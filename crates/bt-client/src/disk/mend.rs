//! Pieces that have gone bad in a file that several contents have: whoever gets a good copy first puts it there, and takes
//! nothing from the others.
//!
//! It must not know how a piece was found bad, nor where a good one comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSlice;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, MutexGuard, PoisonError};

use bt_metainfo::{FileIndex, PieceIndex};

use super::claims::Use;
use super::holding::inode;
use super::places::Places;
use super::transfer::read_up_to;
use super::{Content, DiskError};

impl Content {
    /// These pieces are not what they were: their bytes are nobody's until they are here again, as far as this content
    /// is asked.
    pub fn lose(&self, pieces: &[PieceIndex]) {
        for extent in pieces
            .iter()
            .flat_map(|piece| self.layout().piece_extents(*piece))
        {
            // That somebody else has changed the file is known now, and no reason not to write to it.
            self.written.forget_look(extent.file);
        }
        for piece in pieces {
            self.assembly().keep_off_the_disk(*piece);
        }
        self.lost().extend(pieces);
    }

    pub(super) fn is_lost(&self, piece: PieceIndex) -> bool {
        self.lost().contains(&piece)
    }

    /// The piece is here again.
    pub(super) fn regain(&self, piece: PieceIndex) {
        self.lost().remove(&piece);
    }

    /// Other contents that have these pieces in the same files, and which of their pieces hold any of these bytes.
    #[must_use]
    pub fn sharers(&self, pieces: &[PieceIndex]) -> Vec<(Arc<Self>, Vec<PieceIndex>)> {
        let mut found: BTreeMap<u64, (Arc<Self>, BTreeSet<PieceIndex>)> = BTreeMap::new();
        let extents = pieces
            .iter()
            .flat_map(|piece| self.layout().piece_extents(*piece));
        for extent in extents.filter(|extent| !self.layout().is_pad(extent.file)) {
            let others = {
                let claims = self.files().claims();
                let inode = claims.inode(self.holder(extent.file));
                inode.map_or_else(Vec::new, |inode| claims.others(inode, self.id()))
            };
            for other in others {
                let is_it = |content: &Self| content.id() == other.content;
                let known = found
                    .get(&other.content)
                    .map(|(content, _)| Arc::clone(content));
                let Some(content) = known.or_else(|| self.shared().find(is_it)) else {
                    continue;
                };
                let bytes = extent.offset..extent.offset + extent.length;
                let theirs: Vec<PieceIndex> = content.pieces_in(other.file, &bytes).collect();
                let entry = found.entry(other.content);
                entry
                    .or_insert_with(|| (content, BTreeSet::new()))
                    .1
                    .extend(theirs);
            }
        }
        let found = found.into_values();
        found
            .map(|(content, pieces)| (content, pieces.into_iter().collect()))
            .collect()
    }

    /// Puts `length` bytes of `data` at `offset` of a file in which others count pieces, where they are not there
    /// already, and advances `data`. Not a byte changes that one of the others counts: their owners have to have given it
    /// up before. `refused` is why the file cannot be written to like others.
    pub(super) fn mend(
        &self,
        places: &Places,
        file: FileIndex,
        (data, length): (&mut &mut [IoSlice<'_>], usize),
        offset: u64,
        refused: DiskError,
    ) -> Result<(), DiskError> {
        let bytes = take(data, length);
        let _alone = self.files().mending();
        let root = self.patiently(|| self.root(false))?;
        let path = self.patiently(|| places.path(&root, file))?;
        let open = self.patiently(|| root.open_write(&path))?;
        let meta = open.metadata();
        let meta = meta.map_err(|error| self.error("look at", &path, error))?;
        // As long as this content has it like the others, nobody has it for writing.
        self.claim(file, &path, &meta, Use::Reading)?;
        let mut there = vec![0; bytes.len()];
        let read = read_up_to(&open, &mut there, offset);
        let read = read.map_err(|error| self.failed(places, "read", file, error))?;
        let changes = differences(&there[..read], &bytes, offset);
        let (Some(first), Some(last)) = (changes.first(), changes.last()) else {
            // Somebody else has put it there, and may not have synced it.
            self.written.mark(file);
            return Ok(());
        };
        let inode = inode(&meta);
        let others = self.files().claims().others(inode, self.id());
        for other in &others {
            let content = self.shared().find(|content| content.id() == other.content);
            let counts = content.is_some_and(|content| {
                content.still_has(other.file, inode) && content.counts_any(other.file, &changes)
            });
            if counts {
                return Err(refused);
            }
        }
        self.begins_to_write(places, file, &path, &meta)?;
        let changed = first.start - offset..last.end - offset;
        let changed = usize::try_from(changed.start)
            .ok()
            .zip(usize::try_from(changed.end).ok());
        let new = changed
            .and_then(|(start, end)| bytes.get(start..end))
            .unwrap_or(&bytes);
        open.write_all_at(new, first.start)
            .map_err(|error| self.failed(places, "write", file, error))?;
        self.written.wrote(file, offset, length as u64);
        Ok(())
    }

    /// Whether some of these bytes of `file` are in a piece that this content has not given up.
    fn counts_any(&self, file: FileIndex, changes: &[Range<u64>]) -> bool {
        let lost = self.lost();
        let pieces = |change| self.pieces_in(file, change);
        let mut pieces = changes.iter().flat_map(pieces);
        pieces.any(|piece| !lost.contains(&piece))
    }

    /// The pieces that hold some of these bytes of a file.
    fn pieces_in(&self, file: FileIndex, bytes: &Range<u64>) -> impl Iterator<Item = PieceIndex> {
        let layout = self.layout();
        let (start, end) = (layout.file_offset(file), layout.file_length(file));
        let end = bytes.end.min(end);
        let pieces = match bytes.start < end {
            true => {
                let at = |offset: u64| layout.piece_at(start + offset).map(|piece| piece.0);
                at(bytes.start).zip(at(end - 1))
            }
            false => None,
        };
        let pieces = pieces.map(|(first, last)| first..=last);
        pieces.into_iter().flatten().map(PieceIndex)
    }

    fn lost(&self) -> MutexGuard<'_, BTreeSet<PieceIndex>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first `length` bytes of `data`, which is advanced past them.
fn take(data: &mut &mut [IoSlice<'_>], length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    for slice in data.iter() {
        let more = slice.len().min(length - bytes.len());
        bytes.extend_from_slice(&slice[..more]);
    }
    IoSlice::advance_slices(data, length);
    bytes
}

/// Where in the file `bytes` are not what is `there`, which may end before them; both begin at `offset`.
fn differences(there: &[u8], bytes: &[u8], offset: u64) -> Vec<Range<u64>> {
    let mut found: Vec<Range<u64>> = Vec::new();
    let is_same = |at: usize, byte: &u8| there.get(at) == Some(byte);
    let differ = bytes
        .iter()
        .enumerate()
        .filter(|(at, byte)| !is_same(*at, byte));
    for (at, _) in differ {
        let at = offset + at as u64;
        match found.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => found.push(at..at + 1),
        }
    }
    found
}
