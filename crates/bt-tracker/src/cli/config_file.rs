//! The configuration file: TOML, whose keys are the long names of the options and whose values are
//! read as if they had been typed. Names that are none are refused.

use std::collections::BTreeMap;
use std::path::Path;

use bt_tracker::limits::MAX_CONFIG_FILE;
use bt_tracker::server;
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::{Spanned, Value};

use super::failure::Failure;
use super::options;
use super::settings::Settings;
use super::usage;

/// Options that say where the file is cannot stand in it, nor may secrets, which have files of their
/// own.
const NOT_IN_FILE: [&str; 5] = ["config", "help", "version", "admin-token", "upload-token"];

/// What a file says.
pub(super) struct ConfigFile {
    /// Ids of options, each with the words that one would type.
    values: Vec<(String, Vec<String>)>,
}

impl ConfigFile {
    /// Reads a file. Every value is tried, whether it will be outweighed or not.
    pub(super) fn read(path: &Path, command: &Command) -> Result<Self, Failure> {
        let text = server::read_bounded_text(path, MAX_CONFIG_FILE).map_err(|error| {
            Failure::bad_input(format!(
                "cannot read the configuration file {}",
                path.display()
            ))
            .cause(&error)
            .hint("--config or BT_TRACKER_CONFIG names it")
        })?;
        Self::parse(&text, path, command)
    }

    /// The same of the text of a file.
    pub(super) fn parse(text: &str, path: &Path, command: &Command) -> Result<Self, Failure> {
        let nonsense = |problem: String| {
            let what = format!("the configuration file {} makes no sense", path.display());
            Failure::bad_input(what)
                .because(problem)
                .hint("bt-tracker print-config shows every setting with its value")
        };
        let table: BTreeMap<Spanned<String>, Value> =
            toml::from_str(text).map_err(|error| nonsense(place(text, &error)))?;
        let mut lines: Vec<_> = table.into_iter().collect();
        lines.sort_by_key(|(name, _)| name.span().start);
        let mut values = Vec::new();
        for (name, value) in lines {
            let before = text.get(..name.span().start).unwrap_or_default();
            let line = 1 + before.matches('\n').count();
            let name = name.into_inner();
            let known = option(command, &name)
                .ok_or_else(|| nonsense(format!("line {line}: unknown key \"{name}\"")))?;
            let words = words(&value, known)
                .and_then(|words| try_out(command, known, &words).map(|()| words))
                .map_err(|problem| nonsense(format!("line {line}, {name}: {problem}")))?;
            values.push((known.get_id().to_string(), words));
        }
        Ok(Self { values })
    }

    /// Makes what the file says the defaults of `command`, except where something given contradicts
    /// it.
    pub(super) fn beneath(self, command: Command, given: &ArgMatches) -> Command {
        let gives_way = options::contradicted(&command, given);
        let takes = |id: &String| !gives_way.iter().any(|other| other.as_str() == id);
        let values = self.values.into_iter().filter(|(id, _)| takes(id));
        values.fold(command, |command, (id, words)| with(command, &id, words))
    }
}

fn with(command: Command, id: &str, words: Vec<String>) -> Command {
    command.mut_arg(id, |arg| arg.default_values(words))
}

/// The option of this name that a file may set.
fn option<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    let mut arguments = command.get_arguments();
    let found = arguments.find(|arg| arg.get_long() == Some(name));
    found.filter(|_| !NOT_IN_FILE.contains(&name))
}

/// A value as the words that one would type.
fn words(value: &Value, arg: &Arg) -> Result<Vec<String>, String> {
    let is_switch = matches!(arg.get_action(), ArgAction::Count)
        || arg.get_value_parser().type_id() == std::any::TypeId::of::<bool>();
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(is_yes) if is_switch => Ok(is_yes.to_string()),
        Value::Boolean(_) => Err("it is no switch, so it cannot be true or false".to_owned()),
        Value::Array(_) => Err("expected one value, found a list".to_owned()),
        Value::Datetime(_) | Value::Table(_) => {
            Err("expected a text, a number, a switch or a list".to_owned())
        }
    };
    match value {
        Value::Array(list) if matches!(arg.get_action(), ArgAction::Append) => {
            list.iter().map(one).collect()
        }
        value => one(value).map(|word| vec![word]),
    }
}

