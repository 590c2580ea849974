//! Content for the tests: files made of numbers, and the torrents that describe them.

use std::path::Path;

use bt_metainfo::{Metainfo, create};

use crate::filler::bytes;

/// Writes `files` (path, length) under `directory/name`, and describes them.
pub(crate) fn share(
    directory: &Path,
    name: &str,
    files: &[(&str, usize)],
    piece_length: u32,
) -> Metainfo {
    let root = directory.join(name);
    for (seed, (path, length)) in (1..).zip(files) {
        let file = root.join(path);
        std::fs::create_dir_all(file.parent().expect("a file has a parent")).unwrap();
        std::fs::write(file, bytes(*length, seed)).unwrap();
    }
    let options = create::Options {
        piece_length: Some(piece_length),
        ..create::Options::default()
    };
    let torrent = create::create(&root, &options).unwrap().to_bytes().unwrap();
    Metainfo::parse(&torrent).unwrap()
}

/// Asserts that both directories hold the same files with the same bytes.
pub(crate) fn assert_same(a: &Path, b: &Path) {
    let names = |directory: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(a), names(b), "in {} and {}", a.display(), b.display());
    for name in names(a) {
        let (a, b) = (a.join(&name), b.join(&name));
        if a.is_dir() {
            assert_same(&a, &b);
        } else {
            assert!(
                std::fs::read(&a).unwrap() == std::fs::read(&b).unwrap(),
                "{} differs",
                b.display()
            );
        }
    }
}
