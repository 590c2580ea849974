//! The disk of one node: blocks in memory, pieces written, pieces that would survive a power cut, and what goes wrong.
//!
//! What is written is synced and recorded later, as a session does it: some time after it was written, all at once, and
//! that takes time. Content is modelled by its truth: a tag per block says who made it up, 0 is right. It must not know peers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bt_client::engine::{Trouble, TroubleKind};
use bt_metainfo::{BlockRef, Layout, PieceIndex};
use bt_wire::Bitfield;

use super::dice::Dice;
use super::platter::Failing;
use super::records::Records;

/// 0 is right; everything else is some particular rubbish.
pub(crate) type Truth = u8;

/// Time to hash and write a piece when all is well.
const HASH_TIME: Duration = Duration::from_millis(3);

/// What a sync takes at most when all is well.
const SLOWEST_SYNC: Duration = Duration::from_millis(300);

/// What is written waits so long for a sync unless somebody is in a hurry.
pub(crate) const SYNC_EVERY: Duration = Duration::from_secs(1);

/// How the disk behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskMood {
    Fine,
    /// Every piece takes this long.
    Slow(Duration),
    /// No room for another piece.
    Full,
    /// Every write fails.
    Broken,
    /// Every read for a peer fails.
    Unreadable,
    /// Every sync fails, and the system drops what it was to cover, or not.
    Unsyncable,
    /// What is read back is wrong in every fourth block.
    Flipping,
}

/// What the disk says about a piece.
#[derive(Debug)]
pub(crate) enum Written {
    Good(Vec<[u8; 20]>),
    Bad(Vec<[u8; 20]>),
    Failed(Trouble),
}

/// What comes of reading a block that is here.
#[derive(Debug)]
pub(crate) enum Read {
    Bytes(Truth),
    Failed(Trouble),
}

/// What a sync has come to.
#[derive(Debug)]
pub(crate) enum Synced {
    /// There was none.
    Nothing,
    /// It is recorded now, which takes this long.
    Records(Duration),
    Failed(Trouble),
}

/// What a commit has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// There was none.
    Nothing,
    /// All that is written would survive a power cut.
    All,
    /// More was written meanwhile, or something is in doubt.
    Part,
}

/// Where the way of written pieces to the platters stands.
#[derive(Debug)]
enum Syncing {
    Idle,
    /// A sync will begin.
    Due,
    /// It covers these pieces.
    UnderWay(Bitfield),
    /// It is over, and is being recorded.
    Recording,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) mood: DiskMood,
    /// Pieces being put together in memory.
    assembling: BTreeMap<PieceIndex, BTreeMap<u32, Truth>>,
    /// Pieces handed over to be hashed and written, in that order.
    hashing: BTreeMap<PieceIndex, Vec<Truth>>,
    /// Those of `hashing` that the engine no longer waits for.
    given_up: BTreeSet<PieceIndex>,
    watched: BTreeSet<PieceIndex>,
    /// The bytes of these pieces are right.
    pub(crate) written: Bitfield,
    /// These survive a power cut.
    synced: Bitfield,
    syncing: Syncing,
    pub(crate) records: Records,
    /// A sync that was to cover these has failed: they are there or not, and somebody has to look.
    doubtful: BTreeSet<PieceIndex>,
    /// A sync has failed and nobody has looked since: nothing is recorded.
    in_doubt: bool,
    /// Was here and is not any more; whoever was promised a block of it gets rubbish.
    lost: BTreeSet<PieceIndex>,
    /// Blocks were thrown away, on the engine's order or because they could not be written.
    pub(crate) has_forgotten: bool,
    /// Free again from here on.
    free_at: Duration,
}

