//! Power cuts of the real program, on a file system of our own that drops, reorders and tears what was not synced.
//!
//! It is started by `cargo xtask kill --power-cuts N`, and needs root and `/dev/fuse`, which a plain container does not
//! have: so it is a command and no test. The rules of the file system are tested everywhere.
#![allow(
    clippy::print_stdout,
    reason = "a task runner talks to a person on a terminal"
)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "what is unexpected in a test fails it")
)]

mod bytes;
mod chance;
mod content;
mod disk;
mod lane;
mod mount;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use lane::{Figures, Lane};

/// A line of figures comes after so many cuts of a lane.
const REPORT_EVERY: u64 = 25;

/// What was asked for.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    cuts: u64,
    seed: u64,
    lanes: u64,
    /// Whether syncs of content are answered and not done: the checks must notice.
    is_liar: bool,
}

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
    let client = std::env::var_os("BT_CUTS_CLIENT").map(PathBuf::from);
    let client = client.ok_or("start this with cargo xtask kill --power-cuts N")?;
    let wanted = arguments(std::env::args().skip(1))?;
    let folder = std::env::temp_dir().join(format!("bt-cuts-{}", std::process::id()));
    let begun = Instant::now();
    let outcome = all_lanes(&client, &folder, wanted);
    // What is still mounted keeps its folder.
    let _ = std::fs::remove_dir_all(&folder);
    let (sum, failed) = outcome?;
    println!("{}; {:.0} s", sum.line(), begun.elapsed().as_secs_f64());
    failed.map_or(Ok(()), Err)
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut wanted = Wanted {
        cuts: 20,
        seed: 1,
        lanes: 4,
        is_liar: false,
    };
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "--lie" => {
                wanted.is_liar = true;
                continue;
            }
            "--cuts" => &mut wanted.cuts,
            "--seed" => &mut wanted.seed,
            "--lanes" => &mut wanted.lanes,
            unknown => return Err(format!("unknown option {unknown}")),
        };
        let number = words.next().and_then(|number| number.parse().ok());
        *place = number.ok_or(format!("{word} needs a number"))?;
    }
    Ok(wanted)
}

/// Figures of all, and what was broken first.
fn all_lanes(
    client: &Path,
    folder: &Path,
    wanted: Wanted,
) -> Result<(Figures, Option<String>), String> {
    let (made, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let lane = |number: u64| -> (Figures, Option<String>) {
        let seed = wanted.seed * 1_000 + number;
        let mut lane = match Lane::new(
            client,
            &folder.join(number.to_string()),
            seed,
            wanted.is_liar,
        ) {
            Ok(lane) => lane,
            Err(message) => return (Figures::default(), Some(message)),
        };
        while made.load(Ordering::Relaxed) < wanted.cuts && !stop.load(Ordering::Relaxed) {
            let before = lane.figures.cuts;
            if let Err(message) = lane.step() {
                stop.store(true, Ordering::Relaxed);
                let cut = lane.figures.cuts;
                return (
                    lane.figures,
                    Some(format!("seed {seed}, cut {cut}: {message}")),
                );
            }
            made.fetch_add(lane.figures.cuts - before, Ordering::Relaxed);
            if lane.figures.cuts > before && lane.figures.cuts.is_multiple_of(REPORT_EVERY) {
                println!("seed {seed}: {}", lane.figures.line());
            }
        }
        (lane.figures, None)
    };
    let mut sum = Figures::default();
    let mut failed = None;
    std::thread::scope(|scope| -> Result<(), String> {
        let lane = &lane;
        let running: Vec<_> = (0..wanted.lanes.max(1))
            .map(|number| scope.spawn(move || lane(number)))
            .collect();
        for thread in running {
            let (figures, broken) = thread.join().map_err(|_| "a lane panicked")?;
            sum.add(&figures);
            failed = failed.take().or(broken);
        }
        Ok(())
    })?;
    Ok((sum, failed))
}
