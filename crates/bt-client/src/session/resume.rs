//! What a torrent knows of an earlier run when it begins, and what it has to find out.
//!
//! The decision itself is made on plain data, in the state room; here it gets that data, and its verdicts are recorded.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bt_metainfo::{FileIndex, Layout, Metainfo, PieceIndex};
use bt_wire::Bitfield;

use super::account::{Doubtful, Judged, Standing};
use super::config::Check;
use super::durable::{Durable, UNRECORDED};
use super::events::EventKind;
use super::member::Member;
use super::records::stamp;
use super::session::Inner;
use super::{check, perform, relocate, selection};
use crate::disk::{CloseLook, Content, Disk, DiskError, Retimed, Site};
use crate::engine::{Command, Input, State};
use crate::error::Error;
use crate::state::knowledge::{
    Change, FileNow, FileThen, IndexSet, Known, Origin, Plan, Record, decide, is_elsewhere, spans,
};
use crate::state::{StateError, Store, is_same_place};

/// More files than this that changed are counted, not named.
const CHANGES_NAMED: usize = 5;

/// Finds out what is known, and lets the torrent be known from now on. Blocks the thread. Without a plan everything
/// that is there has to be looked at.
pub(super) fn prepare(
    durable: &Durable,
    member: &Arc<Member>,
    check: Check,
) -> Result<Option<Plan>, Error> {
    let nothing = Bitfield::new(member.layout.piece_count());
    let Some(store) = durable.store() else {
        durable.enter(member, None, &nothing, IndexSet::default());
        return Ok(None);
    };
    let known = store.known(member.info_hash).map(|(_, known)| known);
    let here = directory_bytes(&member.content.directory());
    let known = known.filter(|known| is_same_place(&known.origin.directory, &here));
    let plan = match (&known, check) {
        (Some(known), Check::Auto | Check::Never) => {
            let absent = store
                .settings(member.info_hash)?
                .map(|settings| settings.absent);
            member.settings().absent = absent.clone().unwrap_or_default();
            let plan = plan(&member.content, &member.layout, known, absent.as_deref());
            Some(plan?)
        }
        _ => None,
    };
    let identity = member.content.identity()?;
    if let (Some(known), Some(plan)) = (&known, &plan)
        && is_elsewhere(&known.origin, identity.device, plan)
    {
        return Err(Error::Elsewhere(member.content.directory()));
    }
    let anew = match check {
        Check::Always | Check::Proven => true,
        // What is not looked at now is to be looked at by whoever comes next: the old record says that all was.
        Check::Never => plan.as_ref().is_none_or(|plan| !plan.hash.is_empty()),
        Check::Auto | Check::Trust => false,
    };
    match enroll(store, member, anew, plan.as_ref()) {
        Ok(number) => {
            let open = known.filter(|_| !anew).map(|known| open_files(&known));
            let recorded = plan.as_ref().filter(|_| !anew);
            let proven = recorded.map_or(&nothing, |plan| &plan.trust);
            durable.enter(member, Some(number), proven, open.unwrap_or_default());
        }
        Err(error) => {
            durable.cannot_keep(member, &error);
            durable.enter(member, None, &nothing, IndexSet::default());
        }
    }
    if let Some(plan) = &plan {
        tell_changes(member, plan, check);
    }
    Ok(plan)
}

/// `absent` are files of which bytes lie among the parts, whether they are there by now or not; `None` if that is not
/// known any more.
fn plan(
    content: &Content,
    layout: &Layout,
    known: &Known,
    absent: Option<&[u32]>,
) -> Result<Plan, DiskError> {
    let absent: Option<Vec<FileIndex>> =
        absent.map(|files| files.iter().copied().map(FileIndex).collect());
    let apart = content.find_apart(absent.as_deref())?;
    let mut now = Vec::with_capacity(layout.file_count());
    for file in layout.files() {
        let look = if layout.is_pad(file) {
            None
        } else {
            content.look(file)?
        };
        now.push(look.map_or(FileNow::Missing, |look| FileNow::There(stamp(look))));
    }
    let of = |file: FileIndex| now.get(file.0 as usize).copied();
    let now = |file| of(file).unwrap_or(FileNow::Missing);
    Ok(decide(layout, known, now, &apart))
}

