//! Checks that every package has the shape a stranger expects: lints, README, example, tests.

use super::Finding;
use crate::layers::Manifest;
use crate::tree::Tree;

/// Folders of `crates/` are complete packages.
pub(super) fn packages_have_their_shape(tree: &Tree, out: &mut Vec<Finding>) {
    for name in tree.crates() {
        let folder = format!("crates/{name}");
        let path = format!("{folder}/Cargo.toml");
        let Some(file) = tree.get(&path) else {
            continue;
        };
        let manifest = Manifest::parse(file.text());
        if manifest.value("package", "name") != Some(name) {
            out.push(Finding::file(
                &path,
                "the folder is not called like its package",
                "rename one of them",
            ));
        }
        for key in [
            "description",
            "readme",
            "license.workspace",
            "rust-version.workspace",
        ] {
            if manifest.value("package", key).is_none() {
                out.push(Finding::file(
                    &path,
                    format!("[package] has no {key}"),
                    "copy the line from crates/bt-wire/Cargo.toml",
                ));
            }
        }
        if manifest.value("lints", "workspace") != Some("true") {
            out.push(Finding::file(
                &path,
                "does not take the lints of the workspace",
                "add [lints] workspace = true",
            ));
        }
        for (dependency, value) in manifest.all_dependencies() {
            let git = value.contains("git =") || value.contains("git=");
            if git || value.contains("\"*\"") {
                out.push(Finding::file(
                    &path,
                    format!("{dependency} comes from Git or has no version bound"),
                    "name a released version",
                ));
            }
        }
        for (needed, fix) in [
            (
                "README.md",
                "write it: what the crate is, a short example, features, limits",
            ),
            (
                "tests/it/main.rs",
                "test the public API there, in one binary",
            ),
            (
                "examples",
                "add a small program that uses only the public API",
            ),
        ] {
            if !tree.exists(&format!("{folder}/{needed}")) {
                out.push(Finding::file(
                    &path,
                    format!("{folder} has no {needed}"),
                    fix,
                ));
            }
        }
    }
}
