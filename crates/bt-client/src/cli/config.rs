//! Where options come from besides the command line: the environment and `config.toml`, both
//! turned into values of the one list of options, so that neither can know a name that the
//! command line does not. Order: command line, environment, file, default.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use clap::builder::BoolishValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Id};
use toml::{Table, Value};

use super::exit::Exit;
use super::origin::File;
use super::report::Failure;
use crate::limits::MAX_CONFIG_BYTES;

/// What every environment variable starts with.
const PREFIX: &str = "BT_CLIENT_";
/// Options that say where the file is cannot stand in it.
const NOT_IN_FILE: [&str; 4] = ["config", "home", "help", "version"];

/// Gives every option of `command` its environment variable. An empty variable counts as not set,
/// since that is how many service managers unset one. `typed` is what the command line says: a
/// variable gives way to what contradicts it there.
pub(crate) fn with_environment(command: Command, typed: &ArgMatches) -> Command {
    let taking_values = taking_values(&command);
    let add = move |arg: Arg, gives_way: &BTreeSet<Id>| {
        let Some((long, name)) = arg.get_long().map(|long| (long.to_owned(), variable(long)))
        else {
            return arg;
        };
        let value = std::env::var_os(&name).filter(|value| !value.is_empty());
        let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
        // `BT_CLIENT_FILES=1,3` is meant for the command that takes a list.
        let is_meant = value.is_some_and(|value| {
            !is_switch || !taking_values.contains(&long) || is_switch_word(&value)
        });
        let arg = match arg.get_action() {
            // So that BT_CLIENT_NO_TRACKERS=1 works as well as =true.
            ArgAction::SetTrue => arg.value_parser(BoolishValueParser::new()),
            _ => arg,
        };
        if is_meant && !gives_way.contains(arg.get_id()) {
            arg.env(name).hide_env(true)
        } else {
            arg
        }
    };
    let mut built = command.clone();
    built.build();
    let (of_all, of_sub) = match typed.subcommand() {
        Some((name, words)) => {
            let sub = built.find_subcommand(name);
            let of_sub = sub.map(|sub| contradicted(sub, words)).unwrap_or_default();
            (of_sub.clone(), of_sub)
        }
        None => (contradicted(&built, typed), BTreeSet::new()),
    };
    command
        .mut_args(|arg| add(arg, &of_all))
        .mut_subcommands(|sub| sub.mut_args(|arg| add(arg, &of_sub)))
}

/// Names of options that take a value in some command.
fn taking_values(command: &Command) -> BTreeSet<String> {
    let all = command
        .get_subcommands()
        .flat_map(Command::get_arguments)
        .filter(|arg| arg.get_action().takes_values());
    all.filter_map(Arg::get_long).map(str::to_owned).collect()
}

/// Whether a switch can be set to this.
fn is_switch_word(value: &OsStr) -> bool {
    let words = [
        "y", "yes", "t", "true", "on", "1", "n", "no", "f", "false", "off", "0",
    ];
    let value = value.to_string_lossy().to_lowercase();
    words.contains(&value.as_str())
}

/// Options that something given contradicts. `command` is built, so that it knows the global ones.
fn contradicted(command: &Command, given: &ArgMatches) -> BTreeSet<Id> {
    let mut found = BTreeSet::new();
    for arg in command.get_arguments() {
        for other in command.get_arg_conflicts_with(arg) {
            if is_given(other, given) {
                found.insert(arg.get_id().clone());
            }
            if is_given(arg, given) {
                found.insert(other.get_id().clone());
            }
        }
    }
    found
}

/// Whether the command line or the environment says something of this option.
fn is_given(arg: &Arg, given: &ArgMatches) -> bool {
    let id = arg.get_id().as_str();
    let source = given
        .try_contains_id(id)
        .ok()
        .and_then(|_| given.value_source(id));
    matches!(
        source,
        Some(ValueSource::CommandLine | ValueSource::EnvVariable)
    )
}

/// Variables that look like options of this program and are none: most likely mistyped.
pub(crate) fn strangers(
    command: &Command,
    variables: impl Iterator<Item = OsString>,
) -> Vec<String> {
    let known = self::variables(command);
    let ours = variables.filter(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
    let names = ours.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| !known.contains(name)).collect()
}

/// The variables of all options.
pub(crate) fn variables(command: &Command) -> BTreeSet<String> {
    let commands = std::iter::once(command).chain(command.get_subcommands());
    let options = commands.flat_map(Command::get_arguments);
    options.filter_map(Arg::get_long).map(variable).collect()
}

/// `piece-length` → `BT_CLIENT_PIECE_LENGTH`.
pub(crate) fn variable(long: &str) -> String {
    format!("{PREFIX}{}", long.replace('-', "_").to_ascii_uppercase())
}

