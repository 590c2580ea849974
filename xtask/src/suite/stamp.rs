//! Remembers that the whole suite passed on exactly these files.
//!
//! `cargo xtask ci --tests-already-ran` trusts nothing but this: the stamp of the last full run
//! must name the tree as it is now, and no test may have been left out.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use crate::tree::{Tree, target_dir};

/// What a passed run is remembered by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamp(String);

impl Stamp {
    /// The stamp of a run over this tree.
    pub(crate) fn of(tree: &Tree, left_out: usize) -> Self {
        let mut hasher = DefaultHasher::new();
        for file in tree.files.iter().filter(|file| matters(&file.path)) {
            file.path.hash(&mut hasher);
            file.size.hash(&mut hasher);
            file.text.hash(&mut hasher);
        }
        Self(format!(
            "tree {:016x}, left out {left_out}\n",
            hasher.finish()
        ))
    }

    /// A number for seeds that nobody has chosen.
    pub(super) fn seed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish() >> 32
    }

    pub(super) fn save(&self) -> Result<(), String> {
        let path = path();
        fs::write(&path, &self.0).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Fails unless the last full run had this very stamp.
    pub(crate) fn expect(&self) -> Result<(), String> {
        let saved = fs::read_to_string(path()).unwrap_or_default();
        if saved == self.0 {
            return Ok(());
        }
        let saved = if saved.is_empty() {
            "nothing\n"
        } else {
            &saved
        };
        Err(format!(
            "--tests-already-ran, but `cargo xtask test` has not passed on this tree:\n  \
             remembered: {saved}  expected:   {}",
            self.0
        ))
    }
}

/// Documents cannot change the outcome of a test; everything else can.
fn matters(path: &str) -> bool {
    !path.starts_with("docs/")
}

fn path() -> PathBuf {
    target_dir().join("xtask").join("tests-passed.txt")
}

#[cfg(test)]
mod tests {
    use super::Stamp;
    use crate::tree::Tree;

    #[test]
    fn any_change_of_code_changes_the_stamp() {
        let one = Stamp::of(&Tree::of(&[("src/a.rs", "fn a() {}")]), 0);
        let same = Stamp::of(
            &Tree::of(&[("src/a.rs", "fn a() {}"), ("docs/a.md", "x")]),
            0,
        );
        let other = Stamp::of(&Tree::of(&[("src/a.rs", "fn b() {}")]), 0);
        let partial = Stamp::of(&Tree::of(&[("src/a.rs", "fn a() {}")]), 1);
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_ne!(one, partial);
        assert_eq!(one.seed(), same.seed());
        assert_ne!(one.seed(), other.seed());
    }
}
