//! The content goes to another site while it is used: another directory, other names, or both.
//!
//! Within a file system files get other names, one after the other. To another one they are copied first, into a
//! directory of our own beside their new place, while blocks come and go at the old one; what was written meanwhile is
//! copied again, and only the last of it, the syncing of it and the giving of names keep readers and writers waiting.
//! The owner is told each [`Stage`] before it begins and keeps it, so that after a crash [`Content::finish_relocation`]
//! or [`Content::drop_copies`] ends what was begun: at each moment all of the content is at one of the two sites. It must
//! not know how that is kept, nor why the content goes.

mod placing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use bt_metainfo::FileIndex;
use rustix::io::Errno;

use self::placing::Unplaced;
use super::copy::{copy, copy_range};
use super::delete::remove_empty_above;
use super::durable::{STRETCH, SYNC_ONE_BY_ONE};
use super::places::Places;
use super::root::Root;
use super::stage::Stage;
use super::{Content, DiskError, Site};

/// What was written while the rest was copied is copied so often without making anybody wait; then the last of it is.
const ROUNDS: usize = 8;

/// With no more than this left to be copied again, nobody waits for long.
const FEW_STRETCHES: usize = 32;

/// One file on its way.
#[derive(Debug)]
struct Step {
    file: FileIndex,
    /// Below the old root, and below the new one.
    from: PathBuf,
    to: PathBuf,
}

/// What a relocation is about.
struct Journey<'a> {
    old: Arc<Root>,
    new: Arc<Root>,
    to: &'a Site,
    cancel: &'a AtomicBool,
    /// Bytes to be copied, as far as that is known at the start.
    total: u64,
    done: u64,
    /// Failed syncs of the new file system that are known of.
    seen: AtomicU64,
}

impl Journey<'_> {
    fn is_canceled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

impl Content {
    /// Takes the content to `to`. `keep` has to make each stage survive a power cut before it returns; if it fails before
    /// files have moved, nothing has. `tell` hears how many bytes of how many are copied. When `cancel` is set, copying
    /// ends, and all stays as it was. Blocks the thread, which must not be one of the disk's.
    ///
    /// # Errors
    /// If something has the name of one of the files already, if the system refuses, or if `keep` does. The content is
    /// where it was then.
    pub fn relocate<E: From<DiskError>>(
        &self,
        to: &Site,
        cancel: &AtomicBool,
        mut keep: impl FnMut(Stage) -> Result<(), E>,
        mut tell: impl FnMut(u64, u64),
    ) -> Result<(), E> {
        let Some(old) = self.root_if_there()? else {
            return self.begin_elsewhere(to, keep);
        };
        let new = self.other_root(&to.directory, true)?;
        let (was, is) = (old.identity()?, new.identity()?);
        let copied = was.0 != is.0;
        // The same directory by another path.
        let new = if was == is { Arc::clone(&old) } else { new };
        let mut journey = Journey {
            seen: AtomicU64::new(new.failures()),
            old,
            new,
            to,
            cancel,
            total: 0,
            done: 0,
        };
        self.refuse_strangers(&journey)?;
        if copied {
            keep(Stage::Copying)?;
            let made = self.copy_all(&mut journey, &mut tell);
            if let Err(error) = made {
                return Err(self.give_up(&journey, error.into(), keep));
            }
        }
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        let steps = match self.steps(&places, &journey) {
            Ok(steps) => steps,
            Err(error) => {
                drop(places);
                return Err(self.give_up(&journey, error.into(), keep));
            }
        };
        let ready = match copied {
            true => self.copy_the_last(&journey, &steps),
            false => Ok(()),
        };
        let placed = ready
            .map_err(E::from)
            .and_then(|()| keep(Stage::Placing { copied }))
            .map(|()| self.place(&journey.old, &journey.new, &steps, copied));
        let error = match placed {
            Ok(Ok(())) => None,
            Ok(Err(Unplaced::Back(error))) => Some(E::from(error)),
            // Both sites hold a part of it: the next start goes on where this has ended.
            Ok(Err(Unplaced::Torn(error))) => return Err(error.into()),
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            drop(places);
            return Err(self.give_up(&journey, error, keep));
        }
        self.set_base(to.directory.clone(), Some(Arc::clone(&journey.new)));
        places.site = to.clone();
        self.written.forget_names();
        self.written.end_since();
        let kept = keep(Stage::Arrived);
        drop(places);
        kept?;
        if copied {
            self.drop_old(&journey.old, &journey.new, &steps)?;
            self.remove_staging(&journey.new, &steps);
        }
        let left: Vec<PathBuf> = steps.into_iter().map(|step| step.from).collect();
        remove_empty_above(&journey.old, &left);
        keep(Stage::Gone)
    }

