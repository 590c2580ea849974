//! Where the files of one torrent are: under which name, and which bytes lie among the parts.
//!
//! It decides and must not read, write or keep files open.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bt_metainfo::{Extent, FileIndex, Layout, Metainfo, Naming, PartsMap, PieceIndex};

use super::Site;
use super::root::Root;

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
    /// Found out when the directory is first looked at.
    naming: OnceLock<Naming>,
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
            naming: OnceLock::new(),
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

    /// Files of which some bytes lie among the parts, or will, while the others would lie in a file of their own.
    pub(super) fn split(&self) -> Vec<FileIndex> {
        let is_split = |file: &FileIndex| {
            let apart = self.shared_runs(*file).len();
            apart > 0 && self.layout.pieces_of_file(*file).len() > apart
        };
        self.absent.iter().copied().filter(is_split).collect()
    }

    /// The bytes of files that lie among the parts, if they are anywhere.
    pub(super) fn apart(&self) -> BTreeSet<(FileIndex, PieceIndex)> {
        let runs = self.absent.iter().flat_map(|file| {
            let runs = self.shared_runs(*file).into_iter();
            runs.map(move |(run, _)| (*file, self.layout.file_offset(*file) + run.offset))
        });
        runs.filter_map(|(file, at)| Some((file, self.layout.piece_at(at)?)))
            .collect()
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
    pub(super) fn path(&self, root: &Root, file: FileIndex) -> PathBuf {
        self.path_at(&self.site, file, &self.given(root, file))
    }

    /// Where a file would be at another site; `given` is its path by the torrent alone.
    pub(super) fn path_at(&self, site: &Site, file: FileIndex, given: &Path) -> PathBuf {
        if file == PARTS {
            return given.to_owned();
        }
        site.path(self.metainfo.info(), file, given)
    }

    /// What the torrent alone says of where a file is: under the first of its names that is there, or else the portable
    /// one.
    pub(super) fn given(&self, root: &Root, file: FileIndex) -> PathBuf {
        let info = self.metainfo.info();
        if file == PARTS {
            return info.parts_path();
        }
        let is_there = |file, path: &Path| {
            let path = self.site.path(info, file, path);
            matches!(root.file_size(&path), Ok(Some(_)))
        };
        // A name of its own stands for all that the torrent may mean.
        let naming = self
            .naming
            .get_or_init(|| Naming::find(info, |path| is_there(FileIndex(u32::MAX - 1), path)));
        let mut paths = naming.paths(info, file);
        let first = paths.next().unwrap_or_default();
        let Some(second) = paths.next() else {
            return first;
        };
        if is_there(file, &second) && !is_there(file, &first) {
            second
        } else {
            first
        }
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
}
