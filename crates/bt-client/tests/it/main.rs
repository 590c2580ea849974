//! The session through its public API, over loopback and real files; the program as people run it.

#[cfg(feature = "cli")]
mod cli_bad_input;
#[cfg(feature = "cli")]
mod cli_offline;
#[cfg(feature = "cli")]
mod cli_run;
#[cfg(feature = "cli")]
mod cli_transfer;
#[cfg(feature = "cli")]
mod cli_usage;
mod content;
mod swarm;
mod transfer;