/// Where the configuration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    path: PathBuf,
    /// The user named it, so that it must be there.
    named: bool,
}

impl Place {
    /// Applies the XDG rules; `variable` reads the environment. `None` when there is no home at all.
    pub(crate) fn find(
        config: Option<&Path>,
        home: Option<&Path>,
        variable: impl Fn(&str) -> Option<PathBuf>,
    ) -> Option<Self> {
        if let Some(path) = config {
            return Some(Self {
                path: path.to_owned(),
                named: true,
            });
        }
        let dir = match home {
            Some(home) => home.to_owned(),
            // The base directory specification: a relative path must be ignored.
            None => variable("XDG_CONFIG_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| Some(variable("HOME")?.join(".config")))?
                .join("bt-client"),
        };
        Some(Self {
            path: dir.join("config.toml"),
            named: false,
        })
    }
}

/// The configuration file; `None` when the user named none and there is none.
pub(crate) fn read(place: &Place) -> Result<Option<File>, Failure> {
    let Place { path, named } = place;
    let mut bytes = Vec::new();
    // One byte more than is allowed, and no more of what may never end.
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAX_CONFIG_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() as u64 > MAX_CONFIG_BYTES => {
            Err(bad(path, "this is no configuration file")
                .because(format!("it is longer than {MAX_CONFIG_BYTES} bytes")))
        }
        Ok(_) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(File {
                path: path.clone(),
                text,
            })),
            Err(error) => Err(bad(path, "cannot read the configuration").cause(&error)),
        },
        // A home that is no folder has no configuration either; some containers have such a one.
        Err(error)
            if !named && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(bad(path, "cannot read the configuration").cause(&error)),
    }
}

/// Makes the values of the file the defaults of `command`. Top-level keys are options of any
/// subcommand; a table named after a subcommand holds options of that one and wins. `given` is
/// what the command line and the environment say: an option gives way to what contradicts it there.
pub(crate) fn with_file(
    command: Command,
    path: &Path,
    text: &str,
    given: &ArgMatches,
) -> Result<Command, Failure> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error
            .span()
            .and_then(|span| text.get(..span.start))
            .unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        bad(path, &format!("line {line} is not valid TOML")).because(error.message())
    })?;
    let (tables, options): (Vec<_>, Vec<_>) =
        table.into_iter().partition(|(_, value)| value.is_table());
    let mut command = command;
    for (key, value) in options {
        // Options of one name may take different kinds of values in different commands: it is fine for those that take it.
        let words = |command: &Command| Some(values(path, &key, &value, option(command, &key)?));
        let commands = std::iter::once(&command).chain(command.get_subcommands());
        let all: Vec<_> = commands.filter_map(words).collect();
        let is_taken = all.iter().any(Result::is_ok);
        match all.into_iter().next() {
            None => return Err(unknown(path, &key, &command)),
            Some(Err(failure)) if !is_taken => return Err(failure),
            Some(_) => {}
        }
        let take = |sub: Command, given: &ArgMatches| match words(&sub) {
            Some(Ok(values)) => set(sub, &key, &values, given),
            Some(Err(_)) | None => sub,
        };
        command = take(command, given).mut_subcommands(|sub| with_given(sub, given, take));
    }
    for (name, value) in tables {
        let Some(sub) = command.find_subcommand(&name) else {
            return Err(unknown(path, &name, &command));
        };
        let mut settings = Vec::new();
        for (key, value) in value.as_table().into_iter().flatten() {
            let full = format!("{name}.{key}");
            let Some(arg) = option(sub, key) else {
                return Err(unknown(path, &full, sub));
            };
            settings.push((key.clone(), values(path, &full, value, arg)?));
        }
        command = command.mut_subcommand(&name, |sub| {
            with_given(sub, given, |sub, given| {
                settings
                    .iter()
                    .fold(sub, |sub, (key, values)| set(sub, key, values, given))
            })
        });
    }
    Ok(command)
}

/// Changes a subcommand if it is the one that runs; what the file says of others does not matter.
fn with_given(
    sub: Command,
    given: &ArgMatches,
    change: impl FnOnce(Command, &ArgMatches) -> Command,
) -> Command {
    match given.subcommand() {
        Some((name, given)) if name == sub.get_name() => change(sub, given),
        _ => sub,
    }
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
    let near = names
        .iter()
        .map(|name| (distance(name, last), name))
        .min()
        .filter(|(far, name)| is_near(last, name, *far));
    let failure = bad(path, &format!("unknown key \"{key}\""));
    match near {
        Some((_, name)) => failure.hint(format!("did you mean \"{name}\"?")),
        None => {
            failure.hint("keys are the long names of the options: see bt-client COMMAND --help")
        }
    }
}

