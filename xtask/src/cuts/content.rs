//! What is downloaded: some files, their torrent, and which pieces of it a disk holds. It must not know who writes them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bt_client::state::knowledge::{Reader, Replay};
use bt_metainfo::{Metainfo, PieceIndex, create};

use super::bytes::Bytes;
use super::chance::Chance;
use super::disk::Disk;

/// Small pieces, so that many are under way at any moment.
pub(super) const PIECE: u32 = 16 * 1024;

/// Files that share pieces, some below other folders, one of no bytes, and fewer than the client syncs at once:
/// FUSE does not tell a file system of `syncfs`.
const FILES: [(&str, usize); 6] = [
    ("a.bin", 2_500_000),
    ("b.bin", 10_000),
    ("c.bin", 1_500_000),
    ("deep/er/d.bin", 200_000),
    ("deep/e.bin", 20_000),
    ("far/empty", 0),
];

/// Where the client is told to put content, on the disk.
pub(super) const OUT: &str = "out";

/// Where the client is told to keep its state, on the disk.
pub(super) const HOME: &str = "home";

/// The directory below which each download has a journal.
const DOWNLOADS: &str = "home/state/downloads";

/// See the module.
#[derive(Debug)]
pub(super) struct Content {
    metainfo: Metainfo,
    bytes: Vec<u8>,
}

impl Content {
    /// Writes the files below `folder/share`, and `folder/it.torrent`.
    pub(super) fn make(folder: &Path, seed: u64) -> Result<Self, String> {
        let share = folder.join("share/tree");
        let mut chance = Chance::new(seed);
        let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
        for (name, length) in FILES {
            // No zeros: what is a hole or was never written differs in each byte.
            let byte = |_| u8::try_from(chance.below(255)).unwrap_or(0) + 1;
            let bytes: Vec<u8> = (0..length).map(byte).collect();
            let path = share.join(name);
            let write = || {
                fs::create_dir_all(path.parent().unwrap_or(folder))?;
                fs::write(&path, &bytes)
            };
            write().map_err(|error| format!("{}: {error}", path.display()))?;
            files.push((Path::new("tree").join(name), bytes));
        }
        let options = create::Options {
            piece_length: Some(PIECE),
            ..create::Options::default()
        };
        let torrent = create::create(&share, &options)
            .map_err(|error| error.to_string())?
            .to_bytes()
            .map_err(|error| error.to_string())?;
        let path = folder.join("it.torrent");
        fs::write(&path, &torrent).map_err(|error| format!("{}: {error}", path.display()))?;
        let metainfo = Metainfo::parse(&torrent).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        for file in metainfo.info().layout().files() {
            let path = metainfo.info().disk_path(file);
            let found = files.iter().find(|(name, _)| *name == path);
            bytes.extend(&found.ok_or("a file without bytes")?.1);
        }
        Ok(Self { metainfo, bytes })
    }

    pub(super) fn pieces(&self) -> usize {
        self.metainfo.info().layout().piece_count() as usize
    }

    /// Pieces of which `is_there(disk's bytes, offset, expected bytes)` holds for each part.
    fn pieces_where(
        &self,
        disk: &Disk,
        is_there: impl Fn(&Bytes, usize, &[u8]) -> bool,
    ) -> BTreeSet<u32> {
        let info = self.metainfo.info();
        let layout = info.layout();
        let files: Vec<Option<&Bytes>> = layout
            .files()
            .map(|file| disk.bytes(&Path::new(OUT).join(info.disk_path(file))))
            .collect();
        let is_whole = |piece: &u32| {
            layout.piece_extents(PieceIndex(*piece)).all(|extent| {
                let start = layout.file_offset(extent.file) + extent.offset;
                let range = usize::try_from(start).unwrap_or(0)
                    ..usize::try_from(start + extent.length).unwrap_or(0);
                let offset = usize::try_from(extent.offset).unwrap_or(usize::MAX);
                let file = files.get(extent.file.0 as usize).copied().flatten();
                file.zip(self.bytes.get(range))
                    .is_some_and(|(file, expected)| is_there(file, offset, expected))
            })
        };
        (0..layout.piece_count()).filter(is_whole).collect()
    }

    /// Pieces whose bytes are right.
    pub(super) fn good(&self, disk: &Disk) -> BTreeSet<u32> {
        self.pieces_where(disk, |file, offset, expected| {
            file.all.get(offset..offset + expected.len()) == Some(expected)
        })
    }

    /// Pieces that have been written, as far as anybody can tell from outside.
    pub(super) fn written(&self, disk: &Disk) -> BTreeSet<u32> {
        self.pieces_where(disk, |file, offset, expected| {
            file.holds(offset, expected.len())
        })
    }

    /// Whether each file has the right bytes and no more.
    pub(super) fn is_whole(&self, disk: &Disk) -> bool {
        let info = self.metainfo.info();
        let has_its_length = |file| {
            let bytes = disk.bytes(&Path::new(OUT).join(info.disk_path(file)));
            bytes.is_some_and(|bytes| bytes.all.len() as u64 == info.layout().file_length(file))
        };
        self.good(disk).len() == self.pieces() && info.layout().files().all(has_its_length)
    }

    /// What the journal claims that a program would find now; nothing if there is none.
    pub(super) fn claims(&self, disk: &Disk) -> Result<BTreeSet<u32>, String> {
        let bytes = journal_folder(disk).and_then(|folder| disk.bytes(&folder.join("journal")));
        bytes.map_or(Ok(BTreeSet::new()), |bytes| self.claims_in(&bytes.all))
    }

    /// What the client was told to be durable: what stands in a journal that was synced, as was its name.
    pub(super) fn durable(&self, disk: &Disk) -> Result<BTreeSet<u32>, String> {
        let synced = journal_folder(disk)
            .and_then(|folder| disk.synced(&folder, "journal".as_ref()).map(<[u8]>::to_vec));
        synced.map_or(Ok(BTreeSet::new()), |bytes| self.claims_in(&bytes))
    }

    fn claims_in(&self, journal: &[u8]) -> Result<BTreeSet<u32>, String> {
        let reader = Reader::new(journal);
        let reader = reader.map_err(|error| format!("the journal is refused: {error}"))?;
        let mut replay = Replay::default();
        reader
            .map_while(Result::ok)
            .for_each(|record| replay.apply(&record));
        let hash = self
            .metainfo
            .info_hash_v1()
            .ok_or("a torrent without a hash")?;
        let known = replay.find(*hash.as_bytes());
        Ok(known.map_or(BTreeSet::new(), |(_, known)| known.pieces.iter().collect()))
    }
}

fn journal_folder(disk: &Disk) -> Option<PathBuf> {
    let all = Path::new(DOWNLOADS);
    Some(all.join(disk.names_in(all).first()?))
}
