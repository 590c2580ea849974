//! The fuzz bodies over their corpus, over small changes of it, and over noise.

use std::fs;
use std::path::{Path, PathBuf};

use bt_bencode::{Options, fuzz, parse};

type Body = fn(&[u8]);

/// Folders under `tests/corpus`, and the body for what is in them.
const TARGETS: &[(&str, Body)] = &[
    ("bencode_decode", fuzz::decode),
    ("bencode_encode", fuzz::encode),
    #[cfg(feature = "serde")]
    ("bencode_convert", fuzz::convert),
];

fn corpus(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/corpus")
        .join(folder);
    let entries = fs::read_dir(&folder).expect("the folder of seeds exists");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(files.len() >= 2, "{} has no seeds", folder.display());
    files
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).expect("a file")))
        .collect()
}

/// A small generator with a fixed seed: the same bytes on each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % bound
    }

    fn byte(&mut self) -> u8 {
        const LETTERS: &[u8] = b"0123456789ilde:-";
        match self.below(4) {
            0 => u8::try_from(self.below(256)).unwrap_or_default(),
            _ => LETTERS[self.below(LETTERS.len())],
        }
    }
}

#[test]
fn the_corpus_passes() {
    for (folder, body) in TARGETS {
        for (path, data) in corpus(folder) {
            println!("{}", path.display());
            body(&data);
        }
    }
}

#[test]
fn small_changes_of_the_corpus_pass() {
    let mut random = Random(1);
    for (folder, body) in TARGETS {
        for (path, data) in corpus(folder) {
            println!("{}", path.display());
            for _ in 0..200 {
                let mut data = data.clone();
                for _ in 0..=random.below(3) {
                    let at = random.below(data.len() + 1);
                    match random.below(3) {
                        0 if at < data.len() => data[at] = random.byte(),
                        1 if at < data.len() => drop(data.remove(at)),
                        _ => data.insert(at, random.byte()),
                    }
                }
                body(&data);
            }
        }
    }
}

#[test]
fn noise_passes() {
    let mut random = Random(2);
    for (folder, body) in TARGETS {
        println!("{folder}");
        for _ in 0..5000 {
            let length = random.below(100);
            let data: Vec<u8> = (0..length).map(|_| random.byte()).collect();
            body(&data);
        }
    }
}

/// The names of the seeds say what they are.
#[test]
fn the_seeds_are_what_their_names_say() {
    for (path, data) in corpus("bencode_decode") {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let expected = match name.split_once('_').map_or("", |(verdict, _)| verdict) {
            "valid" => (true, true),
            "irregular" => (false, true),
            "broken" => (false, false),
            // What a fuzzer found has any name.
            _ => continue,
        };
        let found = (
            parse(&data).is_ok(),
            Options::lenient().parse(&data).is_ok(),
        );
        assert_eq!(found, expected, "{name}");
    }
}
