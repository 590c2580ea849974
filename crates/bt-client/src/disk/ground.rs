//! Which disk a directory is on, so that it is noticed when a disk is not mounted and another one stands in its place.
//!
//! It must not know what the directory is for.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What was found of a directory: itself, or the nearest one above it that was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ground {
    /// The directory that was there.
    pub path: PathBuf,
    /// The device that it was on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

impl Ground {
    /// Looks at what is there of `directory` now. `None` if nothing can be looked at.
    #[must_use]
    pub fn of(directory: &Path) -> Option<Self> {
        let path = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        path.ancestors().find_map(|above| {
            let found = above.metadata().ok()?;
            Some(Self {
                path: above.to_owned(),
                device: found.dev(),
                inode: found.ino(),
            })
        })
    }

    /// Whether the same disk is there still. Devices get other numbers at a reboot; the directory keeps its own. A
    /// directory that was removed leaves the one above it, on the same device.
    #[must_use]
    pub fn is_there(&self) -> bool {
        Self::of(&self.path).is_some_and(|now| {
            now.device == self.device || (now.path == self.path && now.inode == self.inode)
        })
    }

    /// Whether a disk has been mounted where only its mount point was: what was there lies on the device of the directory
    /// above still, and what is there now does not.
    #[must_use]
    pub fn is_mounted_over(&self) -> bool {
        let device = |path: &Path| path.metadata().ok().map(|found| found.dev());
        let above = self.path.parent().and_then(device);
        above == Some(self.device) && device(&self.path).is_some_and(|now| now != self.device)
    }
}

#[cfg(test)]
mod tests {
    use super::Ground;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};

    #[test]
    fn a_disk_that_is_mounted_now_is_told_from_one_that_is_not_any_more() {
        let device = |path: &str| Path::new(path).metadata().unwrap().dev();
        let (above, mounted) = (device("/"), device("/proc"));
        assert_ne!(above, mounted, "this system has no /proc");
        let ground = |path: &str, device| Ground {
            path: PathBuf::from(path),
            device,
            inode: 1,
        };
        assert!(ground("/proc", above).is_mounted_over());
        assert!(!ground("/proc", mounted).is_mounted_over(), "as it was");
        let third = above.wrapping_add(mounted).wrapping_add(7);
        assert!(!ground("/proc", third).is_mounted_over(), "another disk");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        assert!(!ground(path, mounted).is_mounted_over(), "not any more");
        assert!(!ground(path, device(path)).is_mounted_over());
    }

    #[test]
    fn another_disk_is_told_from_a_new_number_and_from_a_directory_that_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("mount/done");
        let above = Ground::of(&deep).unwrap();
        assert_eq!(above.path, dir.path(), "the nearest that is there");
        assert!(above.is_there());
        std::fs::create_dir_all(&deep).unwrap();
        let ground = Ground::of(&deep).unwrap();
        assert!(above.is_there() && ground.is_there());
        let device = ground.device.wrapping_add(1);
        let renumbered = Ground { device, ..ground };
        assert!(renumbered.is_there(), "the same directory");
        std::fs::rename(&deep, dir.path().join("away")).unwrap();
        assert!(!renumbered.is_there(), "only what is below it");
        std::fs::create_dir(&deep).unwrap();
        assert!(!renumbered.is_there(), "another one of the same name");
        let device = renumbered.device.wrapping_sub(1);
        let ground = Ground {
            device,
            ..renumbered
        };
        assert!(ground.is_there(), "made anew on the same disk");
    }
}
