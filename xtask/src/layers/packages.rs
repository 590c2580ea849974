//! The floors of the workspace: a package uses only packages on floors below its own.

use std::fmt::Write as _;

use super::Manifest;
use crate::tidy::Finding;
use crate::tree::Tree;

/// The packages from the lowest floor up.
pub(crate) const FLOORS: [&str; 5] = [
    "bt-bencode",
    "bt-metainfo",
    "bt-wire",
    "bt-tracker",
    "bt-client",
];

/// Packages that never contain an async runtime.
pub(crate) const PURE_PACKAGES: [&str; 3] = ["bt-bencode", "bt-metainfo", "bt-wire"];

/// Packages that are never shipped: (package, the only one that may test with it).
const ORACLES: [(&str, &str); 1] = [("bencode-rs", "bt-bencode")];

/// Manifests whose arrows point up or sideways.
pub(super) fn check(tree: &Tree, out: &mut Vec<Finding>) {
    for name in tree.crates() {
        let path = format!("crates/{name}/Cargo.toml");
        let Some(floor) = floor_of(name) else {
            out.push(Finding::file(
                &path,
                format!("{name} stands on no floor"),
                "add it to FLOORS in xtask/src/layers/packages.rs and to docs/ARCHITECTURE.md",
            ));
            continue;
        };
        let manifest = manifest(tree, name);
        for (dependency, _) in manifest.all_dependencies() {
            if floor_of(dependency).is_some_and(|below| below >= floor) {
                out.push(Finding::file(
                    &path,
                    format!("{name} uses {dependency}, which is not below it"),
                    "move the shared type to the lowest floor that has a reason for it",
                ));
            }
        }
        let shipped = ["dependencies", "build-dependencies"];
        for (oracle, tester) in ORACLES {
            let linked = shipped
                .iter()
                .flat_map(|section| manifest.dependencies(section))
                .any(|(dependency, _)| dependency == oracle);
            let elsewhere = name != tester
                && manifest
                    .all_dependencies()
                    .iter()
                    .any(|(dep, _)| *dep == oracle);
            if linked || elsewhere {
                out.push(Finding::file(
                    &path,
                    format!("{oracle} is linked into {name}"),
                    "it is a test oracle: keep it in [dev-dependencies] of bt-bencode",
                ));
            }
        }
    }
}

/// One line per package, from the top floor down.
pub(super) fn draw(tree: &Tree) -> String {
    let mut drawing = String::new();
    for name in FLOORS.iter().rev() {
        let manifest = manifest(tree, name);
        let mut below: Vec<_> = manifest
            .dependencies("dependencies")
            .into_iter()
            .map(|(dependency, _)| dependency)
            .filter(|dependency| floor_of(dependency).is_some())
            .collect();
        below.sort_by_key(|dependency| floor_of(dependency));
        below.dedup();
        let arrow = if below.is_empty() { "" } else { " → " };
        let _ = writeln!(drawing, "{name:<12}{arrow}{}", below.join(", "));
    }
    drawing
}

fn floor_of(name: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| *floor == name)
}

fn manifest(tree: &Tree, name: &str) -> Manifest {
    let file = tree.get(&format!("crates/{name}/Cargo.toml"));
    file.map(|file| Manifest::parse(file.text()))
        .unwrap_or_default()
}
