//! Everything about this workspace that would otherwise be a shell script.
//!
//! This binary has no dependencies, so that it compiles in a second. What needs the workspace's
//! own packages lives in the binaries `fuzz`, `bench`, `soak` and `cuts`, which this one builds and starts.
#![allow(
    clippy::print_stdout,
    reason = "a task runner talks to a person on a terminal"
)]

mod bad_input;
mod bench;
mod ci;
mod coverage;
mod dist;
mod features;
mod fuzz;
mod kill;
mod layers;
mod model;
mod sanitize;
mod sbom;
mod scan;
mod shell;
mod sim;
mod soak_run;
mod suite;
mod tidy;
mod tree;
mod trouble;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  test [ARGS]      run the tests; say which were left out for want of another program
                   ARGS go to `cargo test`: -p PACKAGE, a filter, -- --nocapture
  ci [STEP…]       everything that must hold before a change lands; a left-out test fails
                   --tests-already-ran  trust a full `cargo xtask test` on this very tree
  tidy [CHECK…]    rules of this tree that neither the compiler nor Clippy knows
  layers           draw and check who may use whom
  fuzz TARGET…     fuzz with coverage guidance; every crash is kept as a test
                   --list --all --seconds N --runs N --seed N --jobs N --replay FILE
                   --executions N  what is lacking to N of each parser, a tenth of each machine
                   --record  the table of what all runs have done so far
  bad-input        write tests/bad-input anew; --check only compares
  coverage         lines of ours that the suite runs; -p PACKAGE, --all-files, --again
  dist             release programs, built twice and compared; checksums, SBOM
  kill             kill the client again and again; what it claims afterwards must be true
                   --cycles N --seed N --lanes N --syscalls N --dir DIR
                   --power-cuts N  on a file system of our own; needs root and /dev/fuse;
                   with --lie it does no syncs of content, and the run must fail
  sim [SCENARIO]   simulated swarms, as a table; --seeds N, --release
                   growth [SIZES | --from FILE]  how a swarm grows, drawn to docs/growth.svg
  trouble WHAT     the program on full, broken or crowded disks: full-disk, faults, many-files
  model [FILTER]   what threads meet at, played in every order; --preemptions N
  sanitize [ARGS]  the tests of whatever has `unsafe` in it, each access to memory checked
  bench [NAME…]    one comparable line per figure; --smoke for a quick check that it runs
  soak ROW…|all    load and faults against the real programs; --seconds N, --dev

docs/TESTING.md says more about each.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(mut compiler) = fuzz::compiler_call(&arguments) {
        let status = compiler.status();
        let code = status.ok().and_then(|status| status.code());
        return ExitCode::from(u8::try_from(code.unwrap_or(1)).unwrap_or(1));
    }
    match dispatch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(mut arguments: Vec<String>) -> Result<(), String> {
    if arguments.is_empty() {
        print!("{HELP}");
        return Err("no command".to_owned());
    }
    let command = arguments.remove(0);
    match command.as_str() {
        "test" => suite::run(&suite::Wanted {
            extra: arguments,
            all_must_run: std::env::var("CI").is_ok_and(|value| value == "true"),
        }),
        "ci" => {
            let all = arguments.len();
            arguments.retain(|argument| argument != "--tests-already-ran");
            let tests_already_ran = arguments.len() < all;
            match arguments.as_slice() {
                [one, step] if one == ci::ONE_STEP => {
                    if !ci::one_step(step, tests_already_ran)? {
                        std::process::exit(i32::from(ci::SKIPPED));
                    }
                    Ok(())
                }
                _ => ci::start(&names(arguments)?, tests_already_ran),
            }
        }
        "tidy" => tidy::run(&names(arguments)?),
        "layers" if arguments.is_empty() => layers::run(),
        "layers" => Err("layers takes no arguments".to_owned()),
        "fuzz" => fuzz::start(&arguments),
        "bad-input" => bad_input::start(&arguments),
        "coverage" => coverage::start(&arguments),
        "dist" => dist::start(&arguments),
        "kill" => kill::start(&arguments),
        "sim" => sim::start(&arguments),
        "model" => model::start(&arguments),
        "sanitize" => sanitize::start(&arguments),
        "soak" => soak_run::start(&arguments),
        "trouble" => trouble::start(&arguments),
        "bench" => bench::start(&arguments),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        unknown => Err(format!("no command {unknown:?}; see cargo xtask --help")),
    }
}

/// Arguments that are names; an option that nobody knows is refused.
fn names(arguments: Vec<String>) -> Result<Vec<String>, String> {
    match arguments.iter().find(|argument| argument.starts_with('-')) {
        Some(unknown) => Err(format!("unknown option {unknown}; see cargo xtask --help")),
        None => Ok(arguments),
    }
}
