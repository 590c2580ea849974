//! Room on the disk that is kept for the state: it is given up when the disk is full, so that what is proven and decided
//! can be written even then, and taken again when there is room.
//!
//! It must not know what is written.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rustix::fs::{FallocateFlags, fallocate};

use crate::limits::{ENOUGH_ROOM, LOOK_FOR_ROOM_AT_MOST, STATE_RESERVE};

/// The name of the file that takes the room.
const NAME: &str = "reserve";

/// See the module.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    /// When it was given up, or last looked after; `None` while it is held.
    without_since: Mutex<Option<Instant>>,
}

impl Reserve {
    /// Takes the room in this directory. That there is none, or that the file system cannot promise any, is no error.
    pub(super) fn take(directory: &Path) -> Self {
        let path = directory.join(NAME);
        let taken = occupy(&path);
        if let Err(error) = &taken {
            tracing::debug!(path = %path.display(), %error, "no room is kept for the state");
        }
        Self {
            path,
            without_since: Mutex::new(taken.is_err().then(Instant::now)),
        }
    }

    /// Gives the room back if there is hardly any other: what is written next may not be able to be tried twice.
    pub(super) fn make_room(&self) {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let is_full = rustix::fs::statvfs(directory)
            .is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) < STATE_RESERVE);
        if is_full {
            self.give_up();
        }
    }

    /// Does `work`; if the disk is too full for it, does it again with the room that was kept.
    pub(super) fn spend<T>(&self, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let is_full = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        };
        match work() {
            Err(error) if is_full(&error) && self.give_up() => work(),
            Ok(done) => {
                self.take_again();
                Ok(done)
            }
            other => other,
        }
    }

    /// Gives the room back to the disk; false if none was held.
    pub(super) fn give_up(&self) -> bool {
        let mut without = self.without();
        if without.is_some() {
            return false;
        }
        *without = Some(Instant::now());
        std::fs::remove_file(&self.path).is_ok()
    }

    fn take_again(&self) {
        let mut without = self.without();
        let is_due = without.is_some_and(|since| since.elapsed() >= LOOK_FOR_ROOM_AT_MOST);
        if !is_due {
            return;
        }
        *without = Some(Instant::now());
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let has_room = rustix::fs::statvfs(directory)
            .is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) >= ENOUGH_ROOM);
        if has_room && occupy(&self.path).is_ok() {
            *without = None;
        }
    }

    fn without(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.without_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reserve {
    /// Whoever keeps nothing any more needs no room.
    fn drop(&mut self) {
        self.give_up();
    }
}

fn occupy(path: &Path) -> io::Result<()> {
    let file: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let occupied = fallocate(&file, FallocateFlags::empty(), 0, STATE_RESERVE);
    if occupied.is_err() {
        // One that takes no room is of no use.
        std::fs::remove_file(path)?;
    }
    Ok(occupied?)
}

#[cfg(test)]
mod tests {
    use super::Reserve;
    use crate::limits::STATE_RESERVE;
    use std::io;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn room_is_kept_and_spent_once_when_the_disk_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::take(dir.path());
        let path = dir.path().join("reserve");
        let blocks = std::fs::metadata(&path).unwrap().blocks();
        assert!(blocks * 512 >= STATE_RESERVE, "it takes its room");
        let mut calls = 0;
        let full = || -> io::Error { io::ErrorKind::StorageFull.into() };
        let spent = reserve.spend(|| {
            calls += 1;
            match path.exists() {
                true => Err(full()),
                false => Ok(calls),
            }
        });
        assert_eq!(spent.unwrap(), 2, "with the room it went");
        assert!(
            reserve.spend(|| Err::<(), _>(full())).is_err(),
            "none is left"
        );
        assert!(!reserve.give_up());

        let other = Reserve::take(dir.path());
        let failed: io::Result<()> = other.spend(|| Err(io::ErrorKind::PermissionDenied.into()));
        assert!(
            failed.is_err() && path.exists(),
            "it is for a full disk only"
        );
        drop(other);
        assert!(!path.exists());
    }
}
