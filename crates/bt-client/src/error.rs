//! Errors of the session, by who is at fault.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::disk::DiskError;
use crate::state::StateError;

/// Why a session or a torrent could not do what was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The port cannot be listened on.
    #[error("cannot listen on port {port}: {source}")]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// The system's answer.
        source: io::Error,
    },
    /// The system gave us no thread for the disk.
    #[error("cannot start the disk threads: {0}")]
    Threads(io::Error),
    /// A torrent of this info-hash is in the session.
    #[error("the torrent {0} has been added already")]
    Duplicate(bt_metainfo::InfoHash),
    /// The torrent is of a kind that cannot be downloaded yet.
    #[error("the torrent has only BitTorrent v2 hashes (BEP 52), which cannot be downloaded yet")]
    OnlyV2,
    /// A file that was asked for is not in the torrent.
    #[error("the torrent has no file number {0}")]
    NoSuchFile(u32),
    /// The disk refuses.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// State cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// The directory is not the one that was used before: it is on another device, and the content is not in it. A disk
    /// that is not mounted looks like this, and downloading would fill the one below.
    #[error("the folder {} is not the one used before: it is on another disk, and the content is not there", .0.display())]
    Elsewhere(PathBuf),
    /// A name cannot be given to a file: it is empty, leaves the directory, or cannot stand on every system.
    #[error("\"{name}\" cannot be the name of a file; \"{instead}\" can")]
    Name {
        /// What was asked for.
        name: String,
        /// The nearest that can be had.
        instead: String,
    },
    /// This cannot stand behind the names of incomplete files: it has a slash in it, or is too long.
    #[error("\"{0}\" cannot stand behind the names of files")]
    Suffix(String),
    /// The torrent has failed; the text says how.
    #[error("{0}")]
    Failed(String),
    /// A bug of this program was met, in these words. A torrent that it was met in stays stopped; it can be removed and
    /// added again.
    #[error("a bug of this program: {0}")]
    Bug(String),
    /// The torrent has been removed, or the session stopped.
    #[error("the torrent has left the session")]
    Stopped,
}
