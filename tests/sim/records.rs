//! What a session writes down of a node's content: the client's own journal, group commit and start-up decision on a
//! simulated directory.
//!
//! The order is that of `bt-client/src/session/durable.rs`, and the types of the client ask for it: what was written is
//! pending, what is pending becomes a batch, a batch is recorded once its data is synced. How files were left is not
//! recorded, so that a start takes all of them for written to. It must not know peers, nor when a commit is due.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bt_client::state::knowledge::{
    Batch, FileNow, IndexSet, Known, Origin, Pending, Record, Stamp, decide, spans,
};
use bt_client::state::{Journal, Notice};
use bt_metainfo::{FileIndex, Layout, PieceIndex};
use bt_wire::Bitfield;

use super::dice::Dice;
use super::platter::{Failing, Platter};

/// What stands for the torrent in the journal.
const INFO_HASH: [u8; 20] = [7; 20];

/// The journal is written anew when it has grown by so many bytes: a few commits, so that short runs see it as well.
const CHECKPOINT_AFTER: u64 = 400;

/// What writing to the journal takes at most.
const SLOWEST_RECORD: Duration = Duration::from_millis(30);

/// See the module.
#[derive(Debug)]
pub(crate) struct Records {
    platter: Platter,
    journal: Journal<Platter>,
    pending: Pending,
    /// Its data is being synced.
    batch: Option<Batch>,
    /// What is pending or in the batch.
    unsettled: IndexSet,
    /// Records of these are under way.
    departed: IndexSet,
    /// These were recorded, and the record was synced: they may not be forgotten.
    promised: IndexSet,
    /// The last commit, or the last loss, could not be written.
    has_failed: bool,
    /// What fails whenever something is to be recorded.
    pub(crate) failing: Failing,
    /// All was forgotten, and is being looked at.
    is_looking: bool,
    /// Chance of its own, so that what goes on around a node does not depend on its journal.
    dice: Dice,
    /// Group commit wants a time; when a commit is due is decided elsewhere.
    then: Instant,
}

fn open(platter: &Platter) -> Result<Journal<Platter>, String> {
    let opened = Journal::open(platter.clone(), CHECKPOINT_AFTER);
    let (journal, notices) =
        opened.map_err(|error| format!("the journal cannot be read: {error}"))?;
    match notices
        .iter()
        .find(|notice| !matches!(notice, Notice::Torn { .. }))
    {
        Some(notice) => Err(notice.to_string()),
        None => Ok(journal),
    }
}

impl Records {
    pub(crate) fn new(seed: u64) -> Self {
        let platter = Platter::default();
        let journal = open(&platter).expect("an empty directory takes a journal");
        Self {
            platter,
            journal,
            pending: Pending::default(),
            batch: None,
            unsettled: IndexSet::default(),
            departed: IndexSet::default(),
            promised: IndexSet::default(),
            has_failed: false,
            failing: Failing::Nothing,
            is_looking: false,
            dice: Dice::new(seed),
            then: Instant::now(),
        }
    }

    fn known(&self) -> Option<(u32, &Known)> {
        self.journal.known().find(INFO_HASH)
    }

    /// What the journal says is on the disk to stay, synced or not.
    pub(crate) fn claims(&self) -> impl Iterator<Item = PieceIndex> {
        let known = self.known();
        known
            .into_iter()
            .flat_map(|(_, known)| known.pieces.iter().map(PieceIndex))
    }

    fn is_recorded(&self, piece: PieceIndex) -> bool {
        let known = self.known();
        known.is_some_and(|(_, known)| known.pieces.contains(piece.0))
    }

    /// All of these pieces are recorded, unless the journal cannot be kept, or nobody knows what is there.
    pub(crate) fn are_recorded(&self, pieces: &Bitfield) -> bool {
        self.has_failed
            || self.is_looking
            || pieces.iter_ones().all(|piece| self.is_recorded(piece))
    }

