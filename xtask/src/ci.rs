//! `cargo xtask ci`: everything that must hold before a change lands, in order.
//!
//! Steps that share build output stand next to each other, and all of them take the same profiles
//! and features where they can, because two cores compile this once in minutes, not in seconds.
//!
//! Each step runs in a process of its own, whose output is passed on and whose last lines are kept: what a failed step
//! said is repeated at the end, because somebody who reads the log of a machine elsewhere begins there.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::shell::{capture, cargo, is_installed, itself, run, seconds};
use crate::suite::{Stamp, Wanted};
use crate::tree::{self, Tree};
use crate::{bench, dist, features, fuzz, layers, suite, tidy};

/// A step and the function behind it.
type Step = (&'static str, fn() -> Result<Outcome, String>);

/// How a step that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// With the reason.
    Skipped(&'static str),
}

/// All steps in order.
const STEPS: [Step; 14] = [
    ("fmt", || cargo_step(&["fmt", "--all", "--check"])),
    ("tidy", || tidy::run(&[]).map(passed)),
    ("layers", || layers::run().map(passed)),
    ("dependencies", || {
        features::count_dependencies().map(passed)
    }),
    ("msrv", msrv),
    ("package", package),
    ("clippy", clippy),
    ("features", || features::build_each_alone().map(passed)),
    ("docs", docs),
    ("test", || {
        let wanted = Wanted {
            extra: Vec::new(),
            all_must_run: true,
        };
        suite::run(&wanted).map(passed)
    }),
    ("fuzz", || {
        // Counted, not timed: the same tree is judged by the same inputs, however fast the machine is.
        let arguments = ["--all", "--runs", "50000", "--seed", "1"];
        fuzz::start(&arguments.map(str::to_owned)).map(passed)
    }),
    ("bench", || {
        bench::start(&["--smoke".to_owned()]).map(passed)
    }),
    ("demo", demo),
    ("deny", deny),
];

/// How many lines of a failed step are repeated below the summary.
const REPEATED_LINES: usize = 40;
/// A line is repeated up to here; some tools print whole trees on one.
const REPEATED_BYTES: u64 = 4096;
/// How long the rest of the output of a step may take that has ended.
const REST_OF_OUTPUT: Duration = Duration::from_secs(5);
/// What this program is called with for one step in a process of its own.
pub(crate) const ONE_STEP: &str = "--one-step";
/// The exit code of such a process whose step was skipped. Cargo ends with 101, and a signal with 128 and more.
pub(crate) const SKIPPED: u8 = 77;

/// What a step in a process of its own showed.
struct Shown {
    verdict: Verdict,
    took: Duration,
    last_lines: VecDeque<String>,
}

/// How a step ended, as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Passed,
    Skipped,
    Failed,
}

/// Runs the named steps, or all; a failing step does not keep the later ones from running.
pub(crate) fn start(names: &[String], tests_already_ran: bool) -> Result<(), String> {
    let is_step = |name: &String| STEPS.iter().any(|(step, _)| step == name);
    if let Some(unknown) = names.iter().find(|name| !is_step(name)) {
        let known: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "no step {unknown:?}; there are {}",
            known.join(", ")
        ));
    }
    let begin = Instant::now();
    let mut shown = Vec::new();
    for (name, _) in STEPS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("\n=== {name}");
            shown.push((name, in_own_process(name, tests_already_ran)));
        }
    }
    let failed: Vec<_> = shown
        .iter()
        .filter(|(_, step)| step.verdict == Verdict::Failed)
        .collect();
    for (name, step) in &failed {
        println!("\n=== the last lines of {name}, which failed");
        for line in &step.last_lines {
            println!("{line}");
        }
    }
    println!("\n=== summary");
    for (name, step) in &shown {
        println!("{}", summary_line(name, step));
    }
    println!("{:<14} {:>7}", "total", seconds(begin.elapsed()));
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("{} of {} steps failed", failed.len(), shown.len()))
}

/// Runs a step as a process of its own, passes on what it prints, and keeps the end of it.
fn in_own_process(name: &str, tests_already_ran: bool) -> Shown {
    let started = Instant::now();
    let last_lines = Arc::new(Mutex::new(VecDeque::with_capacity(REPEATED_LINES)));
    let ended = start_and_follow(name, tests_already_ran, &last_lines);
    let mut last_lines = last_lines
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let verdict = match ended {
        Ok(status) if status.success() => Verdict::Passed,
        Ok(status) if status.code() == Some(i32::from(SKIPPED)) => Verdict::Skipped,
        Ok(status) => {
            last_lines.push_back(format!("the step ended with {status}"));
            Verdict::Failed
        }
        Err(message) => {
            last_lines.push_back(message);
            Verdict::Failed
        }
    };
    Shown {
        verdict,
        took: started.elapsed(),
        last_lines,
    }
}

