//! What the thread that makes pieces durable has before it, and when it has to begin.
//!
//! It decides on plain data and must not sync, write or wait.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bt_metainfo::PieceIndex;

use super::account::Account;
use crate::limits::NO_DESCRIPTORS_PAUSE;
use crate::state::knowledge::{IndexSet, Pending};

pub(super) type Task = Box<dyn FnOnce() + Send>;

/// How far the thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    #[default]
    Running,
    /// Commit, say how files were left, end.
    Ending,
    /// Commit, end.
    Abandoned,
    /// The thread is gone.
    Ended,
}

/// When to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Now,
    In(Duration),
    WhenCalled,
}

/// See the module.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) pending: Pending,
    pub(super) accounts: BTreeMap<u32, Account>,
    /// To be done after the next commit.
    pub(super) tasks: Vec<Task>,
    pub(super) hurry: bool,
    pub(super) phase: Phase,
    pub(super) next_unrecorded: u32,
    pub(super) rechecks: u64,
    /// A bug of ours has ended the thread.
    pub(super) is_broken: bool,
    /// The state cannot be kept, and that has been said.
    pub(super) warned: bool,
    /// What the last commit lacked cannot be had before.
    rest_until: Option<Instant>,
}

impl Desk {
    /// When the next commit begins: when pieces have waited long enough or are many, when somebody cannot wait, and in
    /// any case when the thread is to end.
    pub(super) fn turn(&self, now: Instant) -> Turn {
        if self.phase != Phase::Running {
            return Turn::Now;
        }
        let wait = match self.hurry {
            true => Some(Duration::ZERO),
            false => self.pending.wait(now),
        };
        let Some(wait) = wait else {
            return Turn::WhenCalled;
        };
        let rest = self
            .rest_until
            .map(|until| until.saturating_duration_since(now));
        match wait.max(rest.unwrap_or_default()) {
            Duration::ZERO => Turn::Now,
            wait => Turn::In(wait),
        }
    }

    /// What a commit could not do for want of descriptors waits for the next one.
    pub(super) fn put_back(&mut self, now: Instant, torrent: u32, pieces: &IndexSet) {
        self.rest(now);
        let Some(account) = self.accounts.get(&torrent) else {
            return;
        };
        for piece in pieces.iter() {
            let bytes = account.member.layout.piece_size(PieceIndex(piece));
            self.pending.note(now, torrent, piece, u64::from(bytes));
        }
    }

    /// The process has no descriptors left: to try again at once would find it as it is, however much waits and whoever
    /// is in a hurry.
    fn rest(&mut self, now: Instant) {
        self.rest_until = Some(now + NO_DESCRIPTORS_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::{Desk, Phase, Turn};
    use crate::limits::{COMMIT_AFTER, COMMIT_AFTER_BYTES, NO_DESCRIPTORS_PAUSE};
    use std::time::{Duration, Instant};

    #[test]
    fn nobody_is_in_such_a_hurry_that_it_is_tried_again_at_once() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        assert_eq!(desk.turn(now), Turn::WhenCalled);
        desk.pending.note(now, 1, 0, 1);
        assert_eq!(desk.turn(now), Turn::In(COMMIT_AFTER));
        for is_hurry in [true, false] {
            desk.hurry = is_hurry;
            desk.pending.note(now, 1, 1, COMMIT_AFTER_BYTES);
            assert_eq!(desk.turn(now), Turn::Now, "hurry: {is_hurry}");
            desk.rest(now);
            assert_eq!(desk.turn(now), Turn::In(NO_DESCRIPTORS_PAUSE));
            let almost = now + NO_DESCRIPTORS_PAUSE - Duration::from_millis(1);
            assert_eq!(desk.turn(almost), Turn::In(Duration::from_millis(1)));
            assert_eq!(desk.turn(now + NO_DESCRIPTORS_PAUSE), Turn::Now);
            desk.rest_until = None;
        }
        desk.rest(now);
        desk.phase = Phase::Ending;
        assert_eq!(desk.turn(now), Turn::Now, "whoever ends waits for nothing");
    }
}