    /// A piece was hashed and is written.
    pub(crate) fn note(&mut self, piece: PieceIndex) {
        if !self.is_recorded(piece) && !self.unsettled.contains(piece.0) {
            let Some((number, _)) = self.known() else {
                return;
            };
            self.unsettled.insert(piece.0);
            self.pending.note(self.then, number, piece.0, 1);
        }
    }

    /// Something waits for a commit.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.wait(self.then).is_some()
    }

    /// A commit begins: with the sync of the data.
    pub(crate) fn begin(&mut self) {
        self.batch = Some(self.pending.take());
    }

    /// The data is synced, or nobody knows. What is synced is recorded; gives the time that takes.
    pub(crate) fn record(&mut self, synced: Result<(), ()>, failing: Failing) -> Duration {
        let Some(batch) = self.batch.take() else {
            return Duration::ZERO;
        };
        let (synced, failed) = batch.sync(|_, _| synced);
        for (number, pieces, ()) in failed {
            pieces.iter().for_each(|piece| self.unsettled.remove(piece));
            self.suspect(number);
        }
        let records = synced.records();
        let pieces = synced.iter().flat_map(|(_, pieces)| pieces.iter());
        self.departed = pieces.collect();
        if records.is_empty() {
            return Duration::ZERO;
        }
        let failing = match self.failing {
            Failing::Nothing => failing,
            other => other,
        };
        self.platter.depart(failing);
        if self.journal.write(&records).is_err() {
            self.has_failed = true;
            // What was done with it is safe, and a restart looks at it.
            self.settle();
            self.departed = IndexSet::default();
        } else {
            // Each commit writes all that is known if the one before could not.
            self.has_failed = false;
        }
        self.dice.moment(Duration::from_millis(1), SLOWEST_RECORD)
    }

    /// What was noted and is not recorded is in doubt: nobody records it before somebody has looked.
    fn suspect(&mut self, number: u32) {
        let dropped = self.pending.drop_torrent(number);
        dropped
            .iter()
            .for_each(|piece| self.unsettled.remove(piece));
    }

    fn settle(&mut self) {
        self.departed
            .iter()
            .for_each(|piece| self.unsettled.remove(piece));
    }

    /// The records are on the disk to stay.
    pub(crate) fn recorded(&mut self) {
        self.platter.arrive();
        self.settle();
        for piece in std::mem::take(&mut self.departed).iter() {
            self.promised.insert(piece);
        }
    }

    /// A record that has to stand before anything else is done: when this returns, it is synced.
    fn write(&mut self, records: &[Record]) {
        self.platter.arrive();
        let written = self.journal.write(records);
        written.expect("a journal fails only while a commit writes to it");
        self.has_failed = false;
    }

    /// The same of a record that takes something back. If it cannot be written, the journal goes, and a start believes
    /// nothing. False if that cannot be done either: the journal says too much, and the torrent has to stop.
    fn take_back(&mut self, torrent: u32, records: &[Record]) -> bool {
        self.platter.arrive();
        self.platter.depart(self.failing);
        self.has_failed = self.journal.write(records).is_err();
        if self.has_failed && self.journal.disclaim().is_ok() {
            self.promised = IndexSet::default();
        }
        self.platter.arrive();
        !self.journal.overclaims(torrent)
    }

    /// Whether a start now might believe more than is true, as what was lost could not be taken back.
    pub(crate) fn say_too_much(&self) -> bool {
        let known = self.known();
        known.is_some_and(|(torrent, _)| self.journal.overclaims(torrent))
    }

    /// These pieces are not on the disk any more. False if a start would believe that they are.
    pub(crate) fn lose(&mut self, pieces: &[PieceIndex]) -> bool {
        let Some((torrent, _)) = self.known() else {
            return true;
        };
        let lost: IndexSet = pieces.iter().map(|piece| piece.0).collect();
        self.pending.drop_pieces(torrent, &lost);
        lost.iter().for_each(|piece| self.unsettled.remove(piece));
        let recorded = lost
            .iter()
            .filter(|piece| self.is_recorded(PieceIndex(*piece)));
        let recorded: IndexSet = recorded.collect();
        recorded
            .iter()
            .for_each(|piece| self.promised.remove(piece));
        if recorded.is_empty() {
            return true;
        }
        let forgotten = spans(&recorded).into_iter();
        let forgotten = forgotten.map(|pieces| Record::Forgotten { torrent, pieces });
        self.take_back(torrent, &forgotten.collect::<Vec<_>>())
    }

    /// Everything is to be looked at anew. False as above.
    pub(crate) fn forget_all(&mut self) -> bool {
        self.is_looking = true;
        self.unsettled = IndexSet::default();
        let all: Vec<PieceIndex> = self.claims().collect();
        if let Some((torrent, _)) = self.known() {
            self.pending.drop_torrent(torrent);
        }
        self.lose(&all)
    }

    /// The torrent is not ours any more.
    pub(crate) fn remove(&mut self) {
        self.stop();
        self.promised = IndexSet::default();
        if let Some((torrent, _)) = self.known() {
            self.write(&[Record::Removed { torrent }]);
        }
    }

    fn stop(&mut self) {
        self.is_looking = false;
        self.pending = Pending::default();
        self.batch = None;
        self.unsettled = IndexSet::default();
        self.departed = IndexSet::default();
    }

    /// The program is gone, and the next one reads what it has left.
    pub(crate) fn crash(&mut self, power_cut: bool) -> Result<(), String> {
        self.stop();
        let lot = &mut |below| self.dice.below(below);
        self.platter.crash(lot, power_cut);
        self.journal = open(&self.platter)?;
        self.has_failed = false;
        let is_gone = |piece: &u32| !self.is_recorded(PieceIndex(*piece));
        if let Some(piece) = self.promised.iter().find(is_gone) {
            return Err(format!(
                "piece {piece} was recorded, and no record of it is left"
            ));
        }
        // What is read of a journal that is open is on the disk to stay.
        self.promised = self.claims().map(|piece| piece.0).collect();
        Ok(())
    }

    /// A torrent begins, with these pieces on its disk. Gives those that it believes or finds.
    pub(crate) fn start(
        &mut self,
        layout: &Layout,
        written: &Bitfield,
    ) -> Result<Bitfield, String> {
        let look = |file| {
            FileNow::There(Stamp {
                size: layout.file_length(file),
                seconds: 0,
                nanos: 0,
            })
        };
        let (trust, hash) = match self.known() {
            Some((_, known)) => {
                let plan = decide(layout, known, look, &BTreeSet::new());
                (plan.trust, plan.hash)
            }
            None => (
                Bitfield::new(layout.piece_count()),
                Bitfield::full(layout.piece_count()),
            ),
        };
        if let Some(piece) = trust.iter_and_not(written).next() {
            return Err(format!(
                "piece {piece} is believed, and the disk does not have it"
            ));
        }
        let mut have = trust;
        for piece in hash.iter_ones().filter(|piece| written.get(*piece)) {
            have.set(piece);
        }
        if let Some(piece) = written.iter_and_not(&have).next() {
            return Err(format!(
                "piece {piece} is on the disk, and nobody looks for it"
            ));
        }
        if self.known().is_none() {
            let torrent = self.journal.known().next_number();
            let origin = Origin {
                info_hash: INFO_HASH,
                device: 1,
                inode: 1,
                directory: b"/content".to_vec(),
            };
            self.write(&[Record::Added { torrent, origin }]);
        }
        self.looked(layout, &have);
        Ok(have)
    }

    /// All of the content was looked at, and this is there.
    pub(crate) fn looked(&mut self, layout: &Layout, have: &Bitfield) {
        self.is_looking = false;
        let Some((torrent, _)) = self.known() else {
            return;
        };
        have.iter_ones().for_each(|piece| self.note(piece));
        let lacks = |file: &FileIndex| {
            let mut pieces = layout.pieces_of_file(*file).map(PieceIndex);
            !layout.is_pad(*file) && pieces.any(|piece| !have.get(piece))
        };
        let open: IndexSet = layout.files().filter(lacks).map(|file| file.0).collect();
        let opened = spans(&open).into_iter();
        let mut records: Vec<Record> = opened
            .map(|files| Record::Opened { torrent, files })
            .collect();
        records.push(Record::Looked { torrent });
        self.write(&records);
    }
}

