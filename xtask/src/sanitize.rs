//! `cargo xtask sanitize`: the tests of whatever has `unsafe` in it, with every access to memory checked.
//!
//! The compiler has AddressSanitizer and its runtime, but calls the switch unstable, so that it has to be asked for it
//! with a variable. Everything is compiled anew for it, in a folder of its own.

use crate::shell::{cargo, run};
use crate::tree;

/// Packages with `unsafe` in what they ship or in their tests (`docs/UNSAFE.md`).
const PACKAGES: [&str; 3] = ["bt-bencode", "bt-metainfo", "bt-tracker"];

/// Where the instrumented programs are for.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Tests that hold a bound of time, which instrumented code does not keep.
const TIMED: &str = "less_than_a_second";

/// Words behind the command go to `cargo test`.
pub(crate) fn start(arguments: &[String]) -> Result<(), String> {
    let mut command = cargo(["test", "--locked", "--quiet", "--no-fail-fast"]);
    command.args(["--lib", "--tests", "--all-features", "--target", TARGET]);
    command.arg("--target-dir");
    command.arg(tree::target_dir().join("sanitize"));
    command.args(PACKAGES.iter().flat_map(|package| ["-p", package]));
    command.args(arguments);
    if !arguments.iter().any(|word| word == "--") {
        command.arg("--");
    }
    command.args(["--skip", TIMED]);
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env("RUSTFLAGS", "-Zsanitizer=address -Cdebuginfo=1");
    // Panics that are caught are not dropped on purpose: to drop one may panic again.
    command.env("ASAN_OPTIONS", "detect_leaks=0");
    run(&mut command)
}
