//! What there is of each file, before any of it is read.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use super::place::Located;
use super::report::Problem;
use crate::{FileIndex, Info};

/// What was found where a file should be.
#[derive(Debug)]
pub(super) struct Presence {
    /// Relative path; where it was found, or the likeliest one.
    pub(super) path: PathBuf,
    /// Bytes that can be asked for; never more than the torrent says.
    pub(super) bytes: u64,
    pub(super) problem: Option<Problem>,
}

impl Presence {
    /// Looks for one file.
    pub(super) fn look(located: &Located, info: &Info, file: FileIndex) -> Self {
        let mut found = Self {
            path: PathBuf::new(),
            bytes: 0,
            problem: Some(Problem::Missing),
        };
        for (nth, path) in located.paths(info, file).enumerate() {
            let looked = Self::look_at(located, info.layout().file_length(file), path);
            let there = !matches!(looked.problem, Some(Problem::Missing));
            if nth == 0 || there {
                found = looked;
            }
            if there {
                break;
            }
        }
        found
    }

    fn look_at(located: &Located, expected: u64, path: PathBuf) -> Self {
        let metadata = located
            .root
            .open_any(&path)
            .and_then(|file| file.metadata());
        let (bytes, problem) = match metadata {
            Err(error) => (0, Some(problem(error))),
            Ok(metadata) if !metadata.is_file() => (0, Some(Problem::NotAFile)),
            Ok(metadata) => {
                let found = metadata.len();
                let problem = match found.cmp(&expected) {
                    std::cmp::Ordering::Less => Some(Problem::Short { expected, found }),
                    std::cmp::Ordering::Equal => None,
                    std::cmp::Ordering::Greater => Some(Problem::Longer { expected, found }),
                };
                (found.min(expected), problem)
            }
        };
        Self {
            path,
            bytes,
            problem,
        }
    }
}

/// What an error from opening or reading says about a file.
pub(crate) fn problem(error: io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::NotFound => Problem::Missing,
        // A link on the way is refused as not being a folder, one at the end as going in circles.
        io::ErrorKind::NotADirectory => Problem::Link,
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => Problem::Link,
        // A socket cannot be opened at all.
        _ if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => Problem::NotAFile,
        _ => Problem::Unreadable(error),
    }
}
