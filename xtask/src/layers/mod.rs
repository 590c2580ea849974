//! `cargo xtask layers`: draws and checks who may use whom.
//!
//! Two levels: packages, read from the manifests, and the rooms inside the two top packages, read
//! from their `crate::…` paths against a declared table.

mod manifest;
mod packages;
mod rooms;

#[cfg(test)]
mod tests;

pub(crate) use manifest::Manifest;
pub(crate) use packages::{FLOORS, PURE_PACKAGES};

use crate::tidy::Finding;
use crate::tree::{self, Tree};

/// Everything that points the wrong way.
pub(crate) fn findings(tree: &Tree, out: &mut Vec<Finding>) {
    packages::check(tree, out);
    rooms::check(tree, out);
}

/// Draws the arrows and fails if one points the wrong way.
pub(crate) fn run() -> Result<(), String> {
    let tree = Tree::read(&tree::root())?;
    print!("{}{}", packages::draw(&tree), rooms::draw(&tree));
    let mut found = Vec::new();
    findings(&tree, &mut found);
    for finding in &found {
        println!("{finding}");
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(format!("{} arrows point the wrong way", found.len()))
}