/// Whether all of the content in `dir` was proven by an earlier run and nobody has touched it since. A session that adds
/// it with [`Check::Auto`] then hashes nothing.
#[must_use]
pub fn is_proven(store: &Store, metainfo: &Metainfo, dir: &Path) -> bool {
    let known = metainfo.info_hash_v1().and_then(|hash| store.known(hash));
    let Some((_, known)) = known else {
        return false;
    };
    let settings = metainfo.info_hash_v1().map(|hash| store.settings(hash));
    let Some(Ok(settings)) = settings else {
        return false;
    };
    let absent = settings.map(|settings| settings.absent);
    let layout = metainfo.info().layout();
    let plan = on_disk(Some(store), metainfo, dir, |content| {
        plan(content, layout, &known, absent.as_deref())
    });
    is_same_place(&known.origin.directory, &directory_bytes(dir))
        && plan.is_some_and(|plan| plan.trust.is_full())
}

/// Has the content in `dir` read from the disk by whoever reads it next, if an earlier run wrote to it and did not end
/// well: of what could not be written to the disk, memory may hold what the disk does not.
pub fn read_from_disk(store: &Store, metainfo: &Metainfo, dir: &Path) {
    let known = metainfo.info_hash_v1().and_then(|hash| store.known(hash));
    if known.is_some_and(|(_, known)| !open_files(&known).is_empty()) {
        on_disk(Some(store), metainfo, dir, Content::forget_all_pages);
    }
}

/// What the files of a torrent look like that is in no session.
#[must_use]
pub fn looks(
    store: Option<&Store>,
    metainfo: &Metainfo,
    dir: &Path,
) -> Option<Vec<Option<CloseLook>>> {
    let layout = metainfo.info().layout();
    on_disk(store, metainfo, dir, |content| {
        let stored = layout.files().filter(|file| !layout.is_pad(*file));
        stored.map(|file| content.look_closely(file)).collect()
    })
}

/// Looks at content that is in no session, where an earlier run has left it if that is in `dir`.
fn on_disk<T>(
    store: Option<&Store>,
    metainfo: &Metainfo,
    dir: &Path,
    what: impl FnOnce(&Content) -> Result<T, DiskError>,
) -> Option<T> {
    let settings = |store: &Store| store.settings(metainfo.info_hash_v1()?).ok()?;
    let saved = store.and_then(settings);
    let saved = saved.map(|saved| relocate::site(&saved.stand, &[dir.to_owned()]));
    let is_here =
        |site: &Site| is_same_place(&directory_bytes(&site.directory), &directory_bytes(dir));
    let site = saved
        .filter(is_here)
        .unwrap_or_else(|| Site::plain(dir.to_owned()));
    let disk = Disk::start(0).ok()?;
    let content = Content::new(
        &disk,
        Arc::new(metainfo.clone()),
        Arc::new(metainfo.info().layout().clone()),
        site,
        Box::new(|_| {}),
    );
    let done = what(&content).ok();
    disk.stop();
    done
}

/// What is known by now of a torrent whose first look a fault has ended: what was proven before it and in its course
/// stays so. `None` if nothing is kept of it. Blocks the thread.
pub(super) fn again(member: &Arc<Member>) -> Result<Option<Plan>, DiskError> {
    let (Some(session), Some(&number)) = (member.session.upgrade(), member.number.get()) else {
        return Ok(None);
    };
    let durable = &session.durable;
    durable.commit();
    let store = durable.store().filter(|_| number < UNRECORDED);
    let known = store.and_then(|store| store.known(member.info_hash));
    let Some((_, known)) = known else {
        return Ok(None);
    };
    let is_in_doubt = durable.standing(number) == Standing::InDoubt;
    if is_in_doubt {
        durable.begin_anew(number);
        member.content.doubt_no_more();
    }
    let absent = member.settings().absent.clone();
    let mut plan = plan(&member.content, &member.layout, &known, Some(&absent))?;
    plan.was_cut_short |= is_in_doubt;
    let proven = durable.proven(number);
    let doubted = proven
        .iter()
        .filter(|piece| !plan.trust.get(PieceIndex(*piece)));
    let doubted: IndexSet = doubted.collect();
    if !doubted.is_empty() {
        durable.forget(member, number, &doubted);
        tell_changes(member, &plan, Check::Auto);
    }
    Ok(Some(plan))
}

