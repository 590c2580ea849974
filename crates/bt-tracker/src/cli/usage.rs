//! Reads the command line, and says what is wrong with it in the form of all errors. It must not know what the command
//! does.

use std::ffi::OsString;

use clap::error::{Error, ErrorKind};
use clap::{CommandFactory as _, Parser as _};

use super::Cli;
use super::failure::Failure;

/// What came of reading the command line.
pub(super) enum Parsed {
    /// Do this.
    Run(Box<Cli>),
    /// Print this text of help or version.
    Print(String),
}

/// Reads the command line and the environment; the first word is the name of the program.
pub(super) fn parse(args: &[OsString]) -> Result<Parsed, Failure> {
    let error = match Cli::try_parse_from(args) {
        Ok(cli) => return Ok(Parsed::Run(Box::new(cli))),
        Err(error) => error,
    };
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return Ok(Parsed::Print(error.render().to_string()));
    }
    // What is given in the environment would show up in the usage as if it had to be typed.
    let bare = Cli::command().mut_args(|arg| arg.env(None::<&str>));
    let typed = bare.try_get_matches_from(args).err();
    let typed = typed.filter(|typed| typed.kind() == error.kind());
    let (what, hint) = complaint(&typed.unwrap_or(error));
    Err(Failure::usage(what).hint(hint))
}

/// Whether JSON was asked for, when the command line as a whole could not be read.
pub(super) fn wants_json(args: &[OsString]) -> bool {
    let mut typed = args.iter().skip(1).take_while(|arg| *arg != "--");
    let variable = std::env::var_os("BT_TRACKER_JSON");
    typed.any(|arg| arg == "--json")
        || variable.is_some_and(|value| !["", "0", "false"].iter().any(|no| value == *no))
}

/// Splits the rendered text into what is wrong and what may help.
fn complaint(error: &Error) -> (String, String) {
    let text = error.render().to_string();
    let mut paragraphs = text.trim().split("\n\n");
    let what = paragraphs.next().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(what);
    let mut hints: Vec<String> = paragraphs.map(one_line).collect();
    hints.retain(|hint| !hint.starts_with("For more information"));
    for hint in &mut hints {
        for (long, short) in [("tip: ", ""), ("Usage: ", "usage: ")] {
            if let Some(rest) = hint.strip_prefix(long) {
                *hint = format!("{short}{rest}");
            }
        }
    }
    if hints.is_empty() {
        hints.push("see --help".to_owned());
    }
    (one_line(what), hints.join("; "))
}

/// Joins lines and their indentation by single spaces.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
