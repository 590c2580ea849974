//! The few things that state asks of a directory, as a trait, so that the same code runs on a disk that loses power in a
//! test; and the real directory.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::limits::{DAMAGED_COPIES, MAX_STATE_BYTES};

/// Files are for their owner only: they name what somebody downloads.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// One flat directory. Errors are those of the system.
pub trait Storage {
    /// An open file.
    type File;

    /// The whole content of a file; `None` if there is none of that name.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Whether there is a file of that name.
    fn exists(&self, name: &str) -> io::Result<bool>;
    /// A new and empty file; one of the same name is emptied.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// A file that is there, for writing.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Writes all of `bytes`.
    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file.
    fn set_len(&self, file: &Self::File, length: u64) -> io::Result<()>;
    /// The content of the file is to survive a power cut.
    fn sync(&self, file: &Self::File) -> io::Result<()>;
    /// Gives a file another name; a file that has it already is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file if it is there.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// The names are to survive a power cut.
    fn sync_names(&self) -> io::Result<()>;

    /// Replaces a file so that either the old or the new content is there whatever happens.
    ///
    /// # Errors
    /// Those of the system; the old content is there then.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<Self::File> {
        let new = format!("{name}.new");
        let file = self.create(&new)?;
        self.write_at(&file, 0, bytes)?;
        self.sync(&file)?;
        self.rename(&new, name)?;
        self.sync_names()?;
        Ok(file)
    }

    /// Gives a file that cannot be used a name that says so, and returns that. When as many are kept
    /// as may be, the oldest goes.
    fn set_aside(&self, name: &str) -> io::Result<String> {
        let aside = self.free_name(name)?;
        self.rename(name, &aside)?;
        self.sync_names()?;
        Ok(aside)
    }

    /// A name for a damaged file that no file has; the others move up for it if none is left.
    fn free_name(&self, name: &str) -> io::Result<String> {
        let aside = |number: u32| format!("{name}.damaged-{number}");
        for number in 1..=DAMAGED_COPIES {
            if !self.exists(&aside(number))? {
                return Ok(aside(number));
            }
        }
        self.remove(&aside(1))?;
        for number in 2..=DAMAGED_COPIES {
            self.rename(&aside(number), &aside(number - 1))?;
        }
        Ok(aside(DAMAGED_COPIES))
    }
}

/// A directory of the file system.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the directory if it is not there, and sees to it that its name and those above it survive a power cut: a
    /// journal that is synced is of no use in a directory that nobody finds. Directories of an earlier run are synced as
    /// well, because it may have been killed between making them and this.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(path)?;
        for above in std::path::absolute(path)?.ancestors().skip(1) {
            match File::open(above) {
                Ok(directory) => tolerate(directory.sync_all())?,
                // One that we may not read is not one that we have made.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the files that end in `ending`, in their order.
    ///
    /// # Errors
    /// Those of the system.
    pub fn names(&self, ending: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            names.extend(
                name.to_str()
                    .filter(|name| name.ends_with(ending))
                    .map(str::to_owned),
            );
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// Some file systems know no sync of a directory, and one that is mounted read-only has nothing to sync.
fn tolerate(synced: io::Result<()>) -> io::Result<()> {
    match synced.as_ref().map_err(io::Error::kind) {
        Err(
            io::ErrorKind::InvalidInput
            | io::ErrorKind::Unsupported
            | io::ErrorKind::ReadOnlyFilesystem,
        ) => Ok(()),
        _ => synced,
    }
}

impl Storage for Folder {
    type File = File;

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match read_up_to(&self.path.join(name), MAX_STATE_BYTES) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        match self.path.join(name).symlink_metadata() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(self.path.join(name))
    }

    fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.path.join(name))
    }

    fn write_at(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn set_len(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_names(&self) -> io::Result<()> {
        tolerate(File::open(&self.path)?.sync_all())
    }
}

/// Opens a file unless it has more bytes than that; says how many it has.
fn open_up_to(path: &Path, most: u64) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if size > most {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok((file, size))
}

fn read_up_to(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (mut file, size) = open_up_to(path, most)?;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // It may grow meanwhile.
    Read::by_ref(&mut file).take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Folder, Storage, open_up_to, read_up_to, tolerate};
    use crate::limits::{DAMAGED_COPIES, MAX_STATE_BYTES};
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_for_their_owner_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(&dir.path().join("a/b")).unwrap();
        folder.replace("x", b"one").unwrap();
        folder.replace("x", b"two").unwrap();
        assert_eq!(folder.read("x").unwrap().as_deref(), Some(&b"two"[..]));
        let mode = |path: std::path::PathBuf| {
            std::fs::metadata(path).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode(dir.path().join("a/b/x")), 0o600);
        assert_eq!(mode(dir.path().join("a/b")), 0o700);
        assert_eq!(folder.set_aside("x").unwrap(), "x.damaged-1");
        folder.replace("x", b"three").unwrap();
        assert_eq!(folder.set_aside("x").unwrap(), "x.damaged-2");
        assert_eq!(
            folder.names(".damaged-1").unwrap(),
            ["x.damaged-1"],
            "x.new is gone too"
        );
        assert_eq!(folder.read("x").unwrap(), None);
    }

    #[test]
    fn a_directory_that_knows_no_sync_is_tolerated_and_a_broken_disk_is_not() {
        // A file system that answers EINVAL.
        let path = std::path::PathBuf::from("/proc/self");
        let synced = std::fs::File::open(&path).unwrap().sync_all();
        assert!(synced.is_err(), "it would say nothing");
        Folder { path }.sync_names().unwrap();
        for kind in [
            ErrorKind::InvalidInput,
            ErrorKind::Unsupported,
            ErrorKind::ReadOnlyFilesystem,
        ] {
            tolerate(Err(kind.into())).unwrap();
        }
        for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
            assert!(tolerate(Err(kind.into())).is_err(), "{kind}");
        }
    }

    #[test]
    fn so_many_damaged_files_are_kept_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        for number in 1..=DAMAGED_COPIES + 2 {
            folder.replace("x", number.to_string().as_bytes()).unwrap();
            let aside = folder.set_aside("x").unwrap();
            let expected = number.min(DAMAGED_COPIES);
            assert_eq!(aside, format!("x.damaged-{expected}"));
        }
        let kept = (1..=DAMAGED_COPIES + 1).map(|n| folder.read(&format!("x.damaged-{n}")));
        let kept: Vec<Vec<u8>> = kept.filter_map(Result::unwrap).collect();
        let expected = (3..=DAMAGED_COPIES + 2).map(|n| n.to_string().into_bytes());
        assert_eq!(kept, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_can_be_none_of_ours_is_not_read_into_memory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1000).unwrap();
        assert_eq!(read_up_to(file.path(), 1000).unwrap().len(), 1000);
        assert!(read_up_to(file.path(), 999).is_err());
        let folder = Folder::open(file.path().parent().unwrap()).unwrap();
        let name = file.path().file_name().unwrap().to_str().unwrap();
        // Holes take no room on a disk, but a gibibyte of them would be read into memory.
        file.as_file().set_len(MAX_STATE_BYTES).unwrap();
        let (_, size) = open_up_to(file.path(), MAX_STATE_BYTES).unwrap();
        assert_eq!(size, MAX_STATE_BYTES);
        for size in [MAX_STATE_BYTES + 1, u64::from(u32::MAX) << 8] {
            file.as_file().set_len(size).unwrap();
            let refused = folder.read(name).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::FileTooLarge, "{size}");
        }
        assert!(folder.exists(name).unwrap() && !folder.exists("none").unwrap());
    }
}
