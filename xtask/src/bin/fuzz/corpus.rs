//! The inputs of a target: seeds and past crashes from the tree, finds from earlier runs.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use crate::random::Random;

/// More entries than this slow down the choice more than they help.
const MAX_ENTRIES: usize = 20_000;

/// Inputs to start from, the interesting ones of this run included.
#[derive(Debug)]
pub(crate) struct Corpus {
    entries: Vec<Vec<u8>>,
    finds: PathBuf,
}

impl Corpus {
    /// Reads the seeds in the tree and what earlier runs found.
    pub(crate) fn load(target: &str) -> Result<Self, String> {
        let finds = scratch(target).join("corpus");
        fs::create_dir_all(&finds).map_err(|e| format!("{}: {e}", finds.display()))?;
        let mut entries = read_all(&seeds(target)).unwrap_or_default();
        entries.extend(read_all(&finds).map_err(|e| format!("{}: {e}", finds.display()))?);
        entries.truncate(MAX_ENTRIES);
        Ok(Self { entries, finds })
    }

    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entries(&self) -> &[Vec<u8>] {
        &self.entries
    }

    /// An entry to mutate: recent finds half of the time, because they lead to new code, and
    /// mostly short ones, because they run fast and their bytes matter more.
    pub(crate) fn pick(&self, random: &mut Random) -> &[u8] {
        let recent = self.entries.len() / 8;
        let from = if recent > 0 && random.one_in(2) {
            self.entries.len() - recent
        } else {
            0
        };
        let entries = self.entries.get(from..).unwrap_or_default();
        let mut best = random.pick(entries).map_or(&[][..], Vec::as_slice);
        // Now and then any length will do, or code behind long inputs would hardly be run.
        let tries = if random.one_in(4) { 0 } else { 3 };
        for _ in 0..tries {
            let other = random.pick(entries).map_or(&[][..], Vec::as_slice);
            if other.len() < best.len() {
                best = other;
            }
        }
        best
    }

    /// Keeps an input that reached new edges, for this run and for later ones.
    pub(crate) fn add(&mut self, input: &[u8]) {
        if self.entries.len() < MAX_ENTRIES {
            self.entries.push(input.to_vec());
            // A find that cannot be saved is found again by the next run.
            let _ = fs::write(self.finds.join(name_of(input)), input);
        }
    }
}

/// Writes a failing input beside the seeds, where an ordinary test replays it from now on.
pub(crate) fn keep_crash(target: &str, kind: &str, input: &[u8]) -> Result<PathBuf, String> {
    let folder = seeds(target);
    let path = folder.join(format!("{kind}-{}", name_of(input)));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, input))
        .map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

/// How many seeds and past crashes the tree holds for a target.
pub(crate) fn count_seeds(target: &str) -> usize {
    read_all(&seeds(target)).map_or(0, |entries| entries.len())
}

/// `tests/corpus/TARGET` in the tree.
pub(crate) fn seeds(target: &str) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.parent().unwrap_or(package);
    root.join("tests").join("corpus").join(target)
}

/// A folder of the target's own among the build output.
pub(crate) fn scratch(target: &str) -> PathBuf {
    build_folder().join(target)
}

/// Where everything lies that runs leave behind.
pub(crate) fn build_folder() -> PathBuf {
    let build = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target"),
        PathBuf::from,
    );
    build.join("fuzz")
}

/// The contents of all files of a folder, in the order of their names, each content once.
fn read_all(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut paths = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    for path in paths.iter().filter(|path| path.is_file()) {
        let content = fs::read(path)?;
        if seen.insert(name_of(&content)) {
            entries.push(content);
        }
    }
    Ok(entries)
}

fn name_of(input: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
