//! `cargo xtask test`: runs the tests, and says which were left out and why.
//!
//! A test that needs a program which is not installed appends one line to the file named by the
//! environment variable `BT_LEFT_OUT_FILE` and returns:
//!
//! ```text
//! left out: NAME (needs PROGRAM)
//! ```
//!
//! Without the variable it prints the line. A left-out test fails the run where everything is
//! supposed to be installed: under `CI=true` and in `cargo xtask ci`.

mod left_out;
mod report;
mod stamp;

use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::process::Command;

use crate::shell::{cargo, shown};
use crate::tree::{self, Tree};

pub(crate) use stamp::Stamp;

/// What to run and how strict to be.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Further words for `cargo test`: packages, filters, `-- --nocapture`.
    pub(crate) extra: Vec<String>,
    /// Whether a left-out test is a failure.
    pub(crate) all_must_run: bool,
}

/// Runs `cargo test` and reads its output while passing it on.
pub(crate) fn run(wanted: &Wanted) -> Result<(), String> {
    let tree = Tree::read(&tree::root())?;
    let mut command = command(&wanted.extra);
    let left_out = left_out::File::create()?;
    command.env(left_out::VARIABLE, left_out.path());
    if wanted.all_must_run {
        // Simulated swarms that nobody has played before. The same tree is judged in the same way twice.
        let seed = Stamp::of(&tree, 0).seed();
        println!("simulated swarms: seeds from {seed} on as well (SIM_DRAWN)");
        command.env("SIM_DRAWN", seed.to_string());
    }
    println!("$ {}", shown(&command));
    let (succeeded, report) = pass_through(&mut command)?;
    let left_out = left_out.read(&report.left_out)?;

    let whole_suite = wanted.extra.is_empty();
    let empty = if whole_suite && succeeded {
        report.empty(&expected(&tree))
    } else {
        Vec::new()
    };
    println!("\n{report}, {} left out", left_out.len());
    for line in &left_out {
        println!("left out: {line}");
    }
    for binary in &empty {
        println!("ran no test: {binary}");
    }
    if !succeeded {
        return Err("tests failed".to_owned());
    }
    if !empty.is_empty() {
        return Err(format!("{} test binaries ran no test", empty.len()));
    }
    if wanted.all_must_run && !left_out.is_empty() {
        return Err(format!(
            "{} tests were left out; .ci/run installs what they need",
            left_out.len()
        ));
    }
    if whole_suite {
        Stamp::of(&tree, left_out.len()).save()?;
    }
    Ok(())
}

/// Whether a run of one test binary passed because its filter left nothing to fail.
pub(crate) fn ran_no_test(text: &str) -> bool {
    !text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("test result: ok. "))
        .any(|rest| !rest.starts_with("0 passed"))
}

/// All features, so that fuzz bodies replay their corpus as ordinary tests.
fn command(extra: &[String]) -> Command {
    let mut command = cargo(["test", "--no-fail-fast", "--all-features"]);
    let picks_package = |word: &String| word == "-p" || word.starts_with("--package");
    if !extra.iter().any(picks_package) {
        command.arg("--workspace");
    }
    command.args(extra);
    if io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}

/// Passes on every line of both streams in their true order.
fn pass_through(command: &mut Command) -> Result<(bool, report::Report), String> {
    let explain = |error: io::Error| format!("cargo test: {error}");
    let (reader, writer) = io::pipe().map_err(explain)?;
    command.stdout(writer.try_clone().map_err(explain)?);
    command.stderr(writer);
    let mut child = command.spawn().map_err(explain)?;
    // Our copies of the writing end must go, or the pipe never ends.
    command.stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::null());

    let mut report = report::Report::default();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(explain)? > 0 {
        io::stdout().write_all(&line).map_err(explain)?;
        report.line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    let status = child.wait().map_err(explain)?;
    Ok((status.success(), report))
}

/// Test binaries that must run at least one test, as `cargo test` names them.
fn expected(tree: &Tree) -> Vec<String> {
    let mut names = Vec::new();
    for package in tree.crates() {
        let library = package.replace('-', "_");
        names.push(format!("{library} unit tests"));
        names.push(format!("{library} documentation"));
        let prefix = format!("crates/{package}/");
        let suites = tree.files.iter().filter_map(|file| {
            let inner = file.path.strip_prefix(&prefix)?;
            let folder = inner.strip_prefix("tests/")?.strip_suffix("/main.rs")?;
            (!folder.contains('/')).then(|| format!("{library} {inner}"))
        });
        names.extend(suites);
    }
    let shared = tree.files.iter().filter_map(|file| {
        let folder = file.path.strip_prefix("tests/")?.strip_suffix("/main.rs")?;
        (!folder.contains('/')).then(|| format!("tests/{folder}/main.rs"))
    });
    names.extend(shared);
    names
}
