//! Why nothing could be said about the content.

use std::io;
use std::path::PathBuf;

/// A check that could not be made. What is wrong with the content is in the
/// [`Report`](super::Report) instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The torrent has no SHA-1 piece hashes.
    #[error(
        "the content of v2 torrents cannot be verified yet, only that of v1 and hybrid torrents"
    )]
    NotYet,
    /// The path is not there.
    #[error("{}: no such file or folder", path.display())]
    NotFound {
        /// The path given.
        path: PathBuf,
    },
    /// The torrent is of a folder, and the path is a file.
    #[error("{}: this is a file, and the torrent is of the folder {name:?}", path.display())]
    NotAFolder {
        /// The path given.
        path: PathBuf,
        /// Name of the torrent.
        name: String,
    },
    /// The folder cannot be opened.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The check was canceled.
    #[error("canceled")]
    Canceled,
}

impl Error {
    pub(super) fn io(path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            _ => Self::Io { path, source },
        }
    }
}