    /// Nothing has been made yet, so that nothing has to go.
    fn begin_elsewhere<E: From<DiskError>>(
        &self,
        to: &Site,
        mut keep: impl FnMut(Stage) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        if let Ok(new) = self.other_root(&to.directory, false) {
            for file in places.stored() {
                for given in places.all_given(file) {
                    refuse_stranger(&new, to, &places.path_at(to, file, &given))?;
                }
            }
        }
        self.set_base(to.directory.clone(), None);
        places.site = to.clone();
        keep(Stage::Arrived)?;
        keep(Stage::Gone)
    }

    fn give_up<E: From<DiskError>>(
        &self,
        journey: &Journey<'_>,
        error: E,
        mut keep: impl FnMut(Stage) -> Result<(), E>,
    ) -> E {
        self.written.end_since();
        self.discard(&journey.new, journey.to);
        // If that fails as well, the next start drops the copies again.
        let _ = keep(Stage::Abandoned);
        error
    }

    /// Each file of ours and the parts, with the names it has and is to have; in an order in which no file gets a name
    /// that another one has not given up yet.
    fn steps(&self, places: &Places, journey: &Journey<'_>) -> Result<Vec<Step>, DiskError> {
        let step = |file| {
            let given = places.given(&journey.old, file)?;
            Ok(Step {
                file,
                from: places.path_at(&places.site, file, &given),
                to: places.path_at(journey.to, file, &given),
            })
        };
        let mut steps = places
            .stored()
            .map(step)
            .collect::<Result<Vec<Step>, DiskError>>()?;
        steps.sort_unstable_by(|a, b| a.from.cmp(&b.from));
        Ok(steps)
    }

    /// What is not ours is not replaced, nor taken for ours.
    fn refuse_strangers(&self, journey: &Journey<'_>) -> Result<(), DiskError> {
        let places = self.places();
        let steps = self.steps(&places, journey)?;
        let is_same_directory = Arc::ptr_eq(&journey.old, &journey.new);
        let ours = |path: &Path| {
            is_same_directory
                && steps
                    .binary_search_by(|step| step.from.as_path().cmp(path))
                    .is_ok()
        };
        for step in &steps {
            if !ours(&step.to) {
                refuse_stranger(&journey.new, journey.to, &step.to)?;
            }
        }
        let mut to: Vec<&Path> = steps.iter().map(|step| step.to.as_path()).collect();
        to.sort_unstable();
        match to
            .iter()
            .zip(to.iter().skip(1))
            .find(|(a, b)| b.starts_with(a))
        {
            Some((path, _)) => Err(taken(journey.to, path)),
            None => Ok(()),
        }
    }

    fn copy_all(
        &self,
        journey: &mut Journey<'_>,
        tell: &mut impl FnMut(u64, u64),
    ) -> Result<(), DiskError> {
        self.discard(&journey.new, journey.to);
        self.written.take_since();
        let steps = self.steps(&self.places(), journey)?;
        for step in &steps {
            let size = journey.old.file_size(&step.from)?.unwrap_or(0);
            journey.total += size;
        }
        for step in &steps {
            self.copy_file(journey, step, tell)?;
        }
        for _ in 0..ROUNDS {
            let since = self.written.take_since();
            if since.len() <= FEW_STRETCHES {
                self.copy_again(journey, &steps, since)?;
                break;
            }
            self.copy_again(journey, &steps, since)?;
        }
        // Most of it goes to the disk while nobody waits.
        self.sync_copies(journey, &steps)
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
        let from = journey.old.open_read(&step.from)?;
        let staged = self.staged(&step.to);
        let to = journey.new.open_write(&staged)?;
        let (total, mut done) = (journey.total, journey.done);
        let cancel = journey.cancel;
        let whole = copy(&from, &to, |bytes| {
            done += bytes;
            tell(done.min(total), total);
            !cancel.load(Ordering::Relaxed)
        });
        journey.done = done;
        match whole {
            Ok(true) if !journey.is_canceled() => Ok(()),
            Ok(_) => Err(canceled(&journey.to.directory.join(&step.to))),
            Err(error) => Err(copy_failed(journey, step, error)),
        }
    }

