//! Content that programs may disagree about.

use std::fs;
use std::path::{Path, PathBuf};

/// A file or folder to make torrents of.
pub(crate) struct Tree {
    /// Name of the file or folder.
    pub(crate) name: &'static str,
    /// Path below the folder and length; an empty path for a single file.
    files: Vec<(&'static str, usize)>,
    /// Whether the order of the files depends on how programs compare paths.
    pub(crate) depends_on_order: bool,
}

pub(crate) fn trees() -> Vec<Tree> {
    let tree = |name, files| Tree {
        name,
        files,
        depends_on_order: false,
    };
    vec![
        tree("single.bin", vec![("", 5_000_000)]),
        tree("single of one byte", vec![("", 1)]),
        tree("exactly four pieces", vec![("", 4 * 32_768)]),
        tree("folder of one", vec![("file", 100_000)]),
        tree(
            "nested ä ö",
            vec![
                ("Disc 1/01 - Überschrift.flac", 700_000),
                ("Disc 1/02 - 日本語.flac", 262_144),
                ("Disc 1/leer", 0),
                ("Disc 2/sub/deeper/x y z.txt", 17),
                ("Disc 2/01.flac", 300_001),
                ("read me.txt", 1_000),
                ("cover.jpg", 65_536),
                ("e\u{301}.decomposed", 5),
                (".hidden", 99),
                ("zuletzt leer", 0),
            ],
        ),
        Tree {
            depends_on_order: true,
            ..tree(
                "order",
                vec![
                    ("a/x", 10),
                    ("a/Z", 20),
                    ("a.txt", 30),
                    ("a-b", 40),
                    ("a b/x", 50),
                    ("aa", 60),
                    ("A", 70),
                    ("10", 80),
                    ("9", 90),
                    ("~", 100),
                    ("é", 110),
                ],
            )
        },
    ]
}

impl Tree {
    /// Writes the content below `folder` and returns its path.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let root = folder.join(self.name);
        for (seed, (path, length)) in self.files.iter().enumerate() {
            let path = if path.is_empty() {
                root.clone()
            } else {
                root.join(path)
            };
            let parent = path.parent().expect("every file is in a folder");
            fs::create_dir_all(parent).expect("folders can be made");
            fs::write(path, bytes(seed, *length)).expect("files can be written");
        }
        root
    }
}

/// Bytes that differ from file to file and from piece to piece.
fn bytes(seed: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| ((at * 131 + seed * 7) ^ (at >> 11)).to_le_bytes()[0])
        .collect()
}
