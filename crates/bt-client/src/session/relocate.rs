//! Where the content of a torrent lies: found out when it begins, and changed because the owner says so or because all
//! of it is here.
//!
//! How files are moved is the disk's matter. Here it is kept what was begun, in an order in which the next run finds the
//! content after a crash at any moment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bt_metainfo::{FileIndex, InfoHash, SafePath};

use super::config::{AddTorrent, Check};
use super::events::EventKind;
use super::member::Member;
use super::{perform, resume};
use crate::disk::{DiskError, Ended, Fault, Ground, Moment, Placing, Site, Stage};
use crate::engine::State;
use crate::error::Error;
use crate::limits::{COPY_AGAIN_AT_MOST, LOOK_FOR_ROOM, LOOK_FOR_ROOM_AT_MOST, MAX_SUFFIX_BYTES};
use crate::state::knowledge::{Footing, Leaving, Moving, Settings, Stand};
use crate::state::{Store, is_same_place};

/// One torrent's content goes one way at a time, and not at all when the torrent leaves.
#[derive(Debug, Default)]
pub(super) struct Relocating {
    turn: Mutex<()>,
    cancel: AtomicBool,
    /// How often in a row there was no room for it.
    shortages: AtomicU32,
    /// Why it cannot go where it belongs, as it was told last.
    told: Mutex<Option<String>>,
}

impl Relocating {
    /// Copying ends early, and nothing is begun any more.
    pub(super) fn cancel(&self) {
        self.cancel.store(true, Ordering::Relaxed);
    }

