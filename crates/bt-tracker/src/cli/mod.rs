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
mod listen;
mod manual;
mod options;
mod output;
mod probe;
mod serve;
mod settings;
mod systemd;
mod top;
mod units;
mod usage;

use std::ffi::OsString;
use std::panic::{self, PanicHookInfo};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use dump::Dump;
use failure::{Failure, Printable};
use manual::{Completions, Man};
use output::Reader;
use probe::Probe;
use settings::Settings;
use top::Top;
use usage::{Given, Parsed};

/// Bugs that are met are logged so far apart, at least.
const PANIC_LOG_PAUSE: Duration = Duration::from_secs(1);

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
    #[arg(long, global = true)]
    json: bool,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Log only warnings; twice for errors only
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "verbose")]
    quiet: u8,
    /// What to log, such as `debug` or `bt_tracker=trace`
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// How logs are written [default: text, or json with --json]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// A TOML file with these settings; flags and environment win over it
    #[arg(short, long, global = true, value_name = "FILE")]
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
    panic::set_hook(Box::new(log_panic));
    panic::catch_unwind(|| run_once(&args)).unwrap_or_else(|thrown| {
        let words = thrown.downcast_ref::<&str>().copied();
        let words = words.or_else(|| thrown.downcast_ref::<String>().map(String::as_str));
        let failure = Failure::other("a bug of this program")
            .because(words.unwrap_or("it left no message"))
            .hint("please report it, with what you did");
        failure.report(usage::wants_json(&args))
    })
}

/// People get words; whoever looks for the mistake gets the place. A bug that strangers can run into at will must not fill the
/// disk with it: `panics_total` counts them all.
fn log_panic(info: &PanicHookInfo<'_>) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    {
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if last.is_some_and(|last| now.saturating_duration_since(last) < PANIC_LOG_PAUSE) {
            return;
        }
        *last = Some(now);
    }
    let what = info.payload_as_str().unwrap_or("it left no message");
    let at = info.location().map(ToString::to_string);
    tracing::error!(at, what, "a bug of this program; please report it");
}

fn run_once(args: &[OsString]) -> u8 {
    let given = match usage::parse(args) {
        Ok(Parsed::Run(given)) => *given,
        Ok(Parsed::Print(text)) => {
            let json = usage::wants_json(args);
            return print_text(&text, json).map_or_else(|failure| failure.report(json), |_| 0);
        }
        Err(failure) => return failure.report(usage::wants_json(args)),
    };
    let json = given.cli.json;
    match carry_out(given) {
        Ok(code) => code,
        Err(failure) => failure.report(json),
    }
}

fn carry_out(given: Given) -> Result<u8, Failure> {
    let Given {
        cli,
        own,
        environment,
        doubts,
    } = given;
    log(&cli)?;
    for name in options::strangers(std::env::vars_os().map(|(name, _)| name)) {
        tracing::warn!("{name} is no setting of this program; --help names them all");
    }
    for doubt in doubts {
        tracing::warn!("{}", Printable(&doubt));
    }
    let (settings, config) = (cli.settings, cli.config);
    let blame = |failure: Failure| match &config {
        // What was typed is fine by itself, or wrong in another way, so that the fault is in the file.
        Some(path) if failure.is_usage() && !serve::misuses(&own, &failure) => {
            failure.in_file(path)
        }
        _ => failure.in_environment(&environment),
    };
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::serve(&settings, cli.json).map_err(blame),
        Command::Probe(probe) => probe.run(cli.json),
        Command::Top(top) => top.run(&settings, cli.json),
        Command::Dump(dump) => dump.run(&settings, cli.json),
        Command::Man(man) => man.run(cli.json),
        Command::Completions(completions) => completions.run(cli.json),
        Command::PrintConfig => {
            let settings = settings.in_force().redacted();
            let text = if cli.json {
                config_file::json(&settings)
            } else {
                config_file::toml(&settings)
            };
            output::line(&text?)?;
            Ok(0)
        }
        Command::CheckConfig => {
            serve::check(&settings).map_err(blame)?;
            let fine = if cli.json {
                json!({"event": "config", "ok": true}).to_string()
            } else {
                "the configuration is fine".into()
            };
            output::line(&fine)?;
            Ok(0)
        }
    }
}

fn log(cli: &Cli) -> Result<(), Failure> {
    let level = match i16::from(cli.verbose) - i16::from(cli.quiet) {
        ..=-2 => "error",
        -1 => "warn",
        0 => "info",
        1 => "debug",
        2.. => "trace",
    };
    let filter = EnvFilter::try_new(cli.log.as_deref().unwrap_or(level)).map_err(|error| {
        Failure::usage("--log is not a filter")
            .cause(&error)
            .hint("for example --log debug or --log bt_tracker=trace")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would say so on standard error, of all places, and panic when nobody reads there any more.
        .log_internal_errors(false)
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
fn print_text(text: &str, json: bool) -> Result<Reader, Failure> {
    if json {
        output::line(&json!({ "text": text }).to_string())
    } else {
        output::line(text)
    }
}
