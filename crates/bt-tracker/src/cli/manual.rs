//! `man` and `completions`: the command line described for `man` and for shells.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use super::failure::Failure;

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
        let command = Cli::command();
        if let Some(directory) = &self.directory {
            clap_mangen::generate_to(command, directory)?;
            return Ok(0);
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        super::print_text(&String::from_utf8_lossy(&page), json);
        Ok(0)
    }
}

impl Completions {
    pub(super) fn run(&self, json: bool) -> u8 {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "bt-tracker", &mut script);
        super::print_text(&String::from_utf8_lossy(&script), json);
        0
    }
}
