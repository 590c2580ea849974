//! Runs every target in a process of its own and explains processes that did not end by themselves.

use std::collections::VecDeque;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::Options;
use crate::corpus;
use crate::minimize::minimize;
use crate::targets::Target;
use crate::worker::{self, HANG_CODE, advice};

/// Each try to make an aborting input smaller is a process.
const ABORT_TRIES: usize = 400;

/// True if all targets stood.
pub(crate) fn run(tasks: &[(&'static Target, Options)], jobs: usize) -> Result<bool, String> {
    let mut waiting: VecDeque<_> = tasks.iter().copied().collect();
    let mut running: VecDeque<(&Target, Child)> = VecDeque::new();
    let mut failed = Vec::new();
    loop {
        while running.len() < jobs
            && let Some((target, options)) = waiting.pop_front()
        {
            running.push_back((target, start(target, options)?));
        }
        // All targets get the same time, so the first started is the first to end.
        let Some((target, mut child)) = running.pop_front() else {
            break;
        };
        let status = child.wait().map_err(|e| e.to_string())?;
        if !status.success() {
            failed.push(target.name);
            explain(target, status)?;
        }
    }
    println!("{} targets, {} failed", tasks.len(), failed.len());
    Ok(failed.is_empty())
}

fn start(target: &Target, options: Options) -> Result<Child, String> {
    let mut command = this_program()?;
    command.args([target.name, "--worker", "--seed", &options.seed.to_string()]);
    if let Some(time) = options.time {
        command.args(["--seconds", &time.as_secs().to_string()]);
    }
    if let Some(runs) = options.runs {
        command.args(["--runs", &runs.to_string()]);
    }
    command.spawn().map_err(|e| format!("{}: {e}", target.name))
}

fn this_program() -> Result<Command, String> {
    let path = std::env::current_exe().map_err(|e| format!("path of this program: {e}"))?;
    Ok(Command::new(path))
}

/// A worker reports what it caught itself; hangs and aborts are left to us.
fn explain(target: &Target, status: ExitStatus) -> Result<(), String> {
    if status.code().is_some_and(|code| code != HANG_CODE) {
        return Ok(());
    }
    let hung = status.code() == Some(HANG_CODE);
    let cause = if hung {
        "did not end".to_owned()
    } else {
        format!("ended with {status}")
    };
    println!("{} FAILED: {cause}", target.name);
    let input = if hung {
        worker::hung(target.name)
    } else {
        aborting(target)
    };
    let Some(input) = input else {
        println!("    and left no input behind that does it again");
        return Ok(());
    };
    let kind = if hung { "hang" } else { "crash" };
    // Every smaller candidate for a hang would cost the full time-out.
    let small = if hung {
        input.clone()
    } else {
        minimize(&input, ABORT_TRIES, aborts(target))
    };
    let kept = corpus::keep_crash(target.name, kind, &small)?;
    println!("{}", advice(target.name, &kept, small.len(), input.len()));
    Ok(())
}

/// The one of the worker's last inputs that takes a process down.
fn aborting(target: &Target) -> Option<Vec<u8>> {
    let mut aborts = aborts(target);
    let mut inputs = worker::remembered(target.name).into_iter();
    inputs.find(|input| aborts(input))
}

/// Tries an input in a process of its own.
fn aborts(target: &Target) -> impl FnMut(&[u8]) -> bool {
    let path = corpus::scratch(target.name).join("candidate");
    let command = this_program().map(|mut command| {
        command.args([target.name, "--replay"]).arg(&path);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    });
    let mut command = command.ok();
    move |candidate| {
        let written = std::fs::write(&path, candidate).is_ok();
        let status = command.as_mut().and_then(|command| command.status().ok());
        written && status.is_some_and(|status| status.code().is_none())
    }
}
