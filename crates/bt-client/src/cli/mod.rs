//! The `bt-client` program: reads the command line, runs one command, and ends with the exit code
//! that the manual promises. Commands see the session and the crates below as any user of the
//! library does, but for the private dialer through which `fetch.rs` gets torrents; nothing below
//! may know this room.

mod args;
mod checking;
mod compare;
mod config;
mod create;
mod demo;
mod demo_report;
mod download;
mod events;
mod exit;
mod fetch;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod goal;
mod home;
mod interface;
mod magnet;
mod manual;
mod network;
mod origin;
mod output;
mod piece_map;
mod progress;
mod report;
mod sample;
mod screen;
mod seed;
mod select;
mod show;
mod signals;
mod source;
mod units;
mod verify;
mod watch;

use std::ffi::OsString;
use std::panic;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::CommandFactory as _;
use tracing_subscriber::EnvFilter;

use self::args::{Cli, Global, Parsed, Task};
use self::exit::Exit;
use self::manual::Printed;
use self::progress::Progress;
use self::report::{Failure, Outcome, Report};
use self::screen::{LogWriter, Screen};
use self::signals::{Stop, StopReason};
use crate::contain::{self, Bug, Bugs};

/// How long blocking work may go on after a command has returned.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) report: Report,
    pub(crate) stop: Stop,
    /// Where state is kept, if anywhere.
    pub(crate) state: Option<PathBuf>,
    screen: Arc<Screen>,
    show_progress: bool,
}

impl Context {
    /// How a command ends that was asked to stop and left its work undone.
    pub(crate) fn stopped(&self) -> Exit {
        self.stop.reason().map_or(Exit::Other, StopReason::exit)
    }

    /// Progress on standard error, or silence, as the user wants it.
    pub(crate) fn progress(&self) -> Progress {
        Progress::new(Arc::clone(&self.screen), self.show_progress)
    }
}

/// Runs the program with these arguments, of which the first is its own name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let screen = Arc::new(Screen::new());
    report_panics(&screen);
    let exit = Bugs::default().catch(|| run_once(&args, &screen));
    let exit = exit.unwrap_or_else(|bug| {
        let stop = Stop::new();
        let report = Report::new(args::wants_json(&args), false, screen, stop);
        end(&report, Err(internal(bug.cause())))
    });
    exit.into()
}

fn run_once(args: &[OsString], screen: &Arc<Screen>) -> Exit {
    let stop = Stop::new();
    let early = |json| Report::new(json, false, Arc::clone(screen), stop.clone());
    let (cli, origins) = match args::parse(args) {
        Ok(Parsed::Run(cli, origins)) => (cli, origins),
        Ok(Parsed::Print(text)) => {
            let (report, text) = (early(args::wants_json(args)), text.trim_end());
            report.lines(text.lines());
            report.emit(&Printed { text });
            return end(&report, Ok(Exit::Success));
        }
        Err(failure) => return end(&early(args::wants_json(args)), Err(failure)),
    };
    let global = &cli.global;
    let report = Report::new(global.json, global.quiet, Arc::clone(screen), stop.clone());
    for name in config::strangers(&Cli::command(), std::env::vars_os().map(|(name, _)| name)) {
        report.caution(&format!(
            "{name} is no option of this program; --help of a command names its options"
        ));
    }
    let context = Context {
        report: report.clone(),
        stop,
        state: home::folder(global.home.as_deref(), args::environment_path),
        screen: Arc::clone(screen),
        show_progress: !(global.json || global.quiet || global.no_progress),
    };
    let outcome = start_log(global, screen).and_then(|()| with_runtime(*cli, &context));
    end(&report, outcome.map_err(|failure| origins.blame(failure)))
}

/// Says the last words and settles the exit code.
fn end(report: &Report, outcome: Outcome) -> Exit {
    let outcome = outcome.and_then(|exit| report.finish().map(|()| exit));
    match outcome {
        Ok(exit) => exit,
        Err(failure) => {
            report.failure(&failure);
            failure.exit()
        }
    }
}

fn with_runtime(cli: Cli, context: &Context) -> Outcome {
    let trouble =
        |error: &std::io::Error| Failure::new(Exit::Other, "cannot start the runtime").cause(error);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| trouble(&error))?;
    let outcome = runtime.block_on(async {
        context
            .stop
            .listen(&context.screen)
            .map_err(|error| trouble(&error))?;
        dispatch(cli.command, context).await
    });
    runtime.shutdown_timeout(LAST_BREATH);
    outcome
}

async fn dispatch(task: Task, context: &Context) -> Outcome {
    match task {
        Task::Create(args) => create::run(&args, context),
        Task::Show(args) => show::run(&args, context).await,
        Task::Verify(args) => verify::run(&args, context).await,
        Task::Magnet(args) => magnet::run(&args, context).await,
        Task::Seed(args) => seed::run(&args, context).await,
        Task::Download(args) => download::run(&args, context).await,
        Task::Demo(args) => demo::run(&args, context).await,
        Task::Man(args) => manual::man(&args, context),
        Task::Completions(args) => manual::completions(&args, context),
    }
}

/// Sends the log to standard error.
fn start_log(global: &Global, screen: &Arc<Screen>) -> Result<(), Failure> {
    let level = match global.verbose {
        _ if global.quiet => "off",
        // What matters of warnings is told as events, in our own words.
        0 => "error",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_new(global.log.as_deref().unwrap_or(level)).map_err(|error| {
        Failure::new(Exit::Usage, "--log is not a filter")
            .of(&["log"])
            .cause(&error)
            .hint("for example --log info or --log bt_client=debug,bt_tracker=info")
    })?;
    let writer = LogWriter(Arc::clone(screen));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would say so on standard error, of all places, and panic when nobody reads there any more.
        .log_internal_errors(false)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .try_init()
        .map_err(|error| Failure::new(Exit::Other, "cannot start the log").cause(&*error))
}

/// A bug of ours, in the form of all errors.
pub(crate) fn internal(cause: &str) -> Failure {
    Failure::new(Exit::Other, "a bug of this program")
        .because(cause)
        .hint(Bug::HINT)
}

/// A bug of ours is reported in the form of all errors, without a dump. Where somebody tells of it who knows what it has
/// ended, only the log has the place; what ends unseen is told here.
fn report_panics(screen: &Arc<Screen>) {
    let screen = Arc::clone(screen);
    panic::set_hook(Box::new(move |info| {
        let what = info.payload_as_str().unwrap_or("it left no message");
        let at = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::warn!(at, what, "a bug of this program");
        if !contain::is_watched() {
            screen.line(&internal(what).to_string());
        }
    }));
}

#[cfg(test)]
mod tests {
    use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};

    #[test]
    fn a_bug_is_told_like_every_other_error() {
        let text = super::internal("index 7 of\u{7} 3").to_string();
        let told = "error: a bug of this program\n  cause: index 7 of\\u{7} 3\n  hint: please";
        assert!(text.starts_with(told), "{text}");
    }

    /// A filter that asks for levels which are not compiled in complains in color, whether there is a terminal or not.
    #[test]
    fn every_level_can_be_logged() {
        assert_eq!(STATIC_MAX_LEVEL, LevelFilter::TRACE);
    }
}
