//! Where the files of one torrent are: under which name, and which bytes lie among the parts.
//!
//! It decides and must not read, write or keep files open.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bt_metainfo::{Extent, FileIndex, Layout, Metainfo, Naming, PartsMap, PieceIndex};

use super::Site;
use super::root::Root;
use super::{DiskError, Fault};

/// Stands for the file of parts among the files of a torrent, which has fewer files than that.
pub(super) const PARTS: FileIndex = FileIndex(u32::MAX);

/// Consecutive bytes of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// `None`: padding, zeros that are not kept.
    pub(super) file: Option<FileIndex>,
    pub(super) offset: u64,
    pub(super) length: usize,
}

/// An extent, cut at pieces where each has a place of its own.
struct Runs<'a> {
    places: &'a Places,
    rest: Option<Extent>,
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let Places {
            layout,
            parts,
            absent,
            ..
        } = self.places;
        let mut extent = self.rest.take()?;
        let mut run = (Some(extent.file), extent.offset);
        if layout.is_pad(extent.file) {
            run = (None, 0);
        } else if absent.contains(&extent.file) {
            let piece_length = u64::from(layout.piece_length());
            let at = layout.file_offset(extent.file) + extent.offset;
            let here = extent.length.min(piece_length - at % piece_length);
            if here < extent.length {
                self.rest = Some(Extent {
                    offset: extent.offset + here,
                    length: extent.length - here,
                    ..extent
                });
                extent.length = here;
            }
            // A piece of this file alone was under way when the file was given up: it lies in the file itself.
            if let Some(place) = parts.place(layout, extent.file, extent.offset) {
                run = (Some(PARTS), place);
            }
        }
        Some(Run {
            file: run.0,
            offset: run.1,
            length: usize::try_from(extent.length).unwrap_or(usize::MAX),
        })
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) site: Site,
    metainfo: Arc<Metainfo>,
    layout: Arc<Layout>,
    parts: PartsMap,
    /// Found out when the directory is first looked at, and not while files come to be: on a file system that ignores
    /// case, a file that was made under one name seems to be there under another one too.
    names: OnceLock<Names>,
    /// Files that nobody wants and that are not there: what is fetched of them lies among the parts.
    absent: BTreeSet<FileIndex>,
}

impl Places {
    pub(super) fn new(metainfo: Arc<Metainfo>, layout: Arc<Layout>, site: Site) -> Self {
        Self {
            site,
            parts: PartsMap::new(&layout),
            metainfo,
            layout,
            names: OnceLock::new(),
            absent: BTreeSet::new(),
        }
    }

