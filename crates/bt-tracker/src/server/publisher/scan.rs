//! Reading the directory: which files are new, changed, gone, or no torrents.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bt_metainfo::Metainfo;

use super::super::read_bounded;
use super::{Catalog, Published};
use crate::limits::MAX_TORRENT_FILE;

/// Tells versions of a file apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

/// A file that is no torrent.
#[derive(Debug)]
pub(in super::super) struct Problem {
    /// Its name in the directory.
    pub(in super::super) file: String,
    /// What is wrong with it.
    pub(in super::super) reason: String,
}

/// What the directory holds now. Files that have not changed are not read again, and those of
/// `before` that came from elsewhere stay.
pub(super) fn scan(dir: &Path, before: &Catalog) -> io::Result<(Catalog, Vec<Problem>)> {
    let mut torrents: BTreeMap<String, Arc<Published>> = BTreeMap::new();
    let mut refused = BTreeMap::new();
    let mut unreadable = BTreeSet::new();
    let mut problems = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if path
            .extension()
            .is_none_or(|extension| extension != "torrent")
        {
            continue;
        }
        let file = entry.file_name().to_string_lossy().into_owned();
        // A file that vanishes between the two calls is gone, which is no problem.
        let Ok(metadata) = std::fs::metadata(&path) else {
            continue;
        };
        if !metadata.is_file() {
            continue;
        }
        let stamp = Stamp {
            modified: metadata.modified().ok(),
            length: metadata.len(),
        };
        if let Some(known) = before
            .torrents
            .get(&file)
            .filter(|t| t.stamp == Some(stamp))
        {
            torrents.insert(file, Arc::clone(known));
        } else if before.refused.get(&file) == Some(&stamp) {
            // The torrent that was there before it stays, look after look.
            let known = before.torrents.get(&file);
            if let Some(known) = known.filter(|known| known.stamp.is_some()) {
                torrents.insert(file.clone(), Arc::clone(known));
            }
            refused.insert(file, stamp);
        } else {
            match read(&path, stamp) {
                Ok(torrent) => {
                    torrents.insert(file, Arc::new(torrent));
                }
                Err(Unread { reason, is_content }) => {
                    // A torrent that is being replaced stays until its new version can be read.
                    let known = before.torrents.get(&file);
                    if let Some(known) = known.filter(|known| known.stamp.is_some()) {
                        torrents.insert(file.clone(), Arc::clone(known));
                    }
                    // What a disk or a permission kept from being read is tried again, and said once.
                    if !is_content && before.unreadable.contains(&file) {
                        unreadable.insert(file);
                        continue;
                    }
                    if is_content {
                        refused.insert(file.clone(), stamp);
                    } else {
                        unreadable.insert(file.clone());
                    }
                    problems.push(Problem { file, reason });
                }
            }
        }
    }
    let mut catalog = Catalog {
        torrents,
        refused,
        unreadable,
        ..Catalog::default()
    };
    for (file, torrent) in &before.torrents {
        if torrent.stamp.is_none() {
            catalog.keep_registered(file, Arc::clone(torrent));
        }
    }
    Ok((catalog, problems))
}

/// Why a file was left out.
struct Unread {
    reason: String,
    /// It was read and is no torrent, so that there is no use in reading it again.
    is_content: bool,
}

impl Unread {
    fn content(reason: String) -> Self {
        Self {
            reason,
            is_content: true,
        }
    }
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self {
            reason: error.to_string(),
            is_content: false,
        }
    }
}

fn read(path: &Path, stamp: Stamp) -> Result<Published, Unread> {
    let bytes = match read_bounded(path, MAX_TORRENT_FILE) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            return Err(Unread::content(error.to_string()));
        }
        read => read?,
    };
    let metainfo = Metainfo::parse(&bytes).map_err(|error| Unread::content(error.to_string()))?;
    Ok(Published::new(&metainfo, bytes.into(), Some(stamp)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_reported_once_and_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.torrent");
        // A file whose first byte cannot be read by anybody.
        std::os::unix::fs::symlink("/proc/self/mem", &path).unwrap();
        std::fs::write(dir.path().join("b.torrent"), "no torrent").unwrap();
        let (first, problems) = scan(dir.path(), &Catalog::default()).unwrap();
        assert_eq!(problems.len(), 2);
        assert!(first.refused.contains_key("b.torrent"));
        assert!(
            !first.refused.contains_key("a.torrent"),
            "it is not given up"
        );
        let (second, problems) = scan(dir.path(), &first).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        assert!(second.unreadable.contains("a.torrent"));
    }
}
