//! What lies below a folder, in the order of a torrent.
//!
//! It must not read content.

use std::fs::{self, FileType, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use super::filter::Filter;
use super::{Error, Options};
use crate::limits::MAX_FILES;

/// A file that goes into the torrent.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Below the folder that was walked.
    pub(super) path: PathBuf,
    /// The same as names.
    pub(super) names: Vec<String>,
    pub(super) length: u64,
    /// When it was last written to, if the system says so.
    pub(super) modified: Option<SystemTime>,
}

/// Something that is in the folder but will not be in the torrent, without being asked to stay out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A symbolic link that was not followed.
    Link {
        /// Its path.
        path: PathBuf,
    },
    /// A symbolic link that leads nowhere, or to a folder that holds it.
    DeadLink {
        /// Its path.
        path: PathBuf,
    },
    /// A device, pipe or socket.
    Special {
        /// Its path.
        path: PathBuf,
        /// What it is, in words.
        kind: &'static str,
    },
    /// A folder without files, which a torrent cannot hold.
    EmptyFolder {
        /// Its path.
        path: PathBuf,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link { path } => write!(f, "{}: left out, a symbolic link", path.display()),
            Self::DeadLink { path } => {
                write!(
                    f,
                    "{}: left out, a symbolic link that leads nowhere new",
                    path.display()
                )
            }
            Self::Special { path, kind } => write!(f, "{}: left out, a {kind}", path.display()),
            Self::EmptyFolder { path } => {
                write!(
                    f,
                    "{}: left out, a torrent cannot hold an empty folder",
                    path.display()
                )
            }
        }
    }
}

/// Result of a walk.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// In the order of the torrent.
    pub(super) files: Vec<Found>,
    pub(super) warnings: Vec<Warning>,
    /// Files and folders that the options leave out.
    pub(super) left_out: usize,
}

/// A folder that is still to be read.
struct Folder {
    /// Below the root; empty for the root.
    path: PathBuf,
    names: Vec<String>,
    /// Device and inode of the folder and those above it, kept when links are followed.
    line: Option<Rc<Line>>,
}

/// The folders from here up to the root.
struct Line {
    id: (u64, u64),
    above: Option<Rc<Self>>,
}

/// Walks everything below `root`, until `cancel` is set.
pub(super) fn walk(
    root: &Path,
    options: &Options,
    filter: &Filter,
    cancel: &AtomicBool,
) -> Result<Walked, Error> {
    let mut walked = Walked::default();
    let line = if options.follow_symlinks {
        let metadata = fs::metadata(root).map_err(|error| Error::io(root.into(), error))?;
        Some(Rc::new(Line {
            id: id(&metadata),
            above: None,
        }))
    } else {
        None
    };
    let mut folders = vec![Folder {
        path: PathBuf::new(),
        names: Vec::new(),
        line,
    }];
    while let Some(folder) = folders.pop() {
        let mut empty = true;
        let whole = root.join(&folder.path);
        let failed = |error| Error::io(whole.clone(), error);
        for entry in fs::read_dir(&whole).map_err(failed)? {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Canceled);
            }
            let entry = entry.map_err(failed)?;
            empty = false;
            enter(
                root,
                &folder,
                &entry.file_name(),
                options,
                filter,
                &mut folders,
                &mut walked,
            )?;
        }
        if empty && !folder.path.as_os_str().is_empty() {
            walked.warnings.push(Warning::EmptyFolder { path: whole });
        }
    }
    // The order in which a folder lists its entries differs from machine to machine.
    walked
        .files
        .sort_unstable_by(|a, b| bytes(&a.path).cmp(bytes(&b.path)));
    walked
        .warnings
        .sort_unstable_by(|a, b| bytes(a.path()).cmp(bytes(b.path())));
    Ok(walked)
}

/// Decides about one entry of a folder.
fn enter(
    root: &Path,
    folder: &Folder,
    name: &std::ffi::OsStr,
    options: &Options,
    filter: &Filter,
    folders: &mut Vec<Folder>,
    walked: &mut Walked,
) -> Result<(), Error> {
    let path = folder.path.join(name);
    let whole = root.join(&path);
    let failed = |error| Error::io(whole.clone(), error);
    let mut metadata = fs::symlink_metadata(&whole).map_err(failed)?;
    let wanted = if metadata.is_dir() {
        filter.enters(&path)
    } else {
        filter.takes(&path)
    };
    let link = metadata.is_symlink();
    if link && options.follow_symlinks {
        match fs::metadata(&whole) {
            Ok(target) => metadata = target,
            Err(_) if wanted => walked.warnings.push(Warning::DeadLink {
                path: whole.clone(),
            }),
            Err(_) => {}
        }
    }
    let wanted = if link && metadata.is_dir() {
        filter.enters(&path)
    } else {
        wanted
    };
    if !wanted {
        walked.left_out += 1;
        return Ok(());
    }
    let mut names = folder.names.clone();
    names.push(
        name.to_str()
            .ok_or_else(|| Error::NotUtf8 {
                path: whole.clone(),
            })?
            .to_owned(),
    );
    if metadata.is_dir() {
        let line = folder.line.as_ref().map(|above| (id(&metadata), above));
        if let Some((id, above)) = line
            && above.holds(id)
        {
            walked.warnings.push(Warning::DeadLink { path: whole });
            return Ok(());
        }
        let line = line.map(|(id, above)| {
            Rc::new(Line {
                id,
                above: Some(Rc::clone(above)),
            })
        });
        folders.push(Folder { path, names, line });
    } else if metadata.is_file() {
        if walked.files.len() >= MAX_FILES {
            return Err(Error::TooManyFiles { path: root.into() });
        }
        let (length, modified) = (metadata.len(), metadata.modified().ok());
        walked.files.push(Found {
            path,
            names,
            length,
            modified,
        });
    } else if metadata.is_symlink() {
        if !options.follow_symlinks {
            walked.warnings.push(Warning::Link { path: whole });
        }
    } else {
        walked.warnings.push(Warning::Special {
            path: whole,
            kind: kind(metadata.file_type()),
        });
    }
    Ok(())
}

/// What a file that is no file is, in words.
pub(super) fn kind(file_type: FileType) -> &'static str {
    if file_type.is_fifo() {
        "pipe"
    } else if file_type.is_socket() {
        "socket"
    } else if file_type.is_block_device() || file_type.is_char_device() {
        "device"
    } else {
        "special file"
    }
}

impl Line {
    /// Whether a folder is this one or above it.
    fn holds(&self, id: (u64, u64)) -> bool {
        let mut line = Some(self);
        while let Some(folder) = line {
            if folder.id == id {
                return true;
            }
            line = folder.above.as_deref();
        }
        false
    }
}

impl Warning {
    /// The path it is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Link { path }
            | Self::DeadLink { path }
            | Self::Special { path, .. }
            | Self::EmptyFolder { path } => path,
        }
    }
}

fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
