//! What can go wrong with files, in words for the person whose disk it is.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use thiserror::Error;

use super::claims::Use;

/// A file operation failed.
#[derive(Debug, Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct DiskError {
    /// What was attempted, as a verb: "write", "open".
    pub action: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// The system's answer.
    pub source: io::Error,
}

/// The kinds of faults that ask for different answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The disk or the quota is used up; it passes when there is room.
    Full,
    /// The file system takes no writes.
    ReadOnly,
    /// We may not.
    Denied,
    /// The file, the directory or the whole disk is not there any more.
    Gone,
    /// The file system knows no names, or no files, that are so long.
    TooLong,
    /// A link, a directory or something else stands where a file belongs.
    InTheWay,
    /// Another torrent uses the file.
    Shared,
    /// The process or the system has no descriptors left.
    NoDescriptors,
    /// The device failed, or anything else.
    Io,
}

impl DiskError {
    pub(crate) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// Another directory stands where the opened one was: an unmounted disk leaves an empty one.
    pub(crate) fn replaced(path: &Path) -> Self {
        let source = io::Error::new(
            ErrorKind::StaleNetworkFileHandle,
            "it is not the directory that was used before",
        );
        Self::new("use", path, source)
    }

    /// The directory to which the content is to go at last is on another disk than when it was named.
    pub(crate) fn elsewhere(path: &Path) -> Self {
        let source = io::Error::new(
            ErrorKind::StaleNetworkFileHandle,
            "it is on another disk than when it was named",
        );
        Self::new("bring the content to", path, source)
    }

    /// Another file stands where the one that we write to was, or none does.
    pub(crate) fn exchanged(path: &Path) -> Self {
        let source = io::Error::new(
            ErrorKind::StaleNetworkFileHandle,
            "it was removed or replaced while it was written to",
        );
        Self::new("use the file", path, source)
    }

    /// Another content uses the file that this one is to use.
    pub(super) fn held(path: &Path, how: Use, used_for: Use, other: &str) -> Self {
        let action = match how {
            Use::Reading => "use",
            Use::Writing => "write to",
        };
        let does = match used_for {
            Use::Reading => "has its content in the same file",
            Use::Writing => "writes to the same file",
        };
        let why = format!("the torrent {other} {does}");
        Self::new(action, path, io::Error::new(ErrorKind::ResourceBusy, why))
    }

    /// Another content uses the file that is to go elsewhere.
    pub(super) fn held_here(path: &Path, other: &str) -> Self {
        let why = format!("the torrent {other} has its content in the same file");
        Self::new("move", path, io::Error::new(ErrorKind::ResourceBusy, why))
    }

    /// Somebody else has written to the file after it was hashed.
    pub(crate) fn touched(path: &Path) -> Self {
        let source = io::Error::new(
            ErrorKind::StaleNetworkFileHandle,
            "it was changed by somebody else after it was checked",
        );
        Self::new("use the file", path, source)
    }

    /// The same once more, for whoever else has to hear of it.
    pub(crate) fn again(&self) -> Self {
        let source = match self.source.raw_os_error() {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => io::Error::new(self.source.kind(), self.source.to_string()),
        };
        Self::new(self.action, &self.path, source)
    }

    /// A sync failed: the system may take what it could not write for written from now on, so that no later sync says
    /// anything of it.
    pub(crate) fn is_final(&self) -> bool {
        self.action == "sync"
    }

    /// The system gives no names from one of the two places to the other: file systems, mounts or quotas are between them.
    pub(crate) fn is_across(&self) -> bool {
        self.source.kind() == ErrorKind::CrossesDevices
    }

    /// Nothing is wrong with the disk: it can be tried again.
    pub(crate) fn is_passing(&self) -> bool {
        self.fault() == Fault::NoDescriptors
    }

