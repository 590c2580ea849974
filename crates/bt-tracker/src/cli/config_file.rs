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
            .cause(&error)
            .hint("bt-tracker print-config shows every setting with its value")
    })
}

pub(super) fn toml(settings: &Settings) -> Result<String, Failure> {
    toml::to_string(settings)
        .map_err(|error| Failure::other("cannot show the settings").cause(&error))
}

pub(super) fn json(settings: &Settings) -> Result<String, Failure> {
    serde_json::to_string(settings)
        .map_err(|error| Failure::other("cannot show the settings").cause(&error))
}
