//! From a file or folder on disk to the parts of a torrent.
//!
//! [`Plan::new`] walks the folder and says what the torrent will hold; [`Plan::hash`] reads the
//! content on all cores and gives the [`Assembly`], whose bytes are the torrent file. [`create`]
//! does both.
//!
//! # Which info-hash
//!
//! The same content and options give the same info-hash on every run and every machine, and the one
//! that other programs give:
//!
//! - Files are ordered by the bytes of their whole paths, separators included, as mktorrent orders
//!   them and libtorrent does in hybrid torrents. `a-b` and `a.txt` come before `a/x`, because `-`
//!   and `.` are smaller than `/`. torf compares name by name, which differs for such names only,
//!   and leaves out hidden and, mostly, empty files; libtorrent's v1 torrents have the order of the
//!   list they are given.
//! - The info dictionary holds `length` or `files`, `name`, `piece length`, `pieces`, and `private`
//!   and `source` where they are asked for, and nothing else: no attributes, no times.
//! - Empty files are listed. Empty folders cannot be, and are reported.
//! - A folder that holds one file makes a torrent of many files with one file in it, which is not
//!   the torrent of that file.
//!
//! This room must not know peers or trackers, and it never writes.

mod auto;
mod error;
mod filter;
mod options;
mod plan;
#[cfg(test)]
mod tests;
mod walk;

use std::path::Path;
use std::sync::atomic::AtomicBool;

pub use auto::piece_length;
pub use error::{Blame, Error};
pub use options::{Options, creation_date};
pub use plan::{Plan, Progress};
pub use walk::Warning;

use crate::assemble::Assembly;

/// Walks and hashes in one go, without looking at warnings or progress.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bt_metainfo::create::{Options, create};
///
/// let folder = tempfile::tempdir()?;
/// std::fs::write(folder.path().join("a.txt"), "hello")?;
/// let options = Options {
///     name: Some("greeting".into()),
///     trackers: vec![vec!["http://tracker.example/announce".into()]],
///     ..Options::default()
/// };
/// let torrent = create(folder.path(), &options)?;
/// assert_eq!(torrent.info_hash()?.to_string(), "318cb53522850f16d220ff68c7bfb58700f349df");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As [`Plan::new`] and [`Plan::hash`].
pub fn create(path: &Path, options: &Options) -> Result<Assembly, Error> {
    Plan::new(path, options)?.hash(&AtomicBool::new(false), |_| {})
}
