//! The program's directory of state: one place for whatever runs alone, and one for each download that runs beside
//! others.
//!
//! A one-shot command takes the home shared, so that many run at the same time. Nothing takes it alone yet.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bt_metainfo::InfoHash;

use super::lock::Lock;
use super::storage::Folder;
use super::{StateError, Store};
use crate::limits::{DYING_PROCESS, KEPT_DOWNLOADS};

/// Where the directories of one-shot commands are.
const DOWNLOADS: &str = "downloads";

/// The program's directory of state, taken shared by commands that run beside each other; each download has a [`Store`]
/// of its own in it. The lock is held until it is dropped.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    _lock: Lock,
}

/// A directory in which nobody else works on the same torrent until it is dropped.
#[derive(Debug)]
pub struct Place {
    _lock: Lock,
}

impl Home {
    /// For a command that runs beside others.
    ///
    /// # Errors
    /// If somebody has the home alone, or the system refuses.
    pub fn shared(path: &Path) -> Result<Self, StateError> {
        Folder::open(path).map_err(StateError::io("make the directory", path))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: Lock::shared(path)?,
        })
    }

    /// The store of one torrent with its content in this directory. Directories of other downloads that were not used
    /// for long are removed when there are more than [`KEPT_DOWNLOADS`]: their content is hashed if they are ever taken
    /// up again.
    ///
    /// # Errors
    /// If another process has it, or the system refuses.
    pub fn download(&self, info_hash: InfoHash, content: &Path) -> Result<Store, StateError> {
        let store = Store::open(&self.directory(info_hash, content))?;
        prune(&self.path.join(DOWNLOADS), KEPT_DOWNLOADS, store.path());
        Ok(store)
    }

    /// Takes another directory of the same download, where its content is for a while: whoever has it as the one or as
    /// the other is kept out. One that is in use is waited for as by [`Store::open`]. Blocks the thread.
    ///
    /// # Errors
    /// If another process has it, or the system refuses.
    pub fn place(&self, info_hash: InfoHash, content: &Path) -> Result<Place, StateError> {
        let directory = self.directory(info_hash, content);
        Folder::open(&directory).map_err(StateError::io("make the directory", &directory))?;
        Ok(Place {
            _lock: Lock::exclusive(&directory, DYING_PROCESS)?,
        })
    }

    fn directory(&self, info_hash: InfoHash, content: &Path) -> PathBuf {
        let content = settle(content);
        let key = crc32c::crc32c(content.as_os_str().as_encoded_bytes());
        let name = format!("{info_hash}-{key:08x}");
        self.path.join(DOWNLOADS).join(name)
    }
}

/// Whether two spellings of a directory, as the system spells paths, lead to the same one now.
pub(crate) fn is_same_place(one: &[u8], other: &[u8]) -> bool {
    let place = |bytes: &[u8]| settle(Path::new(OsStr::from_bytes(bytes)));
    one == other || place(one) == place(other)
}

/// The path without links, as far as it is there.
fn settle(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut rest = Vec::new();
    let mut here = absolute.as_path();
    loop {
        if let Ok(found) = here.canonicalize() {
            return rest.iter().rev().fold(found, |path, part| path.join(part));
        }
        match (here.parent(), here.file_name()) {
            (Some(parent), Some(name)) => {
                rest.push(name);
                here = parent;
            }
            _ => return absolute,
        }
    }
}

