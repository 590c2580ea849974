//! The session through its public API, over loopback and real files; the program as people run it.

#![allow(clippy::unwrap_used, reason = "what is unexpected in a test fails it")]

mod article;
#[cfg(feature = "cli")]
mod cli_bad_input;
#[cfg(feature = "cli")]
mod cli_checking;
#[cfg(feature = "cli")]
mod cli_config;
#[cfg(feature = "cli")]
mod cli_files;
#[cfg(feature = "cli")]
mod cli_offline;
#[cfg(feature = "cli")]
mod cli_output;
#[cfg(feature = "cli")]
mod cli_resume;
#[cfg(feature = "cli")]
mod cli_run;
#[cfg(feature = "cli")]
mod cli_seed;
#[cfg(feature = "cli")]
mod cli_stop;
#[cfg(feature = "cli")]
mod cli_transfer;
#[cfg(feature = "cli")]
mod cli_usage;
mod content;
mod files;
#[path = "../../../../tests/filler.rs"]
mod filler;
mod hostile;
mod keeping;
mod large;
mod relocate;
#[cfg(feature = "cli")]
#[path = "../../../../tests/bad-input/replay.rs"]
mod replay;
mod restore;
mod session;
mod sharing;
mod swarm;
mod transfer;
mod ttorrent_defects;
