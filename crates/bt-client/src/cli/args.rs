//! The command line as data: the options that all commands share and the list of commands.
//! Each command declares its own options beside its own code. Nothing here acts.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand,
};

use super::config::{self, Place};
use super::create::CreateArgs;
use super::demo::DemoArgs;
use super::download::DownloadArgs;
use super::exit::{self, Exit};
use super::magnet::MagnetArgs;
use super::manual::{CompletionsArgs, ManArgs};
use super::origin::{File, Origins};
use super::report::Failure;
use super::seed::SeedArgs;
use super::show::ShowArgs;
use super::units;
use super::verify::VerifyArgs;

/// What stands below the list of options of `bt-client --help`.
const AFTER_HELP: &str = "\
Every option is also an environment variable (--piece-length is BT_CLIENT_PIECE_LENGTH) and a
key of config.toml (piece-length = \"1MiB\", or below [create] for one command only).
Sizes: 512k = 512000, 512KiB = 524288, 1MiB, 2G. Rates: the same a second.
Durations: 30s, 5m, 2h, 1h30m.";

/// Share files with BitTorrent: make, look at, check, seed and download torrents.
#[derive(Debug, Parser)]
#[command(name = "bt-client", version, max_term_width = 100, after_long_help = after_help())]
#[command(
    arg_required_else_help = true,
    propagate_version = true,
    infer_long_args = false
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Task,
}

/// One variant a command.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    Create(CreateArgs),
    Show(ShowArgs),
    Verify(VerifyArgs),
    Magnet(MagnetArgs),
    Seed(SeedArgs),
    Download(DownloadArgs),
    Demo(DemoArgs),
    Man(ManArgs),
    Completions(CompletionsArgs),
}

/// Accepted before and after the command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Print one JSON object a line on standard output, and nothing else there
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Read options from this file instead of config.toml; flags and environment win over it
    #[arg(short = 'C', long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Keep config.toml and the state in this folder [default: bt-client in the XDG folders]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Log more: -v what happens, -vv why, -vvv everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Print nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log by this filter, such as bt_client=debug,bt_tracker=info
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// Show no progress
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
}

/// How to reach peers; the same for every command that does.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network options")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch on the command line"
)]
pub(crate) struct Network {
    /// Accept peers on this port; 0 takes any free one
    #[arg(short, long, value_name = "PORT", default_value_t = 0)]
    pub(crate) port: u16,
    /// Send and accept only through this local address, or the first one of this interface
    #[arg(long, value_name = "ADDR|IFACE")]
    pub(crate) bind: Option<String>,
    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,
    /// Use IPv6 only
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,
    /// Limit downloading to this many bytes a second
    #[arg(short, long, value_name = "RATE", value_parser = units::parse_rate)]
    pub(crate) down: Option<u64>,
    /// Limit uploading to this many bytes a second
    #[arg(short, long, value_name = "RATE", value_parser = units::parse_rate)]
    pub(crate) up: Option<u64>,
    /// Keep at most this many connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) max_peers: Option<u32>,
    /// Also connect to this peer; repeat or separate with commas
    #[arg(long, value_name = "IP:PORT", value_delimiter = ',', value_parser = units::parse_peer)]
    pub(crate) peer: Vec<SocketAddr>,
    /// Ask no tracker
    #[arg(long)]
    pub(crate) no_trackers: bool,
    /// Use no DHT. This version has none, so that nothing changes
    #[arg(long)]
    pub(crate) no_dht: bool,
    /// Exchange no peer lists with peers. This version never does, so that nothing changes
    #[arg(long)]
    pub(crate) no_pex: bool,
    /// Search no peers on the local network. This version never does, so that nothing changes
    #[arg(long)]
    pub(crate) no_lsd: bool,
    /// Use no uTP. This version speaks TCP only, so that nothing changes
    #[arg(long)]
    pub(crate) no_utp: bool,
    /// Ask no router to forward the port. This version never does, so that nothing changes
    #[arg(long)]
    pub(crate) no_portmap: bool,
    /// Use no TCP. This version has no other way to peers, so that this is refused
    #[arg(long)]
    pub(crate) no_tcp: bool,
    /// Encrypt peer connections: this version knows "off" only and refuses "prefer" and "require"
    #[arg(long, value_name = "MODE", default_value = "off")]
    #[arg(value_parser = PossibleValuesParser::new(["off", "prefer", "require"]))]
    pub(crate) encryption: String,
    /// Reach peers through a proxy. This version cannot, so that this is refused
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// Enter the DHT here. This version has no DHT, so that this is refused
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub(crate) dht_bootstrap: Vec<String>,
}

