//! `cargo xtask soak`: builds the programs and the soak binary and starts it.

use crate::shell::{cargo, run};
use crate::tree;

/// `--dev` takes the development profile, for trying a row out; everything else is passed on.
pub(crate) fn start(arguments: &[String]) -> Result<(), String> {
    let dev = arguments.iter().any(|word| word == "--dev");
    let rest = arguments.iter().filter(|word| *word != "--dev");
    let (profile, folder) = if dev {
        ("dev", "debug")
    } else {
        ("release", "release")
    };
    let mut build = cargo(["build", "--locked", "--profile", profile, "--bins"]);
    run(build.args(["-p", "bt-client", "-p", "bt-tracker"]))?;
    let mut command = cargo(["run", "--quiet", "--locked", "-p", "xtask", "--bin", "soak"]);
    command.args(["--features", "soak", "--"]).args(rest);
    command.env("BT_SOAK_PROGRAMS", tree::target_dir().join(folder));
    run(&mut command)
}
