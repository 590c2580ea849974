//! One session's directory: the journal, and of each torrent a copy and its settings.
//!
//! The copies are what everything else can be rebuilt from: without a journal content is hashed again, without settings
//! a torrent goes on where the journal says that it was.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bt_metainfo::{InfoHash, Metainfo};

use super::StateError;
use super::home::is_same_place;
use super::journal::{Journal, Notice};
use super::knowledge::{Known, Origin, Record, Settings, Stand};
use super::lock::Lock;
use super::reserve::Reserve;
use super::storage::{Folder, Storage};
use crate::limits::{CHECKPOINT_AFTER, DYING_PROCESS};

/// The folder of torrents and settings.
const TORRENTS: &str = "torrents";
const TORRENT: &str = ".torrent";
const SETTINGS: &str = ".settings";

/// A torrent of an earlier run.
#[derive(Debug, Clone)]
pub struct Saved {
    /// What it holds.
    pub metainfo: Metainfo,
    /// What its owner decided.
    pub settings: Settings,
}

#[derive(Debug)]
struct Inner {
    torrents: Folder,
    journal: Mutex<Journal<Folder>>,
    notices: Mutex<Vec<String>>,
    path: PathBuf,
    reserve: Reserve,
    /// Files that could not be put in place for good may be there and not survive a power cut.
    unsure: AtomicBool,
    /// `None` once the store is closed: nothing may be written any more.
    lock: Mutex<Option<Lock>>,
}

/// One session's directory of state: the journal of proven pieces, and of each torrent a copy and its settings. Clones
/// are the same store; the directory is free again when it is closed or the last is dropped.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

impl Store {
    /// Opens the directory, making it if it is not there, and takes it for this store alone. Files that cannot be used
    /// are set aside under another name, which [`Store::take_notices`] tells. One that is in use is waited for for up to
    /// two seconds, because a process that was killed may still be ending. Blocks the thread.
    ///
    /// # Errors
    /// If it is in use, or the system refuses.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let folder = Folder::open(path).map_err(StateError::io("make the directory", path))?;
        let lock = Lock::exclusive(path, DYING_PROCESS)?;
        // Before anything is written: what the last run has left is for a disk that is full now.
        let reserve = Reserve::take(path);
        let place = path.join(TORRENTS);
        let torrents = reserve.spend(|| Folder::open(&place));
        let torrents = torrents.map_err(StateError::io("make the directory", &place))?;
        let file = path.join("journal");
        let had_journal = file.exists();
        let journal = open_journal(&reserve, &folder);
        let (journal, found) = journal.map_err(StateError::io("open", &file))?;
        let mut notices: Vec<String> = found
            .iter()
            .map(|notice| format!("{}: {notice}", path.display()))
            .collect();
        let names = torrents.names(TORRENT);
        let names = names.map_err(StateError::io("read the directory", &place))?;
        if !had_journal && !names.is_empty() {
            notices.push(format!(
                "{}: the journal is gone; what is there of {} torrents is found out anew by hashing",
                path.display(),
                names.len()
            ));
        }
        Ok(Self(Arc::new(Inner {
            torrents,
            journal: Mutex::new(journal),
            notices: Mutex::new(notices),
            path: path.to_owned(),
            reserve,
            // Of the last run, nobody knows.
            unsure: AtomicBool::new(true),
            lock: Mutex::new(Some(lock)),
        })))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// What happened to its files that somebody should read; each is told once.
    #[must_use]
    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(
            &mut *self
                .0
                .notices
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    fn notice(&self, text: String) {
        self.0
            .notices
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text);
    }

    fn journal(&self) -> MutexGuard<'_, Journal<Folder>> {
        self.0
            .journal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The torrents of earlier runs. One whose copy or place cannot be made out is left out, with a notice.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn torrents(&self) -> Result<Vec<Saved>, StateError> {
        let folder = &self.0.torrents;
        let names = folder.names(TORRENT);
        let names = names.map_err(StateError::io("read the directory", folder.path()))?;
        Ok(names.iter().filter_map(|name| self.load(name)).collect())
    }

