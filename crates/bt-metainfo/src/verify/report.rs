//! What is said about pieces and files.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::{FileIndex, PieceIndex};

/// What is known about one piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Nobody asked.
    #[default]
    Unchecked,
    /// All bytes are there and have the hash of the torrent.
    Good,
    /// Some bytes are there, but not all, or not with the hash of the torrent; or they cannot be
    /// read.
    Bad,
    /// No byte is there: all files of the piece are missing, or end before it.
    Missing,
}

/// What is wrong with one file, apart from its bytes.
#[derive(Debug)]
pub struct FileProblem {
    /// Which file.
    pub file: FileIndex,
    /// Where it was looked for.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a file, apart from its bytes.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// There is nothing at its path.
    Missing,
    /// It is shorter than the torrent says.
    Short {
        /// Bytes the torrent says.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// It is longer than the torrent says. Its pieces may still be good.
    Longer {
        /// Bytes the torrent says.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// There is a folder, device, pipe or socket at its path.
    NotAFile,
    /// It, or a folder on the way to it, is a symbolic link, or something on the way is no folder.
    Link,
    /// It cannot be opened or read.
    Unreadable(io::Error),
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Short { expected, found } => {
                write!(f, "{found} bytes long instead of {expected}")
            }
            Self::Longer { expected, found } => {
                write!(
                    f,
                    "{found} bytes long instead of {expected}; the rest is not part of the torrent"
                )
            }
            Self::NotAFile => f.write_str("not a file"),
            Self::Link => {
                f.write_str("behind a symbolic link, or below something that is no folder")
            }
            Self::Unreadable(error) => write!(f, "{error}"),
        }
    }
}

/// Everything a check found out.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// For each piece of the torrent.
    pub verdicts: Vec<Verdict>,
    /// Files that something is wrong with, in the order of the torrent. When only some pieces were
    /// asked about, only files of theirs are looked at.
    pub files: Vec<FileProblem>,
}

impl Report {
    /// Whether every piece is good and every file is there, empty ones included. Files that are too
    /// long are complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.verdicts
            .iter()
            .all(|&verdict| verdict == Verdict::Good)
            && self
                .files
                .iter()
                .all(|file| matches!(file.problem, Problem::Longer { .. }))
    }

    /// The pieces with a verdict, in order.
    pub fn pieces(&self, verdict: Verdict) -> impl Iterator<Item = PieceIndex> {
        (0..)
            .map(PieceIndex)
            .zip(&self.verdicts)
            .filter(move |(_, given)| **given == verdict)
            .map(|(piece, _)| piece)
    }
}