    /// Where `length` bytes from `start` of the content lie, in their order.
    pub(super) fn runs(&self, start: u64, length: u64) -> impl Iterator<Item = Run> + '_ {
        let extents = self.layout.extents(start, length);
        extents.flat_map(|extent| Runs {
            places: self,
            rest: Some(extent),
        })
    }

    /// Where the bytes of a piece lie.
    pub(super) fn piece_runs(&self, piece: PieceIndex) -> impl Iterator<Item = Run> + '_ {
        let length = u64::from(self.layout.piece_size(piece));
        self.runs(self.layout.piece_offset(piece), length)
    }

    pub(super) fn is_absent(&self, file: FileIndex) -> bool {
        self.absent.contains(&file)
    }

    /// Files of which some bytes lie among the parts, or will.
    pub(super) fn absent(&self) -> Vec<FileIndex> {
        let is_shared = |file: &FileIndex| !self.shared_runs(*file).is_empty();
        self.absent.iter().copied().filter(is_shared).collect()
    }

    /// The pieces of which bytes of this file lie among the parts, or could.
    pub(super) fn shared_pieces(&self, file: FileIndex) -> impl Iterator<Item = PieceIndex> + '_ {
        let runs = self.shared_runs(file).into_iter();
        let at = move |(run, _): (Extent, u64)| self.layout.file_offset(file) + run.offset;
        runs.map(at).filter_map(|at| self.layout.piece_at(at))
    }

    pub(super) fn is_any_absent(&self) -> bool {
        !self.absent.is_empty()
    }

    pub(super) fn set_absent(&mut self, file: FileIndex, absent: bool) {
        if absent {
            self.absent.insert(file);
        } else {
            self.absent.remove(&file);
        }
    }

    /// The runs of a file that may lie among the parts: in its first and in its last piece.
    pub(super) fn shared_runs(&self, file: FileIndex) -> Vec<(Extent, u64)> {
        let pieces = self.layout.pieces_of_file(file);
        let mut edges: Vec<u32> = pieces.clone().take(1).collect();
        edges.extend(pieces.last().filter(|last| !edges.contains(last)));
        let runs = edges.into_iter().flat_map(|piece| {
            self.layout
                .piece_extents(PieceIndex(piece))
                .filter(|extent| extent.file == file)
        });
        runs.filter_map(|run| Some((run, self.parts.place(&self.layout, file, run.offset)?)))
            .collect()
    }

    /// Where a file is, relative to the root.
    ///
    /// # Errors
    /// If the system does not let us look: another name might be the wrong one.
    pub(super) fn path(&self, root: &Root, file: FileIndex) -> Result<PathBuf, DiskError> {
        Ok(self.path_at(&self.site, file, &self.given(root, file)?))
    }

    /// Where a file would be at another site; `given` is its path by the torrent alone.
    pub(super) fn path_at(&self, site: &Site, file: FileIndex, given: &Path) -> PathBuf {
        if file == PARTS {
            return given.to_owned();
        }
        site.path(self.metainfo.info(), file, given)
    }

    /// What the torrent alone says of where a file is: under the first of its names that was there when the directory was
    /// first looked at, or else the portable one.
    ///
    /// # Errors
    /// As [`Places::path`].
    pub(super) fn given(&self, root: &Root, file: FileIndex) -> Result<PathBuf, DiskError> {
        let info = self.metainfo.info();
        if file == PARTS {
            return Ok(info.parts_path());
        }
        let names = match self.names.get() {
            Some(names) => names,
            None => {
                let found = Names::find(root, &self.site, &self.metainfo, &self.layout)?;
                self.names.get_or_init(|| found)
            }
        };
        let mut paths = names.naming.paths(info, file);
        let first = paths.next().unwrap_or_default();
        let own = paths.next().filter(|_| names.own.contains(&file));
        Ok(own.unwrap_or(first))
    }

    /// All that [`Places::given`] may say of a file.
    pub(super) fn all_given(&self, file: FileIndex) -> Vec<PathBuf> {
        let info = self.metainfo.info();
        if file == PARTS {
            return vec![info.parts_path()];
        }
        let portable = info.disk_path(file);
        let native = info.native_path(file).filter(|native| *native != portable);
        std::iter::once(portable).chain(native).collect()
    }

    /// Files that are kept on the disk, and the parts.
    pub(super) fn stored(&self) -> impl Iterator<Item = FileIndex> + '_ {
        let stored = |file: &FileIndex| !self.layout.is_pad(*file);
        self.layout.files().filter(stored).chain([PARTS])
    }

    /// What lies under which name is found out anew. To be called while no file is open.
    pub(super) fn look_again(&mut self) {
        self.names = OnceLock::new();
    }
}

/// Under which of its names each file lies.
#[derive(Debug)]
struct Names {
    naming: Naming,
    /// Files that lie under their own names, as shared from this machine, and not under the portable ones.
    own: BTreeSet<FileIndex>,
}

impl Names {
    fn find(
        root: &Root,
        site: &Site,
        metainfo: &Metainfo,
        layout: &Layout,
    ) -> Result<Self, DiskError> {
        let info = metainfo.info();
        let failed = RefCell::new(None);
        // A name of its own stands for all that the torrent may mean.
        let any = FileIndex(u32::MAX - 1);
        let is_there = |path: &Path| match look(root, &site.path(info, any, path)) {
            Ok(found) => found.is_some(),
            Err(error) => {
                failed.borrow_mut().get_or_insert(error);
                false
            }
        };
        let naming = Naming::find(info, is_there);
        if let Some(error) = failed.into_inner() {
            return Err(error);
        }
        let mut found = Self {
            naming,
            own: BTreeSet::new(),
        };
        let stored = || layout.files().filter(|file| !layout.is_pad(*file));
        if stored().all(|file| info.native_path(file).is_none()) {
            return Ok(found);
        }
        // Two names of two files may be one to the file system; then neither says whose the file is.
        let mut inodes: BTreeMap<(u64, u64), BTreeSet<FileIndex>> = BTreeMap::new();
        let mut own = Vec::new();
        for file in stored() {
            let mut is_portable = true;
            let mut is_first_there = false;
            for path in found.naming.paths(info, file) {
                if let Some(meta) = look(root, &site.path(info, file, &path))? {
                    let inode = (meta.dev(), meta.ino());
                    inodes.entry(inode).or_default().insert(file);
                    if is_portable {
                        is_first_there = true;
                    } else if !is_first_there {
                        own.push((file, inode));
                    }
                }
                is_portable = false;
            }
        }
        let is_its_own = |(_, inode): &(FileIndex, (u64, u64))| {
            inodes.get(inode).is_some_and(|files| files.len() == 1)
        };
        let own = own.into_iter().filter(is_its_own);
        found.own = own.map(|(file, _)| file).collect();
        Ok(found)
    }
}

/// What has this name; a name that the file system cannot have, or that a link or a directory has, no file has.
fn look(root: &Root, path: &Path) -> Result<Option<Metadata>, DiskError> {
    match root.look(path) {
        Err(error) if matches!(error.fault(), Fault::InTheWay | Fault::TooLong) => Ok(None),
        other => other,
    }
}
