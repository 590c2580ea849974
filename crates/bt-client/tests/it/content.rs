//! Content for the tests: files made of numbers, and the torrents that describe them.

use std::path::Path;

use bt_metainfo::{Metainfo, create};

/// Bytes that differ everywhere and are the same in every run.
pub(crate) fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(length);
    out
}

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