/// What came of reading the command line.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Do this.
    Run(Box<Cli>, Origins),
    /// Print this text of help or version.
    Print(String),
}

/// Values that are numbers or written like ones, by the names they have in the help.
const NUMBERS: [&str; 8] = ["N", "SIZE", "RATE", "DUR", "R", "EPOCH", "PORT", "LIST"];

/// All options, as they are read. A number below zero is a value that its option refuses, and no option of its own.
fn command() -> Command {
    let with_numbers = |arg: Arg| {
        let names = arg.get_value_names().unwrap_or_default();
        let is_number = matches!(names, [name] if NUMBERS.contains(&name.as_str()));
        match is_number {
            true => arg.allow_negative_numbers(true),
            false => arg,
        }
    };
    Cli::command()
        .mut_args(with_numbers)
        .mut_subcommands(|sub| sub.mut_args(with_numbers))
}

/// Reads the command line, the environment and the configuration file.
pub(crate) fn parse(args: &[OsString]) -> Result<Parsed, Failure> {
    // Mistakes are told below; here it matters only which options were typed.
    let typed = command().ignore_errors(true);
    let typed = typed.try_get_matches_from(args).unwrap_or_default();
    let command = config::with_environment(command(), &typed);
    let given = match command.clone().try_get_matches_from(args) {
        Ok(given) => given,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return Ok(Parsed::Print(error.render().to_string()));
        }
        // Behind a command too it is the version of the program.
        Err(error) if error.kind() == ErrorKind::DisplayVersion => {
            return Ok(Parsed::Print(Cli::command().render_version()));
        }
        Err(error) => {
            // What is given in the environment would show up in the usage as if it had to be typed.
            let typed = self::command().try_get_matches_from(args).err();
            let typed = typed.filter(|typed| typed.kind() == error.kind());
            return Err(typed.map_or_else(|| in_environment(&error), |typed| usage(&typed)));
        }
    };
    let first = read(&given).map_err(|error| usage(&error))?;
    let (config, home) = (first.global.config.as_deref(), first.global.home.as_deref());
    let place = Place::find(config, home, environment_path);
    let Some(file) = place.as_ref().map(config::read).transpose()?.flatten() else {
        return Ok(Parsed::Run(Box::new(first), Origins::new(None, given)));
    };
    let command = config::with_file(command, file.path(), &file.text, &given)?;
    // Without the file the words were fine, so that the fault is in the file.
    let again = command.try_get_matches_from(args).and_then(|matches| {
        let cli = read(&matches)?;
        Ok((cli, matches))
    });
    match again {
        Ok((cli, matches)) => Ok(Parsed::Run(
            Box::new(cli),
            Origins::new(Some(file), matches),
        )),
        Err(error) => Err(in_file(&file, given.subcommand_name(), &error)),
    }
}

/// The options as data. What the environment or the file say for all commands alike is no mistake where one has no use for
/// it.
pub(super) fn read(matches: &ArgMatches) -> Result<Cli, clap::Error> {
    let mut cli = Cli::from_arg_matches(matches)?;
    if let (Task::Seed(args), Some((_, matches))) = (&mut cli.command, matches.subcommand()) {
        let is_typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        args.forget_what_is_of_no_use(is_typed);
    }
    Ok(cli)
}

/// Whether JSON was asked for, when the command line as a whole could not be read.
pub(crate) fn wants_json(args: &[OsString]) -> bool {
    let flag = args
        .iter()
        .skip(1)
        .take_while(|arg| *arg != "--")
        .any(|arg| arg == "--json");
    let variable = std::env::var_os("BT_CLIENT_JSON");
    // As the parser of switches reads it.
    let is_no = |value: &OsString| {
        let value = value.to_string_lossy().to_lowercase();
        ["", "0", "f", "false", "n", "no", "off"].contains(&value.as_str())
    };
    flag || variable.is_some_and(|value| !is_no(&value))
}

