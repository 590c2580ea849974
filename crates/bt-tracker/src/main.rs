//! The program `bt-tracker`: the server of this crate with flags, logs and signals.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        // People get words; whoever looks for the mistake gets the place.
        tracing::error!(
            at = panic.location().map(ToString::to_string),
            "internal error"
        );
    }));
    ExitCode::from(cli::run())
}
