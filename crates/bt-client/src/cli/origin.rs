//! Which options come from the environment or the file rather than from the command line, so that whoever has made a
//! mistake there is told where. It must not know what options mean.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;
use toml::de::DeTable;

use super::config;
use super::exit::Exit;
use super::report::Failure;

/// The configuration file as it was read.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Where the values of one run come from.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    file: Option<File>,
    matches: Option<ArgMatches>,
}

impl Origins {
    /// `matches` are those of the last reading, with the file if there is one.
    pub(crate) fn new(file: Option<File>, matches: ArgMatches) -> Self {
        let matches = Some(matches);
        Self { file, matches }
    }

    /// Names the file or the variable that a failure lies in. What is typed is told as it is.
    pub(crate) fn blame(&self, failure: Failure) -> Failure {
        let command = self.matches.as_ref().and_then(ArgMatches::subcommand);
        let (Some((command, matches)), Exit::Usage) = (command, failure.exit()) else {
            return failure;
        };
        let source = |long: &str| {
            let id = long.replace('-', "_");
            let known = matches.try_contains_id(&id).ok();
            known.and_then(|_| matches.value_source(&id))
        };
        let options = failure.options();
        let given = |wanted: ValueSource| {
            let mut found = options.iter().filter(|long| source(long) == Some(wanted));
            found.next().copied()
        };
        if given(ValueSource::CommandLine).is_some() {
            return failure;
        }
        if let Some(long) = given(ValueSource::EnvVariable) {
            return failure.behind(&config::variable(long));
        }
        // The file gives defaults, as the program itself does, but a line of it only where it has one.
        let found = self.file.as_ref().and_then(|file| {
            let mut defaults = options
                .iter()
                .copied()
                .filter(|long| source(long) == Some(ValueSource::DefaultValue));
            defaults.find_map(|long| Some((file, long, file.line(Some(command), long)?)))
        });
        match found {
            Some((file, long, line)) => {
                let path = file.path.display();
                let place = format!("{path}: line {line}: {long} cannot be used");
                failure.within(Exit::BadInput, place)
            }
            None => failure,
        }
    }
}

impl File {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The line with what holds for a command: the key in its table, or else the one for all.
    pub(crate) fn line(&self, command: Option<&str>, key: &str) -> Option<usize> {
        let table = DeTable::parse(&self.text).ok()?;
        let find = |table: &DeTable<'_>| {
            let keys = table.keys();
            let mut spans = keys.filter(|name| name.get_ref() == key);
            spans.next().map(|name| name.span().start)
        };
        let own = command.and_then(|command| {
            let mut tables = table.get_ref().iter();
            let (_, value) = tables.find(|(name, _)| name.get_ref() == command)?;
            find(value.get_ref().as_table()?)
        });
        let at = own.or_else(|| find(table.get_ref()))?;
        Some(self.text.get(..at)?.matches('\n').count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::File;

    #[test]
    fn the_table_of_a_command_comes_before_what_holds_for_all() {
        let text = "# of mine\nport = 1\n\"down\" = 2\n[create]\nname = \"x\"\n[seed]\nport = 3\n";
        let file = File {
            path: "c.toml".into(),
            text: text.to_owned(),
        };
        for (command, key, line) in [
            (Some("seed"), "port", Some(7)),
            (Some("download"), "port", Some(2)),
            (Some("seed"), "down", Some(3)),
            (None, "port", Some(2)),
            (Some("create"), "name", Some(5)),
            (Some("seed"), "name", None),
            (Some("create"), "seed", Some(6)),
        ] {
            assert_eq!(file.line(command, key), line, "{command:?} {key}");
        }
    }
}