    /// Which kind it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let is = |errno: Errno| self.source.raw_os_error() == Some(errno.raw_os_error());
        match self.source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Fault::Full,
            ErrorKind::ReadOnlyFilesystem => Fault::ReadOnly,
            ErrorKind::PermissionDenied => Fault::Denied,
            ErrorKind::NotFound
            | ErrorKind::StaleNetworkFileHandle
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof => Fault::Gone,
            ErrorKind::InvalidFilename | ErrorKind::FileTooLarge => Fault::TooLong,
            ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => {
                Fault::InTheWay
            }
            // The system says so of devices and mounts, with a number.
            ErrorKind::ResourceBusy if self.source.raw_os_error().is_none() => Fault::Shared,
            _ if is(Errno::LOOP) => Fault::InTheWay,
            _ if is(Errno::MFILE) || is(Errno::NFILE) => Fault::NoDescriptors,
            _ if is(Errno::NODEV) || is(Errno::NXIO) || is(Errno::SHUTDOWN) => Fault::Gone,
            _ => Fault::Io,
        }
    }

    /// What the person can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self.fault() {
            _ if self.action == "sync" => {
                "what was written last may not be on the disk: look after the disk, then check the content again"
            }
            Fault::Full if matches!(self.action, "copy to" | "move to") => {
                "make room there; the content is complete where it was"
            }
            Fault::Full => "make room on the disk; the download goes on by itself",
            Fault::ReadOnly => {
                "the file system is mounted read-only; remount it for writing, then start again"
            }
            Fault::Denied => "check who owns the directory and its permissions",
            Fault::Gone if self.action == "create directory" => {
                "the directory cannot be made there; choose another one"
            }
            Fault::Gone if self.action == "bring the content to" => {
                "mount the disk that belongs there, then start again; if the directory is meant as it is now, move the content there, or start once with --check always"
            }
            Fault::Gone if self.action == "use" => {
                "is the disk mounted? Put it back in its place, then start again"
            }
            Fault::Gone => "the file was changed, moved or removed; check the content again",
            Fault::TooLong => {
                "the file system cannot hold a file of this name or size; choose a directory on another one"
            }
            Fault::InTheWay if self.action == "move to" => {
                "nothing that is there is replaced: choose another directory or name, or move away what is there"
            }
            Fault::InTheWay => {
                "something else (a link, a directory) stands where the torrent's file belongs; choose another directory"
            }
            Fault::Io if self.is_across() => {
                "a mount or a quota stands between the two directories: mount them as they were, or choose another one"
            }
            // Only a move that writers outrun is refused so; no system call of ours is.
            Fault::Io if self.source.kind() == ErrorKind::WouldBlock => {
                "pause it or lower its rate, then move it; the content is where it was"
            }
            Fault::Shared if self.action == "move" => {
                "all is where it was: remove the other torrent first, or give it a copy of its own"
            }
            Fault::Shared => {
                "no two torrents write to one file: wait until the other one is complete or remove it, or give this one another directory; then start again"
            }
            Fault::NoDescriptors => "raise the limit on open files (ulimit -n), then start again",
            Fault::Io => {
                "the disk may be failing: look at the system's log; what was verified is kept"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DiskError, Fault};
    use rustix::io::Errno;
    use std::path::Path;

    #[test]
    fn each_errno_has_its_kind_and_a_hint() {
        let table = [
            (Errno::NOSPC, Fault::Full),
            (Errno::DQUOT, Fault::Full),
            (Errno::ROFS, Fault::ReadOnly),
            (Errno::ACCESS, Fault::Denied),
            (Errno::PERM, Fault::Denied),
            (Errno::NOENT, Fault::Gone),
            (Errno::STALE, Fault::Gone),
            (Errno::NODEV, Fault::Gone),
            (Errno::NOTCONN, Fault::Gone),
            (Errno::NAMETOOLONG, Fault::TooLong),
            (Errno::FBIG, Fault::TooLong),
            (Errno::NOTDIR, Fault::InTheWay),
            (Errno::ISDIR, Fault::InTheWay),
            (Errno::EXIST, Fault::InTheWay),
            (Errno::LOOP, Fault::InTheWay),
            (Errno::MFILE, Fault::NoDescriptors),
            (Errno::NFILE, Fault::NoDescriptors),
            (Errno::IO, Fault::Io),
        ];
        for (errno, expected) in table {
            let error = DiskError::new("write", Path::new("x"), errno.into());
            assert_eq!(error.fault(), expected, "{errno:?}");
            assert!(!error.hint().is_empty());
        }
        assert_eq!(DiskError::replaced(Path::new("x")).fault(), Fault::Gone);
    }
}
