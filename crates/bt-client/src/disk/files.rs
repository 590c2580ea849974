//! Open files, few at a time: a pool of descriptors shared by all torrents, the least used closed first.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bt_metainfo::FileIndex;
use rustix::process::{Resource, getrlimit};

use super::claims::Claims;

/// Share of the process's descriptors that may be files; the rest is for peers, trackers and the program itself.
const SHARE_PERCENT: u64 = 40;

/// Never fewer than this, or each block of a torrent of two files would open one.
const LEAST: usize = 4;

/// Never more than this: beyond, an open file saves nothing measurable.
const MOST: usize = 4096;

/// Which file of which torrent.
pub(crate) type FileKey = (u64, FileIndex);

#[derive(Debug)]
struct Open {
    file: Arc<File>,
    writable: bool,
    used: u64,
}

#[derive(Debug, Default)]
struct Table {
    open: HashMap<FileKey, Open>,
    clock: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Files {
    limit: usize,
    table: Mutex<Table>,
    /// Open or not.
    claims: Mutex<Claims>,
    /// Held while bytes are put into a file of several contents.
    mending: Mutex<()>,
}

impl Files {
    /// As many as the process's limit on descriptors allows.
    pub(crate) fn new() -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(1024);
        let share = usize::try_from(
            descriptors / 100 * SHARE_PERCENT + descriptors % 100 * SHARE_PERCENT / 100,
        );
        Self::with_limit(share.unwrap_or(MOST).clamp(LEAST, MOST))
    }

    pub(crate) fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            table: Mutex::new(Table::default()),
            claims: Mutex::default(),
            mending: Mutex::default(),
        }
    }

    /// The file if it is open (for writing, if that is asked).
    pub(crate) fn get(&self, key: FileKey, writable: bool) -> Option<Arc<File>> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.clock += 1;
        let clock = table.clock;
        let open = table
            .open
            .get_mut(&key)
            .filter(|open| open.writable || !writable)?;
        open.used = clock;
        Some(Arc::clone(&open.file))
    }

    /// Keeps `file` open, and closes the least used if there are too many. A reader that still holds it goes on.
    pub(crate) fn put(&self, key: FileKey, file: File, writable: bool) -> Arc<File> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.clock += 1;
        let file = Arc::new(file);
        let used = table.clock;
        table.open.insert(
            key,
            Open {
                file: Arc::clone(&file),
                writable,
                used,
            },
        );
        if table.open.len() > self.limit
            && let Some(oldest) = table
                .open
                .iter()
                .min_by_key(|(_, open)| open.used)
                .map(|(key, _)| *key)
        {
            table.open.remove(&oldest);
        }
        file
    }

    /// Closes half of them, the least used first, because the process has no descriptors left.
    pub(crate) fn release(&self) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut used: Vec<u64> = table.open.values().map(|open| open.used).collect();
        used.sort_unstable();
        let Some(&middle) = used.get(used.len() / 2) else {
            return;
        };
        table.open.retain(|_, open| open.used > middle);
    }

    /// Who uses which file.
    pub(super) fn claims(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody else puts bytes into a file of several contents meanwhile.
    pub(super) fn mending(&self) -> MutexGuard<'_, ()> {
        self.mending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes one file if it is open for writing.
    pub(super) fn close_writable(&self, key: FileKey) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.open.get(&key).is_some_and(|open| open.writable) {
            table.open.remove(&key);
        }
    }

    /// Closes one file.
    pub(crate) fn close_one(&self, key: FileKey) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.open.remove(&key);
    }

    /// Closes all files of one torrent.
    pub(crate) fn close(&self, content: u64) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.open.retain(|(owner, _), _| *owner != content);
    }
}

#[cfg(test)]
mod tests {
    use super::Files;
    use bt_metainfo::FileIndex;

    #[test]
    fn the_least_used_is_closed_first() {
        let files = Files::with_limit(2);
        let open = || tempfile::tempfile().unwrap();
        let key = |n| (1, FileIndex(n));
        files.put(key(0), open(), true);
        files.put(key(1), open(), false);
        assert!(files.get(key(0), true).is_some());
        assert!(
            files.get(key(1), true).is_none(),
            "it is open for reading only"
        );
        files.put(key(2), open(), true);
        assert!(
            files.get(key(1), false).is_none(),
            "the probe for writing was no use of it"
        );
        assert!(files.get(key(0), false).is_some() && files.get(key(2), false).is_some());
        files.close(1);
        assert!((0..3).all(|n| files.get(key(n), false).is_none()));
    }
}
