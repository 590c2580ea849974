//! The configuration file: TOML, with unknown names refused.

use std::path::Path;

use super::failure::Failure;
use super::settings::Settings;

pub(super) fn read(path: &Path) -> Result<Settings, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::bad_input(format!("cannot read the configuration file {shown}")).cause(&error)
    })?;
    toml::from_str(&text).map_err(|error| {
        Failure::bad_input(format!("the configuration file {shown} makes no sense"))
            .because(place(&text, &error))
            .hint("bt-tracker print-config shows every setting with its value")
    })
}

/// What is wrong, and in which line, but not the line itself: a password may stand in it.
fn place(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| 1 + before.matches('\n').count());
    let line = line
        .map(|line| format!("line {line}: "))
        .unwrap_or_default();
    let message = error.message().trim_end();
    // The names of all settings would bury the one that is wrong.
    let message = match message.split_once(", expected one of") {
        Some((what, _)) if what.starts_with("unknown field") => what,
        _ => message,
    };
    format!("{line}{message}")
}

pub(super) fn toml(settings: &Settings) -> Result<String, Failure> {
    toml::to_string(settings)
        .map_err(|error| Failure::other("cannot show the settings").cause(&error))
}

pub(super) fn json(settings: &Settings) -> Result<String, Failure> {
    serde_json::to_string(settings)
        .map_err(|error| Failure::other("cannot show the settings").cause(&error))
}
