//! Reads the command line, the environment and the file, and tells what makes no sense in them like
//! every other failure.
//!
//! Knows what the parser says of it, and of settings only what two of them mean together.

use std::error::Error as _;
use std::ffi::OsString;
use std::num::{IntErrorKind, ParseIntError};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command, Error, FromArgMatches as _};

use super::Cli;
use super::config_file::ConfigFile;
use super::failure::Failure;
use super::options::{self, HELP, HELP_ABOUT};
use super::settings::{ModeSetting, Settings};

/// What came of reading the command line.
pub(super) enum Parsed {
    /// Do this.
    Run(Box<Given>),
    /// Print this text of help or version.
    Print(String),
}

/// All that was said, wherever it was said.
pub(super) struct Given {
    pub(super) cli: Cli,
    /// What the command line and the environment say, without the file.
    pub(super) own: Settings,
    /// The flags for which the environment speaks.
    pub(super) environment: Vec<String>,
    /// What was said in vain, in words for people.
    pub(super) doubts: Vec<String>,
}

/// Reads the command line, of which the first word is the name of the program, the environment, and
/// the file that one of them names.
pub(super) fn parse(args: &[OsString]) -> Result<Parsed, Failure> {
    let plain = options::command();
    let typed = match plain.clone().try_get_matches_from(args) {
        Ok(typed) => typed,
        Err(error) if is_text(&error) => return Ok(Parsed::Print(text(plain, args, &error))),
        Err(error) => return Err(failure(&error, &plain, false)),
    };
    if let Some((HELP, about)) = typed.subcommand() {
        return Ok(Parsed::Print(help(plain, about)));
    }
    // What was typed makes sense by itself, so that the fault is in the environment from here on.
    let command = options::with_environment(plain.clone(), &typed);
    let given = command.clone().try_get_matches_from(args);
    let given = given.map_err(|error| failure(&error, &command, true))?;
    let read = |matches: &ArgMatches| {
        Cli::from_arg_matches(matches).map_err(|error| failure(&error, &command, false))
    };
    let cli = read(&given)?;
    let own = cli.settings.clone();
    let (given, mut cli) = match cli.config.clone() {
        None => (given, cli),
        Some(path) => {
            let file = ConfigFile::read(&path, &plain)?;
            let all = file.beneath(command.clone(), &given);
            let all = all.try_get_matches_from(args);
            let all = all.map_err(|error| failure(&error, &command, false).in_file(&path))?;
            let cli = read(&all)?;
            (all, cli)
        }
    };
    let environment = options::of_environment(&command, &given);
    let doubts = idle_list(&mut cli.settings, &given).into_iter().collect();
    Ok(Parsed::Run(Box::new(Given {
        cli,
        own,
        environment,
        doubts,
    })))
}

/// Leaves a list out that the mode has no use for, if the mode was said by somebody with more weight
/// than the list. Otherwise it may have been forgotten that lists need a mode, which is refused later.
fn idle_list(settings: &mut Settings, given: &ArgMatches) -> Option<String> {
    let is_outweighed = options::weight("mode", given) > options::weight("list", given);
    if settings.mode != Some(ModeSetting::Open) || !is_outweighed {
        return None;
    }
    let list = settings.list.take()?;
    Some(format!(
        "--mode open holds: the list {} is not used",
        list.display()
    ))
}

fn is_text(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    )
}

/// The text that was asked for; help names the environment's variables.
fn text(plain: Command, args: &[OsString], error: &Error) -> String {
    let command = options::with_environment(plain, &ArgMatches::default());
    let command = options::without_idle_settings(command);
    let again = command.try_get_matches_from(args).err();
    again
        .filter(is_text)
        .as_ref()
        .unwrap_or(error)
        .render()
        .to_string()
}

/// The help of the program, or of a command.
fn help(plain: Command, about: &ArgMatches) -> String {
    let command = options::with_environment(plain, &ArgMatches::default());
    let mut command = options::without_idle_settings(command);
    command.build();
    let about = about.get_one::<String>(HELP_ABOUT);
    if let Some(about) = about.and_then(|name| command.find_subcommand_mut(name)) {
        return about.render_long_help().to_string();
    }
    command.render_long_help().to_string()
}

