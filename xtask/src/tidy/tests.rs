//! Each check finds its bad snippet and leaves the good one alone.

use super::{
    CHECKS, Finding, docs, files, limits, manifests, rooms, source, suite, targets, threads,
    unsafety,
};
use crate::tree::Tree;

/// What a check says about a tree of snippets, with line numbers.
fn check(check: super::Check, snippets: &[(&str, &str)]) -> Vec<(usize, String)> {
    let mut out: Vec<Finding> = Vec::new();
    check(&Tree::of(snippets), &mut out);
    out.into_iter()
        .map(|finding| (finding.line, finding.what))
        .collect()
}

fn clean(run: super::Check, snippets: &[(&str, &str)]) {
    assert_eq!(check(run, snippets), Vec::new());
}

/// Expects one finding per given line.
fn bad(run: super::Check, snippets: &[(&str, &str)], lines: &[usize]) {
    let found = check(run, snippets);
    let at: Vec<_> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(at, lines, "{found:?}");
}

const LIB: &str = "crates/bt-wire/src/lib.rs";

#[test]
fn names_of_checks_are_unique() {
    for (index, (name, _)) in CHECKS.iter().enumerate() {
        assert!(
            CHECKS
                .iter()
                .skip(index + 1)
                .all(|(other, _)| other != name),
            "{name}"
        );
    }
}

#[test]
fn header() {
    clean(
        source::opens_with_its_purpose,
        &[(LIB, "//! Frames.\nfn f() {}\n"), ("a.md", "# x")],
    );
    bad(
        source::opens_with_its_purpose,
        &[(LIB, "\n//! Frames.\n")],
        &[1],
    );
    bad(
        source::opens_with_its_purpose,
        &[(LIB, "/// Frames.\n")],
        &[1],
    );
}

#[test]
fn length_of_files() {
    let run = source::files_and_functions_are_short;
    let long = "// line\n".repeat(601);
    bad(run, &[(LIB, &long)], &[0]);
    clean(run, &[(LIB, &"// line\n".repeat(600))]);
    let mostly_tests = format!(
        "#[cfg(test)]\nmod tests {{\n{}}}\n",
        "// line\n".repeat(700)
    );
    clean(run, &[(LIB, &mostly_tests)]);
    clean(run, &[("crates/bt-wire/src/room/tests.rs", &long)]);
}

#[test]
fn length_of_functions() {
    let run = source::files_and_functions_are_short;
    let body = |lines: usize| format!("\nfn f() {{\n{}}}\n", "    g();\n".repeat(lines));
    clean(run, &[(LIB, &body(98))]);
    bad(run, &[(LIB, &body(99))], &[2]);
    let test = format!("#[cfg(test)]\nmod t {{{}}}\n", body(200));
    clean(run, &[(LIB, &test)]);
}

#[test]
fn length_of_inline_tests() {
    let run = source::long_tests_have_their_own_file;
    let module = |lines: usize| format!("#[cfg(test)]\nmod t {{\n{}}}\n", "// x\n".repeat(lines));
    clean(run, &[(LIB, &module(147))]);
    bad(run, &[(LIB, &module(148))], &[0]);
}

#[test]
fn names() {
    clean(
        source::names_say_what_is_inside,
        &[("crates/bt-wire/src/frame.rs", "")],
    );
    bad(
        source::names_say_what_is_inside,
        &[("crates/bt-wire/src/utils.rs", "")],
        &[0],
    );
    bad(
        source::names_say_what_is_inside,
        &[("crates/bt-wire/src/common/mod.rs", "")],
        &[0],
    );
    clean(
        source::names_say_what_is_inside,
        &[("crates/bt-client/src/daemon/api/types.rs", "")],
    );
}

#[test]
fn globs() {
    clean(
        source::no_glob_is_exported,
        &[(LIB, "pub use a::{B, C};\nuse super::*;\n")],
    );
    bad(
        source::no_glob_is_exported,
        &[(LIB, "mod a;\npub use a::*;\n")],
        &[2],
    );
    bad(
        source::no_glob_is_exported,
        &[(LIB, "pub(crate) use a::{b::*, C};\n")],
        &[1],
    );
}

#[test]
fn todos() {
    clean(
        source::todos_have_an_issue,
        &[(LIB, "// TODO(#12): pads.\nlet a = \"TODO\";\n")],
    );
    clean(
        source::todos_have_an_issue,
        &[(LIB, "//! `TODO` needs an issue.\n")],
    );
    bad(
        source::todos_have_an_issue,
        &[(LIB, "// TODO: pads\n/* FIXME */\n")],
        &[1, 2],
    );
    bad(
        source::todos_have_an_issue,
        &[(LIB, "// TODO(me): pads\n// TODO(#): x\n")],
        &[1, 2],
    );
}

