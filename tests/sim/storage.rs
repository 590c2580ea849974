//! What a session does between an engine and its disk: verdicts, commits and what may be said after them, content that is
//! looked at anew or is gone, other wishes about it.
//!
//! It must not know peers.

use std::time::Duration;

use bt_client::engine::{Command, Input, PieceVerdict, Priority, Trouble};
use bt_metainfo::PieceIndex;

use super::disk::{Recorded, SYNC_EVERY, Synced, Written};
use super::plan::Fault;
use super::world::{Happening, World};

/// How soon it is tried again to begin what has to wait for a commit.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl World {
    /// Bytes of a piece that peers send: padding is not among them.
    pub(crate) fn payload(&self, piece: PieceIndex) -> u64 {
        let blocks = self.layout.blocks(piece);
        let sent = blocks.filter(|block| !self.layout.is_padding(*block));
        sent.map(|block| u64::from(block.length)).sum()
    }

    pub(crate) fn hashed(&mut self, node: usize, piece: PieceIndex) {
        let input = match self.nodes[node].disk.hashed(piece) {
            None => return,
            Some(Written::Good(digests)) => {
                self.sync(node, false);
                Input::PieceChecked(piece, PieceVerdict::Good { digests })
            }
            Some(Written::Bad(digests)) => {
                Input::PieceChecked(piece, PieceVerdict::Bad { digests })
            }
            Some(Written::Failed(trouble)) => Input::StorageFailed(trouble),
        };
        self.tell(node, input);
    }

    /// What is written is to be synced: now, or in a while together with what is written until then.
    pub(crate) fn sync(&mut self, node: usize, hurry: bool) {
        if self.nodes[node].disk.sync_is_due(hurry) {
            let life = self.nodes[node].life;
            let delay = if hurry { Duration::ZERO } else { SYNC_EVERY };
            self.after(delay, Happening::SyncBegins(node, life));
        }
    }

    pub(crate) fn sync_begins(&mut self, node: usize) {
        if let Some(takes) = self.nodes[node].disk.begin_sync(&mut self.dice) {
            self.must(node, self.nodes[node].disk.check_records());
            let life = self.nodes[node].life;
            self.after(takes, Happening::Synced(node, life));
        }
    }

    pub(crate) fn synced(&mut self, node: usize) {
        let synced = self.nodes[node].disk.end_sync();
        self.must(node, self.nodes[node].disk.check_records());
        match synced {
            Synced::Nothing => {}
            Synced::Records(takes) => {
                let life = self.nodes[node].life;
                self.after(takes, Happening::Recorded(node, life));
            }
            Synced::Failed(trouble) => {
                self.tell(node, Input::StorageFailed(trouble));
                self.sync_again(node);
            }
        }
    }

    pub(crate) fn recorded(&mut self, node: usize) {
        let recorded = self.nodes[node].disk.end_record();
        self.must(node, self.nodes[node].disk.check_records());
        match self.must(node, recorded) {
            Recorded::Nothing => return,
            Recorded::Part => {}
            Recorded::All => {
                let is_complete = self.nodes[node].is_complete();
                let log = &mut self.nodes[node].log;
                if std::mem::take(&mut log.owes_safety) {
                    log.is_safe = is_complete;
                    self.tell(node, Input::CompletionIsSafe);
                }
            }
        }
        self.sync_again(node);
    }

    fn sync_again(&mut self, node: usize) {
        let owes_safety = self.nodes[node].log.owes_safety;
        if self.nodes[node].disk.needs_sync() {
            self.sync(node, owes_safety);
        }
    }

    /// Whatever has records taken back waits until the commit that is at work is over. True if it has to.
    fn waits_for_commit(&mut self, node: usize, fault: Fault) -> bool {
        let waits = self.nodes[node].disk.is_committing();
        if waits {
            self.coming += 1;
            self.after(LOOK_AGAIN, Happening::Postponed(fault));
        }
        waits
    }

    /// It goes on, once somebody has looked at what is in doubt.
    pub(crate) fn resume(&mut self, node: usize) {
        if !self.nodes[node].online {
            return;
        }
        self.look_at_doubtful(node);
        self.tell(node, Input::Command(Command::Resume));
        let owes_safety = self.nodes[node].log.owes_safety;
        if owes_safety || self.nodes[node].disk.needs_sync() {
            self.sync(node, owes_safety);
        }
    }

    fn look_at_doubtful(&mut self, node: usize) {
        let gone = self.nodes[node].disk.look_at_doubtful(&mut self.dice);
        if !gone.is_empty() {
            self.gone(node, gone);
        }
    }

    /// It forgets what it has, and looks.
    pub(crate) fn recheck(&mut self, node: usize, takes: Duration) {
        if self.nodes[node].online && !self.waits_for_commit(node, Fault::Recheck(node, takes)) {
            self.nodes[node].log.pieces.clear();
            let taken_back = self.nodes[node].disk.forget_records();
            self.is_taken_back(node, taken_back);
            self.tell(node, Input::Command(Command::Recheck));
            let life = self.nodes[node].life;
            self.after(takes, Happening::Found(node, life));
        }
    }

    pub(crate) fn found(&mut self, node: usize) {
        if !self.nodes[node].online || self.nodes[node].engine.is_checked() {
            return;
        }
        self.look_at_doubtful(node);
        let have = self.nodes[node].disk.written.clone();
        self.nodes[node].disk.records.looked(&self.layout, &have);
        self.nodes[node].log.pieces = have.iter_ones().collect();
        self.tell(node, Input::Checked(have));
        let complete = self.nodes[node].is_complete();
        let log = &mut self.nodes[node].log;
        log.complete_at_start = complete && (log.complete_at_start || log.completions == 0);
        log.owes_completed = !complete;
        if self.nodes[node].disk.needs_sync() {
            self.sync(node, false);
        }
    }

    /// One of its pieces is not on its disk any more.
    pub(crate) fn lose(&mut self, node: usize) {
        let here: Vec<PieceIndex> = self.nodes[node].engine.have().iter_ones().collect();
        if !here.is_empty()
            && self.nodes[node].online
            && !self.waits_for_commit(node, Fault::Lose(node))
        {
            let piece = here[self.dice.below(here.len())];
            self.gone(node, vec![piece]);
        }
    }

    fn gone(&mut self, node: usize, pieces: Vec<PieceIndex>) {
        let taken_back = self.nodes[node].disk.take_back(&pieces);
        self.is_taken_back(node, taken_back);
        let loser = &mut self.nodes[node];
        loser.disk.lose(&pieces);
        for piece in &pieces {
            loser.log.pieces.remove(piece);
            if loser.wants(*piece) {
                loser.log.is_unfinished();
            }
        }
        loser.log.has_announced = false;
        let (addr, life) = (loser.addr, loser.life);
        for tracker in &mut self.trackers {
            tracker.lost_something(addr, life);
        }
        self.must(node, self.nodes[node].disk.check_records());
        self.tell(node, Input::Lost(pieces));
    }

    /// A torrent whose journal says too much stops.
    fn is_taken_back(&mut self, node: usize, taken_back: Result<(), Trouble>) {
        if let Err(trouble) = taken_back {
            self.tell(node, Input::StorageFailed(trouble));
        }
    }

    /// The owner has other wishes about the order. What is wanted at all stays.
    pub(crate) fn prioritize(&mut self, node: usize) {
        let classes = [Priority::Low, Priority::Normal, Priority::High];
        let wishes = self.layout.pieces().map(|piece| {
            if self.nodes[node].wants(piece) {
                classes[self.dice.below(3)]
            } else {
                Priority::Skip
            }
        });
        let wishes = wishes.collect();
        if self.nodes[node].online {
            self.tell(node, Input::Prioritize(wishes));
        }
    }

    /// The owner wants other pieces: those from one to before another.
    pub(crate) fn select(&mut self, node: usize, from: u32, to: u32) {
        let count = self.layout.piece_count();
        let chooser = &mut self.nodes[node];
        chooser.member.wanted = Some((from.min(count), to.min(count)));
        if chooser.engine.is_checked() && !chooser.is_complete() {
            chooser.log.is_unfinished();
            chooser.log.complete_at_start = false;
        }
        let wishes = self.layout.pieces().map(|piece| {
            if chooser.wants(piece) {
                Priority::Normal
            } else {
                Priority::Skip
            }
        });
        let wishes = wishes.collect();
        self.tell(node, Input::Prioritize(wishes));
    }
}
