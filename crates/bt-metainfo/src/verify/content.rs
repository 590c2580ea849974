//! The files of one torrent as they lie on disk, opened so that no link leads out of their folder.
//!
//! It must not know hashes or pieces, and it never writes.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Advice, Mode, OFlags, SeekFrom, fadvise, openat, seek};
use rustix::io::Errno;

use crate::{Extent, FileIndex, Layout, PartsMap};

/// The folder that all paths start from.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    fd: OwnedFd,
    links: Links,
}

/// Where the files of a torrent are.
#[derive(Debug)]
pub(crate) struct Content<'r> {
    root: &'r Root,
    /// Path of each file below the root; `None` for files that are not stored.
    paths: Vec<Option<PathBuf>>,
    parts: Option<&'r Parts<'r>>,
}

/// The parts of files that were not selected, for reading.
#[derive(Debug)]
pub(crate) struct Parts<'r> {
    pub(crate) layout: &'r Layout,
    pub(crate) map: PartsMap,
    pub(crate) file: File,
    /// Files that lie here and nowhere else.
    pub(crate) files: BTreeSet<FileIndex>,
}

impl Parts<'_> {
    /// Where a run of bytes lies, if it is here.
    fn place(&self, extent: Extent) -> Option<u64> {
        let here = self.files.contains(&extent.file);
        here.then(|| self.map.place(self.layout, extent.file, extent.offset))?
    }

    /// Whether anything was ever written where a run of bytes would lie.
    pub(crate) fn holds(&self, extent: Extent) -> bool {
        let Some(place) = self.place(extent) else {
            return false;
        };
        match seek(&self.file, SeekFrom::Data(place)) {
            Ok(data) => data < place + extent.length,
            // Behind the last byte, or the file system does not tell.
            Err(Errno::NXIO) => false,
            Err(_) => true,
        }
    }
}

/// What happens at a symbolic link below the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// Opening the file fails.
    Refuse,
    /// The link is followed wherever it leads.
    Follow,
}

/// Why bytes of a file could not be had.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Opening or reading failed.
    Io(io::Error),
    /// The path leads to a folder, a device, a pipe or a socket.
    NotAFile,
    /// The file ends before the bytes that were asked for.
    Short {
        /// Bytes it has.
        found: u64,
    },
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Root {
    /// Takes a folder. A link is followed here: whoever named it meant it.
    pub(crate) fn open(path: &Path, links: Links) -> io::Result<Self> {
        let folder = File::open(path)?;
        if !folder.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            path: path.to_path_buf(),
            fd: folder.into(),
            links,
        })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens what lies at a relative path, for reading. It may be anything, and is not waited for
    /// as opening a pipe would.
    pub(crate) fn open_any(&self, path: &Path) -> io::Result<File> {
        match self.links {
            Links::Refuse => open_beneath(self.fd.as_fd(), path),
            Links::Follow => {
                let not_waiting = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits());
                File::options()
                    .read(true)
                    .custom_flags(not_waiting.unwrap_or(0))
                    .open(self.path.join(path))
            }
        }
    }
}

impl<'r> Content<'r> {
    /// Takes the path of each file below the root, in the order of the torrent.
    pub(crate) fn new(root: &'r Root, paths: Vec<Option<PathBuf>>) -> Self {
        Self {
            root,
            paths,
            parts: None,
        }
    }

    /// Reads files that are not there from their parts.
    pub(crate) fn with_parts(self, parts: Option<&'r Parts<'r>>) -> Self {
        Self { parts, ..self }
    }

    /// The whole path of a file, for messages; the root itself for files that are not stored.
    pub(crate) fn path(&self, file: FileIndex) -> PathBuf {
        match self.relative(file) {
            Some(path) => self.root.path.join(path),
            None => self.root.path.clone(),
        }
    }

    fn open(&self, file: FileIndex) -> io::Result<File> {
        self.root
            .open_any(self.relative(file).ok_or(io::ErrorKind::NotFound)?)
    }

    fn relative(&self, file: FileIndex) -> Option<&Path> {
        self.paths.get(usize::try_from(file.0).ok()?)?.as_deref()
    }
}

/// Opens `path` one name at a time and refuses every symbolic link on the way, and every step up.
fn open_beneath(root: impl AsFd, path: &Path) -> io::Result<File> {
    let mut names: Vec<&OsStr> = Vec::new();
    for component in path.components() {
        let Component::Normal(name) = component else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        names.push(name);
    }
    let (last, folders) = names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    let common = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder: Option<OwnedFd> = None;
    for name in folders {
        let flags = common | OFlags::DIRECTORY;
        folder = Some(match &folder {
            Some(above) => openat(above, *name, flags, Mode::empty())?,
            None => openat(&root, *name, flags, Mode::empty())?,
        });
    }
    let flags = common | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match &folder {
        Some(above) => openat(above, *last, flags, Mode::empty())?,
        None => openat(&root, *last, flags, Mode::empty())?,
    };
    Ok(file.into())
}

/// Files that one thread keeps open.
///
/// Eight pieces that are read side by side touch at most as many large files; more handles would
/// only pay where files are read in a random order, and every thread needs its own.
pub(crate) const OPEN_FILES: usize = 12;

/// A reader of one thread with the files it used last.
#[derive(Debug)]
pub(crate) struct Handles<'c> {
    content: &'c Content<'c>,
    /// At most [`OPEN_FILES`], the one used last at the end.
    open: Vec<(FileIndex, File)>,
}

impl<'c> Handles<'c> {
    pub(crate) fn new(content: &'c Content<'c>) -> Self {
        Self {
            content,
            open: Vec::with_capacity(OPEN_FILES),
        }
    }

    /// Fills `bytes`, which is as long as the extent.
    pub(crate) fn read(&mut self, extent: Extent, bytes: &mut [u8]) -> Result<(), Fault> {
        if let Some(parts) = self.content.parts
            && let Some(place) = parts.place(extent)
        {
            return Ok(parts.file.read_exact_at(bytes, place)?);
        }
        let file = self.get(extent.file)?;
        match file.read_exact_at(bytes, extent.offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Fault::Short {
                found: file.metadata()?.len(),
            }),
            result => Ok(result?),
        }
    }

    /// Asks the system to have the extent in memory soon. Where that fails, reading it will tell.
    pub(crate) fn will_need(&mut self, extent: Extent) {
        if let Ok(file) = self.get(extent.file) {
            let _hint = fadvise(
                file,
                extent.offset,
                NonZeroU64::new(extent.length),
                Advice::WillNeed,
            );
        }
    }

    fn get(&mut self, file: FileIndex) -> Result<&File, Fault> {
        if let Some(place) = self.open.iter().rposition(|(open, _)| *open == file) {
            self.open[place..].rotate_left(1);
        } else {
            let handle = self.content.open(file)?;
            if !handle.metadata()?.is_file() {
                return Err(Fault::NotAFile);
            }
            if self.open.len() == OPEN_FILES {
                self.open.remove(0);
            }
            self.open.push((file, handle));
        }
        let (_, handle) = self.open.last().ok_or(Fault::NotAFile)?;
        Ok(handle)
    }
}