fn open_files(known: &Known) -> IndexSet {
    let open = known
        .files
        .iter()
        .filter(|(_, then)| **then == FileThen::Opened);
    open.map(|(file, _)| *file).collect()
}

/// Takes note of the torrent and of what is not to be believed of it any more.
fn enroll(
    store: &Store,
    member: &Member,
    anew: bool,
    plan: Option<&Plan>,
) -> Result<u32, StateError> {
    member.save_in(store)?;
    let number = store.enroll(origin(member), anew)?;
    let Some((plan, (_, known))) = plan.zip(store.known(member.info_hash)) else {
        return Ok(number);
    };
    let doubted: IndexSet = known
        .pieces
        .iter()
        .filter(|piece| !plan.trust.get(PieceIndex(*piece)))
        .collect();
    let records: Vec<Record> = spans(&doubted)
        .into_iter()
        .map(|pieces| Record::Forgotten {
            torrent: number,
            pieces,
        })
        .collect();
    store.write(&records)?;
    Ok(number)
}

fn origin(member: &Member) -> Origin {
    let identity = member.content.identity().ok();
    Origin {
        info_hash: *member.info_hash.as_bytes(),
        device: identity.map_or(0, |identity| identity.device),
        inode: identity.map_or(0, |identity| identity.inode),
        directory: directory_bytes(&member.content.directory()),
    }
}

/// Files may be written from when this returns. Blocks the thread.
pub(super) fn open(member: &Member, looked: bool) {
    if let (Some(session), Some(&number)) = (member.session.upgrade(), member.number.get()) {
        session.durable.open(member, number, looked);
    }
}

/// The directory is there; it may have been made just now. Blocks the thread.
pub(super) fn is_placed(member: &Member) {
    let (Some(session), Some(&number)) = (member.session.upgrade(), member.number.get()) else {
        return;
    };
    let durable = &session.durable;
    if let Some(store) = durable.store()
        && number < UNRECORDED
        && let Err(error) = store.enroll(origin(member), false)
    {
        durable.cannot_keep(member, &error);
    }
}

/// The content is in another directory now, and what is proven of it stays proven, also where the file system there has
/// given copies another time.
pub(super) fn moved(member: &Member, retimed: &[Retimed]) {
    if let Some(session) = member.session.upgrade()
        && let Some(store) = session.durable.store()
        && let Some((torrent, known)) = store.known(member.info_hash)
    {
        let as_left = |retimed: &&Retimed| {
            let then = known.files.get(&retimed.file.0);
            then == Some(&FileThen::Closed(stamp(retimed.before)))
        };
        let closed = retimed.iter().filter(as_left);
        let closed = closed.map(|retimed| Record::Closed {
            torrent,
            file: retimed.file.0,
            stamp: stamp(retimed.after),
        });
        if let Err(error) = store.moved(origin(member), closed.collect()) {
            session.durable.cannot_keep(member, &error);
        }
    }
}

fn tell_changes(member: &Member, plan: &Plan, check: Check) {
    let Some(session) = member.session.upgrade() else {
        return;
    };
    let tell = |message| {
        let kind = "file";
        session
            .events
            .send(member.info_hash, EventKind::Warning { kind, message });
    };
    for change in plan.changes.iter().take(CHANGES_NAMED) {
        let (file, what) = match change {
            Change::Missing(file) => (file, "is gone, and is downloaded again"),
            Change::Short(file) => (
                file,
                "is shorter than it was left; what is missing is downloaded again",
            ),
            Change::Touched(file) if check == Check::Never => {
                (file, "was changed by somebody else, and counts as missing")
            }
            Change::Touched(file) => (file, "was changed by somebody else, and is hashed again"),
        };
        let path = member.content.path(*file);
        tell(format!("{} {what}", path.display()));
    }
    let more = plan.changes.len().saturating_sub(CHANGES_NAMED);
    if more > 0 {
        tell(format!("{more} more files are gone, short or changed"));
    }
}