#[cfg(test)]
mod tests {
    use super::Records;
    use crate::dice::Dice;
    use crate::disk::Disk;
    use crate::platter::Failing;
    use bt_metainfo::{Layout, PieceIndex};
    use bt_wire::Bitfield;
    use std::collections::BTreeSet;

    const PIECE: u32 = 16 * 1024;

    fn layout() -> Layout {
        Layout::new(PIECE, [(4 * u64::from(PIECE), false)]).unwrap()
    }

    fn begun(seed: u64) -> Records {
        let mut records = Records::new(seed);
        let nothing = Bitfield::new(4);
        assert!(records.start(&layout(), &nothing).unwrap().is_empty());
        records
    }

    fn commit(records: &mut Records, piece: u32, failing: Failing) {
        records.note(PieceIndex(piece));
        assert!(records.is_pending());
        records.begin();
        records.record(Ok(()), failing);
    }

    fn claims(records: &Records) -> Vec<u32> {
        records.claims().map(|piece| piece.0).collect()
    }

    /// What is left after two commits, the second of which is under way when the program goes.
    fn left(power_cut: bool) -> BTreeSet<Vec<u32>> {
        let of = |seed| {
            let mut records = begun(seed);
            commit(&mut records, 0, Failing::Nothing);
            records.recorded();
            commit(&mut records, 1, Failing::Nothing);
            records.crash(power_cut).unwrap();
            claims(&records)
        };
        (0..200).map(of).collect()
    }

