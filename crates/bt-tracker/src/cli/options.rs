//! What holds for every option alike: its environment variable, the words that its switch takes,
//! and that it gives way to what contradicts it and was said by somebody with more weight. None is
//! named here, so that none can be forgotten.
//!
//! It must not know what an option means.

use std::any::TypeId;
use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, Id};

use super::Cli;
use super::failure::Printable;

/// Under which heading help shows the settings of the server.
pub(super) const SETTINGS: &str = "Settings";

/// What every environment variable starts with.
const PREFIX: &str = "BT_TRACKER_";

/// Numbers of TOML end there.
const MOST_IN_FILE: u64 = i64::MAX.unsigned_abs();

/// The subcommand that prints help.
pub(super) const HELP: &str = "help";

/// Which command the help is about.
pub(super) const HELP_ABOUT: &str = "about";

/// The command line as data, without environment and file.
pub(super) fn command() -> Command {
    let read = |arg: Arg| match arg.get_action() {
        ArgAction::SetTrue => arg.value_parser(switch),
        ArgAction::Count => arg.value_parser(times),
        // What the command line takes, the file has to be able to say.
        _ if arg.get_value_parser().type_id() == TypeId::of::<usize>() => {
            arg.value_parser(RangedU64ValueParser::<usize>::new().range(..=MOST_IN_FILE))
        }
        _ => arg,
    };
    let command = Cli::command();
    let names: Vec<_> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    // The one that the parser would add takes no global options.
    let help = Command::new(HELP)
        .about("Print the help of the program, or of a command")
        .arg(
            Arg::new(HELP_ABOUT)
                .value_name("COMMAND")
                .value_parser(PossibleValuesParser::new(names)),
        );
    command
        .mut_args(read)
        .mut_subcommands(|sub| sub.mut_args(read))
        .disable_help_subcommand(true)
        .subcommand(help)
}

/// Gives every option its environment variable. An empty variable counts as not set, since that is
/// how service managers unset one. `typed` is what the command line says: a variable gives way to
/// what contradicts it there.
pub(super) fn with_environment(command: Command, typed: &ArgMatches) -> Command {
    let gives_way = contradicted(&command, typed);
    let add = |arg: Arg| {
        let Some(name) = arg.get_long().map(variable) else {
            return arg;
        };
        let is_count = matches!(arg.get_action(), ArgAction::Count);
        // Not at all says nothing, like an empty variable.
        let says_nothing = |value: OsString| {
            let is_none = |text: &str| times(text) == Ok(0);
            value.is_empty() || is_count && value.to_str().is_some_and(is_none)
        };
        if std::env::var_os(&name).is_some_and(says_nothing) || gives_way.contains(arg.get_id()) {
            arg
        } else {
            arg.env(name)
        }
    };
    command
        .mut_args(add)
        .mut_subcommands(|sub| sub.mut_args(add))
}

/// For people to read: commands that do not serve show no settings of the server but the one that they go by. They take
/// them all the same, as from a file or an environment that is also the server's.
pub(super) fn without_idle_settings(command: Command) -> Command {
    let is_setting = |arg: &&Arg| arg.get_help_heading() == Some(SETTINGS);
    let settings: Vec<Arg> = command
        .get_arguments()
        .filter(is_setting)
        .cloned()
        .collect();
    let hide = |sub: Command, but: Option<&str>| {
        let idle = settings.iter().filter(|arg| arg.get_long() != but);
        // An option that a command has by itself is not replaced by that of the whole program.
        sub.args(idle.map(|arg| arg.clone().hide(true)))
            .after_help("bt-tracker serve --help names the settings of the server.")
    };
    command.mut_subcommands(|sub| match sub.get_name() {
        "probe" | "man" | "completions" => hide(sub, None),
        "top" => hide(sub, Some("stats-addr")),
        "dump" => hide(sub, Some("snapshot")),
        _ => sub,
    })
}

/// `max-numwant` → `BT_TRACKER_MAX_NUMWANT`.
pub(super) fn variable(long: &str) -> String {
    format!("{PREFIX}{}", long.replace('-', "_").to_ascii_uppercase())
}

/// Options that something given contradicts.
pub(super) fn contradicted(command: &Command, given: &ArgMatches) -> BTreeSet<Id> {
    let mut found = BTreeSet::new();
    for arg in command.get_arguments() {
        for other in command.get_arg_conflicts_with(arg) {
            if weight(other.get_id().as_str(), given) > 0 {
                found.insert(arg.get_id().clone());
            }
            if weight(arg.get_id().as_str(), given) > 0 {
                found.insert(other.get_id().clone());
            }
        }
    }
    found
}

/// Whose word on an option is taken before whose: that of the command line, of the environment, of
/// the file or nobody.
pub(super) fn weight(id: &str, given: &ArgMatches) -> u8 {
    let is_known = given.try_contains_id(id).is_ok();
    match is_known.then(|| given.value_source(id)).flatten() {
        Some(ValueSource::CommandLine) => 2,
        Some(ValueSource::EnvVariable) => 1,
        _ => 0,
    }
}

