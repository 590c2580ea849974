//! Options for the fuzzer, as people write them: what is read can be written and read back, and what is refused says why.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use clap::{ArgMatches, Command, CommandFactory as _};

use super::args::{self, Cli};
use super::config;
use super::create::{parse_tiers, parse_web_seed};
use super::exit::Exit;
use super::interface;
use super::origin::File;
use super::progress;
use super::report::escape;
use super::select;
use super::source::{Word, parse_torrent};
use super::units;

/// A command line for each kind of options.
const LINES: [&[&str]; 4] = [
    &["bt-client", "download", "x.torrent", "--quiet"],
    &["bt-client", "create", "content"],
    &["bt-client", "seed", "x.torrent"],
    &["bt-client", "demo"],
];

std::thread_local! {
    /// To make the list of options takes longer than to read a file.
    static COMMANDS: (Command, Vec<(Vec<OsString>, ArgMatches)>) = {
        let command = Cli::command();
        let read = |line: &&[&str]| {
            let line: Vec<OsString> = line.iter().map(OsString::from).collect();
            let given = command.clone().try_get_matches_from(&line);
            (line, given.expect("it is a command line"))
        };
        let lines = LINES.iter().map(read).collect();
        (command, lines)
    };
}

/// The text of `config.toml` for one of the commands, which the first byte chooses.
///
/// # Panics
/// If a failure does not name the file and a key or a line of it, or if what was typed gives way to the file.
pub(crate) fn config(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    let path = Path::new("its/config.toml");
    COMMANDS.with(|(command, lines)| {
        let (line, given) = &lines[usize::from(first) % lines.len()];
        let command = match config::with_file(command.clone(), path, text, given) {
            Ok(command) => command,
            Err(failure) => {
                let what = failure.what();
                assert!(what.starts_with("its/config.toml: "), "{what}");
                let names_a_place = what.contains("key \"") || what.contains(": line ");
                assert!(names_a_place, "{what}");
                assert_eq!(failure.exit(), Exit::BadInput);
                return;
            }
        };
        let read = command
            .try_get_matches_from(line)
            .and_then(|matches| args::read(&matches));
        match read {
            Ok(cli) => {
                let is_quiet = cli.global.quiet;
                assert!(
                    is_quiet || !line.iter().any(|word| word == "--quiet"),
                    "what was typed counts"
                );
            }
            Err(error) => {
                let file = File {
                    path: path.to_owned(),
                    text: text.to_owned(),
                };
                let told = args::in_file(&file, given.subcommand_name(), &error);
                let text = told.to_string();
                assert!(text.starts_with("error: its/config.toml: "), "{text}");
                assert!(text.contains("cause: "), "{text}");
            }
        }
    });
}

/// A value of an option, or a word that stands for a torrent.
///
/// # Panics
/// If a value is not what it is when it is written in another way.
pub(crate) fn values(data: &[u8]) {
    word(data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    numbers(text);
    select::fuzz_lists(text);
    if let Ok(tiers) = parse_tiers(text) {
        let joined: Vec<String> = tiers.0.iter().map(|tier| tier.join(",")).collect();
        let again = parse_tiers(&joined.join(" ")).map(|tiers| tiers.0);
        assert_eq!(again.as_ref(), Ok(&tiers.0), "{text:?}");
        assert!(tiers.0.iter().all(|tier| !tier.is_empty()), "{text:?}");
    }
    if let Ok(url) = parse_web_seed(text) {
        assert_eq!(parse_web_seed(&url).as_ref(), Ok(&url));
    }
    let width = data.len() % 40;
    let fitted = progress::fit(text, width);
    assert_eq!(progress::columns(&fitted), width, "{text:?}");
    let shown = escape(text);
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    assert_eq!(escape(&shown), shown, "what is harmless stays as it is");
}

/// Patterns of `--include` and `--exclude`, and paths, a line each; the first line is the pattern.
pub(crate) fn globs(data: &[u8]) {
    select::fuzz_globs(&String::from_utf8_lossy(data));
}

/// What the kernel says of the addresses of this machine.
pub(crate) fn interfaces(data: &[u8]) {
    interface::fuzz(data);
}

fn numbers(text: &str) {
    if let Ok(bytes) = units::parse_size(text) {
        assert_eq!(units::parse_size(&bytes.to_string()), Ok(bytes));
        assert_eq!(
            units::parse_size(&text.to_uppercase()),
            Ok(bytes),
            "{text:?}"
        );
        // What people are shown has two digits or more.
        let shown = units::size(bytes);
        if let Ok(read) = units::parse_size(&shown) {
            assert!(read.abs_diff(bytes) <= bytes / 16, "{text:?}, {shown}");
        }
    }
    if let Ok(rate) = units::parse_rate(text) {
        assert!(rate > 0, "{text:?}");
        assert_eq!(units::parse_rate(&format!("{rate}/s")), Ok(rate));
    }
    if let Ok(time) = units::parse_duration(text) {
        let again = units::parse_duration(&format!("{}ms", time.as_millis()));
        assert_eq!(again, Ok(time), "{text:?}");
        assert!(!units::clock(time).is_empty() && !units::elapsed(time).is_empty());
    }
    if let Ok(ratio) = units::parse_ratio(text) {
        assert!(ratio >= 0.0 && ratio.is_finite());
        assert_eq!(units::parse_ratio(&ratio.to_string()), Ok(ratio));
    }
}

fn word(data: &[u8]) {
    match Word::of(OsStr::from_bytes(data)) {
        Word::Path(path) => assert_eq!(path.as_os_str().as_bytes(), data),
        Word::Stdin => assert_eq!(data, b"-"),
        Word::Magnet(text) | Word::InfoHash(text) | Word::Url(text) => {
            assert_eq!(text.as_bytes(), data);
        }
    }
    if let Err(failure) = parse_torrent("it", data) {
        assert_eq!(failure.what(), "it is not a usable torrent");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_config", 3, super::config);
        crate::fuzz::replay("client_values", 3, super::values);
        crate::fuzz::replay("client_globs", 3, super::globs);
        crate::fuzz::replay("client_interfaces", 3, super::interfaces);
    }
}
