//! Copies at the new place, made while the content is used, and what is known of them and of their originals.
//!
//! They lie in a directory of our own until they get their names. It must not know what is kept of a relocation.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use bt_metainfo::FileIndex;
use rustix::fs::ioctl_ficlone;

use super::{Journey, Step, canceled};
use crate::disk::allocation::{Allocation, allocate};
use crate::disk::copy::{copy, copy_range};
use crate::disk::delete::remove_empty_above;
use crate::disk::durable::{STRETCH, SYNC_ONE_BY_ONE};
use crate::disk::places::PARTS;
use crate::disk::root::{Root, free_space};
use crate::disk::stage::{Moment, Retimed};
use crate::disk::{Content, DiskError, Look, Site};

/// Copies that are as long and as old as their originals.
#[derive(Debug, Default)]
pub(super) struct Copies {
    twins: BTreeMap<FileIndex, Twin>,
    /// Copies that are not on the disk to stay.
    unsynced: BTreeSet<FileIndex>,
}

#[derive(Debug, PartialEq, Eq)]
struct Twin {
    original: Original,
    /// Its time may be another: file systems count in steps of their own.
    copy: Look,
}

/// How an original was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Original {
    inode: (u64, u64),
    look: Look,
    changed: Moment,
}

impl Original {
    fn of(meta: &Metadata) -> Self {
        Self {
            inode: (meta.dev(), meta.ino()),
            look: Look::of(meta),
            changed: changed(meta),
        }
    }
}

/// When a file was last changed, its names included: nobody can set that.
pub(super) fn changed(meta: &Metadata) -> Moment {
    Moment {
        seconds: meta.ctime(),
        nanos: u32::try_from(meta.ctime_nsec()).unwrap_or(0),
    }
}

impl Copies {
    /// When the last of the originals was changed.
    pub(super) fn until(&self) -> Moment {
        let changed = self.twins.values().map(|twin| twin.original.changed);
        changed.max().unwrap_or_default()
    }

    /// Whether this is the file that was copied, and nobody has touched it since.
    pub(super) fn is_original(&self, step: &Step, meta: &Metadata) -> bool {
        let now = Original::of(meta);
        self.twins.get(&step.file).is_some_and(|twin| {
            let then = twin.original;
            (then.inode, then.look) == (now.inode, now.look)
        })
    }

    /// Copies that have another time than their originals.
    pub(super) fn retimed(&self) -> Vec<Retimed> {
        let twins = self.twins.iter();
        let apart = twins.filter(|(_, twin)| twin.copy != twin.original.look);
        let retimed = apart.map(|(file, twin)| Retimed {
            file: *file,
            before: twin.original.look,
            after: twin.copy,
        });
        retimed.collect()
    }
}

impl Content {
    /// Copies all there is, and has it on the disk to stay, while nobody waits. What is written from now on is noted.
    pub(super) fn copy_all(
        &self,
        journey: &mut Journey<'_>,
        copies: &mut Copies,
        tell: &mut impl FnMut(u64, u64),
    ) -> Result<(), DiskError> {
        self.discard(&journey.new, journey.to);
        self.written.take_since();
        let steps = self.steps(&self.places(), journey)?;
        self.refuse_without_room(journey, &steps)?;
        #[cfg(test)]
        super::tests::trouble::may_fail("copy", &journey.to.directory)?;
        for step in &steps {
            let size = journey.old.file_size(&step.from)?.unwrap_or(0);
            journey.total += size;
        }
        for step in &steps {
            self.copy_file(journey, step, tell)?;
        }
        for step in &steps {
            self.settle(journey, copies, step)?;
        }
        self.sync_copies(journey, copies, &steps, false)
    }