/// The options, by their long names, for which the environment speaks.
pub(super) fn of_environment(command: &Command, given: &ArgMatches) -> Vec<String> {
    let speaks = |arg: &&Arg| weight(arg.get_id().as_str(), given) == 1;
    let spoken = command.get_arguments().filter(speaks);
    spoken
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .collect()
}

/// The variables that look like settings of this program and are none: most likely mistyped.
pub(super) fn strangers(variables: impl Iterator<Item = OsString>) -> Vec<String> {
    let command = command();
    let commands = std::iter::once(&command).chain(command.get_subcommands());
    let options = commands.flat_map(Command::get_arguments);
    let known: BTreeSet<OsString> = options
        .filter_map(Arg::get_long)
        .map(|long| variable(long).into())
        .collect();
    let ours = variables.filter(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
    let strange = ours.filter(|name| !known.contains(name));
    strange
        .map(|name| Printable(&name.to_string_lossy()).to_string())
        .collect()
}

/// Yes or no, in the words that service managers and people use.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "t" | "true" | "on" | "1" => Ok(true),
        "n" | "no" | "f" | "false" | "off" | "0" => Ok(false),
        _ => Err("expected yes or no, on or off, true or false, 1 or 0".into()),
    }
}

/// How often a switch was given: a number, or yes for once.
fn times(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(times) => Ok(times),
        Err(_) => switch(text).map(u8::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        with_environment(command(), &ArgMatches::default()).debug_assert();
    }

    #[test]
    fn every_option_has_its_variable_and_every_setting_is_taken_on_both_sides_of_the_command() {
        let command = with_environment(command(), &ArgMatches::default());
        let commands = std::iter::once(&command).chain(command.get_subcommands());
        let mut count = 0;
        for arg in commands.flat_map(Command::get_arguments) {
            let Some(long) = arg.get_long() else { continue };
            let name = OsString::from(variable(long));
            assert_eq!(arg.get_env(), Some(name.as_os_str()), "--{long}");
            assert!(strangers([name].into_iter()).is_empty(), "--{long}");
            count += 1;
        }
        assert!(count > 40, "{count}");
        for arg in command.get_arguments() {
            assert!(arg.is_global_set(), "{arg}");
        }
    }

    #[test]
    fn help_of_commands_that_do_not_serve_shows_only_the_settings_that_they_go_by() {
        let mut command =
            without_idle_settings(with_environment(command(), &ArgMatches::default()));
        command.build();
        for (name, shown) in [
            ("probe", &[][..]),
            ("man", &[]),
            ("completions", &[]),
            ("top", &["stats-addr"]),
            ("dump", &["snapshot"]),
        ] {
            let sub = command.find_subcommand(name).unwrap();
            let settings = sub
                .get_arguments()
                .filter(|arg| arg.get_help_heading() == Some(SETTINGS));
            let seen: Vec<_> = settings
                .filter(|arg| !arg.is_hide_set())
                .filter_map(Arg::get_long)
                .collect();
            assert_eq!(seen, shown, "{name}");
        }
        let serve = command.find_subcommand("serve").unwrap();
        assert!(
            serve
                .get_arguments()
                .filter(|arg| !arg.is_hide_set())
                .count()
                > 40
        );
    }

    #[test]
    fn every_switch_takes_yes_and_no_in_every_word() {
        let command = command();
        let commands = std::iter::once(&command).chain(command.get_subcommands());
        let is_switch = |arg: &&Arg| matches!(arg.get_action(), ArgAction::SetTrue);
        let switches: Vec<Arg> = commands
            .flat_map(Command::get_arguments)
            .filter(is_switch)
            .cloned()
            .collect();
        assert!(switches.iter().any(|arg| arg.get_id() == "json"));
        for arg in switches {
            let id = arg.get_id().to_string();
            for (word, means) in [("1", true), ("YES", true), ("on", true), ("off", false)] {
                let alone = Command::new("alone").arg(arg.clone().default_value(word));
                let found = alone.try_get_matches_from(["alone"]).unwrap();
                assert_eq!(found.get_one(&id), Some(&means), "{id} {word}");
            }
        }
        assert_eq!(
            (times("2"), times("yes"), times("0")),
            (Ok(2), Ok(1), Ok(0))
        );
        assert!(switch("maybe").is_err() && times("debug").is_err());
    }

    #[test]
    fn variables_that_are_no_settings_are_named_and_others_are_not() {
        let of = |names: &[&str]| strangers(names.iter().map(|name| (*name).into()));
        assert!(
            of(&[
                "BT_TRACKER_HTTP",
                "BT_TRACKER_LOG_FORMAT",
                "BT_TRACKER_VERBOSE",
                "BT_CLIENT_X",
                "PATH"
            ])
            .is_empty()
        );
        assert_eq!(
            of(&["BT_TRACKER_MAX_NUMWNT", "BT_TRACKER_"]),
            ["BT_TRACKER_MAX_NUMWNT", "BT_TRACKER_"]
        );
        assert!(!of(&["BT_TRACKER_\x1b[2J"])[0].contains('\x1b'));
    }
}
