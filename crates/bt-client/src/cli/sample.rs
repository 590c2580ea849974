//! The sample tree that `demo` shares when it is given nothing: the awkward names and sizes that
//! real trees have, with content that is the same on every run. It must not know torrents.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Files of a fixed size, which hold text, nothing, or exactly one common piece.
const SMALL: [(&str, u64); 6] = [
    ("read me.txt", 1_234),
    ("empty.file", 0),
    ("exactly one piece.bin", 256 * 1024),
    ("docs/a/b/c/d/deep.bin", 70_001),
    ("docs/naïve façade – résumé.txt", 16_384),
    ("docs/empty folder name/.keep", 0),
];

/// Files that share the rest of the size, by their part of 16.
const LARGE: [(&str, u64); 5] = [
    ("video/夏の思い出.mkv", 7),
    ("video/holiday #2 (100%).mkv", 4),
    ("музыка/песня №1.flac", 2),
    ("backup/disk image.img", 2),
    ("😀.bin", 1),
];

/// Many equal files, because trees of many files take other paths through the code.
const PHOTOS: u64 = 64;
const PHOTO_SIZE: u64 = 20_000;

/// Bytes made and written at a time.
const CHUNK: usize = 1 << 20;

/// Writes the tree into `root`, which must exist, and returns how many bytes it holds.
/// `stop` ends it early with [`io::ErrorKind::Interrupted`].
pub(crate) fn write(root: &Path, size: u64, stop: impl Fn() -> bool) -> io::Result<u64> {
    let mut plan: Vec<(String, u64)> = SMALL
        .iter()
        .map(|(name, size)| ((*name).to_owned(), *size))
        .collect();
    plan.extend((1..=PHOTOS).map(|n| (format!("photos/IMG_{n:04}.jpg"), PHOTO_SIZE)));
    let fixed: u64 = plan.iter().map(|(_, size)| size).sum();
    let rest = size.saturating_sub(fixed);
    plan.extend(
        LARGE
            .iter()
            .map(|(name, part)| ((*name).to_owned(), rest / 16 * part)),
    );
    // What the division left over, so that the tree has the very size that was asked for.
    if let Some((_, last)) = plan.last_mut() {
        *last += rest % 16;
    }
    for ((name, size), seed) in plan.iter().zip(1..) {
        let path = root.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fill(File::create_new(&path)?, *size, seed, &stop)?;
    }
    Ok(plan.iter().map(|(_, size)| size).sum())
}

/// Writes `size` bytes that look random and depend on `seed` only.
fn fill(mut file: File, size: u64, seed: u64, stop: &impl Fn() -> bool) -> io::Result<()> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut chunk = vec![0; CHUNK];
    let mut left = size;
    while left > 0 {
        if stop() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        for word in chunk.chunks_exact_mut(8) {
            word.copy_from_slice(&next(&mut state).to_le_bytes());
        }
        let now = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        file.write_all(&chunk[..now])?;
        left -= u64::try_from(now).unwrap_or(left);
    }
    Ok(())
}

/// SplitMix64: one addition and two multiplications a word, and no two seeds give the same stream.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::write;
    use std::fs;

    #[test]
    fn the_tree_has_the_size_asked_for_and_the_same_bytes_each_time() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&a, &b] {
            assert_eq!(write(dir.path(), 5_000_003, || false).unwrap(), 5_000_003);
        }
        let read = |dir: &tempfile::TempDir, name: &str| fs::read(dir.path().join(name)).unwrap();
        let first = read(&a, "video/夏の思い出.mkv");
        assert_eq!(first, read(&b, "video/夏の思い出.mkv"));
        assert_ne!(first[..1000], read(&a, "backup/disk image.img")[..1000]);
        assert!(read(&a, "empty.file").is_empty());
    }

    #[test]
    fn a_request_to_stop_ends_it() {
        let dir = tempfile::tempdir().unwrap();
        let error = write(dir.path(), 5_000_000, || true).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::Interrupted);
    }
}