/// Whether the option takes these words.
fn try_out(command: &Command, arg: &Arg, words: &[String]) -> Result<(), String> {
    let id = arg.get_id().as_str();
    let tried = with(command.clone(), id, words.to_vec());
    match tried.try_get_matches_from([command.get_name()]) {
        Ok(_) => Ok(()),
        Err(error) => Err(usage::reason(&error).unwrap_or("a value is required".into())),
    }
}

/// What is not TOML, in which line and with which setting, but not the line: a password may stand
/// there.
fn place(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim_end();
    let Some((before, after)) = error
        .span()
        .and_then(|span| text.split_at_checked(span.start))
    else {
        return message.to_owned();
    };
    let line = 1 + before.matches('\n').count();
    let begun = before.rsplit('\n').next().unwrap_or_default();
    let rest = after.lines().next().unwrap_or_default();
    let whole = format!("{begun}{rest}");
    let is_name = |name: &&str| {
        let mut signs = name.chars();
        !name.is_empty() && signs.all(|sign| sign.is_ascii_alphanumeric() || "-_".contains(sign))
    };
    let name = whole.split_once('=').map(|(name, _)| name.trim());
    match name.filter(is_name) {
        Some(name) => format!("line {line}, {name}: {message}"),
        None => format!("line {line}: {message}"),
    }
}

pub(super) fn toml(settings: &Settings) -> Result<String, Failure> {
    toml::to_string(settings)
        .map_err(|error| Failure::other("cannot show the settings").cause(&error))
}

pub(super) fn json(settings: &Settings) -> Result<String, Failure> {
    serde_json::to_string(settings)
        .map_err(|error| Failure::other("cannot show the settings").cause(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads this text as a file, and gives what it makes of an option.
    fn read(text: &str, id: &str) -> Result<Vec<String>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let command = options::command();
        let read = ConfigFile::read(file.path(), &command).map_err(|failure| failure.message())?;
        let command = read.beneath(command, &ArgMatches::default());
        let matches = command.try_get_matches_from(["bt-tracker"]).unwrap();
        let raw = matches.get_raw(id).into_iter().flatten();
        Ok(raw
            .map(|word| word.to_string_lossy().into_owned())
            .collect())
    }

    #[test]
    fn every_option_is_a_key_of_the_file_but_for_secrets_and_the_file_itself() {
        let command = options::command();
        let mut keys = 0;
        for arg in command.get_arguments() {
            let long = arg.get_long().unwrap();
            let said = read(&format!("{long} = {{ }}\n"), "mode").unwrap_err();
            let is_key = said.contains(&format!("line 1, {long}: expected a text"));
            assert_eq!(is_key, !NOT_IN_FILE.contains(&long), "{said}");
            keys += usize::from(is_key);
        }
        assert!(keys > 40, "{keys}");
    }

    #[test]
    fn values_are_read_as_if_they_had_been_typed() {
        for (text, id, words) in [
            ("http = \":6969\"", "http", &[":6969"][..]),
            (
                "http = [\":1\", \"localhost:2\"]",
                "http",
                &[":1", "localhost:2"],
            ),
            ("http = []", "http", &[]),
            ("interval = 10", "interval", &["10"]),
            ("interval = \"1h30m\"", "interval", &["1h30m"]),
            ("workers = \"2\"", "workers", &["2"]),
            ("json = true", "json", &["true"]),
            ("json = \"on\"", "json", &["on"]),
            ("verbose = 2", "verbose", &["2"]),
            ("quiet = true", "quiet", &["true"]),
            ("no-peer-ids = 1", "no_peer_ids", &["1"]),
            ("log-format = \"json\"", "log_format", &["json"]),
        ] {
            assert_eq!(read(text, id).unwrap(), words, "{text}");
        }
        for (text, says) in [
            (
                "\nworkers = \"x\"",
                "line 2, workers: expected a whole number",
            ),
            (
                "workers = [2]",
                "line 1, workers: expected one value, found a list",
            ),
            ("list = true", "line 1, list: it is no switch"),
            ("list = \"\"", "line 1, list: a value is required"),
            ("mode = 5", "line 1, mode: expected one of open, allow-list"),
            ("json = \"maybe\"", "line 1, json: expected yes or no"),
            (
                "max-numwant = -1",
                "line 1, max-numwant: expected a number from 0 to 4294967295",
            ),
        ] {
            let said = read(text, "mode").unwrap_err();
            assert!(said.contains(says), "{text}: {said}");
        }
    }
}