#[test]
fn unfinished() {
    let run = source::nothing_is_unfinished;
    for name in ["todo", "unimplemented", "dbg"] {
        let call = format!("{name}!()");
        clean(run, &[(LIB, &format!("// {call}\nlet a = \"{call}\";\n"))]);
        bad(run, &[(LIB, &format!("fn f() {{\n    {call}\n}}\n"))], &[2]);
    }
}

#[test]
fn pure_rooms() {
    let run = rooms::pure_rooms_stay_pure;
    clean(
        run,
        &[(
            LIB,
            "// async\nfn now(now: Instant) {}\n#[cfg(test)]\nmod t { use std::fs; }\n",
        )],
    );
    bad(run, &[(LIB, "fn f() {\n    Instant::now();\n}\n")], &[2]);
    bad(run, &[(LIB, "use std::{fmt, fs};\n")], &[1]);
    bad(run, &[(LIB, "fn f() { std::thread::spawn(g); }\n")], &[1]);
    bad(
        run,
        &[("crates/bt-tracker/src/swarm/mod.rs", "async fn f() {}\n")],
        &[1],
    );
    bad(
        run,
        &[("crates/bt-tracker/src/scrape.rs", "use tokio::net::X;\n")],
        &[1],
    );
    bad(
        run,
        &[("crates/bt-client/src/engine/a/b.rs", "x.await;\n")],
        &[1],
    );
    clean(
        run,
        &[("crates/bt-metainfo/src/create/walk.rs", "use std::fs;\n")],
    );
    clean(
        run,
        &[(
            "crates/bt-client/src/disk/pool.rs",
            "use std::{fs, thread};\n",
        )],
    );
    clean(
        run,
        &[("crates/bt-client/src/engine_room.rs", "use std::fs;\n")],
    );
}

#[test]
fn sockets() {
    let run = rooms::sockets_come_from_the_dialer;
    let code = "fn f() {\n    UdpSocket::bind(a);\n}\n";
    bad(run, &[("crates/bt-client/src/session/mod.rs", code)], &[2]);
    clean(run, &[("crates/bt-client/src/net/dial.rs", code)]);
    clean(run, &[("crates/bt-tracker/src/server/udp/socket.rs", code)]);
    clean(
        run,
        &[
            ("tests/e2e/peer.rs", code),
            ("crates/bt-tracker/tests/it/main.rs", code),
        ],
    );
    bad(
        run,
        &[(
            "crates/bt-tracker/src/client/http.rs",
            "lookup_host(x).await;\n",
        )],
        &[1],
    );
}

#[test]
fn async_files() {
    clean(
        rooms::no_async_files,
        &[(LIB, "// tokio::fs\nuse std::fs;\n")],
    );
    bad(
        rooms::no_async_files,
        &[(LIB, "use tokio::{net, fs};\n")],
        &[1],
    );
    bad(
        rooms::no_async_files,
        &[(LIB, "tokio::fs::write(a, b);\n")],
        &[1],
    );
}

#[test]
fn unsafe_blocks() {
    let run = unsafety::unsafe_is_registered;
    let proved =
        "fn f() {\n    // SAFETY: the pointer came from a reference.\n    unsafe { g() }\n}\n";
    let register = |count: usize| format!("| file | count |\n|---|---|\n| `{LIB}` | {count} |\n");
    clean(run, &[(LIB, proved), ("docs/UNSAFE.md", &register(1))]);
    clean(run, &[(LIB, "#![deny(unsafe_code)]\n// unsafe {}\n")]);
    bad(run, &[(LIB, proved)], &[0]);
    bad(
        run,
        &[(LIB, proved), ("docs/UNSAFE.md", &register(2))],
        &[0],
    );
    bad(
        run,
        &[(LIB, "fn f() {}\n"), ("docs/UNSAFE.md", &register(1))],
        &[0],
    );
    let unproved = "fn f() {\n    unsafe { g() }\n}\n";
    bad(
        run,
        &[(LIB, unproved), ("docs/UNSAFE.md", &register(1))],
        &[2],
    );
}

#[test]
fn suites() {
    let run = suite::tests_neither_sleep_nor_hide;
    let sleeps = "fn f() {\n    thread::sleep(d);\n}\n";
    bad(run, &[("tests/e2e/main.rs", sleeps)], &[2]);
    bad(
        run,
        &[(
            "crates/bt-wire/tests/it/a.rs",
            "use tokio::time::{self, sleep};\n",
        )],
        &[1],
    );
    clean(run, &[("crates/bt-client/src/session/tick.rs", sleeps)]);
    let inline = format!("fn a() {{}}\n#[cfg(test)]\nmod t {{\n{sleeps}}}\n");
    bad(
        run,
        &[("crates/bt-client/src/session/tick.rs", &inline)],
        &[5],
    );
    bad(
        run,
        &[(LIB, "#[test]\n#[ignore = \"slow\"]\nfn f() {}\n")],
        &[2],
    );
}

