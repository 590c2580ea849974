//! Reads the command line, and tells what makes no sense in it like every other failure.
//!
//! Knows what the parser says of it, and nothing of what settings mean.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory as _, Error, Parser as _};

use super::Cli;
use super::failure::Failure;

/// What stands for a value that nobody shall see.
const HIDDEN: &str = "HIDDEN";

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
    Err(failure(&error, &Cli::command(), args))
}

/// The failure for what the parser refused.
fn failure(error: &Error, command: &Command, arguments: &[OsString]) -> Failure {
    let text = error.render().to_string();
    let mut parts = text.split("\n\n").map(str::trim);
    let what = parts.next().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(what);
    let what: Vec<&str> = what.lines().map(str::trim).collect();
    let what = what.join(" ");
    let tip = parts.find_map(|part| part.strip_prefix("tip: "));
    let arg = context(error, ContextKind::InvalidArg).and_then(|name| find(command, name));
    let value = context(error, ContextKind::InvalidValue).filter(|value| !value.is_empty());
    let what = match (arg, value) {
        // Passwords are in it.
        (Some(arg), Some(value)) if arg.is_hide_env_values_set() => what.replace(value, HIDDEN),
        _ => what,
    };
    let variable = arg.and_then(|arg| variable(arg, arguments));
    let hint = match (variable, tip) {
        (Some(name), _) => format!("the value is that of the environment variable {name}"),
        (None, Some(tip)) => tip.to_owned(),
        (None, None) => "--help names every command and setting".into(),
    };
    Failure::usage(what).hint(hint)
}

/// Whether the command line asks for objects, as far as it can be understood.
pub(super) fn wants_json(arguments: &[OsString]) -> bool {
    let set = std::env::var("BT_TRACKER_JSON").unwrap_or_default();
    let is_no = ["", "0", "n", "no", "f", "false", "off"].contains(&set.to_lowercase().as_str());
    !is_no || arguments.iter().any(|argument| argument == "--json")
}

fn context(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

/// The setting that is shown as `--name <VALUE>`.
fn find<'a>(command: &'a Command, shown: &str) -> Option<&'a Arg> {
    let name = shown.strip_prefix("--")?;
    let name = name.split([' ', '=']).next()?;
    let mut arguments = command.get_arguments();
    arguments.find(|arg| arg.get_long() == Some(name))
}

/// The environment variable that a value comes from, if it is not on the command line.
fn variable<'a>(arg: &'a Arg, arguments: &[OsString]) -> Option<std::borrow::Cow<'a, str>> {
    let name = arg.get_env()?;
    let flag = format!("--{}", arg.get_long()?);
    let is_given = arguments.iter().any(|argument| {
        let rest = argument.as_encoded_bytes().strip_prefix(flag.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
    });
    (!is_given && std::env::var_os(name).is_some()).then(|| name.to_string_lossy())
}
