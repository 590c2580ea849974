//! Takes the content of a torrent off the disk: its own files, then directories that are empty without them.
//!
//! It must not remove what the torrent does not name, whatever lies beside it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::root::Root;
use super::{Content, DiskError, Fault};

impl Content {
    /// Removes the files of the torrent and the parts, then the directories that this leaves empty; the download
    /// directory itself stays. Links and directories in the place of files stay too, and files that another content of
    /// the session has as well. Blocks the thread.
    ///
    /// # Errors
    /// At the first file that the system does not let us remove.
    pub fn delete(&self) -> Result<(), DiskError> {
        {
            // Pieces that wait to be written, and whoever looks after the files yet, are refused from here on.
            let _nobody_writes = self.places.write().unwrap_or_else(PoisonError::into_inner);
            self.retired.store(true, Ordering::Relaxed);
        }
        self.close();
        let root = match self.patiently(|| self.root(false)) {
            Ok(root) => root,
            // Nothing was ever made.
            Err(error) if error.fault() == Fault::Gone && error.action != "use" => return Ok(()),
            Err(error) => return Err(error),
        };
        let places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        let paths = places
            .stored()
            .map(|file| places.path(&root, file))
            .collect::<Result<Vec<PathBuf>, _>>()?;
        for path in &paths {
            let found = match self.patiently(|| root.look(path)) {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                // None of ours.
                Err(error) if error.fault() == Fault::InTheWay => continue,
                Err(error) => return Err(error),
            };
            match self.also_of(&found) {
                Some(other) => {
                    tracing::info!(path = %path.display(), other, "the file stays for another torrent")
                }
                None => root.remove_file(path)?,
            }
        }
        remove_empty_above(&root, &paths);
        Ok(())
    }
}

/// Removes the directories above these files that are empty now; the root itself stays.
pub(super) fn remove_empty_above(root: &Root, paths: &[PathBuf]) {
    let above = |path: &PathBuf| -> Vec<PathBuf> {
        let above = path.ancestors().skip(1);
        let below_root = above.filter(|path| !path.as_os_str().is_empty());
        below_root.map(PathBuf::from).collect()
    };
    let directories: BTreeSet<PathBuf> = paths.iter().flat_map(above).collect();
    // What is below a directory sorts behind it.
    for directory in directories.iter().rev() {
        root.remove_empty_directory(directory);
    }
}
