//! Which folder the paths of a torrent start from, when a person names a path.

use std::fs;
use std::path::{Path, PathBuf};

use super::Error;
use super::content::{Links, Root};
use crate::{Info, Naming};

/// What the path of a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Either: the one that has more of the torrent's files is meant.
    #[default]
    Either,
    /// The folder that the content lies in, under the torrent's name.
    Parent,
    /// The content itself, under any name.
    Content,
}

/// A folder, and how to get from it to each file.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) root: Root,
    below: Below,
    naming: Naming,
}

/// What the paths of the files start with.
#[derive(Clone, Debug)]
enum Below {
    /// The name of the torrent.
    Name,
    /// Nothing: the root is the torrent's folder.
    Nothing,
    /// The torrent is of one file, which has this name here.
    File(PathBuf),
}

impl Below {
    fn of(&self, path: &Path) -> PathBuf {
        match self {
            Self::Name => path.into(),
            Self::Nothing => path.components().skip(1).collect(),
            Self::File(path) => path.clone(),
        }
    }
}

/// How many files are looked for to find out what a path means. A folder that has none of so many
/// is the wrong one, or all but empty.
const LOOKED_FOR: usize = 1_000;

impl Located {
    pub(super) fn find(info: &Info, path: &Path, place: Place) -> Result<Self, Error> {
        let failed = |error| Error::io(path.into(), error);
        let is_folder = fs::metadata(path).map_err(failed)?.is_dir();
        let single = info.is_single_file();
        if !is_folder && !single {
            return Err(Error::NotAFolder {
                path: path.into(),
                name: info.name().into(),
            });
        }
        if single && (!is_folder || place == Place::Content) {
            let whole = fs::canonicalize(path).map_err(failed)?;
            let (Some(folder), Some(file)) = (whole.parent(), whole.file_name()) else {
                return Err(Error::NotFound { path: path.into() });
            };
            return Self::new(info, open(folder)?, Below::File(file.into()));
        }
        let parent = Self::new(info, open(path)?, Below::Name)?;
        if single || place == Place::Parent {
            return Ok(parent);
        }
        let content = Self::new(info, open(path)?, Below::Nothing)?;
        if place == Place::Content {
            return Ok(content);
        }
        let named = path.file_name().is_some_and(|name| name == info.name());
        Ok(match content.count(info).cmp(&parent.count(info)) {
            std::cmp::Ordering::Greater => content,
            std::cmp::Ordering::Equal if named => content,
            _ => parent,
        })
    }

    fn new(info: &Info, root: Root, below: Below) -> Result<Self, Error> {
        let mut located = Self {
            root,
            below,
            naming: Naming::default(),
        };
        let is_there = |path: &Path| located.root.open_any(&located.below.of(path)).is_ok();
        located.naming = Naming::find(info, is_there);
        Ok(located)
    }

    /// The path of the parts of files that were not selected, which lie beside the content.
    pub(super) fn parts(&self, info: &Info) -> Option<PathBuf> {
        matches!(self.below, Below::Name).then(|| info.parts_path())
    }

    /// Where a file may be, likeliest first: under the name it has everywhere, and under the name
    /// it has in the torrent if this system can have that as well.
    pub(super) fn paths(
        &self,
        info: &Info,
        file: crate::FileIndex,
    ) -> impl Iterator<Item = PathBuf> {
        let paths = self.naming.paths(info, file);
        paths.map(|path| self.below.of(&path))
    }

    /// How many of the first files there are.
    fn count(&self, info: &Info) -> usize {
        let files = info
            .layout()
            .files()
            .filter(|&file| !info.layout().is_pad(file))
            .take(LOOKED_FOR);
        files
            .filter(|&file| {
                self.paths(info, file)
                    .any(|path| self.root.open_any(&path).is_ok())
            })
            .count()
    }
}

fn open(folder: &Path) -> Result<Root, Error> {
    Root::open(folder, Links::Refuse).map_err(|error| Error::io(folder.into(), error))
}