/// Ends with the step. What it left behind may hold its output open, so the rest of that is waited for a moment only.
fn start_and_follow(
    name: &str,
    tests_already_ran: bool,
    last_lines: &Arc<Mutex<VecDeque<String>>>,
) -> Result<ExitStatus, String> {
    let (output, input) = std::io::pipe().map_err(|e| format!("pipe: {e}"))?;
    let errors = input.try_clone().map_err(|e| format!("pipe: {e}"))?;
    let mut command = Command::new(itself()?);
    command.args(["ci", ONE_STEP, name]);
    if tests_already_ran {
        command.arg("--tests-already-ran");
    }
    command.stdout(input).stderr(errors);
    let mut child = command.spawn().map_err(|e| format!("step {name}: {e}"))?;
    // The command holds writing ends, and the end of the output is the end of all of them.
    drop(command);
    let (done, all_read) = mpsc::channel();
    let last_lines = Arc::clone(last_lines);
    thread::spawn(move || {
        let passed_on = pass_on(output, std::io::stdout(), &last_lines);
        // Nobody listens any more when it took too long.
        let _ = done.send(passed_on);
    });
    let status = child.wait().map_err(|e| format!("step {name}: {e}"))?;
    match all_read.recv_timeout(REST_OF_OUTPUT) {
        Ok(passed_on) => passed_on.map_err(|e| format!("output of {name}: {e}"))?,
        Err(_) => println!("{name} left processes behind that still hold its output"),
    }
    Ok(status)
}

/// Copies lines until their end, and keeps the last ones.
fn pass_on(
    output: impl Read,
    mut to: impl Write,
    last_lines: &Mutex<VecDeque<String>>,
) -> std::io::Result<()> {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        let mut bounded = output.by_ref().take(REPEATED_BYTES);
        if bounded.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        to.write_all(&line)?;
        let mut last = last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == REPEATED_LINES {
            last.pop_front();
        }
        last.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
}

/// One step in this process, for the one that collects them. `Ok(false)` means that it was skipped.
pub(crate) fn one_step(name: &str, tests_already_ran: bool) -> Result<bool, String> {
    let (_, step) = STEPS
        .iter()
        .find(|(step, _)| *step == name)
        .ok_or_else(|| format!("no step {name:?}"))?;
    let outcome = if name == "test" && tests_already_ran {
        trust_the_stamp()
    } else {
        step()
    };
    match outcome {
        Ok(Outcome::Passed) => Ok(true),
        Ok(Outcome::Skipped(reason)) => {
            println!("skipped: {reason}");
            Ok(false)
        }
        Err(message) => Err(format!("{name} failed: {message}")),
    }
}

fn summary_line(name: &str, step: &Shown) -> String {
    let verdict = match step.verdict {
        Verdict::Passed => "ok".to_owned(),
        // The step said why in its last line.
        Verdict::Skipped => step.last_lines.back().cloned().unwrap_or_default(),
        Verdict::Failed => "FAILED".to_owned(),
    };
    format!("{name:<14} {:>7}  {verdict}", seconds(step.took))
}

const fn passed((): ()) -> Outcome {
    Outcome::Passed
}

fn cargo_step(arguments: &[&str]) -> Result<Outcome, String> {
    run(&mut cargo(arguments)).map(passed)
}

fn clippy() -> Result<Outcome, String> {
    let mut command = cargo(["clippy", "--locked", "--workspace", "--all-targets"]);
    run(command.args(["--all-features", "--", "-D", "warnings"])).map(passed)
}

fn docs() -> Result<Outcome, String> {
    let mut command = cargo([
        "doc",
        "--locked",
        "--workspace",
        "--no-deps",
        "--all-features",
    ]);
    run(command.env("RUSTDOCFLAGS", "-D warnings")).map(passed)
}

/// The oldest compiler that the manifests promise is the one everything else here runs with, so
/// that the whole suite is its test; with a newer one the promise is compiled on its own.
fn msrv() -> Result<Outcome, String> {
    let manifest = std::fs::read_to_string(tree::root().join("Cargo.toml"))
        .map_err(|e| format!("Cargo.toml: {e}"))?;
    let promised = promised_version(&manifest).ok_or("Cargo.toml names no rust-version")?;
    let running = capture(Command::new("rustc").arg("--version"))?;
    if is_release_of(&running, promised) {
        println!(
            "rust-version {promised} is what runs here: {}",
            running.trim()
        );
        return Ok(Outcome::Passed);
    }
    let mut check = Command::new("cargo");
    check
        .arg(format!("+{promised}"))
        .args(["check", "--locked", "--workspace", "--all-features"]);
    run(check.current_dir(tree::root())).map(passed)
}

