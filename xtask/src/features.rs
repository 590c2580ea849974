//! Builds each package alone: with no feature, with each, with all.
//!
//! In a workspace build, features that one package turns on hide that another forgot to ask for
//! them. Building a package alone is the only way to see what its users will see.

use std::collections::BTreeSet;

use crate::layers::{FLOORS, Manifest, PURE_PACKAGES};
use crate::shell::{capture, cargo, run};
use crate::tree;

/// How many foreign packages each of ours may pull in with all its features.
///
/// Each has as many as it may have, so that a package more is a decision: raise the number together with the reason in the commit.
///
/// bt-metainfo has 27: six are the derive of error messages, which runs in the compiler only, six
/// match `--exclude` patterns and three walk folders in the feature `create`; the pure part has
/// 18. `idna_adapter` stays at 1.0.0 in `Cargo.lock`, which saves bt-tracker and bt-client 21
/// packages of Unicode tables: tracker names are ASCII.
///
/// bt-tracker has 151: its server alone 77, to which the feature `redis` adds 22, and `websocket` 13,
/// of which most are the random numbers and the SHA-1 of tungstenite.
const CEILINGS: [(&str, usize); 5] = [
    ("bt-bencode", 7),
    ("bt-metainfo", 27),
    ("bt-wire", 24),
    ("bt-tracker", 151),
    ("bt-client", 138),
];

/// Async runtimes and their parts, which pure packages never contain.
const RUNTIMES: [&str; 6] = ["tokio", "mio", "async-std", "smol", "hyper", "futures"];

/// Lints every package in every combination.
pub(crate) fn build_each_alone() -> Result<(), String> {
    let mut failed = Vec::new();
    for package in FLOORS {
        for choice in choices(package)? {
            let mut command = cargo(["clippy", "--quiet", "--locked", "-p", package]);
            command
                .args(["--lib", "--bins"])
                .args(&choice)
                .args(["--", "-D", "warnings"]);
            if let Err(message) = run(&mut command) {
                failed.push(message);
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(failed.join("\n"))
}

/// The feature arguments to try: none, each alone, all.
fn choices(package: &str) -> Result<Vec<Vec<String>>, String> {
    let path = tree::root().join("crates").join(package).join("Cargo.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(choices_of(&Manifest::parse(&text)))
}

fn choices_of(manifest: &Manifest) -> Vec<Vec<String>> {
    let none = "--no-default-features".to_owned();
    let mut choices = vec![vec![none.clone()]];
    let features = manifest.features();
    choices.extend(
        features
            .iter()
            .map(|feature| vec![none.clone(), format!("--features={feature}")]),
    );
    if features.len() > 1 {
        choices.push(vec!["--all-features".to_owned()]);
    }
    choices
}

/// Pure packages contain no runtime, and no package grows past its ceiling.
pub(crate) fn count_dependencies() -> Result<(), String> {
    let mut wrong = Vec::new();
    for (package, ceiling) in CEILINGS {
        let mut command = cargo(["tree", "--locked", "--all-features", "-e", "normal"]);
        command.args(["--prefix", "none", "--format", "{p}", "-p", package]);
        let listing = capture(&mut command)?;
        let foreign = foreign(&listing);
        println!(
            "{package:<12} {:>3} foreign packages, at most {ceiling}",
            foreign.len()
        );
        if foreign.len() > ceiling {
            wrong.push(format!(
                "{package} pulls in {} packages, more than {ceiling}; drop one, or raise the \
                 ceiling in xtask/src/features.rs with a reason",
                foreign.len()
            ));
        }
        if PURE_PACKAGES.contains(&package) {
            let runtime = foreign
                .iter()
                .filter(|name| RUNTIMES.contains(&name.as_str()));
            wrong.extend(runtime.map(|name| {
                format!("{package} contains {name}; it must stay free of input and output")
            }));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(wrong.join("\n"))
}

/// Names in a `cargo tree` listing that are not ours.
fn foreign(listing: &str) -> BTreeSet<String> {
    listing
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| !FLOORS.contains(name))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_is_tried_alone() {
        let manifest = Manifest::parse("[features]\ndefault = [\"a\"]\na = []\nb = []\n");
        let shown: Vec<_> = choices_of(&manifest).iter().map(|c| c.join(" ")).collect();
        assert_eq!(
            shown,
            [
                "--no-default-features",
                "--no-default-features --features=a",
                "--no-default-features --features=b",
                "--all-features"
            ]
        );
    }

    #[test]
    fn our_own_packages_are_not_foreign() {
        let listing = "bt-wire v0.1.0 (x)\nbytes v1.0.0\nbytes v1.0.0 (*)\nsha1 v0.11.0\n";
        assert_eq!(foreign(listing).len(), 2);
    }
}
