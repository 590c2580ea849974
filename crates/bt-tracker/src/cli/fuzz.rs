//! Settings for the fuzzer, as people write them: what is read is shown and read back, and what is refused says where.

use std::ffi::OsString;
use std::path::Path;

use super::config_file;
use super::failure::Failure;
use super::settings::Settings;
use super::top;
use super::units::{Near, Share, Size, Span, Store};
use super::usage::{self, Parsed};

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
    let read = || config_file::parse(text, Path::new("tracker.toml"));
    match (read(), read()) {
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
            // What is too deep has no place.
            let is_placed = line.is_some_and(|line: usize| (1..=lines).contains(&line));
            assert!(
                is_placed || message.ends_with("recursion limit"),
                "{message}"
            );
        }
        (one, other) => panic!("{one:?}, and then {other:?}"),
    }
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
    match usage::parse(&words) {
        Ok(Parsed::Run(cli)) => {
            let mut settings = cli.settings;
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

/// Settings that were read are shown and read back, those that are in force stay so, and a configuration is made of them
/// or refused in words.
fn check(settings: Settings) {
    let shown = config_file::toml(&settings).expect("settings can be shown");
    let again = config_file::parse(&shown, Path::new("shown"));
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
        settings.http.push(([127, 0, 0, 1], 0).into());
    }
    let in_force = settings.in_force();
    assert_eq!(in_force.in_force(), in_force);
    match settings.config() {
        Ok(config) => {
            assert_eq!(config.http, settings.http);
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