    #[test]
    fn a_commit_in_the_middle_of_which_the_program_goes_is_recorded_or_not() {
        let both = [vec![0], vec![0, 1]].into_iter().collect();
        assert_eq!(left(true), both);
        assert_eq!(left(false), both);
    }

    #[test]
    fn what_could_not_be_recorded_is_recorded_with_what_comes_next() {
        for (seed, failing) in (0..200).zip([Failing::Writes, Failing::Syncs].into_iter().cycle()) {
            let mut records = begun(seed);
            commit(&mut records, 0, Failing::Nothing);
            records.recorded();
            commit(&mut records, 1, failing);
            records.recorded();
            if seed % 4 < 2 {
                commit(&mut records, 2, Failing::Nothing);
                records.recorded();
            }
            records.crash(true).unwrap();
            let expected = if seed % 4 < 2 { vec![0, 1, 2] } else { vec![0] };
            assert_eq!(claims(&records), expected, "seed {seed}");
        }
    }

    #[test]
    fn a_record_before_its_data_is_noticed_at_once_and_by_whoever_starts_after_a_cut() {
        let noticed = |seed| {
            let mut disk = Disk::new(Bitfield::new(4), seed);
            disk.records.start(&layout(), &Bitfield::new(4)).unwrap();
            disk.written.set(PieceIndex(1));
            commit(&mut disk.records, 1, Failing::Nothing);
            assert!(disk.check_records().is_err());
            disk.records.recorded();
            disk.crash(&mut Dice::new(seed), true);
            disk.records.crash(true).unwrap();
            disk.records.start(&layout(), &disk.written).is_err()
        };
        let seeds = (0..100).filter(|seed| noticed(*seed)).count();
        assert!((20..80).contains(&seeds), "noticed by {seeds} of 100");
    }
}