impl Disk {
    /// With `have` on it for long. From `seed` all chance of its journal comes.
    pub(crate) fn new(have: Bitfield, seed: u64) -> Self {
        Self {
            mood: DiskMood::Fine,
            assembling: BTreeMap::new(),
            hashing: BTreeMap::new(),
            given_up: BTreeSet::new(),
            watched: BTreeSet::new(),
            synced: have.clone(),
            syncing: Syncing::Idle,
            records: Records::new(seed),
            doubtful: BTreeSet::new(),
            in_doubt: false,
            written: have,
            lost: BTreeSet::new(),
            has_forgotten: false,
            free_at: Duration::ZERO,
        }
    }

    /// Keeps a block. Gives the time at which its piece will be hashed, if it is whole now.
    pub(crate) fn store(
        &mut self,
        now: Duration,
        layout: &Layout,
        block: BlockRef,
        truth: Truth,
    ) -> Result<Option<Duration>, String> {
        if !layout.is_block(block) {
            return Err(format!("{block} is stored and is no block of the layout"));
        }
        if layout.is_padding(block) {
            return Err(format!("{block} is stored and is nothing but padding"));
        }
        if self.written.get(block.piece) {
            return Err(format!("{block} is stored and its piece is written"));
        }
        if self.hashing.contains_key(&block.piece) && !self.given_up.contains(&block.piece) {
            return Err(format!("{block} is stored while its piece is hashed"));
        }
        let piece = self.assembling.entry(block.piece).or_default();
        if piece.insert(block.begin, truth).is_some() {
            return Err(format!("{block} is stored twice"));
        }
        let is_here = |block: &BlockRef| !layout.is_padding(*block);
        if piece.len() < layout.blocks(block.piece).filter(is_here).count() {
            return Ok(None);
        }
        let blocks = self.assembling.remove(&block.piece).unwrap_or_default();
        self.given_up.remove(&block.piece);
        // Padding is never wrong, and has its place among the digests.
        let truths = layout
            .blocks(block.piece)
            .map(|block| blocks.get(&block.begin).copied().unwrap_or(0));
        self.hashing.insert(block.piece, truths.collect());
        let time = match self.mood {
            DiskMood::Slow(time) => time,
            _ => HASH_TIME,
        };
        self.free_at = self.free_at.max(now) + time;
        Ok(Some(self.free_at))
    }

    /// Somebody wants the digests of the blocks with the next verdict.
    pub(crate) fn watch(&mut self, piece: PieceIndex) {
        self.watched.insert(piece);
    }

    /// The verdict on a piece that was handed over; `None` if it is not there any more.
    pub(crate) fn hashed(&mut self, piece: PieceIndex) -> Option<Written> {
        let blocks = self.hashing.remove(&piece)?;
        self.given_up.remove(&piece);
        let good = blocks.iter().all(|truth| *truth == 0);
        let digests: Vec<[u8; 20]> = blocks.iter().map(|truth| [*truth; 20]).collect();
        if !good {
            self.watched.remove(&piece);
            return Some(Written::Bad(digests));
        }
        self.has_forgotten |= matches!(self.mood, DiskMood::Full | DiskMood::Broken);
        match self.mood {
            DiskMood::Full => Some(failed(TroubleKind::Full, "no space left on device")),
            DiskMood::Broken => Some(failed(TroubleKind::Broken, "input/output error")),
            _ => {
                let watched = self.watched.remove(&piece);
                self.written.set(piece);
                self.lost.remove(&piece);
                self.assembling.remove(&piece);
                if !self.in_doubt {
                    self.records.note(piece);
                }
                Some(Written::Good(if watched { digests } else { Vec::new() }))
            }
        }
    }

    /// What is read from a piece that is here; flipped bits look like no other rubbish.
    pub(crate) fn read(&self, dice: &mut Dice, piece: PieceIndex) -> Result<Read, String> {
        if self.lost.contains(&piece) {
            return Ok(Read::Bytes(255));
        }
        if !self.written.get(piece) {
            return Err(format!("piece {piece} is served and is not on the disk"));
        }
        if self.mood == DiskMood::Unreadable {
            return Ok(Read::Failed(io_error("read")));
        }
        let flips = self.mood == DiskMood::Flipping && dice.chance(25);
        Ok(Read::Bytes(if flips { 255 } else { 0 }))
    }

