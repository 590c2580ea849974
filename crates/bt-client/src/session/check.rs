//! Hashing what is on the disk before a torrent starts: one torrent after the other, each on all cores.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use bt_metainfo::{FileIndex, PieceIndex};
use bt_wire::Bitfield;

use super::config::Check;
use super::events::EventKind;
use super::member::Member;
use super::{perform, relocate, resume};
use crate::disk::{CloseLook, DiskError, Fault};
use crate::engine::{Input, State};
use crate::state::knowledge::{IndexSet, Plan};

/// How often files that change while they are hashed are hashed again.
const HOLD_STILL: u32 = 3;

/// A check under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checking {
    done: Arc<AtomicU64>,
    total: Arc<AtomicU64>,
    cancel: Arc<AtomicBool>,
}

impl Checking {
    /// Bytes hashed, and to be hashed.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let total = self.total.load(Ordering::Relaxed);
        (self.done.load(Ordering::Relaxed).min(total), total)
    }

    /// It is over; another check may have taken its place.
    fn leave(&self, place: &mut Option<Self>) {
        place.take_if(|current| Arc::ptr_eq(&current.cancel, &self.cancel));
    }

    /// Ends it early; nothing is reported then.
    pub(crate) fn cancel(&self) {
        self.cancel.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Work {
    /// Everything is hashed; `from_disk` whatever memory holds of it.
    All { from_disk: bool },
    /// What is not known is.
    Rest(Plan),
    /// The same after a look that a fault has ended: what is known is found out first.
    Again,
}

/// Finds out which pieces are here, and lets the torrent begin: at once if nothing is to be hashed, else as soon as that
/// is done. `before` is what the files looked like when whoever has hashed them began. Blocks the thread for as long as a
/// few syncs take.
pub(super) fn begin(
    member: &Arc<Member>,
    check: Check,
    plan: Option<Plan>,
    before: &[Option<CloseLook>],
) {
    let count = member.layout.piece_count();
    match check {
        Check::Trust => {
            if let Err(error) = hold(member, &Bitfield::full(count)) {
                return member.disk_failed(&error);
            }
            member.is_prepared();
            member.handle(Input::Checked(Bitfield::full(count)));
        }
        Check::Proven => {
            if let Err(error) = hold(member, &Bitfield::full(count)) {
                return member.disk_failed(&error);
            }
            let seen = match looks(member) {
                Ok(seen) => seen,
                Err(error) => return member.disk_failed(&error),
            };
            if let Some(file) = first_changed(member, before, &seen) {
                let path = member.content.path(file);
                let what = "was changed after it was checked; all is hashed again";
                warn(member, format!("{} {what}", path.display()));
                return enqueue(member, Work::All { from_disk: false });
            }
            // What is changed from here on is noticed by the commit that records how files were left.
            keep_in_mind(member, seen);
            member.is_prepared();
            for piece in member.layout.pieces() {
                member.content.mark_written(piece);
                member.note(piece);
            }
            member.handle(Input::Checked(Bitfield::full(count)));
        }
        Check::Auto | Check::Always | Check::Never => match plan {
            Some(plan) if plan.hash.is_empty() => start(member, plan.trust, 0, true),
            Some(plan) if check == Check::Never => {
                // The record was begun anew, so that a later run looks at the rest.
                for piece in plan.trust.iter_ones() {
                    member.content.mark_written(piece);
                    member.note(piece);
                }
                start(member, plan.trust, 0, false);
            }
            None if check == Check::Never => start(member, Bitfield::new(count), 0, false),
            Some(plan) => enqueue(member, Work::Rest(plan)),
            // There is nothing to look at. Whoever insists, or checks anew, may know of something all the same.
            None if check == Check::Auto
                && matches!(member.content.is_anything_there(), Ok(false)) =>
            {
                start(member, Bitfield::new(count), 0, true);
            }
            None => {
                // Whoever insists wants to know what the disk holds.
                let from_disk = check == Check::Always;
                enqueue(member, Work::All { from_disk });
            }
        },
    }
}

/// A file that does not look as it did `before`, where that is known.
fn first_changed(
    member: &Member,
    before: &[Option<CloseLook>],
    now: &[Option<CloseLook>],
) -> Option<FileIndex> {
    let files = member.layout.files().zip(now);
    let stored = files.filter(|(file, _)| !member.layout.is_pad(*file));
    let mut both = stored.zip(before);
    both.find_map(|((file, now), before)| (now != before).then_some(file))
}

/// Takes up a look that a fault has ended, with what is known by now.
pub(super) fn again(member: &Arc<Member>) {
    enqueue(member, Work::Again);
}

fn enqueue(member: &Arc<Member>, work: Work) {
    let checking = Checking::default();
    let total = match &work {
        Work::Rest(plan) => size_of(member, &plan.hash),
        Work::All { .. } | Work::Again => member.layout.total_length(),
    };
    checking.total.store(total, Ordering::Relaxed);
    *member
        .checking
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some(checking.clone());
    let Some(session) = member.session.upgrade() else {
        return;
    };
    let job = {
        let member = Arc::clone(member);
        move || look(&member, &checking, work)
    };
    if let Err(error) = session.checks.push(member, job) {
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

fn look(member: &Arc<Member>, checking: &Checking, work: Work) {
    if checking.cancel.load(Ordering::Relaxed) {
        return;
    }
    #[cfg(test)]
    member.breakdown.planted.check.goes_off();
    let found = find(member, checking, work);
    {
        let mut current = member
            .checking
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        checking.leave(&mut current);
    }
    match found {
        Ok(Some((have, hashed))) => start(member, have, hashed, true),
        Ok(None) => {}
        Err(error) => {
            // What was found counts for nothing.
            member.content.release();
            member.disk_failed(&error);
        }
    }
}

/// Which pieces are here, and how many bytes were hashed to know it; `None` when it was canceled.
fn find(
    member: &Arc<Member>,
    checking: &Checking,
    work: Work,
) -> Result<Option<(Bitfield, u64)>, DiskError> {
    let (plan, from_disk) = match work {
        Work::Rest(plan) => (Some(plan), false),
        Work::All { from_disk } => (None, from_disk),
        Work::Again => (resume::again(member)?, false),
    };
    match &plan {
        Some(plan) => {
            let total = size_of(member, &plan.hash);
            checking.total.store(total, Ordering::Relaxed);
        }
        None => forget(member, from_disk)?,
    }
    let before = looks(member)?;
    let found = match &plan {
        // Some is proven already, or what is there is of a run that was cut short: piece by piece.
        Some(plan) if plan.was_cut_short || !plan.trust.is_empty() => {
            hash_some(member, checking, plan)?
        }
        _ => match member.content.is_anything_there()? {
            true => hash_all(member, checking)?,
            false => Some((Bitfield::new(member.layout.piece_count()), 0)),
        },
    };
    match found {
        Some((have, hashed)) if hashed > 0 => hold_still(member, checking, have, hashed, before),
        found => Ok(found),
    }
}

/// What each file looks like.
fn looks(member: &Member) -> Result<Vec<Option<CloseLook>>, DiskError> {
    let look = |file| match member.layout.is_pad(file) {
        true => Ok(None),
        false => match member.content.look_closely(file) {
            Err(error) if error.fault() == Fault::InTheWay => Ok(None),
            other => other,
        },
    };
    member.layout.files().map(look).collect()
}

fn keep_in_mind(member: &Member, seen: Vec<Option<CloseLook>>) {
    let seen = member.layout.files().zip(seen);
    let seen = seen.filter_map(|(file, seen)| Some((file, seen?.look)));
    member.content.keep_in_mind(seen);
}

/// Files that others wrote to while they were hashed are hashed again, since what is recorded of them is the time that
/// they have afterwards. Those that do not hold still count as missing.
fn hold_still(
    member: &Arc<Member>,
    checking: &Checking,
    mut have: Bitfield,
    mut hashed: u64,
    mut before: Vec<Option<CloseLook>>,
) -> Result<Option<(Bitfield, u64)>, DiskError> {
    for attempt in 0..=HOLD_STILL {
        let now = looks(member)?;
        let changed = member.layout.files().zip(before.iter().zip(&now));
        let changed: Vec<FileIndex> = changed
            .filter(|(_, (then, now))| then != now)
            .map(|(file, _)| file)
            .collect();
        if changed.is_empty() {
            // From here on it is the commit that notices.
            keep_in_mind(member, now);
            break;
        }
        before = now;
        let pieces = changed
            .iter()
            .flat_map(|file| member.layout.pieces_of_file(*file));
        let pieces: IndexSet = pieces.collect();
        if let (Some(session), Some(&number)) = (member.session.upgrade(), member.number.get()) {
            session.durable.forget(member, number, &pieces);
        }
        let pieces: Vec<PieceIndex> = pieces.iter().map(PieceIndex).collect();
        for piece in &pieces {
            have.clear(*piece);
        }
        if attempt == HOLD_STILL {
            let many = changed.len();
            warn(
                member,
                format!(
                    "{many} files change all the time while they are hashed, and count as missing"
                ),
            );
            break;
        }
        let found = |piece, good| {
            hashed += u64::from(member.layout.piece_size(piece));
            if good {
                have.set(piece);
                member.content.mark_written(piece);
                member.note(piece);
            }
        };
        let unreadable = member
            .content
            .recheck(&pieces, false, &checking.cancel, found)?;
        warn_of(member, &unreadable);
    }
    let canceled = checking.cancel.load(Ordering::Relaxed);
    Ok((!canceled).then_some((have, hashed)))
}

/// Where everything is hashed, nothing is known before: the journal is not to say otherwise if we are killed meanwhile,
/// and what a failed sync has put in doubt is read from the disk, as all is with `from_disk`.
fn forget(member: &Arc<Member>, from_disk: bool) -> Result<(), DiskError> {
    let (Some(session), Some(&number)) = (member.session.upgrade(), member.number.get()) else {
        return Ok(());
    };
    let absent = member.settings().absent.clone();
    let absent: Vec<FileIndex> = absent.into_iter().map(FileIndex).collect();
    let was_in_doubt = session.durable.begin_anew(number);
    member.content.find_apart(Some(&absent))?;
    if was_in_doubt || from_disk {
        // All of it is read from the disk from here on, so that what fails here is found out by that.
        member.content.forget_all_pages()?;
        member.content.doubt_no_more();
    }
    let all = (0..member.layout.piece_count()).collect();
    session.durable.forget(member, number, &all);
    Ok(())
}

fn start(member: &Arc<Member>, have: Bitfield, hashed: u64, looked: bool) {
    let edition = member.selection.edition();
    if let Err(error) = hold(member, &have) {
        return member.disk_failed(&error);
    }
    // Before anything is written: parts move into their files by what comes next.
    resume::open(member, looked);
    let full = match member.prepare() {
        Ok(()) => None,
        // What is here is served all the same; the files without bytes are made when there is room.
        Err(error) if error.fault() == Fault::Full => Some(error),
        Err(error) => return member.disk_failed(&error),
    };
    resume::is_placed(member);
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
        // One that is complete waits for no other piece to try again by.
        if matches!(member.state(), State::Seeding | State::Finished) {
            perform::prepare_later(member);
        }
    }
    // Complete since an earlier run that ended before it was brought to its place.
    relocate::try_again(member);
}

/// The files that are there belong to this torrent from now on, as far as others can tell: those that lack a piece that
/// is wanted are written to. If that cannot be, none does.
fn hold(member: &Member, have: &Bitfield) -> Result<(), DiskError> {
    let wanted = member.selection.wanted_pieces(&member.layout);
    let is_missing = |piece| wanted.get(PieceIndex(piece)) && !have.get(PieceIndex(piece));
    let is_written = |file| member.layout.pieces_of_file(file).any(is_missing);
    let held = member.content.hold(is_written);
    if held.is_err() {
        member.content.release();
    }
    held
}

/// Hashes what the plan leaves open, as far as it can have been written; `None` when it was canceled.
fn hash_some(
    member: &Arc<Member>,
    checking: &Checking,
    plan: &Plan,
) -> Result<Option<(Bitfield, u64)>, DiskError> {
    let mut pieces = Vec::new();
    for piece in plan.hash.iter_ones() {
        if checking.cancel.load(Ordering::Relaxed) {
            return Ok(None);
        }
        // A hole says something only of what we would have written: others may have left out zeros.
        if !plan.may_be_hole.get(piece) || member.content.may_hold(piece)? {
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
    let skipped = checking.total.load(Ordering::Relaxed).saturating_sub(total);
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
            tell(member, skipped + done, skipped + total);
        }
    };
    let unreadable = member.content.recheck(pieces, from_disk, cancel, recheck)?;
    warn_of(member, &unreadable);
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

/// Says what the device could not read.
pub(super) fn warn_of(member: &Member, unreadable: &[DiskError]) {
    for error in unreadable {
        warn(
            member,
            format!("{error}; those bytes count as missing ({})", error.hint()),
        );
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

#[cfg(test)]
mod tests {
    use super::Checking;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_check_that_ends_late_leaves_the_one_that_has_taken_its_place() {
        let (first, second) = (Checking::default(), Checking::default());
        let mut place = Some(second.clone());
        first.leave(&mut place);
        second.total.store(7, Ordering::Relaxed);
        assert_eq!(place.as_ref().map(Checking::progress), Some((0, 7)));
        second.leave(&mut place);
        assert!(place.is_none());
    }
}
