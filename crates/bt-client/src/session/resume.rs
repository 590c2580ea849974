//! What a torrent knows of an earlier run when it begins, and what it has to find out.
//!
//! The decision itself is made on plain data, in the state room; here it gets that data, and its verdicts are recorded.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bt_metainfo::{FileIndex, Layout, Metainfo, PieceIndex};
use bt_wire::Bitfield;

use super::config::Check;
use super::durable::{Durable, stamp};
use super::events::EventKind;
use super::member::Member;
use super::relocate;
use crate::disk::{Content, Disk, DiskError, Site};
use crate::engine::{Command, Input};
use crate::error::Error;
use crate::state::knowledge::{
    Change, FileNow, FileThen, IndexSet, Known, Origin, Plan, Record, decide, is_elsewhere, spans,
};
use crate::state::{StateError, Store};

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
    let known = known
        .filter(|known| known.origin.directory == directory_bytes(&member.content.directory()));
    let plan = match (&known, check) {
        (Some(known), Check::Auto) => {
            let split = store.settings(member.info_hash);
            let split = split.map_or(Vec::new(), |settings| settings.absent);
            let files: Vec<FileIndex> = split.iter().copied().map(FileIndex).collect();
            member.settings().absent = split;
            Some(plan(&member.content, &member.layout, known, &files)?)
        }
        _ => None,
    };
    let identity = member.content.identity()?;
    if let (Some(known), Some(plan)) = (&known, &plan)
        && is_elsewhere(&known.origin, identity.device, plan)
    {
        return Err(Error::Elsewhere(member.content.directory()));
    }
    let anew = matches!(check, Check::Always | Check::Never | Check::Proven);
    match enroll(store, member, anew, plan.as_ref()) {
        Ok(number) => {
            let open = known.filter(|_| !anew).map(|known| open_files(&known));
            let proven = plan.as_ref().map_or(&nothing, |plan| &plan.trust);
            durable.enter(member, Some(number), proven, open.unwrap_or_default());
        }
        Err(error) => {
            durable.cannot_keep(member, &error);
            durable.enter(member, None, &nothing, IndexSet::default());
        }
    }
    if let Some(plan) = &plan {
        tell_changes(member, plan);
    }
    Ok(plan)
}

/// `split` are files that may be there and among the parts as well.
fn plan(
    content: &Content,
    layout: &Layout,
    known: &Known,
    split: &[FileIndex],
) -> Result<Plan, DiskError> {
    let apart = content.find_apart(split)?;
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
    let Ok(disk) = Disk::start(0) else {
        return false;
    };
    let layout = Arc::new(metainfo.info().layout().clone());
    let saved = metainfo
        .info_hash_v1()
        .and_then(|hash| store.settings(hash));
    let saved = saved.map(|saved| relocate::site(&saved.stand));
    let content = Content::new(
        &disk,
        Arc::new(metainfo.clone()),
        Arc::clone(&layout),
        saved.unwrap_or_else(|| Site::plain(dir.to_owned())),
        Box::new(|_| {}),
    );
    let plan = plan(&content, &layout, &known, &[]);
    disk.stop();
    directory_bytes(&content.directory()) == directory_bytes(dir)
        && known.origin.directory == directory_bytes(dir)
        && plan.is_ok_and(|plan| plan.trust.is_full())
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
    store.save(&member.metainfo, &member.settings())?;
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

/// The directory is there, and files may be written from when this returns. Blocks the thread.
pub(super) fn open(member: &Member, looked: bool) {
    let (Some(session), Some(&number)) = (member.session.upgrade(), member.number.get()) else {
        return;
    };
    let durable = &session.durable;
    if let Some(store) = durable.store()
        && number < super::durable::UNRECORDED
        // It may have been made just now.
        && let Err(error) = store.enroll(origin(member), false)
    {
        durable.cannot_keep(member, &error);
    }
    durable.open(member, number, looked);
}

/// The content is in another directory now, and what is proven of it stays proven.
pub(super) fn moved(member: &Member) {
    if let Some(session) = member.session.upgrade()
        && let Some(store) = session.durable.store()
        && let Err(error) = store.moved(origin(member))
    {
        session.durable.cannot_keep(member, &error);
    }
}

fn tell_changes(member: &Member, plan: &Plan) {
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

/// Hashes what a failed sync has put in doubt, from the disk and not from memory, and lets the torrent go on.
pub(super) fn recheck_doubtful(member: &Arc<Member>, doubtful: Vec<PieceIndex>) {
    let owner = Arc::clone(member);
    let work = move || {
        let member = owner;
        let mut lost = doubtful
            .iter()
            .copied()
            .collect::<std::collections::BTreeSet<_>>();
        let mut good = Vec::new();
        let never = AtomicBool::new(false);
        let checked = member
            .content
            .recheck(&doubtful, true, &never, |piece, is_good| {
                if is_good {
                    lost.remove(&piece);
                    good.push(piece);
                }
            });
        for piece in good {
            member.content.mark_written(piece);
            member.note(piece);
        }
        // What could not be read is not claimed either.
        member.handle(Input::Lost(lost.into_iter().collect()));
        match checked {
            Ok(()) => {
                member.handle(Input::Command(Command::Resume));
                relocate::try_again(&member);
            }
            Err(error) => tracing::warn!(%error, "the disk still fails"),
        }
    };
    if let Err(error) = std::thread::Builder::new()
        .name("recheck".to_owned())
        .spawn(work)
    {
        tracing::warn!(%error, "cannot start a thread to check");
    }
}

/// How the settings of a torrent name its directory.
pub(super) fn directory_bytes(path: &Path) -> Vec<u8> {
    let absolute = std::path::absolute(path);
    let absolute = absolute.unwrap_or_else(|_| path.to_owned());
    absolute.as_os_str().as_bytes().to_vec()
}