    /// What was being put together is forgotten.
    pub(crate) fn forget(&mut self) {
        self.given_up.extend(self.hashing.keys());
        self.has_forgotten |= !self.assembling.is_empty() || !self.hashing.is_empty();
        self.assembling.clear();
    }

    /// These pieces are not here any more, and no record says that they are.
    pub(crate) fn lose(&mut self, pieces: &[PieceIndex]) {
        for piece in pieces {
            self.written.clear(*piece);
            self.synced.clear(*piece);
            self.doubtful.remove(piece);
            if let Syncing::UnderWay(covered) = &mut self.syncing {
                // What comes in its place is not what is being synced.
                covered.clear(*piece);
            }
            self.lost.insert(*piece);
        }
    }

    /// These pieces are about to be known to be lost: their records are taken back. Says so if a start would believe them.
    pub(crate) fn take_back(&mut self, pieces: &[PieceIndex]) -> Result<(), Trouble> {
        taken_back(self.records.lose(pieces))
    }

    /// The same of all, which is to be looked at anew.
    pub(crate) fn forget_records(&mut self) -> Result<(), Trouble> {
        taken_back(self.records.forget_all())
    }

    /// What was being put together of this piece is forgotten.
    pub(crate) fn forget_piece(&mut self, piece: PieceIndex) {
        self.has_forgotten |= self.assembling.remove(&piece).is_some();
    }

    /// Bytes that are free.
    pub(crate) fn room(&self) -> u64 {
        if self.mood == DiskMood::Full {
            0
        } else {
            u64::MAX
        }
    }

    /// What survives a power cut.
    pub(crate) fn synced(&self) -> &Bitfield {
        &self.synced
    }

    /// Whether something is written that a power cut may take or a restart would not know, and that the next commit would
    /// keep.
    pub(crate) fn needs_sync(&self) -> bool {
        let mut unsynced = self.written.iter_and_not(&self.synced);
        unsynced.any(|piece| !self.doubtful.contains(&piece)) || self.records.is_pending()
    }

    /// A commit is at work: nobody forgets anything before it is over.
    pub(crate) fn is_committing(&self) -> bool {
        matches!(self.syncing, Syncing::UnderWay(_) | Syncing::Recording)
    }

    /// A sync is to come. False if one is on its way already, and need not come sooner.
    pub(crate) fn sync_is_due(&mut self, hurry: bool) -> bool {
        let comes = match self.syncing {
            Syncing::Idle => true,
            Syncing::Due => hurry,
            Syncing::UnderWay(_) | Syncing::Recording => false,
        };
        if comes {
            self.syncing = Syncing::Due;
        }
        comes
    }

    /// A sync of all that is written begins, if one is due. Gives the time that it takes.
    pub(crate) fn begin_sync(&mut self, dice: &mut Dice) -> Option<Duration> {
        if !matches!(self.syncing, Syncing::Due) {
            return None;
        }
        self.syncing = Syncing::UnderWay(self.written.clone());
        self.records.begin();
        let more = match self.mood {
            DiskMood::Slow(time) => time,
            _ => Duration::ZERO,
        };
        Some(more + dice.moment(Duration::from_millis(1), SLOWEST_SYNC))
    }

    /// It ends. What was written since is not covered.
    pub(crate) fn end_sync(&mut self) -> Synced {
        let Syncing::UnderWay(covered) = std::mem::replace(&mut self.syncing, Syncing::Idle) else {
            return Synced::Nothing;
        };
        // A sync that succeeds after one that has failed says nothing of what the failed one was to cover.
        let unsynced = covered.iter_and_not(&self.synced);
        let unsynced: Vec<_> = unsynced.filter(|p| !self.doubtful.contains(p)).collect();
        if self.mood == DiskMood::Unsyncable && !unsynced.is_empty() {
            self.doubtful
                .extend(self.written.iter_and_not(&self.synced));
            self.in_doubt = true;
            self.records.record(Err(()), Failing::Nothing);
            return Synced::Failed(io_error("sync"));
        }
        for piece in unsynced {
            self.synced.set(piece);
        }
        let failing = match self.mood {
            DiskMood::Broken => Failing::Writes,
            DiskMood::Unsyncable => Failing::Syncs,
            _ => Failing::Nothing,
        };
        self.syncing = Syncing::Recording;
        Synced::Records(self.records.record(Ok(()), failing))
    }

