//! `cargo xtask bench`: builds the benchmark binary and the program that it measures, and starts it.

use std::process::Command;

use crate::shell::{cargo, run};
use crate::tree;

/// Builds in release and passes the arguments on.
pub(crate) fn start(arguments: &[String]) -> Result<(), String> {
    // One build for both, so that what they share is compiled once.
    let mut build = cargo(["build", "--quiet", "--locked", "--release"]);
    build.args([
        "-p",
        "xtask",
        "-p",
        "bt-client",
        "--features",
        "xtask/bench",
    ]);
    run(build.args(["--bin", "bench", "--bin", "bt-client"]))?;
    let program = tree::target_dir().join("release").join("bench");
    run(Command::new(program).args(arguments))
}
