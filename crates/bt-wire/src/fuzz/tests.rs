//! Runs every body over its corpus, over what the corpus becomes by small changes, and over noise.

use std::fs;
use std::path::{Path, PathBuf};

/// Name of a folder under `tests/corpus`, and a body.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 10] = [
    ("wire_handshake", super::handshake),
    ("wire_message", super::message),
    ("wire_extension_handshake", super::extension_handshake),
    ("wire_extension_message", super::extension_message),
    ("wire_compact_peers", super::compact_peers),
    ("wire_bitfield", super::bitfield),
    ("wire_peer_id", super::peer_id),
    ("wire_connection", super::connection),
    ("wire_chunking", super::chunking),
    ("wire_allowed_fast", super::allowed_fast),
];

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/corpus")
        .join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn the_corpus_passes() {
    for (target, body) in TARGETS {
        let corpus = corpus(target);
        assert!(corpus.len() >= 2, "{target} has no seeds");
        for (path, data) in corpus {
            println!("{}", path.display());
            body(&data);
        }
    }
}

#[test]
fn small_changes_of_the_corpus_pass() {
    let mut random = Random(1);
    for (target, body) in TARGETS {
        for (path, data) in corpus(target) {
            println!("{}", path.display());
            for _ in 0..300 {
                body(&random.change(data.clone()));
            }
        }
    }
}

#[test]
fn noise_passes() {
    let mut random = Random(2);
    for (target, body) in TARGETS {
        println!("{target}");
        for _ in 0..2000 {
            let length = random.below(300);
            let data: Vec<u8> = (0..length).map(|_| random.byte()).collect();
            body(&data);
        }
    }
}

/// A seeded sequence, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap() % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    /// Flips, inserts, removes, repeats or cuts a few times.
    fn change(&mut self, mut data: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.below(4) {
            let at = self.below(data.len().max(1));
            match self.below(6) {
                0 if !data.is_empty() => data[at] ^= 1 << self.below(8),
                1 if !data.is_empty() => data[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                2 => data.insert(at.min(data.len()), self.byte()),
                3 if !data.is_empty() => drop(data.remove(at)),
                4 => data.extend_from_within(at.min(data.len())..),
                _ => data.truncate(at),
            }
        }
        data
    }
}
