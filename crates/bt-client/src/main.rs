//! The `bt-client` program; everything is in the `cli` room of the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    bt_client::cli::run(std::env::args_os())
}