    fn load(&self, name: &str) -> Option<Saved> {
        let folder = &self.0.torrents;
        let bytes = match folder.read(name) {
            Ok(bytes) => bytes?,
            Err(error) => {
                let path = folder.path().join(name);
                self.notice(format!("cannot read {}: {error}", path.display()));
                return None;
            }
        };
        let metainfo = match Metainfo::parse(&bytes) {
            Ok(metainfo) => metainfo,
            Err(error) => {
                self.set_aside(name, &error.to_string(), "add the torrent again");
                return None;
            }
        };
        let info_hash = metainfo.info_hash_v1()?;
        let settings = match self.settings(info_hash) {
            Ok(settings) => settings,
            Err(error) => {
                self.notice(format!(
                    "{error}; the torrent is left out ({})",
                    error.hint()
                ));
                return None;
            }
        };
        let settings = settings.or_else(|| {
            let directory = self.known(info_hash)?.1.origin.directory;
            Some(Settings {
                stand: Stand {
                    directory,
                    ..Stand::default()
                },
                ..Settings::default()
            })
        });
        if settings.is_none() {
            let path = folder.path().join(name);
            self.notice(format!(
                "nothing says where the content of {} is; add it again with its directory",
                path.display()
            ));
        }
        Some(Saved {
            metainfo,
            settings: settings?,
        })
    }

    /// What was decided about one torrent, if that is known and can be made out.
    ///
    /// # Errors
    /// If there is something that the system does not let us read: to go on without it would be to write over it.
    pub fn settings(&self, info_hash: InfoHash) -> Result<Option<Settings>, StateError> {
        let name = name(info_hash, SETTINGS);
        let path = self.0.torrents.path().join(&name);
        let read = self.0.torrents.read(&name);
        let Some(bytes) = read.map_err(StateError::io("read", &path))? else {
            return Ok(None);
        };
        match Settings::decode(&bytes) {
            Ok(settings) => Ok(Some(settings)),
            Err(error) => {
                self.set_aside(&name, &error.to_string(), "the usual settings are used");
                Ok(None)
            }
        }
    }

    fn set_aside(&self, name: &str, why: &str, then: &str) {
        let path = self.0.torrents.path().join(name);
        match self.0.torrents.set_aside(name) {
            Ok(aside) => self.notice(format!(
                "{} is damaged ({why}); it is kept as {aside}, and {then}",
                path.display()
            )),
            Err(error) => self.notice(format!(
                "{} is damaged ({why}) and cannot be renamed: {error}",
                path.display()
            )),
        }
    }

