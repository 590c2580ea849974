//! `man` and `completions`: the command line described for `man` and for shells.

use std::path::PathBuf;

use clap::{ArgMatches, Args};
use clap_complete::Shell;

use super::failure::Failure;
use super::options;

/// Where manual pages go.
#[derive(Clone, Debug, Args)]
pub(super) struct Man {
    /// Write a page for the program and one for each command here, instead of the program's page
    /// on standard output
    directory: Option<PathBuf>,
}

/// For whom completions are made.
#[derive(Clone, Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Man {
    pub(super) fn run(&self, json: bool) -> Result<u8, Failure> {
        let command = options::with_environment(options::command(), &ArgMatches::default());
        let command = options::without_idle_settings(command);
        if let Some(directory) = &self.directory {
            clap_mangen::generate_to(command, directory).map_err(|error| {
                let what = format!("cannot write manual pages to {}", directory.display());
                Failure::storage(what)
                    .cause(&error)
                    .hint("name a directory that is there and that you may write to")
            })?;
            return Ok(0);
        }
        let mut page = Vec::new();
        let made = clap_mangen::Man::new(command).render(&mut page);
        made.map_err(|error| Failure::other("cannot make the manual page").cause(&error))?;
        super::print_text(&String::from_utf8_lossy(&page), json)?;
        Ok(0)
    }
}

impl Completions {
    pub(super) fn run(&self, json: bool) -> Result<u8, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut options::command(),
            "bt-tracker",
            &mut script,
        );
        // The generator writes the hyphen of our name in two ways, so that nothing would be completed
        // in bash after a subcommand.
        let script = String::from_utf8_lossy(&script);
        super::print_text(&script.replace("bt__subcmd__tracker", "bt__tracker"), json)?;
        Ok(0)
    }
}
