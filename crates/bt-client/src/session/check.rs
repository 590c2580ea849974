//! Hashing what is on the disk before a torrent starts: one torrent after the other, each on all cores.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bt_metainfo::{FileIndex, PieceIndex};
use bt_wire::Bitfield;

use super::config::Check;
use super::events::EventKind;
use super::member::Member;
use super::{relocate, resume};
use crate::disk::{DiskError, Fault};
use crate::engine::Input;
use crate::state::knowledge::Plan;

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
    waiting: VecDeque<Job>,
    running: bool,
}

/// A torrent and what to do with it; without a plan all of it is hashed.
#[derive(Debug)]
struct Job {
    member: Arc<Member>,
    checking: Checking,
    plan: Option<Plan>,
}

impl Checks {
    fn push(&self, job: Job) -> io::Result<()> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if !queue.running {
            let queue = Arc::clone(&self.queue);
            std::thread::Builder::new()
                .name("check".to_owned())
                .spawn(move || work(&queue))?;
        }
        queue.running = true;
        queue.waiting.push_back(job);
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
        let Some(job) = next else {
            return;
        };
        look(&job);
    }
}

/// Finds out which pieces are here, and lets the torrent begin: at once if nothing is to be hashed, else as soon as that
/// is done. Blocks the thread for as long as a few syncs take.
pub(super) fn begin(member: &Arc<Member>, check: Check, plan: Option<Plan>) {
    let count = member.layout.piece_count();
    match check {
        Check::Never => start(member, Bitfield::new(count), 0, false),
        Check::Trust => member.handle(Input::Checked(Bitfield::full(count))),
        Check::Proven => {
            for piece in member.layout.pieces() {
                member.content.mark_written(piece);
                member.note(piece);
            }
            member.handle(Input::Checked(Bitfield::full(count)));
        }
        Check::Auto | Check::Always => match plan {
            Some(plan) if plan.hash.is_empty() => start(member, plan.trust, 0, true),
            plan => enqueue(member, plan),
        },
    }
}

fn enqueue(member: &Arc<Member>, plan: Option<Plan>) {
    let total = match &plan {
        Some(plan) => size_of(member, &plan.hash),
        None => member.layout.total_length(),
    };
    let checking = Checking {
        total,
        ..Checking::default()
    };
    *member
        .checking
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some(checking.clone());
    let Some(session) = member.session.upgrade() else {
        return;
    };
    let job = Job {
        member: Arc::clone(member),
        checking,
        plan,
    };
    if let Err(error) = session.checks.push(job) {
        let error = DiskError::new(
            "start a thread to check",
            &member.content.directory(),
            error,
        );
        member.disk_failed(&error);
    }
}

fn size_of(member: &Member, pieces: &Bitfield) -> u64 {
    let sizes = pieces
        .iter_ones()
        .map(|piece| member.layout.piece_size(piece));
    sizes.map(u64::from).sum()
}

fn look(job: &Job) {
    let Job {
        member,
        checking,
        plan,
    } = job;
    if checking.cancel.load(Ordering::Relaxed) {
        return;
    }
    if let Err(error) = forget(member, plan.as_ref()) {
        return member.disk_failed(&error);
    }
    let found = match plan {
        // Some is proven already, or what is there is of a run that was cut short: piece by piece.
        Some(plan) if plan.was_cut_short || !plan.trust.is_empty() => {
            hash_some(member, checking, plan)
        }
        _ => match member.content.is_anything_there() {
            Ok(true) => hash_all(member, checking),
            Ok(false) => Ok(Some((Bitfield::new(member.layout.piece_count()), 0))),
            Err(error) => Err(error),
        },
    };
    *member
        .checking
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = None;
    match found {
        Ok(Some((have, hashed))) => start(member, have, hashed, true),
        Ok(None) => {}
        Err(error) => member.disk_failed(&error),
    }
}

/// Where everything is hashed, nothing is known before: the journal is not to say otherwise if we are killed meanwhile,
/// and what a failed sync has put in doubt is read from the disk.
fn forget(member: &Arc<Member>, plan: Option<&Plan>) -> Result<(), DiskError> {
    let (Some(session), Some(&number)) = (member.session.upgrade(), member.number.get()) else {
        return Ok(());
    };
    if plan.is_some() {
        return Ok(());
    }
    let split = member.settings().absent.clone();
    let split: Vec<FileIndex> = split.into_iter().map(FileIndex).collect();
    member.content.find_apart(&split)?;
    if let Some(doubtful) = session.durable.take_doubtful(number) {
        member.content.forget_pages(&doubtful)?;
    }
    let all = (0..member.layout.piece_count()).collect();
    session.durable.forget(member, number, &all);
    Ok(())
}

