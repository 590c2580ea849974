//! Checks on what may lie in the tree at all.

use super::Finding;
use crate::tree::{File, Tree};

/// Larger files belong outside of version control.
const MAX_BYTES: u64 = 256 * 1024;
/// Files that may be larger, each with its reason.
const LARGE_FILES: [(&str, &str); 0] = [];
/// Endings of build output and of things that editors leave.
const FOREIGN_ENDINGS: [&str; 16] = [
    ".rlib",
    ".rmeta",
    ".o",
    ".so",
    ".a",
    ".d",
    ".exe",
    ".profraw",
    ".profdata",
    ".orig",
    ".rej",
    ".swp",
    ".pyc",
    ".log",
    ".tmp",
    ".bak",
];
/// Top-level folders of the file system that exist on one machine only.
const MACHINE_FOLDERS: [&str; 3] = ["work", "root", "farm"];

/// No build output, no large file, no path of one machine.
pub(super) fn nothing_foreign_is_kept(tree: &Tree, out: &mut Vec<Finding>) {
    for file in &tree.files {
        let foreign = FOREIGN_ENDINGS
            .iter()
            .any(|ending| file.path.ends_with(ending))
            || file
                .path
                .split('/')
                .any(|part| matches!(part, "target" | "node_modules" | "__pycache__"));
        if foreign {
            out.push(Finding::file(
                &file.path,
                "looks like build output or an editor's leftover",
                "delete it, and add a line to .gitignore if it comes back",
            ));
        }
        let excused = LARGE_FILES.iter().any(|(path, _)| *path == file.path);
        if file.size > MAX_BYTES && !excused {
            out.push(Finding::file(
                &file.path,
                format!("{} bytes, the limit is {MAX_BYTES}", file.size),
                "generate it in the test that needs it, or list it in LARGE_FILES with a reason",
            ));
        }
        machine_paths(file, out);
    }
}

/// Absolute paths such as the home folder of whoever wrote the line.
fn machine_paths(file: &File, out: &mut Vec<Finding>) {
    if file.path.ends_with(".lock") {
        return;
    }
    for (number, line) in file.text().lines().enumerate() {
        for folder in MACHINE_FOLDERS {
            let needle = format!("/{folder}/");
            let found = line.match_indices(&needle).any(|(at, _)| {
                let before = line.as_bytes().get(at.wrapping_sub(1));
                !before.is_some_and(u8::is_ascii_alphanumeric)
            });
            if found {
                out.push(Finding::at(
                    &file.path,
                    number + 1,
                    format!("a path of one machine: {needle}…"),
                    "use a path relative to the root, a temporary folder, or an environment variable",
                ));
            }
        }
    }
}
