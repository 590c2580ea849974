//! The command line: flags, environment and configuration file in, a running server out.
//!
//! It must not know how anything is tracked; the library does not know that it exists. Only this
//! room prints.

mod config_file;
mod dump;
mod failure;
#[cfg(any(test, feature = "fuzz"))]
#[allow(dead_code, reason = "the program itself has no use for it")]
pub(crate) mod fuzz;
mod manual;
mod probe;
mod serve;
mod settings;
mod systemd;
mod top;
mod units;
mod usage;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use dump::Dump;
use failure::{Failure, Printable};
use manual::{Completions, Man};
use probe::Probe;
use settings::Settings;
use top::Top;
use usage::Parsed;

/// A BitTorrent tracker, open or closed, and a publisher of .torrent files.
#[derive(Debug, Parser)]
#[command(
    name = "bt-tracker",
    version,
    propagate_version = true,
    args_conflicts_with_subcommands = false
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print one JSON object a line on standard output, and logs as JSON
    #[arg(long, global = true, env = "BT_TRACKER_JSON")]
    json: bool,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Log only warnings; twice for errors only
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    quiet: u8,
    /// What to log, such as `debug` or `bt_tracker=trace`
    #[arg(long, global = true, env = "BT_TRACKER_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How logs are written [default: text, or json with --json]
    #[arg(
        long,
        global = true,
        env = "BT_TRACKER_LOG_FORMAT",
        value_name = "FORMAT"
    )]
    log_format: Option<LogFormat>,
    /// A TOML file with these settings; flags and environment win over it
    #[arg(
        short,
        long,
        global = true,
        env = "BT_TRACKER_CONFIG",
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// The form of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// An object a line, for programs
    Json,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Track until asked to stop (the default command)
    Serve,
    /// Print all settings in force, in the form of the configuration file
    PrintConfig,
    /// Read all settings, the list and the torrents, and say what is wrong with them
    CheckConfig,
    /// Announce and scrape like a peer at any tracker, and say what it answers
    Probe(Probe),
    /// Watch a running tracker
    Top(Top),
    /// Print what is in a snapshot of swarms
    Dump(Dump),
    /// Print the manual page
    Man(Man),
    /// Print what completes commands and flags in a shell
    Completions(Completions),
}

/// Carries out the command line. Returns the exit code.
pub(crate) fn run() -> u8 {
    let args: Vec<OsString> = std::env::args_os().collect();
    let cli = match usage::parse(&args) {
        Ok(Parsed::Run(cli)) => *cli,
        Ok(Parsed::Print(text)) => {
            print_text(&text, usage::wants_json(&args));
            return 0;
        }
        Err(failure) => return failure.report(usage::wants_json(&args)),
    };
    let json = cli.json;
    match carry_out(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(json),
    }
}

fn carry_out(cli: Cli) -> Result<u8, Failure> {
    log(&cli)?;
    for name in strangers(std::env::vars_os().map(|(name, _)| name)) {
        tracing::warn!("{name} is no setting of this program; --help names them all");
    }
    let from_file = match &cli.config {
        Some(path) => config_file::read(path)?,
        None => Settings::default(),
    };
    let (own, config) = (cli.settings.clone(), cli.config);
    let settings = cli.settings.or(from_file);
    let blame = |failure: Failure| match &config {
        // What was typed is fine by itself, so that the fault is in the file.
        Some(path) if failure.is_usage() && !serve::misuses(&own) => failure.in_file(path),
        _ => failure,
    };
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::serve(&settings, cli.json).map_err(blame),
        Command::Probe(probe) => probe.run(cli.json),
        Command::Top(top) => top.run(&settings, cli.json),
        Command::Dump(dump) => dump.run(&settings, cli.json),
        Command::Man(man) => man.run(cli.json),
        Command::Completions(completions) => Ok(completions.run(cli.json)),
        Command::PrintConfig => {
            let settings = settings.in_force().redacted();
            let text = if cli.json {
                config_file::json(&settings)
            } else {
                config_file::toml(&settings)
            };
            print(&text?);
            Ok(0)
        }
        Command::CheckConfig => {
            serve::check(&settings).map_err(blame)?;
            let fine = if cli.json {
                json!({"event": "config", "ok": true}).to_string()
            } else {
                "the configuration is fine".into()
            };
            print(&fine);
            Ok(0)
        }
    }
}

/// The variables that look like settings of this program and are none: most likely mistyped.
fn strangers(variables: impl Iterator<Item = OsString>) -> Vec<String> {
    let command = Cli::command();
    let known: Vec<_> = command
        .get_arguments()
        .filter_map(|arg| arg.get_env())
        .collect();
    let ours = variables.filter(|name| name.as_encoded_bytes().starts_with(b"BT_TRACKER_"));
    let strange = ours.filter(|name| !known.contains(&name.as_os_str()));
    strange
        .map(|name| Printable(&name.to_string_lossy()).to_string())
        .collect()
}

fn log(cli: &Cli) -> Result<(), Failure> {
    let level = match i16::from(cli.verbose) - i16::from(cli.quiet) {
        ..=-2 => "error",
        -1 => "warn",
        0 => "info",
        1 => "debug",
        2.. => "trace",
    };
    let filter = EnvFilter::try_new(cli.log.as_deref().unwrap_or(level))
        .map_err(|error| Failure::usage("--log is not a filter").cause(&error))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let format = cli.log_format;
    if format == Some(LogFormat::Json) || cli.json && format.is_none() {
        builder.json().init();
    } else {
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        builder.with_ansi(is_terminal).with_target(false).init();
    }
    Ok(())
}

/// Prints text for people, of any length.
fn print_text(text: &str, json: bool) {
    if json {
        print(&json!({ "text": text }).to_string());
    } else {
        print(text);
    }
}

/// Prints a line on standard output. Whoever closed it does not want to read it.
fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", line.trim_end_matches('\n')).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_are_no_settings_are_named_and_others_are_not() {
        let of = |names: &[&str]| strangers(names.iter().map(|name| (*name).into()));
        assert!(
            of(&[
                "BT_TRACKER_HTTP",
                "BT_TRACKER_LOG_FORMAT",
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
