//! The configuration file: TOML, with unknown names refused.

use std::path::Path;

use super::failure::Failure;
use super::settings::Settings;

pub(super) fn read(path: &Path) -> Result<Settings, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::bad_input(format!("cannot read the configuration file {shown}")).cause(&error)
    })?;
    parse(&text, path)
}

/// The settings in the text of a file.
pub(super) fn parse(text: &str, path: &Path) -> Result<Settings, Failure> {
    toml::from_str(text).map_err(|error| {
        let shown = path.display();
        Failure::bad_input(format!("the configuration file {shown} makes no sense"))
            .because(place(text, &error))
            .hint("bt-tracker print-config shows every setting with its value")
    })
}

/// What is wrong, in which line and with which setting, but not the line: a password may stand there.
fn place(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim_end();
    // The names of all settings would bury the one that is wrong.
    let message = match message.split_once(", expected one of") {
        Some((what, _)) if what.starts_with("unknown field") => what,
        _ => message,
    };
    let Some((before, after)) = error
        .span()
        .and_then(|span| text.split_at_checked(span.start))
    else {
        return message.to_owned();
    };
    let line = 1 + before.matches('\n').count();
    let begun = before.rsplit('\n').next().unwrap_or_default();
    let rest = after.lines().next().unwrap_or_default();
    let whole = format!("{begun}{rest}");
    let is_name = |name: &&str| {
        let mut signs = name.chars();
        !name.is_empty() && signs.all(|sign| sign.is_ascii_alphanumeric() || "-_".contains(sign))
    };
    let name = whole.split_once('=').map(|(name, _)| name.trim());
    match name.filter(is_name) {
        Some(name) => format!("line {line}, {name}: {message}"),
        None => format!("line {line}: {message}"),
    }
}

pub(super) fn toml(settings: &Settings) -> Result<String, Failure> {
    toml::to_string(settings)
        .map_err(|error| Failure::other("cannot show the settings").cause(&error))
}

pub(super) fn json(settings: &Settings) -> Result<String, Failure> {
    serde_json::to_string(settings)
        .map_err(|error| Failure::other("cannot show the settings").cause(&error))
}
