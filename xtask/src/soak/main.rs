//! Load and faults against the real programs, on loopback, bounded in count and time.
//!
//! One file a row; a row starts processes, does one kind of harm to them for the given time, and
//! gives back figures or says which promise was broken.
#![allow(
    clippy::print_stdout,
    reason = "a task runner talks to a person on a terminal"
)]

mod churn;
mod descriptors;
#[path = "../../../tests/filler.rs"]
mod filler;
mod flood;
mod half_open;
mod memory;
mod peers;
mod process;
mod slow_disk;
mod slow_loris;
mod suspend;
mod swarm;
mod tracker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What a row is told.
#[derive(Debug)]
struct Bench {
    /// The folder of the built programs.
    programs: PathBuf,
    /// A folder for this row, deleted afterwards.
    folder: PathBuf,
    /// How long the harm lasts.
    time: Duration,
}

/// Figures in words, or the broken promise.
type Outcome = Result<String, String>;

/// A row and the function behind it.
type Row = (&'static str, fn(&Bench) -> Outcome);

/// All rows in the order in which `all` runs them.
const ROWS: [Row; 16] = [
    ("flood", flood::run),
    ("half-open", half_open::run),
    ("slow-loris", slow_loris::run),
    ("descriptors", descriptors::run),
    ("slow-disk", slow_disk::run),
    ("memory", memory::plain),
    ("memory-spread", memory::spreading),
    ("peers", peers::plain),
    ("peers-spread", peers::spreading),
    ("suspend", suspend::run),
    ("churn", churn::run),
    ("tracker", tracker::load::even),
    ("tracker-full", tracker::load::full),
    ("tracker-malformed", tracker::malformed::run),
    ("tracker-loris", tracker::loris::run),
    ("tracker-forged", tracker::forged::run),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (wanted, time) = arguments(std::env::args().skip(1))?;
    let programs = std::env::var_os("BT_SOAK_PROGRAMS").map(PathBuf::from);
    let programs = programs.ok_or("start this with cargo xtask soak")?;
    process::raise_descriptor_limit();
    let mut failed = Vec::new();
    for (name, row) in ROWS {
        if !wanted.iter().any(|word| word == name || word == "all") {
            continue;
        }
        let folder = std::env::temp_dir().join(format!("bt-soak-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let bench = Bench {
            programs: programs.clone(),
            folder,
            time,
        };
        let begin = Instant::now();
        let outcome = row(&bench);
        let took = begin.elapsed().as_secs_f64();
        match outcome {
            Ok(figures) => println!("{name:<17} {took:>6.1} s  ok      {figures}"),
            Err(broken) => {
                println!("{name:<17} {took:>6.1} s  BROKEN  {broken}");
                failed.push(name);
            }
        }
        let _ = std::fs::remove_dir_all(&bench.folder);
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("broken: {}", failed.join(", ")))
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<(Vec<String>, Duration), String> {
    let mut rows = Vec::new();
    let mut time = Duration::from_secs(20);
    while let Some(word) = words.next() {
        if word == "--seconds" {
            let number = words.next().and_then(|number| number.parse().ok());
            time = Duration::from_secs(number.ok_or("--seconds needs a number")?);
        } else if word == "all" || ROWS.iter().any(|(name, _)| *name == word) {
            rows.push(word);
        } else {
            let known: Vec<_> = ROWS.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "no row {word:?}; there are all, {}",
                known.join(", ")
            ));
        }
    }
    if rows.is_empty() {
        return Err("name a row, or all".to_owned());
    }
    Ok((rows, time))
}