/// Whether one of so many changes is likely to have been meant: short words are all alike, unless only their letters are
/// in another order.
fn is_near(word: &str, name: &str, far: usize) -> bool {
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    far <= 1 || far <= 2 && (word.len() > 5 || sorted(word) == sorted(name))
}

/// Options that the file may set.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        arg.get_long()
            .is_some_and(|long| !NOT_IN_FILE.contains(&long))
    })
}

fn option<'a>(command: &'a Command, key: &str) -> Option<&'a Arg> {
    options(command).find(|arg| arg.get_long() == Some(key))
}

/// Sets the default of one option, where the command has it and nothing given contradicts it.
fn set(command: Command, key: &str, values: &[String], given: &ArgMatches) -> Command {
    let mut built = command.clone();
    built.build();
    let Some(arg) = option(&built, key) else {
        return command;
    };
    if contradicted(&built, given).contains(arg.get_id()) {
        return command;
    }
    let id = arg.get_id().clone();
    if command.get_arguments().all(|own| *own.get_id() != id) {
        return command;
    }
    command.mut_arg(id, |arg| {
        arg.default_values(values.iter().map(OsStr::new).map(OsStr::to_owned))
    })
}

/// A TOML value as the words one would type.
fn values(path: &Path, key: &str, value: &Value, arg: &Arg) -> Result<Vec<String>, Failure> {
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    if is_switch != value.is_bool() {
        let what = if is_switch {
            "must be true or false"
        } else {
            "cannot be true or false"
        };
        return Err(bad(path, &format!("key \"{key}\" {what}")));
    }
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
    .ok_or_else(|| {
        bad(
            path,
            &format!("key \"{key}\" has a value of a kind that no option takes"),
        )
    })
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
    use super::{Place, distance, is_near, strangers, variable};
    use crate::cli::args::Cli;
    use clap::CommandFactory as _;
    use std::path::{Path, PathBuf};

    #[test]
    fn options_have_predictable_variables() {
        assert_eq!(variable("piece-length"), "BT_CLIENT_PIECE_LENGTH");
        assert_eq!(variable("v1"), "BT_CLIENT_V1");
    }

    #[test]
    fn variables_that_are_no_options_are_named_and_others_are_not() {
        let of = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).into());
            strangers(&Cli::command(), names)
        };
        let known = ["BT_CLIENT_JSON", "BT_CLIENT_HOME", "BT_CLIENT_MAX_PEERS"];
        assert!(of(&known).is_empty());
        assert!(of(&["BT_CLIENTX", "BT_TRACKER_X", "PATH"]).is_empty());
        assert_eq!(
            of(&["BT_CLIENT_JSN", "PATH", "BT_CLIENT_"]),
            ["BT_CLIENT_JSN", "BT_CLIENT_"]
        );
    }

    #[test]
    fn home_moves_it_and_xdg_is_followed() {
        let found = |config: Option<&str>, home: Option<&str>, xdg: Option<&str>| {
            let variable = |name: &str| match name {
                "HOME" => Some(PathBuf::from("/home/u")),
                "XDG_CONFIG_HOME" => xdg.map(PathBuf::from),
                _ => None,
            };
            let place = Place::find(config.map(Path::new), home.map(Path::new), variable).unwrap();
            (place.path.display().to_string(), place.named)
        };
        assert_eq!(
            found(None, None, None),
            ("/home/u/.config/bt-client/config.toml".to_owned(), false)
        );
        assert_eq!(
            found(None, None, Some("/etc/u")),
            ("/etc/u/bt-client/config.toml".to_owned(), false)
        );
        assert_eq!(found(None, None, Some("relative")), found(None, None, None));
        assert_eq!(
            found(None, Some("/h"), Some("/etc/u")),
            ("/h/config.toml".to_owned(), false)
        );
        assert_eq!(
            found(Some("my.toml"), Some("/h"), None),
            ("my.toml".to_owned(), true)
        );
        assert_eq!(Place::find(None, None, |_| None), None);
    }

    #[test]
    fn only_what_is_alike_is_suggested() {
        for (word, name, near) in [
            ("prot", "port", true),
            ("prt", "port", true),
            ("trackres", "tracker", true),
            ("foo", "log", false),
            ("path", "data", false),
        ] {
            let far = distance(name, word);
            assert_eq!(is_near(word, name, far), near, "{word} {name}");
        }
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("port", "port"), 0);
        assert_eq!(distance("port", "prot"), 2);
        assert_eq!(distance("", "abc"), 3);
    }
}
