//! Checks that every `unsafe` is counted in `docs/UNSAFE.md` and proved beside the code.

use std::collections::BTreeMap;

use super::Finding;
use crate::scan::{line_of, words};
use crate::tree::Tree;

/// The register: one table row per file with its count of `unsafe` keywords.
const REGISTER: &str = "docs/UNSAFE.md";
/// How far above an `unsafe` its `SAFETY:` comment may start.
const PROOF_DISTANCE: usize = 12;

/// Every `unsafe` lies in a registered file, the counts agree, and each has its proof.
pub(super) fn unsafe_is_registered(tree: &Tree, out: &mut Vec<Finding>) {
    let register = tree.get(REGISTER).map(|file| rows(file.text()));
    let register = register.unwrap_or_default();
    let mut seen = BTreeMap::new();
    for (file, source) in tree.sources() {
        let places: Vec<usize> = words(&source.code, "unsafe").collect();
        if places.is_empty() {
            continue;
        }
        seen.insert(file.path.clone(), places.len());
        for at in places {
            let line = line_of(file.text(), at);
            if needs_proof(&source.code, at) && !has_proof(&source.comments, line) {
                out.push(Finding::at(
                    &file.path,
                    line,
                    "`unsafe` without a proof",
                    "write `// SAFETY: …` above it: why each requirement holds here",
                ));
            }
        }
    }
    for (path, count) in &seen {
        match register.get(path) {
            None => out.push(Finding::file(
                path,
                format!("{count} `unsafe` in a file that {REGISTER} does not list"),
                "write it without, or register the file with its count, reason and tests",
            )),
            Some(listed) if listed != count => out.push(Finding::file(
                path,
                format!("{count} `unsafe`, {REGISTER} says {listed}"),
                "correct the count in docs/UNSAFE.md after reading the new block",
            )),
            Some(_) => {}
        }
    }
    for path in register.keys().filter(|path| !seen.contains_key(*path)) {
        out.push(Finding::file(
            REGISTER,
            format!("lists {path}, which holds no `unsafe`"),
            "take the row out",
        ));
    }
}

/// Reads rows such as ``| `path/file.rs` | 3 | why | tests |``.
fn rows(text: &str) -> BTreeMap<String, usize> {
    text.lines()
        .filter_map(|line| {
            let mut cells = line.trim().strip_prefix('|')?.split('|').map(str::trim);
            let path = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
            let count = cells.next()?.parse().ok()?;
            Some((path.to_owned(), count))
        })
        .collect()
}

/// Blocks and implementations state a proof; functions state requirements in their docs.
fn needs_proof(code: &str, at: usize) -> bool {
    let rest = code
        .get(at + "unsafe".len()..)
        .unwrap_or_default()
        .trim_start();
    rest.starts_with('{') || rest.starts_with("impl")
}

fn has_proof(comments: &str, line: usize) -> bool {
    let first = line.saturating_sub(PROOF_DISTANCE + 1);
    comments
        .lines()
        .skip(first)
        .take(line - first)
        .any(|line| line.contains("SAFETY:"))
}
