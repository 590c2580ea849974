//! From written to durable: syncing what was written, with the names that lead to it, and how files were left.
//!
//! It must not know what is recorded of it, nor when.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bt_metainfo::{FileIndex, PieceIndex};

use super::places::{PARTS, Places};
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
    doubts: Mutex<Doubts>,
    /// What files looked like when all of them had been hashed, unless we have written to them since.
    hashed: Mutex<BTreeMap<FileIndex, Look>>,
    /// Failed syncs of the whole file system that this content has heard of.
    seen: AtomicU64,
}

/// What speaks against what was written.
#[derive(Debug, Default)]
struct Doubts {
    /// A sync has failed. Until what it covered was read from the disk, no sync is believed: the system takes the pages
    /// that it could not write for written.
    failure: Option<DiskError>,
    /// Files that were removed or replaced by others while we wrote to them.
    gone: BTreeSet<FileIndex>,
    /// Device and number of the files that we write to.
    inodes: BTreeMap<FileIndex, (u64, u64)>,
}

impl Written {
    /// Bytes of `file` were written.
    pub(super) fn wrote(&self, file: FileIndex, offset: u64, length: u64) {
        if let Some(since) = &mut *self.since() {
            let stretches = offset / STRETCH..(offset + length).div_ceil(STRETCH);
            since.extend(stretches.map(|stretch| (file, stretch)));
        }
        self.hashed().remove(&file);
        self.mark(file);
    }

    fn hashed(&self) -> MutexGuard<'_, BTreeMap<FileIndex, Look>> {
        self.hashed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How `file` looked when it was hashed does not matter any more.
    pub(super) fn forget_look(&self, file: FileIndex) {
        self.hashed().remove(&file);
    }

    /// From now on takes note of what is written, and gives what was written since the last call.
    pub(super) fn take_since(&self) -> BTreeSet<(FileIndex, u64)> {
        let since = self.since().replace(BTreeSet::new());
        since.unwrap_or_default()
    }

    /// How much was written since that call.
    pub(super) fn since_length(&self) -> usize {
        self.since().as_ref().map_or(0, BTreeSet::len)
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

    /// The files lie elsewhere now.
    pub(super) fn leaves(&self) {
        self.doubts().inodes.clear();
        self.hashed().clear();
    }

    fn doubts(&self) -> MutexGuard<'_, Doubts> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sync has failed with this.
    pub(super) fn fails(&self, error: DiskError) {
        self.doubts().failure = Some(error);
    }

    /// `file` is open for writing. False if it is another one than before.
    fn opened(&self, file: FileIndex, meta: &Metadata) -> bool {
        let inode = (meta.dev(), meta.ino());
        let mut doubts = self.doubts();
        let is_same = *doubts.inodes.entry(file).or_insert(inode) == inode;
        if !is_same {
            doubts.gone.insert(file);
        }
        is_same
    }

    /// `file` is about to be written to: from here on it is us who change how it looks, also where a write fails in its
    /// middle. False if somebody else has changed it since it was hashed.
    fn is_as_hashed(&self, file: FileIndex, meta: &Metadata) -> bool {
        let hashed = self.hashed().remove(&file);
        let is_as_hashed = hashed.is_none_or(|hashed| hashed == Look::of(meta));
        if !is_as_hashed {
            self.is_gone(file);
        }
        is_as_hashed
    }

    /// Whether what was found in the place of `file` is the file that we write to, if we write to it at all.
    fn is_ours(&self, file: FileIndex, meta: &Metadata) -> bool {
        let inode = (meta.dev(), meta.ino());
        let mut doubts = self.doubts();
        let is_ours = doubts.inodes.get(&file).is_none_or(|ours| *ours == inode);
        if !is_ours {
            doubts.gone.insert(file);
        }
        is_ours
    }

    /// Nothing is written to `file` any more; whoever puts another one in its place changes its time.
    fn is_left(&self, file: FileIndex) {
        self.doubts().inodes.remove(&file);
    }

    fn is_gone(&self, file: FileIndex) {
        self.doubts().gone.insert(file);
    }

    /// The directory was opened; as long as nothing waits for a sync, what has failed there does not concern us.
    pub(super) fn enters(&self, root: &Root) {
        let dirty = self.dirty.lock().unwrap_or_else(PoisonError::into_inner);
        if dirty.is_empty() {
            self.seen.store(root.failures(), Ordering::Relaxed);
        }
    }

    /// Something of `file` is in memory only, or may be.
    pub(super) fn mark(&self, file: FileIndex) {
        self.dirty
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(file);
    }

    /// Marks a file whose name has not been synced; false for others.
    pub(super) fn mark_unnamed(&self, file: FileIndex) -> bool {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !named.contains(&file);
        drop(named);
        if is_new {
            self.mark(file);
        }
        is_new
    }

    /// The file is gone.
    pub(super) fn forget(&self, file: FileIndex) {
        for set in [&self.dirty, &self.named] {
            set.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&file);
        }
        self.is_left(file);
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

/// The same and more: what tells whether anybody has touched a file in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseLook {
    /// What is recorded of it.
    pub look: Look,
    /// When anything about it was last changed, its rights and its time included, in seconds and nanoseconds: unlike the
    /// time in [`Look`], nobody can set it to what it was.
    changed: (i64, i64),
    /// Device and number of the file: another one may have its name by now.
    inode: (u64, u64),
}

impl Look {
    pub(super) fn of(meta: &Metadata) -> Self {
        Self {
            size: meta.len(),
            seconds: meta.mtime(),
            nanos: u32::try_from(meta.mtime_nsec()).unwrap_or(0),
        }
    }
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
    /// If a sync fails: what was written since the last good one cannot be relied on, no second try helps, and each
    /// later call fails as well until [`Content::doubt_no_more`].
    pub fn sync(&self) -> Result<(), DiskError> {
        self.sync_at(&self.places())
    }