pub(crate) fn environment_path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// The parser's complaint in the form of all our errors.
fn usage(error: &clap::Error) -> Failure {
    let is_no_command = matches!(
        error.kind(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
    );
    if is_no_command {
        return Failure::new(Exit::Usage, "no command was given")
            .hint("try bt-client --help, or watch bt-client demo");
    }
    let (what, hint) = complaint(error);
    Failure::new(Exit::Usage, what).hint(hint)
}

/// The same where what was typed is fine.
fn in_environment(error: &clap::Error) -> Failure {
    let is_broken =
        |name: &String| std::env::var_os(name).is_some_and(|value| value.to_str().is_none());
    let names: Vec<String> = match (error.kind(), option_of(error)) {
        (ErrorKind::InvalidUtf8, _) => {
            let all = config::variables(&Cli::command()).into_iter();
            all.filter(is_broken).collect()
        }
        (_, Some(long)) => vec![config::variable(&long)],
        _ => Vec::new(),
    };
    let is_set = |name: &String| std::env::var_os(name).is_some();
    let names: Vec<String> = names.into_iter().filter(is_set).collect();
    match (names.is_empty(), error.kind()) {
        (true, _) => usage(error),
        (false, ErrorKind::InvalidUtf8) => {
            Failure::new(Exit::Usage, format!("{} is not UTF-8", names.join(" or ")))
                .hint("set it to text, or unset it")
        }
        (false, _) => usage(error).behind(&names.join(", ")),
    }
}

pub(super) fn in_file(file: &File, command: Option<&str>, error: &clap::Error) -> Failure {
    let line = option_of(error).and_then(|long| file.line(command, &long));
    let what = match line {
        Some(line) => format!("line {line}: a value is not valid"),
        None => "a value is not valid".to_owned(),
    };
    config::bad(file.path(), &what).because(complaint(error).0)
}

/// The long name of the option that an error is about.
fn option_of(error: &clap::Error) -> Option<String> {
    let arg = match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(arg) => arg,
        ContextValue::Strings(args) => args.first()?,
        _ => return None,
    };
    let long = arg.strip_prefix("--")?;
    let end = long.find([' ', '=', '[']).unwrap_or(long.len());
    Some(long[..end].to_owned())
}

/// Splits the rendered text into what is wrong and what may help.
fn complaint(error: &clap::Error) -> (String, String) {
    let text = error.render().to_string();
    let text: Vec<&str> = text.trim().lines().filter(|line| is_of_use(line)).collect();
    let text = text.join("\n");
    let mut paragraphs = text.split("\n\n").filter(|text| !text.trim().is_empty());
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
    if is_below_zero(error) {
        hints.insert(0, "no number here may be below zero".to_owned());
    }
    if hints.is_empty() {
        hints.push("see --help".to_owned());
    }
    (in_our_words(one_line(what)), hints.join("; "))
}

/// That a word may be meant as it stands helps only where there is a file of that name.
fn is_of_use(line: &str) -> bool {
    let tip = line.trim().strip_prefix("tip: to pass '");
    let word = tip.and_then(|tip| tip.split_once("' as a value"));
    word.is_none_or(|(word, _)| Path::new(word).exists())
}

/// Whether a number with a sign and a unit was taken for an option.
fn is_below_zero(error: &clap::Error) -> bool {
    let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else {
        return false;
    };
    let number = arg.strip_prefix('-').unwrap_or_default();
    error.kind() == ErrorKind::UnknownArgument
        && number.starts_with(|c: char| c.is_ascii_digit() || c == '.')
}

/// What Rust says of text that is no value of a type, for people.
fn in_our_words(mut text: String) -> String {
    const WORDS: [(&str, &str); 6] = [
        ("invalid digit found in string", "it must be a whole number"),
        (
            "cannot parse integer from empty string",
            "it must be a whole number",
        ),
        ("number too large to fit in target type", "it is too large"),
        (
            "number would be zero for non-zero type",
            "it must be at least 1",
        ),
        (
            "invalid socket address syntax",
            "it must be an IP address and a port, such as 192.0.2.1:6881",
        ),
        ("value was not a boolean", "it must be true or false"),
    ];
    for (theirs, ours) in WORDS {
        text = text.replace(theirs, ours);
    }
    text
}

/// Joins lines and their indentation by single spaces.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn after_help() -> String {
    format!("{AFTER_HELP}\n\n{}", exit::HELP)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_list_of_options_is_consistent() {
        super::command().debug_assert();
    }
}
