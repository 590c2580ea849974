//! The file that a torrent is written to: what may be replaced, and how it comes there whole or not at all. It must not
//! know what is in it.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::exit::Exit;
use super::report::Failure;

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfThere {
    /// The user wants it replaced.
    Replace,
    /// The user can ask for it to be replaced.
    AskForForce,
    /// It stays.
    Keep,
}

/// The path of a new torrent as the user named it, and what may be done there.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    named: PathBuf,
    if_there: IfThere,
}

impl Output {
    pub(crate) fn new(named: &Path, if_there: IfThere) -> Self {
        let named = named.to_owned();
        Self { named, if_there }
    }

    pub(crate) fn named(&self) -> &Path {
        &self.named
    }

    /// Where to write: the path itself, or the file that a link at it leads to. Only a file is ever replaced: a device
    /// that had become one would be lost to everybody.
    pub(crate) fn place(&self) -> Result<PathBuf, Failure> {
        let refuse = |what: &str| {
            let message = format!("{} is {what}", self.named.display());
            Failure::new(Exit::Usage, message).of(&["output"])
        };
        let Ok(metadata) = fs::symlink_metadata(&self.named) else {
            return Ok(self.named.clone());
        };
        let seen = match fs::metadata(&self.named) {
            Ok(seen) => seen,
            Err(error) if metadata.is_symlink() => {
                return Err(refuse("a symbolic link that leads to no file")
                    .cause(&error)
                    .hint("remove it, or give the name of a file to -o"));
            }
            // A look at a link and at what it leads to differ only where there is a link.
            Err(_) => metadata,
        };
        if let Some(kind) = special(&seen) {
            let failure = refuse(kind);
            return Err(failure.hint(match seen.is_dir() {
                true => "give the name of a file to -o",
                false => "give the name of a file to -o, or - for standard output",
            }));
        }
        match self.if_there {
            IfThere::Replace => fs::canonicalize(&self.named).map_err(|error| {
                let message = format!("cannot write {}", self.named.display());
                Failure::new(Exit::Storage, message).cause(&error)
            }),
            IfThere::AskForForce | IfThere::Keep => Err(self.exists()),
        }
    }

    fn exists(&self) -> Failure {
        let message = format!("{} exists already", self.named.display());
        Failure::new(Exit::Storage, message).hint(match self.if_there {
            IfThere::Keep => "choose another name with -o, or remove it",
            _ => "replace it with --force, or choose another name with -o",
        })
    }

    /// Writes the file whole or not at all. The bytes are safe on disk before the name is there.
    pub(crate) fn save(&self, bytes: &[u8]) -> Result<(), Failure> {
        // Hashing takes a while, in which anything may have come there.
        let place = self.place()?;
        let mut unfinished = place.as_os_str().to_owned();
        unfinished.push(format!(".{}.part", std::process::id()));
        let unfinished = PathBuf::from(unfinished);
        let write = || {
            let mut file = File::create_new(&unfinished)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            if self.if_there == IfThere::Replace {
                return fs::rename(&unfinished, &place);
            }
            // Unlike a plain rename it does not replace what has come there meanwhile.
            match renameat_with(CWD, &unfinished, CWD, &place, RenameFlags::NOREPLACE) {
                Err(Errno::INVAL | Errno::NOSYS) => link(&unfinished, &place),
                renamed => Ok(renamed?),
            }
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&unfinished);
            match error.kind() {
                io::ErrorKind::AlreadyExists => self.exists(),
                _ => {
                    let message = format!("cannot write {}", self.named.display());
                    Failure::new(Exit::Storage, message).cause(&error)
                }
            }
        })
    }
}

/// What it is, if it is no file.
fn special(seen: &Metadata) -> Option<&'static str> {
    let kind = seen.file_type();
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a folder")
    } else if kind.is_fifo() {
        Some("a pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

/// For file systems that know no rename without replacing. Those that know no links either get the file by a plain
/// rename, after a last look.
fn link(unfinished: &Path, output: &Path) -> io::Result<()> {
    match fs::hard_link(unfinished, output) {
        Ok(()) => fs::remove_file(unfinished),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) if fs::symlink_metadata(output).is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(unfinished, output),
    }
}

#[cfg(test)]
mod tests {
    use super::{IfThere, Output};
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn an_existing_file_is_replaced_by_force_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.torrent");
        let save = |bytes: &[u8], if_there| Output::new(&path, if_there).save(bytes);
        save(b"one", IfThere::AskForForce).unwrap();
        let refused = |if_there| save(b"two", if_there).unwrap_err().to_string();
        assert!(refused(IfThere::AskForForce).contains("--force"));
        assert!(!refused(IfThere::Keep).contains("--force"));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        save(b"three", IfThere::Replace).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing unfinished is left"
        );
    }

    #[test]
    fn a_link_stays_one_and_its_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let [file, link, dangling] =
            ["real/a", "link", "dangling"].map(|name| dir.path().join(name));
        fs::create_dir(dir.path().join("real")).unwrap();
        fs::write(&file, "old").unwrap();
        symlink("real/a", &link).unwrap();
        symlink("nothing", &dangling).unwrap();
        Output::new(&link, IfThere::Replace).save(b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(link.is_symlink());
        let kept = Output::new(&link, IfThere::AskForForce).save(b"newer");
        assert!(kept.unwrap_err().to_string().contains("exists already"));
        for if_there in [IfThere::Replace, IfThere::AskForForce] {
            let refused = Output::new(&dangling, if_there).save(b"x").unwrap_err();
            assert!(
                refused.to_string().contains("leads to no file"),
                "{refused}"
            );
        }
        assert!(dangling.is_symlink() && !dir.path().join("nothing").exists());
        assert_eq!(fs::read_dir(dir.path().join("real")).unwrap().count(), 1);
    }
}