    /// Copies without end are no help: what does not fit is found out before the first byte.
    fn refuse_without_room(&self, journey: &Journey<'_>, steps: &[Step]) -> Result<(), DiskError> {
        let mut needed: u64 = 0;
        let mut some = None;
        for step in steps {
            let Some(there) = journey.old.look(&step.from)? else {
                continue;
            };
            // Holes take no room, and the last block of a file more than its bytes.
            let taken = there.len().min(there.blocks().saturating_mul(512));
            let takes = match self.full_length(step) {
                Some(length) => taken.max(length),
                None => taken,
            };
            needed = needed.saturating_add(takes);
            some = some.or(Some(step).filter(|_| there.len() > 0));
        }
        let directory = &journey.to.directory;
        let Some(some) = some.filter(|_| free_space(directory).is_ok_and(|free| free < needed))
        else {
            return Ok(());
        };
        // What is shared takes no room.
        let from = journey.old.open_read(&some.from)?;
        let to = journey.new.open_write(&self.staged(&some.to))?;
        if ioctl_ficlone(&to, &from).is_ok() {
            return Ok(());
        }
        let why = format!("it takes {needed} bytes, and there is not so much room");
        let source = io::Error::new(ErrorKind::StorageFull, why);
        Err(DiskError::new("move to", directory, source))
    }

    /// What a file is to take at once, if files are made so.
    fn full_length(&self, step: &Step) -> Option<u64> {
        let is_full = step.file != PARTS && self.allocation() == Allocation::Full;
        is_full.then(|| self.layout().file_length(step.file))
    }

    fn copy_file(
        &self,
        journey: &mut Journey<'_>,
        step: &Step,
        tell: &mut impl FnMut(u64, u64),
    ) -> Result<(), DiskError> {
        if journey.old.file_size(&step.from)?.is_none() {
            return Ok(());
        }
        let to = journey.new.open_write(&self.staged(&step.to))?;
        let (total, mut done) = (journey.total, journey.done);
        let cancel = journey.cancel;
        let whole = self.copy_whole(journey, step, &to, |bytes| {
            done += bytes;
            tell(done.min(total), total);
            !cancel.load(Ordering::Relaxed)
        })?;
        journey.done = done;
        match whole {
            true if !journey.is_canceled() => Ok(()),
            _ => Err(canceled(&journey.to.directory.join(&step.to))),
        }
    }

    fn copy_whole(
        &self,
        journey: &Journey<'_>,
        step: &Step,
        to: &File,
        went: impl FnMut(u64) -> bool,
    ) -> Result<bool, DiskError> {
        let from = journey.old.open_read(&step.from)?;
        // Where the room is taken already, nobody else takes it.
        let allocated = match self.full_length(step) {
            Some(length) => allocate(to, length, Allocation::Full),
            None => Ok(()),
        };
        let copied = allocated.and_then(|()| copy(&from, to, went));
        copied.map_err(|error| copy_failed(journey, step, error))
    }

    /// Copies once more what was written since the last time, and has it on the disk to stay.
    pub(super) fn catch_up(
        &self,
        journey: &Journey<'_>,
        copies: &mut Copies,
    ) -> Result<(), DiskError> {
        let steps = self.steps(&self.places(), journey)?;
        let since = self.written.take_since();
        #[cfg(test)]
        super::tests::trouble::may_fail("copy again", &journey.to.directory)?;
        self.copy_again(journey, copies, &steps, &since)?;
        let written: BTreeSet<FileIndex> = since.iter().map(|(file, _)| *file).collect();
        for step in steps.iter().filter(|step| written.contains(&step.file)) {
            self.settle(journey, copies, step)?;
        }
        self.sync_copies(journey, copies, &steps, false)
    }

    fn copy_again(
        &self,
        journey: &Journey<'_>,
        copies: &mut Copies,
        steps: &[Step],
        since: &BTreeSet<(FileIndex, u64)>,
    ) -> Result<(), DiskError> {
        let steps: HashMap<FileIndex, &Step> = steps.iter().map(|step| (step.file, step)).collect();
        for &(file, stretch) in since {
            if journey.is_canceled() {
                return Err(canceled(&journey.to.directory));
            }
            let Some(&step) = steps.get(&file) else {
                continue;
            };
            let staged = self.staged(&step.to);
            let is_there = journey.old.file_size(&step.from)?.is_some();
            // One that has come since is copied as a whole.
            if !is_there || journey.new.file_size(&staged)?.is_none() {
                continue;
            }
            copies.twins.remove(&file);
            let from = journey.old.open_read(&step.from)?;
            let to = journey.new.open_write(&staged)?;
            let start = stretch * STRETCH;
            copy_range(&from, &to, start, start + STRETCH, |_| true)
                .map_err(|error| copy_failed(journey, step, error))?;
        }
        Ok(())
    }

