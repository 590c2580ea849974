//! A download directory, and files opened beneath it without ever leaving it.
//!
//! Names in a torrent are sanitized before they come here; this file makes sure that what stands on the disk cannot
//! lead astray either: no component may be a symbolic link, so a link planted in the directory (or swapped in while
//! we run) is refused, not followed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, ResolveFlags, mkdirat, openat, openat2, renameat,
    renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::DiskError;

const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);

/// See the module.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    directory: OwnedFd,
    /// The directories above it have been synced.
    is_named: Mutex<bool>,
    /// Syncs of the whole file system that failed. The system tells each failure once, to whoever asks first, and
    /// torrents share a root.
    failures: Mutex<u64>,
    /// The kernel does not know `openat2`, or a sandbox forbids it: found out once.
    walks: AtomicBool,
}

impl Root {
    /// Opens the directory at `path`, which is the user's choice: links on the way to it are followed. With `create`,
    /// it and its parents are made if they are not there.
    pub(crate) fn open(path: &Path, create: bool) -> Result<Self, DiskError> {
        if create {
            std::fs::create_dir_all(path)
                .map_err(|e| DiskError::new("create directory", path, e))?;
        }
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let directory = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| DiskError::new("open directory", path, errno.into()))?;
        Ok(Self {
            path: path.to_owned(),
            directory,
            is_named: Mutex::new(false),
            failures: Mutex::new(0),
            walks: AtomicBool::new(false),
        })
    }

    /// Opens a file that is there, for reading.
    pub(crate) fn open_read(&self, relative: &Path) -> Result<File, DiskError> {
        self.open_with(relative, OFlags::RDONLY)
            .and_then(regular)
            .map_err(|error| self.error("open", relative, error))
    }

    /// Opens a file for reading and writing; it and the directories above it are made if they are not there.
    pub(crate) fn open_write(&self, relative: &Path) -> Result<File, DiskError> {
        let flags = OFlags::RDWR | OFlags::CREATE;
        let opened = match self.open_with(relative, flags) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_parents(relative)?;
                self.open_with(relative, flags)
            }
            other => other,
        };
        let opened = opened.and_then(regular);
        opened.map_err(|error| self.error("open for writing", relative, error))
    }

    /// Makes the names of these files survive a power cut: every directory from them up to the root, and once for each
    /// root those above it, since any of them may have been made for us.
    pub(crate) fn sync_names<'a>(
        &self,
        files: impl IntoIterator<Item = &'a Path>,
    ) -> Result<(), DiskError> {
        let mut directories = BTreeSet::new();
        for file in files {
            directories.extend(file.ancestors().skip(1));
        }
        for relative in directories {
            let components: Vec<&OsStr> = relative.iter().collect();
            let directory = self
                .walk(&components, false)
                .map_err(|error| self.error("open directory", relative, error))?;
            let synced = match &directory {
                Some(directory) => rustix::fs::fsync(directory),
                None => rustix::fs::fsync(&self.directory),
            };
            tolerate(synced).map_err(|error| self.error("sync", relative, error))?;
        }
        // Held meanwhile: another torrent in this directory must not take for done what is being done.
        let mut is_named = self.is_named.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_named {
            self.sync_above()?;
            *is_named = true;
        }
        Ok(())
    }

    fn sync_above(&self) -> Result<(), DiskError> {
        let here = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        for above in here.ancestors().skip(1) {
            let directory = match File::open(above) {
                Ok(directory) => directory,
                // One that we may not read is not one that we have made.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
                Err(error) => return Err(DiskError::new("open directory", above, error)),
            };
            tolerate(rustix::fs::fsync(&directory))
                .map_err(|error| DiskError::new("sync", above, error))?;
        }
        Ok(())
    }

    /// Makes everything on this file system survive a power cut. `seen` is how many such syncs had failed when the
    /// caller asked last: one that failed since, for whomever, has failed for the caller as well.
    pub(crate) fn sync_everything(&self, seen: &AtomicU64) -> Result<(), DiskError> {
        // Held meanwhile, so that nobody passes between the failure and its count.
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let synced = rustix::fs::syncfs(&self.directory);
        *failures += u64::from(synced.is_err());
        let missed = seen.swap(*failures, Ordering::Relaxed) != *failures;
        match synced {
            Ok(()) if missed => Err(Errno::IO),
            other => other,
        }
        .map_err(|errno| DiskError::new("sync", &self.path, errno.into()))
    }

    /// How many syncs of the whole file system have failed.
    pub(crate) fn failures(&self) -> u64 {
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Device and number of the directory.
    pub(crate) fn identity(&self) -> Result<(u64, u64), DiskError> {
        rustix::fs::fstat(&self.directory)
            .map(|stat| (stat.st_dev, stat.st_ino))
            .map_err(|errno| DiskError::new("look at", &self.path, errno.into()))
    }

    /// What is known of a regular file, or `None` if there is none of that name.
    pub(crate) fn look(&self, relative: &Path) -> Result<Option<Metadata>, DiskError> {
        match self.open_with(relative, OFlags::RDONLY) {
            Ok(file) => {
                let meta = file
                    .metadata()
                    .map_err(|error| self.error("look at", relative, error))?;
                Ok(meta.is_file().then_some(meta))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error("open", relative, error)),
        }
    }

    /// The size of a regular file, or `None` if there is none of that name.
    pub(crate) fn file_size(&self, relative: &Path) -> Result<Option<u64>, DiskError> {
        Ok(self.look(relative)?.map(|meta| meta.len()))
    }

    /// Whether anything at all has this name: a file, a directory, a link.
    pub(crate) fn is_taken(&self, relative: &Path) -> Result<bool, DiskError> {
        let look = || -> io::Result<()> {
            let (parents, name) = split(relative)?;
            let parent = self.walk(&parents, false)?;
            let directory = parent.as_ref().unwrap_or(&self.directory);
            statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok(())
        };
        match look() {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.error("look at", relative, error)),
        }
    }

    /// Gives a file another name, here or below another root on the same file system, with the directories above it.
    /// Nothing that is there is replaced.
    pub(crate) fn rename(&self, from: &Path, into: &Self, to: &Path) -> Result<(), DiskError> {
        into.make_parents(to)?;
        let rename = || -> io::Result<()> {
            let (parents, old) = split(from)?;
            let old_parent = self.walk(&parents, false)?;
            let old_parent = old_parent.as_ref().unwrap_or(&self.directory);
            let (parents, new) = split(to)?;
            let new_parent = into.walk(&parents, false)?;
            let new_parent = new_parent.as_ref().unwrap_or(&into.directory);
            match renameat_with(old_parent, old, new_parent, new, RenameFlags::NOREPLACE) {
                // Some file systems cannot promise that: then look first.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    match statat(new_parent, new, AtFlags::SYMLINK_NOFOLLOW) {
                        Err(Errno::NOENT) => Ok(renameat(old_parent, old, new_parent, new)?),
                        Ok(_) => Err(Errno::EXIST.into()),
                        Err(errno) => Err(errno.into()),
                    }
                }
                other => Ok(other?),
            }
        };
        rename().map_err(|error| into.error("move a file to", to, error))
    }

    /// Removes a file; one that is not there is no fault.
    pub(crate) fn remove_file(&self, relative: &Path) -> Result<(), DiskError> {
        let remove = || -> io::Result<()> {
            let (parents, name) = split(relative)?;
            let parent = self.walk(&parents, false)?;
            match &parent {
                Some(parent) => unlinkat(parent, name, AtFlags::empty())?,
                None => unlinkat(&self.directory, name, AtFlags::empty())?,
            }
            Ok(())
        };
        match remove() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(|error| self.error("remove", relative, error)),
        }
    }

    /// Removes a directory if there is nothing in it.
    pub(crate) fn remove_empty_directory(&self, relative: &Path) {
        let remove = || -> io::Result<()> {
            let (parents, name) = split(relative)?;
            let parent = self.walk(&parents, false)?;
            match &parent {
                Some(parent) => unlinkat(parent, name, AtFlags::REMOVEDIR)?,
                None => unlinkat(&self.directory, name, AtFlags::REMOVEDIR)?,
            }
            Ok(())
        };
        if let Err(error) = remove() {
            tracing::debug!(path = %relative.display(), %error, "the directory stays");
        }
    }

    /// Whether the directory entry of the root itself is still the one that was opened.
    pub(crate) fn is_unchanged(&self) -> bool {
        let now = statat(rustix::fs::CWD, &self.path, AtFlags::empty());
        let then = rustix::fs::fstat(&self.directory);
        matches!((now, then), (Ok(now), Ok(then)) if now.st_dev == then.st_dev && now.st_ino == then.st_ino)
    }

    fn error(&self, action: &'static str, relative: &Path, error: io::Error) -> DiskError {
        // To join nothing would add a slash.
        let path = match relative.as_os_str().is_empty() {
            true => self.path.clone(),
            false => self.path.join(relative),
        };
        DiskError::new(action, &path, error)
    }

    fn open_with(&self, relative: &Path, flags: OFlags) -> io::Result<File> {
        // Whatever stands there: a pipe is not waited for, and a terminal does not become ours.
        let careful = OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = flags | careful | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        // The call refuses a mode for a file that it is not to make.
        let mode = if flags.contains(OFlags::CREATE) {
            Mode::from_raw_mode(0o666)
        } else {
            Mode::empty()
        };
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        if self.walks.load(Ordering::Relaxed) {
            return self.walk_open(relative, flags, mode);
        }
        match openat2(&self.directory, relative, flags, mode, resolve) {
            Ok(file) => Ok(File::from(file)),
            // Kernels before 5.6 and some sandboxes do not know the call: walk there component by component.
            Err(Errno::NOSYS) => {
                self.walks.store(true, Ordering::Relaxed);
                self.walk_open(relative, flags, mode)
            }
            Err(Errno::PERM) => self.walk_open(relative, flags, mode),
            Err(errno) => Err(errno.into()),
        }
    }

    fn walk_open(&self, relative: &Path, flags: OFlags, mode: Mode) -> io::Result<File> {
        let (parents, name) = split(relative)?;
        let parent = self.walk(&parents, false)?;
        let file = match &parent {
            Some(parent) => openat(parent, name, flags, mode),
            None => openat(&self.directory, name, flags, mode),
        };
        Ok(File::from(file?))
    }

    fn make_parents(&self, relative: &Path) -> Result<(), DiskError> {
        let (parents, _) =
            split(relative).map_err(|error| self.error("use the name", relative, error))?;
        self.walk(&parents, true)
            .map(drop)
            .map_err(|error| self.error("create the directory of", relative, error))
    }

    /// Goes down component by component, following no link.
    fn walk(&self, components: &[&OsStr], create: bool) -> io::Result<Option<OwnedFd>> {
        let mut here: Option<OwnedFd> = None;
        for component in components {
            let next = match &here {
                Some(directory) => step(directory, component, create)?,
                None => step(&self.directory, component, create)?,
            };
            here = Some(next);
        }
        Ok(here)
    }
}