fn start(member: &Arc<Member>, have: Bitfield, hashed: u64, looked: bool) {
    let edition = member.selection.edition();
    let full = match member.prepare() {
        Ok(()) => None,
        // What is here is served all the same; the files without bytes are made when there is room.
        Err(error) if error.fault() == Fault::Full => Some(error),
        Err(error) => return member.disk_failed(&error),
    };
    resume::open(member, looked);
    if let Some(session) = member.session.upgrade() {
        let trusted = size_of(member, &have).saturating_sub(hashed);
        let kind = EventKind::Checked { hashed, trusted };
        session.events.send(member.info_hash, kind);
    }
    member.handle(Input::Checked(have));
    // Wishes that came in between were not obeyed on the disk, since it was not known what is there.
    let full = match full {
        None if member.selection.edition() != edition => member.prepare().err(),
        full => full,
    };
    if let Some(error) = full {
        member.disk_failed(&error);
    }
    // Complete since an earlier run that ended before it was brought to its place.
    relocate::try_again(member);
}

/// Hashes what the plan leaves open, as far as it can have been written; `None` when it was canceled.
fn hash_some(
    member: &Arc<Member>,
    checking: &Checking,
    plan: &Plan,
) -> Result<Option<(Bitfield, u64)>, DiskError> {
    let mut pieces = Vec::new();
    for piece in plan.hash.iter_ones() {
        if member.content.may_hold(piece)? {
            pieces.push(piece);
        }
    }
    hash(
        member,
        checking,
        &pieces,
        plan.trust.clone(),
        plan.was_cut_short,
    )
}

/// Hashes everything; `None` when it was canceled.
fn hash_all(
    member: &Arc<Member>,
    checking: &Checking,
) -> Result<Option<(Bitfield, u64)>, DiskError> {
    let pieces: Vec<PieceIndex> = member.layout.pieces().collect();
    let nothing = Bitfield::new(member.layout.piece_count());
    let found = hash(member, checking, &pieces, nothing, false)?;
    for file in member
        .layout
        .files()
        .filter(|file| !member.layout.is_pad(*file))
    {
        let length = member.layout.file_length(file);
        match member.content.look(file) {
            Ok(Some(look)) if look.size > length => {
                let path = member.content.path(file);
                let more = look.size - length;
                warn(
                    member,
                    format!(
                        "{}: it is {more} bytes longer than expected",
                        path.display()
                    ),
                );
            }
            // What a download cannot replace; files that are missing or short are what a download is for.
            Err(error) if error.fault() == Fault::InTheWay => warn(member, error.to_string()),
            _ => {}
        }
    }
    Ok(found)
}

/// Hashes these pieces besides those in `have`; gives what is here, and how many bytes were hashed.
fn hash(
    member: &Arc<Member>,
    checking: &Checking,
    pieces: &[PieceIndex],
    mut have: Bitfield,
    from_disk: bool,
) -> Result<Option<(Bitfield, u64)>, DiskError> {
    let sizes = pieces.iter().map(|piece| member.layout.piece_size(*piece));
    let total: u64 = sizes.map(u64::from).sum();
    let (mut done, mut told) = (0, 0);
    // Pieces that are not hashed because nothing was ever written count as done from the start.
    let skipped = checking.total.saturating_sub(total);
    checking.done.store(skipped, Ordering::Relaxed);
    let cancel = &checking.cancel;
    let recheck = |piece, good| {
        done += u64::from(member.layout.piece_size(piece));
        checking.done.store(skipped + done, Ordering::Relaxed);
        if good {
            have.set(piece);
            // It may be in memory only, whoever wrote it.
            member.content.mark_written(piece);
            member.note(piece);
        }
        // About a hundred times in all: listeners want to see it move, not to be flooded.
        if done - told > total / 100 || done == total {
            told = done;
            tell(member, done, total);
        }
    };
    member.content.recheck(pieces, from_disk, cancel, recheck)?;
    let canceled = checking.cancel.load(Ordering::Relaxed);
    Ok((!canceled).then_some((have, done)))
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