#[test]
fn fuzz_targets() {
    let run = targets::fuzz_bodies_are_registered;
    let body = (
        "crates/bt-wire/src/fuzz.rs",
        "pub fn frame(data: &[u8]) {}\nfn f() {}\n",
    );
    let row = (
        "xtask/src/bin/fuzz/targets.rs",
        "const T: X = x(\"wire_frame\");\n",
    );
    let seed = ("tests/corpus/wire_frame/a", "x");
    clean(run, &[body, row, seed]);
    bad(run, &[body, seed], &[1, 0]);
    bad(run, &[body, row], &[1]);
    bad(run, &[row, seed, ("tests/corpus/wire_gone/a", "x")], &[0]);
}

#[test]
fn links() {
    let run = docs::links_resolve;
    let other = ("docs/B.md", "# A title, here\n");
    clean(
        run,
        &[
            (
                "docs/A.md",
                "[b](B.md#a-title-here) [w](https://x.y) [c](../src/)\n",
            ),
            other,
            ("src/a.rs", ""),
        ],
    );
    clean(
        run,
        &[("docs/A.md", "```\n[b](gone.md)\n```\n`[b](gone.md)`\n")],
    );
    bad(run, &[("docs/A.md", "\n[b](gone.md)\n")], &[2]);
    bad(run, &[("docs/A.md", "[b](B.md#no-title)\n"), other], &[1]);
    bad(run, &[("A.md", "[b](../B.md)\n")], &[1]);
}

#[test]
fn mentions() {
    let run = docs::mentioned_documents_exist;
    clean(
        run,
        &[
            (LIB, "//! See docs/A.md, and https://x/docs/B.md.\n"),
            ("docs/A.md", ""),
        ],
    );
    bad(run, &[(LIB, "//! See\n//! `docs/A.md`.\n")], &[2]);
}

#[test]
fn maps() {
    let run = docs::maps_name_real_files;
    let map = "`b/c.rs`, `c.rs` and `Type::method`, `cargo x.rs y`\n";
    clean(
        run,
        &[("docs/ARCHITECTURE.md", map), ("crates/a/src/b/c.rs", "")],
    );
    bad(
        run,
        &[("docs/ARCHITECTURE.md", map), ("crates/a/src/c.rs", "")],
        &[1],
    );
    clean(run, &[("docs/STYLE.md", map)]);
}

#[test]
fn beps() {
    let run = docs::bep_rows_name_real_files;
    let table = "| BEP | code |\n|---|---|\n| 11 | `crates/bt-wire/src/ext/pex.rs` |\n";
    let file = ("crates/bt-wire/src/ext/pex.rs", "");
    clean(
        run,
        &[
            ("docs/BEPS.md", table),
            file,
            ("crates/bt-wire/src/ext/mod.rs", ""),
        ],
    );
    bad(run, &[("docs/BEPS.md", table)], &[3]);
    bad(run, &[("docs/BEPS.md", "# BEPs\n"), file], &[0]);
    bad(run, &[file], &[0]);
}

#[test]
fn listed_meetings() {
    let run = threads::meetings_are_listed;
    let pool = (
        "crates/bt-client/src/disk/pool.rs",
        "//! A.\n// Mutex\nuse std::sync::Mutex;\n",
    );
    let listed =
        |names: &str| format!("# T\n`no.rs`\n## Model checks\n\n{names}\n\n## Next\n`later`\n");
    for names in [
        "| `disk/pool.rs` |",
        "`bt-client/src/disk/pool.rs`",
        "x `disk`",
    ] {
        clean(run, &[pool, ("docs/TESTING.md", &listed(names))]);
    }
    for names in ["`pool.rs`", "disk/pool.rs", "`bt-tracker/src/disk/pool.rs`"] {
        bad(run, &[pool, ("docs/TESTING.md", &listed(names))], &[3]);
    }
    bad(run, &[pool], &[3]);
    // Named in another section is not named.
    let no = ("crates/bt-client/src/no.rs", "static A: AtomicU64 = B;\n");
    let later = (
        "crates/bt-client/src/later/a.rs",
        "fn f() { thread::scope(g) }\n",
    );
    bad(run, &[later, no, ("docs/TESTING.md", &listed(""))], &[1, 1]);
    // Tests, and files that only name things, are none of it.
    clean(
        run,
        &[
            (
                "crates/bt-client/src/net/sync.rs",
                "use std::sync::Mutex;\n",
            ),
            ("crates/bt-client/tests/it/a.rs", "use std::sync::Mutex;\n"),
            ("crates/bt-client/src/fuzz/a.rs", "use std::sync::Mutex;\n"),
            (
                LIB,
                "#[cfg(test)]\nmod tests {\n    use std::sync::Mutex;\n}\n",
            ),
            ("xtask/src/a.rs", "use std::sync::Mutex;\n"),
        ],
    );
}

