//! Runs other programs: prints what it runs, where a person can copy it from.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A `cargo` command in the root of the workspace.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(cargo_program());
    command.args(arguments).current_dir(crate::tree::root());
    // `cargo xtask` runs under Cargo, whose variables for this package must not leak into others.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_"))
        {
            command.env_remove(name);
        }
    }
    command.env_remove("CARGO_MANIFEST_DIR");
    command
}

fn cargo_program() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Where this binary can be read. A step before may have had Cargo build another in its place, with other features;
/// Linux still hands out the one that runs.
pub(crate) fn itself() -> Result<std::path::PathBuf, String> {
    let path = std::env::current_exe().map_err(|e| format!("path of xtask: {e}"))?;
    let running = std::path::PathBuf::from("/proc/self/exe");
    Ok(if path.exists() { path } else { running })
}

/// Prints the command, runs it, and fails if it fails.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    println!("$ {}", shown(command));
    let status = command
        .status()
        .map_err(|e| format!("{}: {e}", shown(command)))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{} ended with {status}", shown(command)))
}

/// Prints the command, runs it, and returns what it wrote to standard output.
pub(crate) fn capture(command: &mut Command) -> Result<String, String> {
    println!("$ {}", shown(command));
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("{}: {e}", shown(command)))?;
    if !output.status.success() {
        return Err(format!("{} ended with {}", shown(command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|e| e.to_string())
}

/// Whether a program can be started at all.
pub(crate) fn is_installed(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let mut words: Vec<String> = command
        .get_envs()
        .filter(|(name, _)| {
            name.to_str()
                .is_some_and(|name| !name.starts_with("CARGO_"))
        })
        .filter_map(|(name, value)| {
            Some(format!("{}={}", name.to_str()?, quoted(value?.to_str()?)))
        })
        .collect();
    let program = command.get_program();
    if program == cargo_program().as_os_str() {
        words.push("cargo".to_owned());
    } else {
        words.push(program.to_string_lossy().into_owned());
    }
    words.extend(
        command
            .get_args()
            .map(|word| quoted(&word.to_string_lossy())),
    );
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=/.,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A duration in the form `3m07s` or `4.2s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole >= 60 {
        format!("{}m{:02}s", whole / 60, whole % 60)
    } else {
        format!("{:.1}s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_is_typed() {
        let mut command = cargo(["test", "--", "a b"]);
        command.env("BT_X", "it's").env("CARGO_HIDDEN", "1");
        assert_eq!(shown(&command), r"BT_X='it'\''s' cargo test -- 'a b'");
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(seconds(Duration::from_millis(4_240)), "4.2s");
        assert_eq!(seconds(Duration::from_secs(187)), "3m07s");
    }
}