    /// What is left while nobody writes: stretches, files that came or went, lengths and times. Of the syncing only what
    /// has changed since is left as well.
    pub(super) fn copy_the_last(
        &self,
        journey: &Journey<'_>,
        copies: &mut Copies,
        steps: &[Step],
    ) -> Result<(), DiskError> {
        let since = self.written.take_since();
        self.copy_again(journey, copies, steps, &since)?;
        for step in steps {
            self.settle(journey, copies, step)?;
        }
        self.sync_copies(journey, copies, steps, true)
    }

    /// Gives a copy the length and the time of its original, unless it has them; makes one that is not there, and
    /// removes one whose original is gone.
    fn settle(
        &self,
        journey: &Journey<'_>,
        copies: &mut Copies,
        step: &Step,
    ) -> Result<(), DiskError> {
        let staged = self.staged(&step.to);
        let Some(there) = journey.old.look(&step.from)? else {
            copies.twins.remove(&step.file);
            copies.unsynced.remove(&step.file);
            return journey.new.remove_file(&staged);
        };
        let original = Original::of(&there);
        let twin = copies.twins.get(&step.file);
        if twin.is_some_and(|twin| twin.original == original) {
            return Ok(());
        }
        let failed = |error| copy_failed(journey, step, error);
        let is_new = journey.new.file_size(&staged)?.is_none();
        let to = journey.new.open_write(&staged)?;
        if is_new {
            self.copy_whole(journey, step, &to, |_| true)?;
        }
        to.set_len(there.len()).map_err(failed)?;
        // A file that is as it was left is known by its time, as far as the file system can count it.
        let time = there.modified().map_err(failed)?;
        #[cfg(test)]
        let time = super::tests::trouble::as_counted(time);
        let timed = to.set_modified(time);
        let copy = timed.and_then(|()| to.metadata()).map_err(failed)?;
        let copy = Look::of(&copy);
        copies.twins.insert(step.file, Twin { original, copy });
        copies.unsynced.insert(step.file);
        Ok(())
    }

    /// If somebody waits, nothing but what is ours is waited for.
    fn sync_copies(
        &self,
        journey: &Journey<'_>,
        copies: &mut Copies,
        steps: &[Step],
        is_waited_for: bool,
    ) -> Result<(), DiskError> {
        let unsynced = std::mem::take(&mut copies.unsynced);
        if unsynced.len() > SYNC_ONE_BY_ONE && !is_waited_for {
            return journey.new.sync_everything(&journey.seen);
        }
        let mut synced = Vec::with_capacity(unsynced.len());
        for step in steps.iter().filter(|step| unsynced.contains(&step.file)) {
            let staged = self.staged(&step.to);
            let file = journey.new.open_read(&staged)?;
            #[cfg(test)]
            super::tests::trouble::may_fail("sync a copy", &staged)?;
            let done = file.sync_all();
            done.map_err(|error| copy_failed(journey, step, error))?;
            synced.push(staged);
        }
        journey.new.sync_names(synced.iter().map(PathBuf::as_path))
    }

    /// Where copies lie until they get their names.
    fn staging(&self) -> PathBuf {
        self.info().parts_path().with_extension("moving")
    }

    pub(super) fn staged(&self, to: &Path) -> PathBuf {
        self.staging().join(to)
    }

    pub(super) fn remove_staging(&self, new: &Root, steps: &[Step]) {
        let staged: Vec<PathBuf> = steps.iter().map(|step| self.staged(&step.to)).collect();
        remove_empty_above(new, &staged);
    }

    pub(super) fn discard(&self, new: &Root, to: &Site) {
        let places = self.places();
        let mut staged = Vec::new();
        for file in places.stored() {
            for given in places.all_given(file) {
                staged.push(self.staged(&places.path_at(to, file, &given)));
            }
        }
        for path in &staged {
            if let Err(error) = new.remove_file(path) {
                tracing::debug!(%error, "a copy stays");
            }
        }
        remove_empty_above(new, &staged);
    }
}

fn copy_failed(journey: &Journey<'_>, step: &Step, error: io::Error) -> DiskError {
    DiskError::new("copy to", &journey.to.directory.join(&step.to), error)
}