#[test]
fn listed_bounds() {
    let run = limits::bounds_are_listed;
    let wire = (
        "crates/bt-wire/src/limits.rs",
        "/// B.\npub const MAX_B: u8 = 1;\n// const MAX_C\nimpl L {\n    pub const DEFAULT: L = L;\n}\n",
    );
    let client = (
        "crates/bt-client/src/limits.rs",
        "/// B.\nconst MAX_B: u8 = 2;\n",
    );
    let elsewhere = ("crates/bt-wire/src/lib.rs", "const MAX_D: u8 = 1;\n");
    clean(run, &[wire, ("docs/SECURITY.md", "| b | 1 | `MAX_B` |\n")]);
    bad(
        run,
        &[wire, ("docs/SECURITY.md", "MAX_B `MAX_BB`\n")],
        &[2, 1],
    );
    bad(run, &[wire], &[2]);
    // One row for two crates is one too few, and the second of them is told.
    let once = (
        "docs/SECURITY.md",
        "| `MAX_B` |\nProse about `MAX_B` is no row.\n",
    );
    bad(run, &[client, once, wire], &[2]);
    clean(
        run,
        &[
            client,
            ("docs/SECURITY.md", "| `MAX_B` |\n| `MAX_B` |\n"),
            wire,
        ],
    );
    // Others may be named, and what is none may not.
    clean(run, &[elsewhere, ("docs/SECURITY.md", "`MAX_D` of `CI`\n")]);
    clean(run, &[elsewhere]);
    bad(run, &[("docs/SECURITY.md", "\n`MAX_E`\n")], &[2]);
}

#[test]
fn recordings() {
    let run = docs::recordings_have_a_provenance;
    let readme = (
        "tests/fixtures/README.md",
        "| `torrents/a.torrent` | made by |\n",
    );
    clean(run, &[readme, ("tests/fixtures/torrents/a.torrent", "de")]);
    bad(
        run,
        &[readme, ("tests/fixtures/torrents/b.torrent", "de")],
        &[0],
    );
    let own = (
        "crates/bt-x/tests/data/README.md",
        "| `a.bin` | made by |\n",
    );
    clean(run, &[own, ("crates/bt-x/tests/data/a.bin", "x")]);
    bad(run, &[("crates/bt-x/tests/data/a.bin", "x")], &[0]);
}

#[test]
fn kept_files() {
    let run = files::nothing_foreign_is_kept;
    clean(run, &[("a.md", "see /usr/bin and target/work/x\n")]);
    bad(run, &[("crates/a/target/criterion/x.json", "")], &[0]);
    bad(run, &[("notes.orig", "")], &[0]);
    bad(run, &[("big.bin", &"x".repeat(256 * 1024 + 1))], &[0]);
    clean(run, &[("big.bin", &"x".repeat(256 * 1024))]);
    let machine = format!("first\nsee {}root{}file\n", '/', '/');
    bad(run, &[("a.md", &machine)], &[2]);
    clean(run, &[("Cargo.lock", &machine)]);
}

#[test]
fn package_shape() {
    let run = manifests::packages_have_their_shape;
    let manifest = "[package]\nname = \"bt-x\"\ndescription = \"d\"\nreadme = \"README.md\"\n\
                    license.workspace = true\nrust-version.workspace = true\n\
                    [lints]\nworkspace = true\n[dependencies]\na = \"1\"\n";
    let path = "crates/bt-x/Cargo.toml";
    let rest = [
        ("crates/bt-x/README.md", ""),
        ("crates/bt-x/tests/it/main.rs", ""),
        ("crates/bt-x/examples/a.rs", ""),
    ];
    clean(run, &[(path, manifest), rest[0], rest[1], rest[2]]);
    bad(run, &[(path, manifest)], &[0, 0, 0]);
    for (part, replacement) in [
        ("bt-x", "bt-y"),
        ("[lints]\nworkspace = true\n", ""),
        ("a = \"1\"", "a = \"*\""),
        ("a = \"1\"", "a = { git = \"x\" }"),
    ] {
        let broken = manifest.replace(part, replacement);
        bad(run, &[(path, &broken), rest[0], rest[1], rest[2]], &[0]);
    }
}