    /// Keeps a copy of the torrent and its settings. What is there already is not written again.
    ///
    /// # Errors
    /// If the system refuses; what was there before is there still.
    pub fn save(&self, metainfo: &Metainfo, settings: &Settings) -> Result<(), StateError> {
        let Some(info_hash) = metainfo.info_hash_v1() else {
            return Ok(());
        };
        let _open = self.while_open()?;
        let folder = &self.0.torrents;
        let files = [
            (name(info_hash, TORRENT), metainfo.to_bytes()),
            (name(info_hash, SETTINGS), settings.encode()),
        ];
        for (name, bytes) in files {
            let path = folder.path().join(&name);
            let there = folder.read(&name);
            if there.is_ok_and(|there| there.as_deref() == Some(&*bytes)) {
                continue;
            }
            // Whatever fails in its middle, it may be there afterwards.
            self.0.unsure.store(true, Ordering::Relaxed);
            let replace = || folder.replace(&name, &bytes);
            let replaced = self.0.reserve.spend(replace);
            replaced.map_err(StateError::io("write", &path))?;
        }
        if self.0.unsure.load(Ordering::Relaxed) {
            let synced = folder.sync_names();
            synced.map_err(StateError::io("sync", folder.path()))?;
            self.0.unsure.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// What is known of a torrent, and its number in the journal.
    #[must_use]
    pub fn known(&self, info_hash: InfoHash) -> Option<(u32, Known)> {
        let journal = self.journal();
        let (number, known) = journal.known().find(*info_hash.as_bytes())?;
        Some((number, known.clone()))
    }

    /// Takes a torrent into the journal, or takes note of where its content is now. What was known of content in
    /// another directory is forgotten, and with `anew` everything is. Returns its number.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn enroll(&self, origin: Origin, anew: bool) -> Result<u32, StateError> {
        let _open = self.while_open()?;
        let mut journal = self.journal();
        let mut records = Vec::new();
        let torrent = match journal.known().find(origin.info_hash) {
            Some((number, known)) if known.origin == origin && !anew => return Ok(number),
            Some((number, known))
                if !anew && is_same_place(&known.origin.directory, &origin.directory) =>
            {
                number
            }
            Some((number, _)) => {
                records.push(Record::Removed { torrent: number });
                journal.known().next_number()
            }
            None => journal.known().next_number(),
        };
        records.push(Record::Added { torrent, origin });
        let written = self.append(&mut journal, &records);
        written.map_err(StateError::io("write", &self.0.path))?;
        Ok(torrent)
    }

    /// Keeps the store open as long as the guard lives.
    fn while_open(&self) -> Result<MutexGuard<'_, Option<Lock>>, StateError> {
        let lock = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            let closed = std::io::Error::other("it has been closed");
            return Err(StateError::io("write", &self.0.path)(closed));
        }
        Ok(lock)
    }

    fn append(&self, journal: &mut Journal<Folder>, records: &[Record]) -> std::io::Result<()> {
        let mut is_second = false;
        let written = (self.0.reserve).spend(|| match std::mem::replace(&mut is_second, true) {
            false => journal.write(records),
            // The records are known by now.
            true => journal.checkpoint(),
        });
        if written.is_err()
            && let Err(error) = journal.disclaim()
        {
            tracing::warn!(%error, "the journal says more than is true, and cannot be removed");
        }
        written
    }

    /// Whether a start after a power cut might believe more of this torrent than is true: what took it back could neither
    /// be recorded nor the journal be removed.
    #[must_use]
    pub fn overclaims(&self, torrent: u32) -> bool {
        self.journal().overclaims(torrent)
    }

    /// The content of a torrent is in another directory now; what is known of it stays known. `then` is recorded with it.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn moved(&self, origin: Origin, then: Vec<Record>) -> Result<(), StateError> {
        let known = self.known(InfoHash::from(origin.info_hash));
        let moved = known
            .filter(|(_, known)| known.origin != origin)
            .map(|(torrent, _)| Record::Added { torrent, origin });
        let records: Vec<Record> = moved.into_iter().chain(then).collect();
        self.write(&records)
    }

    /// Records what is true from now on. When it returns, it survives a power cut.
    ///
    /// # Errors
    /// If the system refuses; the next call writes these records as well. If they take back what was said before, there
    /// is no journal until then, or else [`Store::overclaims`].
    pub fn write(&self, records: &[Record]) -> Result<(), StateError> {
        let _open = self.while_open()?;
        let written = self.append(&mut self.journal(), records);
        written.map_err(StateError::io("write the journal in", &self.0.path))
    }

    /// Forgets a torrent: it is not ours any more.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn remove(&self, info_hash: InfoHash) -> Result<(), StateError> {
        let folder = &self.0.torrents;
        // The torrent first, and for good: settings without a torrent mean nothing, but a torrent without settings begins
        // anew.
        for ending in [TORRENT, SETTINGS] {
            let name = name(info_hash, ending);
            let path = folder.path().join(&name);
            folder
                .remove(&name)
                .and_then(|()| folder.sync_names())
                .map_err(StateError::io("remove", &path))?;
        }
        // Last: a record without a torrent means nothing, a torrent without a record is hashed.
        let torrent = self.known(info_hash).map(|(torrent, _)| torrent);
        let removed = torrent.map(|torrent| Record::Removed { torrent });
        self.write(removed.as_slice())
    }

    /// Says that nothing is under way, and lets the directory go: nothing may be written through this store or a clone
    /// of it any more.
    ///
    /// # Errors
    /// If the system refuses; the directory is free all the same.
    pub fn close(&self) -> Result<(), StateError> {
        let mut lock = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            return Ok(());
        }
        // A clean end leaves nothing that takes room for nothing.
        self.0.reserve.give_up();
        let closed = self.journal().close();
        lock.take();
        closed.map_err(StateError::io("write the journal in", &self.0.path))
    }
}

/// Opens the journal, with the room that was kept where the disk has no other: one that a crash has left is written anew.
pub(super) fn open_journal<S: Storage + Clone>(
    reserve: &Reserve,
    folder: &S,
) -> std::io::Result<(Journal<S>, Vec<Notice>)> {
    reserve.make_room();
    reserve.spend(|| Journal::open(folder.clone(), CHECKPOINT_AFTER))
}

fn name(info_hash: InfoHash, ending: &str) -> String {
    let mut name = String::with_capacity(60);
    let _ = write!(name, "{info_hash}{ending}");
    name
}
