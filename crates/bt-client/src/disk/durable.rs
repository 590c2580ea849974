//! From written to durable: syncing what was written, with the names that lead to it, and how files were left.
//!
//! It must not know what is recorded of it, nor when.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bt_metainfo::{FileIndex, PieceIndex};

use super::places::Places;
use super::root::Root;
use super::{Content, DiskError};

/// More dirty files than this are synced by one call for the whole file system instead of one call each.
pub(super) const SYNC_ONE_BY_ONE: usize = 64;

/// Bytes that are copied again when one of them was written while the content was copied.
pub(super) const STRETCH: u64 = 1 << 20;

/// Which files have been written since the last sync.
#[derive(Debug, Default)]
pub(super) struct Written {
    dirty: Mutex<BTreeSet<FileIndex>>,
    /// Files whose names have been synced.
    named: Mutex<BTreeSet<FileIndex>>,
    /// While somebody copies the content: what was written since, in stretches of [`STRETCH`].
    since: Mutex<Option<BTreeSet<(FileIndex, u64)>>>,
}

impl Written {
    /// Bytes of `file` were written.
    pub(super) fn wrote(&self, file: FileIndex, offset: u64, length: u64) {
        if let Some(since) = &mut *self.since() {
            let stretches = offset / STRETCH..(offset + length).div_ceil(STRETCH);
            since.extend(stretches.map(|stretch| (file, stretch)));
        }
        self.mark(file);
    }

    /// From now on takes note of what is written, and gives what was written since the last call.
    pub(super) fn take_since(&self) -> BTreeSet<(FileIndex, u64)> {
        let since = self.since().replace(BTreeSet::new());
        since.unwrap_or_default()
    }

    /// Nobody copies any more.
    pub(super) fn end_since(&self) {
        *self.since() = None;
    }

    fn since(&self) -> MutexGuard<'_, Option<BTreeSet<(FileIndex, u64)>>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All files have other names now.
    pub(super) fn forget_names(&self) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.clear();
    }

    /// Something of `file` is in memory only, or may be.
    pub(super) fn mark(&self, file: FileIndex) {
        self.dirty
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(file);
    }

    /// The file is gone.
    pub(super) fn forget(&self, file: FileIndex) {
        for set in [&self.dirty, &self.named] {
            set.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&file);
        }
    }

    fn take(&self) -> BTreeSet<FileIndex> {
        std::mem::take(&mut *self.dirty.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a file looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Bytes.
    pub size: u64,
    /// When it was last changed, in seconds since 1970.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanos: u32,
}

/// Which directory holds the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The device it is on; if it is not there, that of the nearest directory above it.
    pub device: u64,
    /// Its number there; 0 if it is not there.
    pub inode: u64,
}

impl Content {
    /// Makes everything written so far survive a power cut. Blocks the thread. Pieces whose writing had ended before
    /// the call are covered.
    ///
    /// # Errors
    /// If a sync fails: what was written since the last good one cannot be relied on, and no second try helps.
    pub fn sync(&self) -> Result<(), DiskError> {
        self.sync_at(&self.places())
    }

    /// The same for whoever holds the places.
    pub(super) fn sync_at(&self, places: &Places) -> Result<(), DiskError> {
        let dirty = self.written.take();
        if dirty.is_empty() {
            return Ok(());
        }
        let root = self.root(false)?;
        let new: BTreeSet<FileIndex> = {
            let named = &self.written.named;
            let named = named.lock().unwrap_or_else(PoisonError::into_inner);
            dirty.difference(&named).copied().collect()
        };
        if dirty.len() > SYNC_ONE_BY_ONE {
            root.sync_everything()?;
        } else {
            for &file in &dirty {
                // Reading is enough for a sync, and content that is only seeded may be read-only.
                self.open_at(places, file, false)?
                    .sync_data()
                    .map_err(|error| self.failed(places, "sync", file, error))?;
            }
            let paths: Vec<PathBuf> = new.iter().map(|file| places.path(&root, *file)).collect();
            if !paths.is_empty() {
                root.sync_names(paths.iter().map(PathBuf::as_path))?;
            }
        }
        self.written
            .named
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(new);
        Ok(())
    }

    /// Something of this piece may be in memory only, though it was not us who wrote it.
    pub fn mark_written(&self, piece: PieceIndex) {
        for file in self.places().piece_runs(piece).filter_map(|run| run.file) {
            self.written.mark(file);
        }
    }

    /// Makes files that are not written any more survive with their times, and tells how they were left; those that
    /// are not there are left out.
    ///
    /// # Errors
    /// As [`Content::sync`].
    pub fn seal(&self, files: &[FileIndex]) -> Result<Vec<(FileIndex, Look)>, DiskError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        if files.len() > SYNC_ONE_BY_ONE
            && let Ok(root) = self.root(false)
        {
            root.sync_everything()?;
        }
        let mut left = Vec::with_capacity(files.len());
        for &file in files {
            if files.len() <= SYNC_ONE_BY_ONE && self.look(file)?.is_some() {
                let places = self.places();
                self.open_at(&places, file, false)?
                    .sync_all()
                    .map_err(|error| self.failed(&places, "sync", file, error))?;
            }
            left.extend(self.look(file)?.map(|look| (file, look)));
        }
        Ok(left)
    }

    /// What a file looks like, or `None` if it is not there.
    ///
    /// # Errors
    /// If the system does not let us look.
    pub fn look(&self, file: FileIndex) -> Result<Option<Look>, DiskError> {
        let Some(root) = self.root_if_there()? else {
            return Ok(None);
        };
        let meta = root.look(&self.places().path(&root, file))?;
        Ok(meta.map(|meta| Look {
            size: meta.len(),
            seconds: meta.mtime(),
            nanos: u32::try_from(meta.mtime_nsec()).unwrap_or(0),
        }))
    }

    /// Which directory holds the content.
    ///
    /// # Errors
    /// If the system does not let us look.
    pub fn identity(&self) -> Result<Identity, DiskError> {
        if let Some(root) = self.root_if_there()? {
            let (device, inode) = root.identity()?;
            return Ok(Identity { device, inode });
        }
        let path = std::path::absolute(self.directory());
        let path = path.unwrap_or_else(|_| self.directory());
        let above = path.ancestors().find_map(|path| path.metadata().ok());
        Ok(Identity {
            device: above.map_or(0, |meta| meta.dev()),
            inode: 0,
        })
    }

    pub(super) fn root_if_there(&self) -> Result<Option<Arc<Root>>, DiskError> {
        match self.root(false) {
            Ok(root) => Ok(Some(root)),
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