/// Removes the directories that were not used for longest, but none that is in use.
fn prune(all: &Path, keep: usize, own: &Path) {
    let Ok(entries) = std::fs::read_dir(all) else {
        return;
    };
    let used = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified());
    let mut found: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(Result::ok)
        .map(|entry| {
            // One without a journal may be in the making.
            let used = used(&entry.path().join("journal")).or_else(|_| used(&entry.path()));
            (used.unwrap_or(SystemTime::UNIX_EPOCH), entry.path())
        })
        .filter(|(_, path)| path != own)
        .collect();
    if found.len() < keep {
        return;
    }
    found.sort_unstable();
    let surplus = found.len() + 1 - keep;
    for (_, path) in found.into_iter().take(surplus) {
        let Ok(_lock) = Lock::exclusive(&path, Duration::ZERO) else {
            continue;
        };
        if let Err(error) = std::fs::remove_dir_all(&path) {
            tracing::info!(path = %path.display(), %error, "cannot remove the state of an old download");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Home, prune, settle};
    use crate::limits::KEPT_DOWNLOADS;
    use crate::state::{StateError, Store};
    use bt_metainfo::InfoHash;

    #[test]
    fn one_torrent_in_two_directories_is_two_downloads() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::shared(dir.path()).unwrap();
        let beside = Home::shared(dir.path()).unwrap();
        let torrent = InfoHash::from([7; 20]);
        let first = home.download(torrent, &dir.path().join("a")).unwrap();
        let second = beside.download(torrent, &dir.path().join("b")).unwrap();
        assert_ne!(first.path(), second.path());
        let again = beside.download(torrent, &dir.path().join("./a"));
        assert!(matches!(again, Err(StateError::Busy { .. })), "{again:?}");
        drop(first);
        assert!(beside.download(torrent, &dir.path().join("a")).is_ok());
    }

    #[test]
    fn a_directory_that_holds_content_for_a_while_has_one_user_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::shared(dir.path()).unwrap();
        let torrent = InfoHash::from([7; 20]);
        let path = dir.path().join("a");
        let place = home.place(torrent, &path).unwrap();
        assert!(matches!(
            home.place(torrent, &dir.path().join("./a")),
            Err(StateError::Busy { .. })
        ));
        assert!(home.download(torrent, &path).is_err(), "nor as its last");
        let other = InfoHash::from([8; 20]);
        assert!(home.place(other, &path).is_ok(), "another torrent");
        drop(place);
        let store = home.download(torrent, &path).unwrap();
        assert!(home.place(torrent, &path).is_err());
        drop(store);
        assert!(home.place(torrent, &path).is_ok());
    }

    #[test]
    fn old_downloads_make_room_and_those_in_use_stay() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str| Store::open(&dir.path().join(name)).unwrap();
        let _oldest_in_use = open("1");
        drop((open("2"), open("3"), open("4")));
        let own = open("5");
        prune(dir.path(), 3, own.path());
        let mut left: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert!(left.len() >= 3 && left.contains(&"1".into()) && left.contains(&"5".into()));
        assert!(left.len() < 5, "{left:?}");
    }

    #[test]
    fn so_many_downloads_are_remembered_and_one_more_forgets_the_oldest() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::shared(dir.path()).unwrap();
        let all = dir.path().join(super::DOWNLOADS);
        for n in 1..KEPT_DOWNLOADS as u64 {
            let old = all.join(format!("{n:04}"));
            std::fs::create_dir_all(&old).unwrap();
            let journal = std::fs::File::create(old.join("journal")).unwrap();
            let used = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(n);
            journal.set_modified(used).unwrap();
        }
        let count = || std::fs::read_dir(&all).unwrap().count();
        let open = |last| {
            let store = home.download(InfoHash::from([last; 20]), dir.path());
            drop(store.unwrap());
        };
        open(1);
        assert!(all.join("0001").exists() && count() == KEPT_DOWNLOADS);
        open(2);
        assert!(!all.join("0001").exists() && all.join("0002").exists());
        assert_eq!(count(), KEPT_DOWNLOADS, "one above");
        // One that is known takes no room.
        open(1);
        assert!(all.join("0002").exists() && count() == KEPT_DOWNLOADS);
    }

    #[test]
    fn a_directory_in_the_making_does_not_go_before_old_ones() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["1", "2", "3"] {
            drop(Store::open(&dir.path().join(name)).unwrap());
            let journal = dir.path().join(name).join("journal");
            let journal = std::fs::File::options().write(true).open(journal).unwrap();
            journal
                .set_modified(std::time::SystemTime::UNIX_EPOCH)
                .unwrap();
        }
        std::fs::create_dir(dir.path().join("new")).unwrap();
        let own = Store::open(&dir.path().join("own")).unwrap();
        prune(dir.path(), 3, own.path());
        assert!(dir.path().join("new").exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn two_spellings_of_one_directory_are_the_same_place() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("real")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("real"), dir.path().join("link")).unwrap();
        let same = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|name| dir.path().join(name));
            super::is_same_place(one.as_os_str().as_bytes(), other.as_os_str().as_bytes())
        };
        assert!(same("link", "real") && same("real/../link/new", "real/new"));
        assert!(!same("link", "other"));
    }

    #[test]
    fn links_are_followed_as_far_as_there_is_anything() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(&real, real.join("link")).unwrap();
        assert_eq!(settle(&real.join("link/new/er")), real.join("new/er"));
    }
}
