//! The disk of one node: blocks in memory, pieces written, pieces that would survive a power cut, and what goes wrong.
//!
//! Content is modelled by its truth: a tag per block says who made it up, 0 is right. It must not know peers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bt_client::engine::{Trouble, TroubleKind};
use bt_metainfo::{BlockRef, Layout, PieceIndex};
use bt_wire::Bitfield;

use super::dice::Dice;

/// 0 is right; everything else is some particular rubbish.
pub(crate) type Truth = u8;

/// Time to hash and write a piece when all is well.
const HASH_TIME: Duration = Duration::from_millis(3);

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
    /// Was here and is not any more; whoever was promised a block of it gets rubbish.
    lost: BTreeSet<PieceIndex>,
    /// Blocks were thrown away, on the engine's order or because they could not be written.
    pub(crate) has_forgotten: bool,
    /// Free again from here on.
    free_at: Duration,
}

impl Disk {
    pub(crate) fn new(have: Bitfield) -> Self {
        Self {
            mood: DiskMood::Fine,
            assembling: BTreeMap::new(),
            hashing: BTreeMap::new(),
            given_up: BTreeSet::new(),
            watched: BTreeSet::new(),
            synced: have.clone(),
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
        if piece.len() < layout.block_count(block.piece) as usize {
            return Ok(None);
        }
        let blocks = self.assembling.remove(&block.piece).unwrap_or_default();
        self.given_up.remove(&block.piece);
        self.hashing
            .insert(block.piece, blocks.into_values().collect());
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
                Some(Written::Good(if watched { digests } else { Vec::new() }))
            }
        }
    }

    /// What is read from a piece that is here; flipped bits look like no other rubbish.
    pub(crate) fn read(&self, dice: &mut Dice, piece: PieceIndex) -> Result<Truth, String> {
        if self.lost.contains(&piece) {
            return Ok(255);
        }
        if !self.written.get(piece) {
            return Err(format!("piece {piece} is served and is not on the disk"));
        }
        let flips = self.mood == DiskMood::Flipping && dice.chance(25);
        Ok(if flips { 255 } else { 0 })
    }

    /// What was being put together is forgotten.
    pub(crate) fn forget(&mut self) {
        self.given_up.extend(self.hashing.keys());
        self.has_forgotten |= !self.assembling.is_empty() || !self.hashing.is_empty();
        self.assembling.clear();
    }

    /// The piece is not here any more.
    pub(crate) fn lose(&mut self, piece: PieceIndex) {
        self.written.clear(piece);
        self.synced.clear(piece);
        self.lost.insert(piece);
    }

    /// The same for one piece.
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

    pub(crate) fn sync(&mut self) {
        self.synced = self.written.clone();
    }

    /// The program is gone. After a power cut every unsynced piece is lost or not, by lot.
    pub(crate) fn crash(&mut self, dice: &mut Dice, power_cut: bool) {
        self.assembling.clear();
        self.hashing.clear();
        self.given_up.clear();
        self.watched.clear();
        self.lost.clear();
        self.has_forgotten = false;
        if power_cut {
            let risky: Vec<PieceIndex> = self.written.iter_and_not(&self.synced).collect();
            for piece in risky {
                if dice.chance(50) {
                    self.written.clear(piece);
                }
            }
        }
        self.synced = self.written.clone();
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

fn failed(kind: TroubleKind, message: &str) -> Written {
    Written::Failed(Trouble {
        kind,
        message: message.to_owned(),
        hint: String::new(),
    })
}
