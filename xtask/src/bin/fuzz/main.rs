//! Fuzzes the parsers and state machines of the workspace on stable Rust.
//!
//! `cargo xtask fuzz` builds this binary with coverage counters in our own packages. One process
//! supervises; each target runs in a process of its own, so that even an abort or a hang leaves
//! its input behind. This binary must not know what any target means, but for the one that compares with a parser that no
//! package may be linked with: it sees bytes and verdicts.
#![allow(
    clippy::print_stdout,
    reason = "a driver reports to a person on a terminal"
)]

mod corpus;
mod cost;
mod counters;
mod flags;
mod minimize;
mod mutate;
mod oracle;
mod random;
mod record;
mod supervise;
mod targets;
mod tree;
mod verdict;
mod words;
mod worker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flags::Flags;
use targets::{TARGETS, Target};

/// What a run was asked to do.
#[derive(Debug, Clone, Copy)]
struct Options {
    /// Stop after this time; `None` means no limit.
    time: Option<Duration>,
    /// Stop after this many executions; `None` means no limit.
    runs: Option<u64>,
    /// Same seed, same corpus, same build: same inputs.
    seed: u64,
    /// How many targets run at once.
    jobs: usize,
}

/// How long a target runs when nothing else is said.
const DEFAULT_TIME: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match start(std::env::args().skip(1).collect()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

/// True if no target failed.
fn start(arguments: Vec<String>) -> Result<bool, String> {
    let mut flags = Flags::new(arguments);
    if flags.switch("--list") {
        for target in TARGETS {
            let seeds = corpus::count_seeds(target.name);
            println!("{:<24} {seeds:>4} seeds  {}", target.name, target.about);
        }
        return Ok(true);
    }
    if flags.switch("--record") {
        print!("{}", record::table());
        return Ok(true);
    }
    let all = flags.switch("--all");
    let is_worker = flags.switch("--worker");
    let replay = flags.value("--replay")?.map(PathBuf::from);
    let goal = flags.number("--executions")?;
    let options = options(&mut flags, goal)?;
    let names = flags.names()?;
    let targets = if all {
        TARGETS.iter().collect()
    } else {
        named(&names)?
    };

    if let Some(file) = replay {
        let [target] = targets[..] else {
            return Err("--replay needs exactly one target".to_owned());
        };
        return replay_file(target, &file);
    }
    if is_worker {
        let [target] = targets[..] else {
            return Err("--worker needs exactly one target".to_owned());
        };
        return worker::run(target, options);
    }
    let tasks = tasks(targets, options, goal);
    supervise::run(&tasks, options.jobs)
}

/// Who runs for how long. With a goal, whoever has been through that many executions before is left out.
fn tasks(
    targets: Vec<&'static Target>,
    options: Options,
    goal: Option<u64>,
) -> Vec<(&'static Target, Options)> {
    let Some(goal) = goal else {
        return targets.into_iter().map(|one| (one, options)).collect();
    };
    let sums = record::sums();
    let owing = targets.into_iter().filter_map(|target| {
        let runs = Some(record::owed(target, goal, &sums)).filter(|runs| *runs > 0)?;
        let runs = Some(runs);
        Some((target, Options { runs, ..options }))
    });
    owing.collect()
}

fn options(flags: &mut Flags, goal: Option<u64>) -> Result<Options, String> {
    let seconds = flags.number("--seconds")?.map(Duration::from_secs);
    let runs = flags.number("--runs")?;
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    let any_seed = clock.map_or(1, |since| since.as_secs());
    let jobs = flags
        .number("--jobs")?
        .and_then(|jobs| usize::try_from(jobs).ok());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Options {
        time: seconds.or((runs.is_none() && goal.is_none()).then_some(DEFAULT_TIME)),
        runs,
        seed: flags.number("--seed")?.unwrap_or(any_seed),
        jobs: jobs.unwrap_or(cores).max(1),
    })
}

fn named(names: &[String]) -> Result<Vec<&'static Target>, String> {
    if names.is_empty() {
        return Err("which target? --list shows them, --all takes them all".to_owned());
    }
    names
        .iter()
        .map(|name| {
            let found = TARGETS.iter().find(|target| target.name == name);
            found.ok_or_else(|| format!("no target {name:?}; --list shows them"))
        })
        .collect()
}

/// Runs one file once and says what happened.
fn replay_file(target: &Target, file: &Path) -> Result<bool, String> {
    let input = std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
    verdict::watch_panics(verdict::Panics::Printed);
    let run = verdict::execute(target, &input);
    println!(
        "{}: {} bytes in {:?}: {}",
        target.name,
        input.len(),
        run.time,
        run.verdict
    );
    Ok(run.verdict.is_fine())
}
