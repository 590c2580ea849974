//! Hashing what is on the disk before a torrent starts: one torrent after the other, each on all cores.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bt_metainfo::verify::{self, Place, Problem, Verdict};
use bt_wire::Bitfield;

use super::config::Check;
use super::events::EventKind;
use super::member::Member;
use crate::disk::DiskError;
use crate::engine::Input;

/// A check under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checking {
    done: Arc<AtomicU64>,
    total: u64,
    cancel: Arc<AtomicBool>,
}

impl Checking {
    /// Bytes hashed, and to be hashed.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (
            self.done.load(Ordering::Relaxed).min(self.total),
            self.total,
        )
    }

    /// Ends it early; nothing is reported then.
    pub(crate) fn cancel(&self) {
        self.cancel.store(true, Ordering::Relaxed);
    }
}

/// Torrents that wait to be checked. One thread takes them in turn and ends when there are none: each check uses all
/// cores, so two at once would only make the disk's head jump.
#[derive(Debug, Default)]
pub(super) struct Checks {
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Arc<Member>, Checking)>,
    running: bool,
}

impl Checks {
    fn push(&self, member: Arc<Member>, checking: Checking) -> io::Result<()> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if !queue.running {
            let queue = Arc::clone(&self.queue);
            std::thread::Builder::new()
                .name("check".to_owned())
                .spawn(move || work(&queue))?;
        }
        queue.running = true;
        queue.waiting.push_back((member, checking));
        Ok(())
    }
}

fn work(queue: &Mutex<Queue>) {
    loop {
        let next = {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            let next = queue.waiting.pop_front();
            queue.running = next.is_some();
            next
        };
        let Some((member, checking)) = next else {
            return;
        };
        look(&member, &checking);
    }
}

/// Finds out which pieces are here, and lets the torrent begin. Returns at once.
pub(super) fn begin(member: &Arc<Member>, check: Check) {
    let count = member.layout.piece_count();
    match check {
        Check::Never => start(member, Bitfield::new(count)),
        Check::Trust => member.handle(Input::Checked(Bitfield::full(count))),
        Check::Auto | Check::Always => {
            let checking = Checking {
                total: member.layout.total_length(),
                ..Checking::default()
            };
            *member
                .checking
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(checking.clone());
            let Some(session) = member.session.upgrade() else {
                return;
            };
            if let Err(error) = session.checks.push(Arc::clone(member), checking) {
                let error =
                    DiskError::new("start a thread to check", member.content.directory(), error);
                member.disk_failed(&error);
            }
        }
    }
}

fn look(member: &Arc<Member>, checking: &Checking) {
    if checking.cancel.load(Ordering::Relaxed) {
        return;
    }
    let have = match member.content.is_anything_there() {
        Ok(true) => hash(member, checking),
        Ok(false) => Ok(Some(Bitfield::new(member.layout.piece_count()))),
        Err(error) => Err(error),
    };
    *member
        .checking
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = None;
    match have {
        Ok(Some(have)) => start(member, have),
        Ok(None) => {}
        Err(error) => member.disk_failed(&error),
    }
}

fn start(member: &Arc<Member>, have: Bitfield) {
    let wanted = &member.wanted_files;
    let is_wanted = |file| wanted.as_ref().is_none_or(|files| files.contains(&file));
    match member.content.prepare(is_wanted) {
        Ok(()) => member.handle(Input::Checked(have)),
        Err(error) => member.disk_failed(&error),
    }
}

/// Hashes everything; `None` when it was canceled.
fn hash(member: &Arc<Member>, checking: &Checking) -> Result<Option<Bitfield>, DiskError> {
    let mut have = Bitfield::new(member.layout.piece_count());
    let options = verify::Options {
        place: Place::Parent,
        ..verify::Options::default()
    };
    let mut told = 0;
    let result = verify::verify(
        member.metainfo.info(),
        member.content.directory(),
        &options,
        &checking.cancel,
        |event| match event {
            verify::Event::Piece {
                piece,
                verdict: Verdict::Good,
            } => {
                have.set(piece);
            }
            verify::Event::Progress { done, total } => {
                checking.done.store(done, Ordering::Relaxed);
                // About a hundred times in all: listeners want to see it move, not to be flooded.
                if done - told > total / 100 || done == total {
                    told = done;
                    tell(member, done, total);
                }
            }
            _ => {}
        },
    );
    match result {
        Ok(report) => {
            for problem in report
                .files
                .iter()
                .filter(|found| is_in_the_way(&found.problem))
            {
                warn(member, problem.to_string());
            }
            Ok(Some(have))
        }
        Err(verify::Error::Canceled) => Ok(None),
        Err(verify::Error::Io { path, source }) => Err(DiskError::new("check", &path, source)),
        Err(error) => Err(DiskError::new(
            "check",
            member.content.directory(),
            io::Error::other(error),
        )),
    }
}

/// What a download will overwrite or cannot replace; files that are missing or short are what a download is for.
fn is_in_the_way(problem: &Problem) -> bool {
    !matches!(problem, Problem::Missing | Problem::Short { .. })
}

fn warn(member: &Member, message: String) {
    if let Some(session) = member.session.upgrade() {
        let kind = EventKind::Warning {
            kind: "file",
            message,
        };
        session.events.send(member.info_hash, kind);
    }
}

fn tell(member: &Member, done: u64, total: u64) {
    if let Some(session) = member.session.upgrade() {
        session
            .events
            .send(member.info_hash, EventKind::Checking { done, total });
    }
    member.changed.notify_waiters();
}
