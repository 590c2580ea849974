//! Lock files: who may use a directory. A lock ends with its process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use super::StateError;
use crate::limits::LOCK_LOOK;

/// The name of the file.
const NAME: &str = "lock";

/// Held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Nobody else may use the directory. One that is in use is tried again until `patience` is over; blocks the thread
    /// meanwhile.
    pub(super) fn exclusive(directory: &Path, patience: Duration) -> Result<Self, StateError> {
        let until = Instant::now() + patience;
        let (mut file, locked) = loop {
            let file = open(directory)?;
            let mut locked = file.try_lock();
            while matches!(locked, Err(TryLockError::WouldBlock)) && Instant::now() < until {
                std::thread::sleep(LOCK_LOOK);
                locked = file.try_lock();
            }
            if locked.is_err() || has_its_name(&file, directory) {
                break (file, locked);
            }
        };
        match locked {
            Ok(()) => {
                // For whoever is refused later; a lock without a name is a lock all the same.
                let _ = name(&mut file);
                Ok(Self { _file: file })
            }
            Err(error) => Err(refused(directory, file, error)),
        }
    }

    /// Others who say so too may use it at the same time.
    pub(super) fn shared(directory: &Path) -> Result<Self, StateError> {
        loop {
            let file = open(directory)?;
            match file.try_lock_shared() {
                Ok(()) if has_its_name(&file, directory) => return Ok(Self { _file: file }),
                Ok(()) => {}
                Err(error) => return Err(refused(directory, file, error)),
            }
        }
    }
}

fn open(directory: &Path) -> Result<File, StateError> {
    let path = directory.join(NAME);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(StateError::io("open", &path))
}

/// Whether the file is still the one that others would lock: whoever had it before may have removed it.
fn has_its_name(file: &File, directory: &Path) -> bool {
    let there = std::fs::metadata(directory.join(NAME));
    let inode = |meta: &std::fs::Metadata| (meta.dev(), meta.ino());
    matches!((there, file.metadata()), (Ok(there), Ok(ours)) if inode(&there) == inode(&ours))
}

fn name(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn refused(directory: &Path, mut file: File, error: TryLockError) -> StateError {
    match error {
        TryLockError::WouldBlock => {
            let mut text = String::new();
            let read = Read::by_ref(&mut file).take(20).read_to_string(&mut text);
            StateError::Busy {
                path: directory.to_owned(),
                process: read.ok().and_then(|_| text.trim().parse().ok()),
            }
        }
        TryLockError::Error(source) => StateError::Io {
            action: "lock",
            path: directory.to_owned(),
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::Lock;
    use crate::state::StateError;
    use std::time::Duration;

    #[test]
    fn one_alone_or_many_together() {
        let dir = tempfile::tempdir().unwrap();
        let at_once = Duration::ZERO;
        let alone = Lock::exclusive(dir.path(), at_once).unwrap();
        let refused = Lock::shared(dir.path()).unwrap_err();
        assert!(
            matches!(refused, StateError::Busy { process: Some(id), .. } if id == std::process::id())
        );
        drop(alone);
        let first = Lock::shared(dir.path()).unwrap();
        let _second = Lock::shared(dir.path()).unwrap();
        assert!(Lock::exclusive(dir.path(), at_once).is_err());
        drop(first);
        assert!(Lock::exclusive(dir.path(), at_once).is_err());
    }

    #[test]
    fn whoever_has_patience_gets_the_lock_of_one_that_ends() {
        let dir = tempfile::tempdir().unwrap();
        let dying = Lock::exclusive(dir.path(), Duration::ZERO).unwrap();
        std::thread::scope(|scope| {
            let waiting =
                scope.spawn(|| Lock::exclusive(dir.path(), Duration::from_secs(60)).is_ok());
            assert!(Lock::exclusive(dir.path(), Duration::from_millis(50)).is_err());
            drop(dying);
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn a_lock_that_was_removed_while_somebody_waited_for_it_keeps_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::exclusive(dir.path(), Duration::ZERO).unwrap();
        std::thread::scope(|scope| {
            let waiting =
                scope.spawn(|| Lock::exclusive(dir.path(), Duration::from_secs(60)).unwrap());
            // Whoever waits has the old file open by now, or opens the new one: both are right.
            std::fs::remove_file(dir.path().join("lock")).unwrap();
            drop(first);
            let second = waiting.join().unwrap();
            assert!(
                Lock::exclusive(dir.path(), Duration::ZERO).is_err(),
                "two have it"
            );
            drop(second);
        });
    }
}
