//! Files get their new names: all of them or none, and after a crash the others.
//!
//! It must not know what is copied, nor what is kept of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use super::Step;
use crate::disk::durable::SYNC_ONE_BY_ONE;
use crate::disk::root::Root;
use crate::disk::{Content, DiskError};

impl Content {
    /// Gives the files their new names. If it cannot be done for all, it is done for none.
    pub(super) fn place(
        &self,
        old: &Root,
        new: &Root,
        steps: &[Step],
        copied: bool,
    ) -> Result<(), Unplaced> {
        let source = if copied { new } else { old };
        let mut placed: Vec<(PathBuf, &Path)> = Vec::new();
        for step in steps {
            let from = match copied {
                true => self.staged(&step.to),
                false => step.from.clone(),
            };
            // A step that leads nowhere else has nothing to do.
            if std::ptr::eq(source, new) && from == step.to {
                continue;
            }
            let renamed = source.file_size(&from).and_then(|size| match size {
                Some(_) => rename(source, &from, new, &step.to).map(|()| true),
                None => Ok(false),
            });
            match renamed {
                Ok(true) => placed.push((from, &step.to)),
                Ok(false) => {}
                Err(error) => return Err(unplace(source, new, &placed, error)),
            }
        }
        sync_placed(source, new, &placed).map_err(|error| unplace(source, new, &placed, error))
    }

    /// The same where some files have their new names already.
    pub(super) fn place_the_rest(
        &self,
        old: &Root,
        new: &Root,
        steps: &[Step],
        copied: bool,
    ) -> Result<(), DiskError> {
        let source = if copied { new } else { old };
        let targets: BTreeSet<&Path> = steps.iter().map(|step| step.to.as_path()).collect();
        let mut placed = Vec::new();
        for step in steps {
            let from = match copied {
                true => self.staged(&step.to),
                false => step.from.clone(),
            };
            if std::ptr::eq(source, new) && from == step.to {
                continue;
            }
            // What has the old name may be another file of ours that has got it since.
            let is_done = targets.contains(from.as_path()) && new.is_taken(&step.to)?;
            if !is_done && source.file_size(&from)?.is_some() {
                rename(source, &from, new, &step.to)?;
            }
            if new.is_taken(&step.to)? {
                placed.push((from, step.to.as_path()));
            }
        }
        sync_placed(new, new, &placed)
    }
}

/// Why files did not get their new names.
pub(super) enum Unplaced {
    /// They have their old ones.
    Back(DiskError),
    /// Some have one, some the other.
    Torn(DiskError),
}

/// Gives the files their old names back, for good: else a power cut might bring back the new ones, of which nothing is
/// kept any more.
fn unplace(source: &Root, new: &Root, placed: &[(PathBuf, &Path)], error: DiskError) -> Unplaced {
    if placed.is_empty() {
        return Unplaced::Back(error);
    }
    for (from, to) in placed.iter().rev() {
        if let Err(worse) = rename(new, to, source, from) {
            tracing::error!(%worse, "a file cannot be given its old name back");
            return Unplaced::Torn(error);
        }
    }
    match sync_placed(source, new, placed) {
        Ok(()) => Unplaced::Back(error),
        Err(worse) => {
            tracing::error!(%worse, "the old names may not be there to stay");
            Unplaced::Torn(error)
        }
    }
}

fn rename(source: &Root, from: &Path, new: &Root, to: &Path) -> Result<(), DiskError> {
    #[cfg(test)]
    super::tests::trouble::may_fail("move a file to", to)?;
    source.rename(from, new, to)
}

/// The names that the files have now survive a power cut, and those that they had before do not come back.
fn sync_placed(source: &Root, new: &Root, placed: &[(PathBuf, &Path)]) -> Result<(), DiskError> {
    #[cfg(test)]
    super::tests::trouble::may_fail("sync", Path::new("names"))?;
    if placed.len() > SYNC_ONE_BY_ONE {
        return new.sync_everything(&AtomicU64::new(new.failures()));
    }
    new.sync_names(placed.iter().map(|(_, to)| *to))?;
    if std::ptr::eq(source, new) {
        return Ok(());
    }
    source.sync_names(placed.iter().map(|(from, _)| from.as_path()))
}