    /// What was synced is recorded.
    pub(crate) fn end_record(&mut self) -> Result<Recorded, String> {
        if !matches!(self.syncing, Syncing::Recording) {
            return Ok(Recorded::Nothing);
        }
        self.syncing = Syncing::Idle;
        self.records.recorded();
        if self.needs_sync() || self.in_doubt {
            return Ok(Recorded::Part);
        }
        if !self.records.are_recorded(&self.written) {
            return Err("all is synced, and not all is recorded".to_owned());
        }
        Ok(Recorded::All)
    }

    /// 18: whatever a record says is on the disk to stay, whether the record is or not.
    pub(crate) fn check_records(&self) -> Result<(), String> {
        let mut claims = self.records.claims();
        match claims.find(|piece| !self.synced.get(*piece)) {
            Some(piece) => Err(format!(
                "piece {piece} is recorded, and its data is not synced"
            )),
            None => Ok(()),
        }
    }

    /// Somebody reads what is in doubt: it is there, and is written anew, or it is gone. Gives what is gone. What came
    /// meanwhile is to be recorded as well.
    pub(crate) fn look_at_doubtful(&mut self, dice: &mut Dice) -> Vec<PieceIndex> {
        self.in_doubt = false;
        let doubtful = std::mem::take(&mut self.doubtful).into_iter();
        let gone: Vec<PieceIndex> = doubtful.filter(|_| dice.chance(50)).collect();
        for piece in self
            .written
            .iter_ones()
            .filter(|piece| !gone.contains(piece))
        {
            self.records.note(piece);
        }
        gone
    }

    /// The program is gone. After a power cut every unsynced piece is lost or not, by lot; without one the system still
    /// writes what it was given. What is left of the journal is for [`Records`] to say.
    pub(crate) fn crash(&mut self, dice: &mut Dice, power_cut: bool) {
        self.assembling.clear();
        self.hashing.clear();
        self.given_up.clear();
        self.watched.clear();
        self.lost.clear();
        self.has_forgotten = false;
        self.in_doubt = false;
        let mut risky = std::mem::take(&mut self.doubtful);
        if power_cut {
            risky.extend(self.written.iter_and_not(&self.synced));
        }
        for piece in risky {
            if dice.chance(50) {
                self.written.clear(piece);
            }
        }
        if power_cut {
            // What is read after that comes from the platters.
            self.synced = self.written.clone();
        }
        self.syncing = Syncing::Idle;
    }

    /// Pieces held in memory, whole or in part.
    pub(crate) fn held(&self) -> usize {
        self.assembling.len() + self.hashing.len()
    }

    /// Bytes of pieces that are being put together.
    pub(crate) fn unfinished(&self, layout: &Layout) -> u64 {
        let blocks = self.assembling.iter().flat_map(|(piece, blocks)| {
            let here = |block: &BlockRef| blocks.contains_key(&block.begin);
            layout.blocks(*piece).filter(here)
        });
        blocks.map(|block| u64::from(block.length)).sum()
    }
}

fn taken_back(is_taken_back: bool) -> Result<(), Trouble> {
    match is_taken_back {
        true => Ok(()),
        false => Err(io_error("what is lost cannot be recorded")),
    }
}

fn failed(kind: TroubleKind, message: &str) -> Written {
    Written::Failed(Trouble {
        kind,
        message: message.to_owned(),
        hint: String::new(),
    })
}

fn io_error(action: &str) -> Trouble {
    Trouble {
        kind: TroubleKind::Broken,
        message: format!("{action}: input/output error"),
        hint: String::new(),
    }
}
