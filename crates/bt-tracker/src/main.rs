//! The program `bt-tracker`: the server of this crate with flags, logs and signals.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(cli::run())
}
