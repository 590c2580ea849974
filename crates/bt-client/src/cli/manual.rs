//! `bt-client man` and `bt-client completions`: the command line described for `man` and for
//! shells.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde::Serialize;

use super::Context;
use super::args::Cli;
use super::exit::Exit;
use super::report::{Failure, Outcome};

/// Print the manual page
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for the program and one for each command to this folder instead
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Print what completes commands and options in a shell
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// The result with `--json`; that of `--help` and `--version` too.
#[derive(Debug, Serialize)]
pub(crate) struct Printed<'a> {
    pub(crate) text: &'a str,
}

pub(crate) fn man(args: &ManArgs, context: &Context) -> Outcome {
    let refused = |error: &std::io::Error| {
        Failure::new(Exit::Storage, "the manual pages cannot be written").cause(error)
    };
    if let Some(directory) = &args.directory {
        clap_mangen::generate_to(Cli::command(), directory).map_err(|error| refused(&error))?;
        return Ok(Exit::Success);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .map_err(|error| refused(&error))?;
    print(&page, context)
}

pub(crate) fn completions(args: &CompletionsArgs, context: &Context) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "bt-client", &mut script);
    if args.shell == Shell::Bash {
        // The generator writes the first part of a label in two ways when the program's name has a dash.
        let text = String::from_utf8_lossy(&script).replace("bt__subcmd__client", "bt__client");
        script = text.into_bytes();
    }
    print(&script, context)
}

fn print(bytes: &[u8], context: &Context) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    context.report.verbatim(&text);
    context.report.emit(&Printed { text: &text });
    Ok(Exit::Success)
}
