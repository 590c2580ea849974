//! Arrows that point down pass, arrows that point up are named.

use super::{Manifest, findings, packages, rooms};
use crate::tree::Tree;

fn check(snippets: &[(&str, &str)]) -> Vec<String> {
    let mut out = Vec::new();
    findings(&Tree::of(snippets), &mut out);
    out.into_iter().map(|finding| finding.what).collect()
}

#[test]
fn a_manifest_is_read_by_section() {
    let manifest = Manifest::parse(
        "[package]\nname = \"x\" # why\nversion.workspace = true\n[features]\ndefault = [\"a\"]\n\
         a = [\n  \"dep:b\",\n]\n[dependencies]\nb = { version = \"1\", optional = true }\n\
         c.workspace = true\n[dependencies.d]\nversion = \"2\"\n[lints]\nworkspace = true\n",
    );
    assert_eq!(manifest.value("package", "name"), Some("x"));
    assert_eq!(manifest.value("lints", "workspace"), Some("true"));
    assert_eq!(manifest.features(), ["a"]);
    let names: Vec<_> = manifest
        .all_dependencies()
        .into_iter()
        .map(|(n, _)| n)
        .collect();
    assert_eq!(names, ["b", "c", "d"]);
}

#[test]
fn packages_use_only_floors_below() {
    let good = (
        "crates/bt-wire/Cargo.toml",
        "[dependencies]\nbt-bencode.workspace = true\n",
    );
    assert_eq!(check(&[good]), Vec::<String>::new());
    let up = (
        "crates/bt-wire/Cargo.toml",
        "[dev-dependencies]\nbt-client = { path = \"x\" }\n",
    );
    assert_eq!(
        check(&[up]),
        ["bt-wire uses bt-client, which is not below it"]
    );
    let new = (
        "crates/bt-core/Cargo.toml",
        "[package]\nname = \"bt-core\"\n",
    );
    assert_eq!(check(&[new]), ["bt-core stands on no floor"]);
}

#[test]
fn the_oracle_is_linked_into_nothing() {
    let test_only = (
        "crates/bt-bencode/Cargo.toml",
        "[dev-dependencies]\nbencode-rs = \"0.2\"\n",
    );
    assert_eq!(check(&[test_only]), Vec::<String>::new());
    let linked = (
        "crates/bt-bencode/Cargo.toml",
        "[dependencies]\nbencode-rs = \"0.2\"\n",
    );
    assert_eq!(check(&[linked]), ["bencode-rs is linked into bt-bencode"]);
}

#[test]
fn rooms_see_only_what_the_table_allows() {
    let door = (
        "crates/bt-client/src/lib.rs",
        "mod session; pub use session::Session;\n",
    );
    let session = (
        "crates/bt-client/src/session/mod.rs",
        "use crate::{disk::Pool, net};\n",
    );
    let disk = ("crates/bt-client/src/disk/mod.rs", "pub struct Pool;\n");
    let net = ("crates/bt-client/src/net.rs", "");
    assert_eq!(check(&[door, session, disk, net]), Vec::<String>::new());

    for (path, code) in [
        (
            "crates/bt-client/src/disk/mod.rs",
            "use crate::session::Session;\n",
        ),
        (
            "crates/bt-client/src/disk/mod.rs",
            "fn f(s: crate::Session) {}\n",
        ),
        (
            "crates/bt-client/src/disk/pool.rs",
            "use super::super::session::Session;\n",
        ),
        (
            "crates/bt-client/src/disk/pool.rs",
            "fn f() { super::super::session::g() }\n",
        ),
    ] {
        let found = check(&[
            door,
            ("crates/bt-client/src/session/mod.rs", ""),
            (path, code),
        ]);
        assert_eq!(found, ["disk may not see session"], "{code}");
    }
}

#[test]
fn tests_and_fuzz_bodies_may_drive_any_room() {
    let found = check(&[
        ("crates/bt-client/src/session.rs", ""),
        ("crates/bt-client/src/fuzz.rs", "use crate::session;\n"),
        (
            "crates/bt-client/src/disk/tests.rs",
            "use crate::session;\n",
        ),
        (
            "crates/bt-client/src/disk/mod.rs",
            "#[cfg(test)]\nmod t {\n use crate::session;\n}\n",
        ),
    ]);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_room_without_a_row_is_named() {
    let found = check(&[
        ("crates/bt-client/src/disk/mod.rs", ""),
        ("crates/bt-client/src/attic.rs", "use crate::disk;\n"),
    ]);
    assert_eq!(found, ["the room attic of bt-client is not in the table"]);
}

#[test]
fn the_declared_tables_have_no_circle() {
    rooms::assert_declared_downward();
}

#[test]
fn the_drawing_names_every_floor() {
    let tree = Tree::of(&[(
        "crates/bt-wire/Cargo.toml",
        "[dependencies]\nbt-bencode.workspace = true\n",
    )]);
    assert!(packages::draw(&tree).contains("bt-wire      → bt-bencode\n"));
}
