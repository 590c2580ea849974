//! Why no torrent was made, and who can help.

use std::io;
use std::path::PathBuf;

use super::auto::SHORTEST;
use crate::Version;
use crate::limits::{MAX_FILES, MAX_PIECE_LENGTH};

/// Content or options that make no torrent. Each variant is one cause and names the path it is
/// about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kind of torrent that was asked for cannot be made yet.
    #[error("{} torrents cannot be made yet, only v1 torrents", in_words(*version))]
    NotYet {
        /// What was asked for.
        version: Version,
    },
    /// A glob that cannot be read.
    #[error("the glob {glob:?} cannot be read: {reason}")]
    Glob {
        /// The text given.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A piece length that other programs would refuse.
    #[error(
        "a piece length of {found} bytes is not a power of two from {SHORTEST} to {MAX_PIECE_LENGTH}"
    )]
    PieceLength {
        /// Bytes asked for.
        found: u32,
    },
    /// `SOURCE_DATE_EPOCH` is not a date.
    #[error("SOURCE_DATE_EPOCH is {found:?}, not a number of seconds since 1970")]
    SourceDateEpoch {
        /// The value given.
        found: String,
    },
    /// The path ends in no name, as `/` does.
    #[error("{}: the path ends in no name; the torrent needs one", path.display())]
    NoName {
        /// The path given.
        path: PathBuf,
    },

    /// A name that a torrent cannot hold, as it must be UTF-8.
    #[error("{}: the name is not UTF-8; rename or exclude it", path.display())]
    NotUtf8 {
        /// The file or folder.
        path: PathBuf,
    },
    /// The path is neither a file nor a folder.
    #[error("{}: this is a {kind}, neither a file nor a folder", path.display())]
    Special {
        /// The path given.
        path: PathBuf,
        /// What it is, in words.
        kind: &'static str,
    },
    /// A folder without files.
    #[error("{}: the folder holds no files", path.display())]
    NoFiles {
        /// The folder.
        path: PathBuf,
    },
    /// All files were left out by the options.
    #[error("{}: the options leave out {}", path.display(), all(*left_out))]
    NothingTaken {
        /// The folder, or the file.
        path: PathBuf,
        /// Files and folders that were not taken.
        left_out: usize,
    },
    /// There is not a single byte to share.
    #[error("{}: nothing to share, as all files are empty ({files})", path.display())]
    OnlyEmptyFiles {
        /// The file or folder.
        path: PathBuf,
        /// How many empty files there are.
        files: usize,
    },
    /// More files than a torrent may have.
    #[error("{}: more than {MAX_FILES} files", path.display())]
    TooManyFiles {
        /// The folder.
        path: PathBuf,
    },
    /// The parts make no torrent: too long, too many pieces, or a name that is unsafe elsewhere.
    #[error("{0}")]
    Assembly(#[from] crate::Error),

    /// The file or folder is not there.
    #[error("{}: no such file or folder", path.display())]
    NotFound {
        /// The path given.
        path: PathBuf,
    },
    /// A file or folder disappeared while the torrent was made.
    #[error("{}: disappeared while the torrent was being made", path.display())]
    Vanished {
        /// The file or folder.
        path: PathBuf,
    },
    /// A file was written to while the torrent was made, so that its hashes mean nothing.
    #[error("{}: changed while the torrent was being made ({expected} bytes before, {found} after)", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Bytes when the folder was walked.
        expected: u64,
        /// Bytes afterwards; the same if only the time or the kind of the file changed.
        found: u64,
    },
    /// This program may not read a file or folder.
    #[error("{}: permission denied", path.display())]
    Denied {
        /// The file or folder.
        path: PathBuf,
    },
    /// The system could not read a file or folder.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// Hashing was canceled.
    #[error("canceled")]
    Canceled,
}

/// Who can do something about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Whoever chose the options.
    Options,
    /// Whoever chose the content: it makes no torrent.
    Content,
    /// Whoever runs the machine: files cannot be read, or are written to.
    Storage,
    /// Nobody: it was canceled.
    Nobody,
}

fn all(left_out: usize) -> String {
    match left_out {
        1 => "the only file".to_owned(),
        more => format!("all {more} files and folders"),
    }
}

impl Error {
    /// Who can do something about it.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::NotYet { .. }
            | Self::Glob { .. }
            | Self::PieceLength { .. }
            | Self::SourceDateEpoch { .. }
            | Self::NoName { .. }
            // No file system holds such a name.
            | Self::Assembly(crate::Error::Url { .. } | crate::Error::Name { .. }) => Blame::Options,
            Self::NotUtf8 { .. }
            | Self::Special { .. }
            | Self::NoFiles { .. }
            | Self::NothingTaken { .. }
            | Self::OnlyEmptyFiles { .. }
            | Self::TooManyFiles { .. }
            | Self::Assembly(_) => Blame::Content,
            Self::NotFound { .. }
            | Self::Vanished { .. }
            | Self::Changed { .. }
            | Self::Denied { .. }
            | Self::Io { .. } => Blame::Storage,
            Self::Canceled => Blame::Nobody,
        }
    }

    /// What the system said about a file or folder that was there a moment ago.
    pub(super) fn io(path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::Vanished { path },
            io::ErrorKind::PermissionDenied => Self::Denied { path },
            _ => Self::Io { path, source },
        }
    }
}

fn in_words(version: Version) -> &'static str {
    match version {
        Version::V1 => "v1",
        Version::V2 => "v2",
        Version::Hybrid => "hybrid",
    }
}
