//! Settings for the fuzzer, as people write them: what is read is shown and read back, and what is refused says where.

use std::ffi::OsString;
use std::path::Path;

use clap::{ArgMatches, FromArgMatches as _};

use super::Cli;
use super::config_file::{self, ConfigFile};
use super::failure::Failure;
use super::listen::Listen;
use super::options;
use super::settings::Settings;
use super::top;
use super::units::{Near, Share, Size, Span, Store};
use super::usage::{self, Parsed};

/// What the parser says of tables in tables in tables.
const TOO_DEEP: &str = "recursion limit";

/// Words of one command line.
const MAX_WORDS: usize = 24;

/// The text of a configuration file.
///
/// # Panics
/// If settings are not shown and read back, if a failure names no line of the file, or if the file gets another verdict
/// when it is read again.
pub(crate) fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match (in_file(text), in_file(text)) {
        (Ok(settings), Ok(again)) => {
            assert_eq!(settings, again);
            check(settings);
        }
        (Err(failure), Err(again)) => {
            let message = failure.message();
            assert_eq!(message, again.message());
            let line = message.split(": line ").nth(1);
            let line = line.and_then(|rest| rest.split([':', ',']).next()?.parse().ok());
            let lines = 1 + text.matches('\n').count();
            let is_placed = match line {
                Some(line) => (1..=lines).contains(&line),
                None => has_no_place(text, &message),
            };
            assert!(is_placed && message.contains("makes no sense"), "{message}");
        }
        (one, other) => panic!("{one:?}, and then {other:?}"),
    }
}

/// Whether a refusal of this text can name no line: the parser gives none for what is too deep, and each setting of two
/// that contradict each other makes sense by itself.
fn has_no_place(text: &str, message: &str) -> bool {
    let each = ConfigFile::parse(text, Path::new("tracker.toml"), &options::command());
    each.is_ok() || message.ends_with(TOO_DEEP)
}

/// The words of a command line, one a line.
///
/// # Panics
/// If settings are not shown and read back, or if a refusal says nothing.
pub(crate) fn options(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let words = text.lines().take(MAX_WORDS).map(OsString::from);
    let words: Vec<OsString> = std::iter::once("bt-tracker".into()).chain(words).collect();
    let _ = usage::wants_json(&words);
    // Files and the environment are none of the fuzzer's.
    if words.iter().any(|word| {
        let word = word.to_string_lossy();
        let is_short = word.starts_with('-') && !word.starts_with("--");
        word.starts_with("--conf") || (is_short && word.contains('c'))
    }) {
        return;
    }
    match usage::parse(&words) {
        Ok(Parsed::Run(given)) => {
            let mut settings = given.cli.settings;
            // Secrets never are in a file.
            (settings.admin_token, settings.upload_token) = (None, None);
            check(settings);
        }
        Ok(Parsed::Print(text)) => assert!(!text.is_empty()),
        Err(failure) => {
            assert!(failure.is_usage(), "{failure:?}");
            assert!(!failure.message().trim().is_empty(), "{failure:?}");
        }
    }
}

/// A value of a setting.
///
/// # Panics
/// If a value is not shown and read back, if a refusal does not name it, or if a password is shown.
pub(crate) fn values(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    round_trip::<Span>(text);
    round_trip::<Share>(text);
    round_trip::<Size>(text);
    round_trip::<Near>(text);
    round_trip::<Store>(text);
    if !text.contains(['/', '?', '#']) {
        let store: Result<Store, _> = format!("redis://me:{text}@host/1").parse();
        let shown = store.map(|store| store.redacted().to_string());
        assert_eq!(shown.as_deref(), Ok("redis://me:HIDDEN@host/1"));
    }
}

/// What `top` gets from another tracker.
///
/// # Panics
/// If it can steer a terminal.
pub(crate) fn top(data: &[u8]) {
    if let Ok(stats) = serde_json::from_slice(data) {
        top::fuzz(&stats);
    }
}

fn round_trip<T>(text: &str)
where
    T: std::str::FromStr<Err = String> + ToString + PartialEq + std::fmt::Debug,
{
    match text.parse::<T>() {
        Ok(value) => assert_eq!(value.to_string().parse(), Ok(value), "{text:?}"),
        Err(problem) => assert!(!problem.is_empty(), "{text:?}"),
    }
}

/// The settings in the text of a file.
fn in_file(text: &str) -> Result<Settings, Failure> {
    let (plain, path) = (options::command(), Path::new("tracker.toml"));
    let file = ConfigFile::parse(text, path, &plain)?;
    let command = file.beneath(plain, &ArgMatches::default());
    let refused = |error: clap::Error| Failure::usage(error.to_string()).in_file(path);
    let given = command.try_get_matches_from(["bt-tracker"]);
    let given = given.map_err(refused)?;
    Ok(Cli::from_arg_matches(&given).map_err(refused)?.settings)
}

/// Settings that were read are shown and read back, those that are in force stay so, and a configuration is made of them
/// or refused in words.
fn check(settings: Settings) {
    let shown = config_file::toml(&settings).expect("settings can be shown");
    let again = in_file(&shown);
    assert!(
        again.as_ref().is_ok_and(|again| *again == settings),
        "{shown}: {again:?}"
    );
    assert!(config_file::json(&settings).is_ok_and(|json| json.starts_with('{')));
    // Nothing is looked at on a disk, and no socket is opened to see which families there are.
    let mut settings = Settings {
        snapshot: None,
        accounts: None,
        admin_token_file: None,
        upload_token_file: None,
        udp_key: None,
        ..settings
    };
    if settings.http.is_empty() && settings.udp.is_empty() && settings.https.is_empty() {
        settings.http.push(Listen::At(([127, 0, 0, 1], 0).into()));
    }
    let in_force = settings.in_force();
    assert_eq!(in_force.in_force(), in_force);
    match settings.config() {
        Ok(config) => {
            let http = settings.http.iter().flat_map(|one| one.addresses());
            assert_eq!(config.http, http.collect::<Vec<_>>());
            assert_eq!(config.locality.is_empty(), settings.locality.is_empty());
        }
        Err(failure) => assert!(Failure::is_usage(&failure), "{failure:?}"),
    }
}

#[cfg(test)]
mod tests {
    type Body = fn(&[u8]);

    #[test]
    fn the_corpus_holds() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/corpus");
        let targets: [(&str, Body); 4] = [
            ("tracker_config", super::config),
            ("tracker_options", super::options),
            ("tracker_values", super::values),
            ("tracker_top", super::top),
        ];
        for (name, body) in targets {
            let files = std::fs::read_dir(std::path::Path::new(corpus).join(name)).unwrap();
            let count = files
                .map(|file| body(&std::fs::read(file.unwrap().path()).unwrap()))
                .count();
            assert!(count > 0, "{name} has no seeds");
        }
    }
}
