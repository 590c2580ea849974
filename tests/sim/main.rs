//! Whole swarms of the real engine on a virtual network, disk and clock: one seed, one run.
//!
//! `SIM_SEED=N cargo test -p bt-client --test sim NAME` replays one run; `SIM_SEEDS=N` runs that many.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "what is unexpected in a test fails it"
)]

mod link;
mod node;
mod scenarios;
mod world;
