//! 300 MiB in many files, as people have them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bt_metainfo::{Metainfo, create};
use sha2::{Digest, Sha256};

use crate::filler::bytes;

/// Bytes of a piece of the torrent.
pub(crate) const PIECE: u32 = 512 * 1024;

/// Nested, with spaces, non-ASCII, an empty file, one of exactly a piece, one that is large.
const FILES: &[(&str, usize)] = &[
    ("a readme.txt", 12),
    ("disc 1/track 01.flac", 61 << 20),
    ("disc 1/track 02 – Älgarnas trädgård.flac", 70_000_001),
    ("disc 2/inner/deep/下載.bin", (3 << 20) + 17),
    ("empty file", 0),
    ("exactly one piece.bin", PIECE as usize),
    ("images/disk.img", 168 << 20),
];

/// The content and what describes it.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The directory that holds the content's own directory.
    pub(crate) parent: PathBuf,
    sums: BTreeMap<PathBuf, String>,
    _temp: tempfile::TempDir,
}

/// Made once for all stories.
pub(crate) fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let parent = temp.path().to_owned();
        let root = parent.join(NAME);
        for (seed, (path, length)) in (1u64..).zip(FILES) {
            let file = root.join(path);
            fs::create_dir_all(file.parent().expect("a file has a parent")).expect("directories");
            fs::write(file, bytes(*length, seed)).expect("a file");
        }
        Shared {
            sums: sums(&root),
            parent,
            _temp: temp,
        }
    })
}

const NAME: &str = "shared things";

impl Shared {
    /// The .torrent for trackers at `announce`.
    pub(crate) fn torrent(&self, announce: &str) -> (Metainfo, Vec<u8>) {
        let options = create::Options {
            trackers: vec![vec![announce.to_owned()]],
            piece_length: Some(PIECE),
            ..create::Options::default()
        };
        let bytes = create::create(&self.parent.join(NAME), &options)
            .expect("created")
            .to_bytes()
            .expect("bytes");
        (Metainfo::parse(&bytes).expect("our own torrent"), bytes)
    }

    /// Asserts that every file below `parent` has the same SHA-256, and that there is no other.
    pub(crate) fn assert_arrived(&self, parent: &Path) {
        assert_eq!(sums(&parent.join(NAME)), self.sums);
    }
}

impl Shared {
    /// The same for a program that makes no empty files.
    pub(crate) fn assert_arrived_without_empty_files(&self, parent: &Path) {
        let mut expected = self.sums.clone();
        expected.retain(|path, _| {
            FILES
                .iter()
                .any(|(name, length)| Path::new(name) == path && *length > 0)
        });
        let mut arrived = sums(&parent.join(NAME));
        arrived.retain(|path, _| expected.contains_key(path));
        assert_eq!(arrived, expected);
    }
}

fn sums(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut sums = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let digest = Sha256::digest(fs::read(&path).expect("a file"));
            let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            sums.insert(
                path.strip_prefix(root).expect("below the root").to_owned(),
                hex,
            );
        }
    }
    sums
}