fn promised_version(manifest: &str) -> Option<&str> {
    let line = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))?;
    Some(line.trim().trim_matches('"'))
}

fn is_release_of(rustc: &str, version: &str) -> bool {
    let Some(running) = rustc.split_whitespace().nth(1) else {
        return false;
    };
    running
        .strip_prefix(version)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The upload of every crate, in the order of the floors, up to the upload itself: every file is in the package and
/// every dependency has a version. `cargo xtask dist` also compiles them from there.
fn package() -> Result<Outcome, String> {
    run(dist::publish().args(["--no-verify", "--quiet"])).map(passed)
}

/// The suite passed on exactly this tree a moment ago, and nothing was left out.
fn trust_the_stamp() -> Result<Outcome, String> {
    Stamp::of(&Tree::read(&tree::root())?, 0).expect()?;
    Ok(Outcome::Skipped(
        "passed before on exactly this tree, none left out",
    ))
}

/// The README's first command, as a stranger types it.
fn demo() -> Result<Outcome, String> {
    let mut build = cargo(["build", "--locked", "--release", "-p", "bt-client"]);
    run(&mut build)?;
    let started = Instant::now();
    run(&mut cargo([
        "run",
        "--release",
        "-p",
        "bt-client",
        "--",
        "demo",
    ]))?;
    println!("demo took {} after the build", seconds(started.elapsed()));
    Ok(Outcome::Passed)
}

/// Licenses, bans and sources of foreign packages; advisories would need a database from elsewhere.
fn deny() -> Result<Outcome, String> {
    if !is_installed("cargo-deny", "--version") {
        if std::env::var("CI").is_ok_and(|value| value == "true") {
            return Err("cargo-deny is not installed; .ci/run installs it".to_owned());
        }
        return Ok(Outcome::Skipped("cargo-deny is not installed"));
    }
    // The rules hold for every target, and a build has fetched the packages of this one only.
    run(&mut cargo(["fetch", "--locked"]))?;
    let mut command = cargo(["deny", "--offline", "--all-features", "check"]);
    print!(
        "{}",
        capture(command.args(["--hide-inclusion-graph", "bans", "licenses", "sources"]))?
    );
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_step_is_refused_before_anything_runs() {
        let error = start(&["tests".to_owned()], false).unwrap_err();
        assert!(error.contains("no step"), "{error}");
    }

    #[test]
    fn a_patch_release_is_the_promised_version_and_another_minor_is_not() {
        let manifest = "[workspace.package]\nrust-version = \"1.95\"\n";
        assert_eq!(promised_version(manifest), Some("1.95"));
        assert!(is_release_of("rustc 1.95.0 (5980 2026-04-14)", "1.95"));
        assert!(!is_release_of("rustc 1.96.1 (5980 2026-04-14)", "1.95"));
        assert!(!is_release_of("rustc 1.950.0", "1.95"));
    }

    fn shown(verdict: Verdict, last_lines: &str) -> Shown {
        Shown {
            verdict,
            took: Duration::from_secs(1),
            last_lines: last_lines.lines().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn the_summary_tells_a_skip_from_a_pass() {
        let skipped = shown(Verdict::Skipped, "=== deny\nskipped: not here");
        let line = summary_line("deny", &skipped);
        assert_eq!(line, "deny              1.0s  skipped: not here");
        assert!(summary_line("deny", &shown(Verdict::Failed, "")).ends_with("FAILED"));
    }

    #[test]
    fn only_the_end_of_what_a_step_said_is_kept_and_no_line_without_end() {
        let long: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let last = last_of(long.as_bytes());
        assert_eq!(last.len(), REPEATED_LINES);
        assert_eq!(last.front().unwrap(), "line 60");
        assert_eq!(last.back().unwrap(), "line 99");
        let endless = vec![b'x'; 3 * 4096 + 1];
        let last = last_of(&endless);
        assert_eq!(last.iter().map(String::len).max(), Some(4096));
    }

    fn last_of(output: &[u8]) -> VecDeque<String> {
        let last = Mutex::default();
        pass_on(output, std::io::sink(), &last).unwrap();
        last.into_inner().unwrap()
    }
}
