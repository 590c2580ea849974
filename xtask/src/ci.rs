//! `cargo xtask ci`: everything that must hold before a change lands, in order.
//!
//! Steps that share build output stand next to each other, and all of them take the same profiles
//! and features where they can, because two cores compile this once in minutes, not in seconds.

use std::time::{Duration, Instant};

use crate::shell::{capture, cargo, is_installed, run, seconds};
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
        let arguments = ["--all", "--seconds", "5", "--seed", "1"];
        fuzz::start(&arguments.map(str::to_owned)).map(passed)
    }),
    ("bench", || {
        bench::start(&["--smoke".to_owned()]).map(passed)
    }),
    ("demo", demo),
    ("deny", deny),
];

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
    let mut lines = Vec::new();
    let mut failed = 0_usize;
    for (name, step) in STEPS {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("\n=== {name}");
        let started = Instant::now();
        let result = if name == "test" && tests_already_ran {
            trust_the_stamp()
        } else {
            step()
        };
        if let Err(message) = &result {
            println!("{name} failed: {message}");
            failed += 1;
        }
        lines.push(summary_line(name, &result, started.elapsed()));
    }
    println!("\n=== summary");
    for line in &lines {
        println!("{line}");
    }
    println!("{:<14} {:>7}", "total", seconds(begin.elapsed()));
    if failed == 0 {
        return Ok(());
    }
    Err(format!("{failed} of {} steps failed", lines.len()))
}

fn summary_line(name: &str, result: &Result<Outcome, String>, took: Duration) -> String {
    let verdict = match result {
        Ok(Outcome::Passed) => "ok".to_owned(),
        Ok(Outcome::Skipped(reason)) => format!("skipped: {reason}"),
        Err(_) => "FAILED".to_owned(),
    };
    format!("{name:<14} {:>7}  {verdict}", seconds(took))
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
    let running = capture(std::process::Command::new("rustc").arg("--version"))?;
    if is_release_of(&running, promised) {
        println!(
            "rust-version {promised} is what runs here: {}",
            running.trim()
        );
        return Ok(Outcome::Passed);
    }
    let mut check = std::process::Command::new("cargo");
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
        capture(command.args(["bans", "licenses", "sources"]))?
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

    #[test]
    fn the_summary_tells_a_skip_from_a_pass() {
        let second = Duration::from_secs(1);
        let skipped = summary_line("deny", &Ok(Outcome::Skipped("not here")), second);
        assert_eq!(skipped, "deny              1.0s  skipped: not here");
        assert!(summary_line("deny", &Err(String::new()), second).ends_with("FAILED"));
    }
}
