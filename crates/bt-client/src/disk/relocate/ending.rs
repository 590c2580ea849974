//! What a crash has cut short is ended: copies are dropped, or the other files get their names; then the old site is left.
//!
//! It must not know how an earlier run has kept what it had begun.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::copies::changed;
use super::{Step, in_order};
use crate::disk::delete::remove_empty_above;
use crate::disk::root::Root;
use crate::disk::stage::{Ended, Moment, Placing, Retimed};
use crate::disk::{Content, DiskError, Look, Site};

/// The longest step in which a file system counts times: that of FAT.
const LONGEST_STEP: Duration = Duration::from_secs(2);

impl Content {
    /// Ends a relocation that was cut short while copies were made: they are dropped. To be called before anything is
    /// read. Blocks the thread.
    ///
    /// # Errors
    /// If the directory cannot be opened.
    pub fn drop_copies(&self, to: &Site) -> Result<(), DiskError> {
        if let Some(new) = self.there(to)? {
            self.discard(&new, to);
        }
        Ok(())
    }

    /// Ends a relocation that was cut short while files got their names: the others get theirs. To be called before
    /// anything is read. `is_ground_there`: nothing says that the disk of `to` is not mounted. Nothing is moved if not all
    /// of it can be at the new site. Blocks the thread.
    ///
    /// # Errors
    /// If the system refuses: then some files are at one site and some at the other, and it is to be tried again.
    pub fn finish_relocation(
        &self,
        to: &Site,
        placing: &Placing,
        is_ground_there: bool,
    ) -> Result<Ended, DiskError> {
        let copied = placing.copied.is_some();
        let old = self.root_if_there()?;
        let new = self.there(to)?;
        let steps = {
            let places = self.places();
            let step = |file| {
                // A file that has its new name already cannot say any more under which of its names it lay.
                let mut given = places.all_given(file).into_iter();
                let portable = given.next().unwrap_or_default();
                let native = given.next().filter(|_| placing.native.contains(&file));
                let given = native.unwrap_or(portable);
                Step::new(&places, file, &given, &places.site, to)
            };
            in_order(places.stored().map(step).collect())
        };
        let is_any = |root: &Option<Arc<Root>>, path: &dyn Fn(&Step) -> PathBuf| {
            let Some(root) = root else {
                return Ok(false);
            };
            for step in &steps {
                if root.look(&path(step))?.is_some() {
                    return Ok(true);
                }
            }
            Ok::<_, DiskError>(false)
        };
        let is_some_here = is_any(&old, &|step| step.from.clone())?;
        let is_some_there = is_any(&new, &|step| step.to.clone())?
            || (copied && is_any(&new, &|step| self.staged(&step.to))?);
        match is_some_there {
            true => {}
            false if !is_some_here || !is_ground_there => return Ok(Ended::Elsewhere),
            false if copied => return Ok(Ended::Back),
            false => {}
        }
        let new = match new {
            Some(new) => new,
            None => self.other_root(&to.directory, true)?,
        };
        // With all of it elsewhere the old directory may be gone.
        let old = old.unwrap_or_else(|| Arc::clone(&new));
        let is_same = old.identity()? == new.identity()?;
        let new = if is_same { Arc::clone(&old) } else { new };
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        match self.place_the_rest(&old, &new, &steps, copied) {
            // Names cannot be given from there: what was to come next is copying.
            Err(error) if error.is_across() && !is_some_there => {
                let to: Vec<PathBuf> = steps.into_iter().map(|step| step.to).collect();
                remove_empty_above(&new, &to);
                return Ok(Ended::Back);
            }
            other => other?,
        }
        self.set_base(to.directory.clone(), Some(Arc::clone(&new)));
        places.site = to.clone();
        drop(places);
        if !copied {
            let left: Vec<PathBuf> = steps.into_iter().map(|step| step.from).collect();
            remove_empty_above(&old, &left);
            return Ok(Ended::Arrived(Vec::new()));
        }
        self.remove_staging(&new, &steps);
        let retimed = steps.iter().filter_map(|step| retimed(&old, &new, step));
        Ok(Ended::Arrived(retimed.collect()))
    }

    /// Removes what a relocation that was cut short at its end has left: empty directories, and copies at the old site
    /// that nobody has changed since `copied`, which says when the last of them was; `None` if nothing was copied. Blocks
    /// the thread.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn leave(&self, old_site: &Site, copied: Option<Moment>) -> Result<(), DiskError> {
        let (Some(old), Some(new)) = (self.there(old_site)?, self.root_if_there()?) else {
            return Ok(());
        };
        let places = self.places();
        let step = |file| {
            let given = places.given(&new, file)?;
            Ok(Step::new(&places, file, &given, old_site, &places.site))
        };
        let steps = places
            .stored()
            .map(step)
            .collect::<Result<Vec<Step>, DiskError>>()?;
        // Where nothing was copied, what has an old name is another file.
        if let Some(until) = copied {
            let is_left = |_: &Step, was: &Metadata| changed(was) <= until;
            self.drop_old(&old, &new, &steps, is_left)?;
        }
        self.remove_staging(&new, &steps);
        let left: Vec<PathBuf> = steps.into_iter().map(|step| step.from).collect();
        remove_empty_above(&old, &left);
        Ok(())
    }

    fn there(&self, site: &Site) -> Result<Option<Arc<Root>>, DiskError> {
        match self.other_root(&site.directory, false) {
            Ok(root) => Ok(Some(root)),
            Err(error) if error.source.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The original lies beside its copy still, which has got a time that is another only because it is counted in longer
/// steps.
fn retimed(old: &Root, new: &Root, step: &Step) -> Option<Retimed> {
    let (was, is) = (old.look(&step.from).ok()??, new.look(&step.to).ok()??);
    let (then, now) = (was.modified().ok()?, is.modified().ok()?);
    let apart = now.duration_since(then);
    let apart = apart.unwrap_or_else(|error| error.duration());
    let is_copy = (was.dev(), was.ino()) != (is.dev(), is.ino()) && was.len() == is.len();
    let is_retimed = is_copy && !apart.is_zero() && apart < LONGEST_STEP;
    is_retimed.then(|| Retimed {
        file: step.file,
        before: Look::of(&was),
        after: Look::of(&is),
    })
}
