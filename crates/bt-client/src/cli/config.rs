//! Where options come from besides the command line: the environment and `config.toml`, both
//! turned into values of the one list of options, so that neither can know a name that the
//! command line does not. Order: command line, environment, file, default.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::builder::FalseyValueParser;
use clap::{Arg, ArgAction, Command};
use toml::{Table, Value};

use super::exit::Exit;
use super::report::Failure;

/// What every environment variable starts with.
const PREFIX: &str = "BT_CLIENT_";
/// Options that say where the file is cannot stand in it.
const NOT_IN_FILE: [&str; 4] = ["config", "home", "help", "version"];

/// Gives every option of `command` its environment variable. An empty variable counts as not set,
/// since that is how many service managers unset one.
pub(crate) fn with_environment(command: Command) -> Command {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let add = move |arg: Arg| {
        let Some(name) = arg.get_long().map(variable) else { return arg };
        let arg = match arg.get_action() {
            // So that BT_CLIENT_NO_TRACKERS=1 works as well as =true.
            ArgAction::SetTrue => arg.value_parser(FalseyValueParser::new()),
            _ => arg,
        };
        if set(&name) { arg.env(name).hide_env(true) } else { arg }
    };
    command.mut_args(add).mut_subcommands(move |sub| sub.mut_args(add))
}

/// `piece-length` → `BT_CLIENT_PIECE_LENGTH`.
fn variable(long: &str) -> String {
    format!("{PREFIX}{}", long.replace('-', "_").to_ascii_uppercase())
}

/// The folders of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// `config.toml`, and whether the user named it.
    pub(crate) config: Option<(PathBuf, bool)>,
    /// Resume records; `None` when there is no home at all.
    pub(crate) state: Option<PathBuf>,
}

impl Places {
    /// Applies the XDG rules; `variable` reads the environment.
    pub(crate) fn find(
        config: Option<&Path>,
        home: Option<&Path>,
        variable: impl Fn(&str) -> Option<PathBuf>,
    ) -> Self {
        // The base directory specification: a relative path must be ignored.
        let xdg = |name: &str, below_home: &str| {
            variable(name)
                .filter(|path| path.is_absolute())
                .or_else(|| Some(variable("HOME")?.join(below_home)))
                .map(|base| base.join("bt-client"))
        };
        let default_config = match home {
            Some(home) => Some(home.join("config.toml")),
            None => xdg("XDG_CONFIG_HOME", ".config").map(|dir| dir.join("config.toml")),
        };
        Self {
            config: config.map(|path| (path.to_owned(), true)).or(default_config.map(|path| (path, false))),
            state: match home {
                Some(home) => Some(home.join("state")),
                None => xdg("XDG_STATE_HOME", ".local/state"),
            },
        }
    }
}

/// The text of the configuration file; `None` when the user named none and there is none.
pub(crate) fn read(places: &Places) -> Result<Option<(PathBuf, String)>, Failure> {
    let Some((path, named)) = &places.config else { return Ok(None) };
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.clone(), text))),
        Err(error) if !named && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(bad(path, "cannot read the configuration").cause(&error)),
    }
}

/// Makes the values of the file the defaults of `command`. Top-level keys are options of any
/// subcommand; a table named after a subcommand holds options of that one and wins.
pub(crate) fn with_file(command: Command, path: &Path, text: &str) -> Result<Command, Failure> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        bad(path, &format!("line {line} is not valid TOML")).because(error.message())
    })?;
    let (tables, options): (Vec<_>, Vec<_>) = table.into_iter().partition(|(_, value)| value.is_table());
    let mut command = command;
    for (key, value) in options {
        let values = values(path, &key, &value)?;
        let known = [&command].into_iter().chain(command.get_subcommands()).any(|c| knows(c, &key));
        if !known {
            return Err(unknown(path, &key, &command));
        }
        command = set(command, &key, &values).mut_subcommands(|sub| set(sub, &key, &values));
    }
    for (name, value) in tables {
        let Some(sub) = command.find_subcommand(&name) else {
            return Err(unknown(path, &name, &command));
        };
        let mut settings = Vec::new();
        for (key, value) in value.as_table().into_iter().flatten() {
            if !knows(sub, key) {
                return Err(unknown(path, &format!("{name}.{key}"), sub));
            }
            settings.push((key.clone(), values(path, &format!("{name}.{key}"), value)?));
        }
        command = command.mut_subcommand(&name, |sub| {
            settings.iter().fold(sub, |sub, (key, values)| set(sub, key, values))
        });
    }
    Ok(command)
}