/// Content is in files; to read or write anything else may do anything.
fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    // The kind that stands for "something else is in the way".
    let kind = io::ErrorKind::IsADirectory;
    Err(io::Error::new(kind, "it is not a file"))
}

/// Some file systems know no sync of a directory, and one that is mounted read-only has nothing to sync.
fn tolerate(synced: rustix::io::Result<()>) -> io::Result<()> {
    match synced {
        Ok(()) | Err(Errno::INVAL | Errno::ROFS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn step(directory: &OwnedFd, component: &OsStr, create: bool) -> io::Result<OwnedFd> {
    match openat(directory, component, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) if create => {
            match mkdirat(directory, component, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            Ok(openat(directory, component, DIRECTORY, Mode::empty())?)
        }
        other => Ok(other?),
    }
}

/// The directories above a file, and its name. Only plain components: anything else was never made by the sanitizer.
fn split(relative: &Path) -> io::Result<(Vec<&OsStr>, &OsStr)> {
    let mut parts = Vec::new();
    for component in relative.components() {
        let Component::Normal(part) = component else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the path leaves the directory",
            ));
        };
        parts.push(part);
    }
    let name = parts
        .pop()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path is empty"))?;
    Ok((parts, name))
}

/// Bytes that we may still write where `path` is, or will be.
pub(crate) fn free_space(path: &Path) -> Result<u64, DiskError> {
    let mut there = path;
    loop {
        match rustix::fs::statvfs(there) {
            Ok(stat) => return Ok(stat.f_bavail.saturating_mul(stat.f_frsize)),
            Err(Errno::NOENT) => match there.parent() {
                Some(parent) if parent.as_os_str().is_empty() => there = Path::new("."),
                Some(parent) => there = parent,
                None => return Err(DiskError::new("look at", path, Errno::NOENT.into())),
            },
            Err(errno) => return Err(DiskError::new("look at", path, errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Root;
    use std::io::Write;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::sync::atomic::AtomicU64;

    /// Both ways of opening: with `openat2`, and as on kernels that do not know it.
    fn both_ways(check: impl Fn(&tempfile::TempDir, Root)) {
        for walks in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let root = Root::open(&dir.path().join("root"), true).unwrap();
            root.walks
                .store(walks, std::sync::atomic::Ordering::Relaxed);
            check(&dir, root);
        }
    }

    #[test]
    fn files_are_made_with_their_directories_and_stay_beneath() {
        both_ways(|_, root| {
            let mut file = root.open_write(Path::new("a/b/c.bin")).unwrap();
            file.write_all(b"x").unwrap();
            assert_eq!(root.file_size(Path::new("a/b/c.bin")).unwrap(), Some(1));
            assert!(root.open_read(Path::new("a/b/c.bin")).is_ok());
            assert_eq!(root.file_size(Path::new("a/none")).unwrap(), None);
            assert_eq!(
                root.file_size(Path::new("a/b")).unwrap(),
                None,
                "a directory is not a file"
            );
            assert!(root.open_write(Path::new("../out")).is_err());
            assert!(root.open_write(Path::new("/etc/passwd")).is_err());
            assert!(root.is_unchanged());
        });
    }

    #[test]
    fn the_directory_itself_is_named_without_a_slash_behind_it() {
        let root = Root::open(Path::new("/tmp"), false).unwrap();
        let error = root.error("sync", Path::new(""), rustix::io::Errno::IO.into());
        assert!(
            error.to_string().starts_with("cannot sync /tmp: "),
            "{error}"
        );
    }

    #[test]
    fn links_are_refused_wherever_they_stand() {
        both_ways(|dir, root| {
            let outside = dir.path().join("outside");
            std::fs::create_dir(&outside).unwrap();
            std::fs::write(outside.join("canary"), b"safe").unwrap();
            symlink(&outside, root.path.join("dir")).unwrap();
            symlink(outside.join("canary"), root.path.join("file")).unwrap();
            assert!(root.open_write(Path::new("dir/canary")).is_err());
            assert!(root.open_write(Path::new("dir/new/deep")).is_err());
            assert!(root.open_write(Path::new("file")).is_err());
            assert!(root.open_read(Path::new("file")).is_err());
            assert!(root.remove_file(Path::new("dir/canary")).is_err());
            root.remove_empty_directory(Path::new("dir"));
            assert_eq!(std::fs::read(outside.join("canary")).unwrap(), b"safe");
            assert!(!outside.join("new").exists());
        });
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
        both_ways(|_, root| {
            let pipe = root.path.join("pipe");
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            let fifo = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, &pipe, fifo, mode, 0).unwrap();
            let (done, wait) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                let path = Path::new("pipe");
                let read = root.open_read(path).map(drop);
                let written = root.open_write(path).map(drop);
                let _ = done.send((read, written, root.file_size(path)));
            });
            let patience = std::time::Duration::from_secs(60);
            let (read, written, size) = wait.recv_timeout(patience).expect("it hangs at the pipe");
            for refused in [read, written] {
                assert_eq!(refused.unwrap_err().fault(), crate::disk::Fault::InTheWay);
            }
            assert_eq!(size.unwrap(), None);
        });
    }

    #[test]
    fn a_failed_sync_of_the_file_system_has_failed_for_all_who_share_the_root() {
        both_ways(|_, root| {
            let (one, other) = (AtomicU64::new(0), AtomicU64::new(0));
            root.sync_everything(&one).unwrap();
            // The system tells the first who asks, and nobody else.
            *root.failures.lock().unwrap() += 1;
            for seen in [one, other] {
                assert!(root.sync_everything(&seen).unwrap_err().is_final());
                root.sync_everything(&seen).unwrap();
            }
        });
    }

    #[test]
    fn a_directory_that_was_replaced_is_noticed() {
        both_ways(|dir, root| {
            std::fs::rename(dir.path().join("root"), dir.path().join("away")).unwrap();
            assert!(!root.is_unchanged());
            std::fs::create_dir(dir.path().join("root")).unwrap();
            assert!(!root.is_unchanged(), "another one of the same name");
        });
    }
}
