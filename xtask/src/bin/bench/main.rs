//! Prints one comparable line per figure: what, how fast, in which unit.
//!
//! `cargo xtask bench` builds and starts this binary in release. A figure is the best of many runs
//! within its time, so that neighbours on the machine disturb it as little as possible.
#![allow(
    clippy::print_stdout,
    reason = "a benchmark reports to a person on a terminal"
)]

mod bencode;
mod hash;
mod measure;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use measure::Meter;

/// A group of figures and the name by which it can be run alone.
type Group = (&'static str, fn(&Meter));

const GROUPS: [Group; 3] = [
    ("bencode", bencode::run),
    ("hash", hash::run),
    ("wire", wire::run),
];

/// Time for each figure.
const TIME: Duration = Duration::from_secs(1);
/// Time for each figure when only its running is of interest.
const SMOKE_TIME: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let all = names.len();
    names.retain(|name| name != "--smoke");
    let time = if names.len() < all { SMOKE_TIME } else { TIME };
    let is_group = |name: &String| GROUPS.iter().any(|(group, _)| group == name);
    if let Some(unknown) = names.iter().find(|name| !is_group(name)) {
        let known: Vec<_> = GROUPS.iter().map(|(group, _)| *group).collect();
        eprintln!(
            "error: no group {unknown:?}; there are {}",
            known.join(", ")
        );
        return ExitCode::FAILURE;
    }
    let meter = Meter::new(time);
    for (group, run) in GROUPS {
        if names.is_empty() || names.iter().any(|name| name == group) {
            run(&meter);
        }
    }
    ExitCode::SUCCESS
}
