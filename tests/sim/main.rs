//! Whole swarms of the real engine on a virtual network, disk and clock: one seed, one run.
//!
//! `cargo xtask sim` runs them and prints a table; `SIM_SEED=N cargo xtask sim NAME` replays one run.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "what is unexpected in a test fails it"
)]

mod announce;
mod check;
mod dice;
mod disk;
mod faults;
mod growth;
mod heap;
mod link;
mod memory;
mod node;
mod plan;
#[path = "../platter.rs"]
mod platter;
mod queue;
mod random;
mod records;
mod scenarios;
mod storage;
mod tracker;
mod traffic;
mod twin;
mod wire;
mod world;

use bt_client::state::Storage;
