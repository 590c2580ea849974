//! What people write on the command line and into `config.toml`; the bodies are in the room that reads it.

use crate::cli::fuzz;

/// The text of `config.toml`; the first byte chooses the command that it is read for.
pub fn config(data: &[u8]) {
    fuzz::config(data);
}

/// A size, rate, duration, ratio, list of files, wish, list of trackers, or a word that stands for a torrent.
pub fn values(data: &[u8]) {
    fuzz::values(data);
}

/// A pattern and paths, a line each.
pub fn globs(data: &[u8]) {
    fuzz::globs(data);
}

/// A datagram of the kernel about the addresses of this machine.
pub fn interfaces(data: &[u8]) {
    fuzz::interfaces(data);
}
