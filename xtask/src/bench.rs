//! `cargo xtask bench`: builds the benchmark binary and starts it.

use crate::shell::{cargo, run};

/// Builds in release and passes the arguments on.
pub(crate) fn start(arguments: &[String]) -> Result<(), String> {
    let mut command = cargo(["run", "--quiet", "--release", "-p", "xtask"]);
    command.args(["--bin", "bench", "--features", "bench", "--"]);
    run(command.args(arguments))
}
