//! The info dictionary: what the files are called, how long they are and what they hash to.
//!
//! Everything here is part of the torrent's identity. Where peers are found is not: see
//! `metainfo/`. Nothing here touches a disk.

mod draft;
mod entry;
mod links;
mod naming;
mod parse;
mod v1;
mod v2;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::hash::{InfoHash, InfoHashV2, PieceHash};
use crate::index::{FileIndex, PieceIndex};
use crate::layout::Layout;
use crate::options::ParseOptions;
use crate::path::SafePath;
use crate::warning::Warning;

pub use entry::{Attributes, FileEntry, RawPath};
pub use naming::Naming;
pub(crate) use parse::{parse, warn_of_keys};

/// A checked info dictionary.
///
/// ```
/// use bt_metainfo::{FileIndex, Info};
///
/// let raw = b"d5:filesld6:lengthi3e4:pathl3:sub8:file.txteee4:name4:demo12:piece lengthi16384e\
///             6:pieces20:aaaaaaaaaaaaaaaaaaaae";
/// let info = Info::parse(raw)?;
/// assert_eq!(info.name(), "demo");
/// assert_eq!(info.files()[0].path.to_string(), "sub/file.txt");
/// assert_eq!(info.disk_path(FileIndex(0)).to_str(), Some("demo/sub/file.txt"));
/// assert_eq!(info.layout().piece_count(), 1);
/// # Ok::<(), bt_metainfo::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Info {
    /// What was parsed; `raw` and `pieces` are inside it.
    source: Arc<[u8]>,
    raw: Range<usize>,
    /// The v1 piece hashes, [`Layout::piece_count`] of them; `None` in a v2 torrent.
    pieces: Option<Range<usize>>,
    version: Version,
    v1: Option<InfoHash>,
    v2: Option<InfoHashV2>,
    /// One name.
    name: SafePath,
    original_name: Box<[u8]>,
    native_name: Option<Box<Path>>,
    single: bool,
    private: bool,
    source_tag: Option<String>,
    files: Box<[FileEntry]>,
    layout: Layout,
    warnings: Vec<Warning>,
}

/// Which protocol versions a torrent is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// SHA-1 of pieces of all files laid end to end (BEP 3).
    V1,
    /// A SHA-256 tree for each file (BEP 52).
    V2,
    /// Both, over the same content.
    Hybrid,
}

impl Info {
    /// Reads the bytes of an info dictionary, as peers send them (BEP 9).
    ///
    /// The caller compares the hash with the one it wants. The hash trees of v2 files cannot be
    /// checked here, because the layers are not part of the dictionary.
    ///
    /// # Errors
    ///
    /// When the bytes describe no torrent, or one that passes the [`limits`](crate::limits).
    pub fn parse(raw: &[u8]) -> Result<Self, Error> {
        ParseOptions::default().parse_info(raw)
    }

    /// The name of the single file or of the directory; one safe name, never empty.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The name as it stands in the torrent: any bytes, not a file name.
    pub fn original_name(&self) -> &[u8] {
        &self.original_name
    }

    /// Whether the torrent is one file and no directory.
    pub const fn is_single_file(&self) -> bool {
        self.single
    }

    /// Bytes of every piece except short ones.
    pub const fn piece_length(&self) -> u32 {
        self.layout.piece_length()
    }

    /// Whether peers may come from the trackers alone (BEP 27).
    pub const fn private(&self) -> bool {
        self.private
    }

    /// Where the torrent was made, if it says.
    pub fn source(&self) -> Option<&str> {
        self.source_tag.as_deref()
    }

    /// Which protocol versions the torrent is for.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The hash of handshakes, trackers and the DHT: that of v1, or else the first 20 bytes of
    /// that of v2.
    pub fn info_hash(&self) -> InfoHash {
        self.v1
            .or(self.v2.map(|hash| hash.truncated()))
            .expect("an info dictionary has at least one hash")
    }

    /// The v1 hash; `None` in a v2 torrent.
    pub const fn info_hash_v1(&self) -> Option<InfoHash> {
        self.v1
    }

    /// The v2 hash; `None` in a v1 torrent.
    pub const fn info_hash_v2(&self) -> Option<InfoHashV2> {
        self.v2
    }

    /// The SHA-1 that a piece must have; `None` when there is no such piece, or in a v2 torrent.
    pub fn piece_hash(&self, piece: PieceIndex) -> Option<&PieceHash> {
        self.piece_hashes().get(usize::try_from(piece.0).ok()?)
    }

    /// The SHA-1 of every piece; empty in a v2 torrent.
    pub fn piece_hashes(&self) -> &[PieceHash] {
        let pieces = self.pieces.clone().and_then(|range| self.source.get(range));
        pieces.unwrap_or_default().as_chunks().0
    }

    /// The files in the order of the torrent, which is that of [`FileIndex`].
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// One file.
    pub fn file(&self, file: FileIndex) -> Option<&FileEntry> {
        self.files.get(usize::try_from(file.0).ok()?)
    }

    /// How bytes are cut into pieces and laid over files.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The bytes of the dictionary, exactly as they were.
    pub fn raw(&self) -> &[u8] {
        self.source.get(self.raw.clone()).unwrap_or_default()
    }

    /// What was odd.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Where a file lies below the download folder: `name` for a single file, else `name/path`.
    ///
    /// Relative, inside the folder and different for every file in every file system; pad files,
    /// which are not stored, may share a path. Without such a file, the path of the whole.
    pub fn disk_path(&self, file: FileIndex) -> PathBuf {
        let root = self.name.to_path_buf();
        match self.file(file) {
            Some(entry) if !self.single => entry.path.below(&root),
            _ => root,
        }
    }

    /// Where the parts of files lie that nobody selected, relative to the download folder: the bytes
    /// that came with pieces of other files, at the places of a [`PartsMap`](crate::PartsMap).
    pub fn parts_path(&self) -> PathBuf {
        format!(".{}.parts", self.info_hash()).into()
    }

    /// Where a file lies if its names are taken exactly as they stand in the torrent, when that
    /// is another place than [`disk_path`](Self::disk_path) and just as safe on this system.
    ///
    /// Content that was shared from this machine may lie there: names such as `aux.c`, or two
    /// that differ only in case, are replaced in `disk_path` for the sake of other systems. It is
    /// for finding files that exist; a file system that ignores case may hold two of these paths
    /// as one, so that writing to them needs a file system known to tell them apart. Always
    /// `None` on systems other than Unix.
    pub fn native_path(&self, file: FileIndex) -> Option<PathBuf> {
        let entry = self.file(file)?;
        if self.native_name.is_none() && (self.single || entry.native.is_none()) {
            return None;
        }
        let root = self
            .native_name
            .as_ref()
            .map_or_else(|| self.name.to_path_buf(), |name| name.to_path_buf());
        if self.single {
            return Some(root);
        }
        Some(match &entry.native {
            Some(native) => root.join(native),
            None => entry.path.below(&root),
        })
    }
}

/// Equal when the bytes are.
impl PartialEq for Info {
    fn eq(&self, other: &Self) -> bool {
        self.raw() == other.raw()
    }
}

impl Eq for Info {}
