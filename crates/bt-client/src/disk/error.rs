//! What can go wrong with files, in words for the person whose disk it is.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

const IN_THE_WAY: &str = "something else (a link, a directory) stands where the torrent's file belongs; choose another directory";

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

impl DiskError {
    pub(crate) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// What the person can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "make room on the disk, then resume"
            }
            io::ErrorKind::PermissionDenied => "check who owns the directory and its permissions",
            io::ErrorKind::ReadOnlyFilesystem => "the file system is mounted read-only",
            io::ErrorKind::NotFound if self.action == "create directory" => {
                "the directory cannot be made there; choose another one"
            }
            io::ErrorKind::NotFound => "the file was moved or removed; check the content again",
            io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => IN_THE_WAY,
            _ if self.source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                IN_THE_WAY
            }
            _ => "check the disk",
        }
    }
}
