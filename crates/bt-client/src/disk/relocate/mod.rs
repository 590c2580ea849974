//! The content goes to another site while it is used: another directory, other names, or both.
//!
//! Within a file system files get other names, one after the other. To another one they are copied first, into a
//! directory of our own beside their new place, while blocks come and go at the old one; what was written meanwhile is
//! copied again, and only the last of it, the syncing of that and the giving of names keep readers and writers waiting.
//! The owner is told each [`Stage`] before it begins and keeps it, so that after a crash [`Content::finish_relocation`]
//! or [`Content::drop_copies`] ends what was begun: at each moment all of the content is at one of the two sites. It must
//! not know how that is kept, nor why the content goes.

mod copies;
mod ending;
mod placing;
#[cfg(test)]
mod tests;

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLockWriteGuard};
use std::time::Instant;

use bt_metainfo::FileIndex;
use rustix::io::Errno;

use self::copies::Copies;
use self::placing::Unplaced;
use super::delete::remove_empty_above;
use super::places::Places;
use super::root::Root;
use super::stage::{Placing, Stage};
use super::{Content, DiskError, Site};

/// With no more than this left to be copied again, nobody waits for long.
const FEW_STRETCHES: usize = 32;

/// What was written while the rest was copied is copied again without making anybody wait, as long as it becomes less;
/// when it has not so often, the content is written faster than the new place takes it.
const ROUNDS: usize = 8;

/// One file on its way.
#[derive(Debug)]
struct Step {
    file: FileIndex,
    /// Below the old root, and below the new one.
    from: PathBuf,
    to: PathBuf,
    /// It lies under its own name, as shared from this machine, and not under the portable one.
    native: bool,
}

/// What a relocation is about.
struct Journey<'a> {
    old: Arc<Root>,
    new: Arc<Root>,
    to: &'a Site,
    cancel: &'a AtomicBool,
    /// Names cannot be given from one place to the other.
    copied: bool,
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

/// Nobody reads or writes, and nothing is left to be copied.
struct Ready<'a> {
    places: RwLockWriteGuard<'a, Places>,
    since: Instant,
    steps: Vec<Step>,
    placing: Placing,
}

/// What a try came to that has not failed.
enum Tried {
    Moved,
    /// What looked like one file system takes no names across: nothing has moved.
    Apart,
}

