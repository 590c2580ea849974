//! A new version of a file in the place of the old one: after a crash one of the two is there,
//! whole.
//!
//! It must not know what is in the files.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Who may read a file that has secrets in it: its owner.
pub(super) const SECRET: u32 = 0o600;

/// Who may read a file that has none; the process's mask may take some away.
pub(super) const PUBLIC: u32 = 0o666;

/// Damaged versions of one file that are kept. Whoever has so many has not looked at any.
const MAX_SET_ASIDE: u32 = 1_000;

/// Writes beside the file, syncs, and renames. A file that exists keeps its permissions; a new one
/// gets `mode`. When anything fails, the old file is as it was.
pub(super) fn replace(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let beside = beside(&path);
    let result = fill(&path, &beside, mode, write).and_then(|()| std::fs::rename(&beside, &path));
    if result.is_err() {
        // Nobody needs half a file; that it cannot be removed is no further harm.
        let _ = std::fs::remove_file(&beside);
    }
    result?;
    sync_directory(&path)
}

/// Whether a new version could be written: a file beside is made and removed. Its name is another than that of a new
/// version, so that one that is being written meanwhile is let alone.
pub(super) fn try_out(path: &Path) -> io::Result<()> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.try", std::process::id()));
    let trial = path.with_file_name(name);
    match OpenOptions::new().write(true).create_new(true).open(&trial) {
        Ok(_) => std::fs::remove_file(&trial),
        // One of our number was ended while it tried.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => std::fs::remove_file(&trial),
        Err(error) => Err(error),
    }
}

/// Moves a file that cannot be used out of the way, to the first free name with `.damaged-N` behind
/// its own. Returns that name. Another file is never replaced.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default();
    for n in 1..=MAX_SET_ASIDE {
        let mut aside = name.to_os_string();
        aside.push(format!(".damaged-{n}"));
        let aside = path.with_file_name(aside);
        if std::fs::symlink_metadata(&aside).is_ok() {
            continue;
        }
        std::fs::rename(path, &aside)?;
        sync_directory(path)?;
        return Ok(aside);
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        format!("there are {MAX_SET_ASIDE} damaged ones already; remove them"),
    ))
}

/// Has the names beside a file reach the disk.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn fill(
    path: &Path,
    beside: &Path,
    mode: u32,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(beside)?;
    if let Ok(old) = std::fs::metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    let mut file = BufWriter::new(file);
    write(&mut file)?;
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_old_version_stays_until_the_new_one_is_whole_and_permissions_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        replace(&path, SECRET, |file| file.write_all(b"one")).unwrap();
        assert_eq!(mode(&path), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let failed = replace(&path, SECRET, |file| {
            file.write_all(b"half of tw")?;
            Err(io::Error::other("the disk is gone"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "the disk is gone");
        assert_eq!(std::fs::read(&path).unwrap(), b"one");

        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace(&link, PUBLIC, |file| file.write_all(b"two")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(mode(&path), 0o640);
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            2,
            "nothing is left beside"
        );
    }
}
