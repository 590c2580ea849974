//! What is left to do for one torrent until its pieces are durable: which of them are proven, which are on their way,
//! and which are in doubt.
//!
//! It decides and must not sync, write or wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use bt_metainfo::{FileIndex, PieceIndex};
use bt_wire::Bitfield;

use super::member::Member;
use crate::state::knowledge::{IndexSet, Record};

/// See the module.
pub(super) struct Account {
    pub(super) member: Arc<Member>,
    /// Of each file, pieces that are not durable.
    missing: Vec<u32>,
    /// Pieces that are durable.
    pub(super) proven: IndexSet,
    /// Files that the journal takes for written to.
    pub(super) open: IndexSet,
    /// Pieces that verified and are not durable.
    pub(super) unsettled: IndexSet,
    doubt: Doubt,
    /// Its settings could not be kept, and no record is to be read without them: none is written any more.
    pub(super) muted: bool,
}

/// Whether what is unsettled is on its way to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    None,
    /// A sync has failed, or files were taken away: nobody knows.
    Failed,
    /// Somebody, known by a number, reads it back from the disk.
    Rechecking(u64),
}

/// Where what was noted of a torrent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// All of it would survive a power cut.
    Settled,
    /// A commit to come settles the rest.
    Waiting,
    /// Some of it may be lost, which is known when it was read back.
    InDoubt,
    /// The torrent has left.
    Gone,
}

/// What [`Account::take_doubtful`] has found.
#[derive(Debug)]
pub(super) enum Doubtful {
    /// Nothing is in doubt.
    Nothing,
    /// Somebody is looking already.
    UnderWay,
    /// These are to be read from the disk; the number is to be given to [`Account::judge`].
    Pieces(u64, Vec<PieceIndex>),
}

/// What [`Account::judge`] makes of the verdicts.
#[derive(Debug)]
pub(super) enum Judged {
    /// The good ones are committed next, and nothing is in doubt.
    Settled,
    /// These have come meanwhile, and are to be read as well.
    More(Vec<PieceIndex>),
    /// It has failed again, or somebody begins anew: the verdicts mean nothing.
    Overtaken,
}

impl Account {
    /// Of a torrent that begins with these pieces proven.
    pub(super) fn new(member: &Arc<Member>, proven: &Bitfield, open: IndexSet) -> Self {
        let missing = |file| {
            let pieces = member.layout.pieces_of_file(file);
            let missing = pieces.filter(|piece| !proven.get(PieceIndex(*piece)));
            u32::try_from(missing.count()).unwrap_or(u32::MAX)
        };
        Self {
            missing: member.layout.files().map(missing).collect(),
            member: Arc::clone(member),
            proven: proven.iter_ones().map(|piece| piece.0).collect(),
            open,
            unsettled: IndexSet::default(),
            doubt: Doubt::None,
            muted: false,
        }
    }

    /// A piece verified and is written. True if the next commit is to hear of it: what is in doubt is not taken up
    /// before it was read again.
    pub(super) fn note(&mut self, piece: u32) -> bool {
        if self.proven.contains(piece) || self.unsettled.contains(piece) {
            return false;
        }
        self.unsettled.insert(piece);
        self.doubt == Doubt::None
    }

    pub(super) fn standing(&self) -> Standing {
        match self.doubt {
            Doubt::None if self.unsettled.is_empty() => Standing::Settled,
            Doubt::None => Standing::Waiting,
            Doubt::Failed | Doubt::Rechecking(_) => Standing::InDoubt,
        }
    }

    /// Files that lack pieces may be written from now on; gives those of which that was not known.
    pub(super) fn open_files(&mut self) -> IndexSet {
        let lacking = (0u32..)
            .zip(&self.missing)
            .filter(|(_, missing)| **missing > 0);
        let fresh: IndexSet = lacking
            .map(|(file, _)| file)
            .filter(|file| !self.open.contains(*file))
            .collect();
        fresh.iter().for_each(|file| self.open.insert(file));
        fresh
    }

    /// Files of which `pieces` are the last that were missing.
    pub(super) fn whole_files(&self, pieces: &IndexSet) -> Vec<FileIndex> {
        let mut left: BTreeMap<FileIndex, u32> = BTreeMap::new();
        for file in self.files_of(pieces) {
            let missing = self.missing.get(file.0 as usize).copied().unwrap_or(0);
            let left = left.entry(file).or_insert(missing);
            *left = left.saturating_sub(1);
        }
        let is_whole = |(file, left): (FileIndex, u32)| (left == 0).then_some(file);
        left.into_iter().filter_map(is_whole).collect()
    }

