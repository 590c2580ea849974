//! `cargo xtask fuzz`: builds the fuzz driver with coverage counters and starts it.
//!
//! The counters come from flags that stable `rustc` passes on to LLVM. Only our own packages get
//! them: this binary puts itself between Cargo and the compiler for the members of the workspace,
//! so that foreign packages are shared with every other release build and coverage means *our*
//! edges.

use std::process::Command;

use crate::shell::{cargo, itself, run};

/// Set for the compiler calls that shall get more flags; its value says which.
const MARK: &str = "XTASK_ADDS_FLAGS";

/// What our packages are compiled with besides Cargo's own flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    /// Edge counters for the fuzzing driver.
    Counters,
    /// Counts of executed lines, for `cargo xtask coverage`.
    Profile,
}

/// Edge coverage with one 8-bit counter per edge, and the checks that a release build lacks.
const FLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Coverflow-checks=on",
    "-Cdebug-assertions=on",
];

/// Builds the driver and passes the arguments on to it.
pub(crate) fn start(arguments: &[String]) -> Result<(), String> {
    let mut command = cargo(["run", "--quiet", "--release", "-p", "xtask"]);
    command.args(["--bin", "fuzz", "--features", "fuzz", "--"]);
    command.args(arguments);
    wrap(&mut command, Extra::Counters)?;
    run(&mut command)
}

/// Puts this binary between Cargo and the compiler for the members of the workspace.
pub(crate) fn wrap(command: &mut Command, extra: Extra) -> Result<(), String> {
    let itself = itself()?;
    let (name, value) = match extra {
        Extra::Counters => ("rustc-with-coverage", "counters"),
        Extra::Profile => ("rustc-with-profile", "profile"),
    };
    // A copy under a name of its own stays as it is while Cargo rebuilds the original.
    let folder = crate::tree::target_dir().join("xtask");
    let wrapper = folder.join(name);
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::copy(&itself, &wrapper))
        .map_err(|e| format!("{}: {e}", wrapper.display()))?;
    command
        .env("RUSTC_WORKSPACE_WRAPPER", &wrapper)
        .env(MARK, value);
    Ok(())
}

/// What Cargo calls instead of the compiler: `None` if this process is not such a call.
pub(crate) fn compiler_call(arguments: &[String]) -> Option<Command> {
    let extra = std::env::var_os(MARK)?;
    let (compiler, rest) = arguments.split_first()?;
    let mut command = Command::new(compiler);
    command.args(rest);
    if extra == "profile" {
        // Build scripts and questions to the compiler gain nothing and lose nothing.
        command.arg("-Cinstrument-coverage");
    } else if gets_counters(rest) {
        command.args(FLAGS);
    }
    Some(command)
}

/// Our libraries get counters; the driver itself, build scripts and questions to the compiler do not.
fn gets_counters(arguments: &[String]) -> bool {
    let name = arguments
        .iter()
        .skip_while(|word| *word != "--crate-name")
        .nth(1);
    name.is_some_and(|name| name.starts_with("bt_"))
}

#[cfg(test)]
mod tests {
    use super::gets_counters;

    #[test]
    fn only_our_libraries_get_counters() {
        let call = |line: &str| {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            gets_counters(&words)
        };
        assert!(call("--crate-name bt_wire --edition=2024 src/lib.rs"));
        assert!(!call("--crate-name fuzz --edition=2024 src/main.rs"));
        assert!(!call("-vV"));
        assert!(!call("- --crate-name ___ --print=file-names"));
    }
}