impl Content {
    /// Takes the content to `to`. `keep` has to make each stage survive a power cut before it returns; if it fails before
    /// files have moved, nothing has. `tell` hears how many bytes of how many are copied. When `cancel` is set, copying
    /// ends, and all stays as it was. Blocks the thread, which must not be one of the disk's.
    ///
    /// # Errors
    /// If something has the name of one of the files already, if there is not room enough, if the system refuses, or if
    /// `keep` does. The content is where it was then.
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
        // The same directory by another path.
        let new = if was == is { Arc::clone(&old) } else { new };
        let mut journey = Journey {
            seen: AtomicU64::new(new.failures()),
            old,
            new,
            to,
            cancel,
            copied: was.0 != is.0,
            total: 0,
            done: 0,
        };
        self.refuse_strangers(&journey)?;
        // Two mounts of one file system, or two quotas in it, have one device and are two places all the same.
        if let Tried::Apart = self.travel(&mut journey, &mut keep, &mut tell)? {
            journey.copied = true;
            self.travel(&mut journey, &mut keep, &mut tell)?;
        }
        Ok(())
    }

    fn travel<E: From<DiskError>>(
        &self,
        journey: &mut Journey<'_>,
        keep: &mut impl FnMut(Stage) -> Result<(), E>,
        tell: &mut impl FnMut(u64, u64),
    ) -> Result<Tried, E> {
        let mut copies = Copies::default();
        if journey.copied {
            keep(Stage::Copying)?;
            if let Err(error) = self.copy_all(journey, &mut copies, tell) {
                return Err(self.give_up(journey, error.into(), false, keep));
            }
        } else {
            // After a crash the new directory has to be there, or it looks like one that is not mounted.
            journey.new.sync_names(std::iter::empty())?;
        }
        let ready = match self.last_steps(journey, &mut copies) {
            Ok(ready) => ready,
            Err(error) => return Err(self.give_up(journey, error.into(), false, keep)),
        };
        let Ready {
            mut places,
            since,
            steps,
            placing,
        } = ready;
        let staged = steps.iter().filter(|_| journey.copied);
        let staged = staged.map(|step| (step.file, self.staged(&step.to)));
        let reserved = self.reserve(&journey.new, staged);
        let placed = match keep(Stage::Placing(placing)) {
            Ok(()) => self.place(&journey.old, &journey.new, &steps, journey.copied),
            Err(error) => {
                self.take_back(reserved);
                drop(places);
                return Err(self.give_up(journey, error, true, keep));
            }
        };
        match placed {
            Ok(()) => {}
            Err(Unplaced::Back(error)) => {
                self.take_back(reserved);
                drop(places);
                let to: Vec<PathBuf> = steps.into_iter().map(|step| step.to).collect();
                remove_empty_above(&journey.new, &to);
                if !journey.copied && error.is_across() {
                    return Ok(Tried::Apart);
                }
                return Err(self.give_up(journey, error.into(), true, keep));
            }
            // Both sites hold a part of it: the next start goes on where this has ended.
            Err(Unplaced::Torn(error)) => return Err(error.into()),
        }
        let directory = journey.to.directory.clone();
        self.set_base(directory, Some(Arc::clone(&journey.new)));
        places.site = journey.to.clone();
        self.written.forget_names();
        self.written.end_since();
        if journey.copied {
            self.holds_moved(&places, &journey.new);
        }
        let kept = keep(Stage::Arrived(copies.retimed()));
        drop(places);
        tracing::debug!(waited = ?since.elapsed(), "readers and writers go on at the new place");
        kept?;
        if journey.copied {
            let is_left = |step: &Step, was: &Metadata| copies.is_original(step, was);
            if let Err(error) = self.drop_old(&journey.old, &journey.new, &steps, is_left) {
                // It has moved all the same, and the next start tries again.
                tracing::warn!(%error, "the old copy of the content stays for now");
                return Ok(Tried::Moved);
            }
            self.remove_staging(&journey.new, &steps);
        }
        let left: Vec<PathBuf> = steps.into_iter().map(|step| step.from).collect();
        remove_empty_above(&journey.old, &left);
        keep(Stage::Gone)?;
        Ok(Tried::Moved)
    }

    /// From here on nobody reads or writes, and what is left to be copied is.
    fn last_steps(
        &self,
        journey: &Journey<'_>,
        copies: &mut Copies,
    ) -> Result<Ready<'_>, DiskError> {
        let lock = || self.places.write().unwrap_or_else(PoisonError::into_inner);
        let (mut least, mut stalls) = (usize::MAX, 0);
        let (places, since) = loop {
            let places = lock();
            let left = self.written.since_length();
            if !journey.copied || left <= FEW_STRETCHES {
                break (places, Instant::now());
            }
            drop(places);
            stalls += usize::from(left >= least);
            least = least.min(left);
            if stalls >= ROUNDS {
                return Err(outrun(journey));
            }
            self.catch_up(journey, copies)?;
        };
        if !journey.copied {
            // Another torrent may have come to share the files since it was looked at.
            self.refuse_shared(&places, &journey.old)?;
        }
        let steps = self.steps(&places, journey)?;
        if journey.copied {
            self.copy_the_last(journey, copies, &steps)?;
        }
        let native = steps.iter().filter(|step| step.native);
        let placing = Placing {
            copied: journey.copied.then(|| copies.until()),
            native: native.map(|step| step.file).collect(),
        };
        Ok(Ready {
            places,
            since,
            steps,
            placing,
        })
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
        keep(Stage::Arrived(Vec::new()))?;
        keep(Stage::Gone)
    }

    /// All is where it was. `placing` may be what is kept.
    fn give_up<E: From<DiskError>>(
        &self,
        journey: &Journey<'_>,
        error: E,
        placing: bool,
        keep: &mut impl FnMut(Stage) -> Result<(), E>,
    ) -> E {
        self.written.end_since();
        if journey.copied {
            // Copies must not go while it is kept that the next start is to go on with them.
            if placing && keep(Stage::Copying).is_err() {
                return error;
            }
            self.discard(&journey.new, journey.to);
        }
        // If that fails as well, the next start drops the copies again, or gives names again.
        let _ = keep(Stage::Abandoned);
        error
    }

    /// Each file of ours and the parts, with the names it has and is to have; in an order in which no file gets a name
    /// that another one has not given up yet.
    fn steps(&self, places: &Places, journey: &Journey<'_>) -> Result<Vec<Step>, DiskError> {
        let step = |file| {
            let given = places.given(&journey.old, file)?;
            Ok(Step::new(places, file, &given, &places.site, journey.to))
        };
        let steps = places.stored().map(step).collect::<Result<_, DiskError>>();
        steps.map(in_order)
    }

    /// What is not ours is not replaced, nor taken for ours.
    fn refuse_strangers(&self, journey: &Journey<'_>) -> Result<(), DiskError> {
        let places = self.places();
        self.refuse_shared(&places, &journey.old)?;
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

    /// Removes the files at the old site that the new one has too and that are as they were left.
    fn drop_old(
        &self,
        old: &Root,
        new: &Root,
        steps: &[Step],
        is_left: impl Fn(&Step, &Metadata) -> bool,
    ) -> Result<(), DiskError> {
        for step in steps {
            let (Some(was), Some(is)) = (old.look(&step.from)?, new.look(&step.to)?) else {
                continue;
            };
            // By whatever paths, it may be one file.
            if (was.dev(), was.ino()) == (is.dev(), is.ino()) {
                continue;
            }
            // Of the new one nothing can be told: it may have been written to since.
            // Another torrent may have been added meanwhile whose content lies in it as well.
            let is_ours = self.also_of(&was).is_none();
            if is_ours && is_left(step, &was) && was.len() <= is.len() {
                old.remove_file(&step.from)?;
            } else {
                let path = &step.from;
                tracing::warn!(path = %path.display(), "another file lies at the old place, and stays");
            }
        }
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

impl Step {
    fn new(places: &Places, file: FileIndex, given: &Path, from: &Site, to: &Site) -> Self {
        Self {
            file,
            from: places.path_at(from, file, given),
            to: places.path_at(to, file, given),
            native: places
                .all_given(file)
                .first()
                .is_some_and(|portable| portable != given),
        }
    }
}

fn in_order(mut steps: Vec<Step>) -> Vec<Step> {
    steps.sort_unstable_by(|a, b| a.from.cmp(&b.from));
    steps
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

fn canceled(path: &Path) -> DiskError {
    let source = std::io::Error::new(std::io::ErrorKind::Interrupted, "it was called off");
    DiskError::new("move to", path, source)
}

fn outrun(journey: &Journey<'_>) -> DiskError {
    let why = "it is downloaded faster than it can be copied there";
    let source = std::io::Error::new(std::io::ErrorKind::WouldBlock, why);
    DiskError::new("move to", &journey.to.directory, source)
}
