//! Checks that whatever threads meet at in a package is told of in `docs/TESTING.md`: with what a model check holds it to, or
//! with the reason why it has none.

use std::collections::BTreeSet;

use super::Finding;
use crate::scan::{line_of, words};
use crate::tree::Tree;

const REGISTER: &str = "docs/TESTING.md";
const SECTION: &str = "## Model checks";

/// What threads meet at, or begin with. Channels and tokens have nothing of ours around them unless one of these is there.
const MEETINGS: [&str; 18] = [
    "Mutex",
    "RwLock",
    "Condvar",
    "Notify",
    "OnceLock",
    "LazyLock",
    "UnsafeCell",
    "AtomicBool",
    "AtomicU8",
    "AtomicU16",
    "AtomicU32",
    "AtomicU64",
    "AtomicUsize",
    "thread_local",
    "thread::Builder",
    "thread::scope",
    "thread::spawn",
    "unsafe impl",
];

/// Every source file of a package that holds one of them is named in the section, or a folder that it lies in is.
pub(super) fn meetings_are_listed(tree: &Tree, out: &mut Vec<Finding>) {
    let register = tree.get(REGISTER).map(|file| file.text());
    let listed = named(register.unwrap_or_default());
    for (file, source) in tree.sources() {
        let Some((package, inside)) = in_a_package(&file.path) else {
            continue;
        };
        // A `sync.rs` only names what its room meets at, and bodies for the fuzzer are part of no program.
        let is_body = file.name() == "fuzz.rs" || inside.contains("fuzz/");
        if file.is_test || is_body || file.name() == "sync.rs" {
            continue;
        }
        let places = MEETINGS
            .iter()
            .flat_map(|word| words(&source.production, word));
        let Some(at) = places.min() else {
            continue;
        };
        let mut shown = Some(inside);
        let is_listed = std::iter::from_fn(|| {
            let path = shown?;
            shown = path.rsplit_once('/').map(|(folder, _)| folder);
            Some(path)
        })
        .any(|path| {
            listed.contains(path) || listed.contains(format!("{package}/src/{path}").as_str())
        });
        if !is_listed {
            out.push(Finding::at(
                &file.path,
                line_of(file.text(), at),
                format!("threads meet here, and \"Model checks\" of {REGISTER} does not name the file"),
                "write a story in tests/model, or add the file to the row that says why it needs none",
            ));
        }
    }
}

/// The package of a source file, and where the file lies in its `src`.
fn in_a_package(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("crates/")?.split_once("/src/")
}

/// What stands in backticks in the section.
fn named(register: &str) -> BTreeSet<&str> {
    let mut lines = register.lines();
    lines.by_ref().find(|line| *line == SECTION);
    let section = lines.take_while(|line| !line.starts_with("## "));
    let tables = section.filter(|line| !line.starts_with("```"));
    tables
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect()
}