    /// Returns when nothing is on its way, and keeps it so.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of the place of a torrent that is added: where an earlier run has left it, or else where it is to be.
pub(super) fn begin(
    store: Option<&Store>,
    add: &AddTorrent,
    info_hash: InfoHash,
) -> Result<(Settings, bool), Error> {
    let directory = resume::directory_bytes(&add.dir);
    let plain = Stand {
        directory: directory.clone(),
        ..Stand::default()
    };
    let suffix = add.incomplete_suffix.clone().unwrap_or_default();
    if suffix.len() > MAX_SUFFIX_BYTES || suffix.contains(['/', '\0']) {
        return Err(Error::Suffix(suffix));
    }
    let is_of_it = |saved: &Settings| {
        let is_it = |saved: &Vec<u8>| is_same_place(saved, &directory);
        saved.goal.as_ref().is_some_and(is_it) || is_it(&saved.stand.directory)
    };
    let vouched = matches!(add.check, Check::Trust | Check::Proven);
    let saved = match store {
        Some(store) => store.settings(info_hash)?,
        None => None,
    };
    let is_apart = (add.incomplete_dir.is_some() || !suffix.is_empty()) && !vouched;
    // Content that lies where it is to be stays there, but it may have been removed since: then this run says where it
    // is put.
    let is_settled = |saved: &Settings| {
        let stand = Stand {
            directory: directory.clone(),
            ..saved.stand.clone()
        };
        let nothing = Settings::default();
        let on_its_way = (&saved.goal, &saved.moving, &saved.leaving);
        stand == plain && on_its_way == (&nothing.goal, &nothing.moving, &nothing.leaving)
    };
    let saved = saved.filter(|saved| is_of_it(saved) && (!vouched || saved.goal.is_none()));
    let absent = match saved {
        None => Vec::new(),
        Some(saved) if is_apart && is_settled(&saved) && !is_any_at(add) => saved.absent,
        Some(saved) => {
            // Its owner takes the directories as they are now.
            let insists = matches!(add.check, Check::Always | Check::Never);
            let goal_ground = match &saved.goal {
                Some(goal) if insists => footing(&path(goal.clone(), &[])),
                _ => saved.goal_ground,
            };
            let settings = Settings {
                stand: saved.stand,
                goal: saved.goal,
                goal_ground,
                moving: saved.moving,
                leaving: saved.leaving,
                absent: saved.absent,
                ..Settings::default()
            };
            return Ok((settings, false));
        }
    };
    let mut settings = Settings {
        stand: plain.clone(),
        absent,
        ..Settings::default()
    };
    if is_apart {
        if let Some(apart) = &add.incomplete_dir {
            settings.stand.directory = resume::directory_bytes(apart);
        }
        settings.stand.suffix = suffix;
        // Without a difference between the two places there is nothing to move.
        if settings.stand != plain {
            settings.goal_ground = footing(&add.dir);
            settings.goal = Some(directory);
        }
    }
    let is_open = settings.goal.is_some();
    Ok((settings, is_open))
}

/// Whether any file of the content lies where it is to be at last.
fn is_any_at(add: &AddTorrent) -> bool {
    let info = add.metainfo.info();
    let mut files = info.layout().files();
    files.any(|file| {
        add.dir
            .join(info.disk_path(file))
            .symlink_metadata()
            .is_ok()
    })
}

/// Ends what an earlier run has begun. If it `is_open` where the content is, it is where there is any. Blocks the thread.
pub(super) fn mend(member: &Arc<Member>, is_open: bool, check: Check) -> Result<(), Error> {
    let moving = member.settings().moving.clone();
    if let Some(moving) = moving {
        let from = member.content.site();
        let to = site(&moving.to, &member.spellings);
        let stage = match moving.placing {
            true => finish(member, &moving, &to, check)?,
            false => Stage::Abandoned,
        };
        if stage == Stage::Abandoned && moving.copied {
            member.content.drop_copies(&to)?;
        }
        keep(member, &from, &to, stage)?;
    }
    clear(member)?;
    if is_open {
        choose(member)?;
    }
    Ok(())
}

/// Gives the other files their names. When a disk is not mounted, nothing is begun in its place.
fn finish(member: &Member, moving: &Moving, to: &Site, check: Check) -> Result<Stage, Error> {
    let placing = Placing {
        copied: moving.until.map(moment).filter(|_| moving.copied),
        native: moving.native.iter().copied().map(FileIndex).collect(),
    };
    let is_ground_there = moving.ground.as_ref().is_none_or(is_there);
    let content = &member.content;
    match content.finish_relocation(to, &placing, is_ground_there)? {
        Ended::Arrived(retimed) => Ok(Stage::Arrived(retimed)),
        Ended::Back => Ok(Stage::Abandoned),
        Ended::Elsewhere => {
            let insists = matches!(check, Check::Always | Check::Never);
            if !insists && may_know(member) {
                return Err(Error::Elsewhere(to.directory.clone()));
            }
            Ok(Stage::Abandoned)
        }
    }
}

/// Something of the content was proven, or nothing says that nothing was.
fn may_know(member: &Member) -> bool {
    let session = member.session.upgrade();
    let store = session.as_ref().and_then(|session| session.durable.store());
    let known = store.and_then(|store| store.known(member.info_hash));
    known.is_none_or(|(_, known)| !known.pieces.is_empty())
}

/// Removes what is left where the content was.
fn clear(member: &Member) -> Result<(), Error> {
    let leaving = member.settings().leaving.clone();
    let Some(Leaving { from, until }) = leaving else {
        return Ok(());
    };
    let from = site(&from, &member.spellings);
    match member.content.leave(&from, until.map(moment)) {
        Ok(()) => {
            member.settings().leaving = None;
            member.save_now()
        }
        Err(error) => {
            tracing::warn!(%error, "the old copy of the content stays for now");
            Ok(())
        }
    }
}

/// The torrent leaves for good, and no copies stay that nobody knows of any more. To be called with its turn.
pub(super) fn forget(member: &Member) {
    let moving = member.settings().moving.clone();
    // Of a move that was cut short between two names both places are needed.
    if let Some(moving) = moving.filter(|moving| !moving.placing)
        && let Err(error) = member
            .content
            .drop_copies(&site(&moving.to, &member.spellings))
    {
        tracing::warn!(%error, "copies of the content stay");
    }
    if let Err(error) = clear(member) {
        tracing::warn!(%error, "what was left of the content cannot be kept");
    }
}

/// Content that is where it is to be at last stays there.
fn choose(member: &Member) -> Result<(), DiskError> {
    let apart = member.content.site();
    if member.content.is_anything_there()? {
        return Ok(());
    }
    let Some(goal) = member.settings().goal.clone() else {
        return Ok(());
    };
    let at_last = Site::plain(path(goal, &member.spellings));
    member.content.set_site(&at_last);
    if member.content.is_anything_there()? {
        let mut settings = member.settings();
        settings.stand = stand(&at_last);
        settings.goal = None;
        settings.goal_ground = None;
    } else {
        member.content.set_site(&apart);
    }
    Ok(())
}

/// Takes the content to another directory. Blocks the thread.
pub(super) fn move_to(member: &Arc<Member>, directory: &Path) -> Result<(), Error> {
    let bytes = resume::directory_bytes(directory);
    let is_pending = {
        let mut settings = member.settings();
        let is_pending = settings.goal.is_some();
        if is_pending {
            settings.goal = Some(bytes);
            settings.goal_ground = footing(directory);
        }
        is_pending
    };
    if is_pending {
        // It goes there when all of it is here, which may be now.
        member.save_now()?;
        try_again(member);
        return Ok(());
    }
    let mut to = member.content.site();
    to.directory = directory.to_owned();
    run(member, &to)
}

/// Gives a file another path, or with `None` the whole another name. Blocks the thread.
pub(super) fn rename(
    member: &Arc<Member>,
    file: Option<FileIndex>,
    name: &str,
) -> Result<(), Error> {
    let info = member.metainfo.info();
    let safe = SafePath::sanitize(name.split('/').map(str::as_bytes));
    let is_one = safe.components().count() == 1;
    if safe.as_str() != name || (file.is_none() && !is_one) {
        return Err(Error::Name {
            name: name.to_owned(),
            instead: safe.to_string(),
        });
    }
    let mut to = member.content.site();
    match file {
        Some(file) => {
            let entry = info.file(file).filter(|entry| !entry.attributes.pad);
            entry.ok_or(Error::NoSuchFile(file.0))?;
            to.names.insert(file, safe);
        }
        None if info.is_single_file() => {
            to.names.insert(FileIndex(0), safe);
        }
        None => to.top = Some(safe),
    }
    run(member, &to)
}

fn run(member: &Arc<Member>, to: &Site) -> Result<(), Error> {
    let _turn = member.relocating.turn();
    let cancel = &member.relocating.cancel;
    let session = member.session.upgrade();
    let session = session.filter(|_| !cancel.load(Ordering::Relaxed));
    let session = session.ok_or(Error::Stopped)?;
    let from = member.content.site();
    if from == *to {
        return Ok(());
    }
    let mut told = 0;
    let tell = |done, total| {
        // About a hundred times in all.
        if done - told > total / 100 || done == total {
            told = done;
            let kind = EventKind::Moving { done, total };
            session.events.send(member.info_hash, kind);
        }
    };
    let kept = |stage| keep(member, &from, to, stage);
    if let Err(error) = member.content.relocate(to, cancel, kept, tell) {
        if member.settings().moving.as_ref().is_some_and(|m| m.placing) {
            distrust(member);
        }
        return Err(error);
    }
    member.relocating.shortages.store(0, Ordering::Relaxed);
    let directory = to.directory.clone();
    let kind = EventKind::Moved { directory };
    session.events.send(member.info_hash, kind);
    Ok(())
}

/// The next start goes on with files that are not the ones that are written to now: nothing that is written is recorded
/// any more.
fn distrust(member: &Member) {
    if let (Some(session), Some(&number)) = (member.session.upgrade(), member.number.get()) {
        session.durable.mute(number);
    }
}

/// Makes a stage survive a crash.
fn keep(member: &Member, from: &Site, to: &Site, stage: Stage) -> Result<(), Error> {
    let mut must = true;
    let mut had_copies = false;
    match stage {
        Stage::Copying => {
            let mut settings = member.settings();
            let before = settings.moving.replace(Moving {
                to: stand(to),
                copied: true,
                ..Moving::default()
            });
            had_copies = before.is_some_and(|before| before.copied && before.placing);
        }
        Stage::Placing(placing) => {
            let ground = footing(&to.directory);
            member.settings().moving = Some(Moving {
                to: stand(to),
                copied: placing.copied.is_some(),
                placing: true,
                until: placing.copied.map(|until| (until.seconds, until.nanos)),
                native: placing.native.iter().map(|file| file.0).collect(),
                ground,
            });
        }
        Stage::Arrived(retimed) => {
            must = false;
            // The journal first: it speaks of the directory that the settings are about to name.
            resume::moved(member, &retimed);
            let mut settings = member.settings();
            let until = settings.moving.take().and_then(|moving| moving.until);
            settings.leaving = Some(Leaving {
                from: stand(from),
                until,
            });
            settings.stand = stand(to);
            if settings.goal.as_ref() == Some(&settings.stand.directory) && to.suffix.is_empty() {
                settings.goal = None;
                settings.goal_ground = None;
            }
        }
        Stage::Gone => {
            must = false;
            member.settings().leaving = None;
        }
        Stage::Abandoned => {
            must = false;
            member.settings().moving = None;
        }
    }
    match member.save_now() {
        Err(error) if must => {
            if had_copies {
                distrust(member);
            }
            Err(error)
        }
        // It is done, whatever can be kept of it; the next run finds the stage before and ends it.
        Err(error) => {
            tracing::warn!(%error, "where the content is cannot be kept");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// All that is wanted is here and on the disk to stay: it goes where it is to be at last, on a thread of its own, and
/// then whoever waits is told.
pub(super) fn go_home(member: &Arc<Member>) {
    if member.settings().goal.is_none() {
        return perform::completed(member);
    }
    let owner = Arc::clone(member);
    let work = move || {
        let member = owner;
        member.contained(|| match bring_home(&member) {
            Ok(()) => perform::completed(&member),
            Err(Error::Stopped) => {}
            Err(_) if member.relocating.cancel.load(Ordering::Relaxed) => {}
            Err(error) => cannot_go(&member, &error),
        });
    };
    let thread = std::thread::Builder::new().name("move".to_owned());
    if let Err(error) = thread.spawn(work) {
        cannot_go(member, &Error::Threads(error));
    }
}

/// Its owner may name another place meanwhile: then it goes on to that.
fn bring_home(member: &Arc<Member>) -> Result<(), Error> {
    loop {
        let (goal, ground) = {
            let settings = member.settings();
            (settings.goal.clone(), settings.goal_ground.clone())
        };
        let Some(goal) = goal else {
            return Ok(());
        };
        // The disk may have been mounted since.
        if ground.is_some_and(|ground| !is_there(&ground) && !grounded(&ground).is_mounted_over()) {
            return Err(Error::Elsewhere(path(goal, &member.spellings)));
        }
        let to = Site {
            directory: path(goal.clone(), &member.spellings),
            suffix: String::new(),
            ..member.content.site()
        };
        run(member, &to)?;
        // Where it was to go may be where it was.
        let mut settings = member.settings();
        settings.goal.take_if(|now| *now == goal);
        drop(settings);
        member.save_now()?;
    }
}

/// With room it goes by itself; anything else its owner has to look at.
fn cannot_go(member: &Arc<Member>, error: &Error) {
    match error {
        Error::Disk(error) if error.fault() == Fault::Full && error.action != "sync" => {
            // Nothing is wrong where the content is: it is said once, and not at each try.
            let text = error.to_string();
            let told = &member.relocating.told;
            let before = told
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .replace(text);
            if before != Some(error.to_string()) {
                member.disk_failed(error);
            }
            let Some(session) = member.session.upgrade() else {
                return;
            };
            let shortages = member.relocating.shortages.fetch_add(1, Ordering::Relaxed);
            let is_copied = error.action != "move to";
            let wait = wait_for_room(shortages, is_copied);
            let member = Arc::clone(member);
            session.spawn(async move {
                tokio::time::sleep(wait).await;
                go_home(&member);
            });
        }
        Error::Disk(error) => member.disk_failed(error),
        Error::Elsewhere(directory) => member.disk_failed(&DiskError::elsewhere(directory)),
        error => {
            let source = std::io::Error::other(error.to_string());
            let directory = member.content.directory();
            member.disk_failed(&DiskError::new("move the content from", &directory, source));
        }
    }
}

/// That there is no room costs next to nothing to find out; that a disk refuses in spite of what it says of its room has
/// cost a copy, which is thrown away.
fn wait_for_room(shortages: u32, is_copied: bool) -> Duration {
    let at_most = match is_copied {
        true => COPY_AGAIN_AT_MOST,
        false => LOOK_FOR_ROOM_AT_MOST,
    };
    let wait = LOOK_FOR_ROOM.saturating_mul(1 << shortages.min(16));
    wait.min(at_most)
}

/// The torrent works, perhaps again: what is complete and not where it is to be goes there as soon as it is on the disk
/// to stay.
pub(super) fn try_again(member: &Arc<Member>) {
    let is_complete = matches!(member.state(), State::Seeding | State::Finished);
    if member.is_home() || !is_complete {
        return;
    }
    if let Some(session) = member.session.upgrade() {
        perform::complete_when_safe(&session, member);
    }
}

/// What is there of a directory now, as it is kept.
fn footing(directory: &Path) -> Option<Footing> {
    let ground = Ground::of(directory)?;
    Some(Footing {
        path: ground.path.as_os_str().as_bytes().to_vec(),
        device: ground.device,
        inode: ground.inode,
    })
}

/// Whether what was there is there still, on the same disk.
fn is_there(footing: &Footing) -> bool {
    grounded(footing).is_there()
}

fn grounded(footing: &Footing) -> Ground {
    Ground {
        path: OsString::from_vec(footing.path.clone()).into(),
        device: footing.device,
        inode: footing.inode,
    }
}

fn moment((seconds, nanos): (i64, u32)) -> Moment {
    Moment { seconds, nanos }
}

/// As the owner spells it, if that is known.
fn path(bytes: Vec<u8>, spellings: &[PathBuf]) -> PathBuf {
    let spelled = |path: &&PathBuf| resume::directory_bytes(path) == bytes;
    match spellings.iter().find(spelled) {
        Some(path) => path.clone(),
        None => OsString::from_vec(bytes).into(),
    }
}

pub(super) fn site(stand: &Stand, spellings: &[PathBuf]) -> Site {
    let safe = |name: &String| SafePath::sanitize(name.split('/').map(str::as_bytes));
    let names = stand.names.iter();
    Site {
        directory: path(stand.directory.clone(), spellings),
        top: stand.top.as_ref().map(safe),
        names: names
            .map(|(file, name)| (FileIndex(*file), safe(name)))
            .collect(),
        suffix: stand.suffix.clone(),
    }
}

fn stand(site: &Site) -> Stand {
    let names: BTreeMap<u32, String> = site
        .names
        .iter()
        .map(|(file, name)| (file.0, name.to_string()))
        .collect();
    Stand {
        directory: resume::directory_bytes(&site.directory),
        top: site.top.as_ref().map(SafePath::to_string),
        names,
        suffix: site.suffix.clone(),
    }
}
