//! What a content has of the disk while others may have the same: files that lie in one directory under one name, or
//! that are linked to each other.
//!
//! Who may use what is decided in `claims.rs`, under its lock and without a look at the disk.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use bt_metainfo::FileIndex;

use super::claims::{Conflict, Holder, Inode, Use};
use super::places::{PARTS, Places};
use super::root::Root;
use super::{Content, DiskError};

impl Content {
    /// Says which files that are there already hold pieces of this content, and which of them `is_written` to. No other
    /// content of the session writes to any of them from now on. Blocks the thread for a look at each.
    ///
    /// # Errors
    /// If another content writes to one of them, or uses one that this one is about to write to.
    pub fn hold(&self, is_written: impl Fn(FileIndex) -> bool) -> Result<(), DiskError> {
        let Some(root) = self.root_if_there()? else {
            return Ok(());
        };
        let places = self.places();
        for file in self.layout().files() {
            if self.layout().is_pad(file) || self.layout().file_length(file) == 0 {
                continue;
            }
            let path = places.path(&root, file)?;
            let found = match self.patiently(|| root.look(&path)) {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                // Whoever reads or writes it has to open it first, and hears of it.
                Err(error) => {
                    tracing::debug!(%error, "a file cannot be looked at");
                    continue;
                }
            };
            let how = match is_written(file) {
                true => Use::Writing,
                false => Use::Reading,
            };
            self.claim(file, &path, &found, how)?;
        }
        Ok(())
    }

    /// Nothing that lies in the files counts.
    pub fn release(&self) {
        self.close_files();
        self.files().claims().leave(self.id());
    }

    /// The content leaves the session: no thread that comes late writes to it, and its files are free. Blocks the thread
    /// until those that write are done.
    pub fn retire(&self) {
        {
            let _nobody_writes = self.places.write().unwrap_or_else(PoisonError::into_inner);
            self.retired.store(true, Ordering::Relaxed);
        }
        self.close();
        self.release();
    }

    /// `found` lies at `path`, is this file of ours, and is to be used so.
    pub(super) fn claim(
        &self,
        file: FileIndex,
        path: &Path,
        found: &Metadata,
        how: Use,
    ) -> Result<(), DiskError> {
        // Whoever comes late must not keep the file from those who come after this content.
        self.refuse_retired()?;
        let (inode, holder) = (inode(found), self.holder(file));
        loop {
            let entered = self.files().claims().enter(inode, holder, how);
            let Err(Conflict { with, used_for }) = entered else {
                return Ok(());
            };
            let other = self.shared().find(|content| content.id() == with.content);
            match other.filter(|other| other.still_has(with.file, inode)) {
                Some(other) => {
                    let path = self.directory().join(path);
                    return Err(DiskError::held(&path, how, used_for, &other.title()));
                }
                // Its file was removed, and the system has given the number to another one.
                None => self.files().claims().release(inode, with),
            }
        }
    }

    /// `file` is whole and on the disk to stay: whoever writes to it again says so first.
    pub(super) fn holds_still(&self, file: FileIndex) {
        self.files().claims().lower(self.holder(file));
        self.files().close_writable((self.id(), file));
    }

    /// These copies below this root are about to be the files: whoever finds them under their new names finds them in use.
    /// Gives what is to be taken back if they do not get them. To be called by whoever holds the places.
    pub(super) fn reserve(
        &self,
        root: &Root,
        copies: impl Iterator<Item = (FileIndex, PathBuf)>,
    ) -> Vec<(Inode, Holder)> {
        let mut reserved = Vec::new();
        for (file, path) in copies.filter(|(file, _)| *file != PARTS) {
            if let Ok(Some(found)) = root.look(&path) {
                let (inode, holder) = (inode(&found), self.holder(file));
                self.files().claims().reserve(inode, holder);
                reserved.push((inode, holder));
            }
        }
        reserved
    }

    /// The copies did not get their names.
    pub(super) fn take_back(&self, reserved: Vec<(Inode, Holder)>) {
        let mut claims = self.files().claims();
        for (inode, holder) in reserved {
            claims.release(inode, holder);
        }
    }

    /// The files are copies below this root now. To be called by whoever holds the places.
    pub(super) fn holds_moved(&self, places: &Places, root: &Root) {
        let held = self.files().claims().leave(self.id());
        for (file, how) in held {
            if let Ok(path) = places.path(root, file)
                && let Ok(Some(found)) = root.look(&path)
            {
                // Copies are nobody else's.
                let entered = self.claim(file, &path, &found, how);
                if let Err(error) = entered {
                    tracing::warn!(%error, "a file that has moved");
                }
            }
        }
    }

    /// The name of another content of which this very file is a part, if there is one. One that has several names may
    /// lose one of them.
    pub(super) fn also_of(&self, found: &Metadata) -> Option<String> {
        let other = self.files().claims().other(inode(found), self.id())?;
        let content = self
            .shared()
            .find(|content| content.id() == other.content)?;
        let is_its = found.nlink() == 1 && content.still_has(other.file, inode(found));
        is_its.then(|| content.title())
    }

    /// Files that another content has under the same name do not go away from it.
    pub(super) fn refuse_shared(&self, places: &Places, root: &Root) -> Result<(), DiskError> {
        for file in places.stored().filter(|file| *file != PARTS) {
            let path = places.path(root, file)?;
            if let Some(found) = root.look(&path)?
                && let Some(other) = self.also_of(&found)
            {
                let path = self.directory().join(path);
                return Err(DiskError::held_here(&path, &other));
            }
        }
        Ok(())
    }

    /// Whether a file of ours is still this one. While that cannot be said, it is.
    pub(super) fn still_has(&self, file: FileIndex, inode_then: Inode) -> bool {
        // Whoever moves files waits for nobody here, or two could wait for each other.
        let Ok(places) = self.places.try_read() else {
            return true;
        };
        let look = || match self.root_if_there()? {
            Some(root) => root.look(&places.path(&root, file)?),
            None => Ok(None),
        };
        match look() {
            Ok(found) => found.is_some_and(|found| inode(&found) == inode_then),
            Err(_) => true,
        }
    }

    pub(super) fn holder(&self, file: FileIndex) -> Holder {
        debug_assert!(file != PARTS, "the parts have a name of their own");
        Holder {
            content: self.id(),
            file,
        }
    }

    /// What people know it by.
    fn title(&self) -> String {
        format!("{} ({})", self.info().name(), self.info().info_hash())
    }
}

pub(super) fn inode(found: &Metadata) -> Inode {
    (found.dev(), found.ino())
}
