//! What appears on the disk and what does not: selected files do, of others only what shared pieces bring lies among the
//! parts, in one hidden file beside the content.
//!
//! It must not know why a file is wanted.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::sync::PoisonError;

use bt_metainfo::{FileIndex, PieceIndex};

use super::places::{PARTS, Places};
use super::root::Root;
use super::transfer::read_up_to;
use super::{Content, DiskError};

/// Bytes that are moved at once.
const CHUNK: usize = 256 * 1024;

impl Content {
    /// From now on the files that `wanted` names appear on the disk, and no others that are not there yet. What lay
    /// among the parts of a file that is wanted now moves into it, and is on the disk to stay there. Makes the directory
    /// and the empty files, which are there to stay as well; all others are made when their first piece is written.
    /// Before anything else is written, `keep` is told the files that [`Content::find_apart`] has to hear of in the next
    /// run; while it says that it could not keep them, the parts stay. Blocks the thread.
    ///
    /// # Errors
    /// If the system refuses. What could not be moved stays readable where it was.
    pub fn select(
        &self,
        wanted: impl Fn(FileIndex) -> bool,
        keep: impl FnOnce(Vec<FileIndex>) -> bool,
    ) -> Result<(), DiskError> {
        self.refuse_retired()?;
        let root = self.patiently(|| self.root(true))?;
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        self.refuse_retired()?;
        let parts = places.path(&root, PARTS)?;
        let is_parted = root.file_size(&parts)?.is_some();
        let mut is_new = false;
        // Where a file's bytes are looked for changes when all that was moved is safe, and not before: an attempt that
        // fails in its middle is made again from the start.
        let mut changes = Vec::new();
        for file in self.layout().files() {
            if self.layout().is_pad(file) {
                continue;
            }
            let length = self.layout().file_length(file);
            match (wanted(file), places.is_absent(file)) {
                (true, _) if length == 0 => {
                    let path = places.path(&root, file)?;
                    if root.file_size(&path)?.is_none() {
                        self.patiently(|| root.open_write(&path))?;
                    }
                    // Nobody writes to it, so that no commit would make its name survive.
                    is_new |= self.written.mark_unnamed(file);
                }
                (true, true) => {
                    if is_parted && !places.shared_runs(file).is_empty() {
                        self.move_out(&places, file)?;
                        is_new = true;
                    }
                    changes.push((file, false));
                }
                (false, false) if length > 0 => {
                    let path = places.path(&root, file)?;
                    // A name that cannot be looked at may be a link in the way: nothing is written through it.
                    let is_there = !matches!(root.file_size(&path), Ok(None));
                    changes.push((file, !is_there));
                }
                _ => {}
            }
        }
        if is_new {
            self.sync_at(&places)?;
        }
        for (file, is_absent) in changes {
            places.set_absent(file, is_absent);
        }
        let is_kept = keep(places.absent());
        if is_kept && is_parted && !places.is_any_absent() {
            self.drop_parts(&places, &root)?;
        }
        Ok(())
    }

    /// Takes what there is of `file` among the parts into the file itself.
    fn move_out(&self, places: &Places, file: FileIndex) -> Result<(), DiskError> {
        let from = self.open_at(places, PARTS, false)?;
        let into = self.open_at(places, file, true)?;
        let mut chunk = vec![0; CHUNK];
        for (run, place) in places.shared_runs(file) {
            let mut done = 0;
            while done < run.length {
                let length = usize::try_from(run.length - done)
                    .unwrap_or(CHUNK)
                    .min(CHUNK);
                let read = read_up_to(&from, &mut chunk[..length], place + done)
                    .map_err(|error| self.failed(places, "read", PARTS, error))?;
                if read == 0 {
                    break;
                }
                into.write_all_at(&chunk[..read], run.offset + done)
                    .map_err(|error| self.failed(places, "write", file, error))?;
                done += read as u64;
            }
        }
        self.written.wrote(file, 0, self.layout().file_length(file));
        Ok(())
    }

    /// Finds out which files are not there, and gives the bytes of which the file itself says nothing: they lie among
    /// the parts instead, or did. `absent` are the files that an earlier run has told [`Content::select`]'s `keep` of: of
    /// a file of that name that is there by now the same holds. Without that knowledge it holds of all that the parts
    /// could have. To be called before anything is read. Blocks the thread.
    ///
    /// # Errors
    /// If the system does not let us look.
    pub fn find_apart(
        &self,
        absent: Option<&[FileIndex]>,
    ) -> Result<BTreeSet<(FileIndex, PieceIndex)>, DiskError> {
        let known: Option<BTreeSet<&FileIndex>> = absent.map(|files| files.iter().collect());
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        self.close_files();
        places.look_again();
        let Some(root) = self.root_if_there()? else {
            return Ok(BTreeSet::new());
        };
        let parts = places.path(&root, PARTS)?;
        let is_parted = root.file_size(&parts)?.is_some();
        let mut apart = BTreeSet::new();
        for file in self.layout().files() {
            if self.layout().is_pad(file) || self.layout().file_length(file) == 0 {
                continue;
            }
            let path = places.path(&root, file)?;
            let is_gone = matches!(root.file_size(&path), Ok(None));
            let was_absent = known.as_ref().map(|absent| absent.contains(&file));
            places.set_absent(file, is_gone || (is_parted && was_absent == Some(true)));
            // What is gone without parts is gone; what is there may be anybody's.
            let is_in_doubt = match was_absent {
                Some(was_absent) => (is_gone && is_parted) || (was_absent && !is_gone),
                None => is_parted || !is_gone,
            };
            if is_in_doubt {
                apart.extend(places.shared_pieces(file).map(|piece| (file, piece)));
            }
        }
        Ok(apart)
    }

    /// Nothing is missing from the files themselves: the parts are of no use any more.
    fn drop_parts(&self, places: &Places, root: &Root) -> Result<(), DiskError> {
        let parts = places.path(root, PARTS)?;
        if root.file_size(&parts)?.is_none() {
            return Ok(());
        }
        // What was moved out of it must be safe before it goes.
        self.sync_at(places)?;
        self.close_file(PARTS);
        root.remove_file(&parts)
    }
}