/// The failure for what the parser refused, in what was typed or in the environment.
fn failure(error: &Error, command: &Command, is_environment: bool) -> Failure {
    if let Some(failure) = misread(error, command, is_environment) {
        return failure;
    }
    let text = error.render().to_string();
    let mut parts = text.split("\n\n").map(str::trim);
    let what = parts.next().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(what);
    let what: Vec<&str> = what.lines().map(str::trim).collect();
    let tip = parts.find_map(|part| part.strip_prefix("tip: "));
    let shown = context(error, ContextKind::InvalidArg);
    let arg = shown.and_then(|shown| find(command, shown));
    let value = context(error, ContextKind::InvalidValue).filter(|value| !value.is_empty());
    let reason = reason(error);
    let failure = match (shown, value, reason) {
        (Some(shown), Some(value), Some(reason)) => {
            // Passwords are in it.
            let is_secret = arg.is_some_and(Arg::is_hide_env_values_set);
            let value = if is_secret {
                String::new()
            } else {
                format!(" '{value}'")
            };
            Failure::usage(format!("invalid value{value} for '{shown}'")).because(reason)
        }
        _ => Failure::usage(what.join(" ")),
    };
    let variable = arg.and_then(Arg::get_long).map(options::variable);
    let hint = match (variable.filter(|_| is_environment), tip) {
        (Some(name), _) => format!("the value is that of the environment variable {name}"),
        (None, Some(tip)) => tip.to_owned(),
        (None, None) => "--help names every command and setting".into(),
    };
    failure.hint(hint)
}

/// What the parser takes for something else than it is: negative numbers for flags, and words that are no text for
/// words of the command line.
fn misread(error: &Error, command: &Command, is_environment: bool) -> Option<Failure> {
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let word = context(error, ContextKind::InvalidArg)?;
            let number = word.strip_prefix('-')?;
            let is_number = number.starts_with(|sign: char| sign.is_ascii_digit() || sign == '.');
            is_number.then(|| {
                Failure::usage(format!("unexpected '{word}'"))
                    .hint("no setting takes a negative number")
            })
        }
        ErrorKind::InvalidUtf8 if is_environment => {
            let commands = std::iter::once(command).chain(command.get_subcommands());
            let longs = commands
                .flat_map(Command::get_arguments)
                .filter_map(Arg::get_long);
            let is_no_text = |name: &String| {
                std::env::var_os(name).is_some_and(|value| value.to_str().is_none())
            };
            let name = longs.map(options::variable).find(is_no_text)?;
            Some(
                Failure::usage(format!(
                    "the environment variable {name} is no text in UTF-8"
                ))
                .hint("--help names every command and setting"),
            )
        }
        _ => None,
    }
}

/// Why a value was refused, without the value.
pub(super) fn reason(error: &Error) -> Option<String> {
    if error.kind() == ErrorKind::InvalidValue {
        return match error.get(ContextKind::ValidValue)? {
            ContextValue::Strings(words) if !words.is_empty() => {
                Some(format!("expected one of {}", words.join(", ")))
            }
            _ => None,
        };
    }
    let source = error.source()?;
    if let Some(error) = source.downcast_ref::<ParseIntError>() {
        let words = match error.kind() {
            IntErrorKind::PosOverflow => "the number is too large",
            IntErrorKind::NegOverflow => "the number is too small",
            _ => "expected a whole number",
        };
        return Some(words.into());
    }
    let said = source.to_string();
    let range = said.split_once(" is not in ");
    match range.and_then(|(_, range)| range.split_once("..")) {
        // The end of the type is no limit that anybody would write.
        Some((least, "18446744073709551615")) => Some(format!("expected a number from {least} on")),
        Some((least, most)) => {
            let most = most.trim_start_matches('=');
            Some(format!("expected a number from {least} to {most}"))
        }
        None => Some(said),
    }
}

/// Whether the command line asks for objects, as far as it can be understood.
pub(super) fn wants_json(arguments: &[OsString]) -> bool {
    let set = std::env::var(options::variable("json")).unwrap_or_default();
    // What is neither yes nor no was meant to be yes.
    let is_set = !set.is_empty() && options::switch(&set).unwrap_or(true);
    is_set || arguments.iter().any(|argument| argument == "--json")
}

fn context(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

/// The option that is shown as `--name <VALUE>`.
fn find<'a>(command: &'a Command, shown: &str) -> Option<&'a Arg> {
    let name = shown.strip_prefix("--")?;
    let name = name.split([' ', '=', '[']).next()?;
    let commands = std::iter::once(command).chain(command.get_subcommands());
    let mut arguments = commands.flat_map(Command::get_arguments);
    arguments.find(|arg| arg.get_long() == Some(name))
}