/// A failure that names the file.
pub(crate) fn bad(path: &Path, what: &str) -> Failure {
    Failure::new(Exit::BadInput, format!("{}: {what}", path.display()))
}

/// The complaint about a key, with the nearest known one if it is near.
fn unknown(path: &Path, key: &str, command: &Command) -> Failure {
    let mut names: Vec<&str> = options(command).filter_map(Arg::get_long).collect();
    names.extend(command.get_subcommands().map(Command::get_name));
    for sub in command.get_subcommands() {
        names.extend(options(sub).filter_map(Arg::get_long));
    }
    let last = key.rsplit('.').next().unwrap_or(key);
    let near = names.iter().map(|name| (distance(name, last), name)).min().filter(|(far, _)| *far <= 2);
    let failure = bad(path, &format!("unknown key \"{key}\""));
    match near {
        Some((_, name)) => failure.hint(format!("did you mean \"{name}\"?")),
        None => failure.hint("keys are the long names of the options: see bt-client COMMAND --help"),
    }
}

/// Options that the file may set.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command
        .get_arguments()
        .filter(|arg| arg.get_long().is_some_and(|long| !NOT_IN_FILE.contains(&long)))
}

fn knows(command: &Command, key: &str) -> bool {
    options(command).any(|arg| arg.get_long() == Some(key))
}

/// Sets the default of one option, where the command has it.
fn set(command: Command, key: &str, values: &[String]) -> Command {
    let Some(id) = options(&command).find(|arg| arg.get_long() == Some(key)).map(|arg| arg.get_id().clone())
    else {
        return command;
    };
    command.mut_arg(id, |arg| arg.default_values(values.iter().map(OsStr::new).map(OsStr::to_owned)))
}

/// A TOML value as the words one would type.
fn values(path: &Path, key: &str, value: &Value) -> Result<Vec<String>, Failure> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    };
    match value {
        Value::Array(list) => list.iter().map(one).collect(),
        value => one(value).map(|text| vec![text]),
    }
    .ok_or_else(|| bad(path, &format!("key \"{key}\" has a value of a kind that no option takes")))
}

/// How many letters must be added, removed or changed to turn one word into the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let change = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::{Places, distance, variable};
    use std::path::{Path, PathBuf};

    #[test]
    fn options_have_predictable_variables() {
        assert_eq!(variable("piece-length"), "BT_CLIENT_PIECE_LENGTH");
        assert_eq!(variable("v1"), "BT_CLIENT_V1");
    }

    #[test]
    fn home_moves_everything_and_xdg_is_followed() {
        let none = |_: &str| None;
        let places = Places::find(None, Some(Path::new("/h")), none);
        assert_eq!(places.config, Some((PathBuf::from("/h/config.toml"), false)));
        assert_eq!(places.state, Some(PathBuf::from("/h/state")));

        let places = Places::find(Some(Path::new("my.toml")), None, none);
        assert_eq!(places.config, Some((PathBuf::from("my.toml"), true)));
        assert_eq!(places.state, None);

        let xdg = |name: &str| match name {
            "HOME" => Some(PathBuf::from("/home/u")),
            "XDG_STATE_HOME" => Some(PathBuf::from("relative/is/ignored")),
            "XDG_CONFIG_HOME" => Some(PathBuf::from("/etc/u")),
            _ => None,
        };
        let places = Places::find(None, None, xdg);
        assert_eq!(places.config, Some((PathBuf::from("/etc/u/bt-client/config.toml"), false)));
        assert_eq!(places.state, Some(PathBuf::from("/home/u/.local/state/bt-client")));
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("port", "port"), 0);
        assert_eq!(distance("port", "prot"), 2);
        assert_eq!(distance("", "abc"), 3);
    }
}
