//! What can go wrong with state, in words for the person whose state it is.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// State cannot be kept or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StateError {
    /// Another program, or another part of this one, uses it.
    #[error("{} is in use{}", path.display(), by(*process))]
    Busy {
        /// The directory.
        path: PathBuf,
        /// Who, if that can be told.
        process: Option<u32>,
    },
    /// The system refuses.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl StateError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// What the person can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "wait for it or stop it; or use another directory",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "make room on the disk that holds the state"
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "choose a directory that can be written, with --home DIR"
                }
                _ => "check the disk that holds the state",
            },
        }
    }
}

fn by(process: Option<u32>) -> String {
    process.map_or_else(String::new, |process| format!(" by process {process}"))
}
