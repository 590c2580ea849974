//! Checks that every fuzz body is registered with the driver and has seeds that tests replay.

use super::Finding;
use crate::scan::line_of;
use crate::tree::Tree;

/// The driver's table.
const TABLE: &str = "xtask/src/bin/fuzz/targets.rs";
/// One folder of seeds per target.
const CORPUS: &str = "tests/corpus/";

/// Bodies, rows of the table, and folders of seeds belong together.
pub(super) fn fuzz_bodies_are_registered(tree: &Tree, out: &mut Vec<Finding>) {
    let table = tree.get(TABLE).map(|file| file.text()).unwrap_or_default();
    let is_registered = |name: &str| table.contains(&format!("\"{name}\""));
    for (path, line, name) in bodies(tree) {
        if !is_registered(&name) {
            out.push(Finding::at(
                &path,
                line,
                format!("the fuzz body {name} has no row in {TABLE}"),
                "add a row: name, what it checks, body, words of the format",
            ));
        }
        if !tree.exists(&format!("{CORPUS}{name}")) {
            out.push(Finding::at(
                &path,
                line,
                format!("the fuzz body {name} has no seeds"),
                "put a few small real inputs into the folder tests/corpus/NAME",
            ));
        }
    }
    let mut last = "";
    for file in &tree.files {
        let Some((target, _)) = file
            .path
            .strip_prefix(CORPUS)
            .and_then(|p| p.split_once('/'))
        else {
            continue;
        };
        if target != last && !is_registered(target) {
            out.push(Finding::file(
                &file.path,
                format!("seeds for {target}, which is no target"),
                "register the body in the table, or rename the folder after its target",
            ));
        }
        last = target;
    }
}

/// File, line and target name of every `pub fn NAME(data: &[u8])` in a room called `fuzz`.
fn bodies(tree: &Tree) -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    for (file, source) in tree.sources() {
        let Some((package, inner)) = file
            .path
            .strip_prefix("crates/bt-")
            .and_then(|path| path.split_once("/src/"))
        else {
            continue;
        };
        if inner != "fuzz.rs" && !inner.starts_with("fuzz/") {
            continue;
        }
        for (at, _) in source.production.match_indices("pub fn ") {
            let rest = source
                .production
                .get(at + "pub fn ".len()..)
                .unwrap_or_default();
            if let Some((name, _)) = rest.split_once("(data: &[u8])")
                && name.chars().all(|c| c.is_alphanumeric() || c == '_')
            {
                let line = line_of(file.text(), at);
                found.push((file.path.clone(), line, format!("{package}_{name}")));
            }
        }
    }
    found
}