    fn copy_again(
        &self,
        journey: &Journey<'_>,
        steps: &[Step],
        since: impl IntoIterator<Item = (FileIndex, u64)>,
    ) -> Result<(), DiskError> {
        let steps: HashMap<FileIndex, &Step> = steps.iter().map(|step| (step.file, step)).collect();
        for (file, stretch) in since {
            if journey.is_canceled() {
                return Err(canceled(&journey.to.directory));
            }
            let Some(&step) = steps.get(&file) else {
                continue;
            };
            if journey.old.file_size(&step.from)?.is_none() {
                continue;
            }
            let from = journey.old.open_read(&step.from)?;
            let to = journey.new.open_write(&self.staged(&step.to))?;
            let start = stretch * STRETCH;
            copy_range(&from, &to, start, start + STRETCH, |_| true)
                .map_err(|error| copy_failed(journey, step, error))?;
        }
        Ok(())
    }

    /// What is left while nobody writes: stretches, files that came or went, lengths and times. Then all is synced.
    fn copy_the_last(&self, journey: &Journey<'_>, steps: &[Step]) -> Result<(), DiskError> {
        let since = self.written.take_since();
        self.copy_again(journey, steps, since)?;
        for step in steps {
            let staged = self.staged(&step.to);
            let Some(there) = journey.old.look(&step.from)? else {
                journey.new.remove_file(&staged)?;
                continue;
            };
            let failed = |error| copy_failed(journey, step, error);
            let is_new = journey.new.file_size(&staged)?.is_none();
            let to = journey.new.open_write(&staged)?;
            if is_new {
                let from = journey.old.open_read(&step.from)?;
                copy(&from, &to, |_| true).map_err(failed)?;
            }
            to.set_len(there.len()).map_err(failed)?;
            // A file that is as it was left is known by its time.
            there
                .modified()
                .and_then(|time| to.set_modified(time))
                .map_err(failed)?;
        }
        self.sync_copies(journey, steps)
    }

    fn sync_copies(&self, journey: &Journey<'_>, steps: &[Step]) -> Result<(), DiskError> {
        let mut there = Vec::new();
        for step in steps {
            let staged = self.staged(&step.to);
            if journey.new.file_size(&staged)?.is_some() {
                there.push((step, staged));
            }
        }
        if there.len() > SYNC_ONE_BY_ONE {
            return journey.new.sync_everything(&journey.seen);
        }
        for (step, staged) in &there {
            let file = journey.new.open_read(staged)?;
            file.sync_all()
                .map_err(|error| copy_failed(journey, step, error))?;
        }
        journey
            .new
            .sync_names(there.iter().map(|(_, staged)| staged.as_path()))
    }

    /// Removes the files at the old site of which the very same is at the new one.
    fn drop_old(&self, old: &Root, new: &Root, steps: &[Step]) -> Result<(), DiskError> {
        for step in steps {
            let (Some(was), Some(is)) = (old.look(&step.from)?, new.look(&step.to)?) else {
                continue;
            };
            // By whatever paths, it may be one file.
            if (was.dev(), was.ino()) == (is.dev(), is.ino()) {
                continue;
            }
            if was.len() == is.len() && was.modified().ok() == is.modified().ok() {
                old.remove_file(&step.from)?;
            } else {
                let path = &step.from;
                tracing::info!(path = %path.display(), "another file lies at the old place, and stays");
            }
        }
        Ok(())
    }

    /// Where copies lie until they get their names.
    fn staging(&self) -> PathBuf {
        self.info().parts_path().with_extension("moving")
    }

    fn staged(&self, to: &Path) -> PathBuf {
        self.staging().join(to)
    }

