//! The rooms of the two top packages: which room may name which.
//!
//! A room is a file or a folder directly below `src/`. `lib.rs` and `main.rs` are the doors of the
//! package and see every room.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::scan::{Source, imports, inline_paths, line_of};
use crate::tidy::Finding;
use crate::tree::{File, Tree};

/// A room and the rooms it may see.
type Row = (&'static str, &'static [&'static str]);

/// The declared arrows. Within a package, a row sees only rows above itself, so that no circle can
/// be declared.
const PACKAGES: [(&str, &[Row]); 2] = [("bt-tracker", TRACKER), ("bt-client", CLIENT)];

const TRACKER: &[Row] = &[
    ("limits", &[]),
    ("seed", &[]),
    ("units", &[]),
    ("announce", &["limits"]),
    ("error", &["limits", "announce"]),
    ("scrape", &["limits", "error"]),
    ("http", &["limits", "error", "announce", "scrape"]),
    ("udp", &["limits", "seed", "error", "announce", "scrape"]),
    ("swarm", &["limits", "seed", "error", "announce", "scrape"]),
    ("schedule", &["limits", "seed", "error", "announce"]),
    (
        "client",
        &[
            "limits", "seed", "error", "announce", "scrape", "http", "udp", "schedule",
        ],
    ),
    (
        "server",
        &[
            "limits", "seed", "error", "announce", "scrape", "http", "udp", "swarm",
        ],
    ),
    // The program is a user of the library like any other.
    ("cli", &[]),
];

const CLIENT: &[Row] = &[
    ("limits", &[]),
    ("contain", &[]),
    ("engine", &["limits"]),
    ("disk", &["limits", "contain"]),
    ("state", &["limits"]),
    ("scrub", &["limits"]),
    ("error", &["limits", "disk", "state"]),
    // A connection hands blocks to the disk room and files to the kernel itself: a hop more would
    // be a copy more.
    ("net", &["limits", "contain", "error", "engine", "disk"]),
    (
        "session",
        &[
            "limits", "contain", "error", "engine", "disk", "net", "state", "scrub",
        ],
    ),
    // The program is a user of the library like any other, but for the private dialer through
    // which it fetches torrents.
    (
        "cli",
        &[
            "limits", "contain", "error", "engine", "net", "session", "state",
        ],
    ),
];

/// Rooms outside the table: test bodies that may drive any room.
const FREE: [&str; 2] = ["fuzz", "testing"];

/// Rooms without a row, and paths that point to a room the table does not allow.
pub(super) fn check(tree: &Tree, out: &mut Vec<Finding>) {
    for (package, table) in PACKAGES {
        for room in rooms(tree, package) {
            let declared = table.iter().any(|(name, _)| *name == room);
            if !declared && !FREE.contains(&room.as_str()) {
                out.push(Finding::file(
                    &format!("crates/{package}/src"),
                    format!("the room {room} of {package} is not in the table"),
                    "add a row to xtask/src/layers/rooms.rs, and say in the room what it must not know",
                ));
            }
        }
        for arrow in arrows(tree, package) {
            let row = table.iter().find(|(room, _)| *room == arrow.from);
            if row.is_some_and(|(_, allowed)| !allowed.contains(&arrow.to.as_str())) {
                out.push(Finding::at(
                    &arrow.path,
                    arrow.line,
                    format!("{} may not see {}", arrow.from, arrow.to),
                    "pass plain data in, or move the shared type to a room below both",
                ));
            }
        }
    }
}

/// One line per room with the rooms it really uses.
pub(super) fn draw(tree: &Tree) -> String {
    let mut drawing = String::new();
    for (package, table) in PACKAGES {
        let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for room in rooms(tree, package) {
            used.entry(room).or_default();
        }
        for arrow in arrows(tree, package) {
            used.entry(arrow.from).or_default().insert(arrow.to);
        }
        let _ = writeln!(drawing, "\nrooms of {package}");
        for (room, _) in table.iter().rev() {
            if let Some(below) = used.get(*room) {
                let below: Vec<_> = below.iter().map(String::as_str).collect();
                let arrow = if below.is_empty() { "" } else { " → " };
                let _ = writeln!(drawing, "  {room:<10}{arrow}{}", below.join(", "));
            }
        }
    }
    drawing
}

/// One use of a room by another.
#[derive(Debug, PartialEq)]
struct Arrow {
    path: String,
    line: usize,
    from: String,
    to: String,
}

/// Every use across rooms in production code of a package.
fn arrows(tree: &Tree, package: &str) -> Vec<Arrow> {
    let rooms = rooms(tree, package);
    let exports = exports(tree, package, &rooms);
    let mut found = Vec::new();
    for (file, source, modules) in modules(tree, package) {
        let Some(from) = modules.first() else {
            continue;
        };
        if FREE.contains(&from.as_str()) {
            continue;
        }
        for (offset, path) in absolute_paths(source, &modules) {
            let Some(first) = path.first() else {
                continue;
            };
            let to = if rooms.contains(first) {
                first
            } else if let Some(room) = exports.get(first) {
                room
            } else {
                continue;
            };
            if to != from {
                found.push(Arrow {
                    path: file.path.clone(),
                    line: line_of(file.text(), offset),
                    from: from.clone(),
                    to: to.clone(),
                });
            }
        }
    }
    found.dedup();
    found
}

/// Names of the files and folders directly below `src/`.
fn rooms(tree: &Tree, package: &str) -> BTreeSet<String> {
    modules(tree, package)
        .filter_map(|(_, _, modules)| modules.first().cloned())
        .collect()
}

/// What `lib.rs` re-exports, with the room each name comes from.
fn exports(tree: &Tree, package: &str, rooms: &BTreeSet<String>) -> BTreeMap<String, String> {
    let root = tree.get(&format!("crates/{package}/src/lib.rs"));
    let code = root
        .and_then(|file| file.source.as_ref())
        .map(|source| source.code.as_str());
    let mut found = BTreeMap::new();
    for import in imports(code.unwrap_or_default()) {
        let path: Vec<_> = import.path.iter().filter(|part| *part != "crate").collect();
        if let (Some(room), Some(name)) = (path.first(), path.last())
            && rooms.contains(*room)
            && room != name
        {
            found.insert((*name).clone(), (*room).clone());
        }
    }
    found
}

/// Production files of a package with their module path; `lib.rs` and `main.rs` have none.
fn modules<'t>(
    tree: &'t Tree,
    package: &str,
) -> impl Iterator<Item = (&'t File, &'t Source, Vec<String>)> {
    let prefix = format!("crates/{package}/src/");
    tree.sources().filter_map(move |(file, source)| {
        let inner = file.path.strip_prefix(&prefix)?.strip_suffix(".rs")?;
        if file.is_test {
            return None;
        }
        let inner = inner.strip_suffix("/mod").unwrap_or(inner);
        let is_door = matches!(inner, "lib" | "main");
        let modules = if is_door {
            Vec::new()
        } else {
            inner.split('/').map(str::to_owned).collect()
        };
        Some((file, source, modules))
    })
}

/// Paths from the package's root that the file names, whether through `crate` or `super`.
fn absolute_paths(source: &Source, modules: &[String]) -> Vec<(usize, Vec<String>)> {
    let code = &source.production;
    let written = imports(code)
        .into_iter()
        .chain(inline_paths(code, "crate"))
        .chain(inline_paths(code, "super"));
    let mut found: Vec<_> = written
        .filter_map(|import| Some((import.offset, absolute(&import.path, modules)?)))
        .collect();
    found.sort();
    found.dedup();
    found
}

fn absolute(path: &[String], modules: &[String]) -> Option<Vec<String>> {
    if path.first()? == "crate" {
        return path.get(1..).map(<[String]>::to_vec);
    }
    let ups = path
        .iter()
        .take_while(|segment| *segment == "super")
        .count();
    if ups == 0 {
        return None;
    }
    let kept = modules.get(..modules.len().checked_sub(ups)?)?;
    let rest = path.get(ups..)?;
    Some(kept.iter().chain(rest).cloned().collect())
}

/// Every row sees only rows above itself.
#[cfg(test)]
pub(super) fn assert_declared_downward() {
    for (package, table) in PACKAGES {
        for (index, (room, allowed)) in table.iter().enumerate() {
            for below in *allowed {
                let above = table.iter().take(index).any(|(name, _)| name == below);
                assert!(
                    above,
                    "{package}: {room} sees {below}, which is not declared above it"
                );
            }
        }
    }
}