/// A torrent that has failed is about to go on: whoever waits for it need not give it up yet.
struct Mending(Arc<Member>);

impl Mending {
    fn begin(member: &Arc<Member>) -> Self {
        member.is_mending.store(true, Ordering::Relaxed);
        Self(Arc::clone(member))
    }
}

impl Drop for Mending {
    fn drop(&mut self) {
        self.0.is_mending.store(false, Ordering::Relaxed);
        self.0.changed.notify_waiters();
    }
}

/// Hashes what a failed sync has put in doubt, from the disk and not from memory, and lets the torrent go on.
pub(super) fn recheck_doubtful(member: &Arc<Member>, recheck: u64, doubtful: Vec<PieceIndex>) {
    let Some(session) = member.session.upgrade() else {
        return;
    };
    let mending = Mending::begin(member);
    let work = move |stop: &AtomicBool| {
        let member = &mending.0;
        member.contained(|| settle_doubt(member, recheck, doubtful, stop));
    };
    if let Err(error) = session.checks.spawn("recheck", work) {
        tracing::warn!(%error, "cannot start a thread to check");
        if let Some(&number) = member.number.get() {
            session.durable.give_up(number, recheck);
        }
    }
}

fn settle_doubt(
    member: &Arc<Member>,
    mut recheck: u64,
    mut doubtful: Vec<PieceIndex>,
    stop: &AtomicBool,
) {
    let (Some(session), Some(&number)) = (member.session.upgrade(), member.number.get()) else {
        return;
    };
    loop {
        match read_back(member, &session, recheck, doubtful, stop) {
            Judged::Settled => break,
            Judged::More(_) => return session.durable.give_up(number, recheck),
            // It is found out only now what else is gone.
            Judged::Overtaken => match session.durable.take_doubtful(number) {
                Doubtful::Pieces(again, pieces) => (recheck, doubtful) = (again, pieces),
                Doubtful::Nothing | Doubtful::UnderWay => return,
            },
        }
    }
    // Whoever has paused it meanwhile is not overruled.
    if !member.settings().paused {
        member.handle(Input::Command(Command::Resume));
        relocate::try_again(member);
        selection::obey_again(member);
    }
    if member.owes_completion.load(Ordering::Relaxed)
        && matches!(member.state(), State::Seeding | State::Finished)
    {
        perform::complete(&session, member);
    }
}

/// Reads what is in doubt from the disk, and what has come meanwhile. `More` if the disk fails again, or it is to `stop`.
fn read_back(
    member: &Arc<Member>,
    session: &Inner,
    recheck: u64,
    mut doubtful: Vec<PieceIndex>,
    stop: &AtomicBool,
) -> Judged {
    let Some(&number) = member.number.get() else {
        return Judged::Overtaken;
    };
    member.content.doubt_no_more();
    let (mut good, mut lost) = (IndexSet::default(), IndexSet::default());
    loop {
        let mut unread: BTreeSet<PieceIndex> = doubtful.iter().copied().collect();
        let found = |piece: PieceIndex, is_good| {
            if is_good {
                unread.remove(&piece);
                good.insert(piece.0);
                member.content.mark_written(piece);
            }
        };
        let checked = member.content.recheck(&doubtful, true, stop, found);
        if stop.load(Ordering::Relaxed) {
            // What was not read stays in doubt, for the next run.
            return Judged::More(doubtful);
        }
        // What could not be read is not claimed either.
        unread.iter().for_each(|piece| lost.insert(piece.0));
        member.handle(Input::Lost(unread.into_iter().collect()));
        match checked {
            Ok(unreadable) => check::warn_of(member, &unreadable),
            Err(error) => {
                tracing::warn!(%error, "the disk still fails");
                return Judged::More(doubtful);
            }
        }
        match session.durable.judge(number, recheck, &good, &lost) {
            Judged::More(more) => doubtful = more,
            judged => return judged,
        }
    }
}

/// How the settings of a torrent name its directory.
pub(super) fn directory_bytes(path: &Path) -> Vec<u8> {
    let absolute = std::path::absolute(path);
    let absolute = absolute.unwrap_or_else(|_| path.to_owned());
    absolute.as_os_str().as_bytes().to_vec()
}