    fn remove_staging(&self, new: &Root, steps: &[Step]) {
        let staged: Vec<PathBuf> = steps.iter().map(|step| self.staged(&step.to)).collect();
        remove_empty_above(new, &staged);
    }

    fn discard(&self, new: &Root, to: &Site) {
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

    /// Ends a relocation that was cut short while copies were made: they are dropped. To be called before anything is
    /// read. Blocks the thread.
    ///
    /// # Errors
    /// If the directory cannot be opened.
    pub fn drop_copies(&self, to: &Site) -> Result<(), DiskError> {
        match self.other_root(&to.directory, false) {
            Ok(new) => self.discard(&new, to),
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Ends a relocation that was cut short while files got their names: the others get theirs. To be called before
    /// anything is read. Blocks the thread.
    ///
    /// # Errors
    /// If the system refuses: then some files are at one site and some at the other, and it is to be tried again.
    pub fn finish_relocation(&self, to: &Site, copied: bool) -> Result<(), DiskError> {
        let new = self.other_root(&to.directory, true)?;
        // With all of it elsewhere the old directory may be gone.
        let old = self.root_if_there()?.unwrap_or_else(|| Arc::clone(&new));
        let is_same = old.identity()? == new.identity()?;
        let new = if is_same { Arc::clone(&old) } else { new };
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        let mut steps = Vec::new();
        // A file that has its new name already cannot say any more under which of its names it lay.
        for file in places.stored() {
            for given in places.all_given(file) {
                steps.push(Step {
                    file,
                    from: places.path_at(&places.site, file, &given),
                    to: places.path_at(to, file, &given),
                });
            }
        }
        steps.sort_unstable_by(|a, b| a.from.cmp(&b.from));
        self.place_the_rest(&old, &new, &steps, copied)?;
        self.set_base(to.directory.clone(), Some(Arc::clone(&new)));
        places.site = to.clone();
        drop(places);
        if copied {
            self.remove_staging(&new, &steps);
        } else {
            let left: Vec<PathBuf> = steps.into_iter().map(|step| step.from).collect();
            remove_empty_above(&old, &left);
        }
        Ok(())
    }

    /// Removes what a relocation that was cut short at its end has left: copies at the old site, empty directories. Blocks the thread.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn leave(&self, old_site: &Site) -> Result<(), DiskError> {
        let old = match self.other_root(&old_site.directory, false) {
            Ok(old) => old,
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(new) = self.root_if_there()? else {
            return Ok(());
        };
        let places = self.places();
        let step = |file| {
            let given = places.given(&new, file)?;
            Ok(Step {
                file,
                from: places.path_at(old_site, file, &given),
                to: places.path_at(&places.site, file, &given),
            })
        };
        let steps = places
            .stored()
            .map(step)
            .collect::<Result<Vec<Step>, DiskError>>()?;
        // Within a file system nothing was copied, and what has an old name is another file.
        if old.identity()?.0 != new.identity()?.0 {
            self.drop_old(&old, &new, &steps)?;
        }
        self.remove_staging(&new, &steps);
        let left: Vec<PathBuf> = steps.into_iter().map(|step| step.from).collect();
        remove_empty_above(&old, &left);
        Ok(())
    }

    /// The content is at `site`, where nobody has used it yet.
    pub fn set_site(&self, site: &Site) {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        self.set_base(site.directory.clone(), None);
        places.site = site.clone();
        places.look_again();
    }

    /// Where the content is.
    #[must_use]
    pub fn site(&self) -> Site {
        self.places().site.clone()
    }
}

fn refuse_stranger(new: &Root, to: &Site, path: &Path) -> Result<(), DiskError> {
    match new.is_taken(path)? {
        true => Err(taken(to, path)),
        false => Ok(()),
    }
}

fn taken(to: &Site, path: &Path) -> DiskError {
    DiskError::new("move to", &to.directory.join(path), Errno::EXIST.into())
}

fn copy_failed(journey: &Journey<'_>, step: &Step, error: std::io::Error) -> DiskError {
    DiskError::new("copy to", &journey.to.directory.join(&step.to), error)
}

fn canceled(path: &Path) -> DiskError {
    let source = std::io::Error::new(std::io::ErrorKind::Interrupted, "it was called off");
    DiskError::new("move to", path, source)
}