    /// The same for whoever holds the places.
    pub(super) fn sync_at(&self, places: &Places) -> Result<(), DiskError> {
        if let Some(failure) = &self.written.doubts().failure {
            return Err(failure.again());
        }
        let dirty = self.written.take();
        if dirty.is_empty() {
            return Ok(());
        }
        let synced = self.sync_files(places, &dirty);
        // Somebody else may have heard of a failure meanwhile, and have been told instead of us.
        let synced = synced.and_then(|()| match &self.written.doubts().failure {
            Some(failure) => Err(failure.again()),
            None => Ok(()),
        });
        if let Err(error) = &synced {
            if error.is_final() {
                self.written.fails(error.again());
            }
            // The next sync that is believed has to cover them.
            dirty.into_iter().for_each(|file| self.written.mark(file));
        }
        synced
    }

    fn sync_files(&self, places: &Places, dirty: &BTreeSet<FileIndex>) -> Result<(), DiskError> {
        let root = self.patiently(|| self.root(false))?;
        let new: BTreeSet<FileIndex> = {
            let named = &self.written.named;
            let named = named.lock().unwrap_or_else(PoisonError::into_inner);
            dirty.difference(&named).copied().collect()
        };
        if dirty.len() > SYNC_ONE_BY_ONE {
            root.sync_everything(&self.written.seen)?;
        } else {
            let mut failed: Option<DiskError> = None;
            for &file in dirty {
                // One that fails is no reason to leave the others in memory. What is lost is said before what was not
                // even tried.
                if let Err(error) = self.sync_file(places, file)
                    && failed
                        .as_ref()
                        .is_none_or(|before| !before.is_final() && error.is_final())
                {
                    failed = Some(error);
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            let paths: Vec<PathBuf> = new
                .iter()
                .map(|file| places.path(&root, *file))
                .collect::<Result<_, _>>()?;
            if !paths.is_empty() {
                self.patiently(|| root.sync_names(paths.iter().map(PathBuf::as_path)))?;
            }
        }
        self.written
            .named
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(new);
        Ok(())
    }

    fn sync_file(&self, places: &Places, file: FileIndex) -> Result<(), DiskError> {
        // Reading is enough for a sync, and content that is only seeded may be read-only.
        let open = self.open_at(places, file, false)?;
        let meta = open.metadata();
        let meta = meta.map_err(|error| self.failed(places, "look at", file, error))?;
        if !self.written.is_ours(file, &meta) {
            return Err(self.exchanged(places, file));
        }
        open.sync_data()
            .map_err(|error| self.failed(places, "sync", file, error))
    }

    /// Takes note that `file`, which was opened for writing at `path` and looks so, is about to be written to.
    ///
    /// # Errors
    /// If it is another one than before, or somebody else has changed it since it was hashed.
    pub(super) fn begins_to_write(
        &self,
        places: &Places,
        file: FileIndex,
        path: &Path,
        meta: &Metadata,
    ) -> Result<(), DiskError> {
        if !self.written.opened(file, meta) {
            return Err(self.exchanged(places, file));
        }
        if !self.written.is_as_hashed(file, meta) {
            return Err(DiskError::touched(&self.directory().join(path)));
        }
        Ok(())
    }

    pub(super) fn exchanged(&self, places: &Places, file: FileIndex) -> DiskError {
        let nobody = std::io::ErrorKind::NotFound.into();
        DiskError::exchanged(&self.failed(places, "sync", file, nobody).path)
    }

    /// Whether [`Content::take_gone`] has anything to tell.
    #[must_use]
    pub fn has_lost_files(&self) -> bool {
        !self.written.doubts().gone.is_empty()
    }

    /// Files that were removed or replaced while we wrote to them: nothing that is known of them holds any more. Each is
    /// told once.
    #[must_use]
    pub fn take_gone(&self) -> Vec<FileIndex> {
        let mut gone = std::mem::take(&mut self.written.doubts().gone);
        if gone.remove(&PARTS) {
            // They hold bytes of others.
            gone.extend(self.places().absent());
        }
        gone.into_iter().collect()
    }

    /// What is in doubt is about to be read from the disk: syncs mean something again, for what is marked from now on.
    pub fn doubt_no_more(&self) {
        self.close_files();
        let mut doubts = self.written.doubts();
        doubts.failure = None;
        doubts.inodes.clear();
    }

    /// Something of this piece may be in memory only, though it was not us who wrote it.
    pub fn mark_written(&self, piece: PieceIndex) {
        for file in self.places().piece_runs(piece).filter_map(|run| run.file) {
            self.written.mark(file);
        }
        self.regain(piece);
    }

    /// These files were hashed and looked so before and afterwards: one that is sealed next, that looks otherwise, and to
    /// which nothing was written, is not what was hashed.
    pub fn keep_in_mind(&self, looks: impl IntoIterator<Item = (FileIndex, Look)>) {
        let stored = looks.into_iter();
        self.written.hashed().extend(stored);
    }

    /// Makes files that are not written any more survive with their times, and tells how they were left. Those that are
    /// not there are left out, but `whole` ones have to be, unless they lie among the parts.
    ///
    /// # Errors
    /// As [`Content::sync`], and if a whole file was removed, or one was replaced while we wrote to it or changed by others
    /// after it was hashed:
    /// [`Content::take_gone`] has it then.
    pub fn seal(
        &self,
        files: &[FileIndex],
        whole: bool,
    ) -> Result<Vec<(FileIndex, Look)>, DiskError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let sealed = self.seal_files(files, whole);
        if let Err(error) = &sealed
            && error.is_final()
        {
            self.written.fails(error.again());
        }
        sealed
    }

    fn seal_files(
        &self,
        files: &[FileIndex],
        whole: bool,
    ) -> Result<Vec<(FileIndex, Look)>, DiskError> {
        let places = self.places();
        let Some(root) = self.root_if_there()? else {
            return Ok(Vec::new());
        };
        let one_by_one = files.len() <= SYNC_ONE_BY_ONE;
        if !one_by_one {
            root.sync_everything(&self.written.seen)?;
        }
        let mut left = Vec::with_capacity(files.len());
        for &file in files {
            let path = places.path(&root, file)?;
            let look = || self.patiently(|| root.look(&path));
            let Some(found) = look()? else {
                if whole && !places.is_absent(file) {
                    self.written.is_gone(file);
                    return Err(self.exchanged(&places, file));
                }
                continue;
            };
            // What has the name has to be what was written and synced.
            if !self.written.is_ours(file, &found) {
                return Err(self.exchanged(&places, file));
            }
            // Bytes and time of the content alone: a new link or other rights are no reason to stop.
            if !self.written.is_as_hashed(file, &found) {
                return Err(DiskError::touched(&self.directory().join(&path)));
            }
            if one_by_one {
                self.open_at(&places, file, false)?
                    .sync_all()
                    .map_err(|error| self.failed(&places, "sync", file, error))?;
            }
            left.extend(look()?.map(|meta| (file, Look::of(&meta))));
            self.written.is_left(file);
            if file != PARTS {
                self.holds_still(file);
            }
        }
        Ok(left)
    }

    /// What a file looks like, or `None` if it is not there.
    ///
    /// # Errors
    /// If the system does not let us look.
    pub fn look(&self, file: FileIndex) -> Result<Option<Look>, DiskError> {
        Ok(self.look_closely(file)?.map(|close| close.look))
    }

    /// The same, to be compared with what it looks like later.
    ///
    /// # Errors
    /// As [`Content::look`].
    pub fn look_closely(&self, file: FileIndex) -> Result<Option<CloseLook>, DiskError> {
        let Some(root) = self.root_if_there()? else {
            return Ok(None);
        };
        let path = self.places().path(&root, file)?;
        let meta = self.patiently(|| root.look(&path))?;
        Ok(meta.map(|meta| CloseLook {
            look: Look::of(&meta),
            changed: (meta.ctime(), meta.ctime_nsec()),
            inode: (meta.dev(), meta.ino()),
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
        match self.patiently(|| self.root(false)) {
            Ok(root) => Ok(Some(root)),
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