    /// These pieces are durable, and these records were written; `torrent` is the number of this one in them.
    pub(super) fn settle(&mut self, torrent: u32, pieces: &IndexSet, records: &[Record]) {
        for file in self.files_of(pieces) {
            if let Some(missing) = self.missing.get_mut(file.0 as usize) {
                *missing = missing.saturating_sub(1);
            }
        }
        for record in records {
            if let Record::Closed {
                torrent: of, file, ..
            } = record
                && *of == torrent
            {
                self.open.remove(*file);
            }
        }
        for piece in pieces.iter() {
            self.unsettled.remove(piece);
            self.proven.insert(piece);
        }
        if self.unsettled.is_empty() {
            self.member.changed.notify_waiters();
        }
    }

    /// These pieces are not proven any more. Gives those that were.
    pub(super) fn forget(&mut self, pieces: &IndexSet) -> IndexSet {
        let proven = pieces.iter().filter(|piece| self.proven.contains(*piece));
        let lost: IndexSet = proven.collect();
        for file in self.files_of(&lost) {
            if let Some(missing) = self.missing.get_mut(file.0 as usize) {
                *missing += 1;
            }
        }
        lost.iter().for_each(|piece| self.proven.remove(piece));
        lost
    }

    /// These pieces are not here any more, whether they were proven or were to be.
    pub(super) fn drop_pieces(&mut self, pieces: &IndexSet) {
        self.forget(pieces);
        pieces.iter().for_each(|piece| self.unsettled.remove(piece));
        if self.unsettled.is_empty() {
            self.member.changed.notify_waiters();
        }
    }

    /// A sync has failed: what is not settled is in doubt.
    pub(super) fn suspect(&mut self) {
        self.doubt = Doubt::Failed;
    }

    /// These files are not the ones that were written to: what was proven of them is in doubt as well. Gives the pieces.
    pub(super) fn disown(&mut self, files: &[FileIndex]) -> IndexSet {
        let layout = &self.member.layout;
        let pieces = files.iter().flat_map(|file| layout.pieces_of_file(*file));
        let pieces: IndexSet = pieces.collect();
        let lost = self.forget(&pieces);
        lost.iter().for_each(|piece| self.unsettled.insert(piece));
        self.suspect();
        lost
    }

    /// Hands out what is in doubt; it is not settled before [`Account::judge`] says so to whoever has the number
    /// `recheck`.
    pub(super) fn take_doubtful(&mut self, recheck: u64) -> Doubtful {
        match self.doubt {
            Doubt::None => Doubtful::Nothing,
            Doubt::Rechecking(_) => Doubtful::UnderWay,
            Doubt::Failed => {
                self.doubt = Doubt::Rechecking(recheck);
                Doubtful::Pieces(recheck, self.unsettled.iter().map(PieceIndex).collect())
            }
        }
    }

    /// The verdicts on all that was in doubt so far.
    pub(super) fn judge(&mut self, recheck: u64, good: &IndexSet, lost: &IndexSet) -> Judged {
        if self.doubt != Doubt::Rechecking(recheck) {
            return Judged::Overtaken;
        }
        lost.iter().for_each(|piece| self.unsettled.remove(piece));
        let is_new = |piece: &u32| !good.contains(*piece);
        let more = self.unsettled.iter().filter(is_new).map(PieceIndex);
        let more: Vec<PieceIndex> = more.collect();
        if !more.is_empty() {
            return Judged::More(more);
        }
        self.doubt = Doubt::None;
        Judged::Settled
    }

    /// What was in doubt could not be read either.
    pub(super) fn give_up(&mut self, recheck: u64) {
        if self.doubt == Doubt::Rechecking(recheck) {
            self.doubt = Doubt::Failed;
        }
    }

    /// Everything is looked at anew; gives whether some of it was in doubt.
    pub(super) fn begin_anew(&mut self) -> bool {
        self.unsettled = IndexSet::default();
        std::mem::replace(&mut self.doubt, Doubt::None) != Doubt::None
    }

    /// Each file that a piece of the set touches, once for each piece.
    fn files_of(&self, pieces: &IndexSet) -> Vec<FileIndex> {
        let layout = &self.member.layout;
        let of = |piece| {
            layout
                .piece_extents(PieceIndex(piece))
                .filter(|extent| !layout.is_pad(extent.file))
                .map(|extent| extent.file)
        };
        pieces.iter().flat_map(of).collect()
    }
}
